"""Each kind of window as its definition reads: slow, and short enough to be believed.

A second opinion on windows that were built to be fast. Records come in arrival order, and what is answered is the state
at close. Nothing here is shared with the code under test.
"""

from collections.abc import Iterator, Sequence

from tests.analytics.oracle.cases import Hopping, Record, Session, Sliding, Tumbling, Window, Windowed

Arrival = tuple[Record, int]
"""A record, and the close time when it came: stream time (of all keys, this record included) less grace."""


def windows(case: Windowed) -> tuple[Window, ...]:
    match case:
        case Tumbling():
            return hopping(case.records, case.size_ms, case.size_ms, case.grace_ms)
        case Hopping():
            return hopping(case.records, case.size_ms, case.step_ms, case.grace_ms)
        case Sliding():
            return sliding(case.records, case.difference_ms, case.grace_ms)
        case Session():
            return session(case.records, case.gap_ms, case.grace_ms)


def hopping(records: Sequence[Record], size_ms: int, step_ms: int, grace_ms: int) -> tuple[Window, ...]:
    """Windows are [start, start + size), aligned to the epoch; each takes records while its end is after close time."""
    held: dict[tuple[str, int, int], list[Record]] = {}
    for record, close in arrivals(records, grace_ms):
        for start in range(max(0, record.timestamp_ms - size_ms + 1), record.timestamp_ms + 1):
            if start % step_ms == 0 and start + size_ms > close:
                held.setdefault((record.key, start, start + size_ms), []).append(record)
    return tallied(held)


def sliding(records: Sequence[Record], difference_ms: int, grace_ms: int) -> tuple[Window, ...]:
    """Windows are [start, start + difference]; each takes records while its end is not before close time.

    One ends at each record that came in time for it, and one starts just after each record that was not dropped.
    """
    kept = [
        (record, close) for record, close in arrivals(records, grace_ms) if record.timestamp_ms + difference_ms >= close
    ]
    ending = {(r.key, r.timestamp_ms - difference_ms) for r, close in kept if r.timestamp_ms >= close}
    following = {(r.key, r.timestamp_ms + 1) for r, _ in kept}
    return tallied(
        {
            (key, start, start + difference_ms): [
                r
                for r, close in kept
                if r.key == key and start <= r.timestamp_ms <= start + difference_ms and start + difference_ms >= close
            ]
            for key, start in ending | following
        }
    )


def session(records: Sequence[Record], gap_ms: int, grace_ms: int) -> tuple[Window, ...]:
    """Sessions are [first record, last record]; a record joins the open ones at most a gap away, and makes them one.

    It is dropped if what it would make ends more than a gap before close time. A session was open if the records before
    this one left its end less than a gap before close time: Kafka Streams no longer finds it when it is a whole gap.
    """
    held: dict[tuple[str, int, int], list[Record]] = {}
    before = 0
    for record, close in arrivals(records, grace_ms):
        near = [
            (key, start, end)
            for key, start, end in held
            if key == record.key and start - gap_ms <= record.timestamp_ms <= end + gap_ms and end + gap_ms > before
        ]
        together = [record, *(r for session in near for r in held[session])]
        times = [r.timestamp_ms for r in together]
        if max(times) + gap_ms >= close:
            for one in near:
                del held[one]
            held[record.key, min(times), max(times)] = together
        before = close
    return tallied(held)


def arrivals(records: Sequence[Record], grace_ms: int) -> Iterator[Arrival]:
    for place, record in enumerate(records):
        yield record, max(r.timestamp_ms for r in records[: place + 1]) - grace_ms


def tallied(held: dict[tuple[str, int, int], list[Record]]) -> tuple[Window, ...]:
    return tuple(
        Window(key, start, end, len(records), sum(r.value for r in records))
        for (key, start, end), records in sorted(held.items())
        if records
    )
