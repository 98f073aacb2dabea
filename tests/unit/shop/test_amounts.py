"""Amounts stay exact wherever a message is read and written again."""

from datetime import UTC, datetime

import msgspec

from sagakit.core.facts import ByHand, Verb
from sagakit.core.messages import Message
from sagakit.runtime.participant import with_hand
from shop_contracts.catalogue import SHOP

EXACT = b"12345678901234567.89"


def test_an_order_of_version_1_keeps_its_amounts_to_the_last_digit() -> None:
    data = b'{"orderId":"o","userId":"u","items":[{"productId":"p","quantity":1,"price":%b}],"total":%b}' % (
        EXACT,
        EXACT,
    )
    message = Message(
        id="m",
        type="OrderCreated",
        source="order",
        time=datetime(2026, 5, 1, tzinfo=UTC),
        saga_id="o",
        correlation_id="o",
        causation_id="",
        data=msgspec.Raw(data),
    )
    assert bytes(SHOP.current(message).data).count(EXACT) == 2


def test_an_event_decided_by_hand_keeps_its_amounts_to_the_last_digit() -> None:
    by_hand = ByHand(verb=Verb.MARK_DONE, actor="ann", reason="the bank called")
    said = with_hand(msgspec.Raw(b'{"orderId":"o","amount":%b}' % EXACT), by_hand)
    assert EXACT in bytes(said)
    assert msgspec.json.decode(said)["resolvedBy"]["actor"] == "ann"
