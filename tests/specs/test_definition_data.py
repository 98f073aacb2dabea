"""A definition written as plain data says the same, and what is written wrongly is said in a sentence."""

from typing import Any

import pytest
from hypothesis import given, settings
from tests.specs.stories import sagas

from sagakit.core.definition import DefinitionError, Saga
from sagakit.core.definition_data import from_data, to_data
from shop_contracts.order_saga import ORDER_SAGA


def data(**changes: object) -> dict[str, Any]:
    return {**to_data(ORDER_SAGA), **changes}


def with_step(**changes: object) -> dict[str, Any]:
    first, *others = data()["stages"]
    return data(stages=[{"steps": [{**first["steps"][0], **changes}]}, *others])


@given(saga=sagas())
@settings(max_examples=100, deadline=None)
def test_a_definition_comes_back_from_data_as_it_was(saga: Saga) -> None:
    assert from_data(to_data(saga)) == saga


def test_the_order_saga_comes_back_from_data_as_it_was() -> None:
    assert from_data(data()) == ORDER_SAGA


MISTAKES: dict[str, object] = {
    "the definition must be a mapping, not a list": [],
    "the definition needs a field 'name'": {key: value for key, value in data().items() if key != "name"},
    "the definition has a field 'colour', which is not known": data(colour="red"),
    "version must be a whole number, not a text": data(version="1"),
    "timeoutSeconds must be a whole number, not a number": data(timeoutSeconds=1.5),
    "stages must be a list, not a mapping": data(stages={}),
    "stages[0].steps[0] has a field 'undo', which is not known": with_step(undo="x"),
    "stages[0].steps[0].command must be a text, not a whole number": with_step(command=7),
    "stages[0].steps[0].kind must be one of compensatable, pivot, retriable, not 'final'": with_step(kind="final"),
    "stages[0].steps[0].retry.attemptsMax must be a whole number, not a text": with_step(retry={"attemptsMax": "8"}),
    "order/1: a saga needs at least one step": data(stages=[]),
    "a retry policy needs at least one attempt, not 0": with_step(retry={"attemptsMax": 0}),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_what_is_written_wrongly_is_said_in_a_sentence(sentence: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        from_data(MISTAKES[sentence])
    assert str(refused.value) == sentence
