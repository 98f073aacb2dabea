"""The loop that every consumer shares: fetch a batch, handle it in one transaction with its offsets, go on.

After a crash at any point the batch comes again from the stored offsets, and whatever was said of it was said under the
same ids. A record that cannot be read or handled goes to the dead letters in that same transaction, so it is never lost
and never blocks its partition.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from time import perf_counter
from typing import Protocol

import msgspec

from sagakit.core.contracts import Contracts, UnreadableError, encode_data
from sagakit.core.control_contracts import DEAD_LETTER
from sagakit.core.messages import Message, message_id
from sagakit.ports import (
    Clock,
    Draft,
    FencedError,
    Log,
    Membership,
    OffsetOutOfRangeError,
    Query,
    Record,
    Store,
    StoreUnavailableError,
    StreamMovedError,
    Table,
    TopicRecreatedError,
    Transaction,
)
from sagakit.runtime.catalogue import PROCESS_DURATION
from sagakit.runtime.dead_letters import letter_data
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.metrics import Distributions
from sagakit.runtime.telling import fields, ids_in, place_of
from sagakit.runtime.topics import dead_letter_topic
from sagakit.runtime.wire import definition_in, draft, parse, type_in

BATCH_RECORDS_MAX = 1000
SMALL_BATCH = 200
COUNTED = ("batches", "records", "messages", "dead letters", "fenced")
"""From zero on: a counter that is not there before its first increase hides it."""
UNREADABLE, UNHANDLED = "unreadable", "unhandled"
"""Why a consumer buries a record; others bury for reasons of their own."""
LINES_MAX = 20
"""How many dead letters of one batch have a line of their own in the log."""
log_lines = logging.getLogger(__name__)


class KnownTopic(msgspec.Struct, frozen=True):
    """Which topic of that name the offsets of this store belong to, and how many partitions it had then.

    No partitions are those of a row from before they were kept.
    """

    topic: str
    identity: str
    partitions: int = 0


KNOWN_TOPICS = Table("known_topics", KnownTopic, "topic")
TOPICS_MAX = 1000


class Handler(Protocol):
    """What one consumer does with the messages of its topics."""

    @property
    def topics(self) -> frozenset[str]:
        """The topics it listens to."""

    def wants(self, message_type: str) -> bool:
        """Tell whether messages of this type are handled; all others are passed over unread."""

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Handle the messages within the transaction that also advances their offsets."""

    def committed(self) -> None:
        """Hear that the last `handle` is durable now."""

    def failed(self) -> None:
        """Hear that the last `handle` is to be forgotten; the messages come again."""


Heard = Callable[[str, Sequence[Message], Sequence[Record], datetime], None]
"""Told of what a group has handled, once that is durable: the messages, and the records that they came in."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be read, and why."""

    record: Record
    error: str


