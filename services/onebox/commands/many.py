"""Steering many sagas: batch jobs, which the order service works through at a rate, also after a restart."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebox.commands.options import LimitOption, OutputOption, PhaseOption, ReasonOption
from onebox.errors import AnswerIsNo, BadInput
from onebox.moments import moment
from onebox.output import Column, Format, Output
from onebox.session import run
from sagakit.core.facts import Verb

if TYPE_CHECKING:
    from onebox.answers import BatchJob, BatchJobDetail, DryRun
    from onebox.client import Shop

WATCH_SECONDS = 0.5
RATE_MAX = 1000
ENDED = ("completed", "stopped")

BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="The batch job, by its id.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show its progress until it ends.")]


def create(
    verb: Annotated[Verb, typer.Option(help="What to ask of each saga.")],
    reason: ReasonOption,
    phase: PhaseOption = None,
    with_reason: Annotated[
        str | None, typer.Option("--with-reason", help="Only sagas with this reason, such as DEADLINE_PASSED.")
    ] = None,
    older_than: Annotated[
        int | None, typer.Option("--older-than", min=0, help="Only sagas begun so many seconds ago, or earlier.")
    ] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="This saga; may be given often.")] = None,
    step: Annotated[str | None, typer.Option(help="The step concerned, for retry, skip and mark-done.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the sagas, and name some.")] = False,
    rate: Annotated[int, typer.Option(min=1, max=RATE_MAX, help="Sagas per second at most.")] = 100,
    watch: WatchOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Ask one verb of many sagas. With --dry-run nothing is done."""
    wanted = {"phase": phase, "reason": with_reason, "olderThanSeconds": older_than, "ids": ids or None}
    body = {
        "verb": verb,
        "reason": reason,
        "step": step,
        "filter": {name: value for name, value in wanted.items() if value is not None},
        "dryRun": dry_run,
        "ratePerSecond": rate,
    }
    run(lambda shop, out: begin(shop, out, body, watch=watch), output)


def show(batch_id: BatchId, watch: WatchOption = False, output: OutputOption = Format.TABLE) -> None:
    """Show how far a batch job is, and why some sagas failed."""
    run(lambda shop, out: show_batch(shop, out, batch_id, watch=watch), output)


def list_(limit: LimitOption = 50, output: OutputOption = Format.TABLE) -> None:
    """List batch jobs, the newest first."""
    run(lambda shop, out: list_batches(shop, out, limit), output)


def stop(batch_id: BatchId, output: OutputOption = Format.TABLE) -> None:
    """Do no more of a batch job; what is done stays done."""
    run(lambda shop, out: stop_batch(shop, out, batch_id), output)


async def begin(shop: "Shop", out: Output, body: dict[str, Any], *, watch: bool) -> None:
    """Begin the job, or only count; a job without a filter is refused, for it would mean every saga."""
    from onebox.answers import BatchJob, DryRun

    if not body["filter"]:
        raise BadInput("a batch names its sagas", "add --phase, --with-reason, --older-than or --id")
    asked = {name: value for name, value in body.items() if value is not None}
    if body["dryRun"]:
        counted = await shop.post("order", "/sagas/batch", DryRun, asked)
        out.one(counted, str(counted.total), lambda: _counted(counted))
        return
    job = await shop.post("order", "/sagas/batch", BatchJob, asked)
    if watch:
        await show_batch(shop, out, job.batch_id, watch=True)
        return
    out.one(job, job.batch_id, lambda: f"✔ batch {job.batch_id} began; see it: sagactl batch show {job.batch_id}")


async def show_batch(shop: "Shop", out: Output, batch_id: str, *, watch: bool) -> None:
    """Print a job, when it has ended if it is watched.

    Raises:
        AnswerIsNo: when it was watched, and some sagas failed.
    """
    job = await (_watched(shop, out, batch_id) if watch else _batch(shop, batch_id))
    out.one(job, job.batch_id, lambda: _told(job))
    if watch and job.failed:
        raise AnswerIsNo(f"{job.failed} of {job.total} sagas did not allow it", f"sagactl batch show {job.batch_id}")


async def list_batches(shop: "Shop", out: Output, limit: int) -> None:
    """Print jobs."""
    from onebox.answers import BatchJob

    found = await shop.some("order", "/batches", "batches", BatchJob, None, limit)
    columns = [
        Column[BatchJob]("BATCH", lambda job: job.batch_id),
        Column[BatchJob]("VERB", lambda job: job.verb),
        Column[BatchJob]("STATE", lambda job: job.state),
        Column[BatchJob]("DONE", lambda job: f"{job.done} of {job.total}"),
        Column[BatchJob]("FAILED", lambda job: str(job.failed)),
        Column[BatchJob]("BY", lambda job: job.actor),
        Column[BatchJob]("BEGAN", lambda job: moment(job.created_at)),
        Column[BatchJob]("WHY", lambda job: job.reason),
    ]
    out.many(found, lambda job: job.batch_id, columns)


async def stop_batch(shop: "Shop", out: Output, batch_id: str) -> None:
    """Stop the job, and print how far it came."""
    from onebox.answers import BatchJob
    from onebox.client import path_of

    job = await shop.post("order", f"{path_of('batches', batch_id)}/stop", BatchJob, {})
    out.one(job, job.batch_id, lambda: _line(job))


async def _watched(shop: "Shop", out: Output, batch_id: str) -> "BatchJobDetail":
    import asyncio

    with out.progress(f"batch {batch_id}", None) as bar:
        while (job := await _batch(shop, batch_id)).state not in ENDED:
            bar(job.done + job.failed, job.total if job.state == "running" else None)
            await asyncio.sleep(WATCH_SECONDS)
    return job


async def _batch(shop: "Shop", batch_id: str) -> "BatchJobDetail":
    from onebox.answers import BatchJobDetail
    from onebox.client import path_of

    return await shop.get("order", path_of("batches", batch_id), BatchJobDetail)


def _counted(counted: "DryRun") -> str:
    some = "".join(f"\n  {saga_id}" for saga_id in counted.sample)
    more = "\n  …" if counted.total > len(counted.sample) else ""
    return f"{counted.verb} would be asked of {counted.total} sagas; nothing was done{some}{more}"


def _told(job: "BatchJobDetail") -> str:
    failures = [f"  {f.reason if f.saga_id in f.reason else f'{f.saga_id}: {f.reason}'}" for f in job.failures]
    more = ["  … and more; -o json names the first thousand"] if job.next_failures_after is not None else []
    return "\n".join([_line(job), *failures, *more])


def _line(job: "BatchJob") -> str:
    without = f", {job.without_effect} without effect" if job.without_effect else ""
    return (
        f"batch {job.batch_id}: {job.verb} is {job.state}, {job.done} of {job.total} done{without}, {job.failed} failed"
    )
