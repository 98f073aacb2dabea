"""Stored offsets at the command line: what the log does not hold is told, and moved where a person says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from tests.docs.blocks import blocks, commands, matches
from tests.unit.onebox.live_shop import Answer, LiveShop
from tests.unit.order_service.shop import NOON, HandClock
from typing_extensions import override

import analytics_service.wiring as analytics
import inventory_service.wiring as inventory
import notification_service.wiring as notification
import order_service.wiring as order
import payment_service.wiring as payment
import shipping_service.wiring as shipping
from analytics_service.files import FileStores
from analytics_service.versions import VERSIONS, State, Version
from onebox.cli import execute
from onebox.commands.offsets import Kept, move, standings_of
from onebox.errors import Conflict, ExitCode
from onebox.moments import moment
from onebox.offsets import Standing, checked, moved, target, told
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.adapters.sqlite import SqliteLog, SqliteStore
from sagakit.core.messages import Message, Mode
from sagakit.core.part import Part
from sagakit.ports import Draft, Store, Transaction
from sagakit.runtime.consumer import KNOWN_TOPICS, Consumer, KnownTopic
from sagakit.runtime.participant import PARTS
from sagakit.runtime.wire import draft

Offsets = Callable[..., Answer]
Places = Mapping[tuple[str, int], int]
WIRINGS: Mapping[str, Any] = {
    "order": order,
    "payment": payment,
    "inventory": inventory,
    "shipping": shipping,
    "notification": notification,
    "analytics": analytics,
}
EVENTS, WHY = "orders.events", ("--reason-why", "the topic was cut", "--yes")
DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"
REPAIR = "sagactl offsets repair notification --to"
KEY = "order-2"
"""It is on partition 3 of 4."""


async def advance(store: Store, group: str, places: Places) -> None:
    async def work(transaction: Transaction) -> None:
        for (topic, partition), offset in places.items():
            await transaction.advance(group, topic, partition, 0, offset)

    await store.transact(work)


async def progress(store: Store, group: str) -> Places:
    return await store.view(lambda reader: reader.progress(group))


async def filled(directory: Path, stood: int) -> None:
    """Say ten things, of which the log drops four; notification read some of them, and analytics as many."""
    times = iter([NOON, NOON + timedelta(hours=1)])
    log = SqliteLog(directory / "log.db", now=lambda: next(times))
    for records in (4, 6):
        await log.publish([Draft(EVENTS, KEY, b"{}", b"{}")] * records)
    assert await log.prune(EVENTS, NOON + timedelta(minutes=1)) == 4
    await log.close()
    store = SqliteStore(directory / "notification.db", notification.TABLES)
    await advance(store, "notification", {(EVENTS, 3): stood})
    await store.close()
    catalogue = SqliteStore(directory / "analytics.db", analytics.TABLES)
    await advance(catalogue, "analytics-desk", {(EVENTS, 3): 10})
    version = Version(name="2", number=2, state=State.LIVE, format=1, created_at=NOON)
    await catalogue.transact(lambda transaction: transaction.save(VERSIONS, [version]))
    await catalogue.close()
    views = FileStores(directory).open(2)
    await advance(views, "analytics-v2", {(EVENTS, 3): stood})
    await views.close()


async def stored(directory: Path) -> int:
    store = SqliteStore(directory / "notification.db", notification.TABLES)
    try:
        return (await progress(store, "notification"))[EVENTS, 3]
    finally:
        await store.close()


@pytest.fixture
def offsets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offsets:
    """Type `sagactl offsets …` about the box in the temporary directory, and return what it answers."""
    monkeypatch.setenv("SAGACTL_ACTOR", "ada")

    def type_in(*words: str) -> Answer:
        code = execute(["offsets", *words, "--data-dir", str(tmp_path)])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return type_in


def fill(directory: Path, stood: int) -> None:
    anyio.run(filled, directory, stood)


def test_offsets_that_are_in_the_log_need_no_repair(offsets: Offsets, tmp_path: Path) -> None:
    fill(tmp_path, 6)
    answer = offsets("check", "notification")
    assert (answer.code, answer.out) == (0, "✔ notification: all 4 offsets are in the log\n"), answer.err
    answer = offsets("repair", "notification", "--to", "earliest", *WHY)
    assert (answer.code, answer.out) == (0, "✔ notification: what was asked about is in the log; nothing was moved\n")
    assert anyio.run(stored, tmp_path) == 6


def test_what_was_dropped_unread_is_told_with_what_either_repair_would_do(offsets: Offsets, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    answer = offsets("check", "notification")
    assert answer.code == ExitCode.NO
    assert answer.out.splitlines() == [
        "✖ notification: 1 of 4 offsets are not those of the log",
        "  notification stands at 1 of orders.events-3, which begins at 4: 3 records were dropped unread",
        f"  {REPAIR} earliest: no record is read again, none is left out, 3 were dropped unread before",
        f"  {REPAIR} latest: no record is read again, 6 are never read, 3 were dropped unread before",
    ]
    (found,) = json.loads(offsets("check", "notification", "-o", "json").out)
    assert found["wrong"][0]["first"] == 4
    assert found["latest"][0]["never"] == 6


async def say(directory: Path, service: str, topic: str, *types: str, minutes: int = 0) -> None:
    """Have the service say this of one saga, so long after noon."""
    log = SqliteLog(directory / "log.db", now=lambda: NOON + timedelta(minutes=minutes))
    said = [
        Message(
            id=f"{service}-{number}",
            type=message_type,
            source=service,
            time=NOON,
            saga_id=KEY,
            correlation_id="c-1",
            causation_id="",
            data=msgspec.Raw(b"{}"),
        )
        for number, message_type in enumerate(types)
    ]
    await log.publish([draft(topic, message) for message in said])
    await log.close()


async def know(directory: Path, service: str, *parts: Part) -> None:
    """Have the service's database know these sagas."""
    store = SqliteStore(directory / f"{service}.db", WIRINGS[service].TABLES)
    await store.transact(lambda transaction: transaction.save(PARTS, parts))
    await store.close()


