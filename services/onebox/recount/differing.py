"""Stored and recounted, held against each other in SQL: what is on one side only is a difference like any other."""
# ruff: noqa: S608 - columns and tables are our own; values are files, as parameters

from collections.abc import Iterable

import duckdb

from onebox.recount.stored import Files

NUMBERS = """
CREATE TABLE stored AS
SELECT
    CASE WHEN part = 'totals' AND series LIKE 'duration:%' THEN 'durations' ELSE part END AS part,
    name, series, sum(CAST(amount AS HUGEINT)) AS amount
FROM read_json(
    ?, format='newline_delimited',
    columns={part: 'VARCHAR', name: 'VARCHAR', series: 'VARCHAR', amount: 'VARCHAR'}
)
GROUP BY ALL;
"""
BOTH_NUMBERS = """
CREATE TABLE numbers AS
SELECT part, name, series, s.amount AS stored, r.amount AS recounted
FROM stored s FULL OUTER JOIN recounted r USING (part, name, series)
"""
NUMBERS_DIFFER = """
INSERT INTO differences
SELECT
    part, name, series,
    coalesce(CAST(stored AS VARCHAR), 'nothing'), coalesce(CAST(recounted AS VARCHAR), 'nothing')
FROM numbers
WHERE CASE series
    WHEN '' THEN stored IS NULL OR recounted IS NULL
    ELSE coalesce(stored, 0) <> coalesce(recounted, 0)
END
"""
DIFFERENCES = """
CREATE TABLE differences (part VARCHAR, name VARCHAR, what VARCHAR, stored VARCHAR, recounted VARCHAR)
"""

TIMES = (
    "created_ms",
    "ended_ms",
    "paid_ms",
    "declined_ms",
    "refunded_ms",
    "reserved_ms",
    "out_of_stock_ms",
    "released_ms",
    "consumed_ms",
    "shipped_ms",
    "unshipped_ms",
    "aborted_ms",
    "first_ms",
    "waiting_since_ms",
)
WORDS = (
    "mode",
    "user_id",
    "currency",
    "outcome",
    "reason",
    "payment_id",
    "declined_code",
    "refund_method",
    "reservation_id",
    "out_of_stock_reason",
    "shipment_id",
    "carrier",
    "tracking_number",
    "unshipped_reason",
    "aborted_code",
)
AMOUNTS = ("total_minor", "paid_minor", "refunded_minor")
SAID = ("paid", "refunded")
HIGH_VALUES = """
CREATE TABLE recounted_high AS
WITH valued AS (
    SELECT *, coalesce(said.currency, 'USD') AS currency, parts(said.total) AS part
    FROM events JOIN below USING (topic, partition)
    WHERE type = 'OrderCreated' AND reader = 'desk' AND "offset" < next_offset
), minors AS (
    SELECT *, bounded(shifted(part.sign, digits(part), exponent - decimals(part)), exponent) AS total_minor
    FROM valued JOIN currencies ON currency = code
    WHERE part.whole || part.fraction <> ''
)
SELECT order_id, said.userId AS user_id, total_minor, currency, at_ms AS placed_ms
FROM minors JOIN thresholds ON currency = thresholds.code AND total_minor > thresholds.minor
QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY topic, partition, "offset") = 1
"""


def compare(connection: duckdb.DuckDBPyConnection, files: Files) -> dict[str, int]:
    """Fill the table `differences`, and return how many rows of each part were compared."""
    connection.execute(DIFFERENCES)
    connection.execute(NUMBERS, [str(files.numbers)])
    connection.execute(BOTH_NUMBERS)
    connection.execute(NUMBERS_DIFFER)
    counts = dict(connection.execute("SELECT part, count(*) FROM numbers WHERE series <> '' GROUP BY part").fetchall())
    counts["joined orders"] = _joined(connection, files)
    counts["high values"] = _high_values(connection, files)
    return counts


