"""Reading within one transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from sagakit.adapters.postgres.connections import Connection
from sagakit.adapters.postgres.kit import KitTables
from sagakit.adapters.postgres.tables import RowFormat
from sagakit.ports import Query, StoredFact, Table

R = TypeVar("R", bound=msgspec.Struct)

bodies_of = msgspec.json.Decoder(list[msgspec.Raw]).decode


class PostgresReader:
    """Reads by one connection that is within a transaction."""

    def __init__(self, connection: Connection, formats: Mapping[str, RowFormat[Any]], kit: KitTables) -> None:
        """Read the tables of these formats."""
        self._connection = connection
        self._formats = formats
        self._kit = kit

    async def load(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        form = self._form(table)
        wanted = list(dict.fromkeys(keys))
        rows = await self._connection.fetch(form.load, wanted) if wanted else []
        decode = form.decode
        return {key: decode(document) for key, _, document in rows}

    async def select(self, table: Table[R], query: Query) -> list[R]:
        form = self._form(table)
        decode = form.decode
        text, values = form.queries.select(query)
        return [decode(document) for (document,) in await self._connection.fetch(text, *values)]

    async def count(self, table: Table[R], where: Mapping[str, Any]) -> int:
        text, values = self._form(table).queries.count(where)
        return int(await self._connection.fetchval(text, *values))

    async def read(self, stream: str, after: int = 0) -> list[StoredFact]:
        rows = await self._connection.fetch(self._kit.read_facts, stream, after)
        return [
            StoredFact(stream, version, at, body)
            for first, at, facts in rows
            for version, body in enumerate(bodies_of(facts), first)
            if version > after
        ]

    async def progress(self, group: str) -> dict[tuple[str, int], int]:
        rows = await self._connection.fetch(self._kit.progress, group)
        return {(topic, partition): next_offset for topic, partition, next_offset in rows}

    def _form(self, table: Table[R]) -> RowFormat[R]:
        form = self._formats.get(table.name)
        if form is None:
            raise LookupError(f"{table.name}: the store was not opened with this table")
        return cast("RowFormat[R]", form)
