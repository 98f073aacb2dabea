"""Dead letters at the command line: seen, chosen, redriven and discarded, also while somebody reads the same files."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread
from msgspec.structs import replace
from tests.docs.blocks import blocks, commands, matches
from tests.unit.onebox.live_shop import Answer
from tests.unit.order_service.shop import NOON, HandClock
from typing_extensions import override

from onebox.cli import execute
from onebox.errors import BadInput, ExitCode, Unreachable
from onebox.letters.asked import Asked, time_of
from onebox.letters.decided import decide
from onebox.letters.destination import topic_for
from onebox.output import Output
from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.adapters.sqlite import SqliteLog
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message
from sagakit.core.partitioner import partition_of
from sagakit.ports import Draft, LogUnavailableError, Record, Transaction
from sagakit.runtime.consumer import Consumer, dead_letter, dead_message
from sagakit.runtime.dead_letters import Because, DeadLetter, Status, Wanted, letters_of
from sagakit.runtime.relay import Relay
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP

Dlq = Callable[..., Answer]
WHY = ("--reason-why", "the reader is mended")
DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"
ORDERED, CHARGE, PAID, LATE = "order.commands", "payment.commands", "payments.events", "inventory.commands"


def a_message(kind: str, saga_id: str, **data: str) -> Message:
    return Message(
        id=f"{kind} of {saga_id}",
        type=kind,
        source="order",
        time=NOON,
        saga_id=saga_id,
        correlation_id=saga_id,
        causation_id="",
        data=encode_data({"orderId": saga_id, **data}),
    )


def record(topic: str, message: Message, offset: int) -> Record:
    lost = draft(topic, message)
    return Record(topic, 0, offset, lost.key, lost.headers, lost.value, message.time)


def three_letters() -> list[Draft]:
    """A payment service that could not read a charge, an order service that broke, and a reservation that waited."""
    unread = "ChargePayment: Object missing required field `amount`"
    charge = record(CHARGE, a_message("ChargePayment", "order-1"), 4)
    asked_for = record(ORDERED, a_message("CreateOrder", "order-2"), 11)
    parked = a_message("ReserveInventory", "order-3")
    return [
        dead_letter("payment", charge, "unreadable", unread, NOON),
        dead_letter("order", asked_for, "unhandled", "RuntimeError: the reader\nis broken", NOON + timedelta(hours=1)),
        dead_message("inventory", parked, "", "expired", "it waited in vain", NOON + timedelta(hours=2)),
    ]


async def published(directory: Path, drafts: Sequence[Draft]) -> None:
    log = SqliteLog(directory / "log.db", now=lambda: NOON)
    await log.publish(drafts)
    await log.close()


async def read(directory: Path, topic: str) -> list[Record]:
    log = SqliteLog(directory / "log.db")
    records = await log.fetch(dict.fromkeys(await log.ends([topic]), 0), 1000)
    await log.close()
    return records


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """The files of a box with three letters in them."""
    anyio.run(published, tmp_path, three_letters())
    return tmp_path


@pytest.fixture
def dlq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dlq:
    """Type `sagactl dlq …` about the box in the temporary directory, and return what it answers."""
    monkeypatch.setenv("SAGACTL_ACTOR", "ada")
    monkeypatch.setenv("COLUMNS", "100")

    def type_in(*words: str) -> Answer:
        code = execute(["dlq", *words, "--data-dir", str(tmp_path)])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return type_in


def ids(dlq: Dlq, *words: str) -> list[str]:
    answer = dlq("list", *words, "-o", "name")
    assert answer.code == 0, answer.err
    return answer.out.split()


def named(dlq: Dlq, service: str) -> str:
    (found,) = ids(dlq, "--service", service, "--all")
    return found


@pytest.mark.usefixtures("box")
def test_letters_are_counted_and_listed_the_newest_first(dlq: Dlq) -> None:
    answer = dlq("list")
    head, columns, *rows = answer.out.splitlines()
    assert head == "3 open, 0 redriven, 0 discarded (payment 1, order 1, inventory 1)"
    assert columns.split()[:6] == ["ID", "WHEN", "STATUS", "REASON", "TYPE", "SAGA"]
    assert [row.rstrip().rpartition("  ")[2].strip() for row in rows] == [
        "it waited in vain",
        "RuntimeError: the reader is broken",
        "ChargePayment: Object missing required field `amount`",
    ]
    assert "payment.commands-0@4" in rows[2]
    listed = json.loads(dlq("list", "-o", "json").out)
    assert [letter["reason"] for letter in listed] == ["expired", "unhandled", "unreadable"]
    assert listed[0]["offset"] == -1
    assert dlq("list", "-n", "1").err == "2 more: --limit 0 shows all\n"


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("words", "sagas"),
    [
        (("--service", "payment"), ["order-1"]),
        (("--service", "payment", "--service", "order"), ["order-2", "order-1"]),
        (("--service", "nobody"), []),
        (("--reason", "expired"), ["order-3"]),
        (("--type", "CreateOrder"), ["order-2"]),
        (("--saga", "order-1"), ["order-1"]),
        (("--since", "2026-01-01T13:00Z"), ["order-3", "order-2"]),
        (("--until", "2026-01-01T14:00:00+01:00"), ["order-1"]),
        (("--error-contains", "READER"), ["order-2"]),
        (("--error-contains", "in vain", "--reason", "unhandled"), []),
        (("--status", "redriven"), []),
    ],
)
def test_letters_are_narrowed_down(dlq: Dlq, words: tuple[str, ...], sagas: list[str]) -> None:
    listed = json.loads(dlq("list", *words, "-o", "json").out)
    assert [letter["sagaId"] for letter in listed] == sagas


@pytest.mark.usefixtures("box")
def test_a_letter_is_shown_with_everything_in_it(dlq: Dlq) -> None:
    letter_id = named(dlq, "payment")
    shown = dlq("show", letter_id).out
    assert shown.startswith(f"{letter_id}  open, ChargePayment\n")
    assert "came from  payment.commands-0@4\n" in shown
    assert "  ce_id             ChargePayment of order-1\n" in shown
    assert '  {\n    "orderId": "order-1"\n  }\n' in shown
    whole = json.loads(dlq("show", letter_id, "-o", "json").out)
    assert whole["record"]["value"] == '{"orderId":"order-1"}'
    assert whole["letter"]["status"] == "open"


def test_bytes_that_are_no_text_are_shown_as_far_as_they_can_be(dlq: Dlq, tmp_path: Path) -> None:
    torn = replace(record(CHARGE, a_message("ChargePayment", "order-1"), 4), value=b"\xff\x00{")
    anyio.run(published, tmp_path, [dead_letter("payment", torn, "unreadable", "e", NOON)])
    shown = dlq("show", named(dlq, "payment")).out
    assert "\\xff" in shown
    assert "-o json has the bytes themselves" in shown


def test_a_message_cannot_command_the_terminal_it_is_shown_on(dlq: Dlq, tmp_path: Path) -> None:
    evil = replace(record(CHARGE, a_message("Charge\x1b[2J", "order-1"), 4), value=b"\x1b]0;pwned\x07\x00")
    anyio.run(published, tmp_path, [dead_letter("payment", evil, "unreadable", "Error: \x1b[31mred", NOON)])
    told = dlq("list").out + dlq("show", named(dlq, "payment")).out + dlq("redrive", "--all", *WHY, "--dry-run").out
    assert "\\x1b[31mred" in told
    assert "\\x1b]0;pwned\\x07\\x00" in told
    assert all(letter.isprintable() or letter == "\n" for letter in told)


def test_no_part_of_a_letter_commands_the_terminal(dlq: Dlq, tmp_path: Path) -> None:
    where = Record("payment.\x9b2J", 0, 4, "key\nVALUE", b"{}", b"{}", NOON)
    message = replace(a_message("ChargePayment", "order-1\x1b[1m"), id="letter\x1b]52;c;cm0=\x07\nl")
    letters = [
        dead_letter("payment", where, "unreadable\x1bc\n", "no", NOON),
        dead_message("payment", message, "", "expired\x1bc", "no", NOON + timedelta(seconds=1)),
    ]
    anyio.run(published, tmp_path, letters)
    names = dlq("list", "-o", "json").out
    shown = [dlq("show", letter["id"]).out for letter in json.loads(names)]
    done = dlq("redrive", "--all", *WHY, "--yes")
    told = "".join((names, dlq("list").out, dlq("list", "-o", "name").out, *shown, done.out, done.err))
    assert all(letter.isprintable() or letter == "\n" for letter in told)
    assert len(dlq("list", "--all").out.splitlines()) == 2 + len(letters)
    assert sum(line == "VALUE" for line in "".join(shown).splitlines()) == len(letters)


@pytest.mark.usefixtures("box")
def test_a_letter_is_redriven_once_and_everybody_can_see_by_whom(dlq: Dlq, box: Path) -> None:
    letter_id = named(dlq, "order")
    answer = dlq("redrive", letter_id, *WHY, "--yes")
    assert (answer.code, answer.out) == (0, "✔ 1 of 1 letters redriven\n"), answer.err
    (back,) = anyio.run(read, box, ORDERED)
    assert (back.key, back.value) == ("order-2", b'{"orderId":"order-2"}')
    assert msgspec.json.decode(back.headers)["ce_id"] == "CreateOrder of order-2"
    assert letter_id not in ids(dlq)
    assert ids(dlq, "--status", "redriven") == [letter_id]
    assert "  redriven   " in (shown := dlq("show", letter_id).out)
    assert "by ada: the reader is mended\n" in shown
    assert dlq("list").out.startswith("2 open, 1 redriven, 0 discarded")
    refused = dlq("redrive", letter_id, *WHY, "--yes")
    assert refused.code == ExitCode.CONFLICT
    assert f"{letter_id} was redriven by ada: the reader is mended\n  add --again" in refused.err
    assert len(anyio.run(read, box, ORDERED)) == 1
    assert dlq("redrive", letter_id, *WHY, "--yes", "--again").code == 0
    assert len(anyio.run(read, box, ORDERED)) == 2


@pytest.mark.usefixtures("box")
def test_a_discarded_letter_is_not_redriven_with_the_others(dlq: Dlq, box: Path) -> None:
    letter_id = named(dlq, "payment")
    assert dlq("discard", letter_id, "--reason-why", "a test message", "--yes").out == "✔ 1 of 1 letters discarded\n"
    answer = dlq("redrive", "--all", *WHY, "--yes", "-o", "json")
    assert json.loads(answer.out)["done"] == 2
    assert anyio.run(read, box, CHARGE) == []
    assert dlq("list").out.startswith("0 open, 2 redriven, 1 discarded\n")
    assert dlq("list").err == "no such dead letters\n"


@pytest.mark.usefixtures("box")
def test_what_was_parked_goes_where_its_type_belongs(dlq: Dlq, box: Path) -> None:
    assert dlq("redrive", "--reason", "expired", *WHY, "--yes").code == 0
    (back,) = anyio.run(read, box, LATE)
    assert back.key == "order-3"


def test_a_type_that_travels_nowhere_known_needs_a_topic(dlq: Dlq, tmp_path: Path) -> None:
    parked = a_message("ReserveSeat", "order-3")
    anyio.run(published, tmp_path, [dead_message("seats", parked, "", "expired", "in vain", NOON)])
    refused = dlq("redrive", "--service", "seats", *WHY, "--yes")
    assert refused.code == ExitCode.NO
    assert refused.out.startswith("✖ 0 of 1 letters redriven\n")
    assert "does not say which topic its message came from" in refused.out
    assert dlq("redrive", "--service", "seats", *WHY, "--yes", "--to", "seats.commands").code == 0
    assert len(anyio.run(read, tmp_path, "seats.commands")) == 1


def test_a_letter_goes_nowhere_that_its_service_does_not_read_unless_a_person_names_it(
    dlq: Dlq, tmp_path: Path
) -> None:
    refund = a_message("RefundPayment", "order-1")
    forged = dead_letter("shipping", record(CHARGE, refund, 4), "unhandled", "RuntimeError: no", NOON)
    parked = dead_message("shipping", refund, "", "expired", "in vain", NOON)
    anyio.run(published, tmp_path, [forged, parked])
    refused = dlq("redrive", "--all", *WHY, "--yes")
    assert refused.code == ExitCode.NO
    assert refused.out.startswith("✖ 0 of 2 letters redriven\n")
    assert refused.out.count(f"it would go to {CHARGE}, which shipping does not read") == 2
    assert anyio.run(read, tmp_path, CHARGE) == []
    assert dlq("redrive", "--all", *WHY, "--yes", "--to", CHARGE).code == 0
    assert len(anyio.run(read, tmp_path, CHARGE)) == 2


def a_payment(offset: int, **data: str) -> Record:
    paid = record(PAID, a_message("PaymentCompleted", "order-1", **data), offset)
    return replace(paid, partition=partition_of("order-1", 4))


@pytest.mark.parametrize(
    "made_up",
    [
        a_payment(0, amount="1"),
        a_payment(1),
        a_payment(10**20),
        a_payment(-1),
        replace(a_payment(0), partition=10**20),
        replace(a_payment(0), topic=""),
        replace(a_payment(0), topic="sagas.events"),
    ],
    ids=["other words", "nothing there", "never there", "nowhere", "no such partition", "no topic", "another topic"],
)
def test_others_hear_nothing_that_the_author_of_a_letter_made_up_unless_a_person_names_the_topic(
    dlq: Dlq, tmp_path: Path, made_up: Record
) -> None:
    topic = made_up.topic or PAID
    anyio.run(published, tmp_path, [draft(PAID, a_message("PaymentCompleted", "order-1"))])
    before = len(anyio.run(read, tmp_path, topic))
    anyio.run(published, tmp_path, [dead_letter("shipping", made_up, "unhandled", "RuntimeError: no", NOON)])
    refused = dlq("redrive", "--all", *WHY, "--yes")
    assert refused.code == ExitCode.NO
    assert f"others read {topic} too, and the log does not hold it where it says it was" in refused.out
    assert len(anyio.run(read, tmp_path, topic)) == before
    assert dlq("redrive", "--all", *WHY, "--yes", "--to", topic).code == 0
    assert len(anyio.run(read, tmp_path, topic)) == before + 1


@pytest.mark.parametrize(("service", "offset"), [("shipping", 0), ("payment", -1)], ids=["in the log", "its own words"])
def test_what_the_log_holds_and_what_its_service_may_say_itself_goes_where_others_read(
    dlq: Dlq, tmp_path: Path, service: str, offset: int
) -> None:
    said = draft(PAID, a_message("PaymentCompleted", "order-1"))
    anyio.run(published, tmp_path, [said])
    anyio.run(published, tmp_path, [dead_letter(service, a_payment(offset), "unhandled", "RuntimeError: no", NOON)])
    assert dlq("redrive", "--all", *WHY, "--yes").code == 0
    first, again = anyio.run(read, tmp_path, PAID)
    assert (first.key, first.headers, first.value) == (again.key, again.headers, again.value)


def test_nobody_unknown_says_anything_to_the_shop(dlq: Dlq, tmp_path: Path) -> None:
    refund = dead_letter("seats", record(CHARGE, a_message("RefundPayment", "order-1"), 4), "unhandled", "no", NOON)
    anyio.run(published, tmp_path, [refund])
    refused = dlq("redrive", "--service", "seats", *WHY, "--yes")
    assert refused.code == ExitCode.NO
    assert f"others read {CHARGE} too" in refused.out
    assert anyio.run(read, tmp_path, CHARGE) == []


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("verb", ["redrive", "discard"])
def test_a_dry_run_names_them_and_does_nothing(dlq: Dlq, box: Path, verb: str) -> None:
    before = dlq("list", "-o", "json").out
    answer = dlq(verb, "--all", *WHY, "--dry-run")
    assert answer.out.startswith(f"3 letters would be {verb}{'n' if verb == 'redrive' else 'ed'}\n")
    assert len(answer.out.splitlines()) == 4
    assert set(dlq(verb, "--all", *WHY, "--dry-run", "-o", "name").out.split()) == set(ids(dlq))
    assert dlq("list", "-o", "json").out == before
    assert anyio.run(read, box, ORDERED) == []


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("redrive", *WHY, "--yes"), 2, "3 letters are open, and nothing says which of them are meant"),
        (("discard", *WHY, "--yes"), 2, "3 letters are open, and nothing says which of them are meant"),
        (("redrive", "--all", *WHY), 2, "redrive asks first, and nobody is there"),
        (("redrive", "--all", "--yes"), 2, "Missing option '--reason-why'"),
        (("redrive", "--all", "--reason-why", "  ", "--yes"), 2, "--reason-why is empty"),
        (("redrive", "no-such-letter", *WHY, "--yes"), 4, "there is no dead letter 'no-such-letter'"),
        (("discard", "no-such-letter", *WHY, "--yes"), 4, "there is no dead letter 'no-such-letter'"),
        (("show", "no-such-letter"), 4, "there is no dead letter 'no-such-letter'"),
        (("redrive", "--all", *WHY, "--rate", "0"), 2, "--rate"),
        (("list", "--since", "yesterday"), 2, "--since 'yesterday' is no moment"),
        (("list", "--until", "2026-11-25T12:00"), 2, "--until '2026-11-25T12:00' is no moment"),
        (("list", "--service", "../payment"), 2, "--service '../payment' is no name of a service"),
        (("list", "--status", "lost"), 2, "--status"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(
    dlq: Dlq, words: tuple[str, ...], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    answer = dlq(*words)
    assert (answer.code, answer.out) == (code, "")
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert len(ids(dlq)) == 3


class Terminal(io.StringIO):
    """Somebody who is there, and types this."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("box")
