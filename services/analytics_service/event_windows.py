"""Windows that events make: sliding ones and sessions, at millisecond resolution. No IO.

Both follow Kafka Streams (KIP-450, sliding windows; KIP-94, session windows): a window's end belongs to it. What is
there at close is found by letting the events come once more, in the order of what was closed when each of them came.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analytics_service.metrics import Point


@dataclass(frozen=True, slots=True)
class EventWindow:
    """One window, its end included. `now` or `at_close` is None where the window does not exist from that side.

    `late_count` events are in it now and are in no window of that extent at close.
    """

    start_ms: int
    end_ms: int
    now: Counter[str] | None
    at_close: Counter[str] | None
    late_count: int


def sliding(points: Iterable[Point], size_ms: int) -> list[EventWindow]:
    """Return the sliding windows of these events, by their start.

    One ends at each event, and one starts a millisecond after each event if there is an event in it. An event that
    comes when a window's end is closed is late for that window.
    """
    events = sorted(points, key=lambda point: point.at_ms)
    late = [p for p in events if p.at_ms < p.arrival.closed_ms]
    starts_now = {p.at_ms - size_ms for p in events} | {p.at_ms + 1 for p in events}
    starts_at_close = {p.at_ms - size_ms for p in events if p.at_ms >= p.arrival.closed_ms}
    starts_at_close |= {p.at_ms + 1 for p in events if p.at_ms + size_ms >= p.arrival.closed_ms}
    late_times = [p.at_ms for p in late]
    running = _Running(events)
    found = []
    for start in sorted(starts_now):
        end = start + size_ms
        count = running.move(start, end)
        if not count:
            continue
        beside = late[bisect_left(late_times, start) : bisect_right(late_times, end)]
        missed = [p for p in beside if p.arrival.closed_ms > end]
        exists = start in starts_at_close and len(missed) < count
        now = running.sums.copy()
        at_close = _less(now, sums(missed)) if exists else None
        found.append(EventWindow(start, end, now, at_close, len(missed) if exists else count))
    return found


class _Running:
    """The sums of the events in a window that only moves forward."""

    def __init__(self, events: Sequence[Point]) -> None:
        """Begin before the first of the events, which are in the order of time."""
        self.sums: Counter[str] = Counter()
        self._events = events
        self._first = self._next = 0

    def move(self, start: int, end: int) -> int:
        """Move to `[start, end]`, and return how many events are in it."""
        events = self._events
        while self._next < len(events) and events[self._next].at_ms <= end:
            self.sums.update(events[self._next].sums)
            self._next += 1
        while self._first < self._next and events[self._first].at_ms < start:
            self.sums.subtract(events[self._first].sums)
            self._first += 1
        return self._next - self._first


def sessions(points: Iterable[Point], gap_ms: int, lateness_ms: int) -> list[EventWindow]:
    """Return the sessions of one user's events, by start; what exists on one side only stands by itself."""
    events = list(points)
    now = {(group[0].at_ms, group[-1].at_ms): group for group in _groups(events, gap_ms)}
    at_close = _sessions_at_close(events, gap_ms, lateness_ms)
    found = []
    for start, end in sorted(now.keys() | at_close.keys()):
        inside, closed = now.get((start, end)), at_close.get((start, end))
        late_count = len(inside or ()) - len(closed or ()) if inside else 0
        found.append(
            EventWindow(
                start, end, sums(inside) if inside else None, sums(closed) if closed else None, max(late_count, 0)
            )
        )
    return found


def sums(points: Iterable[Point]) -> Counter[str]:
    """Return the sum of each series."""
    total: Counter[str] = Counter()
    for point in points:
        for name, amount in point.sums.items():
            total[name] += amount
    return total


def _groups(points: Iterable[Point], gap_ms: int) -> list[list[Point]]:
    """Return the events in groups between which there is more than a gap."""
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda point: point.at_ms):
        if groups and point.at_ms - groups[-1][-1].at_ms <= gap_ms:
            groups[-1].append(point)
        else:
            groups.append([point])
    return groups


def _sessions_at_close(points: Sequence[Point], gap_ms: int, lateness_ms: int) -> dict[tuple[int, int], list[Point]]:
    """Return the sessions that events make as they come.

    An event joins the open sessions at most a gap away and makes them one. It is dropped when what it would make ended
    more than a gap before what was closed. Within a partition events come in the order of offsets, over partitions in
    that of what was closed: so nothing that is still to come stands before what made a session that is over.
    A session is open until a gap and the lateness have gone by; without lateness the event that closes it still joins.
    """
    held: dict[tuple[int, int], list[Point]] = {}
    for point in sorted(points, key=lambda p: (p.arrival.closed_ms, p.partition, p.arrival.offset)):
        closed_ms = point.arrival.closed_ms
        near = [
            (start, end)
            for start, end in held
            if start - gap_ms <= point.at_ms <= end + gap_ms
            and (end + gap_ms > closed_ms or (not lateness_ms and point.at_ms >= closed_ms))
        ]
        together = [point, *(other for extent in near for other in held[extent])]
        times = [other.at_ms for other in together]
        if max(times) + gap_ms >= closed_ms:
            for extent in near:
                del held[extent]
            held[min(times), max(times)] = together
    return held


def _less(now: Counter[str], missed: Counter[str]) -> Counter[str]:
    return Counter({name: amount - missed[name] for name, amount in now.items()})
