"""A saga as a picture, for terminals and Mermaid: its steps, what takes each back, and where one saga stands."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onebox.output import worded
from sagakit.core import diagram
from sagakit.core.definition import Saga, Step, StepKind
from sagakit.core.facts import StepStatus

MARKS = {StepKind.COMPENSATABLE: "○", StepKind.PIVOT: "◆", StepKind.RETRIABLE: "▷"}
MEANINGS = {
    StepKind.COMPENSATABLE: "can be taken back",
    StepKind.PIVOT: "the pivot: behind it there is only forward",
    StepKind.RETRIABLE: "is tried until it works",
}
STATUS_WIDTH = max(len(status) for status in StepStatus) + 4
COLOURS = {
    "good": ("#d3f2d9", (StepStatus.SUCCEEDED,)),
    "bad": ("#f9d4d4", (StepStatus.REFUSED, StepStatus.BARRED)),
    "back": ("#fdeec4", (StepStatus.UNDOING, StepStatus.COMPENSATED)),
    "now": ("#d4e6fb", (StepStatus.BEGUN,)),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one saga stands: its id, its phase, and the status of each step by name."""

    saga_id: str
    phase: str
    steps: Mapping[str, str]


def tree(saga: Saga, standing: Standing | None = None) -> str:
    """Return the saga as a tree for a terminal."""
    return "\n".join(_tree(saga, standing))


def mermaid(saga: Saga, standing: Standing | None = None) -> str:
    """Return the definition's Mermaid state diagram; the states of one saga are coloured by where it stands."""
    return "\n".join([diagram.mermaid(saga).rstrip("\n"), *(_colours(saga, standing) if standing is not None else ())])


def _tree(saga: Saga, standing: Standing | None) -> Iterator[str]:
    yield f"{saga.ref}  begins with {saga.started}, within {saga.timeout_seconds} s"
    if standing is not None:
        yield f"{standing.saga_id}  {worded(standing.phase)}"
    width = max(len(step.name) for step in saga.steps)
    for stage in saga.stages:
        together = len(stage) > 1
        if together:
            yield "├─┬ in parallel"
        for number, step in enumerate(stage):
            last = number == len(stage) - 1
            branch, below = _rails(together=together, last=last)
            status = f"{worded(standing.steps.get(step.name, 'idle')):<{STATUS_WIDTH}}" if standing is not None else ""
            yield f"{branch} {MARKS[step.kind]} {step.name:<{width}}  {status}{step.participant}: {_forward(step)}"
            if step.compensation is not None:
                under = " " * (width + len(status))
                yield f"{below}   {under}  taken back by {step.compensation} → {step.compensated}"
    yield f"├─ ✔ {saga.completed}"
    yield f"└─ ✖ {saga.cancelled}"
    kinds = {step.kind for step in saga.steps}
    yield "   ".join(f"{mark} {MEANINGS[kind]}" for kind, mark in MARKS.items() if kind in kinds)


def _rails(*, together: bool, last: bool) -> tuple[str, str]:
    if not together:
        return "├─", "│ "
    return ("│ └─", "│   ") if last else ("│ ├─", "│ │ ")


def _forward(step: Step) -> str:
    return f"{step.command} → {step.success}{' | ' + step.failure if step.failure else ''}"


def _colours(saga: Saga, standing: Standing) -> Iterator[str]:
    for name, (fill, statuses) in COLOURS.items():
        steps = [f"do_{_word(step.name)}" for step in saga.steps if standing.steps.get(step.name) in statuses]
        if steps:
            yield f"    classDef {name} fill:{fill},color:#000"
            yield f"    class {','.join(steps)} {name}"


def _word(name: str) -> str:
    """Return the name as the diagram has it in its states; a test compares."""
    return re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0])}_", name)