def test_a_person_types_how_many_or_nothing_happens(dlq: Dlq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("yes\n"))
    answer = dlq("redrive", "--all", *WHY)
    assert answer.code == ExitCode.USAGE
    assert "3 letters would be redriven\n" in answer.err
    assert "Type 3 to redrive them: error: nothing was redriven" in answer.err
    assert len(ids(dlq)) == 3
    monkeypatch.setattr(sys, "stdin", Terminal("3\n"))
    assert dlq("redrive", "--all", *WHY).out == "✔ 3 of 3 letters redriven\n"


def test_a_directory_without_a_log_and_a_file_that_is_none_are_named(dlq: Dlq, tmp_path: Path) -> None:
    answer = dlq("list")
    assert answer.code == ExitCode.NOT_FOUND
    assert f"{tmp_path} holds no log.db, so nothing was ever said there" in answer.err
    assert not (tmp_path / "log.db").exists()
    (tmp_path / "log.db").write_text("no database at all, but long enough to be taken for one, or so one may think")
    answer = dlq("list")
    assert answer.code in {ExitCode.USAGE, ExitCode.UNREACHABLE}
    assert "Traceback" not in answer.err


def test_a_box_that_nothing_ever_went_wrong_in_has_no_letters(dlq: Dlq, tmp_path: Path) -> None:
    anyio.run(published, tmp_path, [])
    answer = dlq("list")
    assert (answer.code, answer.out) == (0, "0 open, 0 redriven, 0 discarded\n")
    assert json.loads(dlq("list", "-o", "json").out) == []
    done = dlq("redrive", "--all", *WHY, "--yes")
    assert (done.code, done.out) == (0, "no such dead letters; nothing was redriven\n")


