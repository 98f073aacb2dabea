"""The generic matrix: what every saga has to live through, whatever it is about. Written once, for every definition.

    @pytest.mark.parametrize("story", stories(TRIP), ids=str)
    def test_the_trip_lives_through(story: Story) -> None:
        story.check()

In both modes, at every step: refuse, be late, be away, give up; at every undo: give up; every message twice, and in
other orders; at every moment: a cancel, the deadline, a kill, a suspension. Each story has to end, to end whole or
clean, and in the phase that it has to end in.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

from typing_extensions import override

from sagakit.core.definition import Group, Saga
from sagakit.core.facts import AbortCode, Phase, Verb
from sagakit.core.messages import Mode
from sagakit.core.part import Part
from sagakit.core.state import SagaState
from sagakit.testing.model_world import Interruption, ModelWorld
from sagakit.testing.script import Plays, Script

SEEDS = range(1, 9)
DECISIONS = (Verb.RETRY, Verb.SKIP, Verb.MARK_DONE)
WHOLE, CLEAN = frozenset({Phase.COMPLETED}), frozenset({Phase.COMPENSATED})
AT_REST = 1_000_000
"""A moment behind all moves: the interruption comes when nothing moves any more."""
ANY_END = frozenset({Phase.COMPLETED, Phase.COMPENSATED})


@dataclass(frozen=True, slots=True)
class Story:
    """One run of one saga: who plays how, what interrupts it, in which order messages come, and how it may end."""

    saga: Saga
    mode: Mode
    script: Script = field(default_factory=Script)
    ends: frozenset[Phase] = ANY_END
    interruptions: Mapping[int, Interruption] = field(default_factory=dict)
    seed: int = 0
    repeats: float = 0.0
    echo: bool = False

    def play(self) -> ModelWorld:
        """Return the world at the end of the story."""
        world = ModelWorld(self.saga, self.mode, self.script, seed=self.seed, repeats=self.repeats, echo=self.echo)
        return world.play(self.interruptions)

    def check(self) -> None:
        """Play the story, then repeat every message of it.

        Raises:
            AssertionError: with what is wrong, one sentence each, and the whole story to play again.
        """
        world = self.play()
        wrongs = [] if world.state.phase is Phase.KILLED else world.wrongs()
        if world.state.phase not in self.ends:
            wrongs.append(f"it ended {world.state.phase}, not {' or '.join(sorted(self.ends))}")
        before = _known(world)
        if _known(world.repeat_everything()) != before:
            wrongs.append("when every message came once more, something changed")
        lines = [*wrongs, self.again, *(f"  {m.source} said {m.type}" for m in world.messages)]
        assert not wrongs, "\n".join(lines)

    @property
    def again(self) -> str:
        """How to play the same story again."""
        parts = [f"Mode.{self.mode.name}", repr(self.script)]
        parts += [f"interruptions={dict(self.interruptions)}"] if self.interruptions else []
        parts += [f"seed={self.seed}, repeats={self.repeats}"] if self.seed or self.repeats else []
        parts += ["echo=True"] if self.echo else []
        return f"again: Story(<{self.saga.ref}>, {', '.join(parts)}).check()"

    @override
    def __str__(self) -> str:
        extras = [f"{what} at {move}" for move, what in self.interruptions.items()]
        extras += [f"seed {self.seed}"] if self.seed else []
        extras += ["every message twice"] if self.echo else []
        return f"{self.mode.value}: {'; '.join([str(self.script), *extras])}"


def stories(saga: Saga, modes: Iterable[Mode] = tuple(Mode)) -> list[Story]:
    """Return the whole matrix of the definition, in these modes."""
    return [story for mode in modes for part in _PARTS for story in part(saga, mode)]


def disagreements(saga: Saga, script: Script, seed: int = 0) -> list[str]:
    """Return in what the two modes end differently, given the same answers."""
    nobody, somebody = (ModelWorld(saga, mode, script, seed=seed).play() for mode in Mode)
    found = []
    for what, one, other in (
        ("phase", nobody.state.phase, somebody.state.phase),
        ("effects", sorted(nobody.done), sorted(somebody.done)),
    ):
        if one != other:
            found.append(f"{what}: {one} in choreography, {other} in orchestration")
    return found


def _as_written(saga: Saga, mode: Mode) -> Iterator[Story]:
    """Nobody fails; every message comes once, twice, and in other orders."""
    yield Story(saga, mode, ends=WHOLE)
    yield Story(saga, mode, ends=WHOLE, echo=True)
    for seed in SEEDS:
        yield Story(saga, mode, ends=WHOLE, seed=seed, repeats=0.2)


def _each_step(saga: Saga, mode: Mode) -> Iterator[Story]:
    """Every step refuses, is late, is away, gives up."""
    for step in saga.steps:
        last_word = step in saga.point_of_no_return
        ends = {
            Plays.REFUSES: CLEAN,
            Plays.REFUSES_LATE: CLEAN,
            Plays.SUCCEEDS_SLOWLY: WHOLE,
            Plays.SUCCEEDS_LATE: CLEAN if step.can_bar and not last_word else WHOLE,
            Plays.IS_AWAY: CLEAN if step.can_bar else WHOLE,
            Plays.GIVES_UP: WHOLE,
        }
        for plays, end in ends.items():
            if plays.refuses and not step.can_bar:
                continue
            for decision in DECISIONS if plays is Plays.GIVES_UP else DECISIONS[:1]:
                script = Script({step.name: plays}, decision=decision)
                yield Story(saga, mode, script, end)
                yield Story(saga, mode, script, end, echo=True)
                yield Story(saga, mode, script, end, seed=1, repeats=0.2)


def _each_undo(saga: Saga, mode: Mode) -> Iterator[Story]:
    """The undo of every step gives up, and a person decides."""
    for number, stage in enumerate(saga.stages):
        for step in stage:
            others = [s.name for s in (*stage, *_next(saga, number)) if s is not step and s.can_bar]
            if step.compensation is None or not others:
                continue
            for decision in DECISIONS:
                script = Script({others[0]: Plays.REFUSES}, frozenset({step.name}), decision)
                yield Story(saga, mode, script, CLEAN)
                yield Story(saga, mode, script, CLEAN, seed=2, repeats=0.2)


def _each_moment(saga: Saga, mode: Mode) -> Iterator[Story]:
    """A cancel, the deadline, a kill and a suspension before every message of the story in which nobody fails."""
    killed = ANY_END | {Phase.KILLED}
    for move in range(ModelWorld(saga, mode).play().moves + 1):
        yield Story(saga, mode, interruptions={move: Verb.CANCEL})
        yield Story(saga, mode, interruptions={move: AbortCode.DEADLINE_PASSED})
        yield Story(saga, mode, interruptions={move: AbortCode.STEP_TIMED_OUT})
        yield Story(saga, mode, interruptions={move: Verb.KILL}, ends=killed)
        yield Story(saga, mode, interruptions={move: Verb.SUSPEND})
        yield Story(saga, mode, interruptions={move: Verb.SUSPEND, move + 2: Verb.RESUME}, ends=WHOLE)
        yield Story(saga, mode, interruptions={move: Verb.SUSPEND, move + 2: Verb.CANCEL})

    slow = Script(dict.fromkeys((step.name for step in saga.steps), Plays.SUCCEEDS_SLOWLY))
    for move in range(ModelWorld(saga, mode, slow).play().moves + 1):
        yield Story(saga, mode, slow, interruptions={move: Verb.SUSPEND, AT_REST: Verb.CANCEL})
        yield Story(saga, mode, slow, interruptions={move: Verb.SUSPEND, AT_REST: Verb.RESUME}, ends=WHOLE)


def _each_group(saga: Saga, mode: Mode) -> Iterator[Story]:
    """One member of a group refuses, and another one is slow, late, away, or refuses as well."""
    for one, other in (pair for stage in saga.stages for pair in permutations(stage, 2) if stage[0].can_bar):
        for plays in Plays:
            script = Script({one.name: Plays.REFUSES, other.name: plays})
            yield Story(saga, mode, script, CLEAN)
            yield Story(saga, mode, script, CLEAN, seed=3, repeats=0.2)


_PARTS = (_as_written, _each_step, _each_undo, _each_group, _each_moment)


def _next(saga: Saga, number: int) -> Group:
    return saga.stages[number + 1] if number + 1 < len(saga.stages) else ()


def _known(world: ModelWorld) -> tuple[SagaState, dict[str, Part | None], list[str], int]:
    parts = {name: part.part for name, part in world.parts.items()}
    return world.state, parts, world.done, len(world.messages)
