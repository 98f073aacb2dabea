"""Definitions that come by the log: every service reads all of them from the beginning, and hears of new ones.

The topic is compacted and small, so it is read whole at each start, without a group and without stored offsets. The
first content of a name and version holds; whatever else is said under them later means nothing here.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import msgspec

from sagakit.core.contracts import Contracts, UnreadableError, encode_data
from sagakit.core.control_contracts import SAGA_DEFINED
from sagakit.core.definition import DefinitionError, Saga
from sagakit.core.definition_data import to_data
from sagakit.core.messages import Message, message_id
from sagakit.ports import Draft, Log, OffsetOutOfRangeError, Record
from sagakit.runtime.offsets import first_kept, holds
from sagakit.runtime.telling import fields, place_of
from sagakit.runtime.topics import SAGAS_DEFINITIONS
from sagakit.runtime.wire import draft, parse

RECORDS_MAX = 1000
DEFINITIONS_MAX = 1000
"""From how many on nobody makes a new one known: every service keeps all of them, and none is ever taken back."""
PATIENCE_SECONDS = 0.5
"""How long whoever needs the definitions waits for them before looking whether it is to stop."""
log_lines = logging.getLogger(__name__)

ReadDefinition = Callable[[object], Saga]
"""What a shop makes of the data of a definition; raises DefinitionError for one that it cannot carry out."""


class Learner(Protocol):
    """Who acts in sagas, and can act in one more."""

    def learn(self, saga: Saga) -> None:
        """Act in this one too, from now on; ValueError when that cannot be."""


class Definitions:
    """The loop by which a service follows the topic of definitions; `sagas` are those that hold, by their `ref`."""

    def __init__(
        self,
        service: str,
        log: Log,
        contracts: Contracts,
        *,
        known: Iterable[Saga],
        read: ReadDefinition,
        learner: Learner,
    ) -> None:
        """Teach `learner` what comes beside those that it knows already, and that nobody may redefine."""
        self.name = f"{service} definitions"
        self.counts: Counter[str] = Counter()
        self.sagas = {saga.ref: saga for saga in known}
        self._log = log
        self._contracts = contracts
        self._read = read
        self._learner = learner
        self._positions: dict[tuple[str, int], int] | None = None
        self._loaded = asyncio.Event()

    @property
    def ready(self) -> bool:
        """True once the end of the topic was reached for the first time."""
        return self._loaded.is_set()

    async def loaded(self) -> bool:
        """Tell whether the end was reached; waits a little for it."""
        if not self.ready:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._loaded.wait(), PATIENCE_SECONDS)
        return self.ready

    async def step(self) -> bool:
        """Take up what is new; tell whether there was anything.

        Raises:
            OffsetOutOfRangeError: when the topic was cut off under us; the next step begins anew.
        """
        if self._positions is None:
            self._positions = await _beginnings(self._log)
        try:
            records = await self._log.fetch(self._positions, RECORDS_MAX)
        except OffsetOutOfRangeError:
            self._positions = None
            raise
        for record in records:
            self._take_up(record)
            self._positions[record.topic, record.partition] = record.offset + 1
        if not records:
            self._loaded.set()
        return bool(records)

    async def wait(self, seconds: float) -> None:
        """Return when there may be something new, or after that time."""
        await self._log.wait(seconds)

    async def close(self) -> None:
        """There is no place to give up."""

    def _take_up(self, record: Record) -> None:
        """Learn what the record says. One that says nothing useful is counted and told, and stops nobody."""
        where, extra = f"{record.topic}-{record.partition}@{record.offset}", fields(**place_of(record))
        try:
            saga = self._saga_in(record)
            known = self.sagas.get(saga.ref)
            if known is None:
                self._learner.learn(saga)
        except (UnreadableError, DefinitionError, ValueError) as error:
            self.counts["refused definitions"] += 1
            told = "%s: %s holds no definition that is of use here: %s"
            log_lines.warning(told, self.name, where, error, extra=extra)
            return
        if known is None:
            self.sagas[saga.ref] = saga
            self.counts["definitions"] += 1
            log_lines.info("%s: learned %s", self.name, saga.ref)
        elif known != saga:
            self.counts["ignored definitions"] += 1
            told = "%s: %s says something else of %s, which holds as it was"
            log_lines.warning(told, self.name, where, saga.ref, extra=extra)

    def _saga_in(self, record: Record) -> Saga:
        message = self._contracts.current(parse(record))
        if message.type != SAGA_DEFINED:
            raise UnreadableError(f"{message.type} is no {SAGA_DEFINED}")
        try:
            saga = self._read(msgspec.json.decode(message.data))
        except msgspec.DecodeError as error:
            raise UnreadableError(f"the body is no JSON: {error}") from error
        if saga.ref != message.saga_id:
            raise UnreadableError(f"its key is {message.saga_id}, but it defines {saga.ref}")
        return saga


def defined(saga: Saga, source: str, at: datetime) -> Draft:
    """Return the message that makes a definition known to every service."""
    message = Message(
        id=message_id(saga.ref, "", SAGA_DEFINED),
        type=SAGA_DEFINED,
        source=source,
        time=at,
        saga_id=saga.ref,
        correlation_id=saga.ref,
        causation_id="",
        definition=saga.ref,
        data=encode_data(to_data(saga)),
    )
    return draft(SAGAS_DEFINITIONS, message)


async def _beginnings(log: Log) -> dict[tuple[str, int], int]:
    """Return where each partition begins: at 0, but for one whose first records were dropped."""
    ends = await log.ends([SAGAS_DEFINITIONS])
    try:
        await log.fetch(dict.fromkeys(ends, 0), 1)
    except OffsetOutOfRangeError:
        return {place: await _beginning(log, place, end) for place, end in ends.items()}
    return dict.fromkeys(ends, 0)


async def _beginning(log: Log, place: tuple[str, int], end: int) -> int:
    return 0 if await holds(log, place, 0) else await first_kept(log, place, 0, end)
