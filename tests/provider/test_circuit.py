"""A provider that fails is asked patiently, then left alone for a while, then tried once."""

import asyncio
from datetime import timedelta

import pytest
from tests.provider.desk import PAUSE, Desk, charge, desk_at
from tests.provider.server import Fault, Server
from tests.unit.http.services import HandClock

from payment_service.calling import CALLS, RETRIES, SILENCES
from payment_service.circuit import Circuit, CircuitState
from payment_service.metrics import CATALOGUE, samples
from payment_service.provider import Approved, NoAnswer

MILLISECOND = timedelta(milliseconds=1)


def test_a_circuit_opens_after_so_many_failures_in_a_row_and_lets_one_request_through_after_each_pause() -> None:
    clock = HandClock()
    circuit = Circuit(clock, failures_max=2, pause_seconds=10)
    circuit.failed()
    circuit.succeeded()
    circuit.failed()
    assert circuit.admit(), "two failures, but not in a row"
    circuit.failed()
    assert (circuit.state, circuit.admit()) == (CircuitState.OPEN, False)
    clock.moment += PAUSE
    assert (circuit.state, circuit.admit(), circuit.admit()) == (CircuitState.HALF_OPEN, True, False)
    circuit.failed()
    assert (circuit.state, circuit.admit()) == (CircuitState.OPEN, False)
    clock.moment += PAUSE
    assert circuit.admit()
    circuit.succeeded()
    assert (circuit.state, circuit.admit()) == (CircuitState.CLOSED, True)


def test_a_trial_that_never_ends_and_a_clock_that_is_set_back_keep_no_circuit_open() -> None:
    clock = HandClock()
    circuit = Circuit(clock, failures_max=1, pause_seconds=10)
    circuit.failed()
    clock.moment += PAUSE
    assert [circuit.admit(), circuit.admit()] == [True, False]
    clock.moment += PAUSE
    assert circuit.admit()
    clock.moment -= timedelta(days=1)
    assert circuit.admit()


async def test_an_open_circuit_is_no_answer_without_asking_and_closes_when_the_provider_is_back(server: Server) -> None:
    async with desk_at(server, breaker_failures=3) as desk:
        server.vanish()
        await desk.charge()
        server.appear()
        before = server.connections
        for _ in range(3):
            result = await desk.charge()
            assert isinstance(result, NoAnswer)
            assert "left alone" in result.error
        assert server.connections == before
        desk.clock.moment += PAUSE
        assert isinstance(await desk.charge(), Approved)
        assert desk.provider.caller.circuit.state is CircuitState.CLOSED


async def test_a_request_is_repeated_after_a_random_part_of_a_time_that_doubles(server: Server) -> None:
    async with desk_at(server, attempts_max=4, backoff_seconds=1.0, backoff_seconds_max=3.0) as desk:
        server.fails(Fault.FAILS, times=4)
        began = desk.clock.moment
        assert isinstance(await desk.charge(), NoAnswer)
        waited = desk.clock.moment - began
        assert abs(waited - timedelta(seconds=0.5 + 1.0 + 1.5)) < MILLISECOND, "the clock's luck is always a half"
        assert desk.provider.caller.counts == {CALLS: 4, RETRIES: 3, SILENCES: 1}


async def test_a_provider_that_is_busy_is_asked_when_it_says(desk: Desk) -> None:
    desk.server.retry_after = "2"
    desk.server.fails(Fault.LIMITS, times=2)
    began = desk.clock.moment
    assert isinstance(await desk.charge(), Approved)
    assert abs(desk.clock.moment - began - timedelta(seconds=4)) < MILLISECOND


@pytest.mark.parametrize("retry_after", ["60", "999999999999"])
async def test_a_provider_that_is_busy_for_longer_than_a_call_may_take_is_asked_later(
    desk: Desk, retry_after: str
) -> None:
    desk.server.retry_after = retry_after
    desk.server.fails(Fault.LIMITS)
    began = desk.clock.moment
    assert isinstance(await desk.charge(), NoAnswer)
    assert desk.clock.moment - began < MILLISECOND
    assert isinstance(await desk.charge(), Approved)


@pytest.mark.parametrize("retry_after", ["-5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", "²"])
async def test_a_time_that_nobody_understands_is_none(desk: Desk, retry_after: str) -> None:
    desk.server.retry_after = retry_after
    desk.server.fails(Fault.LIMITS)
    assert isinstance(await desk.charge(), Approved)


async def test_a_key_in_use_says_that_the_provider_is_there(server: Server) -> None:
    async with desk_at(server, breaker_failures=1) as desk:
        server.fails(Fault.IN_USE, times=2)
        assert isinstance(await desk.charge(), Approved)


async def test_a_batch_asks_for_so_many_at_a_time_over_connections_that_are_kept(server: Server) -> None:
    async with desk_at(server, concurrency=5, read_seconds=5.0) as desk:
        server.plan = lambda asked: Fault.SLOW if asked.path.endswith("/confirm") else None
        results = await desk.provider.charge([charge(f"order-{number}") for number in range(40)])
        assert [type(result) for result in results] == [Approved] * 40
        assert 1 < server.busiest <= 5
        assert server.connections <= 5
        assert [server.books.captured(f"charge-of-order-{number}") for number in range(40)] == [1050] * 40


async def test_each_charge_of_a_batch_is_answered_for_itself_and_in_order(desk: Desk) -> None:
    desk.server.plan = lambda asked: Fault.FAILS if asked.key == "charge-of-b" else None
    results = await desk.provider.charge([charge("a"), charge("b"), charge("c", user_id="broke")])
    assert [type(result).__name__ for result in results] == ["Approved", "NoAnswer", "Rejected"]
    assert desk.provider.caller.counts[SILENCES] == 1


async def test_whom_there_is_no_time_for_is_asked_later_and_says_nothing_about_the_provider(server: Server) -> None:
    async with desk_at(server, total_seconds=0.3, concurrency=1, read_seconds=5.0, breaker_failures=1) as desk:
        server.fails(Fault.HANGS, times=1)
        began = asyncio.get_running_loop().time()
        results = await desk.provider.charge([charge(f"order-{number}") for number in range(3)])
        assert asyncio.get_running_loop().time() - began < 5
        assert [type(result) for result in results] == [NoAnswer] * 3
        assert desk.provider.caller.counts[CALLS] == 1
        assert desk.provider.caller.circuit.state is CircuitState.CLOSED
        for number in range(3):
            assert isinstance(await desk.charge_until_answered(charge(f"order-{number}")), Approved)
            assert server.books.captured(f"charge-of-order-{number}") == 1050


async def test_what_is_counted_is_told_as_metrics(server: Server) -> None:
    async with desk_at(server, breaker_failures=2, attempts_max=2) as desk:
        server.fails(Fault.FAILS, times=2)
        await desk.charge()
        told = {named.name: value for named, _, value in samples(desk.provider.caller)}
        assert told == {
            "saga_payment_provider_calls_total": 2,
            "saga_payment_provider_retries_total": 1,
            "saga_payment_provider_no_answers_total": 1,
            "saga_payment_provider_circuit_open": 1,
        }
        assert told.keys() == {named.name for named in CATALOGUE}