def test_a_database_that_does_not_know_what_its_service_said_is_named(offsets: Offsets, tmp_path: Path) -> None:
    """Restored from an older dump, it would refuse what it had done, and others would take it back."""
    anyio.run(say, tmp_path, "order", EVENTS, "OrderCreated")
    anyio.run(partial(say, tmp_path, "payment", "payments.events", "PaymentCompleted", "PaymentRefunded", minutes=1))
    anyio.run(know, tmp_path, "payment")
    answer = offsets("check", "payment")
    assert answer.code == ExitCode.NO
    assert answer.out.splitlines()[-2:] == [
        "✖ payment: its database does not know what it said itself",
        f"  payments.events-3 ends with its PaymentRefunded of {KEY}, said {moment(NOON)}; partitions like that: 1",
    ]
    assert answer.err.splitlines() == [
        "error: the database of payment is of an earlier moment than the log",
        "  do not start it before you know what that means: docs/runbooks/backup-and-restore.md",
    ]
    (found,) = json.loads(offsets("check", "payment", "-o", "json").out)
    assert found["forgotten"][0]["sagaId"] == KEY
    repaired = offsets("repair", "payment", "--to", "latest", "--topic", EVENTS, *WHY)
    assert repaired.code == ExitCode.OK, repaired.err
    assert offsets("check", "payment").code == ExitCode.OK, "it hears nothing again"


def test_a_database_that_knows_the_saga_has_forgotten_nothing(offsets: Offsets, tmp_path: Path) -> None:
    anyio.run(say, tmp_path, "order", EVENTS, "OrderCreated")
    anyio.run(partial(say, tmp_path, "payment", "payments.events", "PaymentCompleted", minutes=1))
    anyio.run(say, tmp_path, "redrive", "payments.events", "Whatever")
    part = Part(saga_id=KEY, correlation_id="c-1", mode=Mode.CHOREOGRAPHY, definition="order/v1")
    anyio.run(know, tmp_path, "payment", part)
    assert offsets("check", "payment").code == ExitCode.OK


def test_the_order_service_is_held_against_its_own_words_too(offsets: Offsets, tmp_path: Path) -> None:
    anyio.run(say, tmp_path, "payment", "payments.events", "PaymentCompleted")
    anyio.run(partial(say, tmp_path, "order", EVENTS, "OrderCreated", minutes=1))
    anyio.run(know_nothing_of_orders, tmp_path)
    answer = offsets("check", "order")
    assert answer.code == ExitCode.NO
    assert f"orders.events-3 ends with its OrderCreated of {KEY}" in answer.out


async def know_nothing_of_orders(directory: Path) -> None:
    await SqliteStore(directory / "order.db", order.TABLES).close()


