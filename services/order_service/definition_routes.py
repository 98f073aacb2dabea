"""The saga definitions that this service follows, over HTTP: as data, and drawn."""

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from order_service.inputs import DefinitionPath
from sagakit.core.definition import Saga
from sagakit.core.definition_data import to_data
from sagakit.core.diagram import mermaid
from sagakit.runtime.http.problems import not_found
from sagakit.runtime.http.routes import Call, Nothing, Route, Shape
from sagakit.runtime.tracker import Tracker

TAG = "Definitions"


class DefinitionShape(Shape, frozen=True, kw_only=True):
    """One definition."""

    ref: Annotated[str, Meta(description="Name and version in one word, as sagas carry it.")]
    definition: Annotated[dict[str, Any], Meta(description="As data; defaults are left out.")]
    mermaid: Annotated[str, Meta(description="Its state diagram, in Mermaid's language.")]


class Definitions(Shape, frozen=True, kw_only=True):
    """All definitions, by name and version."""

    definitions: list[DefinitionShape]


@dataclass(frozen=True, slots=True)
class DefinitionRoutes:
    """Answers about definitions."""

    tracker: Tracker

    def routes(self) -> list[Route]:
        """Return every route of definitions."""
        return [
            Route(
                method="GET",
                path="/definitions",
                handler=self.list_definitions,
                summary="List the saga definitions",
                returns={200: Definitions},
                tag=TAG,
            ),
            Route(
                method="GET",
                path="/definitions/{name}/{version}",
                handler=self.get_definition,
                summary="One definition, by its name and version as in order/1",
                returns={200: DefinitionShape},
                params=DefinitionPath,
                problems=(404,),
                tag=TAG,
            ),
        ]

    async def list_definitions(self, call: Call[Nothing, None]) -> Definitions:
        """List what is followed here."""
        del call
        sagas = sorted(self.tracker.sagas.values(), key=lambda saga: (saga.name, saga.version))
        return Definitions(definitions=[_shape(saga) for saga in sagas])

    async def get_definition(self, call: Call[DefinitionPath, None]) -> DefinitionShape:
        """Return one definition."""
        ref = f"{call.params.name}/{call.params.version}"
        saga = self.tracker.sagas.get(ref)
        if saga is None:
            raise not_found("name", f"there is no definition {ref}")
        return _shape(saga)


def _shape(saga: Saga) -> DefinitionShape:
    return DefinitionShape(ref=saga.ref, definition=to_data(saga), mermaid=mermaid(saga))
