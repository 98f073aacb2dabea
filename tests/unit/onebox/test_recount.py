"""What the analytics keep is counted again from the log; whatever was changed past the service is found, by name."""

import ast
import random
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import duckdb
import msgspec
import pytest
from msgspec.structs import replace as changed
from tests.unit.onebox.events_of_orders import (
    COMPENSATED,
    CONFIRMED,
    DECLINED,
    NOON,
    UNSENT,
    Counted,
    Order,
    shuffled,
)

import onebox.recount
from analytics_service.desk import HIGH_VALUES, HighValue
from analytics_service.files import FileStores
from analytics_service.orders import JoinedOrder
from analytics_service.tables import CHUNKS, JOINED, LANES, PRODUCTS, REASONS, TOTALS, USERS, Chunk, Sums
from analytics_service.wiring import TABLES
from onebox.commands.analytics import verdict_of
from onebox.errors import BadInput, NotFound, Unreachable
from onebox.output import Output
from onebox.recount import rules
from onebox.recount.opening import opened
from onebox.recount.verdict import Verdict, line, told
from onebox.recount.verification import Books, recounted
from sagakit.adapters.memory import MemoryLog
from sagakit.adapters.sqlite import SqliteStore
from sagakit.core.messages import Mode
from sagakit.ports import Draft, Query, Store, Table, Transaction
from sagakit.runtime.clock import SystemClock
from sagakit.runtime.relay import Relay
from shop_contracts.money import MoneyError, to_minor

PEN = Order("order-pen")
YEN = Order("order-yen", [("pen", 3, 400)], 1200, "JPY", user="bob", mode=Mode.ORCHESTRATION)
DEAR = Order("order-dear", [("clock", 1, Decimal("1500.50"))], Decimal("1500.50"), user="bob")
OLD = Order("order-old", currency=None, at=NOON + timedelta(hours=30))
BAD = Order("order-bad", [("pen", 1, Decimal("1.005"))], Decimal("1.005"))


def a_day() -> list[Draft]:
    """The events of a day: every kind of ending, two currencies, an old version, a bad amount, and one that waits."""
    return [
        *PEN.goes(CONFIRMED),
        *YEN.goes(COMPENSATED),
        *DEAR.goes(UNSENT),
        *OLD.goes(DECLINED),
        *BAD.goes(("PaymentCompleted",)),
        PEN.says("PaymentCompleted"),
        PEN.says("OrderCreated", timedelta(seconds=9), total=3),
    ]


async def judged(directory: Path, limit: int = 0) -> Verdict:
    async with opened(directory, None, {}) as books:
        return await recounted(books, limit)


async def counted(directory: Path, drafts: list[Draft]) -> None:
    box = Counted(directory)
    await box.open()
    await box.log.publish(drafts)
    await box.count()
    await box.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("day")
    anyio.run(counted, directory, a_day())
    return directory


@pytest.fixture
def box(day: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(day, tmp_path / "box"))


async def test_a_day_counted_again_is_the_same(box: Path) -> None:
    verdict = await judged(box)
    assert verdict.equal, told(verdict)
    assert verdict.events == len(a_day())
    assert verdict.left_out == 0
    assert all(each.rows for each in verdict.compared)
    rows = {each.part: each.rows for each in verdict.compared}
    assert (rows["joined orders"], rows["unmatched"], rows["high values"], rows["reasons"]) == (5, 1, 1, 1)
    assert line(verdict) == f"✔ {len(a_day())} events counted again with DuckDB, nothing differs"


@pytest.mark.parametrize("seed", range(4))
async def test_events_in_any_order_twice_late_early_and_with_any_amount_are_counted_the_same(
    tmp_path: Path, seed: int
) -> None:
    drafts = shuffled(seed)
    await counted(tmp_path, drafts)
    verdict = await judged(tmp_path)
    assert verdict.equal, told(verdict)
    assert verdict.events == len(drafts)


async def test_in_the_middle_of_the_log_it_is_counted_up_to_there(tmp_path: Path) -> None:
    box = Counted(tmp_path, batch_records_max=37)
    await box.open()
    await box.log.publish(shuffled(9))
    seen: list[int] = []
    while await box.step():
        verdict = await judged(tmp_path)
        assert verdict.equal, told(verdict)
        seen.append(verdict.events)
    await box.close()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


