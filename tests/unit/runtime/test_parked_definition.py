"""A message of a definition that a participant does not know yet waits until it does."""

from dataclasses import replace

from tests.unit.order_service.shop import NOON, HandClock

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.relay import Relay
from sagakit.runtime.wire import draft
from shipping_service.actions import SHIPMENTS, Shipping, barred
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import ScheduleShipment
from shop_contracts.order_saga import ORDER_SAGA

SECOND = replace(ORDER_SAGA, version=2)


def shipping(store: MemoryStore, clock: HandClock) -> Participant:
    return Participant(
        "shipping",
        sagas=[ORDER_SAGA],
        actions=Shipping().actions(),
        barred=barred,
        contracts=SHOP,
        store=store,
        clock=clock,
    )


async def test_a_command_of_an_unknown_definition_is_carried_out_once_the_definition_is_learned() -> None:
    clock = HandClock()
    store, log = MemoryStore((PARTS, PARKED, SHIPMENTS)), MemoryLog(clock)
    participant = shipping(store, clock)
    consumer = Consumer(
        service="shipping", group="shipping", handler=participant, store=store, log=log, contracts=SHOP, clock=clock
    )
    command = Message(
        id="c1",
        type="ScheduleShipment",
        source="order",
        time=NOON,
        saga_id="o1",
        correlation_id="o1",
        causation_id="",
        mode=Mode.ORCHESTRATION,
        definition=SECOND.ref,
        data=encode_data(ScheduleShipment(order_id="o1", user_id="u", items=[])),
    )
    await log.publish([draft("shipping.commands", command)])
    await consumer.step()
    await participant.step()
    assert await store.view(lambda reader: reader.load(SHIPMENTS, ["o1"])) == {}

    participant.learn(SECOND)
    await participant.step()
    assert list(await store.view(lambda reader: reader.load(SHIPMENTS, ["o1"]))) == ["o1"]
    assert not await store.view(lambda reader: reader.count(PARKED, {}))
    await Relay("shipping", store, log).step()
    assert sum((await log.ends(["shipping.events"])).values()) == 1
