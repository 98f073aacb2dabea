"""The services of a release, asked through the API server, and what their sagas are called among the resources."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
from typing_extensions import override

from onebox.client import Shop, path_of
from onebox.errors import Failure, Unreachable
from onebox.kubectl.api_server import HOST, PLURAL, RESOURCES, silent
from onebox.kubectl.place import SELECTOR, Place
from onebox.kubectl.refusals import refusal
from onebox.kubectl.wording import PROGRAM
from onebox.settings import ctl_settings

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
"""A row for each resource, as `kubectl get` shows it, and not the whole of it."""
PAGE_SIZE = 500


class ClusterShop(Shop):
    """All services of one release."""

    def __init__(self, socket: Path, place: Place, namespace: str) -> None:
        """Speak to them through the socket; the namespace is that of the resources."""
        self._socket = str(socket)
        self._place = place
        self._namespace = namespace
        urls = {service: f"{HOST}{self._place.path(service)}" for service in self._place.services}
        through = httpx.AsyncHTTPTransport(uds=self._socket)
        super().__init__(replace(ctl_settings(), urls=urls), dict.fromkeys(urls, through))

    @override
    async def names(self, saga_ids: Collection[str]) -> Mapping[str, str]:
        """Return how the OrderSagas of these sagas are called; none where they may not be looked at."""
        wanted, found = set(saga_ids), dict[str, str]()
        query: dict[str, str] = {"limit": str(PAGE_SIZE), "includeObject": "None"}
        path = f"{RESOURCES}{path_of('namespaces', self._namespace, PLURAL)}"
        async with httpx.AsyncClient(
            base_url=HOST,
            transport=httpx.AsyncHTTPTransport(uds=self._socket),
            timeout=self.settings.timeout_seconds,
            trust_env=False,
        ) as client:
            while wanted - found.keys():
                try:
                    response = await client.get(path, params=query, headers={"Accept": TABLE})
                    table = msgspec.json.decode(response.content, type=_Table)
                except (httpx.HTTPError, msgspec.DecodeError):
                    return found
                found |= {saga: name for saga, name in table.pairs() if saga in wanted}
                if not table.metadata.next:
                    return found
                query["continue"] = table.metadata.next
        return found

    @override
    def _client(self, service: str) -> httpx.AsyncClient:
        if service not in self._place.services:
            see = self._place.line("get", "services", f"--selector={SELECTOR}")
            raise Unreachable(f"{self._place.release} has no {service} service", f"see what it has: {see}")
        return super()._client(service)

    @override
    def _silent(self, service: str, error: httpx.HTTPError) -> Unreachable:
        if isinstance(error, httpx.TimeoutException):
            why = f"did not answer within {self.settings.timeout_seconds:g} s"
            remedy = "try again, or raise SAGACTL_TIMEOUT_SECONDS"
            return Unreachable(f"the {service} service of {self._place.release} {why}", remedy)
        return silent(error, self._place)

    @override
    def _refused(self, service: str, response: httpx.Response) -> Failure:
        return refusal(response, self._place, service) or super()._refused(service, response)

    @override
    def _unreadable(self, service: str, response: httpx.Response, why: str) -> Unreachable:
        cause = f"the {service} service of {self._place.release} answered what {PROGRAM} cannot read: {why}"
        see = self._place.line("get", "services", "--show-labels")
        return Unreachable(cause, f"check that the versions match: {see}")


class _Next(msgspec.Struct, frozen=True):
    next: str = msgspec.field(name="continue", default="")


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Row(msgspec.Struct, frozen=True):
    cells: list[Any]


class _Table(msgspec.Struct, frozen=True, rename="camel"):
    """Resources as rows."""

    column_definitions: list[_Named]
    rows: list[_Row]
    metadata: _Next

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each saga, and the name of its resource."""
        heads = [column.name for column in self.column_definitions]
        name, saga = heads.index("Name"), heads.index("Saga")
        return ((str(row.cells[saga]), str(row.cells[name])) for row in self.rows if row.cells[saga])