Tampering = Callable[[Transaction], Awaitable[None]]


async def tampered(store: Store, work: Tampering) -> None:
    await store.transact(work)
    await store.close()


def sums_are(table: Table[Any], name: str, series: str, amount: int) -> Tampering:
    async def work(transaction: Transaction) -> None:
        rows = await transaction.select(table, Query(limit=1000))
        row = next(row for row in rows if row.name == name and series in row.series)
        await transaction.save(table, [changed(row, series={**row.series, series: row.series[series] + amount})])

    return work


def gone(table: Table[Any], name: str) -> Tampering:
    async def work(transaction: Transaction) -> None:
        rows = await transaction.select(table, Query(limit=1000))
        await transaction.delete(table, [row.key for row in rows if row.name == name])

    return work


def added(table: Table[Any], name: str) -> Tampering:
    async def work(transaction: Transaction) -> None:
        await transaction.save(table, [Sums(key=f"0/{name}", partition=0, name=name, series={"orders": 1})])

    return work


def bucket_is(level: int, series: str) -> Tampering:
    async def work(transaction: Transaction) -> None:
        chunks = await transaction.select(CHUNKS, Query(where={"level": level}, by="start", limit=1000))
        chunk = next(chunk for chunk in chunks if series in chunk.series)
        numbers = msgspec.json.decode(chunk.series[series], type=list[int])
        numbers[1] += 1
        raw = msgspec.Raw(msgspec.json.encode(numbers))
        await transaction.save(CHUNKS, [changed(chunk, series={**chunk.series, series: raw})])

    return work


def chunk_more(level: int) -> Tampering:
    async def work(transaction: Transaction) -> None:
        raw = msgspec.Raw(b"[0,7]")
        chunk = Chunk(key=f"made up {level}", level=level, partition=0, start=0, series={"orders": raw})
        await transaction.save(CHUNKS, [chunk])

    return work


def chunks_gone(level: int) -> Tampering:
    async def work(transaction: Transaction) -> None:
        chunks = await transaction.select(CHUNKS, Query(where={"level": level}, by="start", limit=1000))
        await transaction.delete(CHUNKS, [chunk.key for chunk in chunks])

    return work


def joined_is(order_id: str, **values: Any) -> Tampering:  # noqa: ANN401 - of the row
    async def work(transaction: Transaction) -> None:
        row: JoinedOrder = (await transaction.load(JOINED, [order_id]))[order_id]
        await transaction.save(JOINED, [changed(row, **values)])

    return work


def joined_gone(order_id: str) -> Tampering:
    return lambda transaction: transaction.delete(JOINED, [order_id])


def joined_more(order_id: str) -> Tampering:
    return lambda transaction: transaction.save(JOINED, [JoinedOrder(order_id=order_id, partition=0)])


def lane_is(**values: int) -> Tampering:
    async def work(transaction: Transaction) -> None:
        lanes = await transaction.select(LANES, Query(limit=1))
        await transaction.save(LANES, [changed(lanes[0], **values)])

    return work


