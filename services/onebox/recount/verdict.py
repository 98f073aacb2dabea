"""What a recount found, and how it is told. Values in, values out, no IO."""

from collections.abc import Iterator

from onebox.answers import Answer
from onebox.description import aligned
from onebox.moments import moment
from onebox.recount.raw import Vector

PARTS = (
    "totals",
    "durations",
    "reasons",
    "products",
    "users",
    "seconds",
    "minutes",
    "quarters",
    "hours",
    "days",
    "joined orders",
    "unmatched",
    "lanes",
    "high values",
)
BUCKETS = frozenset({"seconds", "minutes", "quarters", "hours", "days"})


class Compared(Answer, frozen=True, kw_only=True):
    """How many rows of one part of the views were compared, and how many times they differed."""

    part: str
    rows: int
    different: int


class Unequal(Answer, frozen=True, kw_only=True):
    """One thing that is stored otherwise than it was recounted; `nothing` where it is on one side only."""

    part: str
    name: str
    stored: str
    recounted: str


class Verdict(Answer, frozen=True, kw_only=True):
    """What the recount of a version says, at the offsets that it stood at. `left_out` are records nobody could read."""

    version: int
    offsets: dict[str, list[int]]
    events: int
    left_out: int
    compared: list[Compared]
    differences: list[Unequal]
    differences_total: int

    @property
    def equal(self) -> bool:
        """True when nothing differs."""
        return self.differences_total == 0


def by_topic(vector: Vector) -> dict[str, list[int]]:
    """Return offsets by topic, in the order of the partitions."""
    found: dict[str, list[int]] = {}
    for (topic, _), offset in sorted(vector.items()):
        found.setdefault(topic, []).append(offset)
    return found


def line(verdict: Verdict) -> str:
    """Return the verdict in one line."""
    counted = f"{verdict.events} events counted again with DuckDB"
    if verdict.equal:
        return f"✔ {counted}, nothing differs"
    return f"✖ {counted}, {verdict.differences_total} numbers differ"


def told(verdict: Verdict) -> str:
    """Return the verdict as a text: where, what was compared, and by name everything that differs."""
    at = ", ".join(f"{topic} {'+'.join(map(str, offsets))}" for topic, offsets in verdict.offsets.items())
    rows = [("PART", "COMPARED", "DIFFERENT")]
    rows += [(each.part, str(each.rows), str(each.different)) for each in verdict.compared]
    left = [f"{verdict.left_out} records that nobody could read are left out"] if verdict.left_out else []
    return "\n".join(
        [f"version {verdict.version} at {at or 'the beginning'}", *left, "", *aligned(rows), "", *_all(verdict)]
    )


def _all(verdict: Verdict) -> Iterator[str]:
    if verdict.differences:
        rows = [("DIFFERENT", "NAME", "STORED", "RECOUNTED")]
        rows += [(each.part, each.name, each.stored, each.recounted) for each in verdict.differences]
        yield from aligned(rows)
        more = verdict.differences_total - len(verdict.differences)
        if more:
            yield f"… and {more} more; --limit 0 names them all"
        yield ""
    yield line(verdict)


def name_of(part: str, name: str, what: str) -> str:
    """Return the name of a number as a person reads it: a bucket by its time, and without the word `all`."""
    if part in BUCKETS:
        name = _time(name)
    elif part in ("totals", "durations"):
        name = ""
    return " ".join(filter(None, (name, what)))


def _time(second: str) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(second))
    except OverflowError:
        return second
    return moment(at).replace(".000Z", "Z")
