"""How easy a new participant is: the notification service was added without a changed line in the other services."""

from pathlib import Path

import pytest

from notification_service.listener import Listener
from shop_contracts.order_saga import ORDER_SAGA

SERVICES = Path(__file__).parents[3] / "services"
OTHERS = ("sagakit", "shop_contracts", "order_service", "payment_service", "inventory_service", "shipping_service")


@pytest.mark.parametrize("package", OTHERS)
def test_no_other_service_and_no_contract_knows_of_notifications(package: str) -> None:
    files = list((SERVICES / package).rglob("*.py"))
    assert files, f"{package} was not found"
    assert not [str(file) for file in files if "notif" in file.read_text().lower()]


def test_the_order_saga_has_no_step_for_it() -> None:
    assert "notification" not in {participant.name for participant in ORDER_SAGA.participants}


def test_it_hears_exactly_the_two_ends_of_an_order() -> None:
    events = {event for step in ORDER_SAGA.steps for event in step.events}
    events |= {ORDER_SAGA.started, ORDER_SAGA.completed, ORDER_SAGA.cancelled}
    assert {event for event in events if Listener().wants(event)} == {ORDER_SAGA.completed, ORDER_SAGA.cancelled}
