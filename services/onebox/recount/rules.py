"""What an event says and which one counts, in SQL: from the lines of the log to one row for each order.

Of each kind of event the first one of an order counts, in the order of offsets; an order ends once, so confirmed and
cancelled are one kind. Times are whole milliseconds since 1970, cut off. Amounts never meet a float: they stay the text
that was said until they are a whole number of minor units (JSON functions would read `0.10` as a double, hence QUOTED).
"""
# ruff: noqa: S608 - types and names are our own; the file is a parameter

import duckdb

COUNTED = {
    "orders.events": ("OrderCreated", "OrderConfirmed", "OrderCancelled"),
    "payments.events": ("PaymentCompleted", "PaymentFailed", "PaymentRefunded"),
    "inventory.events": ("InventoryReserved", "InventoryFailed", "InventoryReleased", "ReservationConsumed"),
    "shipping.events": ("ShipmentScheduled", "ShipmentFailed"),
    "sagas.events": ("AbortSaga",),
}
"""Topic → the types of events in it that say something that is counted."""
REQUIRED = {
    "OrderCreated": ("userId", "items", "total", "orderId"),
    "OrderConfirmed": ("orderId",),
    "OrderCancelled": ("orderId", "reason"),
    "PaymentCompleted": ("orderId", "paymentId", "amount"),
    "PaymentFailed": ("orderId", "errorCode"),
    "PaymentRefunded": ("orderId", "amount", "method"),
    "InventoryReserved": ("orderId", "reservationId"),
    "InventoryFailed": ("orderId", "reason"),
    "InventoryReleased": ("orderId",),
    "ReservationConsumed": ("orderId",),
    "ShipmentScheduled": ("orderId", "shipmentId", "carrier", "trackingNumber"),
    "ShipmentFailed": ("orderId", "reason"),
    "AbortSaga": ("code",),
}
"""Type → what it must say to be readable; dead letters are kept for some days only, the events for ever."""

QUOTED = r"""
CREATE MACRO quoted(body) AS rtrim(regexp_replace(
    body,
    '((?:"(?:[^"\\]|\\.)*"|[^"0-9-])*)(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|$)',
    '\1"\2"',
    'g'
), '"')
"""
"""Puts every number of a JSON object in quotes, and leaves strings alone. It matches once more at the end, in vain."""

TIMES = r"""
CREATE MACRO floored(number, step) AS number - ((number % step) + step) % step;
CREATE MACRO fraction_us(digits) AS
    CAST(left(rpad(digits, 6, '0'), 6) AS BIGINT) + CAST(substr(digits, 7, 1) >= '5' AS BIGINT);
CREATE MACRO written_us(said) AS
    epoch_us(TRY_CAST(regexp_replace(upper(said), '\.[0-9]+', '') AS TIMESTAMPTZ))
    + fraction_us(regexp_extract(said, '\.([0-9]+)', 1));
CREATE MACRO numbered_us(said) AS TRY_CAST(round(TRY_CAST(said AS DECIMAL(28, 9)) * 1000000, 0) AS BIGINT);
CREATE MACRO milliseconds(us) AS floored(us, 1000) // 1000;
CREATE MACRO time_ms(said) AS milliseconds(CASE
    WHEN regexp_full_match(said, '-?[0-9]+(\.[0-9]+)?') THEN numbered_us(said)
    WHEN regexp_matches(said, '([zZ]|[-+][0-9]{2}:?[0-9]{2})$') THEN written_us(said)
END)
"""

