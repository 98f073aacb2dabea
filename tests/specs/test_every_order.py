"""Every combination of yes, no and silence over the four steps of an order, in both modes: each ends whole or clean."""

from itertools import product

import pytest
from tests.specs.examples import CHORES, ERRANDS, FAIR, PARTY, PICNIC

from sagakit.core.definition import Saga
from sagakit.core.facts import Phase
from sagakit.core.messages import Mode
from sagakit.testing.matrix import Story, disagreements, stories
from sagakit.testing.model_world import ModelWorld
from sagakit.testing.script import Plays, Script
from shop_contracts.order_saga import ORDER_SAGA

ANSWERS = (Plays.SUCCEEDS, Plays.REFUSES, Plays.SUCCEEDS_LATE, Plays.REFUSES_LATE, Plays.IS_AWAY, Plays.GIVES_UP)
SCRIPTS = [
    Script(dict(zip(("payment", "inventory", "shipping", "stock"), plays, strict=True)))
    for plays in product(ANSWERS, ANSWERS, ANSWERS, [plays for plays in ANSWERS if not plays.refuses])
]


@pytest.mark.parametrize("mode", Mode)
def test_every_order_ends_whole_or_clean(mode: Mode) -> None:
    for number, script in enumerate(SCRIPTS):
        world = ModelWorld(ORDER_SAGA, mode, script, seed=number).play()
        assert world.wrongs() == [], f"{script}, seed {number}"
        assert world.state.phase in (Phase.COMPLETED, Phase.COMPENSATED)


def test_every_order_ends_alike_in_both_modes() -> None:
    for script in SCRIPTS:
        assert disagreements(ORDER_SAGA, script) == [], str(script)


@pytest.mark.parametrize("story", stories(ORDER_SAGA), ids=str)
def test_the_order_saga_lives_through(story: Story) -> None:
    story.check()


@pytest.mark.parametrize("saga", [CHORES, ERRANDS, FAIR, PARTY, PICNIC], ids=lambda saga: saga.name)
@pytest.mark.parametrize("mode", Mode)
def test_other_shapes_of_sagas_live_through_the_same(saga: Saga, mode: Mode) -> None:
    for story in stories(saga, [mode]):
        story.check()
