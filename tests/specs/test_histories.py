"""The checker of histories finds what must never be: each sentence here is one thing that could go wrong."""

import pytest
from tests.specs.examples import PARTY

from sagakit.core.history import causally_ordered, violations
from sagakit.core.messages import Message
from sagakit.core.part import KILLED
from sagakit.testing.voice import Voice
from shop_contracts.order_saga import ORDER_SAGA

PAID, RESERVED, SHIPPED, CONSUMED = "PaymentCompleted", "InventoryReserved", "ShipmentScheduled", "ReservationConsumed"
WHOLE = ["OrderCreated", PAID, RESERVED, SHIPPED, CONSUMED, "OrderConfirmed"]
CLEAN = ["OrderCreated", PAID, RESERVED, "ShipmentFailed", "InventoryReleased", "PaymentRefunded", "OrderCancelled"]


def history(kinds: list[str]) -> list[Message]:
    return [Voice(ORDER_SAGA).say(kind) for kind in kinds]


@pytest.mark.parametrize("kinds", [WHOLE, CLEAN, [*CLEAN, "PaymentFailed"][:4], [PAID, RESERVED, KILLED]])
def test_a_history_that_is_whole_clean_unfinished_or_killed_is_well_formed(kinds: list[str]) -> None:
    assert violations(ORDER_SAGA, history(kinds)) == []


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        ([RESERVED, PAID], "inventory took effect before payment had succeeded"),
        ([PAID, "PaymentFailed"], "payment both succeeded and failed"),
        (["PaymentRefunded"], "payment was taken back, but it never happened"),
        (["PaymentRefunded", PAID], "payment was taken back before it happened"),
        ([PAID, RESERVED, "PaymentRefunded"], "payment was taken back before inventory, which came after it"),
        ([PAID, "PaymentRefunded", RESERVED], "inventory took effect after payment had been taken back"),
        (WHOLE[:-2] + WHOLE[-1:], "it said OrderConfirmed, but stock had not succeeded"),
        ([*WHOLE, "OrderCancelled"], "it said both OrderConfirmed and OrderCancelled"),
        ([PAID, "InventoryFailed", "OrderCancelled"], "it said OrderCancelled, but payment had happened"),
        ([*CLEAN[:5], "OrderCancelled", "PaymentRefunded"], "payment was taken back after the end of the saga"),
        (["OrderCreated", "OrderCancelled"], "it said OrderCancelled, but no step had failed"),
    ],
)
def test_a_history_that_must_never_be_is_found_out(kinds: list[str], sentence: str) -> None:
    assert any(sentence in said for said in violations(ORDER_SAGA, history(kinds)))


def test_an_effect_said_again_to_a_command_sent_again_is_one_effect_and_said_differently_it_is_two() -> None:
    say = Voice(ORDER_SAGA).say
    again = [say(PAID), say(PAID, attempt=1)]
    assert violations(ORDER_SAGA, again) == []
    differently = [say(PAID), say(PAID, attempt=1, data={"paymentId": "another"})]
    assert violations(ORDER_SAGA, differently) == ["PaymentCompleted was said 2 times, and not the same"]


def test_the_members_of_a_group_come_in_any_order_and_go_in_any_order() -> None:
    say = Voice(PARTY).say
    there = ["HallDone", "CakeDone", "BandDone", "InviteRefused"]
    for back in (["BandUndone", "CakeUndone"], ["CakeUndone", "BandUndone"]):
        kinds = [*there, *back, "HallUndone", "Dropped"]
        assert violations(PARTY, [say(kind) for kind in kinds]) == []


def test_messages_are_put_behind_their_causes_and_each_is_taken_once() -> None:
    say = Voice(ORDER_SAGA).say
    created = say("OrderCreated")
    paid = say(PAID, cause=created.id)
    assert causally_ordered([paid, created, paid]) == [created, paid]
    assert violations(ORDER_SAGA, [paid, created]) == [
        "PaymentCompleted was published before OrderCreated, which caused it"
    ]