CHANGED = [
    (sums_are(TOTALS, "all", "orders", 1), "totals", "orders"),
    (sums_are(TOTALS, "all", "captured:USD", -1), "totals", "captured:USD"),
    (sums_are(TOTALS, "all", "confirmed/choreography", 1), "totals", "confirmed/choreography"),
    (sums_are(TOTALS, "all", "cancelled/orchestration", 1), "totals", "cancelled/orchestration"),
    (sums_are(REASONS, "CARD_DECLINED", "orders", 1), "reasons", "CARD_DECLINED orders"),
    (sums_are(PRODUCTS, "pen", "sold", 1), "products", "pen sold"),
    (sums_are(PRODUCTS, "clock", "refunded:USD", 1), "products", "clock refunded:USD"),
    (sums_are(USERS, "bob", "captured:JPY", 5), "users", "bob captured:JPY"),
    (bucket_is(1, "orders"), "seconds", "2026-11-25 12:00:00Z orders"),
    (bucket_is(60, "captured:USD"), "minutes", "2026-11-25 12:00:00Z captured:USD"),
    (bucket_is(3600, "refunds:JPY"), "hours", "2026-11-25 12:00:00Z refunds:JPY"),
    (bucket_is(86_400, "declined"), "days", "2026-11-26 00:00:00Z declined"),
    (joined_is("order-pen", paid_minor=1), "joined orders", "order-pen paid_minor"),
    (joined_is("order-pen", paid="20.01"), "joined orders", "order-pen paid"),
    (joined_is("order-pen", shipped_ms=1), "joined orders", "order-pen shipped_ms"),
    (joined_is("order-pen", waiting_since_ms=5), "unmatched", "order-pen since"),
    (joined_is("order-yen", reason="KILLED"), "joined orders", "order-yen reason"),
    (joined_is("order-yen", lines=()), "joined orders", "order-yen lines"),
    (joined_is("order-yen", mode="choreography"), "joined orders", "order-yen mode"),
    (joined_is("order-bad", flags=()), "joined orders", "order-bad bad_amount"),
    (joined_is("order-bad", waiting_since_ms=5), "unmatched", "order-bad since"),
    (lane_is(events=1000), "lanes", "inventory.events/0 events"),
    (lane_is(duplicates=1000), "lanes", "inventory.events/0 duplicates"),
]
GONE = [
    (gone(TOTALS, "all"), "totals", "value:JPY"),
    (gone(TOTALS, "all"), "durations", "duration:"),
    (gone(REASONS, "CARD_DECLINED"), "reasons", "CARD_DECLINED orders"),
    (gone(PRODUCTS, "ink"), "products", "ink captured:USD"),
    (gone(USERS, "ada"), "users", "ada orders"),
    (chunks_gone(1), "seconds", "2026-11-25 12:00:00Z orders"),
    (chunks_gone(3600), "hours", "2026-11-26 18:00:00Z aborted"),
    (joined_is("order-bad", waiting_since_ms=None), "unmatched", "order-bad since"),
    (joined_gone("order-dear"), "joined orders", "order-dear"),
]
ADDED = [
    (added(REASONS, "NO_REASON"), "reasons", "NO_REASON orders"),
    (added(PRODUCTS, "anvil"), "products", "anvil orders"),
    (added(USERS, "eve"), "users", "eve orders"),
    (chunk_more(1), "seconds", "1970-01-01 00:00:00Z orders"),
    (chunk_more(86_400), "days", "1970-01-01 00:00:00Z orders"),
    (chunk_more(7), "level 7", "0 orders"),
    (joined_more("order-made-up"), "joined orders", "order-made-up"),
]


@pytest.mark.parametrize("tamperings", [CHANGED, GONE, ADDED], ids=["changed", "gone", "added"])
async def test_whatever_was_changed_past_the_service_is_named(
    box: Path, tamperings: list[tuple[Tampering, str, str]]
) -> None:
    store = FileStores(box).open(1)
    for tampering, _, _ in tamperings:
        await store.transact(tampering)
    await store.close()
    verdict = await judged(box)
    assert not verdict.equal
    named = [(each.part, each.name) for each in verdict.differences]
    for _, part, name in tamperings:
        assert any(found.startswith(name) for where, found in named if where == part), f"{part} {name}: {told(verdict)}"
    assert all(each.stored != each.recounted for each in verdict.differences)
    assert {part for part, _ in named} == {part for _, part, _ in tamperings}
    assert "✖" in line(verdict)


async def test_one_number_that_was_changed_is_one_difference(box: Path) -> None:
    await tampered(FileStores(box).open(1), sums_are(USERS, "bob", "captured:JPY", 5))
    verdict = await judged(box)
    assert [(each.name, each.stored, each.recounted) for each in verdict.differences] == [
        ("bob captured:JPY", "1205", "1200")
    ]


@pytest.mark.parametrize(
    ("tampering", "name"),
    [
        (lambda t: t.delete(HIGH_VALUES, ["order-dear"]), "order-dear"),
        (
            lambda t: t.save(
                HIGH_VALUES,
                [HighValue(order_id="order-dear", user_id="bob", total_minor=1, currency="USD", placed_ms=1)],
            ),
            "order-dear total_minor",
        ),
        (
            lambda t: t.save(
                HIGH_VALUES, [HighValue(order_id="more", user_id="bob", total_minor=1, currency="USD", placed_ms=1)]
            ),
            "more",
        ),
    ],
    ids=["gone", "changed", "added"],
)
async def test_orders_of_high_value_are_compared_too(box: Path, tampering: Tampering, name: str) -> None:
    await tampered(SqliteStore(box / "analytics.db", TABLES), tampering)
    verdict = await judged(box)
    assert ("high values", name) in {(each.part, each.name) for each in verdict.differences}
    assert {each.part for each in verdict.differences} == {"high values"}


