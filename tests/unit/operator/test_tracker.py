"""What the operator knows of a saga by hearing the log: the same as the order service, in whatever order it hears."""

from collections import deque
from contextlib import suppress
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.specs.stories import interruptions, sagas, scripts
from tests.unit.operator.memory_shop import whole
from tests.unit.operator.values import T0, state_in

from saga_operator.tracker import Sagas, UnknownDefinitionError, merged
from sagakit.core.contracts import UnreadableError, encode_data
from sagakit.core.definition import Saga
from sagakit.core.facts import Phase, StepStatus, Verb
from sagakit.core.messages import Message, Mode
from sagakit.core.part import ABORT, CONTROLS, RESUMED, STUCK, SUSPENDED
from sagakit.core.state import SagaState, StepState
from sagakit.testing.model_world import Interruption, ModelWorld
from sagakit.testing.voice import Voice
from shop_contracts.order_saga import ORDER_SAGA

many = settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10_000)
RANKS = [
    {StepStatus.IDLE},
    {StepStatus.BEGUN},
    {StepStatus.SUCCEEDED, StepStatus.REFUSED, StepStatus.BARRED},
    {StepStatus.UNDOING},
    {StepStatus.COMPENSATED},
]


def rank(status: StepStatus) -> int:
    return next(number for number, statuses in enumerate(RANKS) if status in statuses)


def followed(world: ModelWorld) -> list[list[Message]]:
    """Return what was said on each topic that the operator follows: events, no commands."""
    topics = {name: said for name, said in world.published.items() if not name.endswith(".commands")}
    return [[whole(message) for message in said] for _, said in sorted(topics.items())]


def shuffled(topics: list[list[Message]], seed: int) -> list[Message]:
    """Return all messages, those of each topic in their order, the topics in any."""
    chance, queues = Random(seed), [deque(said) for said in topics if said]
    found = []
    while queues:
        queue = chance.choice(queues)
        found.append(queue.popleft())
        queues = [queue for queue in queues if queue]
    return found


def heard(saga: Saga, messages: list[Message], state: SagaState | None = None) -> SagaState | None:
    tracker = Sagas([saga])
    for message in messages:
        state = tracker.hear(state, message)
    return state


def statuses(saga: Saga, state: SagaState) -> dict[str, StepStatus]:
    return {step.name: state.step(step.name).status for step in saga.steps}


@st.composite
def played(draw: st.DrawFn, *, kills: bool = True) -> ModelWorld:
    saga = draw(st.one_of(st.just(ORDER_SAGA), sagas()))
    script = draw(scripts(saga))
    happens: dict[int, Interruption] = dict(draw(interruptions()))
    if kills and draw(st.integers(0, 9)) == 0:
        happens[draw(st.integers(0, 40))] = Verb.KILL
    mode = draw(st.sampled_from(Mode))
    return ModelWorld(saga, mode, script, seed=draw(seeds), repeats=0.1).play(happens)


@many
@given(world=played(), seed=seeds)
def test_whoever_only_listens_knows_in_the_end_what_the_order_service_knows(world: ModelWorld, seed: int) -> None:
    saga, messages = world.voice.saga, shuffled(followed(world), seed)
    note("\n".join(f"{message.source} said {message.type}" for message in messages))
    known = heard(saga, messages)
    assert known is not None
    assert known.phase is world.state.phase
    assert known.reason == world.state.reason
    assert known.deadline == world.state.deadline
    assert known.started_at == world.state.started_at
    assert known.suspended == world.state.suspended
    if world.state.phase is not Phase.KILLED:
        unsaid = (StepStatus.IDLE, StepStatus.BEGUN)  # in the end a listener may even know more: a bar that came late
        told = {k: v for k, v in statuses(saga, world.state).items() if v not in unsaid}
        assert {k: v for k, v in statuses(saga, known).items() if k in told} == told


@many
@given(world=played(), seed=seeds)
def test_what_is_heard_twice_is_no_news(world: ModelWorld, seed: int) -> None:
    saga, messages = world.voice.saga, shuffled(followed(world), seed)
    tracker, state = Sagas([saga]), None
    for message in messages:
        state = tracker.hear(state, message)
        assert tracker.hear(state, message) is state, f"{message.type} again"
    known = state
    assert known is not None
    for message in messages:
        state = tracker.hear(state, message)
    assert state is known, "everything again"


