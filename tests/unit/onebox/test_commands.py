"""What sagactl says of a shop that runs: each command, each format, each way to be told no."""

import io
import json
import sys

import pytest
from tests.unit.onebox.conftest import Sagactl

pytestmark = pytest.mark.usefixtures("pens")
OUT_OF_STOCK = ("submit", "--item", "nobody-has-this:1:5", "--wait", "-o", "json")


def placed(sagactl: Sagactl, *more: str) -> str:
    """Return the id of an order of two pens that was confirmed."""
    answer = sagactl("submit", "--item", "pen:2:9.99", "--wait", "-o", "name", *more)
    assert answer.code == 0, answer.err
    return answer.out.strip()


def cancelled(sagactl: Sagactl) -> str:
    """Return the id of an order that was cancelled for want of stock."""
    answer = sagactl(*OUT_OF_STOCK)
    assert answer.code == 1
    (order,) = json.loads(answer.out)
    assert order["cancellationReason"] == "OUT_OF_STOCK"
    return str(order["id"])


def test_an_order_is_placed_and_waited_for(sagactl: Sagactl) -> None:
    answer = sagactl("submit", "--item", "pen:2:9.99", "--item", "pen:1:0.02", "--wait", "--mode", "orchestration")
    assert answer.code == 0
    assert "✔ confirmed" in answer.out
    assert "20.00 USD" in answer.out
    assert "orchestration" in answer.out


def test_waiting_for_an_order_that_is_cancelled_ends_with_one_and_says_why(sagactl: Sagactl) -> None:
    answer = sagactl("submit", "--item", "nobody-has-this:1:5", "--wait")
    assert answer.code == 1
    assert "✖ cancelled  OUT_OF_STOCK" in answer.out
    assert answer.err.startswith("error: 1 of 1 orders were cancelled: OUT_OF_STOCK\n")


def test_the_same_key_places_one_order(sagactl: Sagactl) -> None:
    assert placed(sagactl, "--key", "breakfast") == placed(sagactl, "--key", "breakfast")


def test_many_orders_are_placed_from_flags(sagactl: Sagactl) -> None:
    answer = sagactl("submit", "--item", "pen:1:1", "--count", "12", "--wait", "-o", "jsonl")
    orders = [json.loads(line) for line in answer.out.splitlines()]
    assert len({order["id"] for order in orders}) == 12
    assert {order["status"] for order in orders} == {"confirmed"}


@pytest.mark.parametrize(
    "text",
    [
        '{"userId":"ada","items":[{"productId":"pen","quantity":1,"price":1.10}]}',
        '[{"userId":"ada","items":[{"productId":"pen","quantity":1,"price":1.10}]}]',
        '{"orders":[{"userId":"ada","items":[{"productId":"pen","quantity":1,"price":"1.10"}]}]}',
        '{"userId":"ada","items":[{"productId":"pen","quantity":1,"price":1.1}]}\n\n',
    ],
    ids=["one", "a list", "as the batch API takes them", "a line each"],
)
def test_orders_come_from_standard_input(sagactl: Sagactl, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    answer = sagactl("submit", "--file", "-", "-o", "json")
    assert answer.code == 0, answer.err
    (order,) = json.loads(answer.out)
    assert order["total"] == 1.1


def test_of_several_orders_the_good_ones_are_placed_and_the_bad_ones_named(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '{"userId":"ada","items":[{"productId":"pen","quantity":1,"price":1}]}\n{"userId":"ada","items":[]}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    answer = sagactl("submit", "--file", "-", "-o", "name")
    assert answer.code == 2
    assert len(answer.out.splitlines()) == 1
    assert "1 of 2 orders were refused; order 2: /orders/1/items: " in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("submit", "--item", "pen"), "--item 'pen' is not product:quantity:price"),
        (("submit", "--item", "pen:1:1..2"), "is not product:quantity:price"),
        (("submit", "--item", "pen:0:1"), "order 1: /orders/0/items/0/quantity: "),
        (("submit", "--item", "pen:1:1.999"), "has too many decimals: USD has 2"),
        (("submit", "--item", "pen:1:1", "--currency", "XXL"), "is not an ISO 4217 currency"),
        (("submit",), "give the order's lines with --item"),
        (("submit", "--file", "no-such-file.json"), "no-such-file.json cannot be read: No such file or directory"),
        (("list", "--orders", "--phase", "Running"), "--phase and --reason are about sagas"),
        (("list", "--status", "pending"), "--status and --user are about orders"),
        (("list", "--orders", "--status", "lost"), "status"),
        (("list", "--phase", "Lost"), "'Lost' is not one of"),
        (("batch", "create", "--verb", "cancel", "--reason", "r"), "a batch names its sagas"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_is_wrong(sagactl: Sagactl, words: tuple[str, ...], said: str) -> None:
    answer = sagactl(*words)
    assert answer.code == 2
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err
    assert answer.out == ""


def test_a_file_that_is_no_json_is_named(sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"userId: ada\n")))
    answer = sagactl("submit", "--file", "-")
    assert answer.code == 2
    assert "- is not JSON" in answer.err


