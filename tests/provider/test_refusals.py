"""What a provider refuses: of the customer's means it is definite, of our settings it is not taken for that."""

import pytest
from tests.provider.books import SECRET, Books
from tests.provider.desk import Desk, charge, desk_at, repayment
from tests.provider.server import Fault, Server, serving

from payment_service.http_provider import NOTHING_MOVED
from payment_service.provider import Approved, NoAnswer, Rejected

DECLINED = Rejected("CARD_DECLINED", "Your card has insufficient funds. (insufficient_funds)")


async def test_a_declined_card_is_refused_and_stays_so_without_being_tried_again(desk: Desk) -> None:
    for _ in range(3):
        assert await desk.charge(charge(user_id="broke")) == DECLINED
    assert len([asked for asked in desk.books.heard if asked.path.endswith("confirm")]) == 1
    assert await desk.repay() == Approved(NOTHING_MOVED)
    assert await desk.charge(charge(user_id="broke")) == DECLINED


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.GARBAGE, Fault.LOST, Fault.HANGS, Fault.BREAKS])
async def test_a_decline_that_nobody_heard_is_found_out(desk: Desk, fault: Fault) -> None:
    desk.server.fails(fault, "/confirm", 3)
    assert isinstance(await desk.charge(charge(user_id="broke")), NoAnswer)
    assert await desk.charge_until_answered(charge(user_id="broke")) == DECLINED
    assert desk.books.captured("charge-of-order-1") == 0


async def test_a_card_that_wants_the_customer_to_authenticate_is_refused_for_good(desk: Desk) -> None:
    refused = await desk.charge(charge(user_id="asks"))
    assert refused == Rejected("AUTHENTICATION_REQUIRED", "the customer would have to authenticate the payment")
    assert [intent.status for intent in desk.books.intents.values()] == ["canceled"]
    assert isinstance(await desk.charge(charge(user_id="asks")), Rejected)


async def test_a_payment_under_way_is_unknown_and_so_is_its_refund(desk: Desk) -> None:
    under_way = NoAnswer("the provider has pi_1 as processing")
    assert await desk.charge(charge(user_id="slow")) == under_way
    assert await desk.repay() == under_way
    (intent,) = desk.books.intents.values()
    intent.status = "succeeded"
    intent.captures.append(intent.amount)
    assert await desk.repay() == Approved("re_2")
    assert desk.books.held("charge-of-order-1") == 0


async def test_a_refund_is_given_when_the_money_has_moved_and_not_before(desk: Desk) -> None:
    await desk.charge()
    desk.books.refund_status = "pending"
    assert await desk.repay() == NoAnswer("the provider has the refund re_2 as pending")
    desk.books.refunds["re_2"]["status"] = "failed"
    assert await desk.repay() == NoAnswer("the provider has the refund re_2 as failed")
    desk.books.refunds["re_2"]["status"] = "succeeded"
    assert await desk.repay() == Approved("re_2")
    assert len(desk.books.refunds) == 1


async def test_money_that_a_person_gave_back_at_the_provider_is_given_back(desk: Desk) -> None:
    await desk.charge()
    (intent,) = desk.books.intents.values()
    intent.refunds.append(intent.amount)
    assert await desk.repay() == Approved("pi_1")
    assert desk.books.held("charge-of-order-1") == 0


async def test_an_order_whose_intent_a_person_cancelled_is_refused(desk: Desk) -> None:
    desk.server.fails(Fault.STALLS, "/confirm", 3)
    await desk.charge()
    (intent,) = desk.books.intents.values()
    intent.status = "canceled"
    assert isinstance(await desk.charge(), Rejected)


async def test_a_wrong_key_is_no_refusal_of_the_customer_and_is_not_shown(server: Server) -> None:
    async with desk_at(server, key="sk_live_of_another") as desk:
        result = await desk.charge()
        assert isinstance(result, NoAnswer)
        assert "POST /v1/payment_intents: 401 invalid_request_error Invalid API Key provided" in result.error
        assert "sk_live" not in result.error
        assert desk.provider.caller.circuit.state == "closed", "the provider is well: it is us"
    async with desk_at(server, desk.vault) as desk:
        assert isinstance(await desk.charge(), Approved)


@pytest.mark.parametrize("status", [301, 400, 402, 403, 404, 410, 422])
@pytest.mark.parametrize("what", ["payment_intents", "/confirm", "/cancel", "refunds"])
async def test_what_is_refused_by_a_fault_of_ours_is_unknown_and_nothing_is_lost(status: int, what: str) -> None:
    books = Books()
    with serving(books) as server:
        well = server.hear
        async with desk_at(server) as desk:
            server.hear = lambda asked: (status, {}) if asked.path.endswith(what) else well(asked)
            charged = await desk.charge()
            repaid = await desk.repay(repayment(charged=True))
            assert NoAnswer in {type(charged), type(repaid)} or what == "/cancel"
            assert Rejected not in {type(charged), type(repaid)}
            server.hear = well
            assert isinstance(await desk.charge_until_answered(), Approved | Rejected)
            assert isinstance(await desk.repay_until_answered(), Approved)
        assert books.held("charge-of-order-1") == 0


@pytest.mark.parametrize(
    ("amount_minor", "currency", "told"),
    [
        (1050, "USD", 1050),
        (1050, "JPY", 1050),
        (1050, "KWD", 1050),
        (1050, "ISK", 105_000),
        (1050, "UGX", 105_000),
        (10_500, "MGA", 105),
    ],
)
async def test_an_amount_is_told_in_the_minor_units_of_the_provider(
    desk: Desk, amount_minor: int, currency: str, told: int
) -> None:
    one = charge(amount_minor=amount_minor, currency=currency)
    assert isinstance(await desk.charge(one), Approved)
    (intent,) = desk.books.intents.values()
    assert (intent.amount, intent.currency) == (told, currency.lower())


@pytest.mark.parametrize(("amount_minor", "currency"), [(1051, "KWD"), (1050, "MGA")])
async def test_an_amount_that_the_provider_cannot_say_is_refused(desk: Desk, amount_minor: int, currency: str) -> None:
    result = await desk.charge(charge(amount_minor=amount_minor, currency=currency))
    assert result == Rejected("AMOUNT_NOT_PAYABLE", f"the provider has no such amount of {currency}")
    assert not desk.books.heard


async def test_an_amount_that_is_too_small_for_the_provider_is_refused(desk: Desk) -> None:
    assert await desk.charge(charge(amount_minor=49)) == Rejected("AMOUNT_TOO_SMALL", "Amount must be at least 50")
    assert await desk.repay() == Approved(NOTHING_MOVED)


async def test_an_order_for_nothing_moves_nothing_and_is_approved(desk: Desk) -> None:
    assert await desk.charge(charge(amount_minor=0)) == Approved(NOTHING_MOVED)
    assert await desk.repay(repayment(charged=True)) == Approved(NOTHING_MOVED)
    assert not desk.books.heard


async def test_every_request_carries_the_secret_and_who_pays_for_what(desk: Desk) -> None:
    await desk.charge()
    assert {asked.authorization for asked in desk.books.heard} == {f"Bearer {SECRET}"}
    (intent,) = desk.books.intents.values()
    assert intent.metadata == {"order_id": "order-1", "user_id": "ann", "charge_key": "charge-of-order-1"}
    assert intent.method == "pm_card_ann"
