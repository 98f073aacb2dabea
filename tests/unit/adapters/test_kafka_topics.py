"""The topics that are made for the shop are those that it uses."""

import asyncio
from typing import Any, cast

import pytest

from analytics_service.desk import ANALYTICS_TOPIC, USERS_TOPIC
from analytics_service.views import EVENT_TOPICS
from sagakit.adapters.kafka import topics as making
from sagakit.adapters.kafka.brokers import PassingError
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.ports import LogUnavailableError
from sagakit.runtime.topics import SAGAS_DEFINITIONS, commands_topic, dead_letter_topic
from shop_contracts.carried import topics
from shop_contracts.topics import DEFAULT_PARTITIONS, SERVICES, TOPICS, WEEK_SECONDS

BY_NAME = {topic.name: topic for topic in TOPICS}


def test_every_topic_of_the_documents_and_of_the_services_is_made_once() -> None:
    used = {*topics(), *EVENT_TOPICS, ANALYTICS_TOPIC, USERS_TOPIC, SAGAS_DEFINITIONS}
    own = {name for service in SERVICES for name in (commands_topic(service), dead_letter_topic(service))}
    assert BY_NAME.keys() == used | own
    assert len(TOPICS) == len(BY_NAME)


def test_events_are_kept_for_ever_and_commands_and_dead_letters_for_a_week() -> None:
    kept = {name: topic.keep_seconds for name, topic in BY_NAME.items() if not topic.compacted}
    assert kept == {name: WEEK_SECONDS if name.endswith((".commands", ".dlq")) else None for name in kept}
    assert {name for name, topic in BY_NAME.items() if topic.compacted} == {USERS_TOPIC, SAGAS_DEFINITIONS}


def test_the_number_of_partitions_divides_among_every_usual_number_of_instances() -> None:
    assert all(DEFAULT_PARTITIONS % instances == 0 for instances in (1, 2, 3, 4, 6, 12))


def test_with_copies_all_but_one_have_to_have_a_record() -> None:
    in_sync = [TopicSpec.of("t", 1, copies).configs["min.insync.replicas"] for copies in (1, 2, 3)]
    assert in_sync == ["1", "1", "2"]


def test_a_week_is_told_in_milliseconds_and_ever_as_kafka_says_it() -> None:
    assert TopicSpec.of("t", 1, 1, keep_seconds=WEEK_SECONDS).configs["retention.ms"] == "604800000"
    assert TopicSpec.of("t", 1, 1).configs["retention.ms"] == "-1"


async def test_a_topic_that_nobody_serves_in_time_is_told_with_the_last_that_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nobody(*_: object) -> None:
        await asyncio.sleep(0)
        raise PassingError("t-0: no leader")

    monkeypatch.setattr(making, "REQUEST_SECONDS", 0.01)
    monkeypatch.setattr(making, "offsets_at", nobody)
    with pytest.raises(
        LogUnavailableError, match=r"made, but not every partition serves within 0\.01 s: t-0: no leader"
    ):
        await making._until_led(cast("Any", None), [TopicSpec.of("t", 1, 1)])
