"""The saga definitions that this service follows, over HTTP: as data, and drawn; and new ones, made known to all."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from order_service.inputs import DefinitionAsked, DefinitionPath
from sagakit.core.definition import DefinitionError, Saga
from sagakit.core.definition_data import to_data
from sagakit.core.diagram import mermaid
from sagakit.ports import Clock, Store
from sagakit.runtime.definitions import DEFINITIONS_MAX, defined
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.pages import PageParams, cursor_of, text_of
from sagakit.runtime.http.problems import conflict, invalid, not_found
from sagakit.runtime.http.routes import Call, Reply, Route, Shape
from sagakit.runtime.tracker import Tracker
from shop_contracts.definitions import definition_of

TAG = "Definitions"


class DefinitionShape(Shape, frozen=True, kw_only=True):
    """One definition."""

    ref: Annotated[str, Meta(description="Name and version in one word, as sagas carry it.")]
    definition: Annotated[dict[str, Any], Meta(description="As data; defaults are left out.")]
    mermaid: Annotated[str, Meta(description="Its state diagram, in Mermaid's language.")]


class Definitions(Shape, frozen=True, kw_only=True):
    """Some of the definitions, by name and version; without a next cursor it is the end of them."""

    definitions: list[DefinitionShape]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DefinitionRoutes:
    """Answers about definitions."""

    tracker: Tracker
    store: Store
    clock: Clock

    def routes(self) -> list[Route]:
        """Return every route of definitions."""
        return [
            Route(
                method="GET",
                path="/definitions",
                handler=self.list_definitions,
                summary="List the saga definitions",
                returns={200: Definitions},
                params=PageParams,
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
            Route(
                method="PUT",
                path="/definitions/{name}/{version}",
                handler=self.put_definition,
                summary="Make a definition known to every service; what a version says never changes",
                returns={202: DefinitionShape, 200: DefinitionShape},
                params=DefinitionPath,
                body=DefinitionAsked,
                problems=(409,),
                tag=TAG,
            ),
        ]

    async def list_definitions(self, call: Call[PageParams, None]) -> Definitions:
        """List what is followed here."""
        limit, cursor = call.params.limit, call.params.cursor
        after = None if cursor is None else _place(text_of(cursor))
        refs = sorted((ref for ref in self.tracker.sagas if after is None or _place(ref) > after), key=_place)
        return Definitions(
            definitions=[_shape(self.tracker.sagas[ref]) for ref in refs[:limit]],
            next_cursor=cursor_of(refs[limit - 1]) if len(refs) > limit else None,
        )

    async def get_definition(self, call: Call[DefinitionPath, None]) -> DefinitionShape:
        """Return one definition."""
        ref = f"{call.params.name}/{call.params.version}"
        saga = self.tracker.sagas.get(ref)
        if saga is None:
            raise not_found("name", f"there is no definition {ref}")
        return _shape(saga)

    async def put_definition(self, call: Call[DefinitionPath, DefinitionAsked]) -> Reply:
        """Publish it; 202 until it has come back by the log, 200 once it holds here."""
        path = {"name": call.params.name, "version": call.params.version}
        try:
            saga = definition_of({**path, **msgspec.to_builtins(call.body)})
        except DefinitionError as error:
            raise invalid("/stages", str(error)) from None
        known = self.tracker.sagas.get(saga.ref)
        if known is not None and known != saga:
            raise conflict("version", f"{saga.ref} says something else already; make it a new version")
        if known is not None:
            return Reply(200, _shape(known))
        if len(self.tracker.sagas) >= DEFINITIONS_MAX:
            raise conflict("name", f"there are {len(self.tracker.sagas)} definitions, which is all that there may be")
        draft = defined(saga, "order", self.clock.now())
        failpoint("http.before_commit")
        await self.store.transact(lambda transaction: transaction.send([draft]))
        failpoint("http.after_commit")
        return Reply(202, _shape(saga))


def _place(ref: str) -> tuple[str, int]:
    """Return where a definition stands in the list, by its name and version in one word; any text has some place."""
    name, _, version = ref.rpartition("/")
    return name, int(version) if version.isdecimal() else 0


def _shape(saga: Saga) -> DefinitionShape:
    return DefinitionShape(ref=saga.ref, definition=to_data(saga), mermaid=mermaid(saga))
