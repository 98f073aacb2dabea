"""Whether a store is older than the log: what its service said last, about sagas that it does not know.

A database that was restored to an earlier moment hears again what its service had acted on. Of sagas whose deadline has
passed since, it would refuse what it had done, and the others would take back what they did.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sagakit.core.contracts import UnreadableError
from sagakit.ports import Log, OffsetOutOfRangeError, Record, Store, Table
from sagakit.runtime.wire import parse

LAST_RECORDS = 20
"""How far it is looked back in a partition for words of the service itself."""

Place = tuple[str, int]


class OldStoreError(Exception):
    """The store is older than the log; the text says how that is seen, and what to do."""


class Word(NamedTuple):
    """What a service said last in a partition."""

    place: Place
    offset: int
    type: str
    saga_id: str
    said_at: datetime
    appended_at: datetime


async def forgotten(
    service: str, topics: Iterable[str], table: Table[Any], store: Store, log: Log, standing: Mapping[Place, int]
) -> list[Word]:
    """Return the last words on these topics, a partition each, about sagas that are not in the table.

    Only those count that are younger than something that is still to be read from `standing` on: who begins behind them
    hears nothing again.

    Raises:
        LogUnavailableError, StoreUnavailableError: when one of them cannot be asked.
    """
    words = [word for place, end in (await log.ends(topics)).items() if (word := await _last(service, place, end, log))]
    known = await store.view(lambda reader: reader.load(table, [word.saga_id for word in words]))
    words = [word for word in words if word.saga_id not in known]
    unread = await _oldest_unread(log, standing) if words else None
    return [] if unread is None else sorted(word for word in words if word.appended_at > unread)


async def _last(service: str, place: Place, end: int, log: Log) -> Word | None:
    for record in reversed(await _tail(place, end, log)):
        try:
            message = parse(record)
        except UnreadableError:
            continue
        if message.source == service:
            return Word(place, record.offset, message.type, message.saga_id, message.time, record.appended_at)
    return None


async def _tail(place: Place, end: int, log: Log) -> list[Record]:
    """Return the last records of a partition, as far as the log keeps them."""
    for begin in sorted({max(0, end - LAST_RECORDS), max(0, end - 1)}):
        try:
            return await log.fetch({place: begin}, LAST_RECORDS) if end else []
        except OffsetOutOfRangeError:
            continue
    return []


async def _oldest_unread(log: Log, standing: Mapping[Place, int]) -> datetime | None:
    """Return when the log took the oldest record that is still to be read; what it lacks is for others to tell."""
    ends = await log.ends({topic for topic, _ in standing})
    times: list[datetime] = []
    for place, offset in standing.items():
        if offset < ends.get(place, 0):
            try:
                times += [record.appended_at for record in await log.fetch({place: offset}, 1)]
            except OffsetOutOfRangeError:
                continue
    return min(times, default=None)


class Memory:
    """Vouches once, before a participant hears anything, that its store knows what it said."""

    def __init__(self, service: str, store: Store, log: Log, table: Table[Any]) -> None:
        """Hold what `service` said against its sagas in `table`."""
        self._service = service
        self._store = store
        self._log = log
        self._table = table
        self.vouched = False
        """True once it has: whoever steps often need not ask again."""

    async def vouch(self, own_topics: Iterable[str], group: str, heard: Iterable[str]) -> None:
        """Make sure of it, for a group that hears these topics.

        Raises:
            OldStoreError: when it does not.
            LogUnavailableError, StoreUnavailableError: when one of them cannot be asked.
        """
        progress = await self._store.view(lambda reader: reader.progress(group))
        standing = {place: progress.get(place, 0) for place in await self._log.ends(heard)}
        words = await forgotten(self._service, own_topics, self._table, self._store, self._log, standing)
        if words:
            latest = max(words, key=lambda word: word.appended_at)
            topic, partition = latest.place
            raise OldStoreError(
                f"the database is of an earlier moment than the log: it does not know saga {latest.saga_id}, of which"
                f" {topic}-{partition} has our {latest.type}; run `sagactl offsets check {self._service}`, and see the"
                " runbook on backup and restore"
            )
        self.vouched = True
