"""One instance's place in a consumer group, kept alive from a thread of its own, and only while it is asked about.

Heartbeats go on while the service's loop is busy. But whoever has not asked for its assignment for a whole session is
taken for dead, and leaves: a service that hangs must not keep its partitions. A change of hands waits for the question
too: what the caller may still believe to be its own is given to nobody else while we live.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future

from sagakit.adapters.kafka.background import Background
from sagakit.adapters.kafka.brokers import Place
from sagakit.adapters.kafka.coordinator import Coordinator, DisplacedError, RebalancingError, StrangerError
from sagakit.adapters.kafka.shares import Share
from sagakit.ports import LogUnavailableError

HEARTBEATS_PER_SESSION = 20
"""With a session of 10 s a change of hands is heard of within 0.5 s."""
COMMIT_SECONDS = 1.0
BACKOFF_SECONDS = 0.2
PATIENCE_PER_SESSION = 1 / 3
PATIENCE_SECONDS_MIN = 1.0
"""How long whoever joins waits to hear what is its own; after that it asks again later."""
LEAVE_SECONDS = 2.0

NOTHING: frozenset[int] = frozenset()
NOBODY = Share()
log_lines = logging.getLogger(__name__)


class KafkaMembership:
    """Keeps the promises of `Membership`. What stands under the lock is shared with the thread."""

    def __init__(
        self, background: Background, connect: Callable[[], Awaitable[Coordinator]], session_seconds: float
    ) -> None:
        """Be nobody until `join`."""
        self._background = background
        self._connect = connect
        self._session_seconds = session_seconds
        self._lock = threading.Lock()
        self._share = NOBODY
        self._held = NOTHING
        self._asked_at = self._lived_at = time.monotonic()
        self._wanted = True
        self._joined = False
        self._over = False
        self._trouble: str | None = None
        self._settled: Future[None] = Future()
        self._handled: dict[Place, int] = {}
        self._commit_at = 0.0
        self._wake = asyncio.Event()
        self._running: Future[None] | None = None
        self._coordinator: Coordinator | None = None

    async def join(self) -> None:
        """Enter the group; an earlier instance of the same name is out from now on.

        Raises:
            LogUnavailableError: when the brokers do not let us in.
        """
        self._running = self._background.run(self._run())
        await self._patiently()
        # It may join while it leaves, and then nothing is known of its trouble any more.
        if not self._joined and (trouble := self._trouble) is not None:
            await self.leave()
            raise LogUnavailableError(trouble)

    async def assignment(self) -> frozenset[int]:
        if not self._ask():
            await self._patiently()
            if not self._ask() and self._trouble is not None:
                raise LogUnavailableError(self._trouble)
        return self._held

    def handled(self, positions: Mapping[tuple[str, int], int]) -> None:
        with self._lock:
            self._handled.update(positions)

    async def leave(self) -> None:
        with self._lock:
            self._over, self._share, self._held = True, NOBODY, NOTHING
        if self._running is None or self._background.closed:
            return
        self._ring()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._running)), LEAVE_SECONDS)
        if not self._running.done():
            self._running.cancel()
            await asyncio.wrap_future(self._background.run(self._depart()))

    def _ask(self) -> bool:
        """Take over what is ours from now on; tell whether we have a place, or never shall have one again."""
        with self._lock:
            now = self._asked_at = time.monotonic()
            heard_of = now - self._lived_at < self._session_seconds
            self._held = self._share.partitions if heard_of else NOTHING
            seated = self._joined or self._over
            self._wanted = True
            ring = not seated or bool(self._share.give_up)
        if ring and not self._over:
            self._ring()
        return seated

    async def _patiently(self) -> None:
        """Return when it is known how joining went, or after a while."""
        with self._lock:
            settled = self._settled
        patience = max(PATIENCE_SECONDS_MIN, self._session_seconds * PATIENCE_PER_SESSION)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(settled)), patience)

    def _ring(self) -> None:
        self._background.call(self._wake.set)

    # From here on everything runs in the thread.

    async def _run(self) -> None:
        """Join and stay, and join again when somebody asks, until it is over."""
        while not self._over:
            try:
                if not await self._is_wanted():
                    break
                await self._join()
                await self._stay()
            except DisplacedError:
                log_lines.info("a newer instance of the same name has taken the place in the group")
                self._out()
                with self._lock:
                    self._over = True
            except StrangerError:
                self._out()
            except RebalancingError:
                continue
            except LogUnavailableError as error:
                await self._troubled(str(error))
            except Exception as error:
                log_lines.exception("the place in the group is lost")
                await self._troubled(f"{type(error).__name__}: {error}")
        await self._depart()

    async def _is_wanted(self) -> bool:
        """Return when somebody asks, or it is over."""
        while not (self._wanted or self._over):
            self._wake.clear()
            await self._wake.wait()
        return not self._over

    async def _join(self) -> None:
        """Take a seat, or keep it while the group is divided anew. Meanwhile nothing is taken, only given up."""
        if self._coordinator is None:
            self._coordinator = await self._connect()
        with self._lock:
            held = self._held if self._joined else NOTHING
            self._share = Share(self._share.partitions & held)
        began = time.monotonic()
        share = await self._coordinator.join(held)
        with self._lock:
            self._share = NOBODY if self._over else share
            self._joined, self._trouble, self._lived_at = True, None, began
            if not self._settled.done():
                self._settled.set_result(None)

    async def _stay(self) -> None:
        """Live until it is over, somebody has to hand over, or nobody has asked for a session."""
        assert self._coordinator is not None
        pause = self._session_seconds / HEARTBEATS_PER_SESSION
        beat_at = time.monotonic() + pause
        while not self._over:
            self._wake.clear()
            with self._lock:
                now = time.monotonic()
                silent = now - self._asked_at >= self._session_seconds
                handing_over = bool(self._share.give_up) and not self._held & self._share.give_up
            if silent:
                await self._depart()
                self._out()
                return
            if handing_over:
                return
            if now >= beat_at:
                await self._beat()
                beat_at = time.monotonic() + pause
                await self._commit(self._coordinator)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, beat_at - time.monotonic()))

    async def _beat(self) -> None:
        """Say that we live; whoever could not say so for a session is dead to the others."""
        assert self._coordinator is not None
        began = time.monotonic()
        try:
            await self._coordinator.live()
        except LogUnavailableError as error:
            if time.monotonic() - self._lived_at >= self._session_seconds:
                raise StrangerError from error
        else:
            with self._lock:
                self._lived_at = began

    async def _commit(self, coordinator: Coordinator) -> None:
        now = time.monotonic()
        with self._lock:
            if not self._handled or now < self._commit_at:
                return
            handled, self._handled = self._handled, {}
        self._commit_at = now + COMMIT_SECONDS
        try:
            await coordinator.handled(handled)
        except LogUnavailableError as error:
            log_lines.debug("how far the group has come could not be told: %s", error)
            with self._lock:
                self._handled = handled | self._handled

    def _out(self) -> None:
        """Have nothing any more; whoever believes to have something has to ask before we join again."""
        with self._lock:
            if self._joined:
                self._wanted = False
            self._joined, self._share = False, NOBODY
            if self._settled.done():
                self._settled = Future()

    async def _troubled(self, text: str) -> None:
        self._out()
        with self._lock:
            self._trouble = text
        await asyncio.sleep(BACKOFF_SECONDS)

    async def _depart(self) -> None:
        """Tell how far we came, and give the seat up."""
        if self._coordinator is None or not self._coordinator.seated:
            return
        with contextlib.suppress(LogUnavailableError, StrangerError, DisplacedError, RebalancingError):
            self._commit_at = 0.0
            await self._commit(self._coordinator)
        with contextlib.suppress(LogUnavailableError, StrangerError, DisplacedError, RebalancingError):
            await self._coordinator.leave()
