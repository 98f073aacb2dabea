"""What a person wants of one saga."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from saga_operator.resources.order import Order
from saga_operator.resources.shape import Name, Rule, Shape, TimeoutSeconds, Token, Version, whole
from saga_operator.resources.words import DeletionPolicy, SagaMode
from sagakit.core.definition import SAGA_TIMEOUT_SECONDS

_KEY = whole("[!-~]([ -~]{0,253}[!-~])?")


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
            Meta(description="The definition to run; without it order/1, which is built in. Immutable."),
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
                description="1 to 255 printable ASCII characters: a resource made again with its key and the same "
                "userId adopts the order of the first time and never charges again; with another userId it is another "
                "order. Without it the UID of the resource serves. Immutable.",
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
