"""Batch jobs over HTTP: one verb over many sagas."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from order_service.inputs import BatchAsked, BatchFilter, BatchJobList, BatchJobPath, BatchJobsAsked, BatchJobStop
from sagakit.core.facts import Phase, Verb
from sagakit.ports import Clock, Reader, Store
from sagakit.runtime.batches import BATCHES, Batch, Failure, begin, failures, stop
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.problems import ProblemError, invalid, not_found
from sagakit.runtime.http.routes import Call, Reply, Route, Shape
from sagakit.runtime.ids import TimeOrderedIds
from sagakit.runtime.paging import InvalidCursorError, merged_page
from sagakit.runtime.sagas import SagaFilter, count_sagas, page_of_sagas
from sagakit.runtime.tracker import SAGAS

TAG = "Batch jobs"
SAMPLE_SAGAS = 10
FAILURES_LIMIT = 1000


class FailureShape(Shape, frozen=True, kw_only=True):
    """A saga to which the verb could not be done, and why."""

    saga_id: str
    reason: str


class BatchFilterSaid(Shape, frozen=True, kw_only=True):
    """Which sagas the job is for."""

    phase: Phase | None
    reason: str | None
    started_before: datetime | None


class BatchJob(Shape, frozen=True, kw_only=True):
    """A job. Its `total` is known when it is not collecting any more."""

    batch_id: str
    verb: Verb
    step: str | None
    reason: str
    actor: str
    filter: BatchFilterSaid
    state: str
    rate_per_second: int
    total: int
    done: int
    without_effect: int
    failed: int
    created_at: datetime
    ended_at: datetime | None


class BatchJobDetail(BatchJob, frozen=True, kw_only=True):
    """A job with its failures, the first ones first."""

    failures: list[FailureShape]
    next_failures_after: int | None


class BatchJobs(Shape, frozen=True, kw_only=True):
    """One page of jobs, the newest first."""

    batches: list[BatchJob]
    next_cursor: str | None


class DryRun(Shape, frozen=True, kw_only=True):
    """How many sagas a job would be for, and the ids of some. Nothing was done."""

    verb: Verb
    total: int
    sample: list[str]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class BatchRoutes:
    """Answers about batch jobs; the loop in `sagakit.runtime.batches` does them."""

    store: Store
    clock: Clock
    ids: TimeOrderedIds

    def routes(self) -> list[Route]:
        """Return every route of batch jobs."""
        return [
            Route(
                method="POST",
                path="/sagas/batch",
                handler=self.begin_batch,
                summary="Do one verb to many sagas, at a rate; a dry run only counts them",
                returns={202: BatchJob, 200: DryRun},
                params=BatchJobsAsked,
                body=BatchAsked,
                headers={202: ("Location",)},
                tag=TAG,
            ),
            Route(
                method="GET",
                path="/batches",
                handler=self.list_batches,
                summary="List batch jobs, the newest first",
                returns={200: BatchJobs},
                params=BatchJobList,
                tag=TAG,
            ),
            Route(
                method="GET",
                path="/batches/{batchId}",
                handler=self.get_batch,
                summary="How far a batch job is, and what failed",
                returns={200: BatchJobDetail},
                params=BatchJobPath,
                problems=(404,),
                tag=TAG,
            ),
            Route(
                method="POST",
                path="/batches/{batchId}/stop",
                handler=self.stop_batch,
                summary="Do no more of a batch job; what is done stays done",
                returns={200: BatchJob},
                params=BatchJobStop,
                problems=(404,),
                tag=TAG,
            ),
        ]

    async def begin_batch(self, call: Call[BatchJobsAsked, BatchAsked]) -> Reply:
        """Put the job on record; it is worked through in the background, also after a restart."""
        asked, now = call.body, self.clock.now()
        wanted = _wanted(asked.filter, now)
        if asked.dry_run:
            return Reply(200, await self._dry_run(asked, wanted, now))
        batch = Batch(
            batch_id=self.ids.new(),
            verb=asked.verb,
            step=asked.step,
            reason=asked.reason,
            actor=call.params.actor,
            rate_per_second=asked.rate_per_second,
            created_at=now,
            wanted=wanted,
        )
        ids = None if asked.filter.ids is None else tuple(asked.filter.ids)
        failpoint("http.before_commit")
        begun = await self.store.transact(lambda transaction: begin(transaction, batch, ids))
        failpoint("http.after_commit")
        return Reply(202, _job(begun), {"Location": f"/batches/{begun.batch_id}"})

    async def list_batches(self, call: Call[BatchJobList, None]) -> BatchJobs:
        """List jobs."""
        cursor, limit = call.params.cursor, call.params.limit
        try:
            page = await self.store.view(
                lambda reader: merged_page(reader, BATCHES, [{}], by="created_at", cursor=cursor, limit=limit)
            )
        except InvalidCursorError as error:
            raise invalid("cursor", str(error)) from None
        return BatchJobs(batches=[_job(batch) for batch in page.records], next_cursor=page.next_cursor)

    async def get_batch(self, call: Call[BatchJobPath, None]) -> BatchJobDetail:
        """Return a job with its failures."""
        batch_id, after = call.params.batch_id, call.params.failures_after

        async def look(reader: Reader) -> tuple[Batch | None, list[Failure]]:
            batch = (await reader.load(BATCHES, [batch_id])).get(batch_id)
            return batch, await failures(reader, batch_id, after, FAILURES_LIMIT + 1)

        batch, failed = await self.store.view(look)
        if batch is None:
            raise _no_batch(batch_id)
        shown = failed[:FAILURES_LIMIT]
        return BatchJobDetail(
            **_told(batch),
            failures=[FailureShape(saga_id=each.saga_id, reason=each.reason) for each in shown],
            next_failures_after=shown[-1].position if len(failed) > len(shown) else None,
        )

    async def stop_batch(self, call: Call[BatchJobStop, None]) -> BatchJob:
        """Stop a job; one that has ended stays as it is."""
        now, batch_id = self.clock.now(), call.params.batch_id
        failpoint("http.before_commit")
        batch = await self.store.transact(lambda transaction: stop(transaction, batch_id, now))
        failpoint("http.after_commit")
        if batch is None:
            raise _no_batch(batch_id)
        return _job(batch)

    async def _dry_run(self, asked: BatchAsked, wanted: SagaFilter, now: datetime) -> DryRun:
        if asked.filter.ids is not None:
            known = await self.store.view(lambda reader: reader.load(SAGAS, asked.filter.ids or ()))
            return DryRun(verb=asked.verb, total=len(known), sample=list(known)[:SAMPLE_SAGAS], as_of=now)
        page = await self.store.view(lambda reader: page_of_sagas(reader, wanted, limit=SAMPLE_SAGAS))
        total = await count_sagas(self.store, wanted)
        return DryRun(verb=asked.verb, total=total, sample=[state.saga_id for state in page.records], as_of=now)


def _wanted(asked: BatchFilter, now: datetime) -> SagaFilter:
    """Return the filter with its age as a moment.

    Raises:
        ProblemError: when it would silently mean more than was meant.
    """
    given = (asked.phase, asked.reason, asked.older_than_seconds)
    if asked.ids is not None and any(each is not None for each in given):
        raise invalid("/filter/ids", "stands alone: named sagas are not filtered again")
    if asked.ids is None and all(each is None for each in given):
        raise invalid("/filter", "names a phase, a reason, an age, or ids: a job for every saga is no accident")
    before = None if asked.older_than_seconds is None else now - timedelta(seconds=asked.older_than_seconds)
    return SagaFilter(asked.phase, asked.reason, before)


def _job(batch: Batch) -> BatchJob:
    return BatchJob(**_told(batch))


def _told(batch: Batch) -> dict[str, Any]:
    said = BatchFilterSaid(
        phase=batch.wanted.phase, reason=batch.wanted.reason, started_before=batch.wanted.started_before
    )
    names = (name for name in BatchJob.__struct_fields__ if name != "filter")
    return {"filter": said, **{name: getattr(batch, name) for name in names}}


def _no_batch(batch_id: str) -> ProblemError:
    return not_found("batchId", f"there is no batch job {batch_id!r}")
