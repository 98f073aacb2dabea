"""The custom resources as values: what a person declares, what the operator reports, and the bounds of both.

One source: the schemas in k8s/crds and docs/ordersaga.md are made from these structs by `python -m saga_operator.crds`.
A rule across fields is a CEL expression for the API server with the same rule in Python beside it, so that `parse`
refuses what the API server refuses: a resource may be older than the schema.
"""

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, field

from sagakit.core import facts
from sagakit.core.definition import SAGA_TIMEOUT_SECONDS, STEPS_MAX, StepKind
from sagakit.core.facts import Phase
from sagakit.core.messages import Mode
from shop_contracts.messages import RefundMethod
from shop_contracts.money import AMOUNT_MINOR_MAX, DEFAULT_CURRENCY, MoneyError, to_major, to_minor

GROUP = "sagaplane.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
ORDER_SAGA_KIND = "OrderSaga"
ORDER_SAGA_PLURAL = "ordersagas"
SAGA_DEFINITION_KIND = "SagaDefinition"
SAGA_DEFINITION_PLURAL = "sagadefinitions"
FINALIZER = "sagaplane.io/compensation"
STARTED_AT = "sagaplane.io/started-at"
FIELD_MANAGER = "sagaplane-operator"

STATUS_BYTES_MAX = 10_000
"""What a status takes in etcd; beyond it the upstream targets for the number of objects no longer hold (KEP-95)."""
MESSAGE_LENGTH_MAX = 1024
REASON_LENGTH_MAX = 64
STEP_TEXT_LENGTH_MAX = 64
CONDITIONS_MAX = 16
TRANSITIONS_MAX = 10
LINES_MAX = 100
QUANTITY_MAX = 1_000_000
TIMEOUT_SECONDS_MAX = 604_800
INTEGER_MAX = 2**31 - 1
GENERATION_MAX = 2**53 - 1

T = TypeVar("T")
S = TypeVar("S", bound="Shape")


class MalformedError(ValueError):
    """The resource means nothing. The text is one sentence that names the place; correct the resource."""


class Rule(msgspec.Struct, frozen=True):
    """What holds across fields: in CEL, as a sentence, at which field, and in Python where it is about one version."""

    cel: str
    message: str
    at: str | None = None
    holds: Callable[[Any], bool] | None = None


class Shape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Names in camelCase; `RULES` hold across its fields; what is not known was for a later version and is ignored."""

    RULES: ClassVar[tuple[Rule, ...]] = ()


def _whole(pattern: str) -> str:
    """Return the pattern of a whole text: Python's `$` would let a line break pass."""
    return rf"\A{pattern}\Z"


def _list(kind: str, *keys: str) -> dict[str, Any]:
    return {"x-kubernetes-list-type": kind} | ({"x-kubernetes-list-map-keys": list(keys)} if keys else {})


_NAME = _whole("[A-Za-z0-9._-]+")
_REF = _whole("[A-Za-z0-9._-]+/[0-9]+")
_WORD = _whole("[A-Za-z][A-Za-z0-9_]*")
_TEXT = _whole(r"\S(.*\S)?")
_DECIMAL = _whole(r"[0-9]{1,15}(\.[0-9]{1,4})?")
_KEY = _whole("[!-~]([ -~]{0,253}[!-~])?")

Text = Annotated[str, Meta(min_length=1, max_length=100, pattern=_TEXT)]
Name = Annotated[str, Meta(min_length=1, max_length=50, pattern=_NAME)]
MessageType = Annotated[str, Meta(min_length=1, max_length=100, pattern=_NAME)]
Ref = Annotated[str, Meta(min_length=3, max_length=61, pattern=_REF)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH_MAX, pattern=_WORD)]
Token = Annotated[str, Meta(min_length=1, max_length=63)]
Sentence = Annotated[str, Meta(max_length=MESSAGE_LENGTH_MAX)]
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Generation = Annotated[int, Meta(ge=0, le=GENERATION_MAX)]
Version = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
TimeoutSeconds = Annotated[int, Meta(ge=1, le=TIMEOUT_SECONDS_MAX)]
Time = Annotated[datetime, Meta(tz=True)]


class SagaMode(enum.StrEnum):
    """Who coordinates, as Kubernetes writes it."""

    CHOREOGRAPHY = "Choreography"
    ORCHESTRATION = "Orchestration"

    @property
    def mode(self) -> Mode:
        """The same, as messages carry it."""
        return Mode[self.name]


