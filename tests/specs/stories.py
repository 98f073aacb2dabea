"""Random sagas and random answers, for the properties."""

from itertools import count

from hypothesis import strategies as st
from tests.specs.examples import sketch

from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, Verb
from sagakit.testing.model_world import Interruption
from sagakit.testing.script import Plays, Script

BARRABLE = tuple(Plays)
SURE = (Plays.SUCCEEDS, Plays.SUCCEEDS_SLOWLY, Plays.SUCCEEDS_LATE, Plays.IS_AWAY, Plays.GIVES_UP)
IN_TIME = (Plays.SUCCEEDS, Plays.REFUSES)


@st.composite
def sagas(draw: st.DrawFn) -> Saga:
    """One to six stages, groups of up to three, with or without a pivot, with or without a retriable tail."""
    words = (f"job{number}" for number in count(1))
    owners = st.sampled_from(["anna", "bert", "cleo", "dora"])
    before = draw(st.integers(0, 4))
    pivot = draw(st.booleans())
    behind = draw(st.integers(0 if before or pivot else 1, 2))
    sizes = draw(st.lists(st.integers(1, 3), min_size=before + behind, max_size=before + behind))
    stages = [[next(words) for _ in range(size)] for size in sizes[:before]]
    stages += [[f"{next(words)}!"]] if pivot else []
    stages += [[f"{next(words)}+" for _ in range(size)] for size in sizes[before:]]
    by = {word.rstrip("!+"): draw(owners) for stage in stages for word in stage}
    return sketch(*(" ".join(stage) for stage in stages), by=by, name="random")


@st.composite
def scripts(draw: st.DrawFn, saga: Saga, barrable: tuple[Plays, ...] = BARRABLE) -> Script:
    """Every step plays as it likes, some undos give up, and a person decides somehow."""
    sure = tuple(plays for plays in SURE if plays in barrable)
    plays = {step.name: draw(st.sampled_from(barrable if step.can_bar else sure)) for step in saga.steps}
    undoable = [step.name for step in saga.steps if step.compensation]
    stuck = draw(st.frozensets(st.sampled_from(undoable), max_size=2)) if undoable else frozenset()
    return Script(plays, stuck, draw(st.sampled_from((Verb.RETRY, Verb.SKIP, Verb.MARK_DONE))))


def interruptions() -> st.SearchStrategy[dict[int, Interruption]]:
    """At any moments: cancel, deadline, an abort from elsewhere, suspend, resume."""
    kinds: st.SearchStrategy[Interruption] = st.sampled_from(
        (Verb.CANCEL, AbortCode.DEADLINE_PASSED, AbortCode.STEP_TIMED_OUT, Verb.SUSPEND, Verb.RESUME)
    )
    return st.dictionaries(st.integers(0, 40), kinds, max_size=4)
