"""The outbox: what transactions leave behind for the relay."""
# ruff: noqa: PLR2004 - a contract speaks in examples, and examples are numbers

import asyncio

import msgspec
import pytest

from sagakit.ports import Draft, Store, Transaction
from sagakit.testing.contracts.things import THINGS, Mishap, OpenStore, Thing, draft, said, save


class OutboxContract:
    """What `send`, `outbox`, `published`, `outbox_depth` and `on_commit` promise."""

    async def test_what_was_sent_waits_in_the_order_of_commits(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2")
        await _send(store, "3")
        await _send(store, "4", "5")
        entries = await store.outbox(10)
        assert said(entry.draft for entry in entries) == ["1", "2", "3", "4", "5"]
        positions = [entry.position for entry in entries]
        assert positions == sorted(set(positions))

    async def test_a_draft_comes_back_whole(self, open_store: OpenStore) -> None:
        store = open_store()
        drafts = [
            Draft("t.é", "k/🔑", b'{"ce_id":"1","n":2}', b"\x00\xff{"),
            Draft("t", None, b"{}", b""),
            Draft("t", "k", b"{}", msgspec.Raw(b'{"a":1}')),
        ]
        await store.transact(lambda transaction: transaction.send(drafts))
        for place in (store, open_store()):
            found = [entry.draft for entry in await place.outbox(10)]
            assert found[:2] == drafts[:2]
            assert bytes(found[2].value) == b'{"a":1}'

    async def test_the_oldest_come_first_and_no_more_than_asked_for(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2", "3")
        await _send(store, "4")
        some = await store.outbox(2)
        assert said(entry.draft for entry in some) == ["1", "2"][: len(some)]
        assert some

    async def test_what_is_not_forgotten_is_returned_again(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2")
        assert await store.outbox(10) == await store.outbox(10) == await open_store().outbox(10)

    async def test_what_was_published_is_forgotten_durably(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2", "3", "4")
        await _send(store, "5")
        positions = [entry.position for entry in await store.outbox(10)]
        await store.published(positions[:1] + positions[2:3])
        await store.published([])
        for place in (store, open_store()):
            assert said(entry.draft for entry in await place.outbox(10)) == ["2", "4", "5"]
            assert await place.outbox_depth() == 3

    async def test_entries_keep_their_positions_when_others_are_forgotten(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2", "3")
        entries = await store.outbox(10)
        await store.published([entries[1].position])
        assert await store.outbox(10) == [entries[0], entries[2]]

    async def test_forgetting_twice_forgets_nothing_else(self, open_store: OpenStore) -> None:
        store = open_store()
        await _send(store, "1", "2", "3", "4")
        first, second, *_ = [entry.position for entry in await store.outbox(10)]
        for _ in range(3):
            await store.published([first, second])
        await _send(store, "5")
        await store.published([first, second])
        assert said(entry.draft for entry in await store.outbox(10)) == ["3", "4", "5"]

    async def test_positions_grow_even_when_the_outbox_was_empty(self, open_store: OpenStore) -> None:
        last = 0
        for _ in range(3):
            store = open_store()
            await _send(store, "again")
            (entry,) = await store.outbox(10)
            assert entry.position > last
            last = entry.position
            await store.published([last])

    async def test_the_relay_drains_any_number(self, open_store: OpenStore) -> None:
        store = open_store()
        texts = [str(number) for number in range(2345)]
        await _send(store, *texts[:1200])
        await asyncio.gather(*(_send(store, text) for text in texts[1200:1300]))
        await _send(store, *texts[1300:])
        drained: list[str] = []
        while entries := await store.outbox(100):
            assert len(entries) <= 100
            drained += said(entry.draft for entry in entries)
            await store.published([entry.position for entry in entries])
        assert drained == texts
        assert await store.outbox_depth() == 0

    async def test_what_was_taken_back_is_not_sent(self, open_store: OpenStore) -> None:
        store = open_store()

        async def work(transaction: Transaction) -> None:
            await transaction.send([draft("t", "k", "never")])
            raise Mishap

        outcomes = await asyncio.gather(
            _send(store, "1"), store.transact(work), _send(store, "2"), return_exceptions=True
        )
        assert isinstance(outcomes[1], Mishap)
        assert said(entry.draft for entry in await store.outbox(10)) == ["1", "2"]

    async def test_each_commit_that_leaves_something_wakes_the_relay(self, open_store: OpenStore) -> None:
        store = open_store()
        woken: list[int] = []
        store.on_commit(lambda: woken.append(1))
        store.on_commit(lambda: woken.append(2))
        await _send(store, "1")
        assert woken == [1, 2]
        await _send(store, "2")
        assert woken == [1, 2, 1, 2]

    async def test_a_commit_that_leaves_nothing_wakes_nobody(self, open_store: OpenStore) -> None:
        store = open_store()
        woken: list[int] = []
        store.on_commit(lambda: woken.append(1))
        await save(store, Thing("a"))

        async def work(transaction: Transaction) -> None:
            await transaction.send([draft("t", "k", "never")])
            await transaction.save(THINGS, [Thing("b")])
            raise Mishap

        with pytest.raises(Mishap):
            await store.transact(work)
        assert woken == []


async def _send(store: Store, *texts: str) -> None:
    await store.transact(lambda transaction: transaction.send([draft("t", "k", text) for text in texts]))