class RefundPolicy(enum.StrEnum):
    """How money goes back, as Kubernetes writes it."""

    REFUND = "Refund"
    STORE_CREDIT = "StoreCredit"

    @property
    def method(self) -> RefundMethod:
        """The same, as messages carry it."""
        return RefundMethod[self.name]


class DeletionPolicy(enum.StrEnum):
    """What becomes of a running saga whose resource is deleted."""

    COMPENSATE = "Compensate"
    ORPHAN = "Orphan"


class DefinedKind(enum.StrEnum):
    """How far a step can be taken back, as Kubernetes writes it."""

    COMPENSATABLE = "Compensatable"
    PIVOT = "Pivot"
    RETRIABLE = "Retriable"

    @property
    def kind(self) -> StepKind:
        """The same, as definitions carry it."""
        return StepKind[self.name]


class StepState(enum.StrEnum):
    """Where a step stands, as Kubernetes writes it."""

    IDLE = "Idle"
    BEGUN = "Begun"
    SUCCEEDED = "Succeeded"
    REFUSED = "Refused"
    BARRED = "Barred"
    COMPENSATING = "Compensating"
    COMPENSATED = "Compensated"

    @classmethod
    def of(cls, status: facts.StepStatus) -> "StepState":
        """Return the state that the kit calls so."""
        return cls(status.value.capitalize())


