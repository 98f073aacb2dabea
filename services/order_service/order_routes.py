"""Orders over HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from order_service.desk import Placed
from order_service.domain import OrderRequest, UnknownDefinitionError
from order_service.inputs import BatchResults, OrderBatch, OrderList, OrderPath, OrderVerb, Placing, Why
from order_service.intake import BATCH_BYTES_MAX, Intake
from order_service.order_events import OrderEvents, events_of
from order_service.order_queries import order_detail, order_facts, ordered_items, page_of_orders, saga_of
from order_service.order_shapes import OrderDetail, Orders, listed
from order_service.replay import Replay, replay
from order_service.saga_shapes import VerbDone
from order_service.verbs import Verbs
from sagakit.core.definition import Saga
from sagakit.core.facts import Verb
from sagakit.ports import Clock, Reader, Store
from sagakit.runtime.http.problems import ProblemError, conflict, invalid, not_found
from sagakit.runtime.http.routes import Call, Handler, Nothing, Reply, Route
from sagakit.runtime.paging import InvalidCursorError

TAG = "Orders"


@dataclass(frozen=True, slots=True)
class OrderRoutes:
    """Answers about orders."""

    intake: Intake
    verbs: Verbs
    store: Store
    clock: Clock

    def routes(self) -> list[Route]:
        """Return every route of orders."""

        def get(
            path: str, handler: Handler, summary: str, returns: type[msgspec.Struct], params: type[msgspec.Struct]
        ) -> Route:
            problems = () if params is OrderList else (404, 409)
            return Route(
                method="GET",
                path=path,
                handler=handler,
                summary=summary,
                returns={200: returns},
                params=params,
                problems=problems,
                tag=TAG,
            )

        return [
            self._post(),
            self._post_batch(),
            get("/orders", self.list_orders, "List orders, the newest first", Orders, OrderList),
            get("/orders/{orderId}", self.get_order, "One order, whole", OrderDetail, OrderPath),
            get("/orders/{orderId}/events", self.list_events, "What happened to an order", OrderEvents, OrderPath),
            Route(
                method="POST",
                path="/orders/{orderId}/cancel",
                handler=self.cancel_order,
                summary="Cancel an order: what happened is taken back, unless its parcel is on the way",
                returns={202: VerbDone, 200: VerbDone},
                params=OrderVerb,
                body=Why,
                problems=(404, 409),
                tag=TAG,
            ),
            Route(
                method="POST",
                path="/orders/{orderId}/replay",
                handler=self.replay_order,
                summary="Rebuild an order from its facts and compare; nothing is changed",
                returns={200: Replay},
                params=OrderPath,
                problems=(404, 409),
                tag=TAG,
            ),
        ]

    @property
    def sagas(self) -> Mapping[str, Saga]:
        """The definitions that are known here now."""
        return self.intake.desk.sagas

    async def place_order(self, call: Call[Placing, OrderRequest]) -> Reply:
        """Place an order. The same `Idempotency-Key` again answers with the order of the first time."""
        placed = await self.intake.place_one(call.body, call.params.idempotency_key, call.params.traceparent)
        return await self._told(placed)

    async def place_orders(self, call: Call[Nothing, OrderBatch]) -> BatchResults:
        """Place up to 1000 orders, each for itself; answers when all that could be placed are durable."""
        return BatchResults(await self.intake.place_many(call.body.orders))

    async def list_orders(self, call: Call[OrderList, None]) -> Orders:
        """List rows of the read model."""
        params, now = call.params, self.clock.now()

        async def look(reader: Reader) -> Orders:
            page = await page_of_orders(reader, params.status, params.user_id, params.cursor, params.limit)
            items = await ordered_items(reader, page.records)
            orders = [listed(order, its) for order, its in zip(page.records, items, strict=True)]
            return Orders(orders=orders, next_cursor=page.next_cursor, as_of=now)

        try:
            return await self.store.view(look)
        except InvalidCursorError as error:
            raise invalid("cursor", str(error)) from None

    async def get_order(self, call: Call[OrderPath, None]) -> OrderDetail:
        """Fold the order from its facts: what was written is read."""
        now = self.clock.now()
        with _known():
            found = await self.store.view(lambda reader: order_detail(reader, self.sagas, call.params.order_id, now))
        if found is None:
            raise _no_order(call.params.order_id)
        return found

    async def list_events(self, call: Call[OrderPath, None]) -> OrderEvents:
        """List the order's messages, as its facts have them."""
        order_id = call.params.order_id
        facts = await self.store.view(lambda reader: order_facts(reader, order_id))
        if not facts:
            raise _no_order(order_id)
        with _known():
            return events_of(saga_of(self.sagas, facts), order_id, facts)

    async def cancel_order(self, call: Call[OrderVerb, Why]) -> Reply:
        """Ask the order's saga to abort."""
        done = await self.verbs.ask(call.params.order_id, Verb.CANCEL, call.params.actor, call.body.reason)
        if done is None:
            raise _no_order(call.params.order_id)
        return Reply(202 if done.effect else 200, done)

    async def replay_order(self, call: Call[OrderPath, None]) -> Replay:
        """Compare the stored state and row with the fold of the facts."""
        now = self.clock.now()
        order_id = call.params.order_id
        with _known():
            found = await self.store.view(lambda reader: replay(reader, self.sagas, order_id, now))
        if found is None:
            raise _no_order(order_id)
        return found

    async def _told(self, placed: Placed) -> Reply:
        order_id, now = placed.order.order_id, self.clock.now()
        detail = await self.store.view(lambda reader: order_detail(reader, self.sagas, order_id, now))
        headers = {"Location": f"/orders/{order_id}"}
        if placed.replayed:
            headers["Idempotent-Replayed"] = "true"
        return Reply(200 if placed.replayed else 201, detail, headers)

    def _post(self) -> Route:
        return Route(
            method="POST",
            path="/orders",
            handler=self.place_order,
            summary="Place an order",
            returns={201: OrderDetail, 200: OrderDetail},
            params=Placing,
            body=OrderRequest,
            problems=(409, 422),
            headers={201: ("Location",), 200: ("Location", "Idempotent-Replayed")},
            tag=TAG,
        )

    def _post_batch(self) -> Route:
        return Route(
            method="POST",
            path="/orders/batch",
            handler=self.place_orders,
            summary="Place up to 1000 orders in one transaction",
            returns={200: BatchResults},
            body=OrderBatch,
            body_bytes_max=BATCH_BYTES_MAX,
            in_parts=True,
            tag=TAG,
        )


@contextmanager
def _known() -> Iterator[None]:
    """Say that an order cannot be told yet, when an instance beside us began it by a definition unknown here."""
    try:
        yield
    except UnknownDefinitionError as error:
        raise conflict("orderId", f"the definition {error.ref} of this order is not known here") from None


def _no_order(order_id: str) -> ProblemError:
    return not_found("orderId", f"there is no order {order_id!r}")
