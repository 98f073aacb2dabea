"""The order desk: places orders, by HTTP or by message, and keeps the read model in step with the facts."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec.structs import replace

from order_service.domain import (
    NAME,
    InvalidOrderError,
    Opening,
    OrderRequest,
    OrderView,
    UnknownDefinitionError,
    opening,
    status_of,
)
from sagakit.core.definition import Saga
from sagakit.core.messages import Message, is_traceparent
from sagakit.core.state import SagaState
from sagakit.ports import Draft, Table, Transaction
from sagakit.runtime.consumer import dead_message
from sagakit.runtime.parking import PARKED, ParkedMessage, parked
from sagakit.runtime.telling import fields, ids_of
from sagakit.runtime.topics import commands_topic
from sagakit.runtime.tracker import CORRELATIONS, SAGAS, Change, Speech, StartSaga, Tracker
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import OrderCancelled, OrderConfirmed
from shop_contracts.order_saga import ORDER_SAGA

ORDERS = Table("orders", OrderView, "order_id", (("status", "created_at"), ("user_id", "status", "created_at")))

REFUSED = "refused"
"""Why an order by message is a dead letter: it breaks a rule, or clashes."""

log_lines = logging.getLogger(__name__)

_decode_request = msgspec.json.Decoder(OrderRequest).decode


class Placement(msgspec.Struct, frozen=True):
    """One order to place: its id, how it opens, and the message it came by, if it did.

    `chosen` tells that somebody else chose the id, so that it may be in use as another saga's correlation id.
    """

    order_id: str
    opening: Opening
    causation_id: str = ""
    chosen: bool = True


class Placed(msgspec.Struct, frozen=True):
    """The order stands; `replayed` when it was placed before under the same id."""

    order: OrderView
    replayed: bool


class Taken(msgspec.Struct, frozen=True):
    """The id or the correlation id belongs to another order; `field` says which."""

    field: str
    rule: str


class Late(msgspec.Struct, frozen=True):
    """The order is new, and its deadline has passed already."""

    deadline: datetime
    field: str = "/deadline"

    @property
    def rule(self) -> str:
        """What is wrong with it, as a sentence."""
        return f"{self.deadline.isoformat()} has passed"


Placing = Placed | Taken | Late


class OrderSpeech:
    """The order service's words."""

    _commands: ClassVar[dict[str, msgspec.json.Decoder[msgspec.Struct]]] = {
        kind: msgspec.json.Decoder(contract.data) for kind, contract in SHOP.by_type.items()
    }

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
    """Places orders as sagas of whichever definition they name."""

    def __init__(self, tracker: Tracker) -> None:
        """Begin orders with `tracker`, by the definitions that it knows."""
        self._tracker = tracker

    @property
    def sagas(self) -> Mapping[str, Saga]:
        """The definitions that are known here now, by name and version."""
        return self._tracker.sagas

    def saga_of(self, ref: str) -> Saga:
        """Return the definition of this name and version.

        Raises:
            UnknownDefinitionError: when it is not known here, or not yet.
        """
        saga = self.sagas.get(ref)
        if saga is None:
            raise UnknownDefinitionError(ref, self.sagas)
        return saga

    async def place(self, transaction: Transaction, placements: Sequence[Placement], now: datetime) -> list[Placing]:
        """Place each order for itself; what clashes with another order is answered, and nothing of it stored."""
        known = await transaction.load(ORDERS, [placement.order_id for placement in placements])
        taken = await self._correlations(transaction, placements)
        starts: list[StartSaga] = []
        results: list[Placing] = []
        for placement in placements:
            result = _judge(placement, known, taken) or _late(placement, now)
            if result is None:
                opening = placement.opening
                starts.append(
                    StartSaga(saga_id=placement.order_id, fact=opening.fact, causation_id=placement.causation_id)
                )
                known[placement.order_id] = opening.row
                taken |= {placement.order_id: placement.order_id, opening.fact.correlation_id: placement.order_id}
                result = Placed(opening.row, replayed=False)
            results.append(result)
        if starts:
            await self._tracker.start(transaction, starts, now)
            await transaction.save(ORDERS, [known[start.saga_id] for start in starts])
        return results

    async def _correlations(self, transaction: Transaction, placements: Sequence[Placement]) -> dict[str, str]:
        """Return which of the ids and wished correlation ids belong to a saga, as its id or as its correlation id."""
        wished = {fact.correlation_id for p in placements if (fact := p.opening.fact).correlation_id != p.order_id}
        taken: dict[str, str] = {}
        if wished:
            taken = {saga_id: saga_id for saga_id in await transaction.load(SAGAS, wished)}
        asked = wished | {p.order_id for p in placements if p.chosen}
        if asked:
            owners = await transaction.load(CORRELATIONS, asked)
            taken |= {correlation_id: owner.saga_id for correlation_id, owner in owners.items()}
        return taken


