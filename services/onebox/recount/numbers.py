"""Every number that the views hold, made from the orders in SQL: its part, its name, the series, and the amount."""
# ruff: noqa: S608 - levels and series are our own

LEVELS = {"seconds": 1, "minutes": 60, "quarters": 900, "hours": 3600, "days": 86_400}
DURATIONS_FROM = 60
"""Durations are kept by the minute and coarser."""

POINTS = """
CREATE TABLE points AS
SELECT 'orders' AS series, created_ms AS at_ms, CAST(1 AS HUGEINT) AS amount FROM orders WHERE created_ms IS NOT NULL
UNION ALL SELECT 'value:' || currency, created_ms, total_minor FROM orders WHERE total_minor IS NOT NULL
UNION ALL SELECT 'valued:' || currency, created_ms, 1 FROM orders WHERE total_minor IS NOT NULL
UNION ALL SELECT 'captured:' || currency, paid_ms, paid_minor FROM orders WHERE paid_minor <> 0
UNION ALL SELECT 'captures:' || currency, paid_ms, 1 FROM orders WHERE paid_minor <> 0
UNION ALL SELECT 'refunded:' || currency, refunded_ms, refunded_minor FROM orders WHERE refunded_minor <> 0
UNION ALL SELECT 'refunds:' || currency, refunded_ms, 1 FROM orders WHERE refunded_minor <> 0
UNION ALL SELECT 'declined', declined_ms, 1 FROM orders WHERE declined_ms IS NOT NULL
UNION ALL SELECT 'aborted', aborted_ms, 1 FROM orders WHERE aborted_ms IS NOT NULL
UNION ALL SELECT outcome, ended_ms, 1 FROM orders WHERE ended_ms IS NOT NULL;
CREATE TABLE durations AS
SELECT 'duration:' || bin AS series, ended_ms AS at_ms
FROM orders JOIN bins ON duration_ms = ended_ms - created_ms;
"""

TOTALS = """
SELECT 'totals' AS part, 'all' AS name, series, sum(amount) AS amount FROM points GROUP BY series
UNION ALL SELECT 'durations', 'all', series, count(*) FROM durations GROUP BY series
UNION ALL SELECT 'totals', 'all', 'orders/' || mode, count(*) FROM orders WHERE created_ms IS NOT NULL GROUP BY mode
UNION ALL SELECT 'totals', 'all', outcome || '/' || mode, count(*) FROM orders WHERE ended_ms IS NOT NULL
    GROUP BY outcome, mode
UNION ALL SELECT 'reasons', reason, 'orders', count(*) FROM orders WHERE reason IS NOT NULL GROUP BY reason
"""

USERS = """
SELECT 'users' AS part, user_id AS name, series, sum(amount) AS amount FROM (
    SELECT user_id, 'orders' AS series, CAST(1 AS HUGEINT) AS amount FROM orders WHERE created_ms IS NOT NULL
    UNION ALL SELECT user_id, outcome, 1 FROM orders WHERE created_ms IS NOT NULL AND ended_ms IS NOT NULL
    UNION ALL SELECT user_id, 'value:' || currency, total_minor FROM orders WHERE total_minor IS NOT NULL
    UNION ALL SELECT user_id, 'captured:' || currency, paid_minor FROM orders WHERE paid_minor <> 0
    UNION ALL SELECT user_id, 'refunded:' || currency, refunded_minor FROM orders WHERE refunded_minor <> 0
) GROUP BY user_id, series
"""

PRODUCTS = """
SELECT 'products' AS part, product_id AS name, series, sum(amount) AS amount FROM (
    SELECT DISTINCT order_id, product_id, 'orders' AS series, CAST(1 AS HUGEINT) AS amount FROM lines
    UNION ALL SELECT DISTINCT order_id, product_id, outcome, 1 FROM lines JOIN orders USING (order_id)
        WHERE ended_ms IS NOT NULL
    UNION ALL SELECT order_id, product_id, 'quantity', quantity FROM lines
    UNION ALL SELECT order_id, product_id, 'sold', quantity FROM lines JOIN orders USING (order_id)
        WHERE outcome = 'confirmed'
    UNION ALL SELECT order_id, product_id, 'value:' || currency, quantity * price_minor
        FROM lines JOIN orders USING (order_id)
    UNION ALL SELECT order_id, product_id, 'captured:' || currency, quantity * price_minor
        FROM lines JOIN orders USING (order_id) WHERE paid_minor <> 0 AND paid_minor = total_minor
    UNION ALL SELECT order_id, product_id, 'refunded:' || currency, quantity * price_minor
        FROM lines JOIN orders USING (order_id) WHERE refunded_minor <> 0 AND refunded_minor = total_minor
) GROUP BY product_id, series
"""

LANES = """
SELECT 'lanes' AS part, topic || '/' || partition AS name, 'events' AS series, count(*) AS amount
FROM seen GROUP BY topic, partition
UNION ALL SELECT 'lanes', topic || '/' || partition, 'duplicates', count(*)
FROM seen ANTI JOIN firsts USING (topic, partition, "offset") GROUP BY topic, partition
"""

UNMATCHED = """
SELECT 'unmatched' AS part, order_id AS name, 'since' AS series, waiting_since_ms AS amount
FROM orders WHERE waiting_since_ms IS NOT NULL
"""


def recounted() -> str:
    """Return the statements that make the table `recounted`, out of `orders`, `lines`, `seen` and `bins`."""
    selects = [TOTALS, USERS, PRODUCTS, LANES, UNMATCHED, *map(_buckets, LEVELS)]
    union = " UNION ALL ".join(f"({select})" for select in selects)
    rows = "SELECT DISTINCT part, name, '', 0 FROM recounted WHERE part IN ('totals', 'reasons', 'products', 'users')"
    return f"{POINTS} CREATE TABLE recounted AS {union}; INSERT INTO recounted {rows}"


def _buckets(part: str) -> str:
    """Return the sum of each series in each bucket of one level, by the second at which the bucket begins."""
    step = LEVELS[part] * 1000
    bucket = f"CAST(floored(at_ms, {step}) // 1000 AS VARCHAR)"
    durations = f"UNION ALL SELECT '{part}', {bucket}, series, count(*) FROM durations GROUP BY ALL"
    return (
        f"SELECT '{part}' AS part, {bucket} AS name, series, sum(amount) AS amount FROM points GROUP BY ALL "
        f"{durations if LEVELS[part] >= DURATIONS_FROM else ''}"
    )