def test_records_that_are_no_letters_are_told_of(dlq: Dlq, tmp_path: Path) -> None:
    anyio.run(published, tmp_path, [Draft("order.dlq", None, b"{}", b"")])
    assert "order.dlq: 1 records are no dead letters and are passed over\n" in dlq("list").err


def test_what_the_document_prints_of_dead_letters_is_what_sagactl_prints(tmp_path: Path) -> None:
    (tmp_path / "sagaplane").mkdir()
    anyio.run(published, tmp_path / "sagaplane", three_letters()[:1])
    letter_id = msgspec.json.decode(three_letters()[0].headers)["ce_id"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"XDG_DATA_HOME": str(tmp_path), "SAGACTL_ACTOR": "ada", "NO_COLOR": "1", "LETTER": letter_id, "PATH": path}
    (block,) = (block for block in blocks(DOCUMENT) if block.kind == "shell-session" and "sagactl dlq" in block.body)
    typed = list(commands(block))
    assert len(typed) == 5
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


class Till:
    """Broken until it is mended; books each message once."""

    topics = frozenset({PAID})

    def __init__(self) -> None:
        self.broken = True
        self.booked: list[str] = []

    def wants(self, message_type: str) -> bool:
        return message_type == "PaymentCompleted"

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        if self.broken:
            raise RuntimeError("the till is broken")
        self.booked += sorted(await transaction.claim([message.id for message in messages], now))

    def committed(self) -> None:
        pass

    def failed(self) -> None:
        pass


