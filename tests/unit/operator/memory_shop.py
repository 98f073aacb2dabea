"""The order service and its participants in memory: made of the kit's own core, so that they decide as the real ones.

It keeps no time: whoever wants a saga to abort has to say so. So it is seen whether the operator does.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import msgspec
from tests.unit.operator.memory_api import Fate, no_fault
from typing_extensions import override

from saga_operator.orders import Granted, Line, OrderService, RefusedOrderError, Told
from sagakit.adapters.memory import MemoryLog
from sagakit.core.contracts import encode_data
from sagakit.core.decide import Conflict
from sagakit.core.definition import Saga
from sagakit.core.facts import Phase, Verb
from sagakit.core.messages import Message, Mode
from sagakit.core.part import ABORT, STUCK
from sagakit.core.state import SagaState
from sagakit.ports import Clock, Draft, Record
from sagakit.runtime.wire import parse
from sagakit.testing.model_part import Effect, ModelPart
from sagakit.testing.model_tracker import ModelTracker
from sagakit.testing.script import Plays, Script
from sagakit.testing.voice import T0, Voice
from shop_contracts.identity import keyed_order_id
from shop_contracts.order_saga import ORDER_SAGA

INITIATOR = "order"


@dataclass(frozen=True, slots=True)
class PlacedVoice(Voice):
    """The voice of a saga whose deadline came with its order."""

    placed_deadline: datetime = T0

    @property
    @override
    def deadline(self) -> datetime:
        return self.placed_deadline


@dataclass
class Story:
    """One saga and everybody in it; `read` is how far each consumer is in each topic."""

    voice: PlacedVoice
    script: Script
    effects: list[Effect] = field(default_factory=list)
    published: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    read: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    tracker: ModelTracker = field(init=False)
    parts: dict[str, ModelPart] = field(init=False)
    all_are_back: bool = False

    def __post_init__(self) -> None:
        self.tracker = ModelTracker(self.voice)
        self.parts = {p.name: ModelPart(p.name, self.voice, self.script, self.effects) for p in self.saga.participants}

    @property
    def saga(self) -> Saga:
        return self.voice.saga

    @property
    def state(self) -> SagaState | None:
        """What the order service has of it; None when it has not begun there."""
        return self.tracker.state if self.tracker.facts else None

    def ready(self, now: datetime) -> list[tuple[str, str]]:
        """Return who has something to read, and where; who is away does not read what would begin her step."""
        consumers = {name: part.topics for name, part in self.parts.items()}
        consumers |= {INITIATOR: self.tracker.topics} if self.tracker.facts else {}  # it parks what comes before
        queues = [(who, topic) for who, topics in consumers.items() for topic in sorted(topics)]
        unread = [queue for queue in queues if self.read[queue] < len(self.published[queue[1]])]
        return [queue for queue in unread if not self._is_away(*queue, now)]

    def _is_away(self, who: str, topic: str, now: datetime) -> bool:
        if self.all_are_back or who == INITIATOR or Plays.IS_AWAY not in self.script.steps.values():
            return False
        begun = self.parts[who].begins(self.published[topic][self.read[who, topic]], now)
        return any(self.script.plays(step) is Plays.IS_AWAY for step in begun)

    def doubtful(self, *plays: Plays) -> list[tuple[str, str]]:
        """Return the steps in doubt that play so, each with its participant."""
        return [
            (name, step) for name, part in self.parts.items() for step in part.in_doubt
            if self.script.plays(step) in plays
        ]  # fmt: skip


class Shop:
    """All sagas, what is said of them, and who listens."""

    def __init__(self, clock: Clock, chance: Random, script: Script | None = None) -> None:
        self.clock = clock
        self.chance = chance
        self.script = script or Script()
        self.stories: dict[str, Story] = {}
        self.orders: dict[str, Mapping[str, Any]] = {}
        self.refusal: RefusedOrderError | None = None
        self.said: list[Message] = []
        self.listeners: list[Callable[[str, Message], None]] = []
        self.begun: Callable[[str], None] = lambda _: None

    def story(self, saga_id: str, mode: Mode = Mode.CHOREOGRAPHY, deadline: datetime | None = None) -> Story:
        """Return the story of the saga, which begins when it is first spoken of."""
        if saga_id not in self.stories:
            voice = PlacedVoice(ORDER_SAGA, saga_id, mode, deadline or self.clock.now())
            self.stories[saga_id] = Story(voice, self.script)
        return self.stories[saga_id]

    def begin(self, saga_id: str, mode: Mode, deadline: datetime) -> None:
        """Begin a saga, once."""
        story = self.story(saga_id, mode, deadline)
        if story.state is None:
            self.begun(saga_id)
            self.publish(story, story.tracker.start(self.clock.now()))

    def publish(self, story: Story, messages: Sequence[Message]) -> None:
        for message in map(whole, messages):
            topic = story.voice.topic(message)
            story.published[topic].append(message)
            self.said.append(message)
            story.all_are_back |= message.type == ABORT
            for listener in list(self.listeners):
                listener(topic, message)

    def deliver(self) -> bool:
        """Let somebody take the next message of a topic; tell whether there was one."""
        ready = [(story, *queue) for story in self.stories.values() for queue in story.ready(self.clock.now())]
        if not ready:
            return False
        story, who, topic = self.chance.choice(ready)
        message = story.published[topic][story.read[who, topic]]
        story.read[who, topic] += 1
        if who == INITIATOR:
            self.publish(story, story.tracker.take(message))
        else:
            self.publish(story, story.parts[who].take(message, self.clock.now()))
        return True

    def find_out(self, *plays: Plays) -> bool:
        """Let a step that is in doubt find out what came of it; tell whether there was one."""
        doubtful = [(story, *found) for story in self.stories.values() for found in story.doubtful(*plays)]
        if not doubtful:
            return False
        story, who, step = self.chance.choice(doubtful)
        self.publish(story, story.parts[who].answer(step, self.clock.now()))
        return True

    def come_back(self) -> bool:
        """Let whoever is away come back; tell whether anybody was."""
        away = [story for story in self.stories.values() if not story.all_are_back]
        for story in away:
            story.all_are_back = True
        return bool(away)

    def person(self, saga_id: str, verb: Verb) -> None:
        """Let a person who does not know of resources wish something."""
        story = self.stories[saga_id]
        if story.state is not None:
            granted = story.tracker.wish(verb, self.clock.now())
            self.publish(story, () if isinstance(granted, Conflict) else granted)

    def stuck(self) -> list[str]:
        """Return the sagas that need a person."""
        return [i for i, story in self.stories.items() if story.tracker.state.phase is Phase.NEEDS_INTERVENTION]

    def aborts(self, saga_id: str) -> list[Message]:
        """Return every request to abort this saga that was published."""
        return [message for message in self.said if message.type == ABORT and message.saga_id == saga_id]


class Desk(OrderService):
    """The order service, as the operator asks it."""

    def __init__(self, shop: Shop, fate: Fate = no_fault) -> None:
        self._shop, self.fate = shop, fate

    @override
    async def place(self, order: Mapping[str, Any], key: str) -> str:
        with_fate = self.fate("place")
        if with_fate is not None and not with_fate.happened:
            raise with_fate.error
        if self._shop.refusal is not None:
            raise self._shop.refusal
        saga_id = keyed_order_id(str(order["userId"]), key)
        if self._shop.orders.setdefault(key, order) != order:
            raise RefusedOrderError("was used before, for another order", "Idempotency-Key", conflict=True)
        self._shop.begin(saga_id, Mode(order["mode"]), datetime.fromisoformat(order["deadline"]))
        if with_fate is not None:
            raise with_fate.error
        return saga_id

    @override
    async def find(self, saga_id: str) -> Told | None:
        fault = self.fate("find")
        if fault is not None:
            raise fault.error
        story = self._shop.stories.get(saga_id)
        state = story.state if story is not None else None
        return Told(state, self._shop.clock.now()) if state is not None else None

    @override
    async def wish(self, saga_id: str, verb: Verb, reason: str, actor: str) -> Granted | None:
        del reason, actor
        fault = self.fate("wish")
        if fault is not None and not fault.happened:
            raise fault.error
        story = self._shop.stories.get(saga_id)
        if story is None or story.state is None:
            return None
        granted = story.tracker.wish(verb, self._shop.clock.now())
        if not isinstance(granted, Conflict):
            self._shop.publish(story, granted)
        if fault is not None:
            raise fault.error
        if isinstance(granted, Conflict):
            return Granted(granted=False, sentence=granted.sentence)
        return Granted(granted=True, sentence="it is done")

    @override
    async def latest(self, phase: Phase | None, limit: int) -> list[Line]:
        fault = self.fate("latest")
        if fault is not None:
            raise fault.error
        states = [story.state for story in self._shop.stories.values() if story.state is not None]
        lines = [Line(saga_id=s.saga_id, phase=s.phase, suspended=s.suspended) for s in states]
        return [line for line in lines if phase in (None, line.phase)][:limit]


class ShopLog(MemoryLog):
    """The log, on which the participants of the shop hear what the operator says."""

    def __init__(self, shop: Shop, fate: Fate = no_fault) -> None:
        super().__init__(shop.clock)
        self._shop, self.fate = shop, fate

    @override
    async def publish(self, drafts: Sequence[Draft]) -> None:
        fault = self.fate("publish")
        if fault is not None and not fault.happened:
            raise fault.error
        await super().publish(drafts)
        for each in drafts:
            message = parse(Record(each.topic, 0, 0, each.key, each.headers, each.value, self._shop.clock.now()))
            story = self._shop.story(message.saga_id, message.mode, message.deadline)
            self._shop.publish(story, [message])
        if fault is not None:
            raise fault.error


def whole(message: Message) -> Message:
    """Return the message as a real participant says it: whoever gave up tells how often it tried, and why."""
    if message.type != STUCK:
        return message
    told = {**msgspec.json.decode(message.data), "attempts": 3, "error": "it does not work"}
    return msgspec.structs.replace(message, data=encode_data(told))


Inbox = dict[str, deque[Message]]
