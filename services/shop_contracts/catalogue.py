"""Every contract of the shop: types, versions, and how version 1 of an order reads as version 2."""

from typing import Any

from sagakit.core.contracts import Contract, Contracts
from sagakit.core.control_contracts import CONTROL_CONTRACTS
from shop_contracts import messages as m
from shop_contracts.carried import topics
from shop_contracts.money import DEFAULT_CURRENCY


def order_created_v1_to_v2(data: dict[str, Any]) -> dict[str, Any]:
    """An order of version 1 was in the default currency and refunded by refund."""
    return {"currency": DEFAULT_CURRENCY, "refundPolicy": m.RefundMethod.REFUND.value, **data}


EVENTS = (
    Contract("OrderCreated", m.OrderCreated, 2, {1: order_created_v1_to_v2}),
    Contract("OrderConfirmed", m.OrderConfirmed),
    Contract("OrderCancelled", m.OrderCancelled),
    Contract("PaymentCompleted", m.PaymentCompleted),
    Contract("PaymentFailed", m.PaymentFailed),
    Contract("PaymentRefunded", m.PaymentRefunded),
    Contract("InventoryReserved", m.InventoryReserved),
    Contract("InventoryFailed", m.InventoryFailed),
    Contract("InventoryReleased", m.InventoryReleased),
    Contract("ReservationConsumed", m.ReservationConsumed),
    Contract("ShipmentScheduled", m.ShipmentScheduled),
    Contract("ShipmentFailed", m.ShipmentFailed),
)
ANALYTICS = (
    Contract("UserProfileUpdated", m.UserProfileUpdated),
    Contract("HighValueOrderDetected", m.HighValueOrderDetected),
)
COMMANDS = (
    Contract("CreateOrder", m.CreateOrder),
    Contract("ChargePayment", m.ChargePayment),
    Contract("RefundPayment", m.RefundPayment),
    Contract("ReserveInventory", m.ReserveInventory),
    Contract("ReleaseInventory", m.ReleaseInventory),
    Contract("ConsumeReservation", m.ConsumeReservation),
    Contract("ScheduleShipment", m.ScheduleShipment),
)
SHOP = Contracts((*EVENTS, *ANALYTICS, *COMMANDS, *CONTROL_CONTRACTS), topics())
