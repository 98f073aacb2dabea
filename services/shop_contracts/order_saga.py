"""The order saga: pay, set aside, ship, take off the stock; the first three can be refused, shipping is the pivot."""

from sagakit.core.definition import Participant, Step, StepKind, saga

ORDER = Participant("order", "orders.events")
PAYMENT = Participant("payment", "payments.events", frozenset({"ChargePayment", "RefundPayment"}))
INVENTORY = Participant(
    "inventory", "inventory.events", frozenset({"ReserveInventory", "ReleaseInventory", "ConsumeReservation"})
)
SHIPPING = Participant("shipping", "shipping.events", frozenset({"ScheduleShipment"}))

ORDER_SAGA = saga(
    "order",
    Step(
        "payment",
        "payment",
        command="ChargePayment",
        success="PaymentCompleted",
        failure="PaymentFailed",
        compensation="RefundPayment",
        compensated="PaymentRefunded",
    ),
    Step(
        "inventory",
        "inventory",
        command="ReserveInventory",
        success="InventoryReserved",
        failure="InventoryFailed",
        compensation="ReleaseInventory",
        compensated="InventoryReleased",
    ),
    Step(
        "shipping",
        "shipping",
        command="ScheduleShipment",
        success="ShipmentScheduled",
        failure="ShipmentFailed",
        kind=StepKind.PIVOT,
    ),
    Step(
        "stock",
        "inventory",
        command="ConsumeReservation",
        success="ReservationConsumed",
        kind=StepKind.RETRIABLE,
    ),
    initiator=ORDER,
    participants=(PAYMENT, INVENTORY, SHIPPING),
    started="OrderCreated",
    completed="OrderConfirmed",
    cancelled="OrderCancelled",
)
