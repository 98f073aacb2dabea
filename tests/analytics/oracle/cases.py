"""What Kafka Streams made of each scenario: the golden cases, read into types."""

from pathlib import Path

import msgspec

GOLDENS = Path(__file__).with_name("goldens.json")


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One event, in arrival order; `side` names the stream (`order` or `payment`) in joins only."""

    timestamp_ms: int
    key: str
    value: int
    side: str = ""


class Window(msgspec.Struct, frozen=True, order=True):
    """A window at close; README.md says for each kind whether `end` belongs to it."""

    key: str
    start: int
    end: int
    count: int
    sum: int


class Pair(msgspec.Struct, frozen=True):
    """What the join emitted; a side that stayed alone has None for the other."""

    key: str
    timestamp: int
    order: int | None
    payment: int | None


class Case(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """What all kinds have; `document` says where the semantics are written."""

    name: str
    document: str
    grace_ms: int
    records: tuple[Record, ...]
    departs: str = ""
    """Where the library departs from its own document, this says how; `departures` has these cases."""


class Tumbling(Case, frozen=True, kw_only=True, tag="tumbling"):
    """Windows side by side: [start, end)."""

    size_ms: int
    windows: tuple[Window, ...]


class Hopping(Case, frozen=True, kw_only=True, tag="hopping"):
    """Windows that overlap: [start, end)."""

    size_ms: int
    step_ms: int
    windows: tuple[Window, ...]


class Sliding(Case, frozen=True, kw_only=True, tag="sliding"):
    """Windows that end at a record, or start just after one: [start, end]."""

    difference_ms: int
    windows: tuple[Window, ...]


class Session(Case, frozen=True, kw_only=True, tag="session"):
    """From a key's first record to its last before a silence: [start, end]."""

    gap_ms: int
    windows: tuple[Window, ...]


class Join(Case, frozen=True, kw_only=True, tag="join"):
    """An outer join of orders and payments by order id."""

    difference_ms: int
    pairs: tuple[Pair, ...]


Windowed = Tumbling | Hopping | Sliding | Session


def read(path: Path = GOLDENS) -> tuple[Windowed | Join, ...]:
    return msgspec.json.decode(path.read_bytes(), type=tuple[Windowed | Join, ...])


def windowed() -> tuple[Windowed, ...]:
    return tuple(case for case in read() if not isinstance(case, Join) and not case.departs)


def departures() -> tuple[Windowed, ...]:
    return tuple(case for case in read() if not isinstance(case, Join) and case.departs)


def joins() -> tuple[Join, ...]:
    return tuple(case for case in read() if isinstance(case, Join))