async def test_a_service_that_runs_on_the_files_handles_what_is_redriven_beside_it(dlq: Dlq, tmp_path: Path) -> None:
    log, store, till, clock = SqliteLog(tmp_path / "log.db"), MemoryStore(()), Till(), HandClock()
    consumer = Consumer(service="order", group="o", handler=till, store=store, log=log, contracts=SHOP, clock=clock)
    await log.publish([draft(PAID, a_message("PaymentCompleted", f"order-{number}")) for number in range(5)])
    while await consumer.step():
        pass
    await Relay("order", store, log).step()
    till.broken = False
    for _ in range(2):
        answer = await to_thread.run_sync(partial(dlq, "redrive", "--all", "--again", *WHY, "--yes", "--rate", "1000"))
        assert answer.out == "✔ 5 of 5 letters redriven\n", answer.err
        while await consumer.step():
            pass
    await log.close()
    assert sorted(till.booked) == [f"PaymentCompleted of order-{number}" for number in range(5)]


class Failing(MemoryLog):
    """A log that is unreachable from the nth publication on."""

    left = 1_000_000

    @override
    async def publish(self, drafts: Sequence[Draft]) -> None:
        self.left -= 1
        if self.left < 0:
            raise LogUnavailableError("power cut")
        await super().publish(drafts)