NUMBERS = r"""
CREATE MACRO parts(said) AS regexp_extract(
    replace(trim(said), '_', ''),
    '^([-+]?)([0-9]*)\.?([0-9]*)(?:[eE]([-+]?[0-9]+))?$',
    ['sign', 'whole', 'fraction', 'power']
);
CREATE MACRO digits(part) AS rtrim(ltrim(part.whole || part.fraction, '0'), '0');
CREATE MACRO decimals(part) AS
    len(part.fraction) - CASE WHEN part.power = '' THEN 0 ELSE TRY_CAST(part.power AS BIGINT) END
    - (len(part.whole || part.fraction) - len(rtrim(part.whole || part.fraction, '0')));
CREATE MACRO shifted(sign, digits, places) AS CASE
    WHEN digits = '' THEN CAST(0 AS HUGEINT)
    WHEN places >= 0 AND len(digits) + places <= 20
        THEN CAST(sign || digits || repeat('0', CAST(places AS BIGINT)) AS HUGEINT)
END;
CREATE MACRO bounded(minor, exponent) AS CASE
    WHEN abs(minor) <= CAST('1' || repeat('0', 15 + exponent) AS HUGEINT) THEN minor
END;
CREATE MACRO same_amount(said) AS CASE
    WHEN parts(said).whole || parts(said).fraction = '' THEN upper(said)
    WHEN digits(parts(said)) = '' THEN '0'
    ELSE replace(parts(said).sign, '+', '') || digits(parts(said)) || 'e' || -decimals(parts(said))
END
"""
"""An amount is digits × 10^-decimals; `same_amount` says it in one way, however it was written."""

TABLES = """
CREATE TABLE currencies (code VARCHAR, exponent BIGINT);
CREATE TABLE thresholds (code VARCHAR, minor HUGEINT);
CREATE TABLE below (reader VARCHAR, topic VARCHAR, partition INTEGER, next_offset BIGINT);
CREATE TABLE letters (topic VARCHAR, partition INTEGER, "offset" BIGINT);
CREATE TABLE events (
    topic VARCHAR, partition INTEGER, "offset" BIGINT, order_id VARCHAR, type VARCHAR, at_ms BIGINT, mode VARCHAR,
    said STRUCT(
        userId VARCHAR, currency VARCHAR, total VARCHAR,
        items STRUCT(productId VARCHAR, quantity VARCHAR, price VARCHAR)[],
        amount VARCHAR, paymentId VARCHAR, "method" VARCHAR, reason VARCHAR, errorCode VARCHAR, reservationId VARCHAR,
        shipmentId VARCHAR, carrier VARCHAR, trackingNumber VARCHAR, code VARCHAR
    )
)
"""

LINES = """
{topic: 'VARCHAR', partition: 'INTEGER', "offset": 'BIGINT', appended_at: 'VARCHAR', key: 'VARCHAR',
 headers: 'VARCHAR', value: 'VARCHAR'}
"""
HEADERS = (
    '{"ce_type":"VARCHAR","ce_time":"VARCHAR","ce_sagaid":"VARCHAR","ce_sagamode":"VARCHAR","ce_specversion":"VARCHAR"}'
)
BODY = (
    '{"orderId":"VARCHAR","userId":"VARCHAR","currency":"VARCHAR","total":"VARCHAR",'
    '"items":[{"productId":"VARCHAR","quantity":"VARCHAR","price":"VARCHAR"}],'
    '"amount":"VARCHAR","paymentId":"VARCHAR","method":"VARCHAR","reason":"VARCHAR","errorCode":"VARCHAR",'
    '"reservationId":"VARCHAR","shipmentId":"VARCHAR","carrier":"VARCHAR","trackingNumber":"VARCHAR","code":"VARCHAR"}'
)
WITH_AMOUNTS = ("OrderCreated", "PaymentCompleted", "PaymentRefunded")


