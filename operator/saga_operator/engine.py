"""What keeps resources and sagas in step: a queue of what may have changed, a heap of moments, and workers.

One resource is worked on by one worker at a time. Nothing here decides what to do: `reconcile` does, `acts` does it.
"""

import asyncio
import heapq
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from saga_operator.acts import Acts
from saga_operator.cluster import ClusterError, ConflictError, NotThereError, RefusedError, UnavailableError
from saga_operator.held import Held, Key, Malformed, encoded
from saga_operator.orders import OrdersUnavailableError
from saga_operator.reconcile import (
    IN_DOUBT,
    Known,
    Presence,
    Release,
    Remove,
    SpeakAbort,
    is_new,
    reconcile,
    saga_id_of,
)
from saga_operator.report import report
from saga_operator.resources import MalformedError, OrderSaga, parse
from saga_operator.tracker import Sagas, UnknownDefinitionError
from sagakit.core.messages import Message
from sagakit.core.traces import sampled, trace_of
from sagakit.ports import Clock, LogUnavailableError
from sagakit.runtime.catalogue import QUEUE_LATENCY, RECONCILE_DURATION
from sagakit.runtime.metrics import Distributions
from sagakit.runtime.telling import Ids, about

MOVES_MAX = 16
"""How many moves one visit makes at most; a plan has fewer, and this ends a plan that would go in circles."""
SETTLE_SECONDS = 0.3
"""How long a new resource may stay without a status: what happens meanwhile is told in the same write."""
SPACING_SECONDS = 1.0
"""How far apart the writes of one status are at least."""
CROWDED = 8
"""While more writes than this wait for their turn, what is not final is told later: beginnings and ends come first."""
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 0.5, 15.0
UNATTENDED_SECONDS = 0.5
"""How long a resource waits, or is looked at, before its deadline is kept by somebody else."""
STALE_MAX = 1000
"""How many moments of what has gone, or that were replaced, are kept beside those that count."""
IDLE_SECONDS = 60.0
"""How long the clock is not looked at when nothing is due sooner."""
EXPECTED = (ClusterError, OrdersUnavailableError, LogUnavailableError, UnknownDefinitionError)
"""What the world may do to a move: told in the status, and tried again."""

log_lines = logging.getLogger(__name__)


