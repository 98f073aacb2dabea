"""The recount from beginning to end: read what is stored in one look, fetch what lies below it, count, compare."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import msgspec
from ddsketch.mapping import LogarithmicMapping
from iso4217 import Currency

from analytics_service.desk import GROUP as DESK_GROUP
from analytics_service.live import group_of
from analytics_service.tables import JOINED
from onebox.errors import Unreachable
from onebox.recount import differing, numbers, rules
from onebox.recount.raw import Place, Vector, all_of, written
from onebox.recount.stored import Files, write_high_values, write_views
from onebox.recount.verdict import PARTS, Compared, Unequal, Verdict, by_topic, name_of
from sagakit.ports import Log, OffsetOutOfRangeError, Store

LETTERS = "analytics.dlq"
RELATIVE_ACCURACY = 0.01
NO_TIME = -(2**31)
"""The bin of a duration of zero or less."""
OUTBOX_MAX = 1_000_000
MEMORY_MAX = "1GB"
"""Of DuckDB; what is more goes into its temporary file."""


class Letter(msgspec.Struct, frozen=True):
    """Which record a dead letter is about."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What is verified: one version of the views, the catalogue beside it, and the log that both were made from.

    `thresholds` are amounts in minor units above which an order is of high value, by currency.
    """

    version: int
    views: Store
    catalogue: Store
    log: Log
    thresholds: Mapping[str, int]


async def recounted(books: Books, limit: int, show: Callable[[int, int], None] = lambda _done, _all: None) -> Verdict:
    """Count everything again and compare; name at most `limit` differences, or all when it is 0.

    `show` hears how many records were read, and how many there are.

    Raises:
        Unreachable: when the log does not have what the views were made from.
    """
    with TemporaryDirectory(prefix="sagactl-recount-") as directory:
        files = Files(*(Path(directory) / name for name in ("numbers.jsonl", "joined.jsonl", "high-values.jsonl")))
        views = await books.views.view(lambda reader: write_views(reader, group_of(books.version), files))
        desk = await books.catalogue.view(lambda reader: write_high_values(reader, DESK_GROUP, files))
        with duckdb.connect(Path(directory) / "recount.duckdb", config=_config(directory)) as connection:
            try:
                letters = await _dead_letters(books)
                _prepare(connection, books, {"views": views, "desk": desk}, letters)
                await _load(connection, books.log, _furthest(views, desk), Path(directory) / "events.jsonl", show)
            except OffsetOutOfRangeError as error:
                raise Unreachable(
                    f"the log does not have what the views were made from: {error}",
                    "verify where the log and the views belong together: --data-dir",
                ) from None
            return _judged(connection, books.version, views, files, limit)


async def unknown(books: Books, order_ids: Sequence[str]) -> list[str]:
    """Return those of the orders that the views do not have."""
    found = await books.views.view(lambda reader: reader.load(JOINED, order_ids))
    return [order_id for order_id in order_ids if order_id not in found]


def _config(directory: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": MEMORY_MAX,
        "temp_directory": directory,
    }


async def _dead_letters(books: Books) -> set[tuple[str, int, int]]:
    """Return the places of the records that could not be read; letters may still wait in an outbox."""
    values = [entry.draft.value for store in (books.views, books.catalogue) for entry in await store.outbox(OUTBOX_MAX)]
    values += [record.value for record in await all_of(books.log, LETTERS)]
    found: set[tuple[str, int, int]] = set()
    for value in values:
        try:
            letter = msgspec.json.decode(value, type=Letter)
        except msgspec.DecodeError:
            continue  # what is not about a record; an outbox holds other messages too
        found.add((letter.topic, letter.partition, letter.offset))
    return found


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    books: Books,
    vectors: Mapping[str, Vector],
    letters: Iterable[tuple[str, int, int]],
) -> None:
    connection.execute("SET TimeZone='UTC'")
    rules.prepare(connection)
    _fill(connection, "currencies", [(c.code, c.exponent) for c in Currency if c.exponent is not None])
    _fill(connection, "thresholds", [*books.thresholds.items()])
    places = [(reader, *place, end) for reader, vector in vectors.items() for place, end in vector.items()]
    _fill(connection, "below", places)
    _fill(connection, "letters", [*letters])


def _fill(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        columns = ", ".join(f"unnest(${number})" for number, _ in enumerate(rows[0], 1))
        connection.execute(f"INSERT INTO {table} SELECT {columns}", [[*column] for column in zip(*rows, strict=True)])


def _furthest(*vectors: Vector) -> dict[Place, int]:
    """Return the greatest offset of each place that holds events which are counted."""
    places = {place for vector in vectors for place in vector if place[0] in rules.COUNTED}
    return {place: max(vector.get(place, 0) for vector in vectors) for place in sorted(places)}


async def _load(
    connection: duckdb.DuckDBPyConnection, log: Log, below: Vector, file: Path, show: Callable[[int, int], None]
) -> None:
    done, load = 0, rules.load()
    async for lines in written(log, below, file):
        connection.execute(load, [str(file)])
        done += lines
        show(done, sum(below.values()))


def _judged(connection: duckdb.DuckDBPyConnection, version: int, vector: Vector, files: Files, limit: int) -> Verdict:
    connection.execute(rules.ORDERED)
    _put_bins(connection)
    connection.execute(numbers.recounted())
    counts = differing.compare(connection, files)
    different = dict(connection.execute("SELECT part, count(*) FROM differences GROUP BY part").fetchall())
    parts = (*PARTS, *sorted({*counts, *different} - {*PARTS}))
    some = connection.execute(
        "SELECT * FROM differences ORDER BY list_position($1::VARCHAR[], part), name, what LIMIT $2",
        [[*parts], limit or sum(different.values())],
    ).fetchall()
    return Verdict(
        version=version,
        offsets=by_topic(vector),
        events=_one(connection, "SELECT count(*) FROM seen"),
        left_out=_one(
            connection,
            "SELECT count(*) FROM letters JOIN below USING (topic, partition)"
            " WHERE reader = 'views' AND \"offset\" < next_offset",
        ),
        compared=[Compared(part=part, rows=counts.get(part, 0), different=different.get(part, 0)) for part in parts],
        differences=[
            Unequal(part=part, name=name_of(part, name, what), stored=stored, recounted=recounted)
            for part, name, what, stored, recounted in some
        ],
        differences_total=sum(different.values()),
    )


def _put_bins(connection: duckdb.DuckDBPyConnection) -> None:
    """Say for each duration that occurs which bin of a sketch it falls into."""
    mapping = LogarithmicMapping(RELATIVE_ACCURACY)
    connection.execute("CREATE TABLE bins (duration_ms BIGINT, bin BIGINT)")
    found = connection.execute(
        "SELECT DISTINCT ended_ms - created_ms AS ms FROM orders WHERE ms IS NOT NULL"
    ).fetchall()
    connection.execute(
        "INSERT INTO bins SELECT unnest($1::BIGINT[]), unnest($2::BIGINT[])",
        [[ms for (ms,) in found], [mapping.key(ms) if ms > 0 else NO_TIME for (ms,) in found]],
    )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    (value,) = connection.execute(query).fetchone() or (0,)
    return int(value)
