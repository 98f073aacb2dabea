"""The whole little shop over each pair of adapters: every order comes to its end, and the books balance."""

import asyncio
import time
from pathlib import Path

import pytest
from tests.crash.place import Place
from tests.crash.processes import settle

from onebox.layout import PORTS
from onebox.wiring import ALL_TOPICS
from sagakit.adapters.kafka import KafkaSettings
from sagakit.runtime.topics import commands_topic, dead_letter_topic

pytestmark = pytest.mark.real

KAFKA, POSTGRES = "kafka", "postgres"


@pytest.mark.parametrize("store", ["sqlite", POSTGRES])
@pytest.mark.parametrize("log", ["sqlite", KAFKA])
def test_every_order_comes_to_its_end_over_each_log_and_each_store(
    log: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kafka = None
    if log == KAFKA:
        servers = request.getfixturevalue("kafka").bootstrap_servers
        kafka = KafkaSettings(bootstrap_servers=servers, topic_prefix=request.getfixturevalue("topic_prefix"))
    url = request.getfixturevalue("database_url") if store == POSTGRES else ""
    place = Place(tmp_path, kafka, url, time.time())
    asyncio.run(place.prepare())
    settle(place, 0)


def test_the_shop_has_every_topic_that_a_service_tidies_or_buries_into() -> None:
    needed = {topic(service) for service in PORTS for topic in (commands_topic, dead_letter_topic)}
    assert needed <= {topic.name for topic in ALL_TOPICS}
