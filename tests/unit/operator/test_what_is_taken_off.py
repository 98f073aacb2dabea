"""Whatever metadata somebody takes off, whenever: a saga that runs is told as running, kept in time, and held again."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from tests.unit.operator.memory_shop import Desk
from tests.unit.operator.operators import KEY, Operators, is_held, manifest

from saga_operator.cluster import Body
from saga_operator.orders import Granted
from saga_operator.resources import ORDER_SAGA_PLURAL, STARTED_AT
from sagakit.core.deadlines import due_at
from sagakit.core.facts import Phase
from sagakit.testing.script import Plays, Script

many = settings(max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
TIMEOUT_SECONDS = 60
SCRIPTS = {
    "sent": Script({"inventory": Plays.IS_AWAY}),
    "running": Script({"inventory": Plays.IS_AWAY}),
    "stuck": Script({"shipping": Plays.GIVES_UP}),
    "beyond the pivot": Script({"stock": Plays.GIVES_UP}),
    "not placed": Script(),
}
"""How the shop plays, by how the saga stands: sent a moment ago and in no status yet, and so on."""
ENDED = [phase.value for phase in Phase if phase.terminal]
NEVER_BEGUN = ("before it was placed", "before the order could be placed", "the order is placed when")


@dataclass(frozen=True, slots=True)
class Taking:
    """How the saga stands, what is taken off, and what else happens."""

    stands: str = "running"
    taken: tuple[str, ...] = ("annotations", "finalizers")
    change: str = ""
    policy: str = "Compensate"
    key: bool = False
    overdue: bool = False
    operator_restarts: bool = False
    orders_are_away: bool = False
    draining: bool = False


def takings() -> st.SearchStrategy[Taking]:
    return st.builds(
        Taking,
        stands=st.sampled_from(tuple(SCRIPTS)),
        taken=st.sampled_from((("annotations",), ("finalizers",), ("annotations", "finalizers"))),
        change=st.sampled_from(("", "suspend", "cancel", "delete")),
        policy=st.sampled_from(("Compensate", "Orphan")),
        key=st.booleans(),
        overdue=st.booleans(),
        operator_restarts=st.booleans(),
        orders_are_away=st.booleans(),
        draining=st.booleans(),
    )


def run(world: Operators, seconds: float) -> None:
    """Let this time pass, with everything that happens by itself."""
    end = world.clock.now() + timedelta(seconds=seconds)
    while True:
        for _ in range(2000):
            if not world._busy():
                break
        if world.clock.now() >= end:
            return
        world.pass_time(0.5)


def standing(how: Taking) -> Operators:
    """Return the world in which the saga stands so."""
    world = Operators(script=SCRIPTS[how.stands])
    world.start()
    spec: dict[str, Any] = {"idempotencyKey": "key-1"} if how.key else {}
    world.orders_are_away = how.stands == "not placed"
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=TIMEOUT_SECONDS, deletionPolicy=how.policy, **spec))
    (operator,) = world.everyone
    if how.stands == "sent":
        while not world.shop.stories:
            assert world.see(operator) or world.work(operator)
    else:
        run(world, TIMEOUT_SECONDS - 20)
    return world


def lies(world: Operators, body: Body) -> list[str]:
    """Return what the status says of a saga that runs as if it did not."""
    running = [i for i, story in world.shop.stories.items() if story.state and not story.state.phase.terminal]
    status = body.get("status") or {}
    told = (str(status.get("phase")), str(status.get("message")))
    never = any(sentence in told[1] for sentence in NEVER_BEGUN)
    return [f"{saga_id} runs, and is told as {told}" for saga_id in running if told[0] in ENDED or never]


def lies_from_now(world: Operators) -> list[str]:
    """Return a list of what a status will say wrongly, as it is written."""
    found: list[str] = []

    def look(_: str, plural: str, body: Body) -> None:
        found.extend(lies(world, body) if plural == ORDER_SAGA_PLURAL else ())

    world.api.watchers.append(look)
    return found


def taken_off(how: Taking) -> Operators:
    """Let it happen, until everything has come to rest."""
    world = standing(how)
    found = lies_from_now(world)
    if how.operator_restarts:
        world.kill(world.everyone[0])
    world.orders_are_away |= how.orders_are_away
    world.draining = how.draining
    spec: dict[str, Any] = {how.change: True} if how.change in ("suspend", "cancel") else {}
    world.api.replace(*KEY, *how.taken, **spec)
    if how.operator_restarts:
        world.start()
    run(world, 60 if how.overdue else 3)
    if how.change == "delete" and world.api.order_saga(*KEY) is not None:
        world.api.remove(*KEY)
        run(world, 3)
    world.draining = False
    run(world, 31 if how.draining else 8)
    note(world.describe())
    note(str(found))
    assert found == []
    return world


def is_marked(body: Body) -> bool:
    return STARTED_AT in body["metadata"].get("annotations", {})


@many
@given(how=takings())
def test_whatever_is_taken_off_a_saga_that_runs_is_told_so_and_kept_in_time_and_held_again(how: Taking) -> None:
    # Nothing tells then that anything was sent, and nobody can be asked.
    untold = how.stands == "sent" and how.operator_restarts and how.taken == ("annotations", "finalizers")
    assume(not (untold and how.orders_are_away and not how.key))
    world = taken_off(how)
    body = world.api.order_saga(*KEY)
    for saga_id, story in world.shop.stories.items():
        state = story.state
        if state is None or state.phase.terminal or body is None:
            continue
        if "deletionTimestamp" not in body["metadata"]:
            assert is_marked(body)
            assert is_held(body) == (how.policy == "Compensate")
        due = due_at(story.saga, state)
        if due is not None and due <= world.clock.now():
            assert world.shop.aborts(saga_id), "its deadline is kept, whoever is away"
    world.settle()
    note(world.describe())
    assert world.wrongs == []
    assert len(world.shop.orders) <= 1
    if world.api.order_saga(*KEY) is None or (how.change == "suspend" and how.stands != "not placed"):
        return
    states = [story.state for story in world.shop.stories.values() if story.state is not None]
    assert world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"]["phase"] == (
        states[0].phase.value if states else "Compensated"
    )


@pytest.mark.parametrize("wishes", [{}, {"suspend": True}, {"cancel": True}], ids=str)
@pytest.mark.parametrize("orders_are_away", [False, True])
@pytest.mark.parametrize("restarts", [False, True])
def test_who_is_made_again_with_its_key_takes_up_the_order_that_runs_whatever_it_wishes(
    wishes: dict[str, Any], orders_are_away: bool, restarts: bool
) -> None:
    world = standing(Taking(policy="Orphan", key=True))
    (saga_id,) = world.shop.stories
    world.api.remove(*KEY)
    found = lies_from_now(world)
    world.orders_are_away = orders_are_away
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=TIMEOUT_SECONDS, idempotencyKey="key-1", **wishes))
    if restarts:
        world.kill(world.everyone[0])
        world.start()
    run(world, 3)
    world.orders_are_away = False
    run(world, 14)
    state, body = world.shop.stories[saga_id].state, world.api.order_saga(*KEY)
    assert found == []
    assert state is not None
    assert body is not None
    assert body["status"]["sagaId"] == saga_id
    assert state.suspended == ("suspend" in wishes)
    assert state.phase is (Phase.COMPENSATED if wishes.get("cancel") else Phase.RUNNING)
    assert is_held(body) == (state.phase is Phase.RUNNING)
    world.settle()
    assert world.wrongs == []
    assert len(world.shop.orders) == 1


@pytest.mark.parametrize("seconds", [10, TIMEOUT_SECONDS - 5, 86_400])
def test_what_is_made_again_from_an_export_begins_anew_with_all_its_time(seconds: float) -> None:
    world = Operators()
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=TIMEOUT_SECONDS))
    run(world, 5)
    world.pass_time(seconds)
    first = world.api.objects[ORDER_SAGA_PLURAL, *KEY]
    kept = {name: its for name, its in first["metadata"].items() if name in ("namespace", "name", "annotations")}
    world.api.remove(*KEY)
    run(world, 1)
    made_at = world.clock.now()
    again = world.api.make(ORDER_SAGA_PLURAL, {**{n: i for n, i in first.items() if n != "status"}, "metadata": kept})
    run(world, 1)
    _, new = world.shop.stories.values()
    assert new.voice.deadline == made_at + timedelta(seconds=TIMEOUT_SECONDS)
    assert is_marked(again)
    world.settle()
    assert world.wrongs == []
    assert world.api.objects[ORDER_SAGA_PLURAL, *KEY]["status"]["phase"] == "Completed"


def test_two_resources_that_wish_the_opposite_of_one_saga_do_so_less_and_less_often_and_it_is_told_once() -> None:
    world = Operators(script=SCRIPTS["running"])
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=86_400))
    run(world, 1)
    (saga_id,) = world.shop.stories
    world.api.make(ORDER_SAGA_PLURAL, manifest("second", sagaRef={"sagaId": saga_id}, suspend=True))
    run(world, 3600)
    said = Counter(message.type for message in world.shop.said)
    assert said["SagaSuspended"] + said["SagaResumed"] < 40
    events = [body for place, body in world.api.objects.items() if place[0] == "events"]
    contested = [body for body in events if body["reason"] == "WishContested"]
    assert {body["regarding"]["name"] for body in contested} == {"order-1", "second"}
    assert len(contested) == 2
    before = said["SagaSuspended"]
    world.api.edit(*KEY, suspend=True)
    run(world, 10)
    state = world.shop.stories[saga_id].state
    assert state is not None
    assert state.suspended, "what a person changes is wished at once"
    assert Counter(message.type for message in world.shop.said)["SagaSuspended"] <= before + 1


def test_a_wish_that_shows_late_is_not_told_to_be_contested(monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_so_already(*_: object) -> Granted:
        return Granted(granted=True, sentence="suspend has no effect: it is suspended", effect=False)

    monkeypatch.setattr(Desk, "wish", is_so_already)
    world = Operators(script=SCRIPTS["running"])
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(timeoutSeconds=86_400))
    run(world, 1)
    world.api.edit(*KEY, suspend=True)
    run(world, 300)
    assert "WishContested" not in {body["reason"] for place, body in world.api.objects.items() if place[0] == "events"}
