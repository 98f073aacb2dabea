"""Which sagas have series of their own at a scrape: few, and those that are worth it."""

from datetime import UTC, datetime, timedelta

import order_service.wiring as order
from sagakit.adapters.memory import MemoryStore
from sagakit.core.facts import Phase
from sagakit.core.state import SagaState
from sagakit.ports import Transaction
from sagakit.runtime.catalogue import ACTIVE, INSTANCE_DROPPED, INSTANCE_PHASE
from sagakit.runtime.gauges import saga_gauges
from sagakit.runtime.live_sagas import CAP, LiveSagas
from sagakit.runtime.metrics import Value
from sagakit.runtime.tracker import SAGAS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
Told = dict[tuple[str, tuple[str, ...]], Value]


def lived(seconds: float, count: int, phase: Phase = Phase.RUNNING) -> list[SagaState]:
    """Return sagas that have lived for so long."""
    at = NOW - timedelta(seconds=seconds)
    ids = [f"{phase}-{seconds:g}-{number}" for number in range(count)]
    return [SagaState(saga_id=id_, correlation_id=id_, phase=phase, started_at=at) for id_ in ids]


async def told(*sagas: SagaState) -> Told:
    """Return what is told of these sagas at a scrape."""
    store = MemoryStore(order.TABLES)

    async def save(transaction: Transaction) -> None:
        await transaction.save(SAGAS, sagas)

    await store.transact(save)
    return {(named.name, labels): value for named, labels, value in await saga_gauges(store, NOW, LiveSagas())}


def shown(its: Told) -> set[str]:
    """Return the sagas that have series."""
    return {labels[0] for name, labels in its if name == INSTANCE_PHASE.name}


async def test_a_saga_has_series_once_it_has_lived_for_two_seconds_and_at_once_when_it_is_stuck() -> None:
    its = await told(*lived(1.9, 3), *lived(2, 2), *lived(0, 1, Phase.NEEDS_INTERVENTION))
    assert shown(its) == {"Running-2-0", "Running-2-1", "NeedsIntervention-0-0"}
    assert its[INSTANCE_DROPPED.name, ()] == 0
    assert its[ACTIVE.name, ("Running",)] == 5, "all are under way"


async def test_of_a_thousand_young_sagas_none_has_series_or_is_dropped() -> None:
    its = await told(*lived(1, 1000), *lived(3, 1))
    assert (shown(its), its[INSTANCE_DROPPED.name, ()]) == ({"Running-3-0"}, 0)


async def test_beyond_the_cap_those_that_are_old_are_counted_as_dropped() -> None:
    its = await told(*lived(60, CAP), *lived(30, 7), *lived(5, 4, Phase.NEEDS_INTERVENTION))
    assert (len(shown(its)), its[INSTANCE_DROPPED.name, ()]) == (CAP, 7 + 4)
    assert {f"NeedsIntervention-5-{number}" for number in range(4)} <= shown(its), "the stuck ones first"