AMOUNTS = (
    *("12.50", "0.1", "1.005", "1e2", "-3", "1E400", "999999999999999.9999", "1000000000000000", "1000000000000000.01"),
    *(
        "NaN",
        "Infinity",
        "-inf",
        "1e-2",
        "1.0e-3",
        "0.0e9999",
        " 1_0 ",
        ".5",
        "5.",
        "-0.0",
        "+7",
        "00012.340",
        "1e-400",
    ),
    *(
        "12345678901234567890.12",
        "0.00000000000000000000000000000000000000000001",
        "-1000000000000000",
        "1e15",
        "1.5e1",
    ),
)


def test_an_amount_is_the_same_number_of_minor_units_however_it_is_written() -> None:
    luck = random.Random(1)
    texts = [*AMOUNTS, *(f"{luck.randrange(10**6)}.{luck.randrange(10**4):04}" for _ in range(200))]
    with duckdb.connect() as connection:
        rules.prepare(connection)
        for currency, exponent in (("USD", 2), ("JPY", 0), ("KWD", 3), ("UYW", 4)):
            found = connection.execute(
                "SELECT CASE WHEN p.whole || p.fraction <> '' THEN"
                " bounded(shifted(p.sign, digits(p), $2 - decimals(p)), $2) END"
                " FROM (SELECT parts(said) AS p FROM unnest($1::VARCHAR[]) AS t(said))",
                [texts, exponent],
            ).fetchall()
            assert [minor for (minor,) in found] == [minor_or_none(text, currency) for text in texts]


def minor_or_none(text: str, currency: str) -> int | None:
    try:
        return to_minor(Decimal(text), currency)
    except MoneyError:
        return None


