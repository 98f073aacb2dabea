"""The audit's reader: all it knows of the shop, from the services' APIs alone, and the verdict as a text.

Orders are read first, so that an order that has ended then shows its final payment, reservation and shipment. What
belongs to no order in the list is asked for by name: it may have been placed since.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import msgspec

from onebox.answers import LedgerEntry, Movements, Order, OrderDetail, Payment, Reservation, Saga, Shipment, Stock
from onebox.audit import Books, Finding, Verdict, judge
from onebox.client import PAGE_LIMIT_MAX, Shop, path_of
from onebox.errors import NotFound

T = TypeVar("T")

SAMPLE_ORDERS = 1000
ASKED_AT_ONCE = 16
READINGS_MAX = 3
SHOWN_MAX = 50

Report = Callable[[int], None]


@dataclass
class Reader:
    """Reads the books of a shop; `report` hears how many records there were so far."""

    shop: Shop
    report: Report
    read: int = 0

    async def verdict(self, sample: int | None = SAMPLE_ORDERS) -> Verdict:
        """Return the verdict; lines are compared for `sample` confirmed orders, or for all.

        Stock that disagrees while sagas run is read again: it may have moved between two pages.
        """
        orders = await self._orders(sample)
        books = await self._effects(Books(orders=orders))
        verdict = judge(books)
        for _ in range(READINGS_MAX - 1):
            if not verdict.stock or not (verdict.running or books.younger):
                break
            books = await self._effects(books)
            verdict = judge(books)
        if not verdict.disagreements:
            return verdict
        by_hand = await self._by_hand([finding.id for finding in verdict.disagreements])
        return judge(replace(books, by_hand=books.by_hand | by_hand))

    async def _orders(self, sample: int | None) -> dict[str, Order]:
        orders = {order.id: order async for order in self._all("order", "/orders", "orders", Order)}
        untold = [order.id for order in orders.values() if order.status == "confirmed" and order.items is None]
        step = 1 if sample is None else max(-(-len(untold) // max(sample, 1)), 1)
        chosen = untold[::step] if sample != 0 else []
        for detail in await _each(chosen, self._order):
            if detail is not None:
                orders[detail.id] = msgspec.structs.replace(orders[detail.id], items=detail.items)
        return orders

    async def _effects(self, books: Books) -> Books:
        """Return the books with every effect, and what moved while they were read."""
        before = await self._stock()
        payments, reservations, shipments, ledger = await asyncio.gather(
            self._by_order("payment", "/payments", Payment),
            self._by_order("inventory", "/reservations", Reservation),
            self._by_order("shipping", "/shipments", Shipment),
            self._ledger(),
        )
        after = await self._stock()
        effects = payments.keys() | reservations.keys() | shipments.keys()
        placed = await _each(sorted(effects - books.orders.keys()), self._order)
        return replace(
            books,
            payments=payments,
            reservations=reservations,
            shipments=shipments,
            stock=after,
            ledger=ledger,
            by_hand=frozenset(payment.order_id for payment in payments.values() if _decided_by_hand(payment)),
            younger=frozenset(order.id for order in placed if order is not None),
            moving=frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
        )

    async def _stock(self) -> dict[str, Stock]:
        return {stock.product_id: stock async for stock in self._all("inventory", "/stock", "items", Stock)}

    async def _ledger(self) -> Mapping[str, Movements] | None:
        """Return what the ledger amounts to; None where the inventory shows none."""
        total: dict[str, list[int]] = {}
        try:
            async for entry in self._all("inventory", "/ledger", "items", LedgerEntry):
                for line in entry.lines:
                    sums = total.setdefault(line.product_id, [0, 0, 0])
                    sums[0] += line.on_hand
                    sums[1] += line.reserved
                    sums[2] -= line.on_hand if entry.movement == "consume" else 0
        except NotFound:
            return None
        return {
            product: Movements(product_id=product, on_hand=hand, reserved=reserved, consumed=consumed)
            for product, (hand, reserved, consumed) in total.items()
        }

    async def _by_order(self, service: str, path: str, into: type[T]) -> dict[str, T]:
        return {effect.order_id: effect async for effect in self._all(service, path, "items", into)}  # type: ignore[attr-defined]

    async def _by_hand(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Return those orders in which a person answered for a step."""
        sagas = await _each(order_ids, lambda order_id: self.shop.find("order", path_of("sagas", order_id), Saga))
        return frozenset(saga.saga_id for saga in sagas if saga is not None and any(s.by_hand for s in saga.steps))

    async def _order(self, order_id: str) -> OrderDetail | None:
        return await self.shop.find("order", path_of("orders", order_id), OrderDetail)

    async def _all(self, service: str, path: str, key: str, into: type[T]) -> AsyncIterator[T]:
        async for page in self.shop.pages(service, path, key, into, {"limit": PAGE_LIMIT_MAX}):
            self.read += len(page)
            self.report(self.read)
            for record in page:
                yield record


def account(verdict: Verdict) -> str:
    """Return the verdict as a text: the counts, then by name everything that disagrees."""
    ended = verdict.confirmed + verdict.cancelled
    counts = (
        f"{ended} ended ({verdict.confirmed} confirmed, {verdict.cancelled} cancelled), {verdict.running} running, "
        f"{verdict.products} products; lines compared for {verdict.items_compared} of {verdict.confirmed}"
    )
    lines = [
        counts,
        *_section("✖ disagree with how they ended", verdict.disagreements),
        *_section("✖ effects without an order", verdict.without_order),
        *_section("✖ stock that does not add up", verdict.stock),
        *_section("! apart: a person decided, and answers for what is left", verdict.apart),
    ]
    if verdict.moving:
        lines.append(f"· not judged, because sagas move it: stock of {', '.join(verdict.moving)}")
    lines.append("✔ the books balance" if verdict.clean else "✖ the books do not balance")
    return "\n".join(lines)


def _section(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield f"{title}: {len(findings)}"
    for finding in islice(findings, SHOWN_MAX):
        ended = f" ({finding.ended})" if finding.ended else ""
        yield f"  {finding.id}{ended}: {'; '.join(finding.what) or 'nothing is left'}"
    if len(findings) > SHOWN_MAX:
        yield f"  … and {len(findings) - SHOWN_MAX} more; -o json names them all"


def _decided_by_hand(payment: Payment) -> bool:
    by_refund = any(refund.by_hand for refund in payment.refunds)
    return by_refund or (payment.transaction_id or "").startswith("by hand")


async def _each(ids: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> list[T]:
    """Ask for each, a few at once."""
    gate = asyncio.Semaphore(ASKED_AT_ONCE)

    async def one(name: str) -> T:
        async with gate:
            return await ask(name)

    return list(await asyncio.gather(*(one(name) for name in ids)))
