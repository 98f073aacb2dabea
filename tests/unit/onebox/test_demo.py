"""The demonstration's orders are drawn from a seed, and every kind of ending is among them in both modes."""

import time
from collections import Counter

import msgspec
import pytest
from tests.unit.onebox.live_shop import LiveShop

from onebox.answers import SagaLine
from onebox.audit import Books, judge
from onebox.client import Shop
from onebox.commands.demo import analysed, perform, summed
from onebox.demo import CONFIRMED, DECLINED, REFUSED, environment, plan, summary
from onebox.figures import Figures
from onebox.output import Format, Output
from onebox.recount.verdict import Verdict
from onebox.settings import CtlSettings
from sagakit.core.messages import Mode


@pytest.mark.parametrize("seed", range(40))
def test_every_seed_has_every_kind_of_ending_in_both_modes(seed: int) -> None:
    endings = Counter((order.body["mode"], order.ending) for order in plan(seed))
    assert endings.total() == 10
    assert all(endings[mode, ending] for mode in Mode for ending in (CONFIRMED, DECLINED, REFUSED))


def test_the_same_seed_is_the_same_demonstration() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    assert environment(7)["SAGAPLANE_SEED"] == "7"


def line(mode: Mode, phase: str, reason: str | None = None) -> SagaLine:
    ended = None if phase == "Running" else "2026-01-01T12:00:00Z"
    told: dict[str, object] = {
        "sagaId": "s",
        "correlationId": "s",
        "definition": "order/1",
        "mode": mode,
        "phase": phase,
    }
    return msgspec.convert({**told, "reason": reason, "endedAt": ended}, SagaLine)


def counted(confirmed: int, cancelled: int) -> Figures:
    """Return figures that have so many orders of each mode."""
    numbers = {"orders": confirmed + cancelled, "confirmed": confirmed, "cancelled": cancelled}
    none = {"totalOrders": 0, "confirmedOrders": 0, "cancelledOrders": 0, "pendingOrders": 0}
    money = {"totalRevenue": 0, "currency": "USD", "asOf": "2026-01-01T12:00:00Z"}
    return msgspec.convert({**none, **money, "byMode": [{"mode": mode, **numbers} for mode in Mode]}, Figures)


def recounted(differences: int) -> Verdict:
    return Verdict(
        version=1, offsets={}, events=52, left_out=0, compared=[], differences=[], differences_total=differences
    )


def test_a_saga_that_did_not_end_makes_it_no_good_demonstration() -> None:
    sagas = [line(mode, "Completed") for mode in Mode for _ in range(5)]
    assert summary(1, sagas, 1.0, judge(Books()), counted(5, 0), recounted(0)).good
    sagas[0] = line(Mode.CHOREOGRAPHY, "Running")
    told = summary(1, sagas, 1.0, judge(Books()), counted(5, 0), recounted(0))
    assert not told.good
    assert "✖ 1 sagas did not end" in summed(told)


def test_analytics_that_say_something_else_make_it_no_good_demonstration() -> None:
    sagas = [line(mode, "Completed") for mode in Mode for _ in range(5)]
    other = summary(1, sagas, 1.0, judge(Books()), counted(4, 1), recounted(0))
    assert not other.good
    assert "✖ the analytics do not have the orders as their sagas ended" in analysed(other)
    wrong = summary(1, sagas, 1.0, judge(Books()), counted(5, 0), recounted(3))
    assert not wrong.good
    assert "✖ 52 events counted again with DuckDB, 3 numbers differ" in analysed(wrong)


async def test_ten_orders_are_placed_and_their_books_balance(
    shop: LiveShop, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = {name: f"http://127.0.0.1:{service.port}" for name, service in shop.services.items()}
    async with Shop(CtlSettings(urls)) as client:
        told = await perform(client, Output(Format.TABLE), 3, time.monotonic())
    assert told.good
    assert sum(mode.confirmed for mode in told.modes) == 10
    printed = capsys.readouterr().out
    assert printed.count("demo-3-") == 10
    assert "choreography   ✔ 5        ↩ 0" in printed
    assert "✔ the books balance" in printed
    assert "orders           10: 10 confirmed, 0 cancelled, 0 pending" in printed
