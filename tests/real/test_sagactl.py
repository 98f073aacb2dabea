"""What an operator does at the command line, on real servers: counting again, redriving, repairing offsets."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced
from tests.real.kafka import Broker
from tests.unit.onebox.events_of_orders import CONFIRMED, DECLINED, Order

import analytics_service.wiring as analytics
import shipping_service.wiring as shipping
from analytics_service.live import Live
from analytics_service.tables import TOTALS, VIEWS
from analytics_service.views import EVENT_TOPICS
from onebox.wiring import ALL_TOPICS
from sagakit.adapters.postgres import Address, PostgresStore
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, Mode
from sagakit.hosting import Adapters, opened
from sagakit.ports import Query, Record, Transaction
from sagakit.runtime.actions import Ask, LocalAction, Reply
from sagakit.runtime.service import Service
from sagakit.runtime.wire import draft
from shipping_service.actions import SHIPMENTS, Shipping
from shop_contracts.messages import ScheduleShipment
from shop_contracts.order_saga import ORDER_SAGA

pytestmark = pytest.mark.real

Actions = tuple[LocalAction[ScheduleShipment], ...]

SAGACTL = Path(sys.executable).with_name("sagactl")
PARTITIONS = 4
SECONDS_MAX = 60.0
COMMANDS, EVENTS = "shipping.commands", "shipping.events"
WHY = ("--reason-why", "a test did it", "--yes")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Site:
    """A place where services can run, and sagactl beside them."""

    environment: Mapping[str, str]

    async def sagactl(self, *words: str) -> Answer:
        process = await asyncio.create_subprocess_exec(
            SAGACTL,
            *words,
            env={"PATH": os.environ["PATH"], "SAGACTL_ACTOR": "ada", **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            pytest.fail(f"sagactl {' '.join(words)} did not end within {SECONDS_MAX:g} s")
        assert process.returncode is not None
        return Answer(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def adapters(self) -> AsyncIterator[Adapters]:
        async with opened(self.environment, [topic.name for topic in ALL_TOPICS]) as adapters:
            yield adapters


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """Kafka and PostgreSQL, or files where a test asks for them by its parameters."""
    kinds = getattr(request, "param", ("kafka", "postgres"))
    environment = {
        "SAGAPLANE_DATA_DIR": str(tmp_path),
        "SAGAPLANE_INSTANCE": "0",
        "SHIPPING_PORT": "0",
        "ANALYTICS_PORT": "0",
        "HOME": str(tmp_path),
    }
    if "kafka" in kinds:
        broker: Broker = request.getfixturevalue("kafka")
        environment["SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        environment["SAGAPLANE_KAFKA_TOPIC_PREFIX"] = request.getfixturevalue("topic_prefix")
    if "postgres" in kinds:
        environment["SAGAPLANE_DATABASE_URL"] = request.getfixturevalue("shop_database_url")
    return Site(environment)


async def prepare(site: Site, service: str) -> None:
    """Make what the servers have to have."""
    if "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS" in site.environment:
        made = await site.sagactl("topics", "apply", "--partitions", str(PARTITIONS))
        assert made.code == 0, made.err
    if "SAGAPLANE_DATABASE_URL" in site.environment:
        made = await site.sagactl("database", "apply", service)
        assert made.code == 0, made.err


async def until(met: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return once it is so; it fails when that takes too long."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not await met():  # noqa: ASYNC110 - servers are asked, they call nobody
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"not within {SECONDS_MAX:g} s: {what}")


async def counted(service: Service, its: Adapters) -> None:
    """Return once the views have every event."""
    (live,) = (hearing for hearing in service.consumers if isinstance(hearing, Live))

    async def whole() -> bool:
        if live.store is None:
            return False
        done = await live.store.view(lambda reader: reader.progress("analytics-v1"))
        return all(done.get(place, 0) == end for place, end in (await its.log.ends(EVENT_TOPICS)).items())

    await until(whole, "every event is counted")


@pytest.mark.parametrize(
    "site",
    [("kafka", "postgres"), ("kafka",), ("postgres",), ()],
    ids=["kafka and postgres", "kafka and files", "a file and postgres", "files"],
    indirect=True,
)
async def test_what_was_counted_over_any_log_and_any_store_is_counted_again_and_tampering_is_named(site: Site) -> None:
    await prepare(site, "analytics")
    orders = [*Order("order-pen").goes(CONFIRMED), *Order("order-ink").goes(DECLINED)]
    async with site.adapters() as its:
        service = await analytics.host(its)
        async with service:
            await its.log.publish(orders)
            await counted(service, its)
    verified = await site.sagactl("analytics", "verify")
    assert (verified.code, f"✔ {len(orders)} events counted again" in verified.out) == (0, True), verified.err
    if "SAGAPLANE_DATABASE_URL" not in site.environment:
        return
    url = site.environment["SAGAPLANE_DATABASE_URL"].replace("{service}", "analytics")
    views = PostgresStore(Address(url, "analytics_1"), VIEWS)

    async def tamper(transaction: Transaction) -> None:
        rows = await transaction.select(TOTALS, Query())
        row = next(row for row in rows if "confirmed" in row.series)
        await transaction.save(TOTALS, [replaced(row, series={**row.series, "confirmed": 7})])

    try:
        await views.transact(tamper)
    finally:
        await views.close()
    verified = await site.sagactl("analytics", "verify", "-o", "json")
    assert verified.code == 1
    (difference,) = json.loads(verified.out)["differences"]
    assert (difference["name"], difference["stored"], difference["recounted"]) == ("confirmed", "7", "1")


async def test_a_version_or_a_schema_that_is_not_there_is_a_sentence(site: Site) -> None:
    await prepare(site, "shipping")
    nothing = await site.sagactl("analytics", "verify")
    assert (nothing.code, "is empty; run `sagactl database apply`" in nothing.err) == (2, True), nothing.err
    await prepare(site, "analytics")
    nothing = await site.sagactl("analytics", "verify")
    assert (nothing.code, "there is no live version of the views" in nothing.err) == (4, True), nothing.err


class Flames:
    """Breaks shipping as often as it is told to."""

    def __init__(self, times: int) -> None:
        self.called: list[str] = []
        self._left = times

    def breaking(self, actions: Actions) -> Actions:
        """Return the same actions, which break."""
        (action,) = actions

        async def act(transaction: Transaction, asks: Sequence[Ask[ScheduleShipment]]) -> Sequence[Reply]:
            self.called += [ask.saga_id for ask in asks]
            if self._left:
                self._left -= 1
                raise RuntimeError("the printer of labels is on fire")
            return await action.act(transaction, asks)

        return (replace(action, act=act),)


def command(order_id: str) -> Message:
    return Message(
        id=f"ScheduleShipment of {order_id}",
        type="ScheduleShipment",
        source="order",
        time=datetime.now(UTC),
        saga_id=order_id,
        correlation_id=order_id,
        causation_id="",
        mode=Mode.ORCHESTRATION,
        definition=ORDER_SAGA.ref,
        data=encode_data(ScheduleShipment(order_id=order_id, user_id="ada", items=[])),
    )


async def ask(its: Adapters, *order_ids: str) -> None:
    await its.log.publish([draft(COMMANDS, command(order_id)) for order_id in order_ids])


async def shipped(service: Service, *order_ids: str) -> None:
    """Return once exactly these orders are shipped."""

    async def all_are() -> bool:
        return {s.order_id for s in await service.store.view(lambda reader: reader.select(SHIPMENTS, Query()))} == {
            *order_ids
        }

    await until(all_are, f"{', '.join(order_ids)} are shipped")


async def said(its: Adapters, topic: str) -> list[Record]:
    return await its.log.for_reader().fetch(dict.fromkeys(await its.log.ends([topic]), 0), 1000)


async def troubled(service: Service, words: str) -> None:
    """Return once the service says in these words that it is not ready."""

    async def is_so() -> bool:
        return any(words in trouble for trouble in service.troubles())

    await until(is_so, f"it says {words!r}")


async def test_a_message_that_an_action_broke_on_once_is_handled_once_when_it_is_redriven(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepare(site, "shipping")
    flames, working = Flames(1), Shipping.actions
    monkeypatch.setattr(Shipping, "actions", lambda its: flames.breaking(working(its)))
    async with site.adapters() as its:
        service = await shipping.host(its)
        async with service:
            await ask(its, "order-1")
            letters: list[str] = []

            async def buried() -> bool:
                letters[:] = (await site.sagactl("dlq", "list", "-o", "name")).out.split()
                return bool(letters)

            await until(buried, "there is a dead letter")
            assert len(letters) == 1
            shown = await site.sagactl("dlq", "show", letters[0])
            assert "RuntimeError: the printer of labels is on fire" in shown.out
            assert "came from  shipping.commands-" in shown.out
            await ask(its, "order-2")
            await shipped(service, "order-2")

            redriven = await site.sagactl("dlq", "redrive", letters[0], *WHY)
            assert redriven.out == "✔ 1 of 1 letters redriven\n", redriven.err
            await shipped(service, "order-1", "order-2")
            again = await site.sagactl("dlq", "redrive", letters[0], *WHY, "--again")
            assert again.code == 0, again.err
            await ask(its, "order-3")
            await shipped(service, "order-1", "order-2", "order-3")

            async def handled() -> bool:
                done = await service.store.view(lambda reader: reader.progress("shipping"))
                return all(done.get(place, 0) == end for place, end in (await its.log.ends([COMMANDS])).items())

            async def published() -> bool:
                return not await service.store.outbox(1)

            await until(handled, "the letter that was redriven twice is handled twice")
            assert sorted(flames.called) == ["order-1", "order-1", "order-2", "order-3"]
            await until(published, "everything is published")
            events = {json.loads(record.headers)["ce_id"] for record in await said(its, EVENTS)}
            assert len(events) == 3
        listed = json.loads((await site.sagactl("dlq", "list", "--all", "-o", "json")).out)
        assert [(each["status"], each["decision"]["actor"]) for each in listed] == [("redriven", "ada")]


async def test_dead_letters_of_a_service_without_a_topic_for_them_are_told_to_be_unseen(site: Site) -> None:
    await prepare(site, "shipping")
    listed = await site.sagactl("dlq", "list", "--service", "shipping", "--service", "billing")
    assert listed.code == 0, listed.err
    assert "billing.dlq-0: there is no such topic; run `sagactl topics apply`" in listed.err


async def test_a_service_goes_on_by_itself_once_the_offsets_of_a_topic_made_anew_are_repaired(
    site: Site, kafka: Broker
) -> None:
    await prepare(site, "shipping")
    async with site.adapters() as its:
        service = await shipping.host(its)
        async with service:
            await ask(its, "order-1", "order-2", "order-3")
            await shipped(service, "order-1", "order-2", "order-3")
            assert (await site.sagactl("offsets", "check", "shipping")).code == 0

            name = f"{site.environment['SAGAPLANE_KAFKA_TOPIC_PREFIX']}{COMMANDS}"
            kafka.delete_topic(name)

            async def gone() -> bool:
                return name not in await asyncio.to_thread(kafka.topics)

            await until(gone, "the topic is deleted")
            lacking = await site.sagactl("offsets", "check", "shipping")
            assert (lacking.code, f"no such topic: {name}" in lacking.err) == (2, True), lacking.err
            await prepare(site, "shipping")
            async with site.adapters() as anew:
                await ask(anew, "order-3", "order-4")
            await troubled(service, "made anew since offsets were stored")

            checked = await site.sagactl("offsets", "check", "shipping")
            assert checked.code == 1
            assert "shipping.commands was made anew since shipping read it: 4 offsets" in checked.out, checked.out
            assert "and this one holds 2 records" in checked.out
            assert "--to earliest: 2 records are read again, none is left out" in checked.out
            partial = await site.sagactl("offsets", "repair", "shipping", "--to", "latest", "--partition", "0", *WHY)
            assert (partial.code, "leave out --partition" in partial.err) == (2, True), partial.err

            repaired = await site.sagactl("offsets", "repair", "shipping", "--to", "earliest", *WHY)
            assert repaired.code == 0, repaired.err
            assert repaired.out.endswith("ada repaired offsets of shipping: a test did it\n")
            await shipped(service, "order-1", "order-2", "order-3", "order-4")
            assert (await site.sagactl("offsets", "check", "shipping")).code == 0


async def test_a_service_goes_on_by_itself_once_offsets_of_dropped_records_are_repaired(site: Site) -> None:
    await prepare(site, "shipping")
    async with site.adapters() as its:
        service = await shipping.host(its)
        async with service:
            await ask(its, "order-1")
            await shipped(service, "order-1")
        await ask(its, *(f"unread-{number}" for number in range(20)))
        assert await its.log.prune(COMMANDS, datetime.now(UTC) + timedelta(seconds=60)) == 21
        service = await shipping.host(its)
        async with service:
            await troubled(service, "is not in the log, which holds")
            checked = await site.sagactl("offsets", "check", "shipping")
            assert checked.code == 1
            assert "records were dropped unread" in checked.out
            assert "--to earliest: no record is read again, none is left out, 20 were dropped unread" in checked.out
            repaired = await site.sagactl("offsets", "repair", "shipping", "--to", "earliest", *WHY)
            assert repaired.code == 0, repaired.err
            await ask(its, "order-2")
            await shipped(service, "order-1", "order-2")
            assert (await site.sagactl("offsets", "check", "shipping")).code == 0
