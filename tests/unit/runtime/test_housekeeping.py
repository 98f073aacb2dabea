"""Claims, commands and dead letters are kept for a week; events are kept for ever."""

from tests.unit.order_service.shop import HandClock

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.ports import Draft
from sagakit.runtime.housekeeping import KEPT_DAYS, Housekeeping

TOPICS = ("order.commands", "order.dlq", "orders.events")


async def test_what_is_older_than_its_days_is_forgotten_and_events_are_not() -> None:
    clock = HandClock()
    store, log = MemoryStore(()), MemoryLog(clock)
    await store.transact(lambda transaction: transaction.claim(["old"], clock.now()))
    await log.publish([Draft(topic, "k", b"{}", b"{}") for topic in TOPICS])
    keeping = Housekeeping("order", store, log, clock)
    await keeping.step()
    assert keeping.counts["claims"] == keeping.counts["log records"] == 0

    clock.pass_seconds(KEPT_DAYS * 86_400 + 1)
    await keeping.step()
    assert keeping.counts["claims"] == 1
    assert keeping.counts["log records"] == 2
    assert await store.transact(lambda transaction: transaction.claim(["old"], clock.now())) == {"old"}
    ((place, _),) = [(place, end) for place, end in (await log.ends(["orders.events"])).items() if end]
    assert [record.topic for record in await log.fetch({place: 0}, 1)] == ["orders.events"]
