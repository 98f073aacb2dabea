"""Questions about sagas, asked of any reader: which there are, one by either of its ids, what it went through."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import msgspec

from sagakit.core.facts import AnyFact, Phase, decode_fact
from sagakit.core.state import SagaState
from sagakit.ports import Reader, Store
from sagakit.runtime.paging import PAGE_LIMIT, Page, merged_page
from sagakit.runtime.tracker import CORRELATIONS, SAGAS

SCAN_LIMIT = 1000


class SagaFilter(msgspec.Struct, frozen=True):
    """Which sagas are meant: all that are equal in what is given, and began before `started_before`."""

    phase: Phase | None = None
    reason: str | None = None
    started_before: datetime | None = None

    @property
    def wheres(self) -> list[dict[str, object]]:
        """Every combination of indexed values that matches."""
        phases = (self.phase,) if self.phase is not None else tuple(Phase)
        reason = {} if self.reason is None else {"reason": self.reason}
        return [{**reason, "phase": phase} for phase in phases]


async def page_of_sagas(
    reader: Reader, wanted: SagaFilter, cursor: str | None = None, limit: int = PAGE_LIMIT
) -> Page[SagaState]:
    """Return one page of sagas, the latest begun first."""
    return await merged_page(
        reader, SAGAS, wanted.wheres, by="started_at", cursor=cursor, limit=limit, below=wanted.started_before
    )


async def find_saga(reader: Reader, name: str) -> SagaState | None:
    """Return the saga of that id, or else the one whose correlation id it is."""
    found = await reader.load(SAGAS, [name])
    if name in found:
        return found[name]
    owner = (await reader.load(CORRELATIONS, [name])).get(name)
    return (await reader.load(SAGAS, [owner.saga_id])).get(owner.saga_id) if owner is not None else None


async def count_sagas(store: Store, wanted: SagaFilter) -> int:
    """Return how many sagas match; a bound in time is counted page by page, so that nobody waits for it long."""
    if wanted.started_before is None:

        async def count(reader: Reader) -> int:
            return sum([await reader.count(SAGAS, where) for where in wanted.wheres])

        return await store.view(count)
    total = 0
    async for states in scan_sagas(store, wanted):
        total += len(states)
    return total


async def scan_sagas(store: Store, wanted: SagaFilter) -> AsyncIterator[Sequence[SagaState]]:
    """Yield all sagas that match, a view for each page."""
    cursor: str | None = None
    while True:
        at = cursor
        page = await store.view(lambda reader: page_of_sagas(reader, wanted, at, SCAN_LIMIT))  # noqa: B023 - awaited at once
        yield page.records
        cursor = page.next_cursor
        if cursor is None:
            return


async def facts_of(reader: Reader, saga_id: str) -> list[AnyFact]:
    """Return everything the saga went through, the oldest first."""
    return [decode_fact(stored.body) for stored in await reader.read(saga_id)]
