"""How many dead letters of a service wait for a person: what `dead_letters` reads, kept up to date by reading on."""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from sagakit.core.control_contracts import DEAD_LETTER, LetterDecision
from sagakit.core.messages import Envelope
from sagakit.ports import Clock, Log, OffsetOutOfRangeError, Record
from sagakit.runtime.catalogue import DLQ_DEPTH
from sagakit.runtime.dead_letters import DECISIONS, Place
from sagakit.runtime.housekeeping import KEPT_DAYS
from sagakit.runtime.metrics import Sample
from sagakit.runtime.offsets import first_kept
from sagakit.runtime.topics import dead_letter_topic

PAGE_RECORDS = 500

Burial = tuple[str, datetime | None]
"""A letter, and when it was buried where it is buried anew under the same id each time: as it has no offset."""


class _Where(msgspec.Struct, frozen=True):
    """What is looked at of a letter."""

    offset: int


class _Letter(NamedTuple):
    buried_at: datetime
    burial: Burial
    appended_at: datetime


_decode_envelope = msgspec.json.Decoder(Envelope, strict=False).decode
_decode_where = msgspec.json.Decoder(_Where).decode
_decode_decision = msgspec.json.Decoder(LetterDecision).decode


class OpenLetters:
    """The letters of one service, by their ids alone, and which of them were decided about."""

    def __init__(self, service: str, log: Log, clock: Clock) -> None:
        """Know nothing yet; the first look reads what the topic holds, and each later one what came since."""
        self._topic = dead_letter_topic(service)
        self._log = log
        self._clock = clock
        self._reading = asyncio.Lock()
        self._begin(dict.fromkeys(((self._topic, partition) for partition in range(log.partitions)), 0))

    async def measured(self) -> list[Sample]:
        """Return how many letters are open; whoever gives up on it in between goes on from there the next time.

        Raises:
            LogUnavailableError: when the topic cannot be read.
        """
        async with self._reading:
            while page := await self._page():
                for record in page:
                    self._take(record)
            return [(DLQ_DEPTH, (self._topic,), self._count())]

    async def _page(self) -> list[Record]:
        """Return what comes next, from the first record that is kept when the one that was to come is not."""
        try:
            return await self._log.fetch(self._positions, PAGE_RECORDS)
        except OffsetOutOfRangeError:
            ends = await self._log.ends([self._topic])
            self._begin({place: await first_kept(self._log, place, 0, end) for place, end in ends.items()})
            return await self._log.fetch(self._positions, PAGE_RECORDS)

    def _begin(self, positions: dict[Place, int]) -> None:
        self._positions = positions
        self._letters: dict[str, _Letter] = {}
        self._decided: dict[Burial, datetime] = {}

    def _take(self, record: Record) -> None:
        self._positions[record.topic, record.partition] = record.offset + 1
        try:
            envelope = _decode_envelope(record.headers)
            if envelope.type in DECISIONS:
                said = _decode_decision(record.value)
                burials: Iterable[Burial] = ((said.letter_id, said.buried_at), (said.letter_id, None))
                self._decided |= dict.fromkeys(burials, record.appended_at)
            elif envelope.type == DEAD_LETTER and envelope.time.tzinfo is not None:
                self._bury(envelope, record, _decode_where(record.value))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return

    def _bury(self, envelope: Envelope, record: Record, where: _Where) -> None:
        known = self._letters.get(envelope.id)
        if known is None or known.buried_at <= envelope.time:
            burial = (envelope.id, envelope.time if where.offset < 0 else None)
            self._letters[envelope.id] = _Letter(envelope.time, burial, record.appended_at)

    def _count(self) -> int:
        """Return how many are open, after those are forgotten that the log does not keep any more."""
        since = self._clock.now() - timedelta(days=KEPT_DAYS)
        self._letters = {name: letter for name, letter in self._letters.items() if letter.appended_at >= since}
        self._decided = {burial: at for burial, at in self._decided.items() if at >= since}
        return sum(letter.burial not in self._decided for letter in self._letters.values())
