"""What was under way when a process ended is taken up by the next one at once."""

from collections.abc import Sequence

from tests.unit.order_service.shop import NOON, HandClock

from payment_service.actions import PAYMENTS, Payments, barred
from payment_service.provider import Approved, Charge, Repayment, Result
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import ChargePayment
from shop_contracts.order_saga import ORDER_SAGA


class Provider:
    """Approves every charge, and remembers the keys it was asked with."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def charge(self, charges: Sequence[Charge]) -> list[Result]:
        self.keys += [charge.key for charge in charges]
        return [Approved(charge.key) for charge in charges]

    async def repay(self, repayments: Sequence[Repayment]) -> list[Result]:
        raise AssertionError(repayments)


def payment(store: MemoryStore, clock: HandClock, provider: Provider) -> Participant:
    return Participant(
        "payment",
        sagas=[ORDER_SAGA],
        actions=Payments(provider).actions(),
        barred=barred,
        contracts=SHOP,
        store=store,
        clock=clock,
    )


async def test_a_charge_that_was_intended_before_a_crash_is_made_when_the_service_starts_again() -> None:
    clock, provider = HandClock(), Provider()
    store, log = MemoryStore((PARTS, PARKED, PAYMENTS)), MemoryLog(clock)
    data = ChargePayment(order_id="o1", user_id="u", total=5, currency="USD")  # type: ignore[arg-type]
    command = Message(
        id="c1",
        type="ChargePayment",
        source="order",
        time=NOON,
        saga_id="o1",
        correlation_id="o1",
        causation_id="",
        mode=Mode.ORCHESTRATION,
        definition=ORDER_SAGA.ref,
        data=encode_data(data),
    )
    await log.publish([draft("payment.commands", command)])
    consumer = Consumer(
        service="payment",
        group="payment",
        handler=payment(store, clock, provider),
        store=store,
        log=log,
        contracts=SHOP,
        clock=clock,
    )
    await consumer.step()
    assert provider.keys == []

    clock.pass_seconds(1)
    restarted = payment(store, clock, provider)
    await restarted.step()
    await restarted.step()
    assert len(provider.keys) == 1
    assert (await store.view(lambda reader: reader.load(PAYMENTS, ["o1"])))["o1"].status == "captured"
