"""A description says why a saga waits, since when, until when, and what helps."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest
from tests.unit.onebox import sagas
from tests.unit.onebox.golden_files import check
from tests.unit.onebox.sagas import at, told

from onebox.answers import Line, OrderDetail
from onebox.description import description
from sagakit.core.facts import AbortAsked, AbortCode, AnyFact


def order(status: str = "pending", **effects: dict[str, str]) -> OrderDetail:
    return OrderDetail(
        id="order-7",
        saga_id="order-7",
        user_id="ada",
        status=status,
        total=Decimal("19.98"),
        items=[Line(product_id="prod-1", quantity=2)],
        payment=effects.get("payment"),
        reservation=effects.get("reservation"),
        shipment=effects.get("shipment"),
    )


@pytest.mark.parametrize(
    ("name", "facts", "now"),
    [
        ("confirmed", sagas.CONFIRMED, at(500)),
        ("compensated", sagas.OUT_OF_STOCK, at(500)),
        ("waiting", sagas.WAITING, at(2_000)),
        ("stuck", sagas.STUCK, at(600_000)),
        ("too-late", sagas.TOO_LATE, at(70_000)),
    ],
)
def test_a_description_looks_as_it_did(name: str, facts: Sequence[AnyFact], now: datetime) -> None:
    saga, _ = told(facts, now)
    status = {"Completed": "confirmed", "Compensated": "cancelled"}.get(saga.phase, "pending")
    check(f"describe-{name}.txt", description(saga, order(status, payment={"status": "captured"})))


def test_a_saga_that_is_no_orders_is_described_without_one() -> None:
    saga, _ = told(sagas.WAITING, at(2_000))
    assert "prod-1" not in description(saga, None)


def test_what_helps_is_a_command_that_can_be_typed() -> None:
    saga, _ = told(sagas.STUCK, at(600_000))
    text = description(saga, None)
    assert "sagactl retry order-7 --step payment --reason" in text
    assert "sagactl kill order-7 --reason" in text


def test_a_reason_has_no_lines_of_its_own_so_it_cannot_say_what_is_not_so() -> None:
    lie = "no\n\nIt has ended and waits for nothing."
    asked = AbortAsked(at=at(1_000), code=AbortCode.CANCELLED, reason=lie, requested_by="eve")
    saga, _ = told([*sagas.STUCK, asked], at(600_000))
    lines = description(saga, order(payment={"status": "refused", "reason": lie})).splitlines()
    assert sum(lie.replace("\n", " ") in line for line in lines) == 2
    assert not any(line.startswith("It has ended") for line in lines)
