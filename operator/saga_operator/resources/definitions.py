"""A saga's steps as data: what a person declares of one version, and what the operator reports of it."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from saga_operator.resources.shape import (
    CONDITIONS_MAX,
    Generation,
    MessageType,
    Name,
    Ref,
    Rule,
    Shape,
    TimeoutSeconds,
    Version,
    listed,
)
from saga_operator.resources.status import Condition
from saga_operator.resources.words import DefinedKind
from saga_operator.resources.writing import LIMITS, body_of
from sagakit.core.definition import STEPS_MAX


class DefinedRetry(Shape, frozen=True, kw_only=True):
    """How often and how patiently an attempt is repeated; the delay doubles up to its maximum."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.delayMilliseconds <= self.delayMaxMilliseconds",
            "delayMilliseconds is more than delayMaxMilliseconds: the delay only grows",
            None,
            lambda retry: retry.delay_milliseconds <= retry.delay_max_milliseconds,
        ),
    )

    attempts_max: Annotated[
        int, Meta(ge=1, le=100, description="How many attempts at most, the first included; then a person is asked.")
    ] = 8
    delay_milliseconds: Annotated[
        int, Meta(ge=1, le=3_600_000, description="Milliseconds before the second attempt.")
    ] = 200
    delay_max_milliseconds: Annotated[int, Meta(ge=1, le=3_600_000, description="Milliseconds at most.")] = 30_000


class DefinedStep(Shape, frozen=True, kw_only=True):
    """One forward action of one participant; what is left out is what the participant's command usually means."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.kind) || self.kind == 'Compensatable' || (!has(self.compensation) && !has(self.compensated))",
            "a Pivot or Retriable step has no compensation: from the pivot on nothing is taken back",
            None,
            lambda step: step.kind in (None, DefinedKind.COMPENSATABLE) or not (step.compensation or step.compensated),
        ),
        Rule(
            "!has(self.kind) || self.kind != 'Retriable' || !has(self.failure)",
            "a Retriable step cannot refuse, so it has no failure event",
            ".failure",
            lambda step: step.kind is not DefinedKind.RETRIABLE or step.failure is None,
        ),
    )

    name: Annotated[Name, Meta(description="The name of the step, once in the saga. For example: payment")]
    participant: Annotated[Name, Meta(description="The service that carries it out. For example: payment")]
    command: Annotated[MessageType, Meta(description="What it is asked. For example: ChargePayment")]
    success: Annotated[MessageType, Meta(description="The event that it took effect.")] | None = None
    failure: Annotated[MessageType, Meta(description="The event that it was refused.")] | None = None
    compensation: Annotated[MessageType, Meta(description="The command that takes it back.")] | None = None
    compensated: Annotated[MessageType, Meta(description="The event that it was taken back.")] | None = None
    kind: (
        Annotated[
            DefinedKind,
            Meta(
                description="Compensatable can be taken back, Pivot decides whether the saga happens, Retriable comes "
                "after the pivot and cannot refuse."
            ),
        ]
        | None
    ) = None
    timeout_seconds: (
        Annotated[TimeoutSeconds, Meta(description="Seconds the step has for its answer before the saga is aborted.")]
        | None
    ) = None
    retry: Annotated[DefinedRetry, Meta(description="How an attempt is repeated.")] | None = None


class DefinedStage(Shape, frozen=True, kw_only=True):
    """Steps that run in parallel; most stages have one."""

    steps: Annotated[
        tuple[DefinedStep, ...],
        Meta(
            min_length=1,
            max_length=10,
            description="The steps of the stage, 1 to 10; they begin together.",
            extra_json_schema=listed("map", "name"),
        ),
    ]


def _defined_steps(spec: "DefinitionSpec") -> list[DefinedStep]:
    return [step for stage in spec.stages for step in stage.steps]


class DefinitionSpec(Shape, frozen=True, kw_only=True):
    """A saga in one version: its steps as data."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self == oldSelf",
            "a definition is immutable, because sagas run by it: make a SagaDefinition with the next version instead",
        ),
        Rule(
            f"self.stages.map(stage, size(stage.steps)).sum() <= {STEPS_MAX}",
            f"a saga has at most {STEPS_MAX} steps",
            ".stages",
            lambda spec: len(_defined_steps(spec)) <= STEPS_MAX,
        ),
        Rule(
            "self.stages.all(stage, stage.steps.all(step, "
            "self.stages.map(other, other.steps.filter(same, same.name == step.name).size()).sum() == 1))",
            "two steps have the same name",
            ".stages",
            lambda spec: len({step.name for step in _defined_steps(spec)}) == len(_defined_steps(spec)),
        ),
        Rule(
            "self.stages.map(stage, stage.steps.filter(x, has(x.kind) && x.kind == 'Pivot').size()).sum() <= 1",
            "a saga has at most one Pivot step",
            ".stages",
            lambda spec: [step.kind for step in _defined_steps(spec)].count(DefinedKind.PIVOT) <= 1,
        ),
    )

    name: Annotated[Name, Meta(description="The name of the saga, shared by its versions. For example: order")]
    version: Annotated[Version, Meta(description="The version, from 1; a change is a new version.")]
    timeout_seconds: (
        Annotated[TimeoutSeconds, Meta(description="Seconds a saga has when it is placed without a limit of its own.")]
        | None
    ) = None
    stages: Annotated[
        tuple[DefinedStage, ...],
        Meta(
            min_length=1,
            max_length=20,
            description="What is done, in order, 1 to 20 stages.",
            extra_json_schema=listed("atomic"),
        ),
    ]

    @property
    def ref(self) -> str:
        """Name and version in one word, as messages carry it."""
        return f"{self.name}/{self.version}"


class DefinitionStatus(Shape, frozen=True, kw_only=True):
    """What became of a definition."""

    observed_generation: Annotated[Generation, Meta(description="The generation of the spec that was seen.")] | None = (
        None
    )
    ref: Annotated[Ref, Meta(description="Name and version in one word. For example: order/1")] | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=CONDITIONS_MAX,
            description="Validated: the definition means something. Published: the services have been told.",
            extra_json_schema=listed("map", "type"),
        ),
    ] = ()

    def to_body(self) -> dict[str, Any]:
        """Return the status as the API takes it, its texts bounded."""
        return body_of(self, LIMITS[0])


class SeenDefinition(Shape, frozen=True, kw_only=True):
    """What is read back of a definition's status, as `Seen` is."""

    observed_generation: Generation | None = None
    ref: Ref | None = None
    conditions: tuple[Condition, ...] = ()
