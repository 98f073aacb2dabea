"""What things are called in Kubernetes: the resources, and the words that a field may be."""

import enum

from sagakit.core import facts
from sagakit.core.definition import StepKind
from sagakit.core.messages import Mode
from shop_contracts.messages import RefundMethod

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
