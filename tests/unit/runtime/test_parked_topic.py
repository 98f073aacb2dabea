"""A message that is parked knows which topic it came on, so that its dead letter does."""

import pytest
from tests.unit.order_service.shop import NOON, HandClock

from order_service.desk import order_tracker
from order_service.wiring import TABLES
from sagakit.adapters.memory import MemoryStore
from sagakit.core.messages import Message, Mode
from sagakit.ports import Query, Transaction
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant, heard_topics
from sagakit.runtime.tracker import Tracker
from shipping_service.actions import SHIPMENTS, Shipping, barred
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA


def a_message(kind: str, source: str, definition: str = ORDER_SAGA.ref) -> Message:
    return Message(
        id=f"{kind} of order-1",
        type=kind,
        source=source,
        time=NOON,
        saga_id="order-1",
        correlation_id="order-1",
        causation_id="",
        mode=Mode.CHOREOGRAPHY,
        definition=definition,
    )


def shipping(store: MemoryStore) -> Participant:
    actions = Shipping().actions()
    return Participant(
        "shipping", sagas=[ORDER_SAGA], actions=actions, barred=barred, contracts=SHOP, store=store, clock=HandClock()
    )


async def parked_by(handler: Participant | Tracker, store: MemoryStore, message: Message) -> str:
    async def work(transaction: Transaction) -> str:
        await handler.handle(transaction, [message], NOON)
        (entry,) = await transaction.select(PARKED, Query())
        return entry.topic

    return await store.transact(work)


async def test_an_event_that_overtakes_its_saga_is_parked_with_its_topic() -> None:
    store = MemoryStore((PARTS, PARKED, SHIPMENTS))
    event = a_message("InventoryReserved", "inventory")
    assert await parked_by(shipping(store), store, event) == "inventory.events"


@pytest.mark.parametrize(
    ("message", "topic"),
    [
        (a_message("PaymentCompleted", "payment"), "payments.events"),
        (a_message("PaymentCompleted", "nobody"), ""),
        (a_message("PaymentCompleted", "payment", "order/99"), ""),
    ],
)
async def test_an_answer_of_an_unknown_saga_is_parked_with_the_topic_of_its_source(
    message: Message, topic: str
) -> None:
    store = MemoryStore(TABLES)
    assert await parked_by(order_tracker(), store, message) == topic


def test_a_participant_listens_to_what_is_declared_of_it() -> None:
    store = MemoryStore((PARTS, PARKED, SHIPMENTS))
    assert shipping(store).topics == heard_topics("shipping", ORDER_SAGA)
