"""Orders as a load: made from a printed seed, sent over HTTP, followed until every saga has ended."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import msgspec

from order_service.desk import ORDERS
from sagakit.ports import Store

BATCH = 500
CLIENTS = 4
STOCK_EACH = 1_000_000
PRODUCTS = tuple(f"prod-{number}" for number in range(1, 11))
SECONDS_MAX = 600.0
LOOK_SECONDS = 0.25

encode = msgspec.json.Encoder().encode


class LoadError(Exception):
    """The load could not be carried to its end. The text says what was answered."""


@dataclass
class Load:
    """A client of the box; `seed` names the orders, so that a run can be repeated."""

    orders_url: str
    inventory_url: str
    orders: Store
    seed: int
    timeout_seconds: int = 600
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=60))
    placed: int = 0
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _look_at: float = 0.0
    _seen: int = 0

    def order(self, number: int, *, timeout_seconds: int | None = None) -> dict[str, object]:
        """Return the order of that number."""
        return {
            "userId": f"user-{number % 5000}",
            "idempotencyKey": f"bench-{self.seed}-{number}",
            "items": [{"productId": PRODUCTS[number % 10], "quantity": 1 + number % 2, "price": "9.99"}],
            "timeoutSeconds": timeout_seconds or self.timeout_seconds,
        }

    async def stock(self) -> None:
        """Put enough of every product on the shelves."""
        for product in PRODUCTS:
            answer = await self.client.put(f"{self.inventory_url}/stock/{product}", json={"quantity": STOCK_EACH})
            answer.raise_for_status()

    async def batch(self, numbers: range, *, timeout_seconds: int | None = None) -> None:
        """Place these orders in one request."""
        body = encode({"orders": [self.order(number, timeout_seconds=timeout_seconds) for number in numbers]})
        headers = {"content-type": "application/json"}
        answer = await self.client.post(f"{self.orders_url}/orders/batch", content=body, headers=headers)
        if answer.status_code != httpx.codes.OK or b'"problem"' in answer.content:
            text = f"a batch was answered {answer.status_code}: {answer.text[:300]}"
            raise LoadError(text)
        self.placed += len(numbers)

    async def all_at_once(self, count: int, in_flight_max: int) -> None:
        """Place so many orders as fast as they are taken, by several clients, with at most so many unfinished."""
        numbers = iter([*chunks(self.placed, self.placed + count, BATCH)])

        async def client() -> None:
            for numbered in numbers:
                while await self.unfinished() > in_flight_max:  # noqa: ASYNC110 - the services do not tell us
                    await asyncio.sleep(0.1)
                await self.batch(numbered)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def steadily(self, count: int, per_second: float, size: int) -> None:
        """Place so many orders at this rate, `size` in a request, whether those before are answered or not."""
        began, first = time.perf_counter(), self.placed
        sent: set[asyncio.Task[None]] = set()
        for place, numbers in enumerate(chunks(first, first + count, size)):
            await asyncio.sleep(max(0.0, began + place * size / per_second - time.perf_counter()))
            sent.add(asyncio.create_task(self.batch(numbers)))
        await asyncio.gather(*sent)

    async def unfinished(self) -> int:
        """Return how many sagas have not ended, read beside the service, and seldom: looking costs the database."""
        async with self._looking:
            if time.perf_counter() >= self._look_at:
                self._seen = await self.orders.view(lambda reader: reader.count(ORDERS, {"status": "pending"}))
                self._look_at = time.perf_counter() + LOOK_SECONDS
        return self._seen

    async def until_all_ended(self) -> None:
        """Return when no saga is unfinished."""
        began = time.perf_counter()
        while left := await self.unfinished():
            if time.perf_counter() - began > SECONDS_MAX:
                text = f"{left} sagas have not ended after {SECONDS_MAX:.0f} s"
                raise LoadError(text)
            await asyncio.sleep(0.1)


def chunks(first: int, end: int, size: int) -> Iterator[range]:
    """Return the numbers from `first` to below `end` in runs of `size`."""
    for start in range(first, end, size):
        yield range(start, min(start + size, end))


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
