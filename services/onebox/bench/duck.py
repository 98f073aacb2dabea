"""The same events as JSON lines, and how long DuckDB takes to count them: a limit to compare with, not a way to do it.

It reads everything at once, knows nothing of events that come twice or late, and keeps nothing.
"""

import time
from pathlib import Path

import duckdb

from analytics_service.settings import AnalyticsSettings
from analytics_service.views import EVENT_TOPICS
from sagakit.adapters.sqlite import SqliteLog
from sagakit.adapters.sqlite.log import PARTITIONS

COLUMNS = "{h: 'STRUCT(ce_type VARCHAR, ce_time TIMESTAMP)', d: 'STRUCT(amount DECIMAL(18, 2))'}"
COUNTING = f"""
SELECT date_trunc('minute', h.ce_time) AS minute,
    count(*) FILTER (h.ce_type = 'OrderCreated') AS orders,
    count(*) FILTER (h.ce_type = 'OrderConfirmed') AS confirmed,
    sum(CASE h.ce_type WHEN 'PaymentCompleted' THEN d.amount WHEN 'PaymentRefunded' THEN -d.amount END) AS revenue
FROM read_json(?, format='newline_delimited', columns={COLUMNS})
GROUP BY minute ORDER BY minute
"""  # noqa: S608 - our own columns; the file is a parameter


async def write_lines(log_file: Path, lines: Path) -> int:
    """Write the events of a log as lines; return how many there are."""
    log = SqliteLog(log_file, PARTITIONS)
    positions = dict.fromkeys(sorted(await log.ends(EVENT_TOPICS)), 0)
    events = 0
    with lines.open("wb") as file:
        while records := await log.fetch(positions, AnalyticsSettings().batch_records_max):
            file.writelines(b'{"h":%s,"d":%s}\n' % (record.headers, record.value) for record in records)
            positions.update({(record.topic, record.partition): record.offset + 1 for record in records})
            events += len(records)
    await log.close()
    return events


def counted_by_duckdb(lines: Path) -> float:
    """Return how many seconds it took."""
    with duckdb.connect() as connection:
        began = time.perf_counter()
        connection.execute(COUNTING, [str(lines)]).fetchall()
        return time.perf_counter() - began
