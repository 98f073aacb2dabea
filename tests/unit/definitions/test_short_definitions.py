"""A definition of the shop is written shortly; what the shop cannot carry out is refused in a sentence."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.definitions.town import STEPS, short

from sagakit.core.definition import DefinitionError, Participant, RetryPolicy, Saga, StepKind
from sagakit.core.definition_data import to_data
from shop_contracts.definitions import COMMANDS, checked, definition_of, read_definition
from shop_contracts.order_saga import ORDER_SAGA

USUAL = ("payment", "inventory", "shipping", "stock")


def with_step(name: str, **changes: object) -> dict[str, Any]:
    """Return the usual saga in short data, one step of it changed."""
    said = short("mine", 1, *USUAL)
    return {**said, "stages": [{"steps": [_changed(stage["steps"][0], name, changes)]} for stage in said["stages"]]}


def _changed(step: Mapping[str, object], name: str, changes: Mapping[str, object]) -> dict[str, object]:
    return {**step, **changes} if step["name"] == name else {**step}


def test_the_order_saga_itself_can_be_written_shortly() -> None:
    assert definition_of(short("order", 1, *USUAL)) == ORDER_SAGA


def test_limits_and_patience_are_for_a_definition_to_choose() -> None:
    patience = {"attemptsMax": 3, "delayMilliseconds": 500, "delayMaxMilliseconds": 4000}
    said = with_step("payment", timeoutSeconds=7, retry=patience)
    step = definition_of({**said, "timeoutSeconds": 60}).step("payment")
    assert (step.timeout_seconds, step.retry) == (7, RetryPolicy(3, 0.5, 4.0))


def test_what_is_known_may_be_repeated_and_kinds_may_be_capitalised() -> None:
    said = with_step("payment", success="PaymentCompleted", compensation="RefundPayment", kind="Compensatable")
    assert definition_of(said).step("payment") == ORDER_SAGA.step("payment")


def test_what_is_read_from_the_topic_is_what_was_written() -> None:
    saga = definition_of(short("mine"))
    assert read_definition(to_data(saga)) == saga


REFUSED: dict[str, dict[str, Any]] = {
    "the definition needs a field 'stages'": {"name": "mine", "version": 1},
    "stages[0].steps[0] needs a field 'command'": {
        "name": "mine",
        "stages": [{"steps": [{"name": "a", "participant": "b"}]}],
    },
    "stages[0].steps[0] has a field 'undo', which is not known": with_step("payment", undo="x"),
    "mine/1: step 'payment': no step can begin with the command 'Pay'; known: ChargePayment (payment), "
    "ReserveInventory (inventory), ScheduleShipment (shipping), ConsumeReservation (inventory)": with_step(
        "payment", command="Pay"
    ),
    "mine/1: step 'payment': no step can begin with the command 'RefundPayment'; known: ChargePayment (payment), "
    "ReserveInventory (inventory), ScheduleShipment (shipping), ConsumeReservation (inventory)": with_step(
        "payment", command="RefundPayment"
    ),
    "mine/1: step 'payment' belongs to 'bank', which is not a participant; "
    "known: inventory, payment, shipping": with_step("payment", participant="bank"),
    "mine/1: nobody handles 'ChargePayment', the command of step 'payment'; "
    "shipping handles ScheduleShipment": with_step("payment", participant="shipping"),
    "mine/1: step 'payment': the success of ChargePayment is PaymentCompleted, not Paid": with_step(
        "payment", success="Paid"
    ),
    "mine/1: step 'shipping': the failure of ScheduleShipment is ShipmentFailed, not NotSent": with_step(
        "shipping", failure="NotSent"
    ),
    "mine/1: step 'inventory': the event of ReleaseInventory is InventoryReleased, not Freed": with_step(
        "inventory", compensated="Freed"
    ),
    "mine/1: step 'shipping': the kind must be one of compensatable, pivot, retriable, not 'final'": with_step(
        "shipping", kind="final"
    ),
    "mine/1: step 'shipping': ScheduleShipment can be pivot, not retriable": with_step("shipping", kind="Retriable"),
    "mine/1: 'payment' (compensatable) cannot follow 'stock' (retriable): "
    "compensatable steps come first, then the pivot, then retriable steps": short(
        "mine", 1, "inventory", "shipping", "stock", "payment"
    ),
    "mine/1: no step begins with ChargePayment or ScheduleShipment, which every confirmed order needs": short(
        "mine", 1, "inventory", "stock"
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_the_shop_cannot_carry_out_is_refused_in_a_sentence(sentence: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        definition_of(REFUSED[sentence])
    assert str(refused.value) == sentence


STRANGE: dict[str, Saga] = {
    "order/1: its cancelled is OrderCancelled, not OrderDropped": replace(ORDER_SAGA, cancelled="OrderDropped"),
    "order/1: its initiator is order, not till": replace(ORDER_SAGA, initiator=Participant("till", "orders.events")),
    "order/1: the events topic of payment is payments.events, not elsewhere": replace(
        ORDER_SAGA,
        participants=(Participant("payment", "elsewhere"), *ORDER_SAGA.participants[1:]),
    ),
    "order/1: a participant: the shop has no participant 'bank'; known: payment, inventory, shipping": replace(
        ORDER_SAGA, participants=(*ORDER_SAGA.participants, Participant("bank", "bank.events"))
    ),
}


@pytest.mark.parametrize("sentence", STRANGE)
def test_a_whole_definition_is_held_against_the_shop_too(sentence: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        checked(STRANGE[sentence])
    assert str(refused.value) == sentence


def test_every_command_of_the_shop_that_begins_a_step_is_known() -> None:
    assert {(step.participant, command) for command, step in COMMANDS.items()} == set(STEPS.values())
    assert {step.kind for step in COMMANDS.values()} == set(StepKind)
