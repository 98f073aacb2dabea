"""Topics are made and corrected as declared, and nothing else is done to them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.real.kafka import Broker

from sagakit.adapters.kafka import KafkaLog, KafkaSettings, WrongTopicsError
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.adapters.kafka.topics import apply, check
from shop_contracts.topics import DEFAULT_PARTITIONS, TOPICS

pytestmark = pytest.mark.real

EVENTS = TopicSpec.of("events", 3, 1)
COMMANDS = TopicSpec.of("commands", 3, 1, keep_seconds=60)
NEWEST = TopicSpec.of("newest", 3, 1, compacted=True)
ALL: Sequence[TopicSpec] = (EVENTS, COMMANDS, NEWEST)


@pytest.fixture
def settings(kafka: Broker, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix)


async def test_what_is_missing_is_told_and_made_and_then_nothing_is_to_be_done(settings: KafkaSettings) -> None:
    assert await check(settings, ALL) == [f"{spec.name}: there is no such topic" for spec in ALL]
    assert await apply(settings, ALL) == [f"{spec.name}: made, with 3 partitions and 1 copy" for spec in ALL]
    assert await check(settings, ALL) == []
    assert await apply(settings, ALL) == []


async def test_a_setting_that_differs_is_told_and_corrected_and_others_stay(
    kafka: Broker, settings: KafkaSettings
) -> None:
    wire = f"{settings.topic_prefix}commands"
    kafka.create_topic(wire, 3, 1, retention_ms=5, segment_bytes=2_000_000, message_timestamp_type="LogAppendTime")
    assert await check(settings, [COMMANDS]) == ["commands: retention.ms is 5 instead of 60000"]
    assert await apply(settings, [COMMANDS]) == ["commands: set retention.ms=60000"]
    assert await check(settings, [COMMANDS]) == []
    told = kafka.command("kafka-configs", "--describe", "--topic", wire)
    assert "segment.bytes=2000000" in told


async def test_another_number_of_partitions_is_left_to_a_human(kafka: Broker, settings: KafkaSettings) -> None:
    await apply(settings, [EVENTS])
    more = replace(EVENTS, partitions=6)
    (sentence,) = await check(settings, [more])
    assert sentence.startswith("events: has 3 partitions instead of 6; that is never changed")
    with pytest.raises(WrongTopicsError, match="events: has 3 partitions instead of 6"):
        await apply(settings, [more, COMMANDS])
    assert kafka.topics().count(f"{settings.topic_prefix}commands") == 0


async def test_more_copies_than_there_are_brokers_are_refused_in_the_words_of_the_broker(
    settings: KafkaSettings,
) -> None:
    with pytest.raises(WrongTopicsError, match=r"events: .*replication factor"):
        await apply(settings, [COMMANDS, TopicSpec.of("events", 3, 3)])
    assert await check(settings, [COMMANDS]) == ["commands: there is no such topic"]


async def test_the_topics_of_the_shop_can_be_made_and_opened(settings: KafkaSettings) -> None:
    specs = [
        TopicSpec.of(topic.name, DEFAULT_PARTITIONS, 1, keep_seconds=topic.keep_seconds, compacted=topic.compacted)
        for topic in TOPICS
    ]
    await apply(settings, specs)
    log = await KafkaLog.open(settings, [topic.name for topic in TOPICS])
    assert log.partitions == DEFAULT_PARTITIONS
    await log.close()
