"""What passes is waited for as long as the settings say, and what does not pass is told at once."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path

import msgspec
import pytest
from aiokafka import errors
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from tests.real.certificates import Authority
from tests.unit.adapters.scripted_kafka import (
    CREATE_TOPICS,
    FETCH,
    METADATA,
    OFFSETS,
    SILENCE,
    ScriptedBroker,
    created,
    metadata,
    offset,
    records,
)

from sagakit.adapters.kafka import KafkaLog, KafkaSettings, WrongTopicsError
from sagakit.adapters.kafka import topics as making
from sagakit.adapters.kafka.brokers import Brokers, PassingError
from sagakit.adapters.kafka.connection import Explanation, new_client, start, stop
from sagakit.adapters.kafka.offsets import END, offsets_at
from sagakit.adapters.kafka.publisher import Publisher
from sagakit.adapters.kafka.reader import Reader
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.ports import LogUnavailableError
from sagakit.testing.contracts.things import draft

PLACE = ("t", 0)
SECONDS_MAX = 20.0
SPEC = TopicSpec.of("t", 1, 1)


@pytest.fixture
async def entry() -> AsyncIterator[ScriptedBroker]:
    """Offer the broker that the settings name."""
    broker = ScriptedBroker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
async def leader(entry: ScriptedBroker) -> AsyncIterator[ScriptedBroker]:
    """Offer the broker that leads the partition, as the other one says; nobody listens there yet."""
    broker = ScriptedBroker()
    entry.script[METADATA] = broker.script[METADATA] = lambda: metadata({1: broker.port}, {PLACE: 1})
    broker.script[OFFSETS] = lambda: offset(*PLACE, 7)
    yield broker
    await broker.stop()


@asynccontextmanager
async def connected(
    entry: ScriptedBroker,
    read_seconds: float = SECONDS_MAX,
    request_seconds: float = SECONDS_MAX,
    settings: KafkaSettings | None = None,
) -> AsyncIterator[Brokers]:
    settings = settings or KafkaSettings(bootstrap_servers=entry.address, read_seconds=read_seconds)
    client, explanation = new_client(settings, "test", request_seconds), Explanation(settings)
    try:
        await start(client, settings)
        yield Brokers(client, explanation, settings)
    finally:
        await explanation.close()
        await stop(client)


async def test_a_command_goes_on_asking_a_leader_that_is_named_before_it_can_be_reached(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    async with connected(entry) as brokers:
        waiting = asyncio.create_task(offsets_at(brokers, [PLACE], END))
        await _asked(entry, METADATA, 3)
        assert not waiting.done()
        await leader.start()
        assert await asyncio.wait_for(waiting, SECONDS_MAX) == {PLACE: 7}


async def test_a_service_is_told_of_a_leader_that_cannot_be_reached_when_its_patience_is_over(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    async with connected(entry, read_seconds=0.1) as brokers:
        for ask in (offsets_at(brokers, [PLACE], END), Reader(brokers).fetch({PLACE: 0}, 1)):
            with pytest.raises(LogUnavailableError, match="Kafka is unavailable: "):
                await asyncio.wait_for(ask, SECONDS_MAX)
    assert leader.asked == []


async def test_a_connection_that_a_broker_closes_between_two_requests_is_made_again(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    await leader.start()
    answers = iter([offset(*PLACE, 7), None, offset(*PLACE, 8)])
    leader.script[OFFSETS] = lambda: next(answers)
    async with connected(entry) as brokers:
        assert [await offsets_at(brokers, [PLACE], END) for _ in range(2)] == [{PLACE: 7}, {PLACE: 8}]


async def test_brokers_that_all_got_new_addresses_are_found_through_those_that_the_settings_name(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    await leader.start()
    async with connected(entry) as brokers:
        assert await offsets_at(brokers, [PLACE], END) == {PLACE: 7}
        moved = ScriptedBroker()
        moved.script[OFFSETS] = lambda: offset(*PLACE, 8)
        entry.script[METADATA] = moved.script[METADATA] = lambda: metadata({1: moved.port}, {PLACE: 1})
        await moved.start()
        await leader.stop()
        assert await asyncio.wait_for(offsets_at(brokers, [PLACE], END), SECONDS_MAX) == {PLACE: 8}
        await moved.stop()


class Trust:
    """What a broker and we show each other: certificates of one authority, in files that can be written anew."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.settings = KafkaSettings(
            security_protocol="SSL",
            ca_file=str(directory / "ca"),
            cert_file=str(directory / "cert"),
            key_file=str(directory / "key"),
            read_seconds=1.0,
        )

    def begin(self, name: str) -> tuple[ssl.SSLContext, Authority]:
        """Return what a broker shows from now on, and who has signed it."""
        directory = self._directory / name
        directory.mkdir()
        authority = Authority.create(directory, name)
        shown = authority.server("IP:127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.certificate, shown.key)
        context.load_verify_locations(authority.own.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        return context, authority

    def mount(self, authority: Authority) -> None:
        """Give us what fits that authority; whoever reads finds whole files."""
        ours = authority.client("order")
        for name, source in (("ca", authority.own.certificate), ("cert", ours.certificate), ("key", ours.key)):
            fresh = self._directory / "fresh"
            fresh.write_bytes(source.read_bytes())
            fresh.replace(self._directory / name)


async def test_certificates_that_were_renewed_are_used_with_the_next_connection(
    entry: ScriptedBroker, tmp_path: Path
) -> None:
    await entry.stop()
    trust = Trust(tmp_path)
    entry.context, authority = trust.begin("old")
    trust.mount(authority)
    await entry.start()
    entry.script[METADATA] = lambda: metadata({1: entry.port}, {PLACE: 1})
    entry.script[OFFSETS] = lambda: offset(*PLACE, 7)
    settings = msgspec.structs.replace(trust.settings, bootstrap_servers=entry.address)
    async with connected(entry, settings=settings) as brokers:
        assert await offsets_at(brokers, [PLACE], END) == {PLACE: 7}
        await entry.stop()
        entry.context, authority = trust.begin("new")
        await entry.start()
        (tmp_path / "ca").write_text("half of a certif")
        with pytest.raises(LogUnavailableError):
            await offsets_at(brokers, [PLACE], END)
        trust.mount(authority)
        assert await offsets_at(brokers, [PLACE], END) == {PLACE: 7}


async def test_a_connection_on_which_no_answer_came_is_not_used_again_to_ask_who_leads(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    await leader.start()
    answers = chain([SILENCE], repeat(metadata({1: leader.port}, {PLACE: 1})))
    leader.script[METADATA] = lambda: next(answers)
    async with connected(entry, request_seconds=1.0) as brokers, asyncio.timeout(SECONDS_MAX):
        while leader.asked.count(METADATA) < 2:
            await brokers.refresh()


async def test_whoever_let_the_log_go_does_not_wait_and_connects_to_nobody(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    async with connected(entry) as brokers:
        waiting = asyncio.create_task(offsets_at(brokers, [PLACE], END))
        await _asked(entry, METADATA, 3)
        brokers.closed = True
        await leader.start()
        with pytest.raises(LogUnavailableError, match="the Kafka log is closed"):
            await asyncio.wait_for(waiting, SECONDS_MAX)
    assert OFFSETS not in leader.asked


async def test_a_publication_that_no_broker_understands_is_told_at_once(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    await leader.start()
    async with connected(entry) as brokers:
        publishing = Publisher(brokers, 1, 2 * SECONDS_MAX).publish([draft("t", "k")])
        with pytest.raises(LogUnavailableError, match=r"Kafka is unavailable: .*version") as caught:
            await asyncio.wait_for(publishing, SECONDS_MAX)
    assert not isinstance(caught.value, PassingError)


async def test_a_partition_that_changed_its_leader_is_looked_for_while_others_bring_records(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    """Its reader once asked the former leader for minutes, as long as another partition always had something."""
    await leader.start()
    leaders = {PLACE: 1, ("t", 1): 1}
    entry.script[METADATA] = leader.script[METADATA] = lambda: metadata({1: leader.port}, leaders)
    moved = errors.NotLeaderForPartitionError.errno
    leader.script[FETCH] = lambda: records("t", [(0, 0, _batch(b"news")), (1, moved, b"")])
    async with connected(entry) as brokers:
        brokers.watch(["t"])
        await brokers.refresh()
        before = leader.asked.count(METADATA)
        (record,) = await Reader(brokers).fetch({PLACE: 0, ("t", 1): 0}, 10)
        assert record.value == b"news"
        await _asked(leader, METADATA, before + 1)


async def test_a_broker_that_lets_us_in_and_closes_is_told_in_a_line(entry: ScriptedBroker) -> None:
    with pytest.raises(LogUnavailableError, match=f"^{entry.address}: ") as caught:
        await KafkaLog.open(KafkaSettings(bootstrap_servers=entry.address), ["t"])
    assert "\n" not in str(caught.value)
    assert entry.asked == [METADATA]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errors.NotControllerError.errno, None),
        (
            errors.InvalidReplicationFactorError.errno,
            "Unable to replicate the partition 1 time(s): All brokers are currently fenced.",
        ),
    ],
)
async def test_topics_are_made_once_the_controller_is_there_and_trusts_the_brokers(
    entry: ScriptedBroker, leader: ScriptedBroker, code: int, message: str | None
) -> None:
    await leader.start()
    answers: Iterator[object] = iter([created("t", code, message), created("t", 0), created("t", 0)])
    leader.script[CREATE_TOPICS] = lambda: next(answers)
    async with connected(entry) as brokers:
        await asyncio.wait_for(making._create(brokers, [SPEC]), SECONDS_MAX)
    assert leader.asked.count(CREATE_TOPICS) == 3


async def test_more_copies_than_there_are_brokers_are_told_at_once(
    entry: ScriptedBroker, leader: ScriptedBroker
) -> None:
    await leader.start()
    told = "Unable to replicate the partition 3 time(s): only 1 broker(s) are registered."
    leader.script[CREATE_TOPICS] = lambda: created("t", errors.InvalidReplicationFactorError.errno, told)
    async with connected(entry) as brokers:
        with pytest.raises(WrongTopicsError, match="only 1 broker"):
            await making._create(brokers, [SPEC])
    assert leader.asked.count(CREATE_TOPICS) == 1


async def _asked(broker: ScriptedBroker, key: int, times: int) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while broker.asked.count(key) < times:  # noqa: ASYNC110 - a broker is looked at, not waited for
            await asyncio.sleep(0.01)


def _batch(value: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1000)
    builder.append(0, 0, key=None, value=value, headers=[])
    return bytes(builder.build())
