"""A saga definition is data: what is done by whom, what takes it back, and from where on there is no way back.

Constructing a definition that cannot mean anything fails with a sentence; one that stands can be run, drawn, and
projected on its participants without a further check.
"""

import enum
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

SAGA_TIMEOUT_SECONDS = 30
STEP_NAME_LENGTH_MAX = 50
STEPS_MAX = 50
NAME = re.compile(r"[A-Za-z0-9._-]+")
"""What names of sagas, steps, participants, commands and events are made of: ids and topics are made from them."""
KIT_WORDS = frozenset(
    ("AbortSaga", "SagaSuspended", "SagaResumed", "SagaKilled", "StepStuck", "RetryStep", "SkipStep", "MarkStepDone")
)
"""What the kit itself says in every saga; no command or event of a definition may be called so."""


class DefinitionError(ValueError):
    """The definition cannot mean anything. The text says which rule it breaks; correct the definition."""


class StepKind(enum.StrEnum):
    """How far a step can be taken back (Garcia-Molina and Salem, 1987; pivot and retriable as in Richardson, 2018)."""

    COMPENSATABLE = "compensatable"
    PIVOT = "pivot"
    RETRIABLE = "retriable"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently an attempt is repeated; the delay doubles up to a cap, with jitter on top.

    `attempts_max` counts all attempts, the first included; after the last one a human is asked.
    """

    attempts_max: int = 8
    delay_seconds: float = 0.2
    delay_seconds_max: float = 30.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a policy that never tries or waits backwards."""
        _require(self.attempts_max >= 1, f"a retry policy needs at least one attempt, not {self.attempts_max}")
        _require(
            0 < self.delay_seconds <= self.delay_seconds_max,
            f"a retry delay of {self.delay_seconds} s must be positive, at most the cap of {self.delay_seconds_max} s",
        )
        _require(0 <= self.jitter <= 1, f"jitter is a share between 0 and 1, not {self.jitter}")

    def delay_after(self, attempts: int, chance: float) -> float:
        """Return the seconds to wait after this many attempts; `chance` in [0, 1) spreads the jitter."""
        doubled = self.delay_seconds * 2.0 ** min(attempts - 1, 60)
        return min(doubled, self.delay_seconds_max) * (1 + self.jitter * chance)


@dataclass(frozen=True, slots=True)
class Participant:
    """A service that takes part: its name, where it says its events, where it hears commands, and which ones it knows.

    An empty `handles` leaves the check that every command has a handler to the service's own start.
    """

    name: str
    events_topic: str
    handles: frozenset[str] = frozenset()

    @property
    def commands_topic(self) -> str:
        """The topic of the commands addressed to this participant."""
        return f"{self.name}.commands"


@dataclass(frozen=True, slots=True)
class Step:
    """One forward action of one participant, the two ways it can end, and what takes it back.

    A compensatable step names a compensation and its event. A retriable step cannot refuse: it has no failure event.
    `after` may repeat the events the step begins on; it is checked against the order of the steps.
    """

    name: str
    participant: str
    command: str
    success: str
    failure: str | None = None
    compensation: str | None = None
    compensated: str | None = None
    kind: StepKind = StepKind.COMPENSATABLE
    timeout_seconds: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    after: tuple[str, ...] = ()

    @property
    def events(self) -> tuple[str, ...]:
        """Every event this step can emit, the success first."""
        return tuple(event for event in (self.success, self.failure, self.compensated) if event)

    @property
    def can_bar(self) -> bool:
        """True up to and including the pivot: such a step may decline to act any more."""
        return self.kind is not StepKind.RETRIABLE


Group = tuple[Step, ...]
"""Steps that run in parallel; a single step is a group of one."""


