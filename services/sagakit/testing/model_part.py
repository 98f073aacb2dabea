"""A participant made of core functions only: what its part owes is carried out as the script says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from sagakit.core.contracts import encode_data
from sagakit.core.facts import StepStatus
from sagakit.core.messages import EMPTY, Message
from sagakit.core.part import (
    CONTROLS,
    REPAIRS,
    Act,
    Declined,
    GaveUp,
    Outcome,
    Part,
    Resolve,
    Say,
    Succeeded,
    Todo,
    Undo,
    answered,
    barred_data,
    concerns,
    hear,
    lacks_input,
    new_part,
)
from sagakit.core.reactions import Share, share
from sagakit.testing.script import Plays, Script
from sagakit.testing.voice import SAGAS_EVENTS, Voice


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a participant did to the world: a command or a compensation that took effect."""

    step: str
    command: str
    undo: bool


@dataclass(slots=True)
class ModelPart:
    """One participant of one saga. What it knows goes through storage after every message, as in the real one."""

    name: str
    voice: Voice
    script: Script
    effects: list[Effect]
    part: Part | None = None
    waiting: list[Message] = field(default_factory=list)
    in_doubt: list[str] = field(default_factory=list)
    gave_up: set[tuple[str, bool]] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    known: Share = field(init=False)

    def __post_init__(self) -> None:
        """Take its share of the definition."""
        self.known = share(self.voice.saga, self.name)

    @property
    def topics(self) -> frozenset[str]:
        """What it listens to."""
        return self.known.topics | {f"{self.name}.commands", SAGAS_EVENTS}

    def begins(self, message: Message, now: datetime) -> set[str]:
        """Return the steps that this message would begin, directly or not, without taking it."""
        copy = ModelPart(self.name, self.voice, self.script, [*self.effects], self.part)
        copy.waiting, copy.gave_up = [*self.waiting], {*self.gave_up}
        copy.take(message, now)
        return copy.begun

    def take(self, message: Message, now: datetime) -> list[Message]:
        """Take a message, carry out what is owed, and return what is said."""
        if not self._heeds(message):
            return []
        if lacks_input(self.known, self.part, message):
            self.waiting.append(message)
            return []
        part, todo = hear(self.known, self.part or new_part(message), message, now)
        said = self._carry_out(part, todo, now)
        if message.type == self.known.saga.started:
            waiting, self.waiting = self.waiting, []
            for early in waiting:
                said += self.take(early, now)
        return said

    def answer(self, step: str, now: datetime) -> list[Message]:
        """Let a step that is in doubt find out what came of it."""
        assert self.part is not None, "who is in doubt has begun"
        self.in_doubt.remove(step)
        return self._carry_out(*self._concluded(self.part, step, self._outcome(step), now), now)

    def _heeds(self, message: Message) -> bool:
        return message.type in CONTROLS or message.type in REPAIRS or concerns(self.known, message)

    def _carry_out(self, part: Part, todo: Sequence[Todo], now: datetime) -> list[Message]:
        said: list[Message] = []
        queue = list(todo)
        for item in queue:
            if isinstance(item, Say):
                part, message = self._say(part, item, now)
                said.append(message)
                continue
            outcome = self._play(part, item)
            if outcome is not None:
                part, more = self._concluded(part, item.step, outcome, now)
                queue += more
        self.part = msgspec.json.decode(msgspec.json.encode(part), type=Part)
        return said

    def _play(self, part: Part, item: Act | Undo | Resolve) -> Outcome | None:
        """Return what comes of the item now, or None while it is in doubt."""
        if isinstance(item, Resolve):
            self._took_effect(item.step, undo=item.compensating)
            return Succeeded(encode_data({"sagaId": part.saga_id, "resolvedBy": item.by_hand}))
        if isinstance(item, Undo):
            return self._play_undo(item)
        self.begun.add(item.step)
        plays = self.script.plays(item.step)
        if plays is Plays.GIVES_UP and self._for_the_first_time(item.step, undo=False):
            return GaveUp(encode_data({"step": item.step, "compensating": False}))
        if plays.in_doubt:
            self.in_doubt.append(item.step)
            return None
        return self._outcome(item.step)

    def _play_undo(self, item: Undo) -> Outcome:
        done = any(effect.step == item.step and not effect.undo for effect in self.effects)
        assert item.happened == done, f"{item.step}: its undo believes happened={item.happened}, which is not so"
        if item.step in self.script.stuck_undos and self._for_the_first_time(item.step, undo=True):
            return GaveUp(encode_data({"step": item.step, "compensating": True}))
        if done:
            self._took_effect(item.step, undo=True)
        return Succeeded(EMPTY)

    def _outcome(self, step: str) -> Outcome:
        if self.script.plays(step).refuses:
            return Declined(encode_data({"reason": f"{step} refused"}))
        self._took_effect(step, undo=False)
        return Succeeded(EMPTY)

    def _concluded(self, part: Part, step: str, outcome: Outcome, now: datetime) -> tuple[Part, list[Todo]]:
        return answered(self.known, part, step, part.step(step).cause, outcome, now)

    def _for_the_first_time(self, step: str, *, undo: bool) -> bool:
        before = (step, undo) in self.gave_up
        self.gave_up.add((step, undo))
        return not before

    def _took_effect(self, step: str, *, undo: bool) -> None:
        known = self.voice.saga.step(step)
        command = known.compensation if undo else known.command
        assert command is not None, f"{step} has no compensation"
        self.effects.append(Effect(step, command, undo))

    def _say(self, part: Part, say: Say, now: datetime) -> tuple[Part, Message]:
        data = say.data
        if data is None:
            data = encode_data({"reason": say.code, "barred": True})
            part = barred_data(part, say, data)
        message = self.voice.say(say.event, step=say.step, attempt=say.attempt, cause=say.cause, at=now, data=data)
        assert message.id == say.id, f"{say.event} has one id, whoever makes it"
        return part, message

    @property
    def open_steps(self) -> list[str]:
        """The steps that have begun, or are being taken back, and have not come to an end."""
        steps = self.part.steps if self.part else {}
        return [name for name, step in steps.items() if step.status in (StepStatus.BEGUN, StepStatus.UNDOING)]
