"""What holds for every saga, whatever it is about: random definitions, answers, orders, repetitions and aborts."""

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.specs.stories import IN_TIME, interruptions, sagas, scripts

from sagakit.core.facts import Phase, Verb
from sagakit.core.history import violations
from sagakit.core.messages import Mode
from sagakit.testing.matrix import disagreements
from sagakit.testing.model_world import ModelWorld

many = settings(max_examples=250, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10_000)


def story(world: ModelWorld) -> str:
    said = "\n".join(f"{message.source} said {message.type}" for message in world.messages)
    return f"{world.script}\n{said}"


@many
@given(data=st.data(), mode=st.sampled_from(Mode), seed=seeds)
def test_every_saga_ends_whole_or_clean_whatever_comes(data: st.DataObject, mode: Mode, seed: int) -> None:
    saga = data.draw(sagas())
    world = ModelWorld(saga, mode, data.draw(scripts(saga)), seed=seed, repeats=0.1).play(data.draw(interruptions()))
    note(story(world))
    assert world.state.phase in (Phase.COMPLETED, Phase.COMPENSATED)
    assert world.wrongs() == []


@many
@given(data=st.data(), seed=seeds)
def test_both_modes_end_alike_for_the_same_answers(data: st.DataObject, seed: int) -> None:
    saga = data.draw(sagas())
    script = data.draw(scripts(saga, IN_TIME))
    assert disagreements(saga, script, seed) == []


@many
@given(data=st.data(), mode=st.sampled_from(Mode), seed=seeds)
def test_hearing_everything_again_changes_nothing(data: st.DataObject, mode: Mode, seed: int) -> None:
    saga = data.draw(sagas())
    world = ModelWorld(saga, mode, data.draw(scripts(saga)), seed=seed).play(data.draw(interruptions()))
    known = (world.state, {name: part.part for name, part in world.parts.items()}, world.done, len(world.messages))
    world.repeat_everything()
    assert known == (
        world.state,
        {name: part.part for name, part in world.parts.items()},
        world.done,
        len(world.messages),
    )


@many
@given(data=st.data(), mode=st.sampled_from(Mode), seed=seeds, moment=st.integers(0, 40))
def test_a_killed_saga_stays_as_it_is_and_its_history_is_well_formed_so_far(
    data: st.DataObject, mode: Mode, seed: int, moment: int
) -> None:
    saga = data.draw(sagas())
    world = ModelWorld(saga, mode, data.draw(scripts(saga)), seed=seed).play({moment: Verb.KILL})
    note(story(world))
    assert world.state.phase.terminal
    assert violations(saga, world.messages) == []
    assert world.tracker.refolded() == world.state


@many
@given(data=st.data(), mode=st.sampled_from(Mode), seed=seeds)
def test_the_order_of_messages_does_not_change_the_end(data: st.DataObject, mode: Mode, seed: int) -> None:
    saga = data.draw(sagas())
    script = data.draw(scripts(saga, IN_TIME))
    one, other = (ModelWorld(saga, mode, script, seed=s, repeats=0.1).play() for s in (0, seed))
    assert one.state.phase is other.state.phase
    assert sorted(one.done) == sorted(other.done)
