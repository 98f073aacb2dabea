"""A participant: it hears messages, looks up what its part demands, carries that out, and says what came of it."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from sagakit.core.contracts import Contracts, decode_object, encode_data
from sagakit.core.control_contracts import StuckData
from sagakit.core.definition import RetryPolicy, Saga
from sagakit.core.facts import ByHand, StepStatus
from sagakit.core.messages import Message
from sagakit.core.part import (
    CONTROLS,
    REPAIRS,
    Act,
    GaveUp,
    Part,
    Resolve,
    Say,
    Succeeded,
    Todo,
    Undo,
    again,
    answered,
    barred_data,
    concerns,
    hear,
    lacks_input,
    new_part,
    put_off,
)
from sagakit.core.reactions import Share, share
from sagakit.core.traces import took
from sagakit.ports import Clock, Draft, Query, Reader, Store, Table, Transaction
from sagakit.runtime.actions import AnyAction, Ask, Barred, Done, LocalAction, OutsideAction, Reply, Unknown, outcome_of
from sagakit.runtime.catalogue import STEP_WAIT
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.metrics import Distributions
from sagakit.runtime.parking import PARKED, RELEASED_MAX, ParkedMessage, parked, release, release_started, said_on
from sagakit.runtime.telling import about, fields
from sagakit.runtime.topics import SAGAS_EVENTS, commands_topic
from sagakit.runtime.wire import draft

CALL_SECONDS_MAX = 10
"""How long an outside call may be under way before somebody else may ask again (with the same idempotency key)."""
ATTEMPTS_PER_STEP = 1000
UNASKED_SECONDS = 5
"""How soon it is tried again what was not tried now."""
PARKED_LOOK_SECONDS = 5
"""How often it is looked for messages that an older process parked, because it does not know their definition."""

Attempt = tuple[str, str, str, str]
"""The definition, the step, the command and the result of an attempt."""
SUCCEEDED, REFUSED, UNKNOWN, EXHAUSTED = "succeeded", "refused", "unknown", "exhausted"
LINES_MAX = 20
"""How many calls without an outcome have a line of their own in the log, of those that were made together."""
log_lines = logging.getLogger(__name__)

PARTS: Table[Part] = Table("parts", Part, "saga_id", (("due",),))


class Participant:
    """One service's share of all sagas it takes part in, as a handler of the consumer loop and a loop of its own.

    `step` carries out what is due again: outside calls after their intent is durable, and whatever failed before.
    """

    def __init__(
        self,
        name: str,
        *,
        sagas: Iterable[Saga],
        actions: Iterable[AnyAction],
        barred: Barred,
        contracts: Contracts,
        store: Store,
        clock: Clock,
    ) -> None:
        """Take the definitions it acts in and one action per command; a command without one is refused here."""
        self.name = name
        self.shares: dict[str, Share] = {}
        self.actions = {action.command: action for action in actions}
        self.decoders = {command: msgspec.json.Decoder(action.asks) for command, action in self.actions.items()}
        self.barred = barred
        self.contracts = contracts
        self._store = store
        self.clock = clock
        self._fresh: list[tuple[Ask[msgspec.Struct], OutsideAction[msgspec.Struct]]] = []
        self._intended: list[tuple[Ask[msgspec.Struct], OutsideAction[msgspec.Struct]]] = []
        self._wanted: set[str] = {*CONTROLS, *REPAIRS}
        self._look_at: datetime | None = None
        self.duplicates: Counter[str] = Counter()
        """How many messages were no news, by their topic."""
        self.attempts: Counter[Attempt] = Counter()
        """How many attempts are on record."""
        self.waits = Distributions(STEP_WAIT)
        """How long steps waited until they were taken up."""
        self._waited: list[tuple[str, str, float]] = []
        self._attempted: Counter[Attempt] = Counter()
        self._begun_until: datetime | None = None
        self.topics = heard_topics(name)
        self.beginnings = frozenset({SAGAS_EVENTS})
        """Where sagas begin and are told to stop, to be read before the rest: who was away bars, and does not act."""
        for saga in sagas:
            self.learn(saga)

    def learn(self, saga: Saga) -> None:
        """Take part in one more saga.

        Raises:
            ValueError: when a command of it has no action here.
        """
        learned = share(saga, self.name)
        missing = sorted(learned.commands - self.actions.keys())
        if missing:
            text = f"{self.name} takes part in {saga.ref} but has no action for {', '.join(missing)}"
            raise ValueError(text)
        self.shares[saga.ref] = learned
        for step in learned.by_step:
            self.waits.at(saga.ref, step)
        self._look_at = None
        self._wanted |= learned.hears | learned.commands
        self.attempts.update(dict.fromkeys(_possible(saga, self.name), 0))
        self.topics |= learned.topics
        self.beginnings |= {saga.initiator.events_topic} & learned.topics

    def wants(self, message_type: str) -> bool:
        """Tell whether the message can concern any of our steps."""
        return message_type in self._wanted

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Hear the messages, and carry out what they demand and the transaction allows."""
        turn = _Turn(self, transaction, now)
        await turn.hear(messages)
        await turn.carry_out()
        await turn.save()
        self._intended, self._waited, self._attempted = turn.intended, turn.waited, turn.attempted

    def committed(self) -> None:
        """Take up the outside calls whose intent is durable now, and count what was done and how long it had waited."""
        self._fresh += self._intended
        self.attempts.update(self._attempted)
        for definition, step, seconds in self._waited:
            self.waits.at(definition, step).observe(seconds, 0.0)
        self._forget()

    def failed(self) -> None:
        """Forget what was not made durable."""
        self._forget()

    def _forget(self) -> None:
        self._intended, self._waited, self._attempted = [], [], Counter()

    async def step(self) -> bool:
        """Carry out what is due: the outside calls just intended, then what is to be tried again."""
        now = self.clock.now()
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + timedelta(seconds=PARKED_LOOK_SECONDS)
            if await self._hear_parked():
                self._look_at = None
        batch, self._fresh = self._fresh, []
        if not batch:
            batch = await self._due()
            if not batch:
                return False
        by_action: dict[str, dict[tuple[str, str], Ask[msgspec.Struct]]] = defaultdict(dict)
        for ask, action in batch:
            by_action[action.command][ask.saga_id, ask.step] = ask  # asked twice at once, it is still one call
        for command, asks in by_action.items():
            await self._try(command, list(asks.values()))
        return True

    async def _hear_parked(self) -> bool:
        """Hear what was parked by whoever did not know its definition: we before, or an older process beside us.

        Tells whether there may be more.
        """
        refs = tuple(self.shares)  # for one more may be learned meanwhile

        async def look(reader: Reader) -> list[str]:
            return [ref for ref in refs if await reader.count(PARKED, {"waits_for": ref})]

        async def work(transaction: Transaction) -> tuple[_Turn, int]:
            turn = _Turn(self, transaction, self.clock.now())
            messages = await release(transaction, "waits_for", found)
            await turn.hear(messages)
            await turn.carry_out()
            await turn.save()
            return turn, len(messages)

        found = await self._store.view(look)
        if not found:
            return False
        failpoint("due.before_commit")
        turn, heard = await self._store.transact(work)
        failpoint("due.after_commit")
        self._fresh += turn.intended
        self.attempts.update(turn.attempted)
        return heard >= RELEASED_MAX

    async def _due(self) -> list[tuple[Ask[msgspec.Struct], OutsideAction[msgspec.Struct]]]:
        """Return the outside calls that are due again; what is local and due is carried out on the way.

        A process that has just begun takes up what was under way when the one before it ended, without waiting for the
        time that a call may take: whoever is asked knows the call by its key.
        """
        now = self.clock.now()
        if self._begun_until is None:
            self._begun_until = now + timedelta(seconds=CALL_SECONDS_MAX)
        until = max(now, self._begun_until)
        due = await self._store.view(
            lambda reader: reader.select(PARTS, Query(by="due", below=until, limit=ATTEMPTS_PER_STEP))
        )
        if len(due) < ATTEMPTS_PER_STEP:
            self._begun_until = now
        if not due:
            return []

        async def work(transaction: Transaction) -> _Turn:
            turn = _Turn(self, transaction, now)
            await turn.take_up([part.saga_id for part in due], until)
            await turn.carry_out()
            await turn.save()
            return turn

        failpoint("due.before_commit")
        turn = await self._store.transact(work)
        failpoint("due.after_commit")
        self.attempts.update(turn.attempted)
        return turn.intended

    async def _try(self, command: str, asks: list[Ask[msgspec.Struct]]) -> None:
        action = self.actions[command]
        assert isinstance(action, OutsideAction), f"{command} is not carried out outside"
        failpoint("outside.before_call")
        with about(asks[0].ids if len(asks) == 1 else None):
            replies = await action.call(asks)
        assert len(replies) == len(asks), f"{command}: {len(asks)} asks got {len(replies)} replies"
        failpoint("outside.after_call")
        _tell(command, asks, replies)
        now = self.clock.now()

        async def work(transaction: Transaction) -> _Turn:
            turn = _Turn(self, transaction, now)
            await turn.settle(action, asks, replies)
            await turn.carry_out()
            await turn.save()
            return turn

        turn = await self._store.transact(work)
        failpoint("outside.after_commit")
        self._fresh += turn.intended
        self.attempts.update(turn.attempted)


