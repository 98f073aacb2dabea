"""However a provider misbehaves, money moves at most once for each key, and in the end exactly once."""

import asyncio

import pytest
from tests.provider.books import Asked, Json
from tests.provider.desk import Desk, charge, desk_at, repayment
from tests.provider.server import Fault, Server

from payment_service.calling import CALLS
from payment_service.http_provider import NOTHING_MOVED
from payment_service.provider import Approved, NoAnswer, Rejected
from sagakit.core.messages import name_based_id

PASSING = [fault for fault in Fault if fault not in (Fault.FAILS_FOR_GOOD, Fault.TRICKLES)]
SILENCING = [fault for fault in PASSING if fault not in (Fault.SLOW, Fault.DOUBLED, Fault.TWICE)]
LASTING = 1000

CREATION, CONFIRMATION, REFUND = "POST /v1/payment_intents", "/confirm", "POST /v1/refunds"


@pytest.mark.parametrize("what", [CREATION, CONFIRMATION])
@pytest.mark.parametrize("fault", PASSING)
async def test_a_charge_whose_request_goes_wrong_once_is_made_once(desk: Desk, fault: Fault, what: str) -> None:
    desk.server.fails(fault, what)
    assert isinstance(await desk.charge_until_answered(), Approved)
    desk.server.deliver()
    assert desk.books.captured("charge-of-order-1") == 1050
    assert desk.books.keys_heard("payment_intents") == {"charge-of-order-1"}
    assert desk.books.keys_heard("confirm") == {"charge-of-order-1-confirm"}


@pytest.mark.parametrize("fault", PASSING)
async def test_a_refund_whose_request_goes_wrong_once_is_made_once(desk: Desk, fault: Fault) -> None:
    await desk.charge_until_answered()
    desk.server.fails(fault, REFUND)
    assert isinstance(await desk.repay_until_answered(repayment(charged=True)), Approved)
    desk.server.deliver()
    assert desk.books.refunded("charge-of-order-1") == 1050
    assert desk.books.keys_heard("refunds") == {"refund-of-order-1"}


@pytest.mark.parametrize("fault", SILENCING)
async def test_an_outcome_that_nobody_tells_stays_unknown_until_it_is_asked_again(desk: Desk, fault: Fault) -> None:
    desk.server.fails(fault, times=LASTING)
    assert isinstance(await desk.charge(), NoAnswer)
    assert isinstance(await desk.charge(), NoAnswer)
    desk.server.be_well()
    assert isinstance(await desk.charge_until_answered(), Approved)
    desk.server.deliver()
    assert desk.books.captured("charge-of-order-1") == 1050


@pytest.mark.parametrize("what", ["", CREATION, CONFIRMATION])
@pytest.mark.parametrize("fault", SILENCING)
async def test_a_charge_in_doubt_is_given_back_whole_and_once(desk: Desk, fault: Fault, what: str) -> None:
    desk.server.fails(fault, what, LASTING)
    await desk.charge()
    desk.server.be_well()
    for _ in range(2):
        assert isinstance(await desk.repay_until_answered(), Approved)
    desk.server.deliver()
    assert desk.books.held("charge-of-order-1") == 0
    assert len(desk.books.refunds) <= 1
    await desk.charge_until_answered()
    assert desk.books.held("charge-of-order-1") == 0


@pytest.mark.parametrize("fault", SILENCING)
async def test_a_refund_waits_until_the_provider_tells_what_became_of_the_charge(desk: Desk, fault: Fault) -> None:
    desk.server.fails(Fault.SILENT, CONFIRMATION, LASTING)
    await desk.charge()
    desk.server.fails(fault, times=LASTING)
    assert isinstance(await desk.repay(), NoAnswer)
    desk.server.be_well()
    assert isinstance(await desk.repay_until_answered(), Approved)
    desk.server.deliver()
    assert desk.books.held("charge-of-order-1") == 0


@pytest.mark.parametrize("what", [CREATION, CONFIRMATION])
async def test_a_charge_that_is_overtaken_by_its_refund_moves_no_money_when_it_arrives(desk: Desk, what: str) -> None:
    desk.server.fails(Fault.LATE, what, LASTING)
    assert isinstance(await desk.charge(), NoAnswer)
    desk.server.be_well()
    assert await desk.repay_until_answered() == Approved(NOTHING_MOVED)
    assert desk.server.late
    desk.server.deliver()
    assert desk.books.captured("charge-of-order-1") == 0
    assert await desk.charge_until_answered() == Rejected("VOIDED", "it was given back before it was made")
    assert desk.books.captured("charge-of-order-1") == 0


async def test_a_refund_of_a_charge_that_was_never_asked_for_asks_nobody(desk: Desk) -> None:
    assert await desk.repay() == Approved(NOTHING_MOVED)
    assert isinstance(await desk.charge(), Rejected)
    assert not desk.books.heard


async def test_a_charge_and_its_refund_at_once_leave_nothing_behind(desk: Desk) -> None:
    for number in range(20):
        one = f"order-{number}"
        await asyncio.gather(desk.charge(charge(one)), desk.repay(repayment(one)))
        await desk.repay_until_answered(repayment(one))
        await desk.charge_until_answered(charge(one))
        assert desk.books.held(f"charge-of-{one}") == 0


