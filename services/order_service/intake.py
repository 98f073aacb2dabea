"""How an order comes in over HTTP: what is asked, one by one or by the thousand, and how it is placed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from order_service.desk import Late, OrderDesk, Placed, Placement, Placing
from order_service.domain import InvalidOrderError, OrderRequest, UnknownDefinitionError, opening
from order_service.order_shapes import OrderRow, row_of
from sagakit.core.messages import is_traceparent
from sagakit.ports import Clock, DuplicateError, Store, StreamMovedError
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.problems import Problem, ProblemError, broken_rule, conflict, invalid, problem
from sagakit.runtime.ids import TimeOrderedIds
from sagakit.runtime.telling import about, ids_of
from shop_contracts.identity import keyed_order_id

BATCH_ORDERS_MAX = 1000
BATCH_BYTES_MAX = 4 * 1024 * 1024
BREATHE_ORDERS = 100
"""After so many orders of a batch others may run: at 30 us each that is 3 ms, which a p99 of single orders can bear."""

Key = Annotated[
    str,
    Meta(pattern=r"^[!-~]([ -~]{0,253}[!-~])?$", description="1 to 255 printable ASCII characters: a repeat is safe."),
]


class BatchedOrder(OrderRequest, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An order in a batch; its key may stand in it, as there is one header for all."""

    idempotency_key: Key | None = None


class BatchResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of one order of a batch: 201 placed, 200 placed before, or the problem with it."""

    index: int
    status: int
    order: OrderRow | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """Places what comes in."""

    desk: OrderDesk
    store: Store
    clock: Clock
    ids: TimeOrderedIds

    async def place_one(self, request: OrderRequest, key: str | None, traceparent: str | None) -> Placed:
        """Place the order, durably; the same key again returns the order of the first time.

        Raises:
            ProblemError: when it breaks a rule, or clashes with another order.
        """
        try:
            placement = self._placement(request, key, traceparent, self.clock.now())
        except InvalidOrderError as error:
            raise _broken(error) from None
        fact = placement.opening.fact
        with about(ids_of(placement.order_id, fact.correlation_id, fact.traceparent)):
            result = (await self._place([placement]))[0]
        if isinstance(result, Placed):
            return result
        raise (invalid if isinstance(result, Late) else conflict)(result.field, result.rule)

    async def place_many(self, orders: Sequence[msgspec.Raw]) -> list[BatchResult]:
        """Place each order for itself, all that can be in one transaction; answers when it is durable."""
        now = self.clock.now()
        results: list[BatchResult] = []
        placements: list[Placement] = []
        places: list[int] = []
        for index, raw in enumerate(orders):
            try:
                request = _decode(raw)
                placements.append(self._placement(request, request.idempotency_key, None, now))
                places.append(index)
            except msgspec.ValidationError as error:
                results.append(_refused(index, *broken_rule(error)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                results.append(_refused(index, "", str(error)))
            except InvalidOrderError as error:
                results.append(_failed(index, _broken(error, f"/orders/{index}")))
            if index % BREATHE_ORDERS == BREATHE_ORDERS - 1:
                await asyncio.sleep(0)
        placed = await self._place(placements) if placements else []
        results += map(_result, places, placed)
        if len(results) > len(placed):
            results.sort(key=lambda result: result.index)
        return results

    def _placement(self, request: OrderRequest, key: str | None, traceparent: str | None, now: datetime) -> Placement:
        order_id = self.ids.new() if key is None else keyed_order_id(request.user_id, key)
        trace = traceparent if is_traceparent(traceparent) else None
        opened = opening(self.desk.saga_of(request.definition_ref), order_id, request, now, trace)
        return Placement(order_id, opened, chosen=key is not None)

    async def _place(self, placements: Sequence[Placement]) -> list[Placing]:
        """Place them; when another instance was faster with an id, look again and say so."""
        failpoint("http.before_commit")
        now = placements[0].opening.fact.at
        try:
            results = await self.store.transact(lambda transaction: self.desk.place(transaction, placements, now))
        except (DuplicateError, StreamMovedError):
            results = await self.store.transact(lambda transaction: self.desk.place(transaction, placements, now))
        failpoint("http.after_commit")
        return results


def _result(index: int, result: Placing) -> BatchResult:
    if isinstance(result, Placed):
        return BatchResult(index, 200 if result.replayed else 201, row_of(result.order))
    if isinstance(result, Late):
        return _refused(index, result.field, result.rule)
    field = "/idempotencyKey" if result.field == "Idempotency-Key" else result.field
    return _failed(index, conflict(f"/orders/{index}{field}", result.rule))


def _broken(error: InvalidOrderError, at: str = "") -> ProblemError:
    """Return the problem with an order; whoever reads it can tell a definition that may still come from a mistake."""
    field = f"{at}{error.field}"
    if isinstance(error, UnknownDefinitionError):
        return ProblemError(problem(422, "unknown-definition", detail=error.rule, field=field, rule=error.rule))
    return invalid(field, error.rule)


def _refused(index: int, field: str, rule: str) -> BatchResult:
    return _failed(index, invalid(f"/orders/{index}{field}", rule))


def _failed(index: int, error: ProblemError) -> BatchResult:
    return BatchResult(index, error.problem.status, problem=error.problem)


_decode = msgspec.json.Decoder(BatchedOrder).decode
