"""Each participant's share of a choreography, computed from the definition and from nothing else.

The literature calls this endpoint projection (Carbone, Honda and Yoshida, 2012): from one global description, what each
participant must do on its own so that together they do what was described.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sagakit.core.definition import Saga, Step, StepKind


@dataclass(frozen=True, slots=True)
class Rule:
    """When one step begins, and when it is taken back; nothing else makes it move.

    It begins on all of `begins_on`. It is taken back when every pair in `settles` has one event heard (a step of the
    following stage stands at refused, barred or compensated), or when its own group has joined (one event of every pair
    in `siblings`) and one of the siblings failed.
    """

    step: Step
    begins_on: frozenset[str]
    siblings: tuple[tuple[str, str], ...]
    settles: tuple[tuple[str, ...], ...]
    compensatable: bool

    @property
    def hears(self) -> frozenset[str]:
        """Every event this rule depends on."""
        return self.begins_on.union(*self.siblings, *self.settles)


@dataclass(frozen=True, slots=True)
class Share:
    """One participant's share of one saga: its rules, in the order of the steps, and what it listens to."""

    saga: Saga
    participant: str
    rules: tuple[Rule, ...]
    hears: frozenset[str]
    commands: frozenset[str]
    topics: frozenset[str]
    by_step: Mapping[str, Rule]
    by_command: Mapping[str, Rule]


def share(saga: Saga, participant: str) -> Share:
    """Return what `participant` has to do in `saga`; without rules, when it has no step there."""
    rules = tuple(
        _rule(saga, number, step)
        for number, stage in enumerate(saga.stages)
        for step in stage
        if step.participant == participant
    )
    hears = frozenset({saga.started}).union(*(rule.hears for rule in rules)) if rules else frozenset()
    own = {event for rule in rules for event in rule.step.events}
    by_step = {rule.step.name: rule for rule in rules}
    by_command = {c: rule for rule in rules for c in (rule.step.command, rule.step.compensation) if c}
    return Share(
        saga, participant, rules, hears, frozenset(by_command), _topics(saga, hears - own), by_step, by_command
    )


def _rule(saga: Saga, number: int, step: Step) -> Rule:
    begins_on = frozenset(s.success for s in saga.stages[number - 1]) if number else frozenset({saga.started})
    siblings: tuple[tuple[str, str], ...] = ()
    settles: tuple[tuple[str, ...], ...] = ()
    if step.kind is StepKind.COMPENSATABLE:
        siblings = tuple((s.success, s.failure) for s in saga.stages[number] if s is not step and s.failure)
        following = saga.stages[number + 1] if number + 1 < len(saga.stages) else ()
        if all(s.can_bar for s in following):
            settles = tuple(tuple(e for e in (s.failure, s.compensated) if e) for s in following)
    return Rule(step, begins_on, siblings, settles, step.kind is StepKind.COMPENSATABLE)


def _topics(saga: Saga, events: frozenset[str]) -> frozenset[str]:
    topics = {event: saga.participant(step.participant).events_topic for step in saga.steps for event in step.events}
    topics |= dict.fromkeys((saga.started, saga.completed, saga.cancelled), saga.initiator.events_topic)
    return frozenset(topics[event] for event in events)
