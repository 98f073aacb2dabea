"""Notifications: a customer is told once how her order ended. No IO."""

from datetime import datetime

import msgspec

from shop_contracts.messages import OrderCancelled, OrderConfirmed


class Notification(msgspec.Struct, frozen=True):
    """What was told of one order; its unique row is the effect."""

    order_id: str
    subject: str
    text: str
    at: datetime


def tell(event: OrderConfirmed | OrderCancelled, at: datetime) -> Notification:
    """Return what to tell of the end of an order."""
    match event:
        case OrderConfirmed(order_id=order_id):
            return Notification(order_id, "confirmed", "Your order is confirmed and on its way.", at)
        case OrderCancelled(order_id=order_id, reason=reason):
            return Notification(order_id, "cancelled", f"Your order was cancelled: {reason}.", at)
