"""What the notification service answers: what the customer of an order was told."""

from datetime import datetime

import msgspec

from notification_service.domain import Notification
from notification_service.listener import NOTIFICATIONS
from sagakit.ports import Store
from sagakit.runtime.http.pages import Page, PageParams, of_order, page
from sagakit.runtime.http.routes import Call, Id, Input, Route, Shape


class OrderParams(Input, frozen=True, kw_only=True):
    """Of which order."""

    order_id: Id


class NotificationShown(Shape, frozen=True, kw_only=True):
    """What the customer was told of the end of her order."""

    order_id: str
    subject: str
    text: str
    at: datetime


def routes(store: Store) -> list[Route]:
    """Return the routes over the service's store."""
    desk = _Desk(store)
    return [
        Route(
            method="GET",
            path="/notifications/{orderId}",
            handler=desk.notification,
            summary="The notification of an order",
            params=OrderParams,
            returns={200: NotificationShown},
            problems=(404,),
            tag="Notifications",
        ),
        Route(
            method="GET",
            path="/notifications",
            handler=desk.notifications,
            summary="All notifications, by order id",
            params=PageParams,
            returns={200: Page[NotificationShown]},
            tag="Notifications",
        ),
    ]


class _Desk:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def notification(self, call: Call[OrderParams, None]) -> NotificationShown:
        """There is none before the order has ended."""
        return _shown(await of_order(self._store, NOTIFICATIONS, call.params.order_id, "notification"))

    async def notifications(self, call: Call[PageParams, None]) -> Page[NotificationShown]:
        """For auditors: follow `nextCursor` to see each notification once."""
        return await page(self._store, NOTIFICATIONS, call.params, _shown)


def _shown(notification: Notification) -> NotificationShown:
    return NotificationShown(**msgspec.structs.asdict(notification))
