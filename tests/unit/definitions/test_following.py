"""How a service follows the topic of definitions: from the beginning, the first content holds, bad ones stop nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.definitions.town import short
from tests.unit.order_service.shop import HandClock

from sagakit.adapters.memory import MemoryLog
from sagakit.core.definition import Saga
from sagakit.ports import Draft
from sagakit.runtime.definitions import Definitions, defined
from sagakit.runtime.topics import SAGAS_DEFINITIONS
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import definition_of, read_definition
from shop_contracts.order_saga import ORDER_SAGA

CAREFUL = definition_of(short("careful"))
OTHER = replace(CAREFUL, timeout_seconds=99)


class Pupil:
    """Learns everything, but what it cannot do."""

    def __init__(self, cannot: str = "") -> None:
        self.learned: list[Saga] = []
        self.cannot = cannot

    def learn(self, saga: Saga) -> None:
        if saga.ref == self.cannot:
            raise ValueError(f"has no action for {saga.ref}")
        self.learned.append(saga)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def log(clock: HandClock) -> MemoryLog:
    return MemoryLog(clock)


def following(log: MemoryLog, pupil: Pupil) -> Definitions:
    return Definitions("shipping", log, SHOP, known=[ORDER_SAGA], read=read_definition, learner=pupil)


async def read_all(definitions: Definitions) -> None:
    while await definitions.step():
        pass


async def test_whoever_follows_is_ready_when_everything_was_read_and_hears_what_comes_later(
    log: MemoryLog, clock: HandClock
) -> None:
    sagas = [replace(CAREFUL, version=number) for number in range(1, 20)]
    await log.publish([defined(saga, "test", clock.now()) for saga in sagas])
    pupil = Pupil()
    definitions = following(log, pupil)
    assert await definitions.step()
    assert [definitions.ready, await definitions.step(), definitions.ready] == [False, False, True]
    assert sorted(saga.version for saga in pupil.learned) == list(range(1, 20))

    await log.publish([defined(replace(CAREFUL, version=20), "test", clock.now())])
    await definitions.step()
    assert pupil.learned[-1].version == 20


async def test_a_topic_without_definitions_makes_ready_too(log: MemoryLog) -> None:
    definitions = following(log, Pupil())
    assert not await definitions.step()
    assert await definitions.loaded()


async def test_the_first_content_of_a_version_holds_and_the_same_again_is_no_news(
    log: MemoryLog, clock: HandClock
) -> None:
    await log.publish([defined(saga, "test", clock.now()) for saga in (CAREFUL, CAREFUL, OTHER, CAREFUL)])
    pupil = Pupil()
    definitions = following(log, pupil)
    await read_all(definitions)
    assert pupil.learned == [CAREFUL]
    assert definitions.counts == {"definitions": 1, "ignored definitions": 1}


async def test_nobody_may_redefine_the_order_saga(log: MemoryLog, clock: HandClock) -> None:
    forged = replace(definition_of(short("order")), version=1)
    await log.publish([defined(forged, "test", clock.now()), defined(ORDER_SAGA, "test", clock.now())])
    pupil = Pupil()
    definitions = following(log, pupil)
    await read_all(definitions)
    assert pupil.learned == []
    assert definitions.sagas == {"order/1": ORDER_SAGA}


async def test_bad_records_are_counted_and_stop_nobody(
    log: MemoryLog, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = defined(CAREFUL, "test", clock.now())
    alien = replace(CAREFUL, name="alien", completed="TripReady")
    undoable = replace(CAREFUL, name="undoable")
    bad = [
        Draft(SAGAS_DEFINITIONS, "careful/1", b"{}", b"{}"),
        Draft(SAGAS_DEFINITIONS, "careful/1", good.headers, b""),
        Draft(SAGAS_DEFINITIONS, "careful/1", good.headers, b'{"name": "careful"'),
        Draft(SAGAS_DEFINITIONS, "careful/1", good.headers, b'{"name": "careful", "steps": 7}'),
        Draft(SAGAS_DEFINITIONS, "careful/1", good.headers.replace(b"SagaDefined", b"OrderCreated"), good.value),
        Draft(SAGAS_DEFINITIONS, "careful/2", good.headers.replace(b"careful/1", b"careful/2"), good.value),
        defined(alien, "test", clock.now()),
        defined(undoable, "test", clock.now()),
    ]
    await log.publish([*bad, good])
    pupil = Pupil(cannot="undoable/1")
    definitions = following(log, pupil)
    await read_all(definitions)
    assert pupil.learned == [CAREFUL]
    assert definitions.counts["refused definitions"] == len(bad)
    assert definitions.ready
    told = " ".join(record.getMessage() for record in caplog.records)
    assert "alien/1: its completed is OrderConfirmed, not TripReady" in told
    assert "has no action for undoable/1" in told
    assert "its key is careful/2, but it defines careful/1" in told
    for line in caplog.records:
        where = f"{line.__dict__['topic']}-{line.__dict__['partition']}@{line.__dict__['offset']}"
        assert f": {where} " in line.getMessage()


async def test_a_partition_whose_first_records_are_gone_is_read_from_where_it_begins(
    log: MemoryLog, clock: HandClock
) -> None:
    old = [replace(CAREFUL, version=number) for number in range(1, 9)]
    await log.publish([defined(saga, "test", clock.now()) for saga in old])
    clock.pass_seconds(60)
    await log.publish([defined(replace(CAREFUL, version=number), "test", clock.now()) for number in range(9, 17)])
    assert await log.prune(SAGAS_DEFINITIONS, clock.now() - timedelta(seconds=30)) == len(old)
    pupil = Pupil()
    await read_all(following(log, pupil))
    assert sorted(saga.version for saga in pupil.learned) == list(range(9, 17))
