"""A participant that only listens: no step, no command, a handful of lines."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from notification_service.domain import Notification, tell
from sagakit.core.messages import Message
from sagakit.ports import Table, Transaction
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import OrderCancelled, OrderConfirmed
from shop_contracts.order_saga import ORDER

NOTIFICATIONS = Table("notifications", Notification, "order_id")


class Listener:
    """Hears the two ways in which an order ends."""

    topics = frozenset({ORDER.events_topic})

    def wants(self, message_type: str) -> bool:
        """Tell whether the message ends an order."""
        return message_type in {"OrderConfirmed", "OrderCancelled"}

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Tell each customer, once, however often it is said."""
        told = await transaction.load(NOTIFICATIONS, {message.saga_id for message in messages})
        new = {m.saga_id: m for m in messages if m.saga_id not in told}.values()
        ends = [cast("OrderConfirmed | OrderCancelled", SHOP.decode(message)) for message in new]
        await transaction.save(NOTIFICATIONS, [tell(end, now) for end in ends])

    def committed(self) -> None:
        """Nothing waits for the commit."""

    def failed(self) -> None:
        """Nothing was kept outside the transaction."""