def _judge(placement: Placement, known: dict[str, OrderView], taken: dict[str, str]) -> Placing | None:
    """Return what is known about the placement already, if anything is."""
    order = known.get(placement.order_id)
    if order is not None:
        if order.fingerprint == placement.opening.row.fingerprint:
            return Placed(order, replayed=True)
        return Taken("Idempotency-Key", "was used before, for another order")
    for name in (placement.opening.fact.correlation_id, placement.order_id):
        if taken.get(name, placement.order_id) != placement.order_id:
            return Taken("/correlationId", f"{name!r} belongs to another saga")
    return None


def _late(placement: Placement, now: datetime) -> Late | None:
    """Return that it is too late to begin the order; one that was begun in time is never late."""
    deadline = placement.opening.fact.deadline
    return Late(deadline) if deadline <= now else None


class CreateOrders:
    """Hears `CreateOrder` on the service's commands and does what POST /orders does.

    What breaks a rule or clashes is a dead letter of its own; the others of its batch are placed. One that names a
    definition that is not known yet may have overtaken it: it is parked until that comes, and buried after an hour.
    """

    topics = frozenset({commands_topic("order")})

    def __init__(self, desk: OrderDesk) -> None:
        """Place what is asked at `desk`."""
        self.counts: Counter[str] = Counter()
        self.buried = Counter({(commands_topic("order"), REFUSED): 0})
        self._desk = desk

    def wants(self, message_type: str) -> bool:
        """Tell whether the message places an order."""
        return message_type == "CreateOrder"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Place the orders under the saga ids of their messages; the same again changes nothing."""
        asked: list[Message] = []
        placements: list[Placement] = []
        dead: list[Draft] = []
        early: list[ParkedMessage] = []
        for message in messages:
            try:
                placements.append(self._placement(message, now))
                asked.append(message)
            except UnknownDefinitionError as error:
                early.append(_parked(message, error.ref, now))
            except (msgspec.ValidationError, msgspec.DecodeError, InvalidOrderError) as error:
                dead.append(self._bury(message, str(error), now))
        for message, result in zip(asked, await self._desk.place(transaction, placements, now), strict=True):
            if not isinstance(result, Placed):
                dead.append(self._bury(message, f"{result.field}: {result.rule}", now))
        if early:
            await transaction.save(PARKED, early)
        if dead:
            self.counts["dead letters"] += len(dead)
            self.buried[commands_topic("order"), REFUSED] += len(dead)
            await transaction.send(dead)

    def committed(self) -> None:
        """Nothing waits for the commit."""

    def failed(self) -> None:
        """Nothing was kept outside the transaction."""

    def _placement(self, message: Message, now: datetime) -> Placement:
        if not NAME.fullmatch(message.saga_id):
            raise InvalidOrderError("/sagaId", "1 to 50 characters of A-Z a-z 0-9 . _ -")
        request = _decode_request(message.data)
        traceparent = message.traceparent if is_traceparent(message.traceparent) else None
        saga = self._desk.saga_of(request.definition_ref)
        opened = opening(saga, message.saga_id, request, now, traceparent)
        return Placement(message.saga_id, opened, message.id)

    def _bury(self, message: Message, error: str, now: datetime) -> Draft:
        topic = commands_topic("order")
        extra = fields(ids_of(message.saga_id, message.correlation_id, message.traceparent), topic=topic)
        log_lines.warning("%s is refused: %s", message.type, error, extra=extra)
        return dead_message("order", message, topic, REFUSED, error, now)


def _parked(message: Message, ref: str, now: datetime) -> ParkedMessage:
    """Return the message as it waits for its definition; it belongs to no saga that could release it by beginning."""
    return replace(parked(message, commands_topic("order"), ref, now), saga_id="")


async def hear_again(
    tracker: Tracker, intake: CreateOrders, transaction: Transaction, messages: Sequence[Message], now: datetime
) -> None:
    """Hear what waited for a definition: orders to place, and answers to sagas that another instance began."""
    orders = [message for message in messages if intake.wants(message.type)]
    answers = [message for message in messages if not intake.wants(message.type)]
    if orders:
        await intake.handle(transaction, orders, now)
    if answers:
        await tracker.handle(transaction, answers, now)


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
