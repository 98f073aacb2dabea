"""Dead letters, read back from a service's dead-letter topic, and what a person decides about each.

Nothing is removed from a log singly, so a decision is a record too: on the same topic under the same key, and so on the
partition of its letter. Whoever reads the topic folds the same story, and no service's database is touched. A log keeps
letters and decisions for the same number of days; a decision outlives the letter it is about.
"""

import binascii
import enum
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from sagakit.core.contracts import encode_data
from sagakit.core.control_contracts import (
    DEAD_LETTER,
    LETTER_DISCARDED,
    LETTER_REDRIVEN,
    DeadLetterData,
    LetterDecision,
)
from sagakit.core.messages import Envelope, Message, message_id
from sagakit.ports import Clock, Draft, Log, OffsetOutOfRangeError, Record
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.offsets import first_kept
from sagakit.runtime.topics import dead_letter_topic
from sagakit.runtime.wire import HEADER_BYTES_MAX, VALUE_BYTES_MAX, draft, headers_of

PAGE_RECORDS = 500
SOURCE = "operator"
"""Who says a decision: a person, by whatever tool."""
ESCAPED = re.compile(r"\\x[89a-f][0-9a-f]")
"""How a byte that is no UTF-8 looks in a letter's text; a text that had this before looks the same."""
TEXT_LENGTH_MAX = 2000
"""Of a text beside the bytes themselves, or of a cut record: escaped it is longer than they are, and only for reading.
"""
VALUE_TEXT_BYTES_MAX = VALUE_BYTES_MAX * 4 // 3
"""Of a value's text in JSON: a control character has six bytes there, and no letter may be larger than topics take."""
NAMING = ("ce_type", "ce_id", "ce_sagaid", "ce_correlationid")
"""The headers that a letter needs of its record in any case."""

Place = tuple[str, int]
_decode_envelope = msgspec.json.Decoder(Envelope, strict=False).decode
_decode_data = msgspec.json.Decoder(DeadLetterData).decode
_decode_decision = msgspec.json.Decoder(LetterDecision).decode
_decode_plain_headers = msgspec.json.Decoder(dict[str, str | int | float]).decode


class LetterGoneError(Exception):
    """The log has dropped the letter since it was listed. Nothing can be done about it any more."""


class NotRedrivableError(Exception):
    """The letter does not tell what is to be redriven, or where to. Tell the topic, or discard it."""