def test_what_the_document_prints_of_offsets_is_what_is_printed(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "SAGAPLANE_DATA_DIR": str(tmp_path), "SAGACTL_ACTOR": "ada"}
    document = blocks(DOCUMENT)
    (block,) = (each for each in document if each.kind == "shell-session" and "sagactl offsets" in each.body)
    typed = list(commands(block))
    assert len(typed) == 3
    for command in typed:
        done = subprocess.run(
            ["bash", "-c", command.text],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert matches(command.output, done.stdout), f"{command.text}\n{done.stdout}"


def test_an_offset_beyond_the_log_is_told(offsets: Offsets, tmp_path: Path) -> None:
    fill(tmp_path, 25)
    answer = offsets("check", "notification")
    assert answer.code == ExitCode.NO
    assert "notification stands at 25 of orders.events-3, which ends at 10: what was read is not there" in answer.out
    assert "--to earliest: 6 records are read again, none is left out" in answer.out


@pytest.mark.parametrize(("to", "offset"), [("earliest", 4), ("latest", 10)])
def test_a_repair_moves_what_is_wrong_and_says_who_did_it_and_why(
    offsets: Offsets, tmp_path: Path, to: str, offset: int
) -> None:
    fill(tmp_path, 1)
    answer = offsets("repair", "notification", "--to", to, *WHY)
    assert answer.code == 0, answer.err
    first, *_, last = answer.out.splitlines()
    assert first == f"notification in orders.events, partition 3: 1 → {offset}"
    assert last.endswith("Z ada repaired offsets of notification: the topic was cut")
    assert anyio.run(stored, tmp_path) == offset
    assert offsets("check", "notification").code == 0


def test_one_partition_can_be_moved_to_an_offset_where_nothing_is_wrong(offsets: Offsets, tmp_path: Path) -> None:
    fill(tmp_path, 8)
    one = ("--topic", EVENTS, "--partition", "3", "--group", "notification")
    answer = offsets("repair", "notification", "--to", "5", *one, *WHY, "-o", "json")
    assert answer.code == 0, answer.err
    (found,) = json.loads(answer.out)["moves"]
    assert (found["stored"], found["to"], found["again"], found["never"]) == (8, 5, 3, 0)
    assert anyio.run(stored, tmp_path) == 5


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (("notification", "--to", "soon", *WHY), ExitCode.USAGE, "--to 'soon' is no place in a log"),
        (("notification", "--to", "5", *WHY), ExitCode.USAGE, "an offset means something in one partition only"),
        (
            ("notification", "--to", "2", "--topic", EVENTS, "--partition", "3", *WHY),
            ExitCode.USAGE,
            "orders.events-3 holds 4 to 10, and not 2",
        ),
        (("notification", "--to", "latest", "--topic", "users", *WHY), ExitCode.NOT_FOUND, "reads no such topic"),
        (("notification", "--to", "latest", "--group", "nobody", *WHY), ExitCode.NOT_FOUND, "reads no such topic"),
        (("nobody", "--to", "latest", *WHY), ExitCode.NOT_FOUND, "there is no service 'nobody'"),
        (("payment", "--to", "latest", *WHY), ExitCode.NOT_FOUND, "holds no payment.db"),
        (("notification", "--to", "latest", "--reason-why", " ", "-y"), ExitCode.USAGE, "--reason-why is empty"),
        (("notification", "--to", "latest", "--reason-why", "x"), ExitCode.USAGE, "nobody is there"),
    ],
)
def test_what_makes_no_sense_moves_nothing(
    offsets: Offsets, tmp_path: Path, words: tuple[str, ...], code: ExitCode, cause: str
) -> None:
    fill(tmp_path, 1)
    answer = offsets("repair", *words)
    assert (answer.code, cause in answer.err) == (code, True), answer.err
    assert anyio.run(stored, tmp_path) == 1