def _joined(connection: duckdb.DuckDBPyConnection, files: Files) -> int:
    kinds = {
        "order_id": "VARCHAR",
        "lines": "VARCHAR[][]",
        "flags": "VARCHAR[]",
        **dict.fromkeys(TIMES, "BIGINT"),
        **dict.fromkeys((*WORDS, *SAID), "VARCHAR"),
        **dict.fromkeys(AMOUNTS, "HUGEINT"),
    }
    same = ", ".join((*TIMES, *AMOUNTS))
    said = ", ".join(SAID)
    words = ", ".join(f"nullif({name}, '') AS {name}" for name in WORDS)
    connection.execute(
        f"CREATE TABLE stored_joined AS SELECT order_id, {same}, {words}, {said},"
        " coalesce(lines, []) AS lines, list_contains(coalesce(flags, []), 'amount') AS bad_amount"
        f" FROM {_read(kinds)}",
        [str(files.joined)],
    )
    connection.execute(
        f"CREATE VIEW recounted_joined AS SELECT order_id, {same}, {words}, {said}, lines, bad_amount FROM orders"
    )
    return _rows(connection, "joined", "joined orders", (*TIMES, *WORDS, *AMOUNTS, *SAID, "lines", "bad_amount"))


def _high_values(connection: duckdb.DuckDBPyConnection, files: Files) -> int:
    kinds = {
        "order_id": "VARCHAR",
        "user_id": "VARCHAR",
        "total_minor": "HUGEINT",
        "currency": "VARCHAR",
        "placed_ms": "BIGINT",
    }
    connection.execute(f"CREATE TABLE stored_high AS SELECT * FROM {_read(kinds)}", [str(files.high_values)])
    connection.execute(HIGH_VALUES)
    return _rows(connection, "high", "high values", ("user_id", "total_minor", "currency", "placed_ms"))


def _rows(connection: duckdb.DuckDBPyConnection, table: str, part: str, columns: Iterable[str]) -> int:
    """Compare rows by their order, column by column, and return how many there are on either side."""
    names = [*columns]
    unequal = " OR ".join(_unequal(name, f"s.{name}", f"r.{name}") for name in names)
    both = ", ".join(f"s.{name} AS s_{name}, r.{name} AS r_{name}" for name in names)
    connection.execute(
        f"CREATE TABLE unequal_{table} AS SELECT order_id, s.order_id AS s, r.order_id AS r, {both}"
        f" FROM stored_{table} s FULL OUTER JOIN recounted_{table} r USING (order_id)"
        f" WHERE s.order_id IS NULL OR r.order_id IS NULL OR {unequal}"
    )
    if connection.execute(f"SELECT 1 FROM unequal_{table} LIMIT 1").fetchone():
        _name(connection, table, part, names)
    (count,) = connection.execute(
        f"SELECT count(*) FROM (SELECT order_id FROM stored_{table} UNION SELECT order_id FROM recounted_{table})"
    ).fetchone() or (0,)
    return int(count)


def _name(connection: duckdb.DuckDBPyConnection, table: str, part: str, columns: Iterable[str]) -> None:
    """Put each row that is on one side only, and each column that differs, among the differences."""
    connection.execute(
        f"INSERT INTO differences SELECT '{part}', order_id, '', coalesce(s.s, 'nothing'), coalesce(s.r, 'nothing')"
        f" FROM unequal_{table} s WHERE s IS NULL OR r IS NULL"
    )
    for name in columns:
        unequal = _unequal(name, f"s_{name}", f"r_{name}")
        connection.execute(
            f"INSERT INTO differences SELECT '{part}', order_id, '{name}',"
            f" coalesce(CAST(s_{name} AS VARCHAR), 'nothing'), coalesce(CAST(r_{name} AS VARCHAR), 'nothing')"
            f" FROM unequal_{table} WHERE s IS NOT NULL AND r IS NOT NULL AND {unequal}"
        )


def _unequal(name: str, stored: str, recounted: str) -> str:
    """Return when two columns differ; of an amount as it was said, how it was written does not matter."""
    unequal = f"{stored} IS DISTINCT FROM {recounted}"
    if name in SAID:
        return f"({unequal} AND same_amount({stored}) IS DISTINCT FROM same_amount({recounted}))"
    return unequal


def _read(kinds: dict[str, str]) -> str:
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in kinds.items())
    return f"read_json(?, format='newline_delimited', columns={{{columns}}})"