def heard_topics(name: str, *sagas: Saga) -> frozenset[str]:
    """Return the topics that a participant in these sagas listens to."""
    return frozenset({commands_topic(name), SAGAS_EVENTS}).union(*(share(saga, name).topics for saga in sagas))


def _possible(saga: Saga, name: str) -> Iterator[Attempt]:
    """Return what attempts of a participant there can be, so that each is counted from zero on."""
    for step in (step for step in saga.steps if step.participant == name):
        for result in (SUCCEEDED, REFUSED, UNKNOWN, EXHAUSTED) if step.failure else (SUCCEEDED, UNKNOWN, EXHAUSTED):
            yield saga.ref, step.name, step.command, result
        if step.compensation is not None:
            for result in (SUCCEEDED, UNKNOWN, EXHAUSTED):
                yield saga.ref, step.name, step.compensation, result


def _tell(command: str, asks: Sequence[Ask[msgspec.Struct]], replies: Sequence[Reply]) -> None:
    """Leave a line about each call of which no outcome is known."""
    doubtful = [(a, r) for a, r in zip(asks, replies, strict=True) if isinstance(r, Unknown) and r.asked]
    for ask, reply in doubtful[:LINES_MAX]:
        extra = fields(ask.ids, step=ask.step, attempt=ask.tries + 1)
        log_lines.info("%s has no outcome yet, attempt %d: %s", command, ask.tries + 1, reply.error, extra=extra)
    if len(doubtful) > LINES_MAX:
        log_lines.info("%s has no outcome yet for %d more", command, len(doubtful) - LINES_MAX)