@many
@given(world=played(kills=False), seed=seeds, heard_part=st.floats(0, 1), told_part=st.floats(0, 1))
def test_what_is_known_never_goes_backwards_whoever_is_ahead(
    world: ModelWorld, seed: int, heard_part: float, told_part: float
) -> None:
    saga, messages = world.voice.saga, shuffled(followed(world), seed)
    known = heard(saga, messages[: round(len(messages) * heard_part)])
    facts = world.tracker.facts[: 1 + round((len(world.tracker.facts) - 1) * told_part)]
    told = ModelWorld(saga, world.voice.mode).tracker
    told._record(facts, "")
    at = facts[-1].at
    result = merged(known, told.state, at)
    for step in saga.steps:
        before = max(rank(state.step(step.name).status) for state in (known, told.state) if state is not None)
        assert result.phase.terminal or rank(result.step(step.name).status) >= before
    if (known is not None and known.phase.terminal) or told.state.phase.terminal:
        assert result.phase.terminal
    else:
        stuck = any(step.stuck is not None for step in result.steps.values())
        assert (result.phase is Phase.NEEDS_INTERVENTION) == stuck
    assert statuses(saga, merged(result, told.state, at)) == statuses(saga, result), "told twice is told once"
    end = heard(saga, messages, result)
    assert end is not None
    assert end.phase is world.state.phase, "whatever was told, the rest is heard"


def test_a_saga_that_a_person_helped_is_no_longer_stuck_though_another_step_went_on_meanwhile() -> None:
    stuck = StepState(StepStatus.BEGUN, stuck="it does not work", stuck_at=T0)
    known = state_in(Phase.NEEDS_INTERVENTION, steps={"payment": stuck, "inventory": StepState(StepStatus.SUCCEEDED)})
    told = state_in(Phase.RUNNING, steps={"payment": StepState(StepStatus.BEGUN)})
    assert merged(known, told, T0).phase is Phase.RUNNING


def test_a_request_to_abort_proves_no_order_and_neither_does_a_step_that_barred_itself_for_it() -> None:
    say, tracker = Voice(ORDER_SAGA).say, Sagas()
    assert not tracker.proves(say(ABORT))
    assert not tracker.proves(say("PaymentFailed"))
    assert all(tracker.proves(say(kind)) for kind in ("OrderCreated", "PaymentCompleted", "OrderCancelled"))


def test_a_saga_of_a_definition_not_known_yet_is_told_so() -> None:
    message = msgspec.structs.replace(Voice(ORDER_SAGA).say("OrderCreated"), definition="order/9")
    with pytest.raises(UnknownDefinitionError, match="order/9"):
        Sagas().hear(None, message)


@pytest.mark.parametrize("kind", [ABORT, STUCK, SUSPENDED, "SagaKilled", "PaymentCompleted", "OrderCancelled"])
@pytest.mark.parametrize("body", ["{}", '{"reason": 7}', '{"code": "NO_SUCH"}', '{"sagaId": []}', '{"barred": "x"}'])
def test_a_message_whose_body_means_nothing_is_unreadable_or_ignored_and_nothing_worse(kind: str, body: str) -> None:
    message = Voice(ORDER_SAGA).say(kind, data=msgspec.Raw(body.encode()))
    with suppress(UnreadableError):
        assert Sagas().hear(None, message).saga_id == "saga-1"


def test_a_message_that_cannot_be_read_is_told_by_its_type() -> None:
    with pytest.raises(UnreadableError, match=ABORT):
        Sagas().hear(None, Voice(ORDER_SAGA).say(ABORT, data=msgspec.Raw(b"{}")))


def test_suspensions_are_numbered_and_an_older_one_is_no_news() -> None:
    say = Voice(ORDER_SAGA).say
    state = heard(ORDER_SAGA, [say("OrderCreated"), say(SUSPENDED, attempt=1), say(RESUMED, attempt=2)])
    assert state is not None
    assert not state.suspended
    assert Sagas().hear(state, say(SUSPENDED, attempt=1)) is state
    assert Sagas().hear(state, say(SUSPENDED, attempt=3)).suspended


def test_what_comes_after_the_end_completes_the_steps_and_not_the_end() -> None:
    say = Voice(ORDER_SAGA).say
    early = heard(ORDER_SAGA, [say("OrderCreated"), say("OrderCancelled", data={"reason": "CARD_DECLINED"})])
    late = heard(ORDER_SAGA, [say("PaymentFailed", data={"reason": "no", "errorCode": "CARD_DECLINED"})], early)
    assert late is not None
    assert (late.phase, late.reason) == (Phase.COMPENSATED, "CARD_DECLINED")
    assert late.step("payment").status is StepStatus.REFUSED
    for control in CONTROLS:
        again = say(control, attempt=9, data=encode_data({"sagaId": "saga-1", "code": "CANCELLED", "reason": "x"}))
        assert Sagas().hear(late, again) is late
