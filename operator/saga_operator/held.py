"""One resource in memory: as the API server showed it, what is known of its saga, and what we last wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from saga_operator.reconcile import Known, Presence
from saga_operator.report import RETRYING
from saga_operator.resources import OrderSaga, shortened
from sagakit.core.facts import Phase

Key = tuple[str, str]
"""Namespace and name."""

TROUBLE_LENGTH_MAX = 256
"""So short that a status with it three times stays within its bounds."""
WHY = ("Succeeded", "Reconciling")
"""The conditions of a running saga that say why it stands where it does."""
BEHIND = timedelta(seconds=30)
"""How far the watch may be behind our own writes."""


def encoded(status: Mapping[str, Any]) -> bytes:
    """Return a status in few bytes; two that are equal have the same."""
    return msgspec.json.encode(status, order="deterministic")


@dataclass(slots=True)
class Malformed:
    """A resource that means nothing: what the API server shows about it, why, and whether its status says so.

    `wakes_at` is when it is to be looked at by itself.
    """

    metadata: Mapping[str, Any]
    sentence: str
    told: bool = False
    wakes_at: datetime | None = None


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
