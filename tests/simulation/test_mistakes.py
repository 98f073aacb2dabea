"""The rules are worth something: each of these mistakes breaks one of them within a few worlds."""

from collections.abc import Callable

import pytest
from tests.simulation.mistakes import MISTAKES, SEEDS_MAX, Mistake, caught, told


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_in_the_product_breaks_a_rule_within_a_few_worlds(
    mistake: Mistake, record_property: Callable[[str, object], None]
) -> None:
    report = caught(mistake)
    assert report is not None, f"{mistake.__doc__} Nobody noticed in {SEEDS_MAX} worlds."
    record_property("caught", told(mistake, report))
