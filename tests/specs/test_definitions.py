"""A definition that cannot mean anything is refused, with one sentence for each mistake."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.specs.examples import PARTY, sketch, step

from sagakit.core.definition import DefinitionError, Participant, RetryPolicy, Saga, Step, StepKind

GOOD = sketch("pay", "pack", "ship!", "tell+", name="good")
PAY, PACK, SHIP, TELL = GOOD.steps


def with_steps(*stages: Step | tuple[Step, ...]) -> Saga:
    return replace(GOOD, stages=tuple((stage,) if isinstance(stage, Step) else stage for stage in stages))


MISTAKES: dict[str, Callable[[], object]] = {
    "a saga needs a name": lambda: replace(GOOD, name=""),
    "versions count from 1, not 0": lambda: replace(GOOD, version=0),
    "a saga needs at least one step": lambda: replace(GOOD, stages=()),
    "a parallel group needs at least one step": lambda: replace(GOOD, stages=(*GOOD.stages, ())),
    "at most 50 steps, not 51": lambda: sketch(*(f"job{number}" for number in range(51))),
    "its time limit must be at least 1 s, not 0": lambda: replace(GOOD, timeout_seconds=0),
    "step names have 1 to 50 characters": lambda: with_steps(replace(PAY, name="p" * 51)),
    "needs a time limit of at least 1 s, not 0": lambda: with_steps(replace(PAY, timeout_seconds=0)),
    "two steps are called 'pay'": lambda: with_steps(PAY, replace(PACK, name="pay")),
    "'pay/1' is no name": lambda: with_steps(replace(PAY, name="pay/1")),
    "'' is no name": lambda: with_steps(replace(PAY, command="")),
    "two participants are called 'pack'": lambda: replace(GOOD, participants=GOOD.participants * 2),
    "the initiator and a participant are both called 'pay'": lambda: replace(
        GOOD, initiator=Participant("pay", "elsewhere.events")
    ),
    "belongs to 'nobody', which is not a participant": lambda: with_steps(replace(PAY, participant="nobody")),
    "nobody handles 'DoPay', the command of step 'pay'": lambda: replace(
        GOOD,
        participants=tuple(
            replace(p, handles=frozenset({"UndoPay"})) if p.name == "pay" else p for p in GOOD.participants
        ),
    ),
    "nobody handles 'UndoPay', the compensation of step 'pay'": lambda: replace(
        GOOD,
        participants=tuple(
            replace(p, handles=frozenset({"DoPay"})) if p.name == "pay" else p for p in GOOD.participants
        ),
    ),
    "at most one pivot, this one has ship, tell": lambda: with_steps(
        PAY, SHIP, replace(TELL, kind=StepKind.PIVOT, failure="TellRefused")
    ),
    "the pivot 'ship' stands in a parallel group": lambda: with_steps(PAY, (PACK, SHIP)),
    "cannot follow 'ship' (pivot): compensatable steps come first": lambda: with_steps(SHIP, PAY),
    "mixes compensatable and retriable steps": lambda: with_steps((PAY, TELL)),
    "is compensatable and needs a compensation": lambda: with_steps(replace(PAY, compensation=None)),
    "needs the event of its compensation 'UndoPay'": lambda: with_steps(replace(PAY, compensated=None)),
    "step 'ship' has a compensation, but from the pivot on nothing is taken back": lambda: with_steps(
        replace(SHIP, compensation="Unship")
    ),
    "is retriable: it cannot refuse, so 'TellRefused' can never happen": lambda: with_steps(
        replace(TELL, failure="TellRefused")
    ),
    "step 'ship' can refuse and needs a failure event": lambda: with_steps(replace(SHIP, failure=None)),
    "the command 'DoPay' is given twice": lambda: with_steps(PAY, replace(PACK, command="DoPay")),
    "the command 'UndoPay' is given twice": lambda: with_steps(PAY, replace(PACK, compensation="UndoPay")),
    "'PayDone' is said at two places, so the saga could run in a circle": lambda: with_steps(
        PAY, replace(PACK, success="PayDone")
    ),
    "'Asked' is said at two places": lambda: with_steps(PAY, replace(PACK, success="Asked")),
    "DoPay is both a command and an event": lambda: with_steps(PAY, replace(PACK, success="DoPay")),
    "AbortSaga is a word of the kit": lambda: with_steps(replace(PAY, command="AbortSaga")),
    "begins on 'Sunrise', an event nobody emits": lambda: with_steps(replace(PAY, after=("Sunrise",))),
    "the steps wait for each other in a cycle: pay → pack → pay": lambda: with_steps(
        replace(PAY, after=("PackDone",)), replace(PACK, after=("PayDone",))
    ),
    "says it begins on Asked, but by its place it begins on PayDone": lambda: with_steps(
        PAY, replace(PACK, after=("Asked",))
    ),
    "a retry policy needs at least one attempt, not 0": lambda: RetryPolicy(attempts_max=0),
    "a retry delay of 60 s must be positive": lambda: RetryPolicy(delay_seconds=60),
    "jitter is a share between 0 and 1, not 2": lambda: RetryPolicy(jitter=2),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_definition_that_cannot_mean_anything_is_refused_with_a_sentence(sentence: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        MISTAKES[sentence]()
    assert sentence in str(refused.value)


def test_the_words_of_the_kit_are_those_that_its_contracts_know() -> None:
    from sagakit.core.definition import KIT_WORDS  # noqa: PLC0415 - only this test looks behind the curtain
    from sagakit.core.part import CONTROLS, REPAIRS, STUCK  # noqa: PLC0415

    assert {*CONTROLS, *REPAIRS, STUCK} == KIT_WORDS


def test_what_a_step_begins_on_may_be_written_down_where_it_is_true() -> None:
    assert with_steps(replace(PAY, after=("Asked",)), replace(PACK, after=("PayDone",))).steps[1].name == "pack"


def test_a_definition_knows_its_steps_and_says_which_there_are() -> None:
    assert GOOD.step("pack") is PACK
    with pytest.raises(KeyError, match="has no step 'drone'; it has pay, pack, ship, tell"):
        GOOD.step("drone")


def test_the_delay_of_a_retry_doubles_up_to_its_cap_and_is_spread_by_chance() -> None:
    policy = RetryPolicy(delay_seconds=1, delay_seconds_max=5, jitter=0.5)
    assert [policy.delay_after(attempts, 0) for attempts in (1, 2, 3, 4, 400)] == [1, 2, 4, 5, 5]
    assert policy.delay_after(1, 0.5) == 1.25


def test_the_last_stage_that_can_fail_is_the_point_of_no_return() -> None:
    assert GOOD.point_of_no_return == (SHIP,)
    assert [s.name for s in sketch("pay", "pack wrap").point_of_no_return] == ["pack", "wrap"]
    assert sketch("tell+").point_of_no_return == ()
    assert PARTY.ref == "party/1"
    assert step("pay").can_bar
