"""What the shipping service answers: what became of the parcel of an order."""

from datetime import datetime

import msgspec

from sagakit.ports import Store
from sagakit.runtime.http.pages import Page, PageParams, of_order, page
from sagakit.runtime.http.routes import Call, Id, Input, Route, Shape
from shipping_service.actions import SHIPMENTS
from shipping_service.domain import Shipment, ShipmentStatus


class OrderParams(Input, frozen=True, kw_only=True):
    """Of which order."""

    order_id: Id


class ShipmentShown(Shape, frozen=True, kw_only=True):
    """The parcel of one order, or why there is none."""

    order_id: str
    shipment_id: str
    status: ShipmentStatus
    at: datetime
    carrier: str | None
    tracking_number: str | None
    reason: str | None


def routes(store: Store) -> list[Route]:
    """Return the routes over the service's store."""
    desk = _Desk(store)
    return [
        Route(
            method="GET",
            path="/shipments/{orderId}",
            handler=desk.shipment,
            summary="The shipment of an order",
            params=OrderParams,
            returns={200: ShipmentShown},
            problems=(404,),
            tag="Shipments",
        ),
        Route(
            method="GET",
            path="/shipments",
            handler=desk.shipments,
            summary="All shipments, by order id",
            params=PageParams,
            returns={200: Page[ShipmentShown]},
            tag="Shipments",
        ),
    ]


class _Desk:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def shipment(self, call: Call[OrderParams, None]) -> ShipmentShown:
        """A shipment is scheduled or refused, and never taken back."""
        return _shown(await of_order(self._store, SHIPMENTS, call.params.order_id, "shipment"))

    async def shipments(self, call: Call[PageParams, None]) -> Page[ShipmentShown]:
        """For auditors: follow `nextCursor` to see each shipment once."""
        return await page(self._store, SHIPMENTS, call.params, _shown)


def _shown(shipment: Shipment) -> ShipmentShown:
    return ShipmentShown(**msgspec.structs.asdict(shipment))
