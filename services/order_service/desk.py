"""The order desk: places orders, by HTTP or by message, and keeps the read model in step with the facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec.structs import replace

from order_service.domain import (
    NAME,
    InvalidOrderError,
    OrderRequest,
    OrderView,
    fingerprint,
    started,
    status_of,
)
from sagakit.core.definition import Saga
from sagakit.core.facts import SagaStarted
from sagakit.core.messages import Message
from sagakit.core.state import SagaState
from sagakit.ports import Query, Table, Transaction
from sagakit.runtime.consumer import PermanentError
from sagakit.runtime.topics import commands_topic
from sagakit.runtime.tracker import SAGAS, Change, Speech, StartSaga, Tracker
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import OrderCancelled, OrderConfirmed, OrderCreated
from shop_contracts.money import to_minor
from shop_contracts.order_saga import ORDER_SAGA

ORDERS = Table("orders", OrderView, "order_id", (("status", "created_at"), ("user_id", "status", "created_at")))

_decode_created = msgspec.json.Decoder(OrderCreated).decode


@dataclass(frozen=True, slots=True)
class Placement:
    """One order to place: its id, what is ordered, and the message it came by, if it did."""

    order_id: str
    request: OrderRequest
    traceparent: str | None = None
    causation_id: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """The order stands; `replayed` when it was placed before under the same id."""

    order: OrderView
    replayed: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The id or the correlation id belongs to another order; `field` says which."""

    field: str
    rule: str


Placing = Placed | Taken | InvalidOrderError


class OrderSpeech:
    """The order service's words."""

    _commands = {contract.type: msgspec.json.Decoder(contract.data) for contract in SHOP.by_type.values()}

    def completed(self, state: SagaState, at: datetime) -> OrderConfirmed:
        """Return the confirmation."""
        return OrderConfirmed(order_id=state.saga_id, confirmed_at=at)

    def cancelled(self, state: SagaState, reason: str, at: datetime) -> OrderCancelled:
        """Return the cancellation."""
        return OrderCancelled(order_id=state.saga_id, reason=reason, cancelled_at=at)

    def command(self, command: str, saga_input: msgspec.Raw) -> msgspec.Struct:
        """Return the data of a command: what it has in common with the order."""
        return self._commands[command].decode(saga_input)


def order_tracker(speech: Speech | None = None, sagas: Sequence[Saga] = (ORDER_SAGA,)) -> Tracker:
    """Return the tracker of orders, with the projection that keeps the read model."""
    return Tracker("order", sagas=sagas, speech=speech or OrderSpeech(), contracts=SHOP, project=project)


