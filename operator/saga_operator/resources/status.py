"""What the operator reports of one saga, and what it reads back of that."""

from typing import Annotated, Any

from msgspec import Meta

from saga_operator.resources.shape import (
    CONDITIONS_MAX,
    STATUS_BYTES_MAX,
    STEP_TEXT_LENGTH_MAX,
    TRANSITIONS_MAX,
    Count,
    Generation,
    MessageType,
    Name,
    Reason,
    Ref,
    Rule,
    Sentence,
    Shape,
    Time,
    Token,
    listed,
    whole,
)
from saga_operator.resources.words import SagaMode, StepState, Truth
from saga_operator.resources.writing import LIMITS, body_of, stored_bytes
from sagakit.core.definition import STEPS_MAX
from sagakit.core.facts import Phase


class Compensation(Shape, frozen=True, kw_only=True):
    """How a step is taken back."""

    command: Annotated[MessageType, Meta(description="The command that takes the step back.")]
    attempts: Annotated[Count, Meta(description="How often it was tried.")] = 0
    start_time: Annotated[Time, Meta(description="When it was first asked.")] | None = None
    completion_time: Annotated[Time, Meta(description="When it was done.")] | None = None


class StepStatus(Shape, frozen=True, kw_only=True):
    """Where one step stands."""

    name: Annotated[Name, Meta(description="The name of the step.")]
    participant: Annotated[Name, Meta(description="The service that carries it out.")]
    state: Annotated[
        StepState,
        Meta(description="Begun is in doubt: asked, no answer yet. Refused and Barred will not act any more."),
    ]
    attempts: Annotated[Count, Meta(description="How often it was tried.")] = 0
    start_time: Annotated[Time, Meta(description="When it began.")] | None = None
    completion_time: Annotated[Time, Meta(description="When it succeeded, was refused or was barred.")] | None = None
    reason: Annotated[Reason, Meta(description="Why it was refused or is stuck, in one word.")] | None = None
    message: Annotated[Sentence, Meta(description="The same in a sentence.")] | None = None
    stuck: Annotated[bool, Meta(description="True when its participant gave up and a person must decide.")] = False
    compensation: Annotated[Compensation, Meta(description="How it is taken back, once that is asked.")] | None = None


class Condition(Shape, frozen=True, kw_only=True):
    """One thing that is true, false, or not known yet."""

    type: Annotated[Reason, Meta(description="What it is about. For example: Succeeded")]
    status: Annotated[Truth, Meta(description="True, False or Unknown.")]
    reason: Annotated[Reason, Meta(description="Why, in one word.")]
    last_transition_time: Annotated[Time, Meta(description="When the status last changed.")]
    message: Annotated[Sentence, Meta(description="Why, in a sentence.")] = ""
    observed_generation: Annotated[Generation, Meta(description="The generation it was seen of.")] | None = None


class Transition(Shape, frozen=True, kw_only=True):
    """A change of the phase."""

    time: Annotated[Time, Meta(description="When.")]
    phase: Annotated[Phase, Meta(description="The phase from then on.")]
    reason: Annotated[Reason, Meta(description="Why, in one word.")] | None = None


class History(Shape, frozen=True, kw_only=True):
    """Where the whole history is."""

    service: Annotated[str, Meta(min_length=1, max_length=63, description="The service that tells it.")]
    path: Annotated[str, Meta(min_length=1, max_length=253, description="The path there.")]


_FINAL = ", ".join(f"'{phase}'" for phase in Phase if phase.terminal)
TERMINAL_STAYS = Rule(
    f"!has(oldSelf.status) || !has(oldSelf.status.phase) || !(oldSelf.status.phase in [{_FINAL}]) || "
    "(has(self.status) && has(self.status.phase) && self.status.phase == oldSelf.status.phase)",
    "a terminal phase stays: nothing happens any more to a saga that is Completed, Compensated or Killed",
    ".status.phase",
)
"""Stands at the root of the resource, because a rule within the status would not see the status go."""


class Status(Shape, frozen=True, kw_only=True):
    """What was seen of the saga; the truth is in its facts, to which `history` points."""

    observed_generation: Annotated[Generation, Meta(description="The generation of the spec that was seen.")] | None = (
        None
    )
    phase: (
        Annotated[Phase, Meta(description="Where the saga stands as a whole, a summary of the conditions.")] | None
    ) = None
    reason: Annotated[Reason, Meta(description="Why it stands there, in one word.")] | None = None
    message: Annotated[Sentence, Meta(description="The same in a sentence.")] | None = None
    step: (
        Annotated[
            str, Meta(max_length=STEP_TEXT_LENGTH_MAX, description="The step it is at. For example: inventory 2/4")
        ]
        | None
    ) = None
    saga_id: Annotated[Name, Meta(description="The saga, which is also the order.")] | None = None
    correlation_id: Annotated[Name, Meta(description="The word under which its logs and traces are found.")] | None = (
        None
    )
    trace_id: (
        Annotated[
            str,
            Meta(min_length=32, max_length=32, pattern=whole("[0-9a-f]{32}"), description="The trace it began in."),
        ]
        | None
    ) = None
    definition: Annotated[Ref, Meta(description="The definition it runs by. For example: order/1")] | None = None
    mode: Annotated[SagaMode, Meta(description="Who coordinates it.")] | None = None
    start_time: Annotated[Time, Meta(description="When it began.")] | None = None
    deadline: Annotated[Time, Meta(description="When it is aborted unless it has ended.")] | None = None
    completion_time: Annotated[Time, Meta(description="When it ended.")] | None = None
    suspended: Annotated[bool, Meta(description="True while steps that have not begun are held.")] = False
    cancel_refused: Annotated[
        bool, Meta(description="True when cancel came too late: the saga was beyond its point of no return.")
    ] = False
    retries: Annotated[Count, Meta(description="How often the operator itself asked a retry.")] = 0
    observed_retry_token: Annotated[Token, Meta(description="The retryToken that was last obeyed.")] | None = None
    history: Annotated[History, Meta(description="Where the whole history is.")] | None = None
    steps: Annotated[
        tuple[StepStatus, ...],
        Meta(max_length=STEPS_MAX, description="Every step, by its name.", extra_json_schema=listed("map", "name")),
    ] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=CONDITIONS_MAX,
            description="What is true of the saga, by its type: Succeeded, Finished, Compensated, TimedOut, Validated, "
            "and while they are true Reconciling and Stalled.",
            extra_json_schema=listed("map", "type"),
        ),
    ] = ()
    transitions: Annotated[
        tuple[Transition, ...],
        Meta(
            max_length=TRANSITIONS_MAX,
            description="The last changes of the phase, the newest last.",
            extra_json_schema=listed("atomic"),
        ),
    ] = ()

    def to_body(self) -> dict[str, Any]:
        """Return the status as the API takes it: bounded texts, and at most `STATUS_BYTES_MAX` for 10 steps.

        Texts and the oldest transitions give way first; states, times and reasons never do.
        """
        for limits in LIMITS:
            body = body_of(self, limits)
            if stored_bytes(body) <= STATUS_BYTES_MAX:
                break
        return body


class Seen(Shape, frozen=True, kw_only=True):
    """What is read back of a status. What cannot be read was not written by this operator and counts as absent."""

    observed_generation: Generation | None = None
    phase: Phase | None = None
    saga_id: Name | None = None
    start_time: Time | None = None
    deadline: Time | None = None
    completion_time: Time | None = None
    retries: Count = 0
    observed_retry_token: Token | None = None
    conditions: tuple[Condition, ...] = ()
    transitions: tuple[Transition, ...] = ()
