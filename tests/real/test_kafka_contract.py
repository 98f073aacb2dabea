"""A log in Kafka keeps the promises of the port."""

from collections.abc import AsyncIterator

import pytest
from tests.real.kafka import Broker
from tests.real.kafka_world import KafkaWorld, kafka_world

from sagakit.testing.contracts import LogContract

pytestmark = pytest.mark.real


class TestKafkaLog(LogContract):
    @pytest.fixture
    async def world(self, kafka: Broker) -> AsyncIterator[KafkaWorld]:
        async with kafka_world(kafka.bootstrap_servers) as world:
            yield world
