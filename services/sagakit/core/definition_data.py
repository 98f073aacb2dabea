"""A definition as plain data, as a file, a topic or a Kubernetes resource holds it; names in camelCase.

Whatever is written wrongly is said in one sentence that names the place, as for a definition that cannot mean anything.
"""

import re
from typing import Any, TypeVar

import msgspec

from sagakit.core.definition import (
    SAGA_TIMEOUT_SECONDS,
    DefinitionError,
    Participant,
    RetryPolicy,
    Saga,
    Step,
    StepKind,
)
from sagakit.core.misfit import parted, sentence

_POLICY = RetryPolicy()
S = TypeVar("S", bound=msgspec.Struct)


class Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """What is not known is a mistake, not an extension."""


class RetryData(Strict, frozen=True, kw_only=True):
    """How often and how patiently a step is tried again."""

    attempts_max: int = _POLICY.attempts_max
    delay_seconds: float = _POLICY.delay_seconds
    delay_seconds_max: float = _POLICY.delay_seconds_max
    jitter: float = _POLICY.jitter


class ParticipantData(Strict, frozen=True, kw_only=True):
    """A service that takes part, and where it says its events."""

    name: str
    events_topic: str
    handles: list[str] = []


class StepData(Strict, frozen=True, kw_only=True):
    """One forward action, the ways it can end, and what takes it back."""

    name: str
    participant: str
    command: str
    success: str
    failure: str | None = None
    compensation: str | None = None
    compensated: str | None = None
    kind: StepKind = StepKind.COMPENSATABLE
    timeout_seconds: int | None = None
    retry: RetryData | None = None
    after: list[str] = []


class StageData(Strict, frozen=True, kw_only=True):
    """One step, or several in parallel."""

    steps: list[StepData]


class DefinitionData(Strict, frozen=True, kw_only=True):
    """A saga definition, whole."""

    name: str
    version: int = 1
    initiator: ParticipantData
    participants: list[ParticipantData]
    stages: list[StageData]
    started: str
    completed: str
    cancelled: str
    timeout_seconds: int = SAGA_TIMEOUT_SECONDS


def to_data(saga: Saga) -> dict[str, Any]:
    """Return the definition as plain data: dictionaries, lists, texts and numbers; defaults are left out."""
    shape = DefinitionData(
        name=saga.name,
        version=saga.version,
        initiator=_participant(saga.initiator),
        participants=[_participant(participant) for participant in saga.participants],
        stages=[StageData(steps=[_step(step) for step in stage]) for stage in saga.stages],
        started=saga.started,
        completed=saga.completed,
        cancelled=saga.cancelled,
        timeout_seconds=saga.timeout_seconds,
    )
    data: dict[str, Any] = msgspec.to_builtins(shape)
    return data


def converted(data: object, shape: type[S]) -> S:
    """Return plain data in a shape.

    Raises:
        DefinitionError: with one sentence that names the place, when a field is missing, unknown or of the wrong type.
    """
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise DefinitionError(_sentence(str(error))) from error


def from_data(data: object) -> Saga:
    """Return the definition that the data describes.

    Raises:
        DefinitionError: with one sentence, when a field is missing, unknown or of the wrong type, or when the
            definition cannot mean anything.
    """
    shape = converted(data, DefinitionData)
    return Saga(
        name=shape.name,
        version=shape.version,
        initiator=_as_participant(shape.initiator),
        participants=tuple(_as_participant(participant) for participant in shape.participants),
        stages=tuple(tuple(_as_step(step) for step in stage.steps) for stage in shape.stages),
        started=shape.started,
        completed=shape.completed,
        cancelled=shape.cancelled,
        timeout_seconds=shape.timeout_seconds,
    )


def _participant(its: Participant) -> ParticipantData:
    return ParticipantData(name=its.name, events_topic=its.events_topic, handles=sorted(its.handles))


def _as_participant(shape: ParticipantData) -> Participant:
    return Participant(shape.name, shape.events_topic, frozenset(shape.handles))


def _step(its: Step) -> StepData:
    plain = {name: getattr(its, name) for name in StepData.__struct_fields__ if name not in ("retry", "after")}
    retry = RetryData(**{name: getattr(its.retry, name) for name in RetryData.__struct_fields__})
    return StepData(**plain, retry=retry if its.retry != _POLICY else None, after=list(its.after))


def _as_step(shape: StepData) -> Step:
    plain = {name: getattr(shape, name) for name in StepData.__struct_fields__ if name not in ("retry", "after")}
    retry = RetryPolicy(**{name: getattr(shape.retry or _POLICY, name) for name in RetryData.__struct_fields__})
    return Step(**plain, retry=retry, after=tuple(shape.after))


_KIND = re.compile(r"Invalid enum value (.+)")


def _sentence(error: str) -> str:
    what, place = parted(error)
    where = place.removeprefix(".") or "the definition"
    if found := _KIND.fullmatch(what):
        return f"{where} must be one of {', '.join(StepKind)}, not {found[1]}"
    return sentence(what, where)
