"""The platform at a glance: rates, sagas by phase, and each service with what waits there. Samples in, no IO."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from onebox.answers import Answer
from onebox.description import aligned
from onebox.exposition import Measure
from onebox.moments import length, moment
from onebox.output import worded
from sagakit.runtime.catalogue import (
    ACTIVE,
    COMPENSATIONS,
    CONSUMED,
    DEAD,
    DUPLICATES,
    FAILURES,
    FINISHED,
    LAG_RECORDS,
    LAG_SECONDS,
    OLDEST,
    OUTBOX_AGE,
    PARKED,
    PENDING,
    SENT,
    STARTED,
    STUCK,
    TIMEOUTS,
    Named,
)

RATES: Mapping[str, tuple[Named, Mapping[str, str]]] = {
    "started": (STARTED, {}),
    "completed": (FINISHED, {"outcome": "completed"}),
    "compensated": (FINISHED, {"outcome": "compensated"}),
    "killed": (FINISHED, {"outcome": "killed"}),
    "timedOut": (TIMEOUTS, {}),
    "compensations": (COMPENSATIONS, {"result": "succeeded"}),
    "exhausted": (COMPENSATIONS, {"result": "exhausted"}),
    "duplicates": (DUPLICATES, {}),
}
"""What is shown per second, by which counter."""

Told = Mapping[str, Sequence[Measure] | str]
"""What each service told, or in words why it told nothing."""
Key = tuple[str, str, tuple[tuple[str, str], ...]]
STARTED_AT = "process_start_time_seconds"
"""By which one instance is told from another, and from itself after a restart."""


class PhaseLine(Answer, frozen=True, kw_only=True):
    """The sagas in one phase."""

    phase: str
    sagas: int
    oldest_seconds: float


class ServiceLine(Answer, frozen=True, kw_only=True):
    """One service; `away` says why it told nothing, and the rates are None until it was looked at twice."""

    service: str
    away: str | None = None
    handled_per_second: float | None = None
    sent_per_second: float | None = None
    lag_records: int = 0
    lag_seconds: float = 0.0
    outbox: int = 0
    outbox_age_seconds: float = 0.0
    dead_letters: int = 0
    parked: int = 0
    failing: tuple[str, ...] = ()


class Overview(Answer, frozen=True, kw_only=True):
    """One look; `seconds` is how long after the look before it, from which the rates are."""

    at: datetime
    seconds: float | None
    rates: Mapping[str, float | None]
    phases: list[PhaseLine]
    stuck: int
    services: list[ServiceLine]


class Look:
    """What every service told at one moment."""

    def __init__(self, at: datetime, told: Told) -> None:
        """Keep what was told."""
        self.at = at
        self.told = told
        self._values = {
            (service, measure.name, tuple(sorted(measure.labels.items()))): measure.value
            for service, measures in told.items()
            if not isinstance(measures, str)
            for measure in measures
        }

    @property
    def silent(self) -> bool:
        """True when nobody told anything."""
        return all(isinstance(measures, str) for measures in self.told.values())

    def values(self, named: Named, service: str | None = None, **labels: str) -> Iterator[float]:
        """Yield every sample of the metric that has these labels."""
        for key in self._keys(named, service, labels):
            yield self._values[key]

    def rate(self, before: "Look | None", named: Named, service: str | None = None, **labels: str) -> float | None:
        """Return by how much the counter grew in a second; one that is less than it was has begun again from zero.

        It is None where another process answered than before: what that counted is not what this one grew from.
        """
        keys = [*self._keys(named, service, labels)]
        seconds = (self.at - before.at).total_seconds() if before is not None else 0.0
        if before is None or seconds <= 0 or not keys or any(self._changed(before, of) for of, *_ in keys):
            return None
        grown = 0.0
        for key in keys:
            now, was = self._values[key], before._values.get(key)  # noqa: SLF001 - another of us
            grown += now if was is None or now < was else now - was
        return grown / seconds

    def _changed(self, before: "Look", service: str) -> bool:
        key = (service, STARTED_AT, ())
        return self._values.get(key) != before._values.get(key)  # noqa: SLF001 - another of us

    def _keys(self, named: Named, service: str | None, labels: Mapping[str, str]) -> Iterator[Key]:
        for key in self._values:
            of, name, its = key
            if name == named.name and service in (None, of) and labels.items() <= dict(its).items():
                yield key


def overview(look: Look, before: Look | None) -> Overview:
    """Return what the look shows; the rates are from the one before it."""
    return Overview(
        at=look.at,
        seconds=(look.at - before.at).total_seconds() if before is not None else None,
        rates={name: look.rate(before, named, None, **labels) for name, (named, labels) in RATES.items()},
        phases=[*_phases(look)],
        stuck=_whole(max(look.values(STUCK), default=0)),
        services=[_service(look, before, service) for service in look.told],
    )


def frame(seen: Overview) -> str:
    """Return it as a text. What somebody has to look at comes first: a terminal that is too low cuts the end."""
    here = [line for line in seen.services if line.away is None]
    over = "" if seen.seconds is None else f", rates over {seen.seconds:.1f} s"
    lines = [f"{moment(seen.at)}  {len(here)} of {len(seen.services)} services answer{over}", *_troubles(seen), ""]
    rates = [_rate(rate, " /s") for rate in seen.rates.values()]
    lines += aligned([RATE_HEAD[:HALF], rates[:HALF], RATE_HEAD[HALF:], rates[HALF:]])
    lines += ["", *aligned([("PHASE", "SAGAS", "OLDEST"), *(_phase(line) for line in seen.phases)])]
    lines += ["", *aligned([HEAD, *(_row(line) for line in seen.services)])]
    return "\n".join(line.rstrip() for line in lines)


RATE_HEAD = ("STARTED", "COMPLETED", "COMPENSATED", "KILLED", "TIMED OUT", "COMPENSATIONS", "EXHAUSTED", "DUPLICATES")
HALF = len(RATE_HEAD) // 2
HEAD = ("SERVICE", "IN/S", "OUT/S", "LAG", "BEHIND", "OUTBOX", "OLDEST", "DEAD", "PARKED", "FAILING")
"""Messages handled and sent; records and time that it is behind; dead letters since it began; loops that fail."""


def _phases(look: Look) -> Iterator[PhaseLine]:
    """Yield each phase; every instance of the order service says the same, so the greatest is taken."""
    phases = dict.fromkeys(
        measure.labels.get("phase", "")
        for measures in look.told.values()
        if not isinstance(measures, str)
        for measure in measures
        if measure.name == ACTIVE.name
    )
    for phase in phases:
        yield PhaseLine(
            phase=phase,
            sagas=_whole(max(look.values(ACTIVE, phase=phase), default=0)),
            oldest_seconds=max(look.values(OLDEST, phase=phase), default=0.0),
        )


def _service(look: Look, before: Look | None, service: str) -> ServiceLine:
    told = look.told[service]
    if isinstance(told, str):
        return ServiceLine(service=service, away=told)
    failing = [m.labels.get("loop", "") for m in told if m.name == FAILURES.name and m.value]
    return ServiceLine(
        service=service,
        handled_per_second=look.rate(before, CONSUMED, service),
        sent_per_second=look.rate(before, SENT, service),
        lag_records=_whole(sum(look.values(LAG_RECORDS, service))),
        lag_seconds=max(look.values(LAG_SECONDS, service), default=0.0),
        outbox=_whole(sum(look.values(PENDING, service))),
        outbox_age_seconds=max(look.values(OUTBOX_AGE, service), default=0.0),
        dead_letters=_whole(sum(look.values(DEAD, service))),
        parked=_whole(sum(look.values(PARKED, service))),
        failing=tuple(failing),
    )


def _phase(line: PhaseLine) -> tuple[str, str, str]:
    return worded(line.phase), str(line.sagas), _length(line.oldest_seconds)


def _row(line: ServiceLine) -> tuple[str, ...]:
    if line.away is not None:
        return (line.service, "✖ away", *("-" for _ in HEAD[2:]))
    return (
        line.service,
        _rate(line.handled_per_second),
        _rate(line.sent_per_second),
        str(line.lag_records),
        _length(line.lag_seconds),
        str(line.outbox),
        _length(line.outbox_age_seconds),
        str(line.dead_letters),
        str(line.parked),
        str(len(line.failing)) if line.failing else "-",
    )


def _troubles(seen: Overview) -> Iterator[str]:
    """Yield a line for each thing that somebody has to look at."""
    if seen.stuck:
        yield f"! {seen.stuck} wait for a person: sagactl list --phase NeedsIntervention"
    for line in seen.services:
        if line.away is not None:
            yield f"✖ {line.away}"
        for loop in line.failing:
            yield f"✖ {line.service}: its {loop} fails; sagactl doctor says why"
        if line.dead_letters:
            yield f"! {line.service}: {line.dead_letters} dead letters since it began: sagactl dlq list"


def _rate(rate: float | None, unit: str = "") -> str:
    return "-" if rate is None else f"{rate:.1f}{unit}"


def _length(seconds: float) -> str:
    return length(timedelta(seconds=seconds)) if seconds else "-"


def _whole(value: float) -> int:
    return round(value)
