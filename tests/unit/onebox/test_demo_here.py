"""The demonstration in a shop that runs already: it looks at its own orders, and places them once."""

import json
from pathlib import Path

import pytest
from tests.unit.onebox.conftest import Sagactl

from onebox.demo import Joined, plan
from onebox.errors import ExitCode

SEED = 3


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop of these tests keeps no files: who looks for some finds none."""
    monkeypatch.setenv("SAGAPLANE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GRAFANA_PORT", "13000")


@pytest.mark.usefixtures("elsewhere")
def test_the_demonstration_in_a_shop_with_other_orders_places_its_own_once(sagactl: Sagactl) -> None:
    for orders in (10, 11):
        answer = sagactl("demo", "--here")
        assert answer.code == 0, answer.err
        assert answer.out.count("demo-3-") == 10
        assert "choreography   ✔ 5        ↩ 0" in answer.out
        assert "✔ the books balance" in answer.out
        assert "in Grafana, where it runs: http://127.0.0.1:13000/d/sagaplane-overview" in answer.out
        assert "16686/trace/" not in answer.out  # nothing is traced here
        assert f"orders           {orders}: {orders} confirmed" in answer.out
        assert "the events were not counted again: " in answer.err
        assert ("the first saga had ended" in answer.out) == (orders == 10)
        assert sagactl("submit", "--item", "prod-1:1:5", "--key", "another", "--wait").code == 0


@pytest.mark.usefixtures("elsewhere")
def test_a_machine_is_told_each_order_beside_its_saga(sagactl: Sagactl) -> None:
    told = json.loads(sagactl("demo", "--here", "-o", "json").out)
    assert {order["orderId"] for order in told["joined"]} == {order.order_id for order in plan(SEED)}
    assert {(order["ended"], order["status"]) for order in told["joined"]} == {("confirmed", "confirmed")}
    assert told["recount"] is None


def test_services_that_run_already_are_not_kept_running(sagactl: Sagactl) -> None:
    answer = sagactl("demo", "--here", "--stay")
    assert answer.code == ExitCode.USAGE
    assert "leave out --stay" in answer.err


@pytest.mark.parametrize(
    ("order", "agrees"),
    [
        (Joined(order_id="o", ended="confirmed", status="confirmed"), True),
        (Joined(order_id="o", ended="confirmed", status="confirmed", missing=("shipment",)), False),
        (Joined(order_id="o", ended="confirmed", status="cancelled"), False),
        (Joined(order_id="o", ended="confirmed", status=None), False),
        (Joined(order_id="o", ended=None, status=None), False),
    ],
)
def test_an_order_agrees_when_the_analytics_say_of_it_what_its_saga_says(order: Joined, agrees: bool) -> None:
    assert order.agrees == agrees
