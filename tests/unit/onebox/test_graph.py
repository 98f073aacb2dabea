"""A definition is drawn as a tree and as Mermaid, with where one saga stands."""

import re

import pytest
from tests.specs.examples import PARTY, PICNIC, sketch
from tests.unit.onebox.golden_files import check

from onebox.graph import Standing, mermaid, tree
from sagakit.core.definition import Saga
from shop_contracts.order_saga import ORDER_SAGA

HALFWAY = Standing("order-7", "Compensating", {"payment": "compensating", "inventory": "refused"})


def test_a_definition_looks_as_it_did() -> None:
    check("graph-order.txt", tree(ORDER_SAGA))


def test_a_definition_with_parallel_steps_looks_as_it_did() -> None:
    check("graph-party.txt", tree(PARTY))


def test_where_a_saga_stands_looks_as_it_did() -> None:
    check("graph-order-7.txt", tree(ORDER_SAGA, HALFWAY))
    check("graph-order-7.mmd", mermaid(ORDER_SAGA, HALFWAY))


@pytest.mark.parametrize("saga", [ORDER_SAGA, PARTY, PICNIC, sketch("to-book", "send!")], ids=lambda saga: saga.name)
def test_every_state_that_is_coloured_is_in_the_diagram(saga: Saga) -> None:
    drawn = mermaid(saga)
    coloured = mermaid(saga, Standing("s", "Running", {step.name: "succeeded" for step in saga.steps}))
    (names,) = re.findall(r"class (\S+) good", coloured)
    assert all(f" as {name}\n" in drawn for name in names.split(","))
    assert len(names.split(",")) == len(saga.steps)