class Status(enum.StrEnum):
    """What became of a letter. An open one waits for a person."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


DECISIONS = {LETTER_REDRIVEN: Status.REDRIVEN, LETTER_DISCARDED: Status.DISCARDED}


class Decision(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was decided about a letter, by whom, why and when."""

    status: Status
    actor: str
    reason: str
    at: datetime


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A letter without its value. `topic`, `partition` and `offset` are where the record was before it was buried.

    The offset is -1 when it was not in the log's hands any more; then the topic may be unknown, and empty.
    """

    id: str
    service: str
    status: Status = Status.OPEN
    buried_at: datetime
    reason: str
    error: str
    type: str
    saga_id: str
    message_id: str
    topic: str
    partition: int
    offset: int
    letter_partition: int
    letter_offset: int
    decision: Decision | None = None


class Letters(msgspec.Struct, frozen=True):
    """The letters that a topic holds, the oldest first, and how many of its records are no letters and no decisions."""

    all: tuple[DeadLetter, ...]
    strange: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters: those that fit everything that is given."""

    ids: frozenset[str] = frozenset()
    status: Status | None = None
    reason: str | None = None
    type: str | None = None
    saga_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    error_contains: str | None = None

    def fits(self, letter: DeadLetter) -> bool:
        """Tell whether the letter is one of these; `until` is the first moment that is too late."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.status in (None, letter.status)
            and self.reason in (None, letter.reason)
            and self.type in (None, letter.type)
            and self.saga_id in (None, letter.saga_id)
            and (self.since is None or self.since <= letter.buried_at)
            and (self.until is None or letter.buried_at < self.until)
            and (self.error_contains or "").casefold() in letter.error.casefold()
        )


@dataclass(frozen=True, slots=True)
class Because:
    """Who decides, and why."""

    actor: str
    reason: str


class Pace:
    """So many turns a second at most, evenly spread."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        """Let the first turn begin at once."""
        self._clock = clock
        self._between = timedelta(seconds=1 / per_second)
        self._next: datetime | None = None

    async def turn(self) -> None:
        """Return when it is time for the next turn."""
        now = self._clock.now()
        due = now if self._next is None else max(self._next, now)
        if due > now:
            await self._clock.sleep((due - now).total_seconds())
        self._next = due + self._between


async def letters_of(log: Log, service: str) -> Letters:
    """Return every letter of a service that its log still holds, each with what was decided about it last."""
    letters: dict[str, DeadLetter] = {}
    decisions: dict[tuple[str, datetime | None], Decision] = {}
    strange = 0
    async for record in _records(log, dead_letter_topic(service)):
        try:
            envelope = _decode_envelope(record.headers)
            if envelope.type in DECISIONS:
                said = _decode_decision(record.value)
                status = DECISIONS[envelope.type]
                decision = Decision(status=status, actor=said.actor, reason=said.reason, at=envelope.time)
                decisions[said.letter_id, said.buried_at] = decisions[said.letter_id, None] = decision
            elif envelope.type == DEAD_LETTER and envelope.time.tzinfo is not None:
                letter = _letter(service, record, envelope, _decode_data(record.value))
                known = letters.get(letter.id)
                if known is None or known.buried_at <= letter.buried_at:
                    letters[letter.id] = letter
            else:
                strange += 1
        except (msgspec.MsgspecError, UnicodeDecodeError):
            strange += 1
    decided = (_decided(letter, decisions.get((letter.id, _burial(letter)))) for letter in letters.values())
    return Letters(tuple(sorted(decided, key=lambda letter: (letter.buried_at, letter.id))), strange)


async def content(log: Log, letter: DeadLetter) -> DeadLetterData:
    """Return all that the letter says.

    Raises:
        LetterGoneError: when the log does not hold it any more.
    """
    place = (dead_letter_topic(letter.service), letter.letter_partition)
    try:
        found = await log.fetch({place: letter.letter_offset}, 1)
    except OffsetOutOfRangeError:
        found = []
    if not found or found[0].offset != letter.letter_offset:
        raise LetterGoneError(f"{letter.id}: the log does not hold it any more")
    return _decode_data(found[0].value)


async def is_in_log(log: Log, letter: DeadLetter) -> bool:
    """Tell whether the log holds the very record that is in the letter, where the letter says that it was.

    Raises:
        LetterGoneError: when the log does not hold the letter any more.
        NotRedrivableError: when the letter does not tell the bytes.
        LogUnavailableError: when neither can be read.
    """
    data = await content(log, letter)
    place = (data.topic, data.partition)
    if not data.topic or not 0 <= data.offset < (await log.ends([data.topic])).get(place, 0):
        return False
    try:
        found = await log.fetch({place: data.offset}, 1)
    except OffsetOutOfRangeError:
        return False
    if not found or found[0].offset != data.offset:
        return False
    return original(letter.id, letter_data(found[0], "", "")) == original(letter.id, data)


async def redrive(log: Log, letter: DeadLetter, because: Because, now: datetime, topic: str = "") -> None:
    """Publish the record that was buried once more, as it was, and then that this was decided.

    Its key, headers and value are unchanged, so it comes to its old partition under its old message id: whoever has
    handled it passes it over. After a crash in between the letter is open, and redriving it again does no harm. `topic`
    is where to when the letter does not say it.

    Raises:
        LetterGoneError: when the log does not hold the letter any more.
        NotRedrivableError: when the letter does not tell the bytes, or no topic is known.
        LogUnavailableError: when it is not known to be published; the letter may still be open.
    """
    record = original(letter.id, await content(log, letter), topic)
    failpoint("letters.before_record")
    await log.publish([record])
    failpoint("letters.after_record")
    await _decide(log, _decision(letter, LETTER_REDRIVEN, because, now))


async def discard(log: Log, letter: DeadLetter, because: Because, now: datetime) -> None:
    """Publish that the letter is not to be redriven. It stays readable for as long as the log keeps it.

    Raises:
        LogUnavailableError: when it is not known to be published; the letter may still be open.
    """
    await _decide(log, _decision(letter, LETTER_DISCARDED, because, now))


def letter_data(record: Record, reason: str, error: str) -> DeadLetterData:
    """Return what a dead letter says of a record. Text stands there as text, and bytes beside it that it does not tell.

    Bytes that are no UTF-8 are escaped in the text, and a text that looks so escaped is not taken for exact either. A
    record that is too large to be handled, however often it came, is cut: its letter has to fit into its topic.
    """
    error, value = error[:TEXT_LENGTH_MAX], record.value.decode("utf-8", "backslashreplace")
    headers, headers_told = readable_headers(record)
    if not _is_kept(record):
        return _cut(record, reason, error, headers, value)
    told = value.encode() == record.value and not ESCAPED.search(value) and _fits(value)
    return DeadLetterData(
        reason,
        error,
        record.topic,
        record.partition,
        record.offset,
        record.key,
        headers,
        value if told else value[:TEXT_LENGTH_MAX],
        value_base64=None if told else b64encode(record.value).decode(),
        headers_base64=None if headers_told else b64encode(record.headers).decode(),
    )


def original(letter_id: str, data: DeadLetterData, topic: str = "") -> Draft:
    """Return the record that was buried, as it was published; numbers among its headers have become their text.

    Raises:
        NotRedrivableError: when the letter was cut, was written before bytes were kept and does not tell them, or has
            no topic.
    """
    if data.cut:
        raise NotRedrivableError(f"{letter_id}: its record is too large to be handled, and was not kept whole")
    if not (data.topic or topic):
        raise NotRedrivableError(f"{letter_id}: it does not say which topic its message came from")
    return Draft(data.topic or topic, data.key, _original_headers(letter_id, data), _original_value(letter_id, data))


def readable_headers(record: Record) -> tuple[dict[str, str], bool]:
    """Return the headers as text, as far as they can be read, and whether that is all there is to them."""
    try:
        headers = headers_of(record)
        _decode_plain_headers(record.headers)
    except UnicodeDecodeError:
        return {}, False
    except msgspec.MsgspecError:
        return headers, False
    return headers, True


def _is_kept(record: Record) -> bool:
    """Tell whether the record is small enough to be kept whole; its key ought to be the id of a saga."""
    small = len(record.value) <= VALUE_BYTES_MAX and len(record.headers) <= HEADER_BYTES_MAX
    return small and len(record.key or "") <= TEXT_LENGTH_MAX


def _fits(value: str) -> bool:
    return 6 * len(value) <= VALUE_TEXT_BYTES_MAX or len(msgspec.json.encode(value)) <= VALUE_TEXT_BYTES_MAX


def _cut(record: Record, reason: str, error: str, headers: Mapping[str, str], value: str) -> DeadLetterData:
    """Return what a letter says of a record of which it can only say where it was, and how it begins."""
    return DeadLetterData(
        reason,
        error,
        record.topic,
        record.partition,
        record.offset,
        record.key and record.key[:TEXT_LENGTH_MAX],
        {name: headers[name][:TEXT_LENGTH_MAX] for name in NAMING if name in headers},
        value[:TEXT_LENGTH_MAX],
        cut=True,
    )


async def _decide(log: Log, decision: Draft) -> None:
    failpoint("letters.before_decision")
    await log.publish([decision])
    failpoint("letters.after_decision")


def _original_value(letter_id: str, data: DeadLetterData) -> bytes:
    if data.value_base64 is not None:
        return _bytes(letter_id, data.value_base64)
    if ESCAPED.search(data.value):
        raise NotRedrivableError(f"{letter_id}: its text holds escaped bytes, and the bytes were not kept")
    return data.value.encode()


def _original_headers(letter_id: str, data: DeadLetterData) -> bytes:
    if data.headers_base64 is not None:
        return _bytes(letter_id, data.headers_base64)
    return msgspec.json.encode(data.headers)


def _bytes(letter_id: str, text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotRedrivableError(f"{letter_id}: its bytes cannot be read: {error}") from None


def _letter(service: str, record: Record, envelope: Envelope, data: DeadLetterData) -> DeadLetter:
    return DeadLetter(
        id=envelope.id,
        service=service,
        buried_at=envelope.time,
        reason=data.reason,
        error=data.error,
        type=data.headers.get("ce_type", ""),
        saga_id=envelope.saga_id,
        message_id=data.headers.get("ce_id", ""),
        topic=data.topic,
        partition=data.partition,
        offset=data.offset,
        letter_partition=record.partition,
        letter_offset=record.offset,
    )


def _burial(letter: DeadLetter) -> datetime | None:
    """Return which burial a decision must be about; of a record that has an offset, any.

    Two groups of one service may bury the same record, each at its time, and one redriven copy comes behind it for
    both. A message without an offset has one letter for each time that it waited in vain, all under the same id.
    """
    return letter.buried_at if letter.offset < 0 else None


def _decided(letter: DeadLetter, decision: Decision | None) -> DeadLetter:
    return letter if decision is None else replace(letter, status=decision.status, decision=decision)


def _decision(letter: DeadLetter, kind: str, because: Because, now: datetime) -> Draft:
    said = LetterDecision(letter.id, letter.buried_at, because.actor, because.reason)
    message = Message(
        id=message_id(letter.saga_id, f"{letter.id}@{letter.buried_at.isoformat()}", f"{kind}@{now.isoformat()}"),
        type=kind,
        source=SOURCE,
        time=now,
        saga_id=letter.saga_id,
        correlation_id=letter.saga_id,
        causation_id=letter.id,
        data=encode_data(said),
    )
    return draft(dead_letter_topic(letter.service), message)


async def _records(log: Log, topic: str) -> AsyncIterator[Record]:
    """Yield what the topic holds now, in the order of each partition; what is dropped meanwhile is passed over."""
    ends = {place: end for place, end in (await log.ends([topic])).items() if end}
    at = dict.fromkeys(ends, 0)
    while at:
        try:
            page = await log.fetch(at, PAGE_RECORDS)
        except OffsetOutOfRangeError:
            at = {place: await first_kept(log, place, offset, ends[place]) for place, offset in at.items()}
            at = _before(at, ends)
            continue
        if not page:
            return
        for record in page:
            if record.offset < ends[record.topic, record.partition]:
                yield record
            at[record.topic, record.partition] = record.offset + 1
        at = _before(at, ends)


def _before(at: Mapping[Place, int], ends: Mapping[Place, int]) -> dict[Place, int]:
    return {place: offset for place, offset in at.items() if offset < ends[place]}
