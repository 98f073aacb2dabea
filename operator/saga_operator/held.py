"""One resource in memory: as the API server showed it, what is known of its saga, and what we last wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

import msgspec

from saga_operator.reconcile import Known, Presence
from saga_operator.report import RETRYING, report_malformed
from saga_operator.resources import STARTED_AT, OrderSaga, shortened
from sagakit.core.facts import Phase

Key = tuple[str, str]
"""Namespace and name."""

TROUBLE_LENGTH_MAX = 256
"""So short that a status with it three times stays within its bounds."""
WHY = ("Succeeded", "Reconciling")
"""The conditions of a running saga that say why it stands where it does."""
BEHIND = timedelta(seconds=30)
"""How far the watch may be behind our own writes."""
_Aware = Annotated[datetime, msgspec.Meta(tz=True)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=31_536_000)]
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def encoded(status: Mapping[str, Any]) -> bytes:
    """Return a status in few bytes; two that are equal have the same."""
    return msgspec.json.encode(status, order="deterministic")


@dataclass(slots=True)
class Malformed:
    """A resource that means nothing: what the API server shows about it, why, and whether its status says so.

    `started_at` and `ended_at` are what its status says, and `ttl_seconds` how long after its end it is to be deleted.
    `wakes_at` is when it is to be looked at by itself.
    """

    metadata: Mapping[str, Any]
    sentence: str
    told: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    ttl_seconds: int | None = None
    wakes_at: datetime | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any], sentence: str) -> Self:
        """Return what such a body says; of whatever kind its parts are."""
        metadata, spec, status = (_mapping(body.get(name)) for name in ("metadata", "spec", "status"))
        told = status.get("message") == report_malformed(sentence, 1, _EARLIEST).to_body()["message"]
        started_at, ended_at = (_readable(status.get(name), _Aware) for name in ("startTime", "completionTime"))
        ttl_seconds = _readable(spec.get("ttlSecondsAfterFinished"), _Seconds)
        return cls(metadata, sentence, told, started_at, ended_at, ttl_seconds)

    @property
    def begun(self) -> bool:
        """True when something was begun for it before it meant nothing."""
        return self.started_at is not None or STARTED_AT in _mapping(self.metadata.get("annotations"))

    def gone_at(self, now: datetime) -> datetime | None:
        """Return when it is to be deleted; None while its status does not say why, and where something was begun."""
        leaves = bool(self.metadata.get("deletionTimestamp"))
        if leaves or self.begun or not self.told or self.ended_at is None or self.ttl_seconds is None:
            return None
        return min(self.ended_at, now) + timedelta(seconds=self.ttl_seconds)


@dataclass
class Held:
    """One resource.

    `shown` is its status as the API server has it, `written` the status that we last wrote, both encoded, for thousands
    that are finished stay; `answered` tells what `shown` was after that, and `refusal` why it was not written.
    `wakes_at` is when it is to be looked at by itself, and `traced` tells that the trace of the saga has what there is
    to tell of the resource.
    """

    key: Key
    resource: OrderSaga
    known: Known
    since: datetime
    shown: bytes = encoded({})
    written: bytes | None = None
    written_at: datetime | None = None
    answered: int | None = None
    refusal: str = ""
    wakes_at: datetime | None = None
    failures: int = 0
    traced: bool = False
    told: set[str] = field(default_factory=set)

    @property
    def ended_before(self) -> bool:
        """True when it is written down that it has ended, and its saga tells nothing else."""
        phase, state = self.resource.status.phase, self.known.state
        if phase is None or not phase.terminal:
            return False
        return state is None or not (state.phase.terminal or self.known.presence is Presence.PRESENT)

    @property
    def unheard(self) -> bool:
        """True when it is written down that its saga runs, and nobody has told us of it yet: another operator wrote."""
        phase, known = self.resource.status.phase, self.known
        if phase is None or phase is Phase.PENDING or phase.terminal:
            return False
        return known.state is None and known.presence is Presence.UNKNOWN and known.refusal is None

    def remembered(self, trouble: str = "") -> dict[str, Any] | None:
        """Return the status as it is shown, with the generation that is seen now, and why nothing newer is known.

        None when all that is in it.
        """
        generation, shown = self.resource.generation, msgspec.json.decode(self.shown)
        if not shown:
            return None
        why = {"reason": RETRYING, "message": shortened(trouble, TROUBLE_LENGTH_MAX)} if trouble else {}
        conditions = [
            {**each, "observedGeneration": generation, **(why if each.get("type") in WHY else {})}
            for each in shown.get("conditions") or ()
        ]
        body = {**shown, "observedGeneration": generation, "conditions": conditions, **why}
        return body if body != shown else None

    def wrote(self, resource: OrderSaga, status: Mapping[str, Any]) -> None:
        """Take up what the API server has after a write; the resource is ours where the watch brought a newer one."""
        if resource is not self.resource:
            self.resource, self.shown = resource, encoded(status)
        self.answered = hash(encoded(status))

    @property
    def doubted_at(self) -> datetime | None:
        """When the status shown is somebody else's, unless ours is shown by then; None when ours is, or never was."""
        if self.answered in (None, hash(self.shown)) or self.written_at is None:
            return None
        return self.written_at + BEHIND

    def know(self, **changes: Any) -> None:  # noqa: ANN401 - the attributes of Known
        """Know more of the saga."""
        self.known = replace(self.known, **changes)

    def earliest_write(self, settle_seconds: float, spacing_seconds: float, *, terminal: bool) -> datetime:
        """Return when the status may be written: soon after the resource was seen, and then not too often."""
        if self.written_at is not None:
            return self.written_at + timedelta(seconds=spacing_seconds)
        return self.since if terminal else self.since + timedelta(seconds=settle_seconds)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _readable(value: object, kind: Any) -> Any:  # noqa: ANN401 - a type expression, and what is of it
    """Return the value as that type; None when it is none."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None
