"""Batch jobs: one verb over many sagas, in bounded transactions, at a given rate, through any number of restarts.

A job first collects its sagas in chunks (so that its total is known, and a saga that changes its phase meanwhile is
neither missed nor met twice), then works through them. Each step does one of both and moves the job in the same
transaction, so a step that is lost was not done, and one that was done is not repeated.
"""

from collections import Counter
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from sagakit.core.decide import Conflict
from sagakit.core.facts import Verb
from sagakit.ports import Clock, Query, Reader, Store, Table, Transaction
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.sagas import SagaFilter, page_of_sagas
from sagakit.runtime.tracker import SAGAS, Tracker

CHUNK_SAGAS_MAX = 1000
SLICE_SAGAS_MAX = 100
SLICES_PER_SECOND = 10


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One job. `cursor` and `chunks` tell how far it has collected, `position` how far it has worked.

    `next_at` is when it goes on; a job that is completed or stopped has none.
    """

    batch_id: str
    verb: Verb
    reason: str
    actor: str
    rate_per_second: int
    created_at: datetime
    wanted: SagaFilter
    step: str | None = None
    state: str = "collecting"
    cursor: str | None = None
    chunks: int = 0
    total: int = 0
    position: int = 0
    done: int = 0
    without_effect: int = 0
    failed: int = 0
    next_at: datetime | None = None
    ended_at: datetime | None = None


class Chunk(msgspec.Struct, frozen=True):
    """Some of a job's sagas: `CHUNK_SAGAS_MAX` of them, but for the last chunk."""

    chunk_id: str
    saga_ids: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True):
    """One saga to which the verb could not be done, and why. `position` is its place in the job."""

    failure_id: str
    batch_id: str
    position: int
    saga_id: str
    reason: str


BATCHES: Table[Batch] = Table("batches", Batch, "batch_id", (("next_at",), ("created_at",)))
CHUNKS: Table[Chunk] = Table("batch_chunks", Chunk, "chunk_id")
FAILURES: Table[Failure] = Table("batch_failures", Failure, "failure_id", (("batch_id", "position"),))


async def begin(transaction: Transaction, batch: Batch, saga_ids: tuple[str, ...] | None) -> Batch:
    """Put a job on record; sagas that are named need not be collected."""
    if saga_ids is not None:
        ids = tuple(dict.fromkeys(saga_ids))
        chunks = [
            Chunk(_chunk_id(batch.batch_id, number), ids[start : start + CHUNK_SAGAS_MAX])
            for number, start in enumerate(range(0, len(ids), CHUNK_SAGAS_MAX))
        ]
        await transaction.save(CHUNKS, chunks)
        batch = replace(batch, state="running", chunks=len(chunks), total=len(ids))
    batch = replace(batch, next_at=batch.created_at)
    await transaction.save(BATCHES, [batch])
    return batch


async def stop(transaction: Transaction, batch_id: str, now: datetime) -> Batch | None:
    """Let a job do nothing more; what it did stays done. None when there is no such job."""
    batch = (await transaction.load(BATCHES, [batch_id])).get(batch_id)
    if batch is not None and batch.next_at is not None:
        batch = replace(batch, state="stopped", next_at=None, ended_at=now)
        await transaction.save(BATCHES, [batch])
    return batch


async def failures(reader: Reader, batch_id: str, after: int, limit: int) -> list[Failure]:
    """Return failures of a job whose place is above `after`, in the order of their places."""
    query = Query(where={"batch_id": batch_id}, by="position", at_least=after + 1, limit=limit)
    return await reader.select(FAILURES, query)


class Batches:
    """The loop that works through the jobs. Several at once are harmless: a job is moved by compare-and-set."""

    def __init__(self, tracker: Tracker, store: Store, clock: Clock) -> None:
        """Do the verbs with `tracker`."""
        self.name = "batch jobs"
        self.counts: Counter[str] = Counter()
        self._tracker = tracker
        self._store = store
        self._clock = clock

    async def step(self) -> bool:
        """Move the job that is due for the longest; tell whether there was one."""
        now = self._clock.now()
        soon = now + timedelta(microseconds=1)
        due = await self._store.view(lambda reader: reader.select(BATCHES, Query(by="next_at", below=soon, limit=1)))
        if not due:
            return False

        async def work(transaction: Transaction) -> None:
            known = await transaction.load(BATCHES, [due[0].batch_id])
            if known.get(due[0].batch_id) == due[0]:
                await self._move(transaction, due[0], now)

        failpoint("batches.before_commit")
        await self._store.transact(work)
        failpoint("batches.after_commit")
        return True

    async def _move(self, transaction: Transaction, batch: Batch, now: datetime) -> None:
        moved = await (_collect if batch.state == "collecting" else self._work)(transaction, batch, now)
        if moved.state == "running" and moved.position >= moved.total:
            moved = replace(moved, state="completed", next_at=None, ended_at=now)
        await transaction.save(BATCHES, [moved])

    async def _work(self, transaction: Transaction, batch: Batch, now: datetime) -> Batch:
        """Do the verb to the next sagas of the job; within the rate, counted from where it stands."""
        ids = await _next_sagas(transaction, batch)
        before = await transaction.load(SAGAS, ids)
        results = await self._tracker.wish(transaction, ids, batch.verb, batch.actor, batch.reason, now, batch.step)
        failed = [
            Failure(f"{batch.batch_id}/{place}", batch.batch_id, place, saga_id, _why(results.get(saga_id)))
            for place, saga_id in enumerate(ids, batch.position)
            if isinstance(results.get(saga_id), Conflict | None)
        ]
        await transaction.save(FAILURES, failed)
        unmoved = sum(1 for saga_id, result in results.items() if result == before[saga_id])
        self.counts[batch.verb] += len(ids) - len(failed)
        self.counts["failed"] += len(failed)
        return replace(
            batch,
            position=batch.position + len(ids),
            done=batch.done + len(ids) - len(failed),
            without_effect=batch.without_effect + unmoved,
            failed=batch.failed + len(failed),
            next_at=now + timedelta(seconds=len(ids) / batch.rate_per_second),
        )


async def _collect(transaction: Transaction, batch: Batch, now: datetime) -> Batch:
    """Take the next chunk of matching sagas into the job."""
    page = await page_of_sagas(transaction, batch.wanted, batch.cursor, CHUNK_SAGAS_MAX)
    ids = tuple(state.saga_id for state in page.records)
    if ids:
        await transaction.save(CHUNKS, [Chunk(_chunk_id(batch.batch_id, batch.chunks), ids)])
    return replace(
        batch,
        state="collecting" if page.next_cursor else "running",
        cursor=page.next_cursor,
        chunks=batch.chunks + bool(ids),
        total=batch.total + len(ids),
        next_at=now,
    )


async def _next_sagas(transaction: Transaction, batch: Batch) -> list[str]:
    number, place = divmod(batch.position, CHUNK_SAGAS_MAX)
    chunk_id = _chunk_id(batch.batch_id, number)
    chunk = (await transaction.load(CHUNKS, [chunk_id]))[chunk_id]
    size = min(max(batch.rate_per_second // SLICES_PER_SECOND, 1), SLICE_SAGAS_MAX)
    return list(chunk.saga_ids[place : place + size])


def _chunk_id(batch_id: str, number: int) -> str:
    return f"{batch_id}/{number}"


def _why(result: object) -> str:
    return result.sentence if isinstance(result, Conflict) else "there is no such saga"