def load() -> str:
    """Return the statement that takes one file of lines into `events`; its parameter is the file."""
    types = ", ".join(f"('{topic}', '{kind}')" for topic, kinds in COUNTED.items() for kind in kinds)
    required = " ".join(
        f"WHEN '{kind}' THEN {' AND '.join(f'b.{name} IS NOT NULL' for name in names)}"
        for kind, names in REQUIRED.items()
    )
    amounts = ", ".join(f"'{kind}'" for kind in WITH_AMOUNTS)
    return f"""
    INSERT INTO events
    WITH lines AS MATERIALIZED (
        SELECT topic, partition, "offset", key, value, json_transform(headers, '{HEADERS}') AS h
        FROM read_json(?, format='newline_delimited', columns={LINES}, maximum_object_size=67108864)
        WHERE value LIKE '{{%' AND strlen(value) <= 262144 AND strlen(headers) <= 32768
            AND json_valid(headers) AND json_valid(value)
    ), bodies AS MATERIALIZED (
        SELECT
            *, time_ms(h.ce_time) AS at_ms,
            json_transform(CASE WHEN h.ce_type IN ({amounts}) THEN quoted(value) ELSE value END, '{BODY}') AS b
        FROM lines ANTI JOIN letters USING (topic, partition, "offset")
        WHERE (topic, h.ce_type) IN ({types}) AND h.ce_sagaid = key AND h.ce_specversion = '1.0'
    )
    SELECT
        topic, partition, "offset", key, h.ce_type, at_ms, coalesce(h.ce_sagamode, 'choreography'),
        struct_pack(
            userId := b.userId, currency := b.currency, total := b.total, items := b.items, amount := b.amount,
            paymentId := b.paymentId, "method" := b.method, reason := b.reason, errorCode := b.errorCode,
            reservationId := b.reservationId, shipmentId := b.shipmentId, carrier := b.carrier,
            trackingNumber := b.trackingNumber, code := b.code
        )
    FROM bodies
    WHERE at_ms IS NOT NULL AND CASE h.ce_type {required} END
    """