@dataclass(frozen=True, slots=True)
class Saga:
    """A named, versioned sequence of steps and parallel groups, begun and ended by its initiator.

    Raises:
        DefinitionError: with one sentence, when the definition cannot mean anything.
    """

    name: str
    version: int
    initiator: Participant
    participants: tuple[Participant, ...]
    stages: tuple[Group, ...]
    started: str
    completed: str
    cancelled: str
    timeout_seconds: int = SAGA_TIMEOUT_SECONDS
    steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)
    point_of_no_return: Group = field(init=False, repr=False, compare=False)
    limits_steps: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive what is asked of a definition for every message, and check every rule, the simplest first.

        `steps` are all steps in order; `point_of_no_return` is the last stage that can fail: after its success the
        saga only goes forward; `limits_steps` tells whether any step has a time limit of its own.
        """
        steps = tuple(step for stage in self.stages for step in stage)
        failing = [stage for stage in self.stages if stage and stage[0].can_bar]
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "point_of_no_return", failing[-1] if failing else ())
        object.__setattr__(self, "limits_steps", any(step.timeout_seconds is not None for step in steps))
        for check in _CHECKS:
            check(self)

    @property
    def ref(self) -> str:
        """Name and version in one word, as messages carry it."""
        return f"{self.name}/{self.version}"

    def step(self, name: str) -> Step:
        """Return the step of that name.

        Raises:
            KeyError: when the saga has no such step.
        """
        for step in self.steps:
            if step.name == name:
                return step
        message = f"{self.ref} has no step {name!r}; it has {', '.join(s.name for s in self.steps)}"
        raise KeyError(message)

    def participant(self, name: str) -> Participant:
        """Return the participant of that name, the initiator included."""
        return next(p for p in (self.initiator, *self.participants) if p.name == name)


def saga(
    name: str,
    *stages: Step | Iterable[Step],
    version: int = 1,
    initiator: Participant,
    participants: Iterable[Participant],
    started: str,
    completed: str,
    cancelled: str,
    timeout_seconds: int = SAGA_TIMEOUT_SECONDS,
) -> Saga:
    """Build a definition; a stage is one step, or an iterable of steps that run in parallel."""
    groups = tuple((stage,) if isinstance(stage, Step) else tuple(stage) for stage in stages)
    return Saga(name, version, initiator, tuple(participants), groups, started, completed, cancelled, timeout_seconds)


def _require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - a condition is what it is about
    if not holds:
        raise DefinitionError(sentence)


def _names(saga: Saga) -> None:
    _require(bool(saga.name), "a saga needs a name")
    _require(saga.version >= 1, f"{saga.name}: versions count from 1, not {saga.version}")
    _require(bool(saga.steps), f"{saga.ref}: a saga needs at least one step")
    _require(len(saga.steps) <= STEPS_MAX, f"{saga.ref}: at most {STEPS_MAX} steps, not {len(saga.steps)}")
    _require(all(saga.stages), f"{saga.ref}: a parallel group needs at least one step")
    _require(saga.timeout_seconds >= 1, f"{saga.ref}: its time limit must be at least 1 s, not {saga.timeout_seconds}")
    for step in saga.steps:
        _require(
            0 < len(step.name) <= STEP_NAME_LENGTH_MAX, f"{saga.ref}: step names have 1 to 50 characters: {step.name!r}"
        )
        _require(
            step.timeout_seconds is None or step.timeout_seconds >= 1,
            f"{saga.ref}: step {step.name!r} needs a time limit of at least 1 s, not {step.timeout_seconds}",
        )
    twice = _first_repeated(step.name for step in saga.steps)
    _require(twice is None, f"{saga.ref}: two steps are called {twice!r}")
    for name in (saga.name, *(p.name for p in saga.participants), *(s.name for s in saga.steps), *_words(saga)):
        _require(
            NAME.fullmatch(name) is not None,
            f"{saga.ref}: {name!r} is no name; names are made of letters, digits, '.', '_' and '-'",
        )


def _words(saga: Saga) -> list[str]:
    """Return every command and event, as they are written."""
    parts = (part for s in saga.steps for part in (s.command, s.success, s.failure, s.compensation, s.compensated))
    return [saga.started, saga.completed, saga.cancelled, *(part for part in parts if part is not None)]


def _participants(saga: Saga) -> None:
    twice = _first_repeated(participant.name for participant in saga.participants)
    _require(twice is None, f"{saga.ref}: two participants are called {twice!r}")
    known = {participant.name: participant for participant in saga.participants}
    _require(
        known.get(saga.initiator.name, saga.initiator) == saga.initiator,
        f"{saga.ref}: the initiator and a participant are both called {saga.initiator.name!r}, but are not the same",
    )
    for step in saga.steps:
        _require(
            step.participant in known,
            f"{saga.ref}: step {step.name!r} belongs to {step.participant!r}, which is not a participant; "
            f"known: {', '.join(sorted(known)) or 'none'}",
        )
        handles = known[step.participant].handles
        for role, command in (("command", step.command), ("compensation", step.compensation)):
            _require(
                not handles or command is None or command in handles,
                f"{saga.ref}: nobody handles {command!r}, the {role} of step {step.name!r}; "
                f"{step.participant} handles {', '.join(sorted(handles))}",
            )


def _kinds(saga: Saga) -> None:
    pivots = [step.name for step in saga.steps if step.kind is StepKind.PIVOT]
    _require(len(pivots) <= 1, f"{saga.ref}: a saga has at most one pivot, this one has {', '.join(pivots)}")
    for stage in saga.stages:
        _require(
            len(stage) == 1 or all(step.kind is not StepKind.PIVOT for step in stage),
            f"{saga.ref}: the pivot {', '.join(pivots)!r} stands in a parallel group; "
            "it must stand alone, or a sibling could fail after the point of no return",
        )
    order = {StepKind.COMPENSATABLE: 0, StepKind.PIVOT: 1, StepKind.RETRIABLE: 2}
    for before, after in pairwise(saga.stages):
        _require(
            max(order[s.kind] for s in before) <= min(order[s.kind] for s in after),
            f"{saga.ref}: {after[0].name!r} ({after[0].kind}) cannot follow {before[0].name!r} ({before[0].kind}): "
            "compensatable steps come first, then the pivot, then retriable steps",
        )
    for stage in saga.stages:
        kinds = {step.kind for step in stage}
        _require(
            len(kinds) == 1, f"{saga.ref}: the group of {stage[0].name!r} mixes {' and '.join(sorted(kinds))} steps"
        )


def _step_parts(saga: Saga) -> None:
    for step in saga.steps:
        what = f"{saga.ref}: step {step.name!r}"
        if step.kind is StepKind.COMPENSATABLE:
            _require(step.compensation is not None, f"{what} is compensatable and needs a compensation")
            _require(step.compensated is not None, f"{what} needs the event of its compensation {step.compensation!r}")
        else:
            _require(
                step.compensation is None and step.compensated is None,
                f"{what} has a compensation, but from the pivot on nothing is taken back",
            )
        if step.kind is StepKind.RETRIABLE:
            _require(
                step.failure is None, f"{what} is retriable: it cannot refuse, so {step.failure!r} can never happen"
            )
        else:
            _require(step.failure is not None, f"{what} can refuse and needs a failure event")


def _events(saga: Saga) -> None:
    commands = [c for step in saga.steps for c in (step.command, step.compensation) if c]
    twice = _first_repeated(commands)
    _require(twice is None, f"{saga.ref}: the command {twice!r} is given twice; who carries it out could not tell why")
    own = (saga.started, saga.completed, saga.cancelled)
    said = [*own, *(event for step in saga.steps for event in step.events)]
    twice = _first_repeated(said)
    _require(
        twice is None,
        f"{saga.ref}: {twice!r} is said at two places, so the saga could run in a circle; every event has one meaning",
    )
    both = sorted(set(commands) & set(said))
    _require(not both, f"{saga.ref}: {', '.join(both)} is both a command and an event")
    kit = sorted(KIT_WORDS & {*commands, *said})
    _require(not kit, f"{saga.ref}: {', '.join(kit)} is a word of the kit; choose another")


def _order(saga: Saga) -> None:
    """Check `after`, where it is given: events that exist, no circle, and the order in which the steps stand."""
    emitters = {event: step for step in saga.steps for event in step.events}
    for step in saga.steps:
        for event in step.after:
            _require(
                event == saga.started or event in emitters,
                f"{saga.ref}: step {step.name!r} begins on {event!r}, an event nobody emits",
            )
    circle = _circle({s.name: [emitters[e].name for e in s.after if e in emitters] for s in saga.steps})
    _require(not circle, f"{saga.ref}: the steps wait for each other in a cycle: {' → '.join(circle)}")
    for number, stage in enumerate(saga.stages):
        before = {s.success for s in saga.stages[number - 1]} if number else {saga.started}
        for step in stage:
            _require(
                not step.after or set(step.after) == before,
                f"{saga.ref}: step {step.name!r} says it begins on {', '.join(sorted(step.after))}, "
                f"but by its place it begins on {', '.join(sorted(before))}",
            )


def _circle(waits_for: Mapping[str, list[str]]) -> list[str]:
    """Return one circle of the graph, its first name repeated at the end, or nothing."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in waits_for[name]:
            if found := walk(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next(filter(None, (walk(name, []) for name in waits_for)), [])


def _first_repeated(names: Iterable[str] | Iterator[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


_CHECKS = (_names, _participants, _kinds, _step_parts, _events, _order)