@pytest.mark.parametrize(
    "text",
    [
        *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1239996Z", "2026-01-01t00:00:00.9z", "1700000000"),
        *("2026-01-01 00:00:00+01:00", "2026-06-30T23:59:59.999999-0930", "1969-12-31T23:59:59.9995Z", "1700000000.5"),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "-1.25"),
    ],
)
def test_a_time_is_cut_to_the_millisecond_however_it_is_written(text: str) -> None:
    expected = (msgspec.convert(text, datetime, strict=False) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        milliseconds=1
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        rules.prepare(connection)
        assert connection.execute("SELECT time_ms(?)", [text]).fetchall() == [(expected,)]
        assert connection.execute("SELECT time_ms('2026-01-01T00:00:00')").fetchall() == [(None,)]


async def test_of_two_dear_orders_of_one_id_the_first_is_of_high_value(tmp_path: Path) -> None:
    await counted(tmp_path, [DEAR.says("OrderCreated"), DEAR.says("OrderCreated", timedelta(seconds=1), total=9999)])
    verdict = await judged(tmp_path)
    assert verdict.equal, told(verdict)


def test_the_recount_shares_nothing_with_what_it_judges() -> None:
    judged_code = {
        "folding",
        "tally",
        "summing",
        "views",
        "orders",
        "series",
        "reading",
        "metrics",
        "summary",
        "windows",
    }
    for file in (Path(onebox.recount.__file__).parent).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("analytics_service."):
                name = (node.module or "").removeprefix("analytics_service.")
                assert name not in judged_code, f"{file.name} imports {name}"
                assert not name.endswith("_windows"), f"{file.name} imports {name}"
            assert not isinstance(node, ast.ImportFrom) or node.module not in (
                "shop_contracts.messages",
                "shop_contracts.money",
            )


async def test_many_differences_are_counted_and_only_some_are_named(box: Path) -> None:
    await tampered(FileStores(box).open(1), chunks_gone(1))
    verdict = await judged(box, limit=3)
    assert len(verdict.differences) == 3
    assert verdict.differences_total > 20
    assert f"… and {verdict.differences_total - 3} more; --limit 0 names them all" in told(verdict)


def raw(order: Order, kind: str, **other: Any) -> Draft:  # noqa: ANN401 - of the record
    return changed(order.says(kind), **other)


async def test_what_nobody_can_read_is_left_out_whether_its_letter_is_on_the_way_or_there(tmp_path: Path) -> None:
    box = Counted(tmp_path)
    await box.open()
    stray = replace(PEN, id="order-stray")
    await box.log.publish(
        [
            *PEN.goes(CONFIRMED),
            raw(stray, "PaymentCompleted", value=b"\xff\xfe"),
            raw(stray, "PaymentFailed", value=b"[1]"),
            raw(stray, "InventoryFailed", key="another"),
            raw(stray, "OrderConfirmed", headers=b"no JSON"),
            stray.says("OrderCreated", userId=None),
            stray.says("OrderCancelled", reason=["not", "a", "word"]),
            raw(stray, "ShipmentFailed", value=b'{"orderId":"order-stray",\n "reason":"on two lines 5"}\n'),
        ]
    )
    await box.count()
    verdict = await judged(tmp_path)
    assert verdict.equal, told(verdict)
    assert (verdict.events, verdict.left_out) == (7, 6)
    relay = Relay("analytics", box.follower.store, box.log)
    while await relay.step():
        pass
    assert await judged(tmp_path) == verdict
    await box.close()


async def test_what_nobody_can_read_stays_out_when_its_letter_is_forgotten(tmp_path: Path) -> None:
    box = Counted(tmp_path)
    await box.open()
    stray = replace(PEN, id="order-stray")
    await box.log.publish(
        [
            *PEN.goes(CONFIRMED),
            raw(stray, "PaymentFailed", value=b"[1]"),
            raw(stray, "InventoryFailed", key="another"),
            stray.says("OrderCreated", userId=None),
        ]
    )
    await box.count()
    for store in (box.follower.store, box.catalogue):
        relay = Relay("analytics", store, box.log)
        while await relay.step():
            pass
    await box.log.prune("analytics.dlq", SystemClock().now() + timedelta(days=1))
    await box.log.publish([raw(stray, "InventoryReserved", value=b"{}")])
    await box.count()
    verdict = await judged(tmp_path)
    assert verdict.equal, told(verdict)
    assert (verdict.events, verdict.left_out) == (6, 1)
    await box.close()


async def test_where_the_log_lost_what_was_counted_nothing_can_be_said(box: Path) -> None:
    async with opened(box, None, {}) as books:
        empty = MemoryLog(SystemClock())
        lost = Books(version=1, views=books.views, catalogue=books.catalogue, log=empty, thresholds=books.thresholds)
        with pytest.raises(Unreachable, match="the log does not have what the views were made from"):
            await recounted(lost, 0)


async def test_missing_files_and_versions_are_named(box: Path, tmp_path: Path) -> None:
    for directory, number, said in ((tmp_path, None, "no log.db"), (box, 9, "there is no version 9")):
        with pytest.raises(NotFound, match=said):
            async with opened(directory, number, {}):
                pass
    with pytest.raises(BadInput, match="ANALYTICS_HIGH_VALUE_OVER"):
        async with opened(box, None, {"ANALYTICS_HIGH_VALUE_OVER": "much"}):
            pass
    (box / "analytics-1.db").unlink()
    with pytest.raises(NotFound, match=r"holds no analytics-1\.db"):
        async with opened(box, 1, {}):
            pass


async def test_without_a_directory_the_files_are_where_the_environment_says(
    box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGAPLANE_DATA_DIR", str(box))
    assert (await verdict_of(Output(), None)).equal


@pytest.mark.parametrize("name", ["SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS", "SAGAPLANE_DATABASE_URL"])
async def test_a_directory_that_is_given_holds_files_whatever_the_environment_says(box: Path, name: str) -> None:
    async with opened(box, None, {name: "nowhere"}) as books:
        assert books.version == 1


async def test_a_variable_that_means_nothing_is_told(box: Path) -> None:
    with pytest.raises(BadInput, match=r"SAGAPLANE_DATABASE_URL=\*\*\*: expected postgresql://"):
        async with opened(None, None, {"SAGAPLANE_DATABASE_URL": "nowhere", "SAGAPLANE_DATA_DIR": str(box)}):
            pass


async def test_views_of_another_shop_are_not_taken_for_those_that_were_asked_for(box: Path) -> None:
    assert (await verdict_of(Output(), box, holding=["order-pen", "order-yen"])).equal
    with pytest.raises(NotFound, match="the views there do not have order order-of-another-shop"):
        await verdict_of(Output(), box, holding=["order-pen", "order-of-another-shop"])
