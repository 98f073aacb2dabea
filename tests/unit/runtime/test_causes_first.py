"""Where causes and effects have both piled up, causes get ahead, and neither waits for ever."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from tests.unit.order_service.shop import HandClock
from tests.unit.runtime.test_consumer import a_message

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.messages import Message
from sagakit.ports import Transaction
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

CAUSES, EFFECTS = "orders.events", "payments.events"
SAGAS = 2000
BATCH = 100


class Heard:
    """Remembers which sagas it heard the cause of, and which effects came before it."""

    topics = frozenset({CAUSES, EFFECTS})

    def __init__(self) -> None:
        self.begun: set[str] = set()
        self.early: list[str] = []
        self.effects = 0

    def wants(self, message_type: str) -> bool:
        return message_type in {"OrderCreated", "PaymentCompleted"}

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        del transaction, now
        self.begun |= {message.saga_id for message in messages if message.type == "OrderCreated"}
        effects = [message.saga_id for message in messages if message.type == "PaymentCompleted"]
        self.effects += len(effects)
        self.early += [saga_id for saga_id in effects if saga_id not in self.begun]

    def committed(self) -> None:
        """Nothing waits for it."""

    def failed(self) -> None:
        raise AssertionError("nothing fails here")


async def test_effects_that_piled_up_beside_their_causes_come_behind_them() -> None:
    clock, handler, random = HandClock(), Heard(), Random(7)
    log = MemoryLog(clock)
    created = [a_message(f"order-{number}") for number in range(SAGAS)]
    await log.publish([draft(CAUSES, replaced(message, "OrderCreated")) for message in created])
    # Whoever paid did so in about that order: a step, which is done many at a time, mixes its neighbours.
    paid = sorted(range(SAGAS), key=lambda number: number + random.random() * BATCH / 2)
    await log.publish([draft(EFFECTS, created[number]) for number in paid])
    consumer = Consumer(
        service="inventory",
        group="inventory",
        handler=handler,
        store=MemoryStore(()),
        log=log,
        contracts=SHOP,
        clock=clock,
        first=frozenset({CAUSES}),
        batch_records_max=BATCH,
    )
    while await consumer.step():
        pass
    assert (len(handler.begun), handler.effects) == (SAGAS, SAGAS)
    assert len(handler.early) <= BATCH // 2, "but for the first batch, every cause was there"


def replaced(message: Message, kind: str) -> Message:
    return Message(
        id=f"{message.id}-{kind}",
        type=kind,
        source="order",
        time=message.time,
        saga_id=message.saga_id,
        correlation_id=message.saga_id,
        causation_id="",
    )
