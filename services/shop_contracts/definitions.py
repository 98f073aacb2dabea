"""Definitions of orders: short data filled up with what the shop knows of each command, and held against it. Pure.

A definition arranges what the shop can do: in which order, what in parallel, with which limits. What a command says,
and who carries it out, is not for a definition to choose.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from sagakit.core.definition import DefinitionError, Participant, RetryPolicy, Saga, Step, StepKind
from sagakit.core.definition_data import Strict, converted, from_data
from shop_contracts.order_saga import ORDER_SAGA

COMMANDS: Mapping[str, Step] = {step.command: step for step in ORDER_SAGA.steps}
"""What the shop knows of each command that a step can begin with."""
PARTIES: Mapping[str, Participant] = {party.name: party for party in ORDER_SAGA.participants}
KINDS: Mapping[StepKind, frozenset[StepKind]] = {
    StepKind.COMPENSATABLE: frozenset((StepKind.COMPENSATABLE, StepKind.PIVOT)),
    StepKind.PIVOT: frozenset((StepKind.PIVOT,)),
    StepKind.RETRIABLE: frozenset((StepKind.RETRIABLE,)),
}
"""As what a command can be used: one that can be taken back need not be."""
POLICY = RetryPolicy()


class ShortRetry(Strict, frozen=True, kw_only=True):
    """How often and how patiently a step is tried again."""

    attempts_max: int = POLICY.attempts_max
    delay_milliseconds: int = round(POLICY.delay_seconds * 1000)
    delay_max_milliseconds: int = round(POLICY.delay_seconds_max * 1000)


class ShortStep(Strict, frozen=True, kw_only=True):
    """One step: who does what. The rest is known of the command, and need not be repeated."""

    name: str
    participant: str
    command: str
    success: str | None = None
    failure: str | None = None
    compensation: str | None = None
    compensated: str | None = None
    kind: str | None = None
    timeout_seconds: int | None = None
    retry: ShortRetry | None = None


class ShortStage(Strict, frozen=True, kw_only=True):
    """One step, or several in parallel."""

    steps: list[ShortStep]


class ShortDefinition(Strict, frozen=True, kw_only=True):
    """A definition as a person writes it: the `spec` of a SagaDefinition, or the same in a file."""

    name: str
    version: int = 1
    timeout_seconds: int = ORDER_SAGA.timeout_seconds
    stages: list[ShortStage]


def definition_of(data: object) -> Saga:
    """Return the definition that short data describes, as `ShortDefinition` has it, names in camelCase.

    Raises:
        DefinitionError: with one sentence that names what is wrong, and what is known instead.
    """
    short = converted(data, ShortDefinition)
    ref = f"{short.name}/{short.version}"
    saga = Saga(
        name=short.name,
        version=short.version,
        initiator=ORDER_SAGA.initiator,
        participants=ORDER_SAGA.participants,
        stages=tuple(tuple(_step(ref, step) for step in stage.steps) for stage in short.stages),
        started=ORDER_SAGA.started,
        completed=ORDER_SAGA.completed,
        cancelled=ORDER_SAGA.cancelled,
        timeout_seconds=short.timeout_seconds,
    )
    return checked(saga)


def short_of(saga: Saga) -> dict[str, Any]:
    """Return the steps and limits of a definition as short data, whole; its name and version stand beside it."""
    stages = [ShortStage(steps=[_short(step) for step in stage]) for stage in saga.stages]
    return {"timeoutSeconds": saga.timeout_seconds, "stages": msgspec.to_builtins(stages)}


def _short(step: Step) -> ShortStep:
    retry = step.retry
    return ShortStep(
        name=step.name,
        participant=step.participant,
        command=step.command,
        kind=step.kind.value,
        timeout_seconds=step.timeout_seconds,
        retry=ShortRetry(
            attempts_max=retry.attempts_max,
            delay_milliseconds=round(retry.delay_seconds * 1000),
            delay_max_milliseconds=round(retry.delay_seconds_max * 1000),
        ),
    )


def read_definition(data: object) -> Saga:
    """Return the definition that whole data describes, as the topic of definitions has it.

    Raises:
        DefinitionError: with one sentence, also when it is a definition, but none of this shop.
    """
    return checked(from_data(data))


def checked(saga: Saga) -> Saga:
    """Return the definition, once it is known to be one that the shop can carry out and that leaves the books balanced.

    Raises:
        DefinitionError: with one sentence that names what is wrong, and what is known instead.
    """
    own = ("initiator", "started", "completed", "cancelled")
    for part in own:
        _same(saga.ref, f"its {part}", getattr(saga, part), getattr(ORDER_SAGA, part))
    for party in saga.participants:
        known = _party(saga.ref, party.name)
        _same(saga.ref, f"the events topic of {party.name}", party.events_topic, known.events_topic)
    for step in saga.steps:
        _check_step(saga.ref, step)
    missing = [command for command in COMMANDS if command not in {step.command for step in saga.steps}]
    if missing:
        text = f"{saga.ref}: no step begins with {' or '.join(missing)}, which every confirmed order needs"
        raise DefinitionError(text)
    return saga


def _step(ref: str, short: ShortStep) -> Step:
    """Return the step, with whatever is not said taken from what the shop knows of its command."""
    known = _command(ref, short.name, short.command)
    kind = _kind(ref, short) or known.kind
    undone = kind is StepKind.COMPENSATABLE
    return Step(
        name=short.name,
        participant=short.participant,
        command=short.command,
        success=short.success or known.success,
        failure=short.failure or (None if kind is StepKind.RETRIABLE else known.failure),
        compensation=short.compensation or (known.compensation if undone else None),
        compensated=short.compensated or (known.compensated if undone else None),
        kind=kind,
        timeout_seconds=short.timeout_seconds,
        retry=_retry(short.retry),
    )


def _kind(ref: str, short: ShortStep) -> StepKind | None:
    if short.kind is None:
        return None
    try:
        return StepKind(short.kind.lower())
    except ValueError:
        text = f"{ref}: step {short.name!r}: the kind must be one of {', '.join(StepKind)}, not {short.kind!r}"
        raise DefinitionError(text) from None


def _retry(short: ShortRetry | None) -> RetryPolicy:
    if short is None:
        return POLICY
    return RetryPolicy(short.attempts_max, short.delay_milliseconds / 1000, short.delay_max_milliseconds / 1000)


def _check_step(ref: str, step: Step) -> None:
    """Hold a step against what its command says and who handles it."""
    known, what = _command(ref, step.name, step.command), f"step {step.name!r}"
    _party(ref, step.participant, what)
    _same(ref, f"{what}: the participant that handles {step.command}", step.participant, known.participant)
    if step.kind not in KINDS[known.kind]:
        possible = " or ".join(sorted(KINDS[known.kind]))
        raise DefinitionError(f"{ref}: {what}: {step.command} can be {possible}, not {step.kind}")
    _same(ref, f"{what}: the success of {step.command}", step.success, known.success)
    _same(ref, f"{what}: the failure of {step.command}", step.failure, known.failure)
    if step.kind is StepKind.COMPENSATABLE:
        _same(ref, f"{what}: the compensation of {step.command}", step.compensation, known.compensation)
        _same(ref, f"{what}: the event of {step.compensation}", step.compensated, known.compensated)


def _command(ref: str, step: str, command: str) -> Step:
    known = COMMANDS.get(command)
    if known is None:
        listed = ", ".join(f"{name} ({its.participant})" for name, its in COMMANDS.items())
        text = f"{ref}: step {step!r}: no step can begin with the command {command!r}; known: {listed}"
        raise DefinitionError(text)
    return known


def _party(ref: str, name: str, what: str = "a participant") -> Participant:
    known = PARTIES.get(name)
    if known is None:
        raise DefinitionError(f"{ref}: {what}: the shop has no participant {name!r}; known: {', '.join(PARTIES)}")
    return known


def _same(ref: str, what: str, said: object, known: object) -> None:
    if said != known:
        raise DefinitionError(f"{ref}: {what} is {_named(known)}, not {_named(said)}")


def _named(value: object) -> str:
    return value.name if isinstance(value, Participant) else str(value) if value is not None else "nothing"