async def test_an_answer_that_came_twice_is_not_taken_for_that_of_the_next_request(desk: Desk) -> None:
    await desk.charge()
    desk.server.fails(Fault.TWICE, "GET /v1/payment_intents/pi_1")
    assert await desk.repay_until_answered() == Approved("re_2")


async def test_two_who_ask_at_once_charge_once(server: Server) -> None:
    async with desk_at(server) as one, desk_at(server, one.vault) as other:
        for _ in range(2):
            assert set(await asyncio.gather(one.charge(), other.charge())) == {Approved("pi_1")}
    assert server.books.captured("charge-of-order-1") == 1050


async def test_a_provider_that_is_gone_charges_when_it_is_back(desk: Desk) -> None:
    desk.server.vanish()
    assert isinstance(result := await desk.charge(), NoAnswer)
    assert "ConnectError" in result.error
    desk.server.appear()
    assert isinstance(await desk.charge_until_answered(), Approved)
    desk.server.vanish()
    assert isinstance(await desk.repay(), NoAnswer)
    desk.server.appear()
    assert isinstance(await desk.repay_until_answered(), Approved)
    assert (desk.books.captured("charge-of-order-1"), desk.books.held("charge-of-order-1")) == (1050, 0)


async def test_a_provider_that_answers_a_byte_at_a_time_is_given_up_in_time(server: Server) -> None:
    async with desk_at(server, total_seconds=0.6) as desk:
        server.fails(Fault.TRICKLES, CONFIRMATION, LASTING)
        began = asyncio.get_running_loop().time()
        assert isinstance(await desk.charge(), NoAnswer)
        assert asyncio.get_running_loop().time() - began < 5
        server.be_well()
        assert isinstance(await desk.charge_until_answered(), Approved)
    assert server.books.captured("charge-of-order-1") == 1050


async def test_a_failure_that_is_stored_for_good_leaves_the_charge_unknown_and_it_can_be_taken_back(desk: Desk) -> None:
    desk.server.fails(Fault.FAILS_FOR_GOOD, CONFIRMATION)
    assert isinstance(await desk.charge(), NoAnswer)
    assert desk.provider.caller.counts[CALLS] == 2, "it says itself that it is of no use to ask at once again"
    for _ in range(3):
        assert isinstance(await desk.charge(), NoAnswer)
    assert isinstance(await desk.repay_until_answered(), Approved)
    assert [intent.status for intent in desk.books.intents.values()] == ["canceled"]


async def test_a_key_that_the_provider_forgot_charges_and_refunds_no_second_time(desk: Desk) -> None:
    desk.server.fails(Fault.SILENT, CONFIRMATION, LASTING)
    assert isinstance(await desk.charge(), NoAnswer)
    desk.server.be_well()
    desk.books.forget_keys()
    assert isinstance(await desk.charge_until_answered(), Approved)
    desk.server.fails(Fault.SILENT, REFUND, LASTING)
    assert isinstance(await desk.repay(), NoAnswer)
    desk.server.be_well()
    desk.books.forget_keys()
    assert isinstance(await desk.repay_until_answered(), Approved)
    assert (desk.books.captured("charge-of-order-1"), desk.books.refunded("charge-of-order-1")) == (1050, 1050)


async def test_a_confirmation_that_is_refused_because_it_was_made_before_is_looked_at(desk: Desk) -> None:
    well = desk.server.hear

    def hear(asked: Asked) -> tuple[int, Json]:
        desk.books.forget_keys()
        return well(asked)

    desk.server.hear = hear
    desk.server.fails(Fault.DOUBLED, CONFIRMATION)
    assert await desk.charge() == Approved("pi_1")
    assert desk.books.captured("charge-of-order-1") == 1050


async def test_an_intent_that_did_not_get_on_record_is_never_confirmed(desk: Desk) -> None:
    desk.server.fails(Fault.SILENT, CREATION, LASTING)
    assert isinstance(await desk.charge(), NoAnswer)
    desk.server.be_well()
    desk.books.forget_keys()
    assert isinstance(await desk.charge_until_answered(), Approved)
    assert [intent.status for intent in desk.books.intents.values()] == ["requires_confirmation", "succeeded"]


async def test_two_intents_of_one_charge_are_never_both_confirmed(server: Server) -> None:
    def plan(asked: Asked) -> None:
        del asked
        server.books.forget_keys()

    server.plan = plan
    async with desk_at(server) as one, desk_at(server, one.vault) as other:
        said = await asyncio.gather(one.charge(), other.charge())
    assert [type(result) for result in said] == [Approved, Approved]
    assert sorted(intent.status for intent in server.books.intents.values()) == ["requires_confirmation", "succeeded"]


async def test_a_charge_that_was_made_elsewhere_is_not_taken_for_one_that_never_was(desk: Desk) -> None:
    result = await desk.repay(repayment(charged=True))
    assert result == NoAnswer("no intent of the charge charge-of-order-1 is on record: it was made elsewhere")


async def test_the_keys_of_the_shop_fit_into_the_header(desk: Desk) -> None:
    key = name_based_id("order-1", "payment", "ChargePayment")
    assert key.isascii()
    assert len(f"{key}-confirm") <= 255
