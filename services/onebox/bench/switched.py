"""`python -m onebox.bench.switched SERVICES`: a process of the box where a measurement turns seeing on and off.

So what is compared has the same processes, memory and databases: of two shops one is always a little slower. The
product has no such switch. A line on the standard input says what is seen from then on, and comes back when it is so.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
from typing_extensions import override

from onebox.box import Box, BoxError
from onebox.process import STARTED
from onebox.wiring import build_services
from sagakit.adapters.otel import by_ratio
from sagakit.core.traces import begin
from sagakit.hosting import CannotStartError
from sagakit.hosting.process import TOLD, cannot_start, log_as, tune
from sagakit.runtime.catalogue import STEP_WAIT
from sagakit.runtime.metrics import Distribution, Distributions, Sample
from sagakit.runtime.participant import Participant
from sagakit.runtime.service import Service
from sagakit.runtime.tracker import Tracker

TURN_SECONDS_MAX = 10.0

P = ParamSpec("P")
R = TypeVar("R")


class Seeing(msgspec.Struct, frozen=True):
    """How much is seen of sagas that begin from now on: the share that is traced, and whether anything is counted."""

    traced: float = 0.0
    counted: bool = True


class Turned(msgspec.Struct, frozen=True):
    """How much is seen from now on, and how many seconds of CPU whoever looks has used since the last turn."""

    seeing: Seeing
    seconds: float = 0.0


class Clock:
    """Adds up the CPU that this thread uses within what it times, the clock's own cost included."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._nanoseconds = 0

    def timed(self, call: Callable[P, R]) -> Callable[P, R]:
        """Return the call, timed."""

        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            began = time.thread_time_ns()
            try:
                return call(*args, **kwargs)
            finally:
                self._nanoseconds += time.thread_time_ns() - began

        return wrapped

    def taken(self) -> float:
        """Return the seconds, and begin anew."""
        seconds, self._nanoseconds = self._nanoseconds / 1e9, 0
        return seconds


class Switch:
    """Turns seeing on and off in one service, which begins as its settings say, and times whoever looks.

    Not timed is the thread that sends spans.

    Uncounted are sagas and steps, with histograms and exemplars, for which the relay looks at all that it published.
    What the loops count stays: some additions for each batch, which an object that does nothing would not do faster.
    """

    def __init__(self, service: Service, clock: Clock) -> None:
        """Remember what there is to see with."""
        self._seen, self._clock = service.seen, clock
        self._spans = self._seen.witness.spans
        actors = [actor for _, actor in self._seen._actors]  # noqa: SLF001 - nobody else turns anything off
        consumers = (*self._seen._listeners, *self._seen._unhurried)  # noqa: SLF001
        self._trackers = [actor for actor in actors if isinstance(actor, Tracker)]
        self._waits = [(actor, actor.waits) for actor in actors if isinstance(actor, Participant)]
        self._heard = [(consumer, consumer.heard) for consumer in consumers]

    def turn(self, seeing: Seeing) -> None:
        """See so much from now on."""
        witness, traced, timed = self._seen.witness, seeing.traced > 0, self._clock.timed
        assert seeing.counted or not traced, "whoever looks for spans counts too"
        assert self._spans is not None or not traced, "spans go nowhere: the settings name no collector"
        witness.spans = self._spans if traced else None
        for consumer, heard in self._heard:
            consumer.heard = timed(heard) if traced and heard is not None else None
        for tracker in self._trackers:
            tracker.traced = timed(partial(begin, chosen=by_ratio(seeing.traced))) if traced else None
        self._seen.relay._witness = timed(witness.published) if seeing.counted else None  # noqa: SLF001
        for participant, waits in self._waits:
            participant.waits = _Timed(waits, self._clock) if seeing.counted else _Unmeasured()


class SwitchedBox(Box):
    """A box of such processes."""

    program = "onebox.bench.switched"


async def turn(box: Box, seeing: Seeing) -> float:
    """Have every process of a switched box see so much from now on; return what seeing cost since the last turn.

    That is in seconds of CPU, of all processes together.

    Raises:
        BoxError: when one does not say that it does.
    """
    line = msgspec.json.encode(seeing) + b"\n"
    for child in box.children:
        assert child.stdin is not None, "the child was started with a pipe"
        child.stdin.write(line)
    seconds = 0.0
    for child in box.children:
        assert child.stdout is not None, "the child was started with a pipe"
        async with asyncio.timeout(TURN_SECONDS_MAX):
            answer = await child.stdout.readline()
        try:
            turned = msgspec.json.decode(answer, type=Turned)
        except msgspec.MsgspecError:
            turned = None
        if turned is None or turned.seeing != seeing:
            raise BoxError(f"a process of the box was told {line!r} and said {answer!r}")
        seconds += turned.seconds
    return seconds


async def serve(names: list[str]) -> None:
    """Run these services until told to stop, or the parent is gone; do meanwhile what it says."""
    words = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, words.feed_eof)
    async with build_services(names) as services:
        clock = Clock()
        switches = [Switch(service, clock) for service in services]
        print(STARTED, flush=True)
        while line := await words.readline():
            seeing = msgspec.json.decode(line, type=Seeing)
            for switch in switches:
                switch.turn(seeing)
            print(msgspec.json.encode(Turned(seeing, clock.taken())).decode(), flush=True)


class _Timed(Distributions):
    """Counts where others count, by the clock."""

    def __init__(self, counted: Distributions, clock: Clock) -> None:
        super().__init__(counted.named)
        self._counted, self._clock = counted, clock
        self._clocked: dict[tuple[str, ...], Distribution] = {}

    @override
    def at(self, *labels: str) -> Distribution:
        child = self._clocked.get(labels)
        if child is None:
            child = self._clocked[labels] = _Clocked(self._counted.at(*labels), self._clock)
        return child

    @override
    def samples(self) -> Iterable[Sample]:
        return self._counted.samples()


class _Clocked(Distribution):
    """Observes for another."""

    __slots__ = ("observe",)

    def __init__(self, counted: Distribution, clock: Clock) -> None:
        super().__init__(())
        self.observe = clock.timed(counted.observe)  # type: ignore[method-assign]


class _Unmeasured(Distributions):
    """Counts nothing."""

    def __init__(self) -> None:
        super().__init__(STEP_WAIT)
        self._nothing = _Nothing(())

    @override
    def at(self, *labels: str) -> Distribution:
        return self._nothing


class _Nothing(Distribution):
    """Observes nothing."""

    __slots__ = ()

    @override
    def observe(
        self, value: float, now: float, trace_id: str = "", span_id: str = "", correlation_id: str = ""
    ) -> None:
        return


def main() -> None:
    """Run the services named on the command line."""
    import uvloop

    try:
        log_as("+".join(sys.argv[1:]), os.environ, logging.WARNING)
        tune()
        uvloop.run(serve(sys.argv[1:]))
    except (CannotStartError, *TOLD) as error:
        cannot_start(error)


if __name__ == "__main__":
    main()