class Consumer:
    """One consumer of a service: a group, a handler, and the offsets kept in the service's own store."""

    def __init__(
        self,
        *,
        service: str,
        group: str,
        handler: Handler,
        store: Store,
        log: Log,
        contracts: Contracts,
        clock: Clock,
        instance: str = "0",
        first: frozenset[str] = frozenset(),
        definitions: Collection[str] | None = None,
        batch_records_max: int = BATCH_RECORDS_MAX,
    ) -> None:
        """Take everything by name; nothing is read before `step`.

        The topics in `first` are read before the others, because what they say is usually the cause of the rest.
        `definitions` are those that the handler knows, as they grow: what is said under any other is handed over,
        whatever its type, for it may mean something here once that definition is known.
        """
        self.name = f"{group} consumer"
        self.counts = Counter(dict.fromkeys(COUNTED, 0))
        self.consumed: Counter[str] = Counter()
        """How many messages were handled, by their topic."""
        self.buried: Counter[tuple[str, str]] = Counter()
        """How many records were buried, by their topic and the reason."""
        self.durations = Distributions(PROCESS_DURATION)
        self._service = service
        self._instance = instance
        self._group = group
        self._handler = handler
        self._store = store
        self._log = log
        self._contracts = contracts
        self._clock = clock
        self._membership: Membership | None = None
        self._positions: dict[tuple[str, int], int] = {}
        self._assigned: frozenset[int] = frozenset()
        self._first = first
        self._batch_records_max = batch_records_max
        self._full = False
        self.behind = False
        """True while the last batch was as large as batches get: there is more to be read at once."""
        self.sparse = False
        """True while the last batch was so small that what it cost was mostly its own."""
        self.waited: Mapping[str, float] = {}
        """For how many seconds the oldest record of the last batch had waited in the log, by topic."""
        self.heard: Heard | None = None
        self._definitions = definitions
        self._known = 0
        self._topics: frozenset[str] = frozenset()
        self._passed_over = self._unwanted()

    @property
    def ready(self) -> bool:
        """True once partitions were assigned."""
        return self._membership is not None

    @property
    def group(self) -> str:
        """The group that it is a member of."""
        return self._group

    @property
    def topics(self) -> frozenset[str]:
        """What its handler listens to now."""
        return self._handler.topics

    @property
    def positions(self) -> Mapping[tuple[str, int], int]:
        """The offset that is handled next, of each partition that is handled here."""
        return self._positions

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that are handled here, as of the last step."""
        return self._assigned

    async def step(self) -> bool:
        """Handle one batch; tell whether there was anything."""
        try:
            await self._assign()
            if not self._positions:
                self.waited = {}
                return False
            records = await self._fetch(self._batch_records_max)
        except (OffsetOutOfRangeError, TopicRecreatedError):
            self._forget()
            raise
        self.behind = self._is_behind(records)
        self.sparse = len(records) < SMALL_BATCH
        if not records:
            self.waited = {}
            return False
        try:
            await self._settle(records)
        except FencedError:
            self.counts["fenced"] += 1
            log_lines.warning("%s was fenced: another instance owns the partition now", self.name)
            self._forget()
        return True

    def _is_behind(self, records: Sequence[Record]) -> bool:
        return len(records) >= self._batch_records_max

    def _forget(self) -> None:
        """Take partitions and offsets up anew with the next step: a rival or a repair has moved them, or is to."""
        self._positions = {}
        self._assigned = frozenset()
        self.waited = {}

    async def wait(self, seconds: float) -> None:
        """Return when there may be something to handle, or after that time."""
        await self._log.wait(seconds)

    async def close(self) -> None:
        """Give the partitions to others at once."""
        if self._membership is not None:
            await self._membership.leave()

    async def _assign(self) -> None:
        if self._membership is not None and self._topics != self._handler.topics:
            log_lines.info("%s listens to %s too", self.name, ", ".join(sorted(self._handler.topics - self._topics)))
            await self._membership.leave()
            self._membership = None
            self._forget()
        if self._membership is None:
            failpoint("group.before_join")
            member, topics = f"{self._service}-{self._instance}", self._handler.topics
            self._membership = await self._log.join(self._group, member, topics)
            self._topics = topics
            for topic in topics:
                self.consumed[topic] += 0
                self.buried.update({(topic, UNREADABLE): 0, (topic, UNHANDLED): 0})
            failpoint("group.after_join")
        assigned = await self._membership.assignment()
        if assigned == self._assigned:
            return
        await self._recognize_topics()
        stored = await self._store.view(lambda reader: reader.progress(self._group))
        self._positions = {(t, p): stored.get((t, p), 0) for t in sorted(self._topics) for p in sorted(assigned)}
        self._assigned = assigned

    async def _recognize_topics(self) -> None:
        """Make sure that the offsets in the store belong to the topics that are there now.

        Raises:
            TopicRecreatedError: when one was made anew under the same name, or got other partitions.
        """
        found, partitions = await self._log.identities(self._topics), self._log.partitions
        if not found:
            return

        async def work(transaction: Transaction) -> dict[str, KnownTopic]:
            known = await transaction.load(KNOWN_TOPICS, found)
            new = [
                KnownTopic(topic, identity, partitions)
                for topic, identity in found.items()
                if topic not in known or known[topic] == KnownTopic(topic, identity)
            ]
            if new:
                await transaction.save(KNOWN_TOPICS, new)
            return known

        failpoint("group.before_topics")
        known = await self._store.transact(work)
        failpoint("group.after_topics")
        strange = [topic for topic, its in known.items() if its.identity != found[topic]]
        if strange:
            named = ", ".join(sorted(strange))
            raise TopicRecreatedError(f"{named}: made anew since offsets were stored; see `sagactl offsets check`")
        _require_partitions(known.values(), partitions)

    async def _fetch(self, limit: int) -> list[Record]:
        """Return the next records, causes before effects; every second time the rest has its turn in any case.

        That turn is half as long: where both have piled up, causes get ahead, and effects need not be parked.
        """
        if not self._first:
            return await self._log.fetch(self._positions, limit)
        records: list[Record] = []
        was_full = self._full
        if not was_full:
            records = await self._log.fetch({at: o for at, o in self._positions.items() if at[0] in self._first}, limit)
        self._full = len(records) == limit
        if not self._full:
            rest = {at: o for at, o in self._positions.items() if at[0] not in self._first}
            records += await self._log.fetch(rest, max(1, limit // 2) if was_full else limit)
        return records

    async def _settle(self, records: Sequence[Record]) -> None:
        """Handle the records in one transaction; when that cannot be, in halves, until what is bad stands alone."""
        try:
            await self._handle(records)
        except (FencedError, StoreUnavailableError, StreamMovedError):
            raise
        except Exception as caught:  # noqa: BLE001 - whatever it is, it must not block the partition
            error = caught
        else:
            return
        if len(records) > 1:
            half = len(records) // 2
            await self._settle(records[:half])
            await self._settle(records[half:])
            return
        [bad] = records
        extra = fields(ids_in(bad), **place_of(bad))
        log_lines.error("%s cannot handle %s", self.name, _where(bad), exc_info=error, extra=extra)
        await self._bury(bad, error)

    async def _handle(self, records: Sequence[Record]) -> None:
        now, began = self._clock.now(), perf_counter()
        self.waited = _waited(records, now)
        messages, sources, unreadable = self._read(records)
        ends = {(record.topic, record.partition): record.offset + 1 for record in records}

        async def work(transaction: Transaction) -> None:
            for (topic, partition), end in ends.items():
                await transaction.advance(self._group, topic, partition, self._positions[topic, partition], end)
            if messages:
                await self._hand_over(transaction, messages, sources, now)
            if unreadable:
                await transaction.send(self._dead_letter(u.record, UNREADABLE, u.error, now) for u in unreadable)
            failpoint("consumer.within")

        failpoint("consumer.before_commit")
        try:
            await self._store.transact(work)
        except BaseException as error:
            self._time(ends, began, type(error).__name__)
            self._handler.failed()
            raise
        self._time(ends, began)
        failpoint("consumer.after_commit")
        self._positions.update(ends)
        self._handler.committed()
        if self._membership is not None:
            self._membership.handled(ends)
        self.counts["batches"] += 1
        self.counts["records"] += len(records)
        self.counts["messages"] += len(messages)
        self.consumed.update(map(_topic, sources))
        if self.heard is not None and messages:
            self.heard(self._group, messages, sources, now)
        if unreadable:
            self._tell(unreadable)

    def _time(self, places: Iterable[tuple[str, int]], began: float, error_type: str = "") -> None:
        topics = {topic for topic, _ in places}
        destination = topics.pop() if len(topics) == 1 else ""
        took = perf_counter() - began
        self.durations.at("process", self._group, destination, error_type).observe(took, 0.0)

    async def _hand_over(
        self, transaction: Transaction, messages: Sequence[Message], sources: Sequence[Record], now: datetime
    ) -> None:
        """Let the handler have its messages; `sources` are the records that they came in."""
        del sources
        await self._handler.handle(transaction, messages, now)

    def _tell(self, unreadable: Sequence[Unreadable]) -> None:
        """Count what was buried, and leave a line about each."""
        self.counts["dead letters"] += len(unreadable)
        self.buried.update((its.record.topic, UNREADABLE) for its in unreadable)
        for its in unreadable[:LINES_MAX]:
            where, extra = _where(its.record), fields(ids_in(its.record), **place_of(its.record))
            log_lines.warning("%s cannot read %s: %s", self.name, where, its.error, extra=extra)
        if len(unreadable) > LINES_MAX:
            log_lines.warning("%s cannot read %d more", self.name, len(unreadable) - LINES_MAX)

    def _read(self, records: Sequence[Record]) -> tuple[list[Message], list[Record], list[Unreadable]]:
        messages: list[Message] = []
        sources: list[Record] = []
        unreadable: list[Unreadable] = []
        if self._definitions is not None and len(self._definitions) != self._known:
            self._passed_over = self._unwanted()
        wants, heard, passed_over = self._handler.wants, self._contracts.heard, self._passed_over
        for record in records:
            unwanted = type_in(record.headers) in passed_over
            if unwanted and not self._is_strange(record):
                continue
            try:
                message = heard(record.topic, parse(record))
                if not unwanted and not wants(message.type):
                    text = f"{message.type}: a type that this service does not know"
                    raise UnreadableError(text)  # noqa: TRY301 - one place where records are judged
                messages.append(message)
                sources.append(record)
            except UnreadableError as error:
                unreadable.append(Unreadable(record, str(error)))
        return messages, sources, unreadable

    def _unwanted(self) -> frozenset[bytes]:
        """Return the types that the handler does nothing with, under the definitions that it knows now."""
        self._known = len(self._definitions or ())
        return frozenset(kind.encode() for kind in self._contracts.by_type if not self._handler.wants(kind))

    def _is_strange(self, record: Record) -> bool:
        """Tell whether the record belongs to a saga of a definition that the handler may yet come to know."""
        if self._definitions is None:
            return False
        definition = definition_in(record.headers)
        return bool(definition) and definition not in self._definitions

    async def _bury(self, record: Record, error: Exception) -> None:
        now = self._clock.now()
        at = (record.topic, record.partition)

        async def work(transaction: Transaction) -> None:
            await transaction.advance(self._group, *at, self._positions[at], record.offset + 1)
            await transaction.send([self._dead_letter(record, UNHANDLED, f"{type(error).__name__}: {error}", now)])

        failpoint("consumer.before_commit")
        await self._store.transact(work)
        failpoint("consumer.after_commit")
        self._positions[at] = record.offset + 1
        self.counts["dead letters"] += 1
        self.buried[record.topic, UNHANDLED] += 1

    def _dead_letter(self, record: Record, reason: str, error: str, now: datetime) -> Draft:
        return dead_letter(self._service, record, reason, error, now)


def _waited(records: Sequence[Record], now: datetime) -> dict[str, float]:
    """Return for how many seconds the oldest of these records had waited, by topic: of a partition it is the first."""
    waited: dict[str, float] = {}
    for (topic, _), since in {(r.topic, r.partition): r.appended_at for r in reversed(records)}.items():
        waited[topic] = max(waited.get(topic, 0.0), (now - since).total_seconds())
    return waited


_topic = attrgetter("topic")


async def require_known_partitions(store: Store, log: Log) -> None:
    """Make sure that keys are where they were: whoever publishes by another number tears sagas apart.

    Raises:
        TopicRecreatedError: when the log has another number of partitions than when offsets were stored.
    """
    known = await store.view(lambda reader: reader.select(KNOWN_TOPICS, Query(limit=TOPICS_MAX)))
    _require_partitions(known, log.partitions)


def _require_partitions(known: Iterable[KnownTopic], partitions: int) -> None:
    for its in known:
        if its.partitions not in (0, partitions):
            raise TopicRecreatedError(
                f"{its.topic}: has {partitions} partitions, and had {its.partitions} when offsets were stored;"
                " see docs/runbooks/partitions.md"
            )


def dead_letter(service: str, record: Record, reason: str, error: str, now: datetime) -> Draft:
    """Return the dead letter of a record, for the service's dead-letter topic."""
    return draft(dead_letter_topic(service), _letter(service, record, reason, error, now, _where(record)))


def dead_message(service: str, message: Message, topic: str, reason: str, error: str, now: datetime) -> Draft:
    """Return the dead letter of a message that was read and is not in the log's hands any more: its offset is -1."""
    lost = draft(topic, message)
    record = Record(topic, -1, -1, lost.key, lost.headers, lost.value, message.time)
    return draft(dead_letter_topic(service), _letter(service, record, reason, error, now, message.id))


def _letter(service: str, record: Record, reason: str, error: str, now: datetime, origin: str) -> Message:
    """Return the dead letter as a message. `origin` makes its id its own."""
    data = letter_data(record, reason, error)
    headers = data.headers
    saga_id = headers.get("ce_sagaid") or data.key or "unknown"
    return Message(
        id=message_id(saga_id, origin, f"{service}.{DEAD_LETTER}"),
        type=DEAD_LETTER,
        source=service,
        time=now,
        saga_id=saga_id,
        correlation_id=headers.get("ce_correlationid") or saga_id,
        causation_id=headers.get("ce_id") or "",
        data=encode_data(data),
    )


def _where(record: Record) -> str:
    return f"{record.topic}-{record.partition}@{record.offset}"
