"""What a broker says of batches that are too large for it, and what becomes of them."""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import errors
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from sagakit.adapters.kafka.brokers import Brokers, Place
from sagakit.adapters.kafka.connection import said
from sagakit.adapters.kafka.publisher import Publisher
from sagakit.adapters.kafka.records import records_of
from sagakit.ports import Draft, LogUnavailableError

PUBLICATIONS_MAX = 20
TOPICS = ("a", "b")


@dataclass
class NarrowBrokers:
    """Take batches of at most so many bytes."""

    most: int
    code: int = errors.MessageSizeTooLargeError.errno
    taken: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    sizes: list[int] = field(default_factory=list)

    def wire(self, name: str) -> str:
        return name

    def name(self, wire: str) -> str:
        return wire

    async def refresh(self) -> None:
        pass

    async def by_leader(self, places: Iterable[Place]) -> dict[int, list[Place]]:
        return {1: list(places)}

    def trouble(self, place: Place, code: int) -> LogUnavailableError:
        return LogUnavailableError(f"{place[0]}-{place[1]}: {said(errors.for_code(code)())}")

    async def send(self, node: int | None, request: Any, channel: object) -> Any:  # noqa: ANN401 - aiokafka has no types
        if isinstance(request, InitProducerIdRequest):
            return SimpleNamespace(error_code=0, producer_id=1, producer_epoch=0)
        assert isinstance(request, ProduceRequest)
        return SimpleNamespace(
            topics=[
                (topic, [(number, self._take(topic, batch)) for number, batch in batches])
                for topic, batches in request._topics
            ]
        )

    def _take(self, topic: str, batch: bytes) -> int:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            return self.code
        self.taken[topic] += (record.value for record in records_of(topic, 0, batch, 0))
        return 0


@pytest.mark.parametrize("code", [errors.MessageSizeTooLargeError.errno, errors.RecordListTooLargeError.errno])
async def test_batches_become_smaller_until_a_topic_takes_them(code: int) -> None:
    brokers = NarrowBrokers(3000, code)
    publisher = Publisher(cast("Brokers", brokers), 1, 10.0)
    values = [b"%d" % number * 100 for number in range(500)]
    drafts = [Draft(topic, "k", b"{}", value) for value in values for topic in TOPICS]
    with pytest.raises(LogUnavailableError, match=r"^a-0: .*Large: .* records of \d+ bytes; smaller batches come next"):
        await publisher.publish(drafts)
    for _ in range(PUBLICATIONS_MAX):
        with suppress(LogUnavailableError):
            await publisher.publish(drafts)
            break
    assert {topic: taken[-len(values) :] for topic, taken in brokers.taken.items()} == dict.fromkeys(TOPICS, values)
    before = len(brokers.sizes)
    await publisher.publish(drafts)
    assert brokers.most // 4 < max(brokers.sizes[before:]) <= brokers.most, "two that refuse a batch halve it once"


async def test_one_record_that_is_too_large_is_told_and_does_not_make_all_batches_small() -> None:
    brokers = NarrowBrokers(300_000)
    publisher = Publisher(cast("Brokers", brokers), 1, 10.0)
    with pytest.raises(LogUnavailableError, match=r"^a-0: .*one record of 40\d{4} bytes; .*max\.message\.bytes"):
        await publisher.publish([Draft("a", "k", b"{}", b"x" * 400_000)])
    await publisher.publish([Draft("a", "k", b"{}", b"x" * 1000) for _ in range(200)])
    assert len(brokers.sizes) == 2
