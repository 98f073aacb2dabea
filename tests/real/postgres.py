"""PostgreSQL in a container: as durable as in production, and a fresh database for whoever asks."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from tests.real.engine import Engine, free_port
from tests.real.server import Server
from typing_extensions import override

IMAGE = "postgres:15"
USER = "sagaplane"
PASSWORD = "secret"
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
SMALL = ("max_connections=200", "shared_buffers=64MB")
NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Postgres(Server):
    """One PostgreSQL server."""

    port: int

    @classmethod
    def create(cls, engine: Engine) -> Self:
        """Make a server that is not started yet."""
        port = free_port()
        settings = [argument for setting in (*DURABLE, *SMALL, f"port={port}") for argument in ("-c", setting)]
        environment = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "postgres"}
        made = engine.create(IMAGE, "postgres", "postgres", *settings, environment=environment, ports=[port])
        return cls(engine, made, "postgres", port)

    @override
    def wait_until_ready(self) -> None:
        # While the files are made a server runs that listens at no address, so the address is asked for.
        self.wait_for_command(
            f"pg_isready --quiet --host 127.0.0.1 --port {self.port} --username {USER} --dbname postgres"
        )

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, sql: str) -> str:
        """Return what psql answers: rows in lines, columns between bars."""
        return self.execute(*self._psql(database), text=sql)

    @contextmanager
    def fresh(self, services: Sequence[str] = ()) -> Iterator[str]:
        """Offer the address of an empty database; with services, one for each and `{service}` in the address."""
        name = f"t{next(NUMBERS)}"
        databases = [f"{name}_{service}" for service in services] or [name]
        self.query("postgres", "".join(f'CREATE DATABASE "{database}";' for database in databases))
        try:
            yield self.url(f"{name}_{{service}}" if services else name)
        finally:
            self.mend()
            self.query("postgres", "".join(f'DROP DATABASE "{database}" WITH (FORCE);' for database in databases))

    def _psql(self, database: str) -> Sequence[str]:
        quiet = ("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1")
        return (*quiet, "--username", USER, "--port", str(self.port), "--dbname", database)
