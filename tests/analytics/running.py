"""The whole analytics service over memory, stepped by hand: nothing runs in the background, and nobody sleeps."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from tests.analytics.shop import Hand, topic_of

from analytics_service.series import milliseconds
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import VIEWS
from analytics_service.wiring import TABLES, build
from sagakit.adapters.memory import MemoryLog, MemoryLogState, MemoryState, MemoryStore
from sagakit.core.messages import Message
from sagakit.runtime.service import Service
from sagakit.runtime.wire import draft

Json = dict[str, Any]
TURNS_MAX = 200
NOW_MS = milliseconds(Hand().now())


class MemoryStores:
    """Keeps the promises of `Stores`, as files would: what was closed can be opened again, and holds what it held."""

    def __init__(self) -> None:
        self.states: dict[int, MemoryState] = {}

    def open(self, version: int) -> MemoryStore:
        return MemoryStore(VIEWS, self.states.setdefault(version, MemoryState()))

    async def drop(self, version: int) -> None:
        self.states.pop(version, None)


@dataclass
class Running:
    """One service, what it stands on, and a caller."""

    settings: AnalyticsSettings = field(default_factory=lambda: AnalyticsSettings(port=0))
    clock: Hand = field(default_factory=Hand)
    catalogue: MemoryStore = field(default_factory=lambda: MemoryStore(TABLES))
    stores: MemoryStores = field(default_factory=MemoryStores)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.clock, MemoryLogState(2))
        self.service: Service = build(self.settings, self.catalogue, self.stores, self.log, self.clock)
        transport = httpx.ASGITransport(self.service.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://analytics")

    async def publish(self, messages: Iterable[Message]) -> None:
        """Let the log have the messages, one after the other, a millisecond apart."""
        for message in messages:
            self.clock.moment += timedelta(milliseconds=1)
            topic = "users" if message.type == "UserProfileUpdated" else topic_of(message.type)
            await self.log.publish([draft(topic, message)])

    async def hear(self, messages: Iterable[Message] = ()) -> None:
        """Let the service hear these, and all else that is in the log, until nothing more happens."""
        await self.publish(messages)
        for _ in range(TURNS_MAX):
            if not any([await loop.steps.step() for loop in self.service.runner.loops]):
                return
        raise AssertionError("it never comes to rest")

    async def ask(self, path: str, status: int = 200, method: str = "GET", **more: Any) -> Json:  # noqa: ANN401
        """Return what the service answers, once that has the status it should have."""
        answer = await self.client.request(method, path, **more)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        told: Json = answer.json() if answer.content else {}
        return told

    async def pages(self, path: str, limit: int) -> list[list[Json]]:
        """Return the pages of a list, as somebody finds them who follows the cursors."""
        found, cursor = [], ""
        while True:
            page = await self.ask(f"{path}?limit={limit}{cursor}")
            found.append(page["items"])
            if page["nextCursor"] is None:
                return found
            cursor = f"&cursor={page['nextCursor']}"
