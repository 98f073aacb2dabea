"""The custom resources as values: what a person declares, what the operator reports, and the bounds of both.

Here belong the structs, their rules, and how a body of the API becomes a value and a value a body. What to do about a
saga does not, nor does asking the API server. One source: the schemas in k8s/crds and docs/ordersaga.md are made from
these structs by `python -m saga_operator.crds`.
"""

from saga_operator.resources.definitions import DefinitionSpec, DefinitionStatus, SeenDefinition
from saga_operator.resources.parsing import DefinitionResource, OrderSaga, parse, parse_definition
from saga_operator.resources.shape import (
    REASON_LENGTH_MAX,
    STATUS_BYTES_MAX,
    STEP_TEXT_LENGTH_MAX,
    TRANSITIONS_MAX,
    MalformedError,
    Rule,
    Shape,
)
from saga_operator.resources.spec import RetryPolicy, Spec
from saga_operator.resources.status import (
    TERMINAL_STAYS,
    Compensation,
    Condition,
    History,
    Seen,
    Status,
    StepStatus,
    Transition,
)
from saga_operator.resources.words import (
    API_VERSION,
    FIELD_MANAGER,
    FINALIZER,
    GROUP,
    ORDER_SAGA_KIND,
    ORDER_SAGA_PLURAL,
    SAGA_DEFINITION_KIND,
    SAGA_DEFINITION_PLURAL,
    STARTED_AT,
    VERSION,
    DefinedKind,
    DeletionPolicy,
    RefundPolicy,
    SagaMode,
    StepState,
    Truth,
)
from saga_operator.resources.writing import shortened, word

__all__ = [
    "API_VERSION",
    "FIELD_MANAGER",
    "FINALIZER",
    "GROUP",
    "ORDER_SAGA_KIND",
    "ORDER_SAGA_PLURAL",
    "REASON_LENGTH_MAX",
    "SAGA_DEFINITION_KIND",
    "SAGA_DEFINITION_PLURAL",
    "STARTED_AT",
    "STATUS_BYTES_MAX",
    "STEP_TEXT_LENGTH_MAX",
    "TERMINAL_STAYS",
    "TRANSITIONS_MAX",
    "VERSION",
    "Compensation",
    "Condition",
    "DefinedKind",
    "DefinitionResource",
    "DefinitionSpec",
    "DefinitionStatus",
    "DeletionPolicy",
    "History",
    "MalformedError",
    "OrderSaga",
    "RefundPolicy",
    "RetryPolicy",
    "Rule",
    "SagaMode",
    "Seen",
    "SeenDefinition",
    "Shape",
    "Spec",
    "Status",
    "StepState",
    "StepStatus",
    "Transition",
    "Truth",
    "parse",
    "parse_definition",
    "shortened",
    "word",
]