async def a_log_of_many(clock: HandClock, letters: int) -> Failing:
    log = Failing(clock)
    records = [record(ORDERED, a_message("CreateOrder", f"order-{number}"), number) for number in range(letters)]
    await log.publish([dead_letter("order", each, "unhandled", "e", NOON) for each in records])
    return log


def asked(rate: int) -> Asked:
    because = Because("ada", "the reader is mended")
    return Asked(becomes=Status.REDRIVEN, wanted=Wanted(), because=because, every=True, rate=rate, yes=True)


async def test_no_more_letters_a_second_are_redriven_than_asked(capsys: pytest.CaptureFixture[str]) -> None:
    clock = HandClock()
    log = await a_log_of_many(clock, 101)
    await decide(log, Output(), clock, asked(rate=20))
    assert capsys.readouterr().out == "✔ 101 of 101 letters redriven\n"
    assert (clock.now() - NOON).total_seconds() == pytest.approx(5)
    places = dict.fromkeys(await log.ends([ORDERED]), 0)
    times = sorted((each.appended_at - NOON).total_seconds() for each in await log.fetch(places, 1000))
    assert times == pytest.approx([number / 20 for number in range(101)])


async def test_when_the_log_goes_away_the_rest_is_open_and_the_same_command_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = HandClock()
    log = await a_log_of_many(clock, 5)
    log.left = 5  # two letters with their decisions, and the third without
    with pytest.raises(Unreachable, match="2 of 5 were redriven before: power cut"):
        await decide(log, Output(), clock, asked(rate=50))
    assert [letter.status for letter in (await letters_of(log, "order")).all].count(Status.OPEN) == 3
    log.left = 1_000
    await decide(log, Output(), clock, asked(rate=50))
    assert capsys.readouterr().out == "✔ 3 of 3 letters redriven\n"
    assert sum((await log.ends([ORDERED])).values()) == 6


