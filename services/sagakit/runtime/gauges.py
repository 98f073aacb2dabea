"""What is measured when somebody scrapes: what waits, for how long, and how far behind we are."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from sagakit.core.facts import Phase
from sagakit.core.state import SagaState
from sagakit.ports import Query, Reader, Store
from sagakit.runtime.catalogue import (
    ACTIVE,
    LAG_RECORDS,
    LAG_SECONDS,
    OLDEST,
    OUTBOX_AGE,
    PARKED,
    PARTITIONS,
    PENDING,
    STUCK,
)
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.live_sagas import CAP, LiveSaga, LiveSagas
from sagakit.runtime.metrics import Sample
from sagakit.runtime.parking import PARKED as PARKED_TABLE
from sagakit.runtime.tracker import SAGAS

LIVE_PHASES = tuple(phase for phase in Phase if not phase.terminal)
YOUNG = timedelta(seconds=2)
"""Most sagas end sooner: with series, each scrape would have other ids, and Prometheus would keep them all."""


async def outbox_gauges(store: Store, now: datetime) -> list[Sample]:
    """Return how much waits in the outbox, and since when."""
    depth = await store.outbox_depth()
    oldest = await store.outbox(1) if depth else []
    since = _decode_timed(oldest[0].draft.headers).ce_time if oldest else None
    return [(PENDING, (), depth), (OUTBOX_AGE, (), _age(since, now))]


async def parked_gauges(store: Store) -> list[Sample]:
    """Return how much is parked."""
    return [(PARKED, (), await store.view(lambda reader: reader.count(PARKED_TABLE, {})))]


async def saga_gauges(store: Store, now: datetime, live: LiveSagas | None) -> list[Sample]:
    """Return how many sagas are under way, and show in `live` those that are not young, or stuck.

    Where somebody else shows them, `live` is None.
    """

    async def look(reader: Reader) -> list[tuple[Phase, int, list[SagaState]]]:
        found = []
        for phase in LIVE_PHASES:
            number = await reader.count(SAGAS, {"phase": phase})
            query = Query(where={"phase": phase}, by="started_at", limit=1 if live is None else CAP)
            found.append((phase, number, await reader.select(SAGAS, query) if number else []))
        return found

    samples: list[Sample] = []
    states: list[SagaState] = []
    total = 0
    for phase, number, its in await store.view(look):
        old = [state for state in its if not _young(state, now)]
        states += old
        total += len(old) if len(old) < len(its) else number
        samples += [(ACTIVE, (phase,), number), (OLDEST, (phase,), _age(its[0].started_at if its else None, now))]
        if phase is Phase.NEEDS_INTERVENTION:
            samples.append((STUCK, (), number))
    if live is not None:
        live.replace(map(_shown, sorted(states, key=_urgency)[:CAP]), total)
        samples += live.samples()
    return samples


def partition_gauges(consumers: Mapping[str, Consumer]) -> Iterable[Sample]:
    """Return how many partitions each consumer handles here, by the name of its loop.

    One without partitions is behind in none: only this tells it from one that has read all.
    """
    for name, consumer in consumers.items():
        yield PARTITIONS, (name,), len(consumer.assigned)


def lag_gauges(consumers: Mapping[str, Consumer], ends: Mapping[tuple[str, int], int]) -> list[Sample]:
    """Return how far each consumer is behind, by the name of its loop."""
    samples: list[Sample] = []
    for name, consumer in consumers.items():
        behind = sum(max(0, ends.get(place, 0) - offset) for place, offset in consumer.positions.items())
        samples.append((LAG_RECORDS, (name,), behind))
        samples += [(LAG_SECONDS, (name, topic), consumer.waited.get(topic, 0.0)) for topic in consumer.topics]
    return samples


def _shown(state: SagaState) -> LiveSaga:
    return LiveSaga(state.correlation_id, state.definition, state.phase, state.deadline)


def _urgency(state: SagaState) -> tuple[bool, float]:
    """Return what a saga is sorted by when not all can be shown: the stuck ones first, then the oldest."""
    began = state.started_at.timestamp() if state.started_at is not None else 0.0
    return state.phase is not Phase.NEEDS_INTERVENTION, began


def _young(state: SagaState, now: datetime) -> bool:
    """Tell whether a saga began too lately to have series; one that is stuck has them at once."""
    return state.phase is not Phase.NEEDS_INTERVENTION and now - (state.started_at or now - YOUNG) < YOUNG


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0


class _Timed(msgspec.Struct, frozen=True):
    ce_time: datetime | None = None


_decode_timed = msgspec.json.Decoder(_Timed).decode
