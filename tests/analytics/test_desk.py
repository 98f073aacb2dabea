"""Orders of high value, each said once, and who users are."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.analytics.running import NOW_MS, Running
from tests.analytics.shop import Hand, at, placed, say

from analytics_service.desk import (
    ANALYTICS_TOPIC,
    GROUP,
    HIGH_VALUE,
    HIGH_VALUES,
    PROFILES,
    PROFILES_REMEMBERED_MAX,
    Desk,
    TableProfiles,
)
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import Profile
from analytics_service.wiring import TABLES
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.core.messages import Message, message_id
from sagakit.ports import Reader, StoreUnavailableError, Transaction
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.failpoints import ARMED
from sagakit.runtime.wire import draft, parse
from shop_contracts import messages as m
from shop_contracts.catalogue import SHOP

USERS = "users"


class Office:
    """The desk, a log, and whoever listens to what it says."""

    def __init__(self, over: str = "1000", seconds: float = 60) -> None:
        self.clock = Hand()
        self.log = MemoryLog(self.clock)
        self.store = MemoryStore(TABLES)
        self.profiles = TableProfiles(self.clock, seconds)
        settings = AnalyticsSettings(high_value_over=over)
        self.desk = Desk(settings.thresholds(), self.profiles)
        self.consumer = Consumer(
            service="analytics",
            group=GROUP,
            handler=self.desk,
            store=self.store,
            log=self.log,
            contracts=SHOP,
            clock=self.clock,
        )

    async def publish(self, *messages: Message) -> None:
        topics = {"UserProfileUpdated": USERS}
        await self.log.publish([draft(topics.get(each.type, "orders.events"), each) for each in messages])

    async def hear(self, *messages: Message) -> None:
        await self.publish(*messages)
        while await self.consumer.step():
            pass

    async def said(self) -> list[Message]:
        """Return what waits in the outbox; all of it for the topic of the analytics, each as its contract has it."""
        await self.log.publish([entry.draft for entry in await self.store.outbox(1000)])
        await self.store.published([entry.position for entry in await self.store.outbox(1000)])
        places = {(ANALYTICS_TOPIC, number): 0 for number in range(self.log.partitions)}
        return [SHOP.current(parse(record)) for record in await self.log.fetch(places, 1000)]

    async def high_values(self) -> set[str]:
        rows = await self.store.view(lambda reader: reader.load(HIGH_VALUES, [f"order-{n}" for n in range(20)]))
        return set(rows)

    async def who(self, *user_ids: str) -> dict[str, str | None]:
        found = await self.store.view(lambda reader: self.profiles.find(reader, user_ids))
        return {user_id: profile.name for user_id, profile in found.items()}


@pytest.fixture
def office() -> Office:
    return Office()


def profile(user_id: str, name: str | None, after_ms: int = 0) -> Message:
    data = m.UserProfileUpdated(user_id=user_id, name=name, segment="gold")
    return say(user_id, NOW_MS + after_ms, data, id=f"{user_id}-{name}", definition="")


@pytest.mark.parametrize(
    ("total", "currency", "high"),
    [
        ("999.99", "USD", False),
        ("1000.00", "USD", False),
        ("1000.01", "USD", True),
        ("900.00", "EUR", False),
        ("900.01", "EUR", True),
        ("150000", "JPY", False),
        ("150001", "JPY", True),
        ("1000000.00", "GBP", False),
        ("1000000.00", "XXX", False),
        ("1000.001", "USD", False),
    ],
)
async def test_an_order_is_of_high_value_when_it_exceeds_the_threshold_of_its_currency(
    total: str, currency: str, high: bool
) -> None:
    office = Office("1000, EUR=900,JPY=150000")
    await office.hear(placed("order-1", NOW_MS, total=total, currency=currency))
    assert bool(await office.high_values()) is high
    assert bool(await office.said()) is high
    assert office.desk.said == high
    assert office.consumer.counts["dead letters"] == 0


async def test_a_bare_threshold_is_in_the_default_currency() -> None:
    assert AnalyticsSettings(high_value_over="5,USD=7", currency="JPY").thresholds() == {"JPY": 5, "USD": 700}


@pytest.mark.parametrize("batches", [1, 2])
async def test_an_order_that_comes_twice_is_said_once(office: Office, batches: int) -> None:
    order = placed("order-1", NOW_MS, total="2000.00")
    if batches == 1:
        await office.hear(order, order)
    else:
        await office.hear(order)
        await office.hear(order)
    assert [message.id for message in await office.said()] == [message_id("order-1", "", HIGH_VALUE)]


@pytest.mark.parametrize("batches", [1, 2])
async def test_of_two_orders_under_one_id_the_first_is_said(office: Office, batches: int) -> None:
    orders = [placed("order-1", NOW_MS, total="2000.00"), placed("order-1", NOW_MS, total="3000.00")]
    for batch in [orders] if batches == 1 else [[order] for order in orders]:
        await office.hear(*batch)
    (said,) = await office.said()
    assert detected(said).total == Decimal("2000.00")


async def test_what_is_said_of_an_order_carries_its_cause_its_amount_and_the_profile_known_then(office: Office) -> None:
    order = placed("order-1", NOW_MS, total="1234.50")
    await office.hear(profile("ada", "Ada"))
    await office.hear(order, placed("order-2", NOW_MS, user_id="bob", total="5000.00"))
    first, second = sorted(await office.said(), key=lambda message: message.saga_id)
    assert (first.id, first.type, first.source) == (message_id("order-1", "", HIGH_VALUE), HIGH_VALUE, "analytics")
    assert (first.correlation_id, first.causation_id) == (order.correlation_id, order.id)
    assert detected(first) == m.HighValueOrderDetected(
        order_id="order-1",
        user_id="ada",
        total=Decimal("1234.50"),
        currency="USD",
        threshold=Decimal("1000.00"),
        placed_at=at(NOW_MS),
        profile=m.UserProfileUpdated(user_id="ada", name="Ada", segment="gold"),
    )
    assert detected(second).profile is None


async def test_a_profile_in_the_same_batch_is_known_already(office: Office) -> None:
    await office.hear(placed("order-1", NOW_MS, total="2000.00"), profile("ada", "Ada"))
    (said,) = await office.said()
    assert detected(said).profile is not None


async def test_a_profile_that_comes_later_fills_in_the_list_and_says_nothing_again() -> None:
    shop = Running()
    async with shop.client:
        await shop.hear([placed("order-1", NOW_MS, total="2000.00")])
        assert (await shop.ask("/analytics/high-value"))["items"][0]["profile"] is None
        await shop.hear([profile("ada", "Ada")])
        assert (await shop.ask("/analytics/high-value"))["items"][0]["profile"]["name"] == "Ada"
    ends = await shop.log.ends([ANALYTICS_TOPIC])
    assert sum(ends.values()) == 1


async def test_an_event_that_was_said_before_a_crash_is_said_once_more_under_the_same_id(office: Office) -> None:
    def crash() -> None:
        raise StoreUnavailableError("the disk is away")

    await office.publish(placed("order-1", NOW_MS, total="2000.00"))
    ARMED["consumer.within"] = crash
    try:
        with pytest.raises(StoreUnavailableError):
            await office.consumer.step()
    finally:
        ARMED.clear()
    assert await office.high_values() == set()
    assert await office.said() == []
    await office.hear()
    assert [message.id for message in await office.said()] == [message_id("order-1", "", HIGH_VALUE)]


async def test_a_change_heard_here_is_seen_at_once(office: Office) -> None:
    await office.hear(profile("ada", "Ada"))
    assert await office.who("ada", "bob") == {"ada": "Ada"}
    await office.hear(profile("ada", "Lovelace", 1), profile("bob", "Bob", 1))
    assert await office.who("ada", "bob") == {"ada": "Lovelace", "bob": "Bob"}


async def test_a_change_heard_elsewhere_is_seen_after_the_time_of_the_cache(office: Office) -> None:
    await change_elsewhere(office, "ada", "Ada")
    assert await office.who("ada", "bob") == {"ada": "Ada"}
    await change_elsewhere(office, "ada", "Lovelace")
    await change_elsewhere(office, "bob", "Bob")
    office.clock.moment += timedelta(seconds=59.999)
    assert await office.who("ada", "bob") == {"ada": "Ada"}
    office.clock.moment += timedelta(seconds=0.001)
    assert await office.who("ada", "bob") == {"ada": "Lovelace", "bob": "Bob"}


async def test_without_a_time_nothing_is_remembered() -> None:
    office = Office(seconds=0)
    await change_elsewhere(office, "ada", "Ada")
    assert await office.who("ada") == {"ada": "Ada"}
    await change_elsewhere(office, "ada", "Lovelace")
    assert await office.who("ada") == {"ada": "Lovelace"}


async def test_a_batch_that_is_rolled_back_leaves_no_profile_behind(office: Office) -> None:
    await office.hear(profile("ada", "Ada"))
    assert await office.who("ada") == {"ada": "Ada"}

    async def batch(transaction: Transaction) -> None:
        messages: Sequence[Message] = [profile("ada", "Eve", 1), placed("order-1", NOW_MS + 1, total="2000.00")]
        await office.desk.handle(transaction, messages, office.clock.now())
        raise StoreUnavailableError("the disk is away")

    with pytest.raises(StoreUnavailableError):
        await office.store.transact(batch)
    office.desk.failed()
    assert await office.who("ada") == {"ada": "Ada"}
    assert await office.high_values() == set()


async def test_a_change_while_others_are_looked_up_disturbs_nobody(office: Office) -> None:
    await change_elsewhere(office, "ada", "Ada")
    await change_elsewhere(office, "bob", "Bob")
    assert await office.who("ada") == {"ada": "Ada"}

    class Slow:
        """A reader during whose answer the profile of Ada changes."""

        def __init__(self, reader: Reader) -> None:
            self.reader = reader

        async def load(self, *asked: Any) -> Any:  # noqa: ANN401 - passed on
            found = await self.reader.load(*asked)
            office.profiles.changed(["ada", "bob"])
            return found

    look = office.store.view(lambda reader: office.profiles.find(Slow(reader), ["ada", "bob"]))  # type: ignore[arg-type]
    assert {user_id: found.name for user_id, found in (await look).items()} == {"ada": "Ada", "bob": "Bob"}
    await change_elsewhere(office, "bob", "Robert")
    assert await office.who("bob") == {"bob": "Robert"}, "what was read before the change is not remembered after it"


async def test_no_more_profiles_are_remembered_than_there_is_room_for(office: Office) -> None:
    names = [f"user-{number}" for number in range(PROFILES_REMEMBERED_MAX)]
    await office.store.view(lambda reader: office.profiles.find(reader, names))
    await change_elsewhere(office, "user-0", "Late")
    await change_elsewhere(office, "user-1", "Late too")
    assert await office.who("user-0", "another") == {}
    assert await office.who("user-1") == {"user-1": "Late too"}, "the others were forgotten, to make room"


def detected(message: Message) -> m.HighValueOrderDetected:
    data = SHOP.decode(message)
    assert isinstance(data, m.HighValueOrderDetected)
    assert msgspec.json.decode(message.data)["orderId"] == message.saga_id
    return data


async def change_elsewhere(office: Office, user_id: str, name: str) -> None:
    """Let another instance hear of a profile."""
    changed = [Profile(user_id=user_id, name=name)]
    await office.store.transact(lambda transaction: transaction.save(PROFILES, changed))