class OrderDesk:
    """Places orders as sagas of one definition."""

    def __init__(self, tracker: Tracker, saga: Saga = ORDER_SAGA) -> None:
        """Begin orders with `tracker`."""
        self._tracker = tracker
        self._saga = saga

    async def place(self, transaction: Transaction, placements: Sequence[Placement], now: datetime) -> list[Placing]:
        """Place each order for itself; what breaks a rule or clashes is answered, and nothing of it stored."""
        known = await transaction.load(ORDERS, [placement.order_id for placement in placements])
        taken = await self._correlations(transaction, placements)
        starts: list[StartSaga] = []
        results: list[Placing | None] = []
        for placement in placements:
            result = self._judge(placement, known, taken)
            if result is None:
                try:
                    fact = started(self._saga, placement.order_id, placement.request, now, placement.traceparent)
                except InvalidOrderError as error:
                    result = error
                else:
                    starts.append(StartSaga(saga_id=placement.order_id, fact=fact, causation_id=placement.causation_id))
                    known[placement.order_id] = _view(placement.order_id, fact, placement.request)
                    taken[fact.correlation_id] = placement.order_id
            results.append(result)
        await self._tracker.start(transaction, starts, now)
        await transaction.save(ORDERS, [known[start.saga_id] for start in starts])
        return [
            result if result is not None else Placed(known[placement.order_id], replayed=False)
            for result, placement in zip(results, placements, strict=True)
        ]

    def _judge(self, placement: Placement, known: dict[str, OrderView], taken: dict[str, str]) -> Placing | None:
        """Return what is known about the placement already, if anything is."""
        order = known.get(placement.order_id)
        if order is not None:
            if order.fingerprint == fingerprint(placement.request):
                return Placed(order, replayed=True)
            return Taken("Idempotency-Key", "was used before, for another order")
        correlation_id = placement.request.correlation_id or placement.order_id
        if taken.get(correlation_id, placement.order_id) != placement.order_id:
            return Taken("/correlationId", f"{correlation_id!r} belongs to another saga")
        return None

    async def _correlations(self, transaction: Transaction, placements: Sequence[Placement]) -> dict[str, str]:
        """Return which of the wished correlation ids belong to a saga, as its id or as its correlation id."""
        wished = {p.request.correlation_id for p in placements if p.request.correlation_id}
        taken: dict[str, str] = {}
        if wished:
            taken = dict.fromkeys(await transaction.load(SAGAS, wished), "")
            taken = {correlation_id: correlation_id for correlation_id in taken}
        for correlation_id in wished:
            found = await transaction.select(SAGAS, Query(where={"own_correlation_id": correlation_id}, limit=1))
            if found:
                taken[correlation_id] = found[0].saga_id
        return taken


class CreateOrders:
    """Hears `CreateOrder` on the service's commands and does what POST /orders does; a refusal is a dead letter."""

    topics = frozenset({commands_topic("order")})

    def __init__(self, desk: OrderDesk) -> None:
        """Place what is asked at `desk`."""
        self._desk = desk

    def wants(self, message_type: str) -> bool:
        """Tell whether the message places an order."""
        return message_type == "CreateOrder"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Place the orders under the saga ids of their messages; the same again changes nothing."""
        placements = [_placement(message) for message in messages]
        for placement, result in zip(placements, await self._desk.place(transaction, placements, now), strict=True):
            if isinstance(result, Taken | InvalidOrderError):
                text = f"order {placement.order_id}: {result.field}: {result.rule}"
                raise PermanentError(text)

    def committed(self) -> None:
        """Nothing waits for the commit."""

    def failed(self) -> None:
        """Nothing was kept outside the transaction."""


async def project(transaction: Transaction, changes: Sequence[Change]) -> None:
    """Bring the read model up to the facts: a row changes when its order ends."""
    ended = {change.after.saga_id: change.after for change in changes if change.after.phase.terminal}
    if not ended:
        return
    rows = await transaction.load(ORDERS, ended)
    await transaction.save(ORDERS, [apply_end(row, ended[order_id]) for order_id, row in rows.items()])


def apply_end(row: OrderView, state: SagaState) -> OrderView:
    """Return the row of an order whose saga has ended."""
    return replace(
        row,
        status=status_of(state.phase),
        version=state.version,
        cancellation_reason=state.reason,
        ended_at=state.ended_at,
    )


def _view(order_id: str, fact: SagaStarted, request: OrderRequest) -> OrderView:
    order = _decode_created(fact.input)
    return OrderView(
        order_id=order_id,
        user_id=order.user_id,
        status="pending",
        total_minor=to_minor(order.total, order.currency),
        currency=order.currency,
        created_at=fact.at,
        mode=fact.mode,
        correlation_id=fact.correlation_id,
        fingerprint=fingerprint(request),
        version=1,
    )


def _placement(message: Message) -> Placement:
    """Return the order that a message places."""
    try:
        request = msgspec.json.decode(message.data, type=OrderRequest)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise PermanentError(str(error)) from error
    if not NAME.fullmatch(message.saga_id):
        text = f"saga id {message.saga_id!r}: 1 to 50 characters of A-Z a-z 0-9 . _ -"
        raise PermanentError(text)
    return Placement(message.saga_id, request, message.traceparent, message.id)
