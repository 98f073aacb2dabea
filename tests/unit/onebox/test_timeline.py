"""A waterfall shows what took how long, what failed, and what was taken back, also before it has ended."""

from collections.abc import Sequence
from datetime import datetime

import pytest
from tests.specs.examples import PARTY
from tests.unit.onebox import sagas
from tests.unit.onebox.golden_files import check
from tests.unit.onebox.sagas import at, told

from onebox.timeline import Stages, rows, waterfall
from sagakit.core.facts import (
    AnyFact,
    SagaCompensated,
    StepCompensated,
    StepFailed,
    StepSucceeded,
)
from sagakit.core.messages import Mode
from shop_contracts.order_saga import ORDER_SAGA

ORDER_STAGES: Stages = [[step.name for step in stage] for stage in ORDER_SAGA.stages]


def drawn(facts: Sequence[AnyFact], now: datetime, mode: Mode = Mode.CHOREOGRAPHY, width: int = 100) -> str:
    saga, history = told(facts, now, mode=mode)
    return waterfall(saga, rows(saga, history, ORDER_STAGES), width)


@pytest.mark.parametrize(
    ("name", "facts", "now", "mode"),
    [
        ("confirmed", sagas.CONFIRMED, at(500), Mode.CHOREOGRAPHY),
        ("compensated", sagas.OUT_OF_STOCK, at(500), Mode.CHOREOGRAPHY),
        ("compensated-by-command", sagas.ASKED_OUT_OF_STOCK, at(500), Mode.ORCHESTRATION),
        ("waiting", sagas.WAITING, at(2_000), Mode.CHOREOGRAPHY),
        ("stuck", sagas.STUCK, at(30_000), Mode.CHOREOGRAPHY),
        ("repaired", sagas.REPAIRED, at(70_000), Mode.CHOREOGRAPHY),
        ("too-late", sagas.TOO_LATE, at(70_000), Mode.CHOREOGRAPHY),
        ("just-begun", (), at(0), Mode.CHOREOGRAPHY),
    ],
)
def test_a_waterfall_looks_as_it_did(name: str, facts: Sequence[AnyFact], now: datetime, mode: Mode) -> None:
    check(f"timeline-{name}.txt", drawn(facts, now, mode))


def test_a_waterfall_keeps_to_its_width() -> None:
    for width in (60, 80, 100, 140):
        assert max(map(len, drawn(sagas.CONFIRMED, at(500), width=width).splitlines())) <= width


def test_a_bar_is_as_long_as_its_step_took() -> None:
    saga, history = told(sagas.CONFIRMED, at(500))
    took = {row.name: row.end - row.begin for row in rows(saga, history, ORDER_STAGES)}
    assert [took[name].total_seconds() for name in ("payment", "inventory", "shipping", "stock")] == [
        0.12,
        0.06,
        0.12,
        0.06,
    ]


def test_in_orchestration_a_bar_begins_when_the_command_was_sent() -> None:
    saga, history = told(sagas.ASKED_OUT_OF_STOCK, at(500), mode=Mode.ORCHESTRATION)
    begins = {(row.name, row.back): row.begin for row in rows(saga, history, ORDER_STAGES)}
    assert begins["payment", False] == at(5)
    assert begins["inventory", False] == at(125)
    assert begins["payment", True] == at(190)


def test_parallel_steps_begin_together_and_are_taken_back_beside_each_other() -> None:
    facts = (
        StepSucceeded(at=at(100), step="hall"),
        StepSucceeded(at=at(200), step="band"),
        StepFailed(at=at(300), step="cake", reason="NO_FLOUR"),
        StepCompensated(at=at(350), step="band"),
        StepCompensated(at=at(400), step="hall"),
        SagaCompensated(at=at(401), reason="NO_FLOUR"),
    )
    saga, history = told(facts, at(500), PARTY)
    found = {
        (row.name, row.back): (row.begin, row.end)
        for row in rows(saga, history, [[step.name for step in stage] for stage in PARTY.stages])
    }
    assert found["band", False] == (at(100), at(200))
    assert found["cake", False] == (at(100), at(300))
    assert found["band", True] == (at(300), at(350))
    assert found["hall", True] == (at(350), at(400))


def test_a_compensation_that_overtook_its_action_is_a_moment() -> None:
    facts = (StepCompensated(at=at(50), step="payment"), SagaCompensated(at=at(51), reason="CANCELLED"))
    saga, history = told(facts, at(500))
    back = next(row for row in rows(saga, history, ORDER_STAGES) if row.back)
    assert (back.begin, back.end) == (at(50), at(50))