@dataclass
class Engine:
    """The resources of one operator."""

    acts: Acts
    sagas: Sagas
    clock: Clock
    leads: Callable[[], bool]
    draining: Callable[[], bool]
    held: dict[Key, Held] = field(default_factory=dict)
    malformed: dict[Key, Malformed] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    durations: Distributions = field(default_factory=lambda: Distributions(RECONCILE_DURATION))
    waits: Distributions = field(default_factory=lambda: Distributions(QUEUE_LATENCY))
    _by_saga: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    _queue: asyncio.Queue[Key] = field(default_factory=asyncio.Queue)
    _queued: dict[Key, float] = field(default_factory=dict)
    """Since when each waits, by the clock that never goes back."""
    _busy: dict[Key, float] = field(default_factory=dict)
    """The same of those that are looked at."""
    _heap: list[tuple[datetime, int, Key]] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _earlier: asyncio.Event = field(default_factory=asyncio.Event)

    def seen(self, body: Mapping[str, Any], *, gone: bool = False) -> None:
        """Take up what the API server shows of a resource; one that cannot be read is told and left alone."""
        metadata = body.get("metadata") or {}
        key: Key = (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        if gone:
            self._forget(key)
            return
        try:
            resource = parse(body)
        except MalformedError as error:
            known, malformed = self.malformed.get(key), Malformed.of(body, str(error))
            if known is None or known.sentence != malformed.sentence:
                log_lines.warning("OrderSaga %s/%s is malformed: %s", *key, error)
            elif known.told and known.metadata.get("uid") == metadata.get("uid"):
                malformed.told, malformed.ended_at = True, malformed.ended_at or known.ended_at
            self._forget(key)
            self.malformed[key] = malformed
            self.visit(key)
            return
        self.malformed.pop(key, None)
        self._take(key, resource, body.get("status") or {})
        self.visit(key)

    def taken_up(self) -> dict[Key, object]:
        """Return everything that is kept of a resource, by its key."""
        return {**self.held, **self.malformed}

    def went(self, kept: Mapping[Key, object]) -> None:
        """Forget what there is no more, unless something of that name was taken up meanwhile."""
        for key, one in kept.items():
            if self._kept(key) is one:
                self._forget(key)

    def follows(self, saga_id: str) -> bool:
        """Tell whether a resource stands for this saga."""
        return saga_id in self._by_saga

    def heard(self, message: Message) -> None:
        """Take up what was said of a saga."""
        for key in self._by_saga.get(message.saga_id, ()):
            held = self.held[key]
            try:
                state = self.sagas.hear(held.known.state, message)
            except UnknownDefinitionError:
                held.know(looked_at=None)
                self.visit(key)
                continue
            presence = Presence.PRESENT if self.sagas.proves(message) else held.known.presence
            if state is not held.known.state or presence is not held.known.presence:
                definition = self.sagas.definitions.get(state.definition)
                held.know(state=state, presence=presence, definition=definition, trouble="")
                self.visit(key)

    def begin(self) -> None:
        """Look at every resource anew: we lead from now on, and do not know what happened before."""
        self._heap.clear()
        for key, malformed in self.malformed.items():
            malformed.wakes_at = None
            self.visit(key)
        for key, held in self.held.items():
            held.known = _unknown(held.resource, self.clock.now())
            held.failures = 0
            held.traced = False
            held.wakes_at = None
            self.visit(key)

    def visit(self, key: Key) -> None:
        """Have the resource looked at soon."""
        if key not in self._queued:
            self._queued[key] = time.monotonic()
            self._queue.put_nowait(key)

    @property
    def depth(self) -> int:
        """How many resources wait to be looked at."""
        return self._queue.qsize()

    @property
    def longest_running_seconds(self) -> float:
        """For how long the resource is looked at that has been for longest; 0 when none is."""
        return time.monotonic() - min(self._busy.values()) if self._busy else 0.0

    def next_key(self) -> Key:
        """Return the resource that waits for longest, which waits no longer."""
        key = self._queue.get_nowait()
        del self._queued[key]
        return key

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_the_clock(), name="the clock")
            group.create_task(self._keep_deadlines(), name="deadlines")
            for number in range(workers):
                group.create_task(self._work(), name=f"worker {number}")

    async def speak_in_time(self) -> None:
        """Ask the sagas to abort that are due while nobody gets to them: who looks at one waits, or comes again later.

        No deadline waits for an order service that does not answer. A request that is made twice is one.
        """
        if self.leads():
            await asyncio.gather(*(self._speak(held) for held in self._unattended()))

    def _unattended(self) -> Iterator[Held]:
        before = time.monotonic() - UNATTENDED_SECONDS
        for key, held in self.held.items():
            since = self._busy.get(key, self._queued.get(key))
            if bool(held.failures) if since is None else since < before:
                yield held

    async def _speak(self, held: Held) -> None:
        plan = reconcile(held.resource, held.known, self.clock.now(), draining=self.draining())
        for move in plan.moves:
            if isinstance(move, SpeakAbort):
                with about(_ids(held)):
                    await self.acts.make(held, move)

    async def _keep_deadlines(self) -> None:
        while True:
            await asyncio.sleep(UNATTENDED_SECONDS)
            try:
                await self.speak_in_time()
            except LogUnavailableError as error:
                log_lines.info("deadlines are kept later: %s", error)
            except Exception:
                self.counts["bugs"] += 1
                log_lines.exception("deadlines could not be kept; that is tried again")

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            waited_since = self._queued.pop(key)
            if key in self._busy:
                self._wake(key, self.clock.now() + timedelta(seconds=0.05))
                continue
            began = self._busy[key] = time.monotonic()
            self.waits.at().observe(began - waited_since, self.clock.now().timestamp())
            try:
                await self.look_at(key)
            except Exception:
                self.counts["bugs"] += 1
                log_lines.exception("OrderSaga %s/%s could not be worked on; it comes again", *key)
                self._wake(key, self.clock.now() + timedelta(seconds=BACKOFF_SECONDS_MAX))
            finally:
                del self._busy[key]
                self.durations.at().observe(time.monotonic() - began, self.clock.now().timestamp())

    async def look_at(self, key: Key) -> None:
        """Do for this resource what is to be done now, and have it come again when something fails."""
        if not self.leads():
            return
        malformed = self.malformed.get(key)
        if malformed is not None:
            await self._tell_malformed(key, malformed)
            return
        held = self.held.get(key)
        if held is None:
            return
        try:
            with about(_ids(held)):
                await self._step(held)
            held.failures = 0
            self.counts["ok"] += 1
        except NotThereError:
            self._forget(key)  # the watch does not tell what went while it was away
        except ConflictError:
            self._wake(key, self.clock.now() + timedelta(seconds=BACKOFF_SECONDS))
            await self._read_again(key)
        except EXPECTED as error:
            self.counts["failures"] += 1
            held.failures += 1
            if isinstance(error, RefusedError) and held.known.trouble != str(error):
                log_lines.warning("OrderSaga %s/%s: %s", *key, error)
            held.know(trouble=str(error))
            delay = min(BACKOFF_SECONDS * 2.0 ** min(held.failures - 1, 10), BACKOFF_SECONDS_MAX)
            self._wake(key, self.clock.now() + timedelta(seconds=delay * (1 + 0.2 * self.clock.chance())))
            if not isinstance(error, UnavailableError):
                await self._tell_trouble(held)

    async def _read_again(self, key: Key) -> None:
        """Take up the resource as it is now, for the watch may have brought that before we took up what is older."""
        try:
            self.seen(await self.acts.cluster.read_ordersaga(*key))
        except NotThereError:
            self._forget(key)
        except ClusterError as error:
            log_lines.info("OrderSaga %s/%s is read again later: %s", *key, error)

    async def _tell_malformed(self, key: Key, malformed: Malformed) -> None:
        try:
            await self.acts.tell_malformed(key, malformed)
            now = self.clock.now()
            gone_at = malformed.gone_at(now)
            if gone_at is not None and gone_at <= now:
                await self.acts.cluster.delete_ordersaga(*key, str(malformed.metadata["uid"]))
            elif gone_at is not None:
                self._wake(key, gone_at)
        except NotThereError:
            self._forget(key)
        except ClusterError as error:
            log_lines.info("OrderSaga %s/%s: %s", *key, error)
            self._wake(key, self.clock.now() + timedelta(seconds=BACKOFF_SECONDS_MAX))
            if isinstance(error, ConflictError):
                await self._read_again(key)

    async def _step(self, held: Held) -> None:
        """Make the moves that the plan has, planning anew after each; then report."""
        self.acts.trace(held)
        for _ in range(MOVES_MAX):
            now = self.clock.now()
            plan = reconcile(held.resource, held.known, now, draining=self.draining())
            if not plan.moves:
                break
            move = plan.moves[0]
            if isinstance(move, Release | Remove) and not await self._report(held):
                return
            if not self.leads():
                return
            await self.acts.make(held, move)
            if isinstance(move, Release | Remove):
                break
        if plan.wake_at is not None:
            self._wake(held.key, plan.wake_at)
        await self._report(held)
        await self.acts.trace_ended(held, self.clock.now())

    async def _tell_trouble(self, held: Held) -> None:
        try:
            await self._report(held)
        except ClusterError as error:
            log_lines.info("OrderSaga %s/%s: %s", *held.key, error)

    async def _report(self, held: Held) -> bool:
        """Write the status if it differs and the time has come; tell whether nothing is left to be written."""
        now = self.clock.now()
        plan = reconcile(held.resource, held.known, now, draining=self.draining())
        if plan.ending is None and (held.ended_before or held.unheard):
            return await self._remember(held, now)
        status = report(held.resource, held.known, plan, now)
        body = status.to_body()
        if encoded(body) == held.written:
            doubted_at = held.doubted_at
            if doubted_at is None or now < doubted_at:
                if doubted_at is not None:
                    self._wake(held.key, doubted_at)
                return True
        terminal = status.phase is not None and status.phase.terminal
        earliest = held.earliest_write(SETTLE_SECONDS, SPACING_SECONDS, terminal=terminal)
        if not terminal and self.acts.cluster.waiting > CROWDED:
            earliest = max(earliest, now + timedelta(seconds=SPACING_SECONDS))
        if now < earliest:
            self._wake(held.key, earliest)
            return False
        if not self.leads():
            return False
        if not await self.acts.tell(held, status, body, now):
            self._wake(held.key, now + timedelta(seconds=BACKOFF_SECONDS_MAX))
        return True

    async def _remember(self, held: Held, now: datetime) -> bool:
        """Leave the status as somebody wrote it who knew more; only a later change of the spec has been seen too.

        Why nothing newer is known of a saga that runs is told.
        """
        body = held.remembered(held.known.trouble if held.unheard else "")
        if body is None or not self.leads():
            return True
        earliest = held.earliest_write(SETTLE_SECONDS, SPACING_SECONDS, terminal=held.ended_before)
        if now < earliest:
            self._wake(held.key, earliest)
            return False
        if not await self.acts.write(held, body, now):
            self._wake(held.key, now + timedelta(seconds=BACKOFF_SECONDS_MAX))
        return True

    def _take(self, key: Key, resource: OrderSaga, shown: Mapping[str, Any]) -> None:
        held = self.held.get(key)
        if held is not None and held.resource.uid == resource.uid:
            held.resource, held.shown = resource, encoded(shown)
            return
        if held is not None:
            self._forget(key)
        now = self.clock.now()
        held = self.held[key] = Held(key, resource, _unknown(resource, now), now, encoded(shown))
        self._by_saga[held.known.saga_id].add(key)

    def _kept(self, key: Key) -> Held | Malformed | None:
        return self.held.get(key) or self.malformed.get(key)

    def _forget(self, key: Key) -> None:
        self.malformed.pop(key, None)
        held = self.held.pop(key, None)
        if held is None:
            return
        keys = self._by_saga[held.known.saga_id]
        keys.discard(key)
        if not keys:
            del self._by_saga[held.known.saga_id]

    def _wake(self, key: Key, at: datetime) -> None:
        its = self._kept(key)
        if its is None:
            return
        now = self.clock.now()
        if its.wakes_at is not None and now < its.wakes_at <= at:
            return
        its.wakes_at = at
        if len(self._heap) > STALE_MAX + 2 * (len(self.held) + len(self.malformed)):
            kept = [(entry, self._kept(entry[2])) for entry in self._heap]
            self._heap = [entry for entry, one in kept if one is not None and one.wakes_at == entry[0]]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (at, next(self._numbers), key))
        if self._heap[0][2] == key:
            self._earlier.set()

    def call_due(self) -> float:
        """Have each resource looked at whose moment has come, and return the seconds until the next."""
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            its = self._kept(key)
            if its is not None and its.wakes_at == at:
                its.wakes_at = None
                self.visit(key)
        return (self._heap[0][0] - now).total_seconds() if self._heap else IDLE_SECONDS

    async def _watch_the_clock(self) -> None:
        """Visit each resource when its moment has come."""
        while True:
            seconds = self.call_due()
            self._earlier.clear()
            try:
                await asyncio.wait_for(self._earlier.wait(), max(0.001, min(seconds, IDLE_SECONDS)))
            except TimeoutError:
                continue


def _unknown(resource: OrderSaga, now: datetime) -> Known:
    """Return what is known before anybody was asked: the saga's id, and how often we asked a retry.

    Whoever led before may have sent its order a moment ago.
    """
    seen = resource.status
    sent = resource.spec.saga_ref is None and not is_new(resource, now)
    return Known(
        saga_id_of(resource),
        doubted_until=now + IN_DOUBT if sent else None,
        retries=seen.retries,
        retry_token=seen.observed_retry_token,
    )


def _ids(held: Held) -> Ids:
    """Return what every log line about this resource says of its saga."""
    saga_id, state = held.known.saga_id, held.known.state
    if state is None:
        return Ids(saga_id, held.resource.spec.correlation_id or saga_id)
    trace = trace_of(saga_id, state.traceparent) if sampled(state.traceparent) else ""
    return Ids(saga_id, state.correlation_id or saga_id, trace)