class _Turn:
    """One transaction's worth of a participant's work: parts in, parts and messages out."""

    def __init__(self, participant: Participant, transaction: Transaction, now: datetime) -> None:
        self._its = participant
        self._tx = transaction
        self._now = now
        self._parts: dict[str, Part] = {}
        self._changed: dict[str, Part] = {}
        self._todo: list[tuple[str, Todo]] = []
        self._out: list[Draft] = []
        self._since: dict[str, datetime] = {}
        self.waited: list[tuple[str, str, float]] = []
        self.attempted: Counter[Attempt] = Counter()
        self.intended: list[tuple[Ask[msgspec.Struct], OutsideAction[msgspec.Struct]]] = []

    async def hear(self, messages: Sequence[Message]) -> None:
        """Take in the messages; park those whose saga or definition is not known here yet."""
        self._parts = await self._tx.load(PARTS, {message.saga_id for message in messages})
        to_park: dict[str, ParkedMessage] = {}
        while messages:
            begun = self._hear_each(list(messages), to_park)
            messages = await release_started(self._tx, begun) if begun else []
        if to_park:
            await self._tx.save(PARKED, to_park.values())

    def _hear_each(self, queue: list[Message], to_park: dict[str, ParkedMessage]) -> list[str]:
        """Hear what can be heard, put the rest into `to_park`, and return the sagas that begin with these messages."""
        begun: list[str] = []
        for message in queue:
            known = self._its.shares.get(message.definition)
            if known is None:
                to_park[message.id] = parked(message, "", message.definition, self._now)
                continue
            if not concerns(known, message):
                continue
            before = self._parts.get(message.saga_id)
            if lacks_input(known, before, message):
                to_park[message.id] = parked(message, said_on(known.saga, message), message.saga_id, self._now)
                continue
            self._since[message.id] = message.time
            part, todo = hear(known, before or new_part(message), message, self._now)
            if part is not before:
                self._put(part)
            elif not todo:
                self._its.duplicates[self._came_on(known, message)] += 1
            self._todo += [(message.saga_id, item) for item in todo]
            if message.type == known.saga.started:
                queue += _taken(to_park, message.saga_id)
                begun.append(message.saga_id)
        return begun

    def _came_on(self, known: Share, message: Message) -> str:
        """Return the topic that a message came on which concerns us."""
        if message.type in CONTROLS:
            return SAGAS_EVENTS
        if message.type in REPAIRS or message.type in known.commands:
            return commands_topic(self._its.name)
        return said_on(known.saga, message)

    async def take_up(self, saga_ids: Sequence[str], until: datetime) -> None:
        """Take up the steps of these sagas that are due now, or were under way for the first time and due by then.

        Those of a definition that is not known here are left to a process that knows it.
        """
        self._parts = await self._tx.load(PARTS, saga_ids)
        for part in (part for part in self._parts.values() if part.definition in self._its.shares):
            for name, step in part.steps.items():
                bound = until if step.error is None else self._now
                if step.pending and not step.stuck and step.due is not None and step.due < bound:
                    self._todo.append((part.saga_id, again(self._its.shares[part.definition], part, name)))

    async def settle(
        self, action: OutsideAction[msgspec.Struct], asks: Sequence[Ask[msgspec.Struct]], replies: Sequence[Reply]
    ) -> None:
        """Put the replies of the other system on record, once for each step that still waits for one."""
        self._parts = await self._tx.load(PARTS, {ask.saga_id for ask in asks})
        awaited = {
            (ask.saga_id, ask.step): (ask, reply)
            for ask, reply in zip(asks, replies, strict=True)
            if self._awaits(ask, reply)
        }
        if awaited:
            asks, replies = zip(*awaited.values(), strict=True)
            self._conclude(asks, await action.settle(self._tx, asks, replies))

    def _awaits(self, ask: Ask[msgspec.Struct], reply: Reply) -> bool:
        """Tell whether the step waits for this reply; a late one may belong to the action of which the undo is pending.

        A step that is stuck is still glad of an answer, but silence is no news to it.
        """
        part = self._parts[ask.saga_id]
        step = part.step(ask.step)
        undoes = ask.command == self._its.shares[part.definition].by_step[ask.step].step.compensation
        awaited = StepStatus.UNDOING if undoes else StepStatus.BEGUN
        return step.status is awaited and not (step.stuck and isinstance(reply, Unknown))

    async def carry_out(self) -> None:
        """Do what is owed, until nothing more follows from it within this transaction."""
        while self._todo:
            batch, self._todo = self._todo, []
            asks: dict[str, list[Ask[msgspec.Struct]]] = defaultdict(list)
            for saga_id, todo in batch:
                if isinstance(todo, Say):
                    self._say(self._parts[saga_id], todo)
                    continue
                command, ask = self._ask(self._parts[saga_id], todo)
                asks[command].append(ask)
            for command, those in asks.items():
                await self._act(self._its.actions[command], those)

    async def save(self) -> None:
        """Write what changed, and leave what was said in the outbox."""
        if self._changed:
            await self._tx.save(PARTS, self._changed.values())
        if self._out:
            await self._tx.send(self._out)

    async def _act(self, action: AnyAction, asks: Sequence[Ask[msgspec.Struct]]) -> None:
        if isinstance(action, LocalAction):
            self._conclude(asks, await action.act(self._tx, asks))
            return
        by_hand = [ask for ask in asks if ask.by_hand]
        if by_hand:
            replies = [Unknown("decided by hand") for _ in by_hand]
            self._conclude(by_hand, await action.settle(self._tx, by_hand, replies))
        outside = [ask for ask in asks if not ask.by_hand]
        if outside:
            await action.intend(self._tx, outside)
            until = self._now + timedelta(seconds=CALL_SECONDS_MAX)
            for ask in outside:
                self._put(put_off(self._parts[ask.saga_id], ask.step, until))
                self.intended.append((ask, action))

    def _conclude(self, asks: Sequence[Ask[msgspec.Struct]], replies: Sequence[Reply]) -> None:
        assert len(asks) == len(replies), "every ask has one reply"
        for ask, reply in zip(asks, replies, strict=True):
            part = self._parts[ask.saga_id]
            known = self._its.shares[part.definition]
            cause = part.step(ask.step).cause
            self._since.setdefault(cause, ask.since or ask.now)
            if isinstance(reply, Unknown):
                part, todo = self._again(known, part, ask, reply)
            else:
                outcome = outcome_of(reply)
                if ask.by_hand is not None:
                    outcome = Succeeded(with_hand(outcome.data, ask.by_hand))
                else:
                    self._count(part, ask, SUCCEEDED if isinstance(reply, Done) else REFUSED)
                part, todo = answered(known, part, ask.step, cause, outcome, self._now)
            self._put(part)
            self._todo += [(ask.saga_id, item) for item in todo]

    def _again(self, known: Share, part: Part, ask: Ask[msgspec.Struct], reply: Unknown) -> tuple[Part, list[Todo]]:
        """Put the step off, or give up when its attempts are used up."""
        error = reply.error
        if not reply.asked:
            return put_off(part, ask.step, self._now + timedelta(seconds=UNASKED_SECONDS)), []
        policy: RetryPolicy = known.by_step[ask.step].step.retry
        step = part.step(ask.step)
        tries = step.tries + 1
        self._count(part, ask, UNKNOWN if tries < policy.attempts_max else EXHAUSTED)
        if tries < policy.attempts_max:
            delay = timedelta(seconds=policy.delay_after(tries, self._its.clock.chance()))
            return put_off(part, ask.step, self._now + delay, error), []
        part = put_off(part, ask.step, self._now, error)
        data = StuckData(part.saga_id, ask.step, step.status is StepStatus.UNDOING, tries, error)
        return answered(known, part, ask.step, step.cause, GaveUp(encode_data(data)), self._now)

    def _count(self, part: Part, ask: Ask[msgspec.Struct], result: str) -> None:
        self.attempted[part.definition, ask.step, ask.command, result] += 1

    def _ask(self, part: Part, todo: Act | Undo | Resolve) -> tuple[str, Ask[msgspec.Struct]]:
        rule = self._its.shares[part.definition].by_step[todo.step]
        undoing = isinstance(todo, Undo) or (isinstance(todo, Resolve) and todo.compensating)
        command = rule.step.compensation if undoing else rule.step.command
        assert command is not None, f"{todo.step} has no compensation"
        since = self._since.get(todo.cause)
        if since is not None and isinstance(todo, Act):
            self.waited.append((part.definition, todo.step, max(0.0, (self._now - since).total_seconds())))
        return command, Ask(
            saga_id=part.saga_id,
            step=todo.step,
            command=command,
            data=self._its.decoders[command].decode(part.input_of(command)),
            now=self._now,
            tries=part.step(todo.step).tries,
            happened=todo.happened if isinstance(todo, Undo) else True,
            by_hand=todo.by_hand if isinstance(todo, Resolve) else None,
            since=since,
            correlation_id=part.correlation_id,
            traceparent=part.traceparent,
        )

    def _say(self, part: Part, say: Say) -> None:
        data = say.data
        if data is None:
            assert say.code is not None, "a barred step says why"
            data = encode_data(self._its.barred(part.saga_id, say.step, say.code))
            part = barred_data(part, say, data)
            self._put(part)
        known = self._its.shares[part.definition]
        message = Message(
            id=say.id,
            type=say.event,
            source=self._its.name,
            time=self._now,
            saga_id=part.saga_id,
            correlation_id=part.correlation_id,
            causation_id=say.cause,
            mode=part.mode,
            definition=part.definition,
            attempt=say.attempt,
            data_version=self._its.contracts.version_of(say.event),
            deadline=part.deadline,
            traceparent=part.traceparent,
            took_milliseconds=took(self._since.get(say.cause), self._now),
            data=data,
        )
        self._out.append(draft(known.saga.participant(self._its.name).events_topic, message))

    def _put(self, part: Part) -> None:
        self._parts[part.saga_id] = part
        self._changed[part.saga_id] = part


def with_hand(data: msgspec.Raw, by_hand: ByHand) -> msgspec.Raw:
    """Return what was said, with who decided it."""
    return encode_data({**decode_object(data), "resolvedBy": by_hand})


def _taken(to_park: dict[str, ParkedMessage], saga_id: str) -> list[Message]:
    """Take out what was about to be parked for this saga, which begins now."""
    held = [entry.message for entry in to_park.values() if entry.waits_for == saga_id] if to_park else []
    for message in held:
        del to_park[message.id]
    return held
