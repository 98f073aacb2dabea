"""A tiny world without adapters, loops or time of its own, in which one saga runs with all its participants.

Messages of one topic come in order, topics in any order, chosen by a seed; messages are repeated, processes forget
everything but what they stored, and between any two messages a person or a deadline may interrupt. When nothing moves
any more, the world moves: the deadline passes, the absent come back, the doubtful find out, a person repairs.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Self

from sagakit.core.decide import Conflict, cancel_refused
from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, Phase, StepStatus, Verb
from sagakit.core.history import violations
from sagakit.core.messages import Message, Mode
from sagakit.core.part import ABORT
from sagakit.core.state import SagaState
from sagakit.testing.model_part import Effect, ModelPart
from sagakit.testing.model_tracker import ModelTracker
from sagakit.testing.script import Plays, Script
from sagakit.testing.voice import T0, Voice

Interruption = Verb | AbortCode
"""What may happen between two messages: a person's wish, the clock turned to the deadline (`DEADLINE_PASSED`), or a
request to abort from somebody else than the initiator, as from an operator (any other code)."""
MOVES_MAX = 5000
REPEATS_MAX = 20
INITIATOR = "the initiator"


class ModelWorld:
    """One saga and everybody in it. The same arguments give the same story."""

    def __init__(
        self,
        saga: Saga,
        mode: Mode,
        script: Script | None = None,
        *,
        seed: int = 0,
        repeats: float = 0.0,
        echo: bool = False,
    ) -> None:
        """Set the stage; `repeats` is the chance, per move, that an earlier message is published once more.

        With `echo`, every message is published twice.
        """
        self.voice = Voice(saga, mode=mode)
        self.script = script or Script()
        self.effects: list[Effect] = []
        self.tracker = ModelTracker(self.voice)
        self.parts = {p.name: ModelPart(p.name, self.voice, self.script, self.effects) for p in saga.participants}
        self.published: dict[str, list[Message]] = defaultdict(list)
        self.history: dict[str, Message] = {}
        self.conflicts: list[str] = []
        self.now = T0
        self.moves = 0
        self._chance = random.Random(seed)
        self._repeats = repeats
        self._repeats_left = REPEATS_MAX
        self._echo = echo
        consumers = {INITIATOR: self.tracker.topics, **{name: part.topics for name, part in self.parts.items()}}
        self._subscriptions = [(who, topic) for who, topics in consumers.items() for topic in sorted(topics)]
        self._read: dict[tuple[str, str], int] = defaultdict(int)
        self._all_are_back = False

    @property
    def state(self) -> SagaState:
        """What the initiator knows of the saga."""
        return self.tracker.state

    @property
    def messages(self) -> list[Message]:
        """Every message, once, in the order of first publication."""
        return list(self.history.values())

    @property
    def done(self) -> list[str]:
        """The commands and compensations that took effect, in order."""
        return [effect.command for effect in self.effects]

    def play(self, interruptions: Mapping[int, Interruption] | None = None) -> Self:
        """Begin, and go on until nothing can happen any more; interrupt before the given moves, or when it is quiet."""
        pending = sorted((interruptions or {}).items(), reverse=True)
        self.publish(self.tracker.start(self.now))
        while self.moves < MOVES_MAX:
            while pending and pending[-1][0] <= self.moves:
                self.interrupt(pending.pop()[1])
            if self.deliver() or self._finds_out(Plays.SUCCEEDS_SLOWLY):
                continue
            if pending:
                self.interrupt(pending.pop()[1])
            elif not self._time_passes():
                return self
        text = f"the saga did not come to rest within {MOVES_MAX} moves: {self.script}"
        raise AssertionError(text)

    def publish(self, messages: Sequence[Message]) -> None:
        """Append messages to their topics."""
        for message in messages:
            self.published[self.voice.topic(message)] += [message] * (2 if self._echo else 1)
            self.history.setdefault(message.id, message)

    def deliver(self) -> bool:
        """Let one consumer, chosen by the seed, take the next message of one of its topics."""
        self._maybe_repeat()
        ready = [(who, topic) for who, topic in self._queues() if not self._is_away(who, topic)]
        if not ready:
            return False
        who, topic = self._chance.choice(ready)
        message = self.published[topic][self._read[who, topic]]
        self._read[who, topic] += 1
        self._move()
        said = self.tracker.take(message) if who == INITIATOR else self.parts[who].take(message, self.now)
        self.publish(said)
        return True

    def interrupt(self, interruption: Interruption, step: str | None = None) -> Conflict | None:
        """Let a person wish something, or the deadline pass; return why it cannot be, if it cannot."""
        if interruption is AbortCode.DEADLINE_PASSED:
            self.now = max(self.now, self.tracker.due() or self.now)
            self.publish(self.tracker.look_at_the_clock(self.now))
            return None
        if isinstance(interruption, AbortCode):
            self.publish([self.voice.say(ABORT, at=self.now, data={"code": interruption, "reason": "an operator"})])
            return None
        result = self.tracker.wish(interruption, self.now, step)
        if isinstance(result, Conflict):
            self.conflicts.append(result.sentence)
            return result
        self.publish(result)
        return None

    def repeat_everything(self) -> Self:
        """Let every consumer read every topic again from its beginning."""
        self._repeats_left = 0
        self._read.clear()
        while self.deliver():
            pass
        return self

    def wrongs(self) -> list[str]:
        """Return what is wrong with how the saga went, one sentence each."""
        found = violations(self.voice.saga, self.messages) + self._not_whole_or_clean()
        if not self.state.phase.terminal:
            found.append(f"it did not end, but stands at {self.state.phase}")
        if self.tracker.refolded() != self.state:
            found.append("its facts, stored and folded again, give another state")
        return found

    def _not_whole_or_clean(self) -> list[str]:
        """Say what took effect twice, and what an ended saga left half done."""
        done = [effect.step for effect in self.effects if not effect.undo]
        undone = [effect.step for effect in self.effects if effect.undo]
        found = [f"{name} took effect {done.count(name)} times" for name in set(done) if done.count(name) > 1]
        found += [f"{name} was undone {undone.count(name)} times" for name in set(undone) if undone.count(name) > 1]
        if self.state.phase is Phase.COMPLETED and (undone or len(done) != len(self.voice.saga.steps)):
            found.append(f"it is Completed, but {done} took effect and {undone} was undone")
        if self.state.phase is Phase.COMPENSATED and sorted(done) != sorted(undone):
            found.append(f"it is Compensated, but {done} took effect and {undone} was undone")
        return found

    def _queues(self) -> list[tuple[str, str]]:
        read, published = self._read, self.published
        return [queue for queue in self._subscriptions if read[queue] < len(published[queue[1]])]

    def _is_away(self, who: str, topic: str) -> bool:
        """Tell whether the next message would begin a step whose participant does not hear it yet."""
        nobody = Plays.IS_AWAY not in self.script.steps.values()
        if who == INITIATOR or nobody or self._all_are_back or self.state.abort is not None:
            return False
        message = self.published[topic][self._read[who, topic]]
        begins = self.parts[who].begins(message, self.now)
        return any(self.script.plays(step) is Plays.IS_AWAY for step in begins)

    def _time_passes(self) -> bool:
        """Move what does not move by itself; tell whether anything did."""
        due = self.tracker.due()
        if due is not None and not self._stuck_steps():
            self.interrupt(AbortCode.DEADLINE_PASSED)
            return True
        if not self._all_are_back:
            self._all_are_back = True
            return True
        return self._finds_out(*Plays) or self._a_person_comes()

    def _finds_out(self, *plays: Plays) -> bool:
        """Let a step that is in doubt, and plays so, find out what came of it; tell whether there was one."""
        parts = self.parts.values()
        doubtful = [(part, step) for part in parts for step in part.in_doubt if self.script.plays(step) in plays]
        if doubtful:
            part, step = self._chance.choice(doubtful)
            self._move()
            self.publish(part.answer(step, self.now))
        return bool(doubtful)

    def _a_person_comes(self) -> bool:
        """Let somebody repair what is stuck and resume what is suspended, unless it has to go back without that."""
        if self.state.phase.terminal:
            return False
        stuck = self._stuck_steps()
        if stuck:
            return self.interrupt(self.script.decision, self._chance.choice(stuck)) is None
        goes_back = self.state.abort is not None and not cancel_refused(self.voice.saga, self.state)
        return self.state.suspended and not goes_back and self.interrupt(Verb.RESUME) is None

    def _stuck_steps(self) -> list[str]:
        return [name for name, step in self.state.steps.items() if step.stuck is not None]

    def _maybe_repeat(self) -> None:
        if self._repeats_left and self._chance.random() < self._repeats:
            self._repeats_left -= 1
            topic = self._chance.choice(sorted(topic for topic, said in self.published.items() if said))
            self.published[topic].append(self._chance.choice(self.published[topic]))

    def _move(self) -> None:
        self.moves += 1
        self.now += timedelta(milliseconds=1)


def statuses(world: ModelWorld) -> dict[str, StepStatus]:
    """Return where every step stands in the end, as the initiator knows it."""
    return {step.name: world.state.step(step.name).status for step in world.voice.saga.steps}


__all__ = ["Interruption", "ModelWorld", "statuses"]