class Truth(enum.StrEnum):
    """What a condition says."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class OrderLine(Shape, frozen=True, kw_only=True):
    """One line of an order."""

    product_id: Annotated[Text, Meta(description="The product, 1 to 100 printable characters. For example: prod-1")]
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="How many pieces. For example: 2")]
    price: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=20,
            pattern=_DECIMAL,
            description="The price of one piece in major units, a decimal in quotes, with no more decimals than the "
            'currency has. For example: "19.99"',
        ),
    ]


class Order(Shape, frozen=True, kw_only=True):
    """An order to place."""

    user_id: Annotated[Text, Meta(description="Who orders, 1 to 100 printable characters. For example: user-1")]
    items: Annotated[
        tuple[OrderLine, ...],
        Meta(min_length=1, max_length=LINES_MAX, description="The lines, 1 to 100.", extra_json_schema=_list("atomic")),
    ]
    currency: Annotated[
        str, Meta(min_length=3, max_length=3, pattern=_whole("[A-Z]{3}"), description="ISO 4217. For example: EUR")
    ] = DEFAULT_CURRENCY
    refund_policy: Annotated[
        RefundPolicy, Meta(description="How money goes back when the order is compensated: Refund or StoreCredit.")
    ] = RefundPolicy.REFUND


class SagaRef(Shape, frozen=True, kw_only=True):
    """A saga that exists."""

    saga_id: Annotated[Name, Meta(description="The saga, which is also the order.")]


class DefinitionRef(Shape, frozen=True, kw_only=True):
    """A definition, in one version."""

    name: Annotated[Name, Meta(description="The name of the saga, not of the SagaDefinition. For example: order")]
    version: Annotated[Version, Meta(description="The version, from 1.")]

    @property
    def ref(self) -> str:
        """Name and version in one word, as messages carry it."""
        return f"{self.name}/{self.version}"


class RetryPolicy(Shape, frozen=True, kw_only=True):
    """How often and how patiently the operator asks a retry by itself."""

    limit: Annotated[int, Meta(ge=0, le=100, description="How often at most; 0 leaves every retry to a person.")] = 0
    backoff_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="Seconds between the need of a person and the retry.")
    ] = 30


def _immutable(name: str) -> Rule:
    there, was = f"has(self.{name})", f"has(oldSelf.{name})"
    same = f"{there} == {was} && (!{there} || self.{name} == oldSelf.{name})"
    return Rule(same, f"{name} is immutable: the saga has begun with it; make a new OrderSaga instead")


def _not_with_saga_ref(name: str, attribute: str) -> Rule:
    return Rule(
        f"!has(self.sagaRef) || !has(self.{name})",
        f"{name} makes no sense with sagaRef: the saga exists and has its own; leave it out",
        f".{name}",
        lambda spec: spec.saga_ref is None or getattr(spec, attribute) is None,
    )


class Spec(Shape, frozen=True, kw_only=True):
    """What a person wants of one saga."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.order) != has(self.sagaRef)",
            "exactly one of order and sagaRef is needed: order places a new order, sagaRef adopts a saga that exists",
            None,
            lambda spec: (spec.order is None) != (spec.saga_ref is None),
        ),
        # The default is always there and cannot be told from the same word written by hand, which does no harm.
        Rule(
            "!has(self.sagaRef) || self.mode == 'Choreography'",
            "mode makes no sense with sagaRef: the saga exists and has its own; leave it out",
            ".mode",
            lambda spec: spec.saga_ref is None or spec.mode is SagaMode.CHOREOGRAPHY,
        ),
        _not_with_saga_ref("definitionRef", "definition_ref"),
        _not_with_saga_ref("correlationId", "correlation_id"),
        _not_with_saga_ref("idempotencyKey", "idempotency_key"),
        Rule(
            "!has(self.cancelReason) || self.cancel",
            "cancelReason needs cancel: true; without it nothing is cancelled",
            ".cancelReason",
            lambda spec: spec.cancel_reason is None or spec.cancel,
        ),
        Rule(
            "!oldSelf.cancel || self.cancel",
            "cancel cannot be taken back: compensation may have begun; make a new OrderSaga instead",
            ".cancel",
        ),
        *map(
            _immutable,
            ("order", "sagaRef", "mode", "definitionRef", "correlationId", "idempotencyKey", "timeoutSeconds"),
        ),
    )

    order: (
        Annotated[Order, Meta(description="The order to place. Exactly one of order and sagaRef; immutable.")] | None
    ) = None
    saga_ref: (
        Annotated[
            SagaRef,
            Meta(
                description="A saga that exists, adopted and never placed. Exactly one of order and sagaRef; immutable."
            ),
        ]
        | None
    ) = None
    mode: Annotated[
        SagaMode,
        Meta(
            description="Who coordinates: Choreography (each participant reacts to events) or Orchestration (an "
            "orchestrator sends commands). Of an adopted saga see status.mode. Immutable."
        ),
    ] = SagaMode.CHOREOGRAPHY
    timeout_seconds: Annotated[
        TimeoutSeconds,
        Meta(
            description="Seconds from the start to the deadline, at which the saga is aborted and compensated. An "
            "adopted saga keeps its own deadline. Immutable."
        ),
    ] = SAGA_TIMEOUT_SECONDS
    definition_ref: (
        Annotated[
            DefinitionRef,
            Meta(description="The definition to run; without it the newest that the order service knows. Immutable."),
        ]
        | None
    ) = None
    correlation_id: (
        Annotated[
            Name,
            Meta(
                description="The word under which logs, traces and messages of this saga are found; without it the "
                "saga id. Immutable."
            ),
        ]
        | None
    ) = None
    idempotency_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                pattern=_KEY,
                description="1 to 255 printable ASCII characters: a resource made again with its key adopts the order "
                "of the first time and never charges again. Without it the UID of the resource serves. Immutable.",
            ),
        ]
        | None
    ) = None
    suspend: Annotated[
        bool,
        Meta(
            description="Hold the steps that have not begun; the deadline goes on. A resource made with it places no "
            "order until it is false."
        ),
    ] = False
    cancel: Annotated[
        bool, Meta(description="Abort the saga and compensate what has happened. Only from false to true.")
    ] = False
    cancel_reason: (
        Annotated[str, Meta(min_length=1, max_length=500, description="Why it is cancelled. Only with cancel.")] | None
    ) = None
    retry_token: (
        Annotated[
            Token,
            Meta(description="Any change asks one retry of what is stuck. For example the time of asking."),
        ]
        | None
    ) = None
    retry_policy: Annotated[
        RetryPolicy, Meta(description="How often the operator itself asks a retry when the saga needs intervention.")
    ] = field(default_factory=RetryPolicy)
    ttl_seconds_after_finished: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=31_536_000,
                description="Seconds after the end at which the resource is deleted; without it the resource stays.",
            ),
        ]
        | None
    ) = None
    deletion_policy: Annotated[
        DeletionPolicy,
        Meta(
            description="What becomes of a running saga when the resource is deleted: Compensate takes it back first, "
            "Orphan lets it run on."
        ),
    ] = DeletionPolicy.COMPENSATE


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
            Meta(min_length=32, max_length=32, pattern=_whole("[0-9a-f]{32}"), description="The trace it began in."),
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
        Meta(max_length=STEPS_MAX, description="Every step, by its name.", extra_json_schema=_list("map", "name")),
    ] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(
            max_length=CONDITIONS_MAX,
            description="What is true of the saga, by its type: Succeeded, Finished, Compensated, TimedOut, Validated, "
            "and while they are true Reconciling and Stalled.",
            extra_json_schema=_list("map", "type"),
        ),
    ] = ()
    transitions: Annotated[
        tuple[Transition, ...],
        Meta(
            max_length=TRANSITIONS_MAX,
            description="The last changes of the phase, the newest last.",
            extra_json_schema=_list("atomic"),
        ),
    ] = ()

    def to_body(self) -> dict[str, Any]:
        """Return the status as the API takes it: bounded texts, and at most `STATUS_BYTES_MAX` for 10 steps.

        Texts and the oldest transitions give way first; states, times and reasons never do.
        """
        for limits in _LIMITS:
            body = _body(self, limits)
            if _stored_bytes(body) <= STATUS_BYTES_MAX:
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


