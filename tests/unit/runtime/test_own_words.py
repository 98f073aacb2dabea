"""A database that was restored to an earlier moment acts on nothing that it hears again: that undid what was done."""

from datetime import timedelta

import pytest
from tests.unit.seeing.world import World, world

import shipping_service.wiring as shipping
from sagakit.adapters.memory import MemoryStore
from sagakit.ports import Store, Transaction
from sagakit.runtime.own_words import OldStoreError
from sagakit.runtime.service import Service
from shipping_service.settings import ShippingSettings

OWN = "shipping.events"
LATER = timedelta(hours=1)
"""Behind every deadline."""


def started_again(its: World, store: Store) -> Service:
    """Return the shipping service on another store."""
    return shipping.build(ShippingSettings(port=0), store, its.services["shipping"].log, its.clock)


async def step(service: Service) -> None:
    """Let it hear what there is."""
    for _ in range(20):
        for loop in service.runner.loops:
            await loop.steps.step()


async def told(its: World) -> int:
    return sum((await its.services["order"].log.ends([OWN])).values())


async def test_whoever_forgot_what_it_said_hears_nothing_and_tells_why() -> None:
    its = await world()
    order = await its.order()
    await its.run()
    said = await told(its)
    its.clock.moment += LATER
    restored = started_again(its, MemoryStore(shipping.TABLES))
    with pytest.raises(
        OldStoreError, match=rf"does not know saga {order}, of which shipping\.events-\d+ has our Shipm"
    ):
        await step(restored)
    assert await told(its) == said, "it says nothing more of the saga"
    assert any("no partitions yet" in trouble for trouble in restored.troubles())


async def test_whoever_begins_behind_its_last_words_goes_on() -> None:
    """What `sagactl offsets repair --to latest` does, before the service starts."""
    its = await world()
    await its.order()
    await its.run()
    said, store = await told(its), MemoryStore(shipping.TABLES)
    (consumer,) = its.services["shipping"].seen._consumers
    ends = await its.services["order"].log.ends(consumer.topics)

    async def repair(transaction: Transaction) -> None:
        for (topic, partition), end in ends.items():
            await transaction.advance("shipping", topic, partition, 0, end)

    await store.transact(repair)
    its.clock.moment += LATER
    its.services["shipping"] = restored = started_again(its, store)
    await step(restored)
    assert await told(its) == said
    await its.order()
    await its.run()
    assert await told(its) > said, "new sagas are served"


async def test_whoever_was_away_for_long_has_forgotten_nothing() -> None:
    its = await world()
    await its.order()
    await its.run()
    service = its.services["shipping"]
    await its.order()
    its.clock.moment += LATER
    again = its.services["shipping"] = started_again(its, service.store)
    await step(again)
    await its.run()
    assert all(hearing.ready for hearing in again.consumers)