def test_a_time_is_a_moment_or_so_long_ago() -> None:
    assert time_of("--since", None) is None
    assert time_of("--since", "2026-01-01T13:00+01:00") == NOON
    assert time_of("--since", "90m", NOON) == NOON - timedelta(minutes=90)
    assert time_of("--since", "2d", NOON) == NOON - timedelta(days=2)
    for text in ("2w", "999999d", ""):
        with pytest.raises(BadInput):
            time_of("--since", text, NOON)


@pytest.mark.parametrize(
    ("service", "kind", "topic"),
    [
        ("order", "PaymentCompleted", PAID),
        ("inventory", "OrderCreated", "orders.events"),
        ("payment", "ChargePayment", CHARGE),
        ("payment", "RetryStep", CHARGE),
        ("shipping", "RetryStep", "shipping.commands"),
        ("payment", "SagaKilled", "sagas.events"),
        ("order", "StepStuck", ""),
        ("order", "Unheard", ""),
    ],
)
def test_a_parked_message_came_from_where_its_type_travels_to_its_service(service: str, kind: str, topic: str) -> None:
    letter = DeadLetter(
        id="letter",
        service=service,
        buried_at=NOON,
        reason="expired",
        error="",
        type=kind,
        saga_id="order-1",
        message_id="m",
        topic="",
        partition=-1,
        offset=-1,
        letter_partition=0,
        letter_offset=0,
    )
    assert topic_for(letter) == topic
