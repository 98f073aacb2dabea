"""Is this the history of a saga? T1…Tn, or T1…Tj Cj…C1, and nothing else (Garcia-Molina and Salem, 1987).

Groups make the order partial: the members of one stage come in any order, stages do not. What is found wrong is said
in sentences; no sentence means that the history is well formed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sagakit.core.definition import Saga, Step
from sagakit.core.messages import Message
from sagakit.core.part import KILLED


def violations(saga: Saga, messages: Sequence[Message]) -> list[str]:
    """Return what is wrong with the messages of one saga, given in the order in which they were published.

    A history without an end is judged as far as it goes; one that a person killed may end anywhere.
    """
    history = _read(saga, causally_ordered(messages))
    checks = (_twice, _both, _forward, _backward, _end)
    return [*_causes(messages), *(sentence for check in checks for sentence in check(saga, history))]


def causally_ordered(messages: Iterable[Message]) -> list[Message]:
    """Return the messages, each once and behind its cause, and otherwise in the order in which they are given."""
    waiting = {message.id: message for message in messages}
    ordered: dict[str, Message] = {}

    def place(message: Message, path: frozenset[str]) -> None:
        cause = waiting.get(message.causation_id)
        if cause is not None and cause.id not in ordered and cause.id not in path:
            place(cause, path | {message.id})
        ordered.setdefault(message.id, message)

    for message in waiting.values():
        place(message, frozenset())
    return list(ordered.values())


@dataclass(slots=True)
class _History:
    """Where in the order each step's answers stand, by step name; `ends` are the saga's last words."""

    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    undone: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    said: dict[str, list[Message]] = field(default_factory=dict)
    killed: bool = False


def _read(saga: Saga, messages: Iterable[Message]) -> _History:
    history = _History()
    places = {step.success: (history.done, step.name) for step in saga.steps}
    places |= {step.failure: (history.failed, step.name) for step in saga.steps if step.failure}
    places |= {step.compensated: (history.undone, step.name) for step in saga.steps if step.compensated}
    places |= {word: (history.ends, word) for word in (saga.completed, saga.cancelled)}
    for number, message in enumerate(messages):
        history.killed = history.killed or message.type == KILLED
        if message.type in places:
            where, name = places[message.type]
            where.setdefault(name, number)
            history.said.setdefault(message.type, []).append(message)
    return history


def _causes(messages: Sequence[Message]) -> Iterator[str]:
    """Say whose cause was published after it."""
    place: dict[str, int] = {}
    for number, message in enumerate(messages):
        place.setdefault(message.id, number)
    for number, message in enumerate(messages):
        if place[message.id] == number and place.get(message.causation_id, -1) > number:
            yield f"{message.type} was published before {messages[place[message.causation_id]].type}, which caused it"


def _twice(_: Saga, history: _History) -> Iterator[str]:
    """Say what took effect twice. An event said again, to a command sent again, is one effect: its data is the same."""
    for kind, said in history.said.items():
        if any(bytes(message.data) != bytes(said[0].data) for message in said):
            yield f"{kind} was said {len(said)} times, and not the same"
        elif len({message.attempt for message in said}) < len(said):
            yield f"{kind} was said {len(said)} times under different ids"


def _both(saga: Saga, history: _History) -> Iterator[str]:
    for step in saga.steps:
        if step.name in history.done and step.name in history.failed:
            yield f"{step.name} both succeeded and failed"


def _forward(saga: Saga, history: _History) -> Iterator[str]:
    """Say which step took effect before its turn."""
    for number, stage in enumerate(saga.stages[1:]):
        for step in stage:
            for before in saga.stages[number]:
                if step.name in history.done and not _precedes(history.done, before, history.done[step.name]):
                    yield f"{step.name} took effect before {before.name} had succeeded"


def _backward(saga: Saga, history: _History) -> Iterator[str]:
    """Say what was taken back without having happened, out of order, or while others still went forward."""
    stages = {step.name: number for number, stage in enumerate(saga.stages) for step in stage}
    for name, place in history.undone.items():
        if name not in history.done:
            yield f"{name} was taken back, but it never happened"
        elif history.done[name] > place:
            yield f"{name} was taken back before it happened"
        for later in (step for stage in saga.stages[stages[name] :] for step in stage if step.name != name):
            if history.done.get(later.name, -1) > place:
                yield f"{later.name} took effect after {name} had been taken back"
            elif _is_open(later, history, place) and stages[later.name] > stages[name]:
                yield f"{name} was taken back before {later.name}, which came after it"


def _end(saga: Saga, history: _History) -> Iterator[str]:
    """Say what the end of the saga leaves open."""
    if len(history.ends) > 1:
        yield f"it said both {saga.completed} and {saga.cancelled}"
    if history.killed or not history.ends:
        return
    end = min(history.ends.values())
    for step in saga.steps:
        if saga.completed in history.ends and not _precedes(history.done, step, end):
            yield f"it said {saga.completed}, but {step.name} had not succeeded"
        if saga.cancelled in history.ends and step.name in history.done and not _precedes(history.undone, step, end):
            yield f"it said {saga.cancelled}, but {step.name} had happened and was not taken back"
        for kind, where in (("took effect", history.done), ("was taken back", history.undone)):
            if where.get(step.name, -1) > end:
                yield f"{step.name} {kind} after the end of the saga"
    if saga.completed in history.ends and history.undone:
        yield f"it said {saga.completed}, but {', '.join(history.undone)} was taken back"
    if saga.cancelled in history.ends and not history.failed:
        yield f"it said {saga.cancelled}, but no step had failed"


def _is_open(step: Step, history: _History, place: int) -> bool:
    """Tell whether the step had happened and was not taken back before that place."""
    return step.name in history.done and not _precedes(history.undone, step, place)


def _precedes(places: dict[str, int], step: Step, place: int) -> bool:
    return step.name in places and places[step.name] < place