class _Metadata(Shape, frozen=True, kw_only=True):
    namespace: str
    name: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    created_at: datetime = field(name="creationTimestamp")
    deleted_at: datetime | None = field(name="deletionTimestamp", default=None)
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}


class OrderSaga(msgspec.Struct, frozen=True, kw_only=True):
    """One saga as a resource: what is wanted, and what was last reported."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleted_at: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: Spec
    status: Seen


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
            extra_json_schema=_list("map", "name"),
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
            extra_json_schema=_list("atomic"),
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
            extra_json_schema=_list("map", "type"),
        ),
    ] = ()

    def to_body(self) -> dict[str, Any]:
        """Return the status as the API takes it, its texts bounded."""
        return _body(self, _LIMITS[0])


class SeenDefinition(Shape, frozen=True, kw_only=True):
    """What is read back of a definition's status, as `Seen` is."""

    observed_generation: Generation | None = None
    ref: Ref | None = None
    conditions: tuple[Condition, ...] = ()


class DefinitionResource(msgspec.Struct, frozen=True, kw_only=True):
    """One definition as a resource: its steps, and what was last reported."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    deleted_at: datetime | None
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: DefinitionSpec
    status: SeenDefinition


def parse(body: Mapping[str, Any]) -> OrderSaga:
    """Return the saga that the body describes.

    Raises:
        MalformedError: with one sentence that names the place.
    """
    spec = _convert(body.get("spec"), Spec, "spec")
    _check(spec, "spec")
    if spec.order is not None:
        _check_order(spec.order)
    return OrderSaga(**_metadata(body), spec=spec, status=_seen(body.get("status"), Seen))


def parse_definition(body: Mapping[str, Any]) -> DefinitionResource:
    """Return the definition that the body describes; whether its words are known is for the services to say.

    Raises:
        MalformedError: with one sentence that names the place.
    """
    spec = _convert(body.get("spec"), DefinitionSpec, "spec")
    _check(spec, "spec")
    return DefinitionResource(**_metadata(body), spec=spec, status=_seen(body.get("status"), SeenDefinition))


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return msgspec.structs.asdict(_convert(body.get("metadata"), _Metadata, "metadata"))


def _convert(raw: object, kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise MalformedError(_sentence(str(error), place)) from error


def _check(shape: Shape, place: str) -> None:
    """Hold the shape and those within it against their rules."""
    for rule in shape.RULES:
        if rule.holds is not None and not rule.holds(shape):
            raise MalformedError(f"{place}{rule.at or ''}: {rule.message}")
    for name, value in _fields(shape):
        if isinstance(value, Shape):
            _check(value, f"{place}.{name}")
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                _check(item, f"{place}.{name}[{number}]")


def _fields(shape: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    """Yield every field by its name in Kubernetes."""
    return ((its.encode_name, getattr(shape, its.name)) for its in msgspec.structs.fields(shape))


def _check_order(order: Order) -> None:
    """Check what a schema cannot say: printable texts, a currency that exists, and its number of decimals."""
    _check_text(order.user_id, "spec.order.userId")
    total_minor = 0
    for number, line in enumerate(order.items):
        place = f"spec.order.items[{number}]"
        _check_text(line.product_id, f"{place}.productId")
        try:
            total_minor += to_minor(Decimal(line.price), order.currency) * line.quantity
        except MoneyError as error:
            raise MalformedError(f"{place}.price: {error}") from error
    if total_minor > AMOUNT_MINOR_MAX:
        raise MalformedError(f"spec.order.items: the total of {to_major(total_minor, order.currency)} is beyond bounds")


def _check_text(text: str, place: str) -> None:
    if not text.isprintable():
        raise MalformedError(f"{place}: {text!r} has characters that cannot be printed")


def _seen(raw: object, kind: type[S]) -> S:
    """Return what can be read, field by field and item by item."""
    if not isinstance(raw, Mapping):
        return kind()
    found: dict[str, Any] = {}
    for its in msgspec.structs.fields(kind):
        value = raw.get(its.encode_name)
        if get_origin(its.type) is tuple:
            items = value if isinstance(value, list | tuple) else ()
            found[its.name] = tuple(item for each in items for item in _readable(each, get_args(its.type)[0]))
        else:
            found.update((its.name, only) for only in _readable(value, its.type))
    return kind(**found)


def _readable(value: object, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type expression
    try:
        return (msgspec.convert(value, kind),)
    except msgspec.ValidationError:
        return ()


class _Limits(msgspec.Struct, frozen=True):
    """How many characters each text may have, and how many transitions are told."""

    message: int
    inner: int
    transitions: int


_LIMITS = (
    _Limits(MESSAGE_LENGTH_MAX, 256, TRANSITIONS_MAX),
    _Limits(512, 96, TRANSITIONS_MAX),
    _Limits(256, 32, 5),
    _Limits(128, 0, 2),
)
"""From generous to what always fits: ten steps whose names and times are as long as can be leave 1.5 kB for texts."""


def _body(shape: msgspec.Struct, limits: _Limits) -> dict[str, Any]:
    """Return the fields that say something, as JSON has them."""
    told = ((name, _told(shape, name, value, limits)) for name, value in _fields(shape))
    return {name: value for name, value in told if value is not None and value is not False and value != []}


def _told(owner: msgspec.Struct, name: str, value: object, limits: _Limits) -> object:
    """Return the value as JSON has it, and within its bounds."""
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case tuple():
            kept = value[-limits.transitions :] if name == "transitions" else value
            return [_body(item, limits) for item in kept]
        case msgspec.Struct():
            return _body(value, limits)
        case enum.StrEnum():
            return value.value
        case str() if name == "message":
            return shortened(value, limits.message if isinstance(owner, Status) else limits.inner)
        case str() if name == "step":
            return shortened(value, STEP_TEXT_LENGTH_MAX)
        case str() if name == "reason":
            return word(value)
        case _:
            return value


def shortened(text: str, length_max: int) -> str:
    """Return the text in one line and within the bound; an ellipsis stands for what is missing."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…" if length_max else ""


