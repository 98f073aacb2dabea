"""What is to be done about one resource: each phase with each wish, deletion and deadline; values only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as changed
from tests.unit.operator.values import ABORT, DEADLINE, DONE, SECOND, T0, known_of, resource, running

from saga_operator.reconcile import (
    AGAIN,
    IN_DOUBT,
    LOOK_AGAIN,
    NEW,
    UNNAMED_REASON,
    Find,
    Hold,
    Known,
    Move,
    Place,
    Presence,
    Refusal,
    Release,
    Remove,
    SpeakAbort,
    Wish,
    idempotency_key,
    reconcile,
    saga_id_of,
)
from saga_operator.report import report
from saga_operator.resources import STARTED_AT, OrderSaga, Status
from sagakit.core.facts import AbortCode, Phase, Verb

LIVE = (Phase.PENDING, Phase.RUNNING, Phase.COMPENSATING, Phase.NEEDS_INTERVENTION)
TERMINAL = (Phase.COMPLETED, Phase.COMPENSATED, Phase.KILLED)
PAST_THE_PIVOT = dict.fromkeys(("payment", "inventory", "shipping"), DONE)
ADOPTED: dict[str, Any] = {"sagaRef": {"sagaId": "saga-1"}}


def moves(its: OrderSaga, known: Known, now: datetime = T0, **more: bool) -> tuple[Move, ...]:
    return reconcile(its, known, now, **more).moves


def verbs(its: OrderSaga, known: Known, now: datetime = T0) -> list[Verb]:
    return [move.verb for move in moves(its, known, now) if isinstance(move, Wish)]


def speaks(its: OrderSaga, known: Known, now: datetime) -> list[SpeakAbort]:
    return [move for move in moves(its, known, now) if isinstance(move, SpeakAbort)]


def test_a_new_order_is_held_before_it_is_placed() -> None:
    its = resource(begun=False)
    assert moves(its, known_of(its, Presence.UNKNOWN)) == (Hold(T0, finalizer=True, first=True),)
    orphan = resource(begun=False, deletionPolicy="Orphan")
    assert moves(orphan, known_of(orphan, Presence.UNKNOWN)) == (Hold(T0, finalizer=False, first=True),)


@pytest.mark.parametrize(
    ("its", "now"),
    [
        (resource(begun=False, idempotencyKey="k"), T0),
        (resource(begun=False, finalizer=True), T0),
        (resource(begun=False, generation=2), T0),
        (resource(begun=False), T0 + NEW),
    ],
    ids=["with a key", "held", "whose spec changed", "made long ago"],
)
def test_what_may_have_been_sent_before_is_not_taken_for_new(its: OrderSaga, now: datetime) -> None:
    (hold,) = moves(its, known_of(its, Presence.UNKNOWN), now)
    assert isinstance(hold, Hold)
    assert not hold.first
    wishes: tuple[dict[str, Any], ...] = ({"cancel": True}, {"suspend": True})
    for wish in wishes:
        asked = changed(its, spec=changed(its.spec, **wish), generation=2)
        plan = reconcile(asked, known_of(asked, Presence.UNKNOWN), now)
        assert (plan.moves, plan.ending, plan.wake_at) == ((Find(),), None, now + AGAIN)


def replaced(its: OrderSaga, known: Known, **spec: Any) -> OrderSaga:  # noqa: ANN401 - whatever a spec has
    """Return the resource as `kubectl replace` leaves it: with its status, without mark and finalizer."""
    status = report(its, known, reconcile(its, known, T0), T0)
    return resource(begun=False, finalizer=False, status=status, generation=2, **spec)


@pytest.mark.parametrize("phase", LIVE)
@pytest.mark.parametrize("presence", [Presence.UNKNOWN, Presence.PRESENT])
@pytest.mark.parametrize("wishes", [{}, {"suspend": True}, {"cancel": True}], ids=str)
@pytest.mark.parametrize("draining", [False, True])
def test_whoever_lost_its_mark_is_marked_and_held_again_and_kept_in_time(
    phase: Phase, presence: Presence, wishes: dict[str, Any], draining: bool
) -> None:
    known = running(resource(), phase, DEADLINE)
    its = replaced(resource(), known, **wishes)
    if presence is Presence.UNKNOWN:
        known = Known(saga_id_of(its))
    plan = reconcile(its, known, DEADLINE, draining=draining)
    assert plan.ending is None
    assert plan.moves[0] == Hold(T0, finalizer=not draining)
    assert SpeakAbort in map(type, plan.moves)
    assert plan.wake_at is not None
    assert report(its, known, plan, DEADLINE).deadline == DEADLINE


def test_whoever_lost_mark_and_status_is_looked_for_before_it_is_told_as_cancelled() -> None:
    its = resource(begun=False, finalizer=False, generation=2, cancel=True)
    assert moves(its, running(its, Phase.RUNNING)) == (Hold(T0, finalizer=True), Wish(Verb.CANCEL, UNNAMED_REASON))
    doubted = known_of(its, Presence.ABSENT, looked_at=T0, doubted_until=T0 + IN_DOUBT)
    assert reconcile(its, doubted, T0).ending is None
    assert moves(its, doubted, T0 + AGAIN) == (Find(),)
    sure = replace(doubted, looked_at=T0 + IN_DOUBT)
    ending = reconcile(its, sure, T0 + IN_DOUBT).ending
    assert ending is not None
    assert ending.reason == "CANCELLED"


@pytest.mark.parametrize("wish", ["suspend", "cancel"])
def test_an_order_is_not_placed_any_more_when_it_is_to_be_suspended_or_cancelled(wish: str) -> None:
    spec: dict[str, Any] = {wish: True}
    its = resource(**spec)
    doubted = known_of(its, Presence.ABSENT, doubted_until=T0 + IN_DOUBT)
    plan = reconcile(its, doubted, T0)
    assert (plan.moves, plan.ending) == ((Find(),), None)


def test_a_mark_that_is_older_than_its_resource_came_with_a_copy_and_takes_no_time_away() -> None:
    its = resource()
    copy = changed(its, created_at=T0 + timedelta(days=1))
    (place,) = moves(copy, known_of(copy, Presence.ABSENT), copy.created_at)
    assert place == Place(copy.created_at + timedelta(seconds=its.spec.timeout_seconds))


@pytest.mark.parametrize("foreign", [datetime(1000, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=str)
@pytest.mark.parametrize("name", ["deadline", "start_time"])
def test_a_status_that_somebody_else_wrote_gives_no_more_time_than_the_spec(name: str, foreign: datetime) -> None:
    spec: dict[str, Any] = {name: foreign}
    its = resource(begun=False, finalizer=False, status=changed(Status(), **spec))
    (hold, *_) = moves(its, known_of(its, Presence.UNKNOWN))
    assert hold == Hold(T0, finalizer=True)


def test_an_order_is_placed_only_once_it_is_certain_that_there_is_none() -> None:
    its = resource()
    assert moves(its, known_of(its, Presence.UNKNOWN)) == (Find(),)
    assert moves(its, known_of(its, Presence.ABSENT)) == (Place(DEADLINE),)


def test_a_suspended_order_is_not_even_begun_until_it_is_resumed() -> None:
    its = resource(begun=False, suspend=True)
    plan = reconcile(its, known_of(its, Presence.UNKNOWN), T0)
    assert (plan.moves, plan.ending, plan.wake_at) == ((), None, None)


def test_nothing_new_is_begun_while_the_platform_is_taken_away_and_what_runs_goes_on() -> None:
    new, begun = resource(begun=False), resource()
    assert moves(new, known_of(new, Presence.UNKNOWN), draining=True) == ()
    waits = reconcile(new, known_of(new, Presence.UNKNOWN), T0, draining=True).wake_at
    assert waits is not None  # or nobody would begin it when the platform stays after all
    assert waits > T0
    assert moves(begun, known_of(begun, Presence.ABSENT), draining=True) == (Place(DEADLINE),)
    overdue = moves(begun, running(begun, Phase.RUNNING, DEADLINE), DEADLINE, draining=True)
    assert SpeakAbort in map(type, overdue)


def test_a_finalizer_that_was_taken_off_by_draining_is_not_put_on_again_while_it_goes_on() -> None:
    its = resource(finalizer=False)
    assert moves(its, running(its, Phase.RUNNING), draining=True) == ()
    assert moves(its, running(its, Phase.RUNNING)) == (Hold(T0, finalizer=True),)


def test_an_order_that_is_cancelled_before_it_is_begun_ends_without_a_move() -> None:
    its = resource(begun=False, cancel=True, cancelReason="changed my mind")
    plan = reconcile(its, known_of(its, Presence.UNKNOWN), T0)
    assert plan.moves == ()
    assert plan.ending is not None
    assert (plan.ending.reason, plan.ending.valid) == ("CANCELLED", True)
    assert "changed my mind" in plan.ending.sentence


def test_an_order_that_could_not_be_placed_in_time_ends_and_its_object_is_let_go() -> None:
    its = resource()
    plan = reconcile(its, known_of(its, Presence.ABSENT, trouble="nobody answers"), DEADLINE)
    assert plan.moves == (Release(),)
    assert plan.ending is not None
    assert plan.ending.reason == "DEADLINE_PASSED"
    assert "nobody answers" in plan.ending.sentence


def test_an_order_of_which_it_is_not_known_whether_it_was_placed_is_looked_for_and_asked_to_abort_when_it_is_late() -> (
    None
):
    its = resource()
    plan = reconcile(its, known_of(its, Presence.UNKNOWN), DEADLINE)
    assert plan.ending is None
    assert [type(move) for move in plan.moves] == [SpeakAbort, Find]


def test_an_order_that_was_asked_to_abort_but_never_placed_ends() -> None:
    """What the operator itself said comes back to it by the log, and is no proof that there is an order."""
    its = resource()
    heard = replace(running(its, Phase.COMPENSATING, DEADLINE), presence=Presence.ABSENT, spoken=True)
    plan = reconcile(its, heard, DEADLINE)
    assert plan.moves == (Release(),)
    assert plan.ending is not None


@pytest.mark.parametrize("conflict", [False, True])
def test_a_refused_order_ends_and_its_object_is_let_go(conflict: bool) -> None:
    its = resource()
    plan = reconcile(its, known_of(its, refusal=Refusal("unknown product", conflict=conflict)), T0)
    assert plan.moves == (Release(),)
    assert plan.ending is not None
    assert plan.ending.reason == ("Conflict" if conflict else "InvalidOrder")
    assert not plan.ending.valid


@pytest.mark.parametrize("phase", LIVE)
def test_a_saga_that_runs_in_time_is_left_alone_until_its_deadline(phase: Phase) -> None:
    its = resource()
    plan = reconcile(its, running(its, phase), T0)
    assert plan.moves == ()
    assert plan.wake_at == min(DEADLINE, T0 + LOOK_AGAIN)


@pytest.mark.parametrize("phase", LIVE)
@pytest.mark.parametrize("wishes", [{}, {"suspend": True}, {"cancel": True}], ids=str)
@pytest.mark.parametrize("deleted", [False, True])
def test_every_saga_before_its_pivot_is_asked_to_abort_when_its_deadline_passes(
    phase: Phase, wishes: dict[str, Any], deleted: bool
) -> None:
    its = resource(deleted=deleted, **wishes)
    (spoken,) = speaks(its, running(its, phase, DEADLINE), DEADLINE)
    assert (spoken.code, spoken.due) == (AbortCode.DEADLINE_PASSED, DEADLINE)
    assert speaks(its, running(its, phase), DEADLINE - SECOND) == []
    assert speaks(its, replace(running(its, phase), spoken=True), DEADLINE) == []
    assert speaks(its, running(its, phase, abort=ABORT), DEADLINE + SECOND) == []


def test_a_saga_past_its_pivot_is_never_asked_to_abort() -> None:
    its = resource(cancel=True)
    known = running(its, Phase.RUNNING, DEADLINE, steps=PAST_THE_PIVOT)
    assert moves(its, known, DEADLINE) == ()


def test_an_adopted_saga_keeps_its_own_deadline() -> None:
    its = resource(**ADOPTED, timeoutSeconds=1)
    assert speaks(its, running(its, Phase.RUNNING), T0 + 2 * SECOND) == []
    assert len(speaks(its, running(its, Phase.RUNNING, DEADLINE), DEADLINE)) == 1


@pytest.mark.parametrize("phase", LIVE)
def test_a_cancel_is_passed_on_while_nothing_has_failed(phase: Phase) -> None:
    its = resource(cancel=True, cancelReason="changed my mind")
    wished = [move for move in moves(its, running(its, phase)) if isinstance(move, Wish)]
    expected = [] if phase is Phase.COMPENSATING else [Wish(Verb.CANCEL, "changed my mind")]
    assert wished == expected


@pytest.mark.parametrize("phase", LIVE)
@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_a_saga_is_suspended_and_resumed_as_its_spec_wants(phase: Phase, held: bool, wanted: bool) -> None:
    its = resource(suspend=wanted)
    expected = {(False, True): [Verb.SUSPEND], (True, False): [Verb.RESUME]}.get((held, wanted), [])
    assert verbs(its, running(its, phase, suspended=held)) == expected


def test_an_adopted_saga_that_somebody_suspended_is_not_resumed_by_being_adopted() -> None:
    adopted, edited = resource(**ADOPTED), resource(**ADOPTED, generation=2)
    assert verbs(adopted, running(adopted, Phase.RUNNING, suspended=True)) == []
    assert verbs(edited, running(edited, Phase.RUNNING, suspended=True)) == [Verb.RESUME]


def test_a_wish_is_passed_on_once_and_again_only_when_it_does_not_show() -> None:
    its = resource(cancel=True)
    asked = replace(running(its, Phase.RUNNING), asked={Verb.CANCEL: T0})
    assert verbs(its, asked, T0 + AGAIN - SECOND) == []
    assert verbs(its, asked, T0 + AGAIN) == [Verb.CANCEL]
    declined = replace(asked, declined={Verb.CANCEL: "past its pivot"})
    assert verbs(its, declined, T0 + AGAIN) == []


@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.RESUME])
def test_a_wish_that_somebody_undoes_each_time_is_passed_on_less_and_less_often_until_the_spec_changes(
    verb: Verb,
) -> None:
    its = resource(suspend=verb is Verb.SUSPEND, timeoutSeconds=86_400)
    for grants, seconds in ((1, 5), (2, 10), (3, 20), (7, 320), (99, 320)):
        known = running(its, Phase.RUNNING, suspended=verb is Verb.RESUME, deadline=T0 + timedelta(days=1))
        known = replace(known, asked={verb: T0}, granted={verb: grants}, granted_generation=1)
        due = T0 + timedelta(seconds=seconds)
        assert verbs(its, known, due - SECOND) == []
        assert verbs(its, known, due) == [verb]
        assert verbs(changed(its, generation=2), known, T0 + AGAIN) == [verb]
        wake_at = reconcile(its, replace(known, looked_at=due - SECOND), due - SECOND).wake_at
        assert wake_at == due


def test_a_retry_token_asks_one_retry() -> None:
    its = resource(retryToken="once")
    stuck = running(its, Phase.NEEDS_INTERVENTION)
    assert verbs(its, stuck) == [Verb.RETRY]
    assert verbs(its, replace(stuck, retry_token="once")) == []
    assert verbs(its, replace(stuck, retry_token="before")) == [Verb.RETRY]


def test_a_stuck_saga_is_retried_by_itself_as_often_and_as_patiently_as_its_policy_says() -> None:
    its = resource(retryPolicy={"limit": 2, "backoffSeconds": 10})
    stuck = running(its, Phase.NEEDS_INTERVENTION)
    assert verbs(its, stuck, T0 + 9 * SECOND) == []
    assert reconcile(its, stuck, T0).wake_at == T0 + 10 * SECOND
    assert verbs(its, stuck, T0 + 10 * SECOND) == [Verb.RETRY]
    again = replace(stuck, retries=1, asked={Verb.RETRY: T0 + 10 * SECOND})
    assert verbs(its, again, T0 + 19 * SECOND) == []
    assert verbs(its, again, T0 + 20 * SECOND) == [Verb.RETRY]
    assert verbs(its, replace(again, retries=2), T0 + 25 * SECOND) == []


def test_a_saga_that_runs_is_looked_up_now_and_then() -> None:
    its = resource(timeoutSeconds=600)
    known = running(its, Phase.RUNNING, deadline=T0 + 600 * SECOND)
    assert moves(its, known, T0 + LOOK_AGAIN - SECOND) == ()
    assert moves(its, known, T0 + LOOK_AGAIN) == (Find(),)


@pytest.mark.parametrize("phase", LIVE)
def test_whoever_deletes_a_running_saga_has_it_compensated_before_it_leaves(phase: Phase) -> None:
    its = resource(deleted=True)
    plan = reconcile(its, running(its, phase), T0)
    assert Release() not in plan.moves
    asked = [move.verb for move in plan.moves if isinstance(move, Wish)]
    assert asked == ([] if phase is Phase.COMPENSATING else [Verb.CANCEL])
    assert plan.wake_at is not None


@pytest.mark.parametrize("phase", TERMINAL)
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("wishes", [{}, {"suspend": True}, {"cancel": True}, {"retryToken": "again"}], ids=str)
def test_a_saga_that_has_ended_is_let_go_and_nothing_is_wished_of_it(
    phase: Phase, deleted: bool, wishes: dict[str, Any]
) -> None:
    its = resource(deleted=deleted, **wishes)
    assert moves(its, running(its, phase, DEADLINE), DEADLINE) == (Release(),)
    let_go = resource(deleted=deleted, finalizer=False, **wishes)
    assert moves(let_go, running(let_go, phase, DEADLINE), DEADLINE) == ()


@pytest.mark.parametrize("phase", LIVE)
def test_an_orphan_leaves_at_once_and_its_saga_runs_on(phase: Phase) -> None:
    its = resource(deleted=True, deletionPolicy="Orphan", finalizer=True)
    assert moves(its, running(its, phase)) == (Release(),)


def test_whoever_was_never_placed_leaves_at_once() -> None:
    refused, absent = resource(deleted=True), resource(deleted=True)
    assert moves(absent, known_of(absent, Presence.ABSENT)) == (Release(),)
    assert moves(refused, known_of(refused, refusal=Refusal("no"))) == (Release(),)


@pytest.mark.parametrize("begun", [True, False], ids=["", "whose mark somebody took off"])
def test_whoever_is_deleted_while_it_is_not_known_whether_it_was_placed_is_looked_for_first(begun: bool) -> None:
    its = resource(begun=begun, deleted=True, finalizer=True)
    assert moves(its, known_of(its, Presence.UNKNOWN)) == (Find(),)


@pytest.mark.parametrize("phase", TERMINAL)
def test_a_resource_is_removed_when_it_has_ended_for_long_enough(phase: Phase) -> None:
    its = resource(ttlSecondsAfterFinished=60, finalizer=False)
    known = running(its, phase)
    ended = T0 + 2 * SECOND
    assert reconcile(its, known, ended).wake_at == ended + timedelta(minutes=1)
    assert moves(its, known, ended + timedelta(minutes=1)) == (Remove(),)


def test_a_resource_that_never_began_is_removed_too_when_it_has_ended_for_long_enough() -> None:
    its = resource(begun=False, cancel=True, ttlSecondsAfterFinished=60)
    unknown = known_of(its, Presence.UNKNOWN)
    plan = reconcile(its, unknown, T0)
    ended = resource(begun=False, cancel=True, ttlSecondsAfterFinished=60, status=report(its, unknown, plan, T0))
    assert moves(ended, known_of(ended, Presence.UNKNOWN), T0 + timedelta(minutes=1)) == (Remove(),)


def test_what_is_written_down_as_ended_and_still_held_is_looked_for_before_it_is_let_go() -> None:
    its = resource()
    done = running(its, Phase.COMPLETED)
    ended = resource(status=report(its, done, reconcile(its, done, T0), T0))
    assert moves(ended, Known(saga_id_of(ended))) == (Find(),)
    assert moves(ended, running(ended, Phase.COMPLETED)) == (Release(),)
    assert moves(ended, known_of(ended, Presence.ABSENT)) == (Release(),)


@pytest.mark.parametrize("phase", LIVE)
def test_a_status_in_which_somebody_else_wrote_an_end_ends_no_saga(phase: Phase) -> None:
    its = resource()
    done = running(its, Phase.COMPLETED)
    forged = report(its, done, reconcile(its, done, T0), T0)
    ended, deleted = resource(status=forged), resource(status=forged, deleted=True)
    assert Release() not in moves(ended, running(ended, phase))
    assert Release() not in moves(deleted, running(deleted, phase))
    assert speaks(ended, running(ended, Phase.RUNNING), DEADLINE)


@pytest.mark.parametrize("mark", ["", "2999-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9998-12-31T23:59:59Z"])
def test_a_mark_that_somebody_else_wrote_gives_no_more_time_than_the_spec(mark: str) -> None:
    its = resource()
    its = changed(its, annotations={**its.annotations, STARTED_AT: mark})
    (place,) = moves(its, known_of(its, Presence.ABSENT))
    assert isinstance(place, Place)
    assert place.deadline <= T0 + timedelta(seconds=its.spec.timeout_seconds)


def test_a_resource_made_again_with_its_key_is_the_same_order_and_without_one_another() -> None:
    first, again = resource(idempotencyKey="k"), resource(idempotencyKey="k", generation=9)
    assert saga_id_of(first) == saga_id_of(again)
    assert saga_id_of(first) != saga_id_of(resource(idempotencyKey="l"))
    assert saga_id_of(first) != saga_id_of(resource())
    assert idempotency_key(resource()) == "uid-1"


def test_a_resource_made_again_with_its_key_for_another_user_is_another_order() -> None:
    its = resource(idempotencyKey="k")
    assert its.spec.order is not None
    other = changed(its, spec=changed(its.spec, order=changed(its.spec.order, user_id="user-2")))
    assert saga_id_of(its) != saga_id_of(other)


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("presence", Presence)
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize(
    "spec", [{}, {"suspend": True}, {"cancel": True}, ADOPTED, {"deletionPolicy": "Orphan"}], ids=str
)
@pytest.mark.parametrize("now", [T0, DEADLINE, DEADLINE + timedelta(days=1)], ids=lambda now: f"{now:%d %H:%M:%S}")
def test_whoever_has_not_ended_is_looked_at_again_and_nobody_is_let_go_who_owes_something(
    phase: Phase, presence: Presence, deleted: bool, spec: dict[str, Any], now: datetime
) -> None:
    its = resource(deleted=deleted, **spec)
    known = replace(running(its, phase, now), presence=presence)
    plan = reconcile(its, known, now)
    assert plan == reconcile(its, known, now), "the same question has the same answer"
    owes = not phase.terminal and presence is not Presence.ABSENT
    if owes and "deletionPolicy" not in spec:
        assert Release() not in plan.moves
        assert plan.wake_at is not None
        assert plan.wake_at > now
    assert len(plan.moves) == len(set(map(repr, plan.moves))), "no move is made twice in one plan"
