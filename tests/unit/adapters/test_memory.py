"""What the memory adapters do beyond the ports, so that a simulation finds mistakes before a database does."""

from collections.abc import Coroutine
from typing import Any

import pytest

from sagakit.adapters.memory import MemoryLog, MemoryState, MemoryStore
from sagakit.ports import Query, Transaction
from sagakit.runtime.clock import SystemClock
from sagakit.testing.contracts import TABLES
from sagakit.testing.contracts.things import NOON, THINGS, Mishap, Part, Thing, draft, fact, save


def test_nothing_in_memory_ever_waits() -> None:
    store, log = MemoryStore(TABLES), MemoryLog(SystemClock())

    async def work(transaction: Transaction) -> None:
        await transaction.save(THINGS, [Thing("a")])
        await transaction.load(THINGS, ["a"])
        await transaction.select(THINGS, Query())
        await transaction.append("s", [fact("x")], 0, NOON)
        await transaction.send([draft("t", "k")])

    async def everything() -> None:
        await store.transact(work)
        await store.view(lambda reader: reader.count(THINGS, {}))
        entries = await store.outbox(10)
        await log.publish([entry.draft for entry in entries])
        await store.published([entry.position for entry in entries])
        member = await log.join("g", "m", ())
        await log.fetch({("t", partition): 0 for partition in await member.assignment()}, 10)
        await member.leave()
        await log.close()
        await store.close()

    run_to_end(everything())


async def test_a_loaded_record_that_was_changed_in_place_is_found_out() -> None:
    store = MemoryStore(TABLES)
    await save(store, Thing("a", parts={"x": Part("x")}))

    async def work(transaction: Transaction) -> None:
        found = await transaction.load(THINGS, ["a"])
        found["a"].parts["y"] = Part("y")

    with pytest.raises(AssertionError, match="changed in place"):
        await store.transact(work)


async def test_a_state_outlives_its_store() -> None:
    state = MemoryState()
    await save(MemoryStore(TABLES, state), Thing("a", serial="1"))
    heir = MemoryStore(TABLES, state)

    async def work(transaction: Transaction) -> None:
        await transaction.delete(THINGS, ["a"])
        raise Mishap

    with pytest.raises(Mishap):
        await heir.transact(work)
    assert await heir.view(lambda reader: reader.count(THINGS, {})) == 1


async def test_a_work_within_a_work_is_found_out() -> None:
    store = MemoryStore(TABLES)

    async def work(_: Transaction) -> None:
        await save(store, Thing("a"))

    with pytest.raises(AssertionError, match="something other than its transaction"):
        await store.transact(work)


def run_to_end(coroutine: Coroutine[Any, Any, None]) -> None:
    """Take one step, as a simulation does, and see that it was the last."""
    with pytest.raises(StopIteration):
        coroutine.send(None)