def test_sagas_and_orders_are_listed(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    assert order_id in sagactl("list").out
    assert "✔ Completed" in sagactl("list", "--phase", "completed").out
    assert order_id in sagactl("list", "--orders", "--status", "confirmed", "--user", "user-1").out
    assert sagactl("list", "--limit", "1", "-o", "name").out == f"{order_id}\n"
    assert json.loads(sagactl("list", "-n", "1", "-o", "json").out)[0]["sagaId"] == order_id


def test_a_list_of_nothing_is_an_empty_answer(sagactl: Sagactl) -> None:
    answer = sagactl("list", "--reason", "NO_SUCH_REASON", "-o", "json")
    assert (answer.code, json.loads(answer.out)) == (0, [])
    assert "no such sagas" in sagactl("list", "--reason", "NO_SUCH_REASON").err


def test_a_list_may_be_longer_than_a_page(sagactl: Sagactl) -> None:
    placed(sagactl, "--count", "3")
    every = sagactl("list", "--limit", "0", "-o", "name").out.splitlines()
    assert len(every) == len(set(every)) >= 3


def test_a_saga_is_described_drawn_and_told(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    described = sagactl("describe", order_id).out
    assert f"{order_id}  ✔ Completed" in described
    assert "It has ended and waits for nothing." in described
    drawn = sagactl("timeline", order_id, "--width", "90").out
    assert "stock" in drawn
    assert max(map(len, drawn.splitlines())) <= 90
    assert "✔ succeeded" in sagactl("graph", order_id).out
    assert "class do_payment,do_inventory,do_shipping,do_stock good" in sagactl("graph", order_id, "-f", "mermaid").out
    types = [event["type"] for event in json.loads(sagactl("events", order_id, "-o", "json").out)]
    assert types[0] == "OrderCreated"
    assert "ReservationConsumed" in types
    assert "✔" in sagactl("replay", order_id).out


def test_a_definition_is_drawn_without_asking_anybody(sagactl: Sagactl) -> None:
    assert sagactl("graph").out == sagactl("graph", "order/1").out == sagactl("graph", "order").out


def test_json_is_the_same_for_one_and_for_machines_that_read_lines(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    for command in ("describe", "timeline", "replay"):
        pretty, line = sagactl(command, order_id, "-o", "json").out, sagactl(command, order_id, "-o", "jsonl").out
        assert len(line.splitlines()) == 1
        assert json.loads(pretty).keys() == json.loads(line).keys()
        assert sagactl(command, order_id, "-o", "name").out == f"{order_id}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("describe", "nope"),
        ("timeline", "nope"),
        ("graph", "nope"),
        ("events", "nope"),
        ("replay", "nope"),
        ("cancel", "nope", "--reason", "r"),
        ("kill", "nope", "--reason", "r", "--yes"),
        ("batch", "show", "nope"),
        ("batch", "stop", "nope"),
        ("graph", "trip/9"),
    ],
)
def test_what_is_not_there_ends_with_four(sagactl: Sagactl, words: tuple[str, ...]) -> None:
    answer = sagactl(*words)
    assert answer.code == 4
    assert answer.err.startswith("error: ")
    assert len(answer.err.splitlines()) == 2
    assert answer.out == ""


@pytest.mark.parametrize("name", ["a b", "../../etc", "?x=1", "%2e%2e", "ä", "#", "x" * 51, ""])
def test_an_id_that_can_be_none_is_refused_in_a_line(sagactl: Sagactl, name: str) -> None:
    answer = sagactl("describe", name)
    assert answer.code in (2, 4)
    assert answer.err.startswith("error: ")


def test_a_verb_that_the_saga_does_not_allow_ends_with_five(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    for words in (("cancel",), ("retry",), ("skip", "--step", "payment"), ("suspend",)):
        answer = sagactl(words[0], order_id, "--reason", "why not", *words[1:])
        assert answer.code == 5, words
        assert order_id in answer.err


def test_a_verb_without_effect_says_so(sagactl: Sagactl) -> None:
    answer = sagactl("cancel", cancelled(sagactl), "--reason", "twice")
    assert answer.code == 0
    assert "cancel has no effect" in answer.out


def test_kill_does_nothing_when_nobody_is_there_to_agree(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    answer = sagactl("kill", order_id, "--reason", "r")
    assert answer.code == 2
    assert "add --yes" in answer.err


def test_a_dry_run_counts_and_does_nothing(sagactl: Sagactl) -> None:
    order_id = cancelled(sagactl)
    words = ("batch", "create", "--verb", "cancel", "--with-reason", "OUT_OF_STOCK", "--reason", "tidy")
    answer = sagactl(*words, "--dry-run")
    assert answer.code == 0
    assert "nothing was done" in answer.out
    assert order_id in answer.out
    before = len(json.loads(sagactl("batch", "list", "-o", "json").out))
    sagactl(*words, "--dry-run")
    assert len(json.loads(sagactl("batch", "list", "-o", "json").out)) == before


def test_a_batch_is_watched_to_its_end_and_names_what_failed(sagactl: Sagactl) -> None:
    order_id = placed(sagactl)
    words = ("batch", "create", "--verb", "cancel", "--id", order_id, "--id", "nope", "--reason", "tidy", "--watch")
    answer = sagactl(*words)
    assert answer.code == 1
    assert "0 of 2 done, 2 failed" in answer.out
    assert f"  {order_id} has ended (Completed)" in answer.out
    assert "nope: there is no such saga" in answer.out
    (newest, *_) = json.loads(sagactl("batch", "list", "-o", "json").out)
    assert (newest["verb"], newest["actor"], newest["state"]) == ("cancel", "ada", "completed")
    assert "completed" in sagactl("batch", "stop", newest["batchId"]).out
