"""The platform at a glance: rates from two looks, sagas by phase, and who is in trouble."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from onebox.exposition import Measure
from onebox.overview import Look, frame, overview

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def look(seconds: float = 0, order: Sequence[Measure] | str = (), payment: Sequence[Measure] | str = ()) -> Look:
    return Look(NOON + timedelta(seconds=seconds), {"order": order, "payment": payment})


def started(number: float, mode: str = "choreography") -> Measure:
    return Measure("saga_started_total", number, {"definition": "order/1", "mode": mode})


def finished(number: float, outcome: str) -> Measure:
    return Measure("saga_finished_total", number, {"mode": "choreography", "outcome": outcome})


def test_rates_are_what_was_counted_between_two_looks() -> None:
    before = look(0, [started(10), finished(8, "completed"), finished(2, "compensated")])
    now = look(2, [started(30), started(6, "orchestration"), finished(18, "completed"), finished(3, "compensated")])
    rates = overview(now, before).rates
    assert (rates["started"], rates["completed"], rates["compensated"]) == (13.0, 5.0, 0.5)


def test_a_service_that_began_again_counts_from_zero() -> None:
    assert overview(look(2, [started(4)]), look(0, [started(1_000)])).rates["started"] == 2.0


def born(seconds: float) -> Measure:
    return Measure("process_start_time_seconds", seconds)


def test_two_instances_of_a_service_are_no_rate() -> None:
    """Once the one answered first and then the other, and what one had counted was gone through in two seconds."""
    seen = overview(look(2, [born(50), started(100_000)]), look(0, [born(7), started(20)]))
    assert (seen.rates["started"], seen.services[0].handled_per_second) == (None, None)
    assert overview(look(2, [born(7), started(26)]), look(0, [born(7), started(20)])).rates["started"] == 3.0


def test_what_a_service_counted_before_it_was_first_seen_is_no_rate() -> None:
    assert overview(look(2, [born(7), started(100_000)]), look(0, "it is away")).rates["started"] is None


def test_there_are_no_rates_at_the_first_look() -> None:
    seen = overview(look(0, [started(10)]), None)
    assert seen.rates["started"] is None
    assert "STARTED" in frame(seen)
    assert " /s" not in frame(seen)


def test_every_instance_tells_of_all_sagas_so_the_greatest_is_taken() -> None:
    active = Measure("saga_active", 3, {"phase": "Running", "instance": "a"})
    behind = Measure("saga_active", 2, {"phase": "Running", "instance": "b"})
    oldest = Measure("saga_oldest_active_age_seconds", 7.5, {"phase": "Running"})
    [phase] = overview(look(0, [active, behind, oldest]), None).phases
    assert (phase.phase, phase.sagas, phase.oldest_seconds) == ("Running", 3, 7.5)


def test_what_waits_in_a_service_is_its_own() -> None:
    waits = [
        Measure("saga_consumer_lag_records", 4, {"loop": "a"}),
        Measure("saga_consumer_lag_records", 5, {"loop": "b"}),
        Measure("saga_event_lag_seconds", 1.5, {"loop": "a"}),
        Measure("saga_outbox_pending", 7),
        Measure("saga_outbox_oldest_age_seconds", 0.25),
        Measure("saga_dlq_messages_total", 2, {"loop": "a"}),
        Measure("saga_parked_messages", 1),
        Measure("saga_loop_failing", 3, {"loop": "payment relay"}),
        Measure("saga_loop_failing", 0, {"loop": "payment consumer"}),
    ]
    order, payment = overview(look(0, [], waits), None).services
    assert (order.lag_records, order.outbox) == (0, 0)
    assert (payment.lag_records, payment.lag_seconds) == (9, 1.5)
    assert (payment.outbox, payment.outbox_age_seconds) == (7, 0.25)
    assert (payment.dead_letters, payment.parked, payment.failing) == (2, 1, ("payment relay",))


def test_trouble_stands_first_in_words_with_what_to_do() -> None:
    """A terminal that is too low for all shows the beginning."""
    failing = Measure("saga_loop_failing", 3, {"loop": "order relay"})
    dead = Measure("saga_dlq_messages_total", 2, {"loop": "a"})
    stuck = Measure("saga_stuck", 1)
    text = frame(overview(look(0, [failing, dead, stuck], "the payment service refuses connections"), None))
    assert "1 of 2 services answer" in text.splitlines()[0]
    assert text.splitlines()[1:6] == [
        "! 1 wait for a person: sagactl list --phase NeedsIntervention",
        "✖ order: its order relay fails; sagactl doctor says why",
        "! order: 2 dead letters since it began: sagactl dlq list",
        "✖ the payment service refuses connections",
        "",
    ]