ORDERED = """
CREATE VIEW seen AS
SELECT events.* FROM events JOIN below USING (topic, partition)
WHERE reader = 'views' AND "offset" < next_offset;
CREATE TABLE firsts AS
SELECT *, CASE WHEN type IN ('OrderConfirmed', 'OrderCancelled') THEN 'end' ELSE type END AS kind FROM seen
QUALIFY row_number() OVER (PARTITION BY order_id, kind ORDER BY topic, partition, "offset") = 1;
CREATE TABLE spoken AS
SELECT
    order_id,
    min(at_ms) AS first_ms,
    any_value(at_ms) FILTER (kind = 'OrderCreated') AS created_ms,
    any_value(coalesce(said.currency, 'USD')) FILTER (kind = 'OrderCreated') AS currency,
    any_value(said.userId) FILTER (kind = 'OrderCreated') AS user_id,
    any_value(said.total) FILTER (kind = 'OrderCreated') AS total,
    any_value(said.items) FILTER (kind = 'OrderCreated') AS items,
    any_value(mode) FILTER (kind = 'OrderCreated') AS created_mode,
    any_value(at_ms) FILTER (kind = 'end') AS ended_ms,
    any_value(CASE type WHEN 'OrderConfirmed' THEN 'confirmed' ELSE 'cancelled' END) FILTER (kind = 'end') AS outcome,
    any_value(said.reason) FILTER (type = 'OrderCancelled') AS reason,
    any_value(mode) FILTER (kind = 'end') AS ended_mode,
    any_value(at_ms) FILTER (kind = 'PaymentCompleted') AS paid_ms,
    any_value(said.amount) FILTER (kind = 'PaymentCompleted') AS paid,
    any_value(said.paymentId) FILTER (kind = 'PaymentCompleted') AS payment_id,
    any_value(at_ms) FILTER (kind = 'PaymentFailed') AS declined_ms,
    any_value(said.errorCode) FILTER (kind = 'PaymentFailed') AS declined_code,
    any_value(at_ms) FILTER (kind = 'PaymentRefunded') AS refunded_ms,
    any_value(said.amount) FILTER (kind = 'PaymentRefunded') AS refunded,
    any_value(said."method") FILTER (kind = 'PaymentRefunded') AS refund_method,
    any_value(at_ms) FILTER (kind = 'InventoryReserved') AS reserved_ms,
    any_value(said.reservationId) FILTER (kind = 'InventoryReserved') AS reservation_id,
    any_value(at_ms) FILTER (kind = 'InventoryFailed') AS out_of_stock_ms,
    any_value(said.reason) FILTER (kind = 'InventoryFailed') AS out_of_stock_reason,
    any_value(at_ms) FILTER (kind = 'InventoryReleased') AS released_ms,
    any_value(at_ms) FILTER (kind = 'ReservationConsumed') AS consumed_ms,
    any_value(at_ms) FILTER (kind = 'ShipmentScheduled') AS shipped_ms,
    any_value(said.shipmentId) FILTER (kind = 'ShipmentScheduled') AS shipment_id,
    any_value(said.carrier) FILTER (kind = 'ShipmentScheduled') AS carrier,
    any_value(said.trackingNumber) FILTER (kind = 'ShipmentScheduled') AS tracking_number,
    any_value(at_ms) FILTER (kind = 'ShipmentFailed') AS unshipped_ms,
    any_value(said.reason) FILTER (kind = 'ShipmentFailed') AS unshipped_reason,
    any_value(at_ms) FILTER (kind = 'AbortSaga') AS aborted_ms,
    any_value(said.code) FILTER (kind = 'AbortSaga') AS aborted_code
FROM firsts GROUP BY order_id;
CREATE TABLE amounts AS
WITH said AS (
    SELECT exponent, unnest([total, paid, refunded] || list_transform(items, lambda item: item.price)) AS said
    FROM spoken JOIN currencies ON currency = code
), parted AS MATERIALIZED (
    SELECT DISTINCT said, exponent, parts(said) AS part FROM said WHERE said IS NOT NULL
)
SELECT said, exponent, bounded(shifted(part.sign, digits(part), exponent - decimals(part)), exponent) AS minor
FROM parted WHERE part.whole || part.fraction <> '';
CREATE TABLE lines AS
SELECT
    order_id, place, line.productId AS product_id, TRY_CAST(line.quantity AS HUGEINT) AS quantity,
    coalesce(minor, 0) AS price_minor, minor IS NULL AS bad_amount
FROM (
    SELECT order_id, exponent, unnest(items) AS line, generate_subscripts(items, 1) AS place
    FROM spoken LEFT JOIN currencies ON currency = code WHERE created_ms IS NOT NULL
) ordered LEFT JOIN amounts ON said = line.price AND amounts.exponent = ordered.exponent;
CREATE TABLE orders AS
WITH valued AS (
    SELECT
        spoken.*, coalesce(created_mode, ended_mode) AS mode,
        t.minor AS total_minor, p.minor AS paid_minor, r.minor AS refunded_minor
    FROM spoken LEFT JOIN currencies ON currency = code
    LEFT JOIN amounts t ON t.said = total AND t.exponent = currencies.exponent
    LEFT JOIN amounts p ON p.said = paid AND p.exponent = currencies.exponent
    LEFT JOIN amounts r ON r.said = refunded AND r.exponent = currencies.exponent
), listed AS (
    SELECT
        order_id, bool_or(bad_amount) AS bad_price,
        list([product_id, CAST(quantity AS VARCHAR), CAST(price_minor AS VARCHAR)] ORDER BY place) AS lines
    FROM lines GROUP BY order_id
)
SELECT
    valued.*, coalesce(lines, []) AS lines,
    created_ms IS NOT NULL AND (
        total_minor IS NULL
        OR coalesce(bad_price, false)
        OR (paid IS NOT NULL AND paid_minor IS NULL)
        OR (refunded IS NOT NULL AND refunded_minor IS NULL)
    ) AS bad_amount,
    CASE WHEN NOT coalesce(
        created_ms IS NOT NULL AND CASE
            WHEN outcome = 'confirmed' THEN
                paid_ms IS NOT NULL AND reserved_ms IS NOT NULL AND shipped_ms IS NOT NULL AND consumed_ms IS NOT NULL
            WHEN reason = 'KILLED' THEN true
            WHEN outcome = 'cancelled' THEN
                (paid_ms IS NULL OR refunded_ms IS NOT NULL) AND (reserved_ms IS NULL OR released_ms IS NOT NULL)
        END, false
    ) THEN first_ms END AS waiting_since_ms
FROM valued LEFT JOIN listed USING (order_id)
"""
"""`amounts.minor` is NULL when the currency has fewer decimals than were said, or it is beyond 10^15 in major units.

What is no number, or in no currency, is not among them; without its order an amount has no currency.
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the macros and the tables."""
    for statements in (QUOTED, TIMES, NUMBERS, TABLES):
        connection.execute(statements)
