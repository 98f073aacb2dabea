"""What is said in one saga, as messages with the ids, causes, mode and deadline that the runtime gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from sagakit.core.contracts import encode_data
from sagakit.core.definition import Saga, Step
from sagakit.core.facts import Verb
from sagakit.core.messages import Message, Mode, message_id
from sagakit.core.part import CONTROLS, REPAIRS, STUCK

SAGAS_EVENTS = "sagas.events"
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""When every story begins. No story reads a clock."""
REPAIR_COMMANDS = {verb: command for command, verb in REPAIRS.items()}


@dataclass(frozen=True, slots=True)
class Voice:
    """One saga's way of speaking: give it a type, and it says the message."""

    saga: Saga
    saga_id: str = "saga-1"
    mode: Mode = Mode.CHOREOGRAPHY

    @property
    def deadline(self) -> datetime:
        """The saga's deadline, if it begins at `T0`."""
        return T0 + timedelta(seconds=self.saga.timeout_seconds)

    def say(
        self,
        kind: str,
        *,
        step: str | None = None,
        attempt: int = 0,
        cause: str = "",
        at: datetime = T0,
        data: Mapping[str, object] | msgspec.Raw | None = None,
    ) -> Message:
        """Return the message of that type; the step it concerns is found in the definition, where there is one."""
        found = self.step_of(kind)
        about = step if step is not None else (found.name if found else "")
        return Message(
            id=message_id(self.saga_id, about, kind, attempt),
            type=kind,
            source=self._speaker(kind, found),
            time=at,
            saga_id=self.saga_id,
            correlation_id=self.saga_id,
            causation_id=cause,
            mode=self.mode,
            definition=self.saga.ref,
            attempt=attempt,
            deadline=self.deadline,
            data=data if isinstance(data, msgspec.Raw) else encode_data({"sagaId": self.saga_id, **(data or {})}),
        )

    def repair(self, verb: Verb, step: str, attempt: int = 0) -> Message:
        """Return the command with which a person decides in the participant's place."""
        told = {"step": step, "reason": "decided by a person", "requestedBy": "operator-1"}
        return self.say(REPAIR_COMMANDS[verb], step=step, attempt=attempt, data=told)

    def step_of(self, kind: str) -> Step | None:
        """Return the step that has this command, compensation or event; None for what concerns the whole saga."""
        return next((s for s in self.saga.steps if kind in (s.command, s.compensation, *s.events)), None)

    def topic(self, message: Message) -> str:
        """Return where the message is published."""
        if message.type in CONTROLS:
            return SAGAS_EVENTS
        step = self.step_of(message.type)
        if message.type in REPAIRS or (step is not None and message.type in (step.command, step.compensation)):
            about = step or self.saga.step(_said_step(message))
            return self.saga.participant(about.participant).commands_topic
        if message.type == STUCK:
            return self.saga.participant(self.saga.step(_said_step(message)).participant).events_topic
        return self.saga.participant(step.participant if step else self.saga.initiator.name).events_topic

    def _speaker(self, kind: str, step: Step | None) -> str:
        return step.participant if step is not None and kind in step.events else self.saga.initiator.name


class _About(msgspec.Struct, frozen=True):
    step: str


def _said_step(message: Message) -> str:
    return msgspec.json.decode(message.data, type=_About).step
