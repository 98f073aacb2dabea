"""A definition as a picture: a Mermaid state diagram, drawn from it and therefore never out of date.

Solid states go forward, those named `undo_…` go back; a group is a fork and a join; the pivot stands out.
"""

import re
from collections.abc import Iterator

from sagakit.core.definition import Group, Saga, Step, StepKind

PIVOT_STYLE = "classDef pivot stroke-width:4px,font-weight:bold"
UNDO_STYLE = "classDef undo stroke-dasharray:4 4"


def mermaid(saga: Saga) -> str:
    """Return the definition as a Mermaid `stateDiagram-v2`: forward, refusing and compensating arrows."""
    lines = [*_states(saga), *_forward(saga), *_backward(saga), *_styles(saga)]
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)]) + "\n"


def _states(saga: Saga) -> Iterator[str]:
    for number, stage in enumerate(saga.stages):
        for step in stage:
            yield f'state "{_title(step)}" as {_do(step)}'
            if _is_taken_back(saga, number):
                yield f'state "{step.compensation}" as {_undo(step)}'
        if len(stage) > 1:
            sides = ("do", "undo") if stage[0].compensation is not None else ("do",)
            for side in sides:
                yield f"state {side}_fork_{number} <<fork>>"
                yield f"state {side}_join_{number} <<join>>"
    yield f'state "{saga.completed}" as completed'
    yield f'state "{saga.cancelled}" as cancelled'


def _title(step: Step) -> str:
    marks = {StepKind.PIVOT: " (pivot)", StepKind.RETRIABLE: " (retriable)"}
    return f"{step.participant}: {step.command}{marks.get(step.kind, '')}"


def _forward(saga: Saga) -> Iterator[str]:
    """Draw the way to the end, if nobody refuses."""
    origin, said = "[*]", saga.started
    for number, stage in enumerate(saga.stages):
        if len(stage) == 1:
            yield f"{origin} --> {_do(stage[0])}: {said}"
            origin, said = _do(stage[0]), stage[0].success
            continue
        yield f"{origin} --> do_fork_{number}: {said}"
        for step in stage:
            yield f"do_fork_{number} --> {_do(step)}"
            yield f"{_do(step)} --> do_join_{number}: {' / '.join(filter(None, (step.success, step.failure)))}"
        origin, said = f"do_join_{number}", "all succeeded"
    yield f"{origin} --> completed: {said}"
    yield "completed --> [*]"


def _backward(saga: Saga) -> Iterator[str]:
    """Draw where a refusal leads, and the way back, newest first."""
    for number, stage in enumerate(saga.stages):
        back = _way_back(saga, number)
        if len(stage) == 1:
            if stage[0].failure is not None:
                yield f"{_do(stage[0])} --> {back}: {stage[0].failure}"
            if _is_taken_back(saga, number):
                yield f"{_undo(stage[0])} --> {back}: {stage[0].compensated}"
        elif stage[0].compensation is not None:
            yield f"do_join_{number} --> undo_fork_{number}: one failed; each success is undone"
            for step in stage:
                yield f"undo_fork_{number} --> {_undo(step)}"
                yield f"{_undo(step)} --> undo_join_{number}: {step.compensated}"
            yield f"undo_join_{number} --> {back}"
    yield "cancelled --> [*]"


def _way_back(saga: Saga, number: int) -> str:
    if number == 0:
        return "cancelled"
    before = saga.stages[number - 1]
    return _undo(before[0]) if len(before) == 1 else f"undo_fork_{number - 1}"


def _is_taken_back(saga: Saga, number: int) -> bool:
    """Tell whether anything beside or behind a step of the stage can fail, so that it may have to be undone."""
    following: Group = saga.stages[number + 1] if number + 1 < len(saga.stages) else ()
    beside_or_behind = len(saga.stages[number]) > 1 or any(step.can_bar for step in following)
    return saga.stages[number][0].compensation is not None and beside_or_behind


def _styles(saga: Saga) -> Iterator[str]:
    pivots = [_do(step) for step in saga.steps if step.kind is StepKind.PIVOT]
    undoing = [
        _undo(step) for number, stage in enumerate(saga.stages) for step in stage if _is_taken_back(saga, number)
    ]
    if pivots:
        yield PIVOT_STYLE
        yield f"class {','.join(pivots)} pivot"
    if undoing:
        yield UNDO_STYLE
        yield f"class {','.join(undoing)} undo"


def _do(step: Step) -> str:
    return f"do_{_word(step.name)}"


def _undo(step: Step) -> str:
    return f"undo_{_word(step.name)}"


def _word(name: str) -> str:
    """Return the name as Mermaid takes it: what is no letter or digit becomes its number, so that no two names meet."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0])}_", name)
