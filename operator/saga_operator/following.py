"""The log, followed for the sagas that resources stand for: everything is read, and only what is theirs is parsed.

There is no consumer group and no stored offset: whoever begins to lead starts at the end of the topics, and asks the
order service how each saga stands after that. So nothing is missed, and what comes twice is no news.
"""

import logging
from collections import Counter
from collections.abc import Callable

from saga_operator.engine import Engine
from sagakit.core.contracts import Contracts, UnreadableError
from sagakit.ports import Log, OffsetOutOfRangeError
from sagakit.runtime.telling import fields, ids_in, place_of
from sagakit.runtime.topics import SAGAS_EVENTS
from sagakit.runtime.wire import parse
from shop_contracts.order_saga import INVENTORY, ORDER, PAYMENT, SHIPPING

TOPICS = (*(party.events_topic for party in (ORDER, PAYMENT, INVENTORY, SHIPPING)), SAGAS_EVENTS)
RECORDS_MAX = 2000

log_lines = logging.getLogger(__name__)


class Follower:
    """A loop of the leader. After it has begun, the engine looks at every resource anew."""

    def __init__(self, log: Log, engine: Engine, contracts: Contracts, leads: Callable[[], bool]) -> None:
        """Tell `engine` what it wants to hear."""
        self.name = "follower"
        self.counts: Counter[str] = Counter()
        self._log = log
        self._engine = engine
        self._contracts = contracts
        self._leads = leads
        self._positions: dict[tuple[str, int], int] | None = None

    @property
    def follows(self) -> bool:
        """True while what is said is heard."""
        return self._positions is not None

    def restart(self) -> None:
        """Begin anew, at the end of the topics."""
        self._positions = None

    async def step(self) -> bool:
        """Take up what was said since; tell whether there was anything."""
        if not self._leads():
            self._positions = None
            return False
        if self._positions is None:
            self._positions = await self._log.ends(TOPICS)
            self._engine.begin()
        positions = self._positions
        try:
            records = await self._log.fetch(positions, RECORDS_MAX)
        except OffsetOutOfRangeError:
            self._positions = None
            raise
        if positions is not self._positions:
            return False  # it was begun anew meanwhile, or somebody else leads
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
            if record.key is None or not self._engine.follows(record.key):
                continue
            try:
                self._engine.heard(self._contracts.heard(record.topic, parse(record)))
                self.counts["messages"] += 1
            except UnreadableError as error:
                self.counts["unreadable"] += 1
                extra = fields(ids_in(record), **place_of(record))
                log_lines.warning("%s-%d@%d: %s", record.topic, record.partition, record.offset, error, extra=extra)
        self.counts["records"] += len(records)
        return bool(records)

    async def wait(self, seconds: float) -> None:
        """Return when there may be something new, or after that time."""
        await self._log.wait(seconds)
