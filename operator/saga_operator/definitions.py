"""SagaDefinitions: judged by the shop's own rules, and told to every service by the topic of definitions."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from saga_operator.cluster import Cluster, ClusterError, ConflictError, NotThereError
from saga_operator.resources import (
    SAGA_DEFINITION_KIND,
    SAGA_DEFINITION_PLURAL,
    Condition,
    DefinitionResource,
    DefinitionStatus,
    MalformedError,
    Truth,
    parse_definition,
)
from sagakit.core.definition import DefinitionError, Saga
from sagakit.ports import Clock, Log, LogUnavailableError
from sagakit.runtime.definitions import DEFINITIONS_MAX, Definitions, defined
from shop_contracts.definitions import definition_of

AGAIN_SECONDS = 5.0

log_lines = logging.getLogger(__name__)


@dataclass
class DefinitionKeeper:
    """A loop of the leader: every definition that stands and is not known to the services is told to them."""

    cluster: Cluster
    log: Log
    known: Definitions
    clock: Clock
    leads: Callable[[], bool]
    name: str = "definitions of the cluster"
    counts: Counter[str] = field(default_factory=Counter)
    resources: dict[tuple[str, str], DefinitionResource] = field(default_factory=dict)
    malformed: dict[tuple[str, str], str] = field(default_factory=dict)
    changed: Callable[[], None] = lambda: None
    _published: set[str] = field(default_factory=set)
    """What this process has told; it is known when it is read back."""
    _written: dict[str, dict[str, Any]] = field(default_factory=dict)

    def seen(self, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """Take up what the API server shows of a definition."""
        metadata = body.get("metadata") or {}
        key = (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        if gone:
            # What sagas may run by stays known to the services: a definition is never taken back.
            self._forget(key)
            return
        try:
            self.resources[key] = parse_definition(body)
            self.malformed.pop(key, None)
        except MalformedError as error:
            if self.malformed.get(key) != str(error):
                log_lines.warning("SagaDefinition %s/%s is malformed: %s", *key, error)
            self.malformed[key] = str(error)
        self.changed()

    def taken_up(self) -> dict[tuple[str, str], object]:
        """Return everything that is kept of a definition, by its key."""
        return {**self.resources, **self.malformed}

    def went(self, kept: Mapping[tuple[str, str], object]) -> None:
        """Forget what there is no more, unless something of that name was taken up meanwhile."""
        for key, one in kept.items():
            if one in (self.resources.get(key), self.malformed.get(key)):
                self._forget(key)

    async def step(self) -> bool:
        """Judge and tell each definition whose status does not say so yet."""
        if not self.leads() or not self.known.ready:
            return False
        for resource in list(self.resources.values()):
            await self._keep(resource)
        return False

    def _forget(self, key: tuple[str, str]) -> None:
        was = self.resources.pop(key, None)
        if was is not None:
            self._written.pop(was.uid, None)
        self.malformed.pop(key, None)

    async def _keep(self, its: DefinitionResource) -> None:
        try:
            saga = definition_of(_short(its))
        except DefinitionError as error:
            await self._tell(its, ("Invalid", str(error)), None)
            return
        holds = self.known.sagas.get(saga.ref)
        there = self.known.sagas.keys() | self._published
        if saga.ref not in there and len(there) >= DEFINITIONS_MAX:
            said = f"there are {len(there)} definitions, which is all that there may be"
            await self._tell(its, None, ("TooMany", said))
            return
        if holds is None:
            try:
                await self.log.publish([defined(saga, "operator", self.clock.now())])
                self.counts["published"] += 1
                self._published.add(saga.ref)
            except LogUnavailableError as error:
                await self._tell(its, None, ("Unavailable", str(error)))
                raise
        elif not _same(holds, saga):
            said = f"{saga.ref} is defined otherwise already, and a definition never changes: use another version"
            await self._tell(its, ("Taken", said), None)
            return
        await self._tell(its, None, None)

    async def _tell(
        self, its: DefinitionResource, invalid: tuple[str, str] | None, unpublished: tuple[str, str] | None
    ) -> None:
        """Write the status, if it says anything new."""
        published = invalid is None and unpublished is None
        status = DefinitionStatus(
            observed_generation=its.generation,
            ref=its.spec.ref,
            conditions=(
                self._condition(its, "Validated", invalid is None, *(invalid or ("Valid", ""))),
                self._condition(its, "Published", published, *(unpublished or invalid or ("Published", ""))),
            ),
        )
        body = status.to_body()
        if self._written.get(its.uid) == body:
            return
        try:
            await self.cluster.apply_status(
                SAGA_DEFINITION_KIND, SAGA_DEFINITION_PLURAL, its.namespace, its.name, its.uid, body
            )
        except (NotThereError, ConflictError):
            return
        except ClusterError as error:
            log_lines.warning("the status of SagaDefinition %s/%s: %s", its.namespace, its.name, error)
            return
        self._written[its.uid] = body

    def _condition(self, its: DefinitionResource, kind: str, holds: bool, why: str, said: str) -> Condition:  # noqa: FBT001
        truth = Truth.TRUE if holds else Truth.FALSE
        was = next((each for each in its.status.conditions if each.type == kind and each.status == truth), None)
        return Condition(
            type=kind,
            status=truth,
            reason=why,
            message=said,
            last_transition_time=was.last_transition_time if was else self.clock.now(),
            observed_generation=its.generation,
        )


def _same(holds: Saga, saga: Saga) -> bool:
    """Tell whether both ask the same of everybody; which commands somebody handles may have grown since."""
    return (holds.stages, holds.timeout_seconds) == (saga.stages, saga.timeout_seconds)


def _short(its: DefinitionResource) -> Any:  # noqa: ANN401 - plain data
    data: dict[str, Any] = msgspec.to_builtins(its.spec)
    return _without_none(data)


def _without_none(value: Any) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
