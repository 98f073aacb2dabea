"""What the analytics keep, as declared tables: those of one version of the views, and those that outlive versions.

One row per (window, partition): whoever has a partition writes its rows alone, and what is asked for is their sum.
"""

from typing import Any

import msgspec

from analytics_service.orders import JoinedOrder
from sagakit.ports import Table
from sagakit.runtime.consumer import KNOWN_TOPICS

Series = dict[str, int]


class Lane(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How far event time has come in one partition of one topic. Times are milliseconds since 1970.

    `stream_ms` is the newest time of an event, and no later than the log's clock allows; `lifted_ms` is how far others
    had come when this one was idle. Both only grow, and are None before there was any.
    """

    lane: str
    topic: str
    partition: int
    stream_ms: int | None = None
    lifted_ms: int | None = None
    logged_ms: int | None = None
    idle: bool = False
    events: int = 0
    late: int = 0
    duplicates: int = 0
    future: int = 0
    past: int = 0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some buckets in a row of one level and partition.

    Each series is a JSON list: the place of a bucket that is not empty, its number, and so on, the places ascending.
    From minutes on, `duration:<bin>` counts the sagas of one bin of a sketch that ended then.
    """

    key: str
    level: int
    partition: int
    start: int
    series: dict[str, msgspec.Raw]


class LateSums(msgspec.Struct, frozen=True, kw_only=True):
    """What came late into one bucket, in sum, by the earliest end of a window that was still open when it came.

    It is also in the bucket's chunk. Windows that end before `open_end` had been closed without it.
    """

    key: str
    level: int
    partition: int
    bucket: int
    open_end: int
    series: Series


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over all time in one partition: of everything, a reason, a product, or a user, by its `name`."""

    key: str
    partition: int
    name: str
    series: Series


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a user."""

    user_id: str
    name: str | None = None
    segment: str | None = None
    country: str | None = None
    updated_ms: int = 0


JOINED: Table[JoinedOrder] = Table(
    "joined_orders",
    JoinedOrder,
    "order_id",
    (
        ("user_id", "created_ms"),
        ("created_ms",),
        ("paid_ms",),
        ("refunded_ms",),
        ("ended_ms",),
        ("declined_ms",),
        ("aborted_ms",),
        ("waiting_since_ms",),
    ),
)
LANES: Table[Lane] = Table("lanes", Lane, "lane")
CHUNKS: Table[Chunk] = Table("chunks", Chunk, "key", (("level", "start"),))
LATE: Table[LateSums] = Table("late", LateSums, "key", (("level", "bucket"),))
TOTALS: Table[Sums] = Table("totals", Sums, "key")
REASONS: Table[Sums] = Table("reasons", Sums, "key")
PRODUCTS: Table[Sums] = Table("products", Sums, "key", (("name",),))
USERS: Table[Sums] = Table("users", Sums, "key")

VIEWS: tuple[Table[Any], ...] = (
    JOINED,
    LANES,
    CHUNKS,
    LATE,
    TOTALS,
    REASONS,
    PRODUCTS,
    USERS,
    KNOWN_TOPICS,
)
"""The tables of one version."""