def word(text: str) -> str:
    """Return the text as one word, as a reason has to be."""
    made = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:REASON_LENGTH_MAX]
    return made if re.match("[A-Za-z]", made) else f"R_{made}"[:REASON_LENGTH_MAX]


def _stored_bytes(body: Mapping[str, Any]) -> int:
    """Return how many bytes the API server stores: its JSON writes `<`, `>` and `&` in six characters each."""
    encoded = msgspec.json.encode(body)
    return len(encoded) + 5 * sum(encoded.count(c) for c in b"<>&")


_UNKNOWN_VALUE = re.compile(r"Invalid enum value (.+)")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_REGEX = re.compile(r"Expected `str` matching regex (.+)")
_BOUND = re.compile(r"Expected `(.+?)` (.+)")
_WRONG = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_TYPES = {"str": "a text", "int": "a whole number", "float": "a number", "array": "a list", "object": "a mapping"}
_TYPES |= {"null": "nothing", "bool": "true or false", "datetime": "a time"}


def _sentence(error: str, root: str) -> str:
    """Return msgspec's words as a sentence of ours: the place first, then what is wrong there."""
    what, _, place = error.partition(" - at `$")
    where = root + place.removesuffix("`")
    if found := _MISSING.fullmatch(what):
        return f"{where} needs a field {found[1]!r}"
    if found := _REGEX.fullmatch(what):
        return f"{where} is not of the form {found[1]}"
    if found := _WRONG.fullmatch(what):
        return f"{where} must be {_type(found[1])}, not {_type(found[2])}"
    if found := _BOUND.fullmatch(what):
        return f"{where} must be {_type(found[1])} {found[2]}"
    if found := _UNKNOWN_VALUE.fullmatch(what):
        return f"{where} cannot be {found[1]}"
    return f"{where}: {what}"


def _type(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))