class Terminal(io.StringIO):
    """Standard input of a person."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "offset"), [("notification\n", 4), ("yes\n", 1)])
def test_a_person_is_shown_the_moves_and_asked(
    offsets: Offsets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, offset: int
) -> None:
    fill(tmp_path, 1)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    answer = offsets("repair", "notification", "--to", "earliest", "--reason-why", "it was cut")
    assert "notification in orders.events, partition 3: 1 → 4\n" in answer.err
    assert "Type notification to move 1 offsets: " in answer.err
    assert (answer.code == 0) == (offset == 4)
    assert anyio.run(stored, tmp_path) == offset


def test_the_views_are_checked_and_repaired_in_their_own_store(offsets: Offsets, tmp_path: Path) -> None:
    fill(tmp_path, 1)
    answer = offsets("check", "analytics")
    assert "✖ analytics: 1 of 28 offsets are not those of the log" in answer.out
    assert "analytics-v2 stands at 1 of orders.events-3" in answer.out
    answer = offsets("repair", "analytics", "--to", "earliest", *WHY)
    assert answer.out.startswith("analytics-v2 (store analytics_2) in orders.events, partition 3: 1 → 4\n")
    assert offsets("check", "analytics").code == 0


def test_a_directory_without_a_box_is_told(offsets: Offsets) -> None:
    answer = offsets("check")
    assert answer.code == ExitCode.NOT_FOUND
    assert "holds no log.db, so nothing was ever read there" in answer.err


class Anew(MemoryLog):
    """A log whose topics are others of the same name than those that were read."""

    @override
    async def identities(self, topics: Iterable[str]) -> dict[str, str]:
        return dict.fromkeys(topics, "second")


async def made_anew() -> tuple[Anew, Kept]:
    log, store = Anew(HandClock()), MemoryStore(order.TABLES)
    await log.publish([Draft("a", f"order-{number}", b"{}", b"{}") for number in range(20)])
    for group, offset in (("one", 3), ("two", 40)):
        await advance(store, group, {("a", partition): offset for partition in range(log.partitions)})
    await store.transact(lambda transaction: transaction.save(KNOWN_TOPICS, [KnownTopic("a", "first")]))
    return log, Kept("order", store, {"one": frozenset("a"), "two": frozenset("a")})


async def test_a_topic_that_was_made_anew_is_told_though_its_offsets_could_be_in_it() -> None:
    log, kept = await made_anew()
    standings = await standings_of(log, "order", kept)
    assert len(standings) == 8
    assert all(standing.recreated for standing in standings)
    text = told(checked("order", standings))
    assert "a was made anew since one read it: 4 offsets belong to the topic before, and this one holds 20" in text
    assert "a was made anew since two read it" in text
    assert "--to earliest: 40 records are read again, none is left out" in text
    assert "--to latest: no record is read again, 40 are never read" in text


async def test_a_topic_that_was_made_anew_is_known_once_its_offsets_were_moved() -> None:
    log, kept = await made_anew()
    standings = await standings_of(log, "order", kept)
    await move(log, kept, [moved(standing, target(standing, "earliest")) for standing in standings], {"a"})
    assert set((await progress(kept.store, "two")).values()) == {0}
    assert not any(standing.wrong for standing in await standings_of(log, "order", kept))


async def test_nothing_is_moved_when_the_service_went_on_meanwhile() -> None:
    log, kept = await made_anew()
    moves = [moved(standing, 0) for standing in await standings_of(log, "order", kept)]
    await kept.store.transact(lambda transaction: transaction.advance("two", "a", 3, 40, 41))
    with pytest.raises(Conflict, match="nothing was moved"):
        await move(log, kept, moves, {"a"})
    assert set((await progress(kept.store, "one")).values()) == {3}
    known = await kept.store.view(lambda reader: reader.load(KNOWN_TOPICS, ["a"]))
    assert known["a"].identity == "first"


@pytest.mark.parametrize(
    ("stored_at", "recreated", "to", "counts"),
    [
        (15, False, 12, (3, 0, 0)),
        (15, False, 18, (0, 3, 0)),
        (5, False, 10, (0, 0, 5)),
        (5, False, 20, (0, 10, 5)),
        (30, False, 10, (10, 0, 0)),
        (15, True, 10, (10, 0, 0)),
        (15, True, 20, (0, 10, 0)),
    ],
)
def test_what_a_move_does_is_counted(stored_at: int, recreated: bool, to: int, counts: tuple[int, int, int]) -> None:
    standing = Standing(
        service="order",
        store="order",
        group="order",
        topic="a",
        partition=0,
        stored=stored_at,
        first=10,
        end=20,
        recreated=recreated,
        held=10 <= stored_at <= 20,
    )
    found = moved(standing, to)
    assert (found.again, found.never, found.gone) == counts


def test_every_service_declares_the_groups_that_it_has(shop: LiveShop) -> None:
    for name, service in shop.services.items():
        consumers = [getattr(hearing, "_consumer", hearing) for hearing in service.consumers]
        groups = {each._group: each._handler.topics for each in consumers if isinstance(each, Consumer)}
        assert groups == WIRINGS[name].GROUPS, name
