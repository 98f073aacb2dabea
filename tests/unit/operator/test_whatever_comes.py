"""What holds for every OrderSaga whatever comes: faults at every call, crashes, two operators at once, people."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.unit.operator.operators import KEY, Operators, is_held, manifest

from saga_operator.reconcile import reconcile
from saga_operator.resources import ORDER_SAGA_PLURAL
from sagakit.core.facts import Verb
from sagakit.testing.script import Plays, Script
from shop_contracts.order_saga import ORDER_SAGA

many = settings(max_examples=300, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
BARRABLE = [step.name for step in ORDER_SAGA.steps if step.can_bar]
PEOPLE = (
    "suspend",
    "resume",
    "cancel",
    "retry",
    "delete",
    "replace",
    "person cancels",
    "person kills",
    "person suspends",
)
MISHAPS = ("crash", "another operator", "lead lost", "lead won", "away", "drain", "orders away", "orders back")


@dataclass
class Story:
    """What is declared, how the shop plays, and what happens before which step."""

    spec: dict[str, Any]
    script: Script
    happenings: dict[int, str] = field(default_factory=dict)
    faults: float = 0.0
    seed: int = 0
    steps: int = 120


def specs() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"timeoutSeconds": st.sampled_from((1, 5, 30))},
        optional={
            "mode": st.sampled_from(("Choreography", "Orchestration")),
            "suspend": st.booleans(),
            "cancel": st.booleans(),
            "idempotencyKey": st.just("key-1"),
            "retryPolicy": st.just({"limit": 2, "backoffSeconds": 1}),
            "ttlSecondsAfterFinished": st.sampled_from((0, 60)),
        },
    )


@st.composite
def stories(draw: st.DrawFn) -> Story:
    plays = {
        step.name: draw(st.sampled_from(tuple(Plays) if step.can_bar else (Plays.SUCCEEDS, Plays.SUCCEEDS_SLOWLY)))
        for step in ORDER_SAGA.steps
    }
    stuck = draw(st.frozensets(st.sampled_from(("payment", "inventory")), max_size=1))
    happenings = draw(st.dictionaries(st.integers(0, 119), st.sampled_from(PEOPLE + MISHAPS), max_size=6))
    faults = draw(st.sampled_from((0.0, 0.1, 0.4)))
    return Story(draw(specs()), Script(plays, stuck), happenings, faults, draw(st.integers(0, 100_000)))


def told(story: Story) -> Operators:
    """Tell the story up to where nothing happens any more by itself."""
    world = Operators(story.seed, story.script, story.faults)
    world.start()
    world.api.make(ORDER_SAGA_PLURAL, manifest(**story.spec))
    for number in range(story.steps):
        if number in story.happenings:
            happens(world, story.happenings[number])
        world.step()
    world.draining = False
    if (body := world.api.order_saga(*KEY)) is not None and body["spec"]["suspend"] and world.chance.random() < 0.8:
        world.api.edit(*KEY, suspend=False)
    for operator in list(world.everyone):
        world.kill(operator)
    world.start()
    world.settle()
    note(world.describe())
    return world


def happens(world: Operators, what: str) -> None:
    """Let it happen."""
    operator = world.chance.choice(world.everyone)
    is_there = world.api.order_saga(*KEY) is not None
    match what:
        case "suspend" | "resume" if is_there:
            world.api.edit(*KEY, suspend=what == "suspend")
        case "cancel" if is_there:
            world.api.edit(*KEY, cancel=True)
        case "retry" if is_there:
            world.api.edit(*KEY, retryToken=f"token-{world.chance.random()}")
        case "delete" if is_there and (is_held(world.api.order_saga(*KEY)) or not world.shop.stories):
            world.api.remove(*KEY)
        case "replace" if is_there:
            world.api.replace(*KEY, "annotations", "finalizers")
        case "person cancels" | "person kills" | "person suspends":
            verb = {"person cancels": Verb.CANCEL, "person kills": Verb.KILL, "person suspends": Verb.SUSPEND}[what]
            for saga_id in list(world.shop.stories):
                world.shop.person(saga_id, verb)
        case "crash":
            world.kill(operator)
            world.start()
        case "another operator" if len(world.everyone) < 2:
            world.start()
        case "lead lost" | "lead won":
            world.elect(operator, leads=what == "lead won")
        case "away":
            world.pass_time(40.0)
        case "drain":
            world.draining = True
        case "orders away" | "orders back":
            world.orders_are_away = what == "orders away"
        case _:
            pass


@many
@given(story=stories())
def test_every_saga_comes_to_its_end_and_nothing_is_owed_whatever_comes(story: Story) -> None:
    world = told(story)
    assert world.wrongs == []
    assert len(world.shop.orders) <= 1, "one identity is one order"
    body = world.api.order_saga(*KEY)
    sagas = [found.state for found in world.shop.stories.values() if found.state is not None]
    assert len(sagas) <= 1
    assert all(state.phase.terminal for state in sagas)
    for aborts in map(world.shop.aborts, world.shop.stories):
        assert len({message.id for message in aborts}) <= 1, "whoever asks, it is one request"
    if body is None:
        return
    assert not body["metadata"].get("deletionTimestamp"), "whoever is deleted leaves"
    status = body["status"]
    assert status["observedGeneration"] == body["metadata"]["generation"]
    if not sagas and body["spec"]["suspend"] and not body["spec"]["cancel"] and status["phase"] == "Pending":
        return
    assert not is_held(body), "whoever has ended is let go"
    assert status["phase"] == (sagas[0].phase.value if sagas else "Compensated")
    held = world.everyone[0].engine.held[KEY]
    assert reconcile(held.resource, held.known, world.clock.now()).moves == ()
