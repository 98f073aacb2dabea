"""What the inventory service answers: the stock, who has how much of it set aside, and every movement."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from inventory_service.actions import LEDGER, RESERVATIONS, STOCK
from inventory_service.domain import (
    LedgerEntry,
    Movement,
    Reservation,
    ReservationStatus,
    ReservedError,
    Stock,
    counted,
)
from sagakit.ports import Clock, Store, Transaction
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.pages import Page, PageParams, of_order, page
from sagakit.runtime.http.problems import conflict, not_found
from sagakit.runtime.http.routes import Call, Id, Input, Reply, Route, Shape
from shop_contracts.messages import Line

ON_HAND_MAX = 10**12

ProductId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="The product.")]


class OrderParams(Input, frozen=True, kw_only=True):
    """Of which order."""

    order_id: Id


class ProductParams(Input, frozen=True, kw_only=True):
    """Of which product."""

    product_id: ProductId


class StockAsked(Input, frozen=True, kw_only=True):
    """What was counted on the shelf."""

    quantity: Annotated[int, Meta(ge=0, le=ON_HAND_MAX)]


class StockShown(Shape, frozen=True, kw_only=True):
    """One product: `available` is what is on hand and not reserved."""

    product_id: str
    on_hand: int
    reserved: int
    available: int


class ReservationShown(Shape, frozen=True, kw_only=True):
    """What is set aside for one order, or why nothing is."""

    order_id: str
    reservation_id: str
    status: ReservationStatus
    items: list[Line]
    at: datetime
    reason: str | None


class MoveShown(Shape, frozen=True, kw_only=True):
    """By how much one product moved."""

    product_id: str
    on_hand: int
    reserved: int


class EntryShown(Shape, frozen=True, kw_only=True):
    """One movement of stock and its cause, which is an order or a product."""

    entry_id: str
    movement: Movement
    cause: str
    at: datetime
    lines: list[MoveShown]


def routes(store: Store, clock: Clock) -> list[Route]:
    """Return the routes over the service's store."""
    desk = _Desk(store, clock)
    stock, reservations = "Stock", "Reservations"
    return [
        Route(
            method="GET",
            path="/stock",
            handler=desk.all_stock,
            summary="All products, by id",
            params=PageParams,
            returns={200: Page[StockShown]},
            tag=stock,
        ),
        Route(
            method="GET",
            path="/stock/{productId}",
            handler=desk.stock,
            summary="One product",
            params=ProductParams,
            returns={200: StockShown},
            problems=(404,),
            tag=stock,
        ),
        Route(
            method="PUT",
            path="/stock/{productId}",
            handler=desk.count,
            summary="Set what is on hand",
            params=ProductParams,
            body=StockAsked,
            returns={200: StockShown, 201: StockShown},
            problems=(409,),
            headers={201: ("Location",)},
            tag=stock,
        ),
        Route(
            method="GET",
            path="/ledger",
            handler=desk.ledger,
            summary="All movements, the oldest first",
            params=PageParams,
            returns={200: Page[EntryShown]},
            tag=stock,
        ),
        Route(
            method="GET",
            path="/reservations/{orderId}",
            handler=desk.reservation,
            summary="The reservation of an order",
            params=OrderParams,
            returns={200: ReservationShown},
            problems=(404,),
            tag=reservations,
        ),
        Route(
            method="GET",
            path="/reservations",
            handler=desk.reservations,
            summary="All reservations, by order id",
            params=PageParams,
            returns={200: Page[ReservationShown]},
            tag=reservations,
        ),
    ]


class _Desk:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def all_stock(self, call: Call[PageParams, None]) -> Page[StockShown]:
        """Follow `nextCursor` to see each product once."""
        return await page(self._store, STOCK, call.params, _stock)

    async def stock(self, call: Call[ProductParams, None]) -> StockShown:
        """Reserved is a part of what is on hand."""
        product_id = call.params.product_id
        found = await self._store.view(lambda reader: reader.load(STOCK, [product_id]))
        if product_id not in found:
            raise not_found("productId", f"there is no product {product_id}")
        return _stock(found[product_id])

    async def count(self, call: Call[ProductParams, StockAsked]) -> Reply:
        """Makes the product when there is none; every call is a movement in the ledger."""
        product_id, now = call.params.product_id, self._clock.now()

        async def work(transaction: Transaction) -> tuple[Stock | None, Stock]:
            before = (await transaction.load(STOCK, [product_id])).get(product_id)
            after, movement = counted(before or Stock(product_id), call.body.quantity, now)
            await transaction.save(STOCK, [after])
            await transaction.save(LEDGER, [movement])
            return before, after

        failpoint("http.before_commit")
        try:
            before, after = await self._store.transact(work)
        except ReservedError as error:
            raise conflict("/quantity", str(error)) from error
        failpoint("http.after_commit")
        if before is None:
            return Reply(201, _stock(after), {"Location": f"/stock/{product_id}"})
        return Reply(200, _stock(after))

    async def ledger(self, call: Call[PageParams, None]) -> Page[EntryShown]:
        """The sum of all movements of a product is its stock."""
        return await page(self._store, LEDGER, call.params, _entry)

    async def reservation(self, call: Call[OrderParams, None]) -> ReservationShown:
        """Released: it was set aside and is free again; consumed: it has left the house."""
        return _reservation(await of_order(self._store, RESERVATIONS, call.params.order_id, "reservation"))

    async def reservations(self, call: Call[PageParams, None]) -> Page[ReservationShown]:
        """For auditors: follow `nextCursor` to see each reservation once."""
        return await page(self._store, RESERVATIONS, call.params, _reservation)


def _stock(stock: Stock) -> StockShown:
    return StockShown(
        product_id=stock.product_id, on_hand=stock.on_hand, reserved=stock.reserved, available=stock.available
    )


def _reservation(reservation: Reservation) -> ReservationShown:
    shown = msgspec.structs.asdict(reservation)
    return ReservationShown(**{**shown, "items": list(reservation.items)})


def _entry(entry: LedgerEntry) -> EntryShown:
    lines = [MoveShown(product_id=product, on_hand=hand, reserved=held) for product, hand, held in entry.lines]
    return EntryShown(entry_id=entry.entry_id, movement=entry.movement, cause=entry.cause, at=entry.at, lines=lines)
