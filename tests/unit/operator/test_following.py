"""The log as the operator follows it: what is theirs is heard, and nothing that anybody says stops it."""

from collections.abc import Mapping

import pytest
from tests.unit.operator.operators import Operators, manifest

from saga_operator.following import Follower
from saga_operator.resources import ORDER_SAGA_PLURAL
from sagakit.adapters.memory import MemoryLog
from sagakit.core.facts import Phase
from sagakit.core.messages import Message
from sagakit.core.part import ABORT, STUCK
from sagakit.ports import Draft, Record
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP


class Following:
    """An operator that follows a log in memory, with one saga of its own."""

    def __init__(self) -> None:
        self.world = Operators()
        self.operator = self.world.start()
        self.world.shop.listeners.clear()
        self.world.api.make(ORDER_SAGA_PLURAL, manifest())
        self.leads = True
        self.log = MemoryLog(self.world.clock)
        self.follower = Follower(self.log, self.operator.engine, SHOP, lambda: self.leads)
        while self.world.see(self.operator) or self.world.work(self.operator):
            pass

    @property
    def saga_id(self) -> str:
        (held,) = self.operator.engine.held.values()
        return held.known.saga_id

    @property
    def phase(self) -> Phase | None:
        (held,) = self.operator.engine.held.values()
        return held.known.state.phase if held.known.state else None

    def said(self) -> list[tuple[str, Message]]:
        """Return what the shop says until the saga has ended, each message with its topic."""
        found: list[tuple[str, Message]] = []
        self.world.shop.listeners.append(lambda topic, message: found.append((topic, message)))
        story = self.world.shop.stories[self.saga_id]
        found += [(story.voice.topic(message), message) for message in self.world.shop.said]
        while self.world.shop.deliver():
            pass
        return [(topic, message) for topic, message in found if not topic.endswith(".commands")]

    async def to_the_end(self) -> None:
        while await self.follower.step():
            pass


async def test_the_saga_of_a_resource_is_followed_to_its_end() -> None:
    following = Following()
    await following.to_the_end()
    await following.log.publish([draft(topic, message) for topic, message in following.said()])
    await following.to_the_end()
    assert following.phase is Phase.COMPLETED
    assert following.follower.counts["messages"] == 6


async def test_whoever_begins_to_follow_begins_at_the_end_and_has_every_resource_looked_at() -> None:
    following = Following()
    await following.log.publish([draft(topic, message) for topic, message in following.said()])
    await following.to_the_end()
    assert following.follower.counts["records"] == 0
    assert following.operator.engine.depth == 1
    following.leads = False
    assert not await following.follower.step()
    assert not following.follower.follows


async def test_what_a_service_says_that_is_for_another_to_say_is_not_believed() -> None:
    following = Following()
    await following.to_the_end()
    said = [("inventory.events", message) for topic, message in following.said() if topic == "payments.events"]
    await following.log.publish([draft(topic, message) for topic, message in said])
    await following.to_the_end()
    assert said
    assert following.follower.counts["messages"] == 0
    assert following.follower.counts["unreadable"] == len(said)


@pytest.mark.parametrize("headers", [b"", b"{}", b"[]", b"\xff", b'{"ce_type": "PaymentCompleted"}'])
async def test_a_record_that_is_no_message_stops_nobody(headers: bytes, caplog: pytest.LogCaptureFixture) -> None:
    following = Following()
    await following.to_the_end()
    garbage = [Draft("payments.events", key, headers, b"\x00{") for key in (following.saga_id, "somebody", None)]
    await following.log.publish([*garbage, *(draft(topic, message) for topic, message in following.said())])
    await following.to_the_end()
    assert following.phase is Phase.COMPLETED
    assert following.follower.counts["unreadable"] == 1
    [line] = [record for record in caplog.records if record.name.endswith("following")]
    where = f"{line.__dict__['topic']}-{line.__dict__['partition']}@{line.__dict__['offset']}"
    assert line.getMessage().startswith(f"{where}: ")
    assert line.__dict__["saga_id"] == following.saga_id


@pytest.mark.parametrize("kind", [ABORT, STUCK, "PaymentCompleted", "OrderCancelled"])
@pytest.mark.parametrize("body", [b"{}", b'{"reason": 7}', b'{"barred": []}', b'{"step": "no such step"}'])
async def test_a_message_whose_body_means_nothing_stops_nobody(kind: str, body: bytes) -> None:
    following = Following()
    await following.to_the_end()
    said = following.said()
    story = following.world.shop.stories[following.saga_id]
    bad = draft("sagas.events", story.voice.say(kind, step="payment"))
    await following.log.publish([Draft(bad.topic, bad.key, bad.headers, body)])
    await following.log.publish([draft(topic, message) for topic, message in said])
    await following.to_the_end()
    assert following.phase in (Phase.COMPLETED, Phase.COMPENSATED)


async def test_what_was_fetched_when_the_lead_was_lost_is_dropped_and_no_failure() -> None:
    following = Following()
    await following.to_the_end()
    await following.log.publish([draft(topic, message) for topic, message in following.said()])
    fetch = following.log.fetch

    async def fetch_and_lose_the_lead(positions: Mapping[tuple[str, int], int], limit: int) -> list[Record]:
        records = await fetch(positions, limit)
        following.follower.restart()
        return records

    following.log.fetch = fetch_and_lose_the_lead  # type: ignore[method-assign]
    assert await following.follower.step() is False
    assert following.follower.counts["records"] == 0
    assert not following.follower.follows
