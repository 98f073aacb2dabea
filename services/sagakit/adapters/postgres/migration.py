"""Bringing a schema up to what this program declares: alembic compares and writes the SQL, and only what adds is done.

What is in the database and not declared stays: an older program beside this one may need it. A record is kept whole, so
a new column is filled from the records that are there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from sagakit.adapters.postgres.connections import Address, connect
from sagakit.adapters.postgres.errors import LOST, WrongDatabaseError, in_our_words, line_of, state_of
from sagakit.adapters.postgres.schema import refuse_old, this_version
from sagakit.adapters.postgres.tables import DOC, REVISION, RowFormat
from sagakit.adapters.shared.queries import quoted
from sagakit.ports import Table

T = TypeVar("T")

KINDS: dict[str, Any] = {
    "boolean": sa.Boolean(),
    "bigint": sa.BigInteger(),
    "double precision": sa.Double(),
    "timestamptz": sa.TIMESTAMP(timezone=True),
    'text COLLATE "C"': sa.Text(collation="C"),
}
TEXT_C = sa.Text(collation="C")
RECORDS_PER_STEP = 1000
RECORD_BYTES_INLINE = 4000
"""Up to this size a record stands in its row. It is not compressed: that costs more than it saves."""
HOT = {"fillfactor": "60", "autovacuum_vacuum_scale_factor": "0.05"}
QUEUE = {"autovacuum_vacuum_scale_factor": "0.0", "autovacuum_vacuum_threshold": "1000"}
NAME_LENGTH_MAX = 63
LOCK_SECONDS_MAX = 3
"""While a change waits for a table, every statement of the running services waits behind it."""
SESSION = {"search_path": "pg_catalog", "lock_timeout": f"{LOCK_SECONDS_MAX}s"}
"""No schema of ours is the default one, whatever the role is called: every name is written with its schema."""
DUPLICATES = "23505"
MIGRATION_LOCK = 0x5A6A


async def migrate(address: Address, tables: Iterable[Table[Any]], *, dry: bool = False) -> list[str]:
    """Add to the schema what it lacks, or only look; return what that was, in words.

    Raises:
        StoreUnavailableError: when the database cannot be reached.
        WrongDatabaseError: when the address or the rights are wrong, or something there cannot be built upon.
    """
    formats = [RowFormat(table, address.schema) for table in tables]
    return await _within(address, lambda connection: _bring_up(connection, address, formats, dry=dry))


async def drop(address: Address) -> None:
    """Remove a schema with all that is in it; one that is not there is no error.

    Raises:
        StoreUnavailableError: when the database cannot be reached, or the schema is in use.
        WrongDatabaseError: when the address or the rights are wrong.
    """
    removal = sa.schema.DropSchema(address.schema, cascade=True, if_exists=True)
    await _within(address, lambda connection: connection.execute(removal))


async def _within(address: Address, do: Callable[[sa.Connection], T]) -> T:
    """Do something in one transaction."""
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=sa.NullPool, async_creator=lambda: connect(address, server_settings=SESSION)
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(do)
    except DBAPIError as error:
        cause = getattr(error.orig, "__cause__", None) or error.orig or error
        if state_of(cause) == DUPLICATES:
            raise WrongDatabaseError(f"{address}: {line_of(cause)}; correct the records, then run it again") from error
        raise in_our_words(cause, str(address)) from error
    except LOST as error:
        raise in_our_words(error, str(address)) from error
    finally:
        await engine.dispose()


def _bring_up(
    connection: sa.Connection, address: Address, formats: Sequence[RowFormat[Any]], *, dry: bool
) -> list[str]:
    connection.execute(sa.text("SET LOCAL lock_timeout = 0"))  # a change before ours may take its time
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'"))
    there = sa.inspect(connection).has_schema(address.schema)
    if dry and not there:
        return [f"{address}: the whole schema"]
    if not there:
        connection.execute(sa.schema.CreateSchema(address.schema))
    kit_schema = sa.inspect(connection).has_table("kit_schema", schema=address.schema)
    if kit_schema:
        asked = f"SELECT oldest FROM {quoted(address.schema)}.kit_schema"  # noqa: S608 - our own words
        refuse_old(address, connection.scalar(sa.text(asked)))
    metadata = declared(address.schema, formats)
    context = MigrationContext.configure(
        connection,
        opts={
            "target_metadata": metadata,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == address.schema,
        },
    )
    upgrade = produce_migrations(context, metadata).upgrade_ops
    assert upgrade is not None, "alembic compares in this direction"
    changes = [*_additions(upgrade)]
    said = _said(address, changes, fresh=not kit_schema)
    if dry or not changes:
        return said
    operations = Operations(context)
    columns = [change for change in changes if isinstance(change, ops.AddColumnOp)]
    for change in sorted(changes, key=lambda change: isinstance(change, ops.CreateIndexOp)):
        operations.invoke(change)
        if isinstance(change, ops.CreateTableOp):
            _tune(connection, address, change.table_name)
        if columns and change is columns[-1]:
            for form in formats:
                if any(column.table_name == form.table.name for column in columns):
                    _fill(connection, form)
    _sign(connection, address, breaks_older=bool(columns))
    return said


def declared(schema: str, formats: Sequence[RowFormat[Any]]) -> sa.MetaData:
    """Return all tables of a schema as SQLAlchemy names them."""
    metadata = sa.MetaData(schema=schema)
    sa.Table(
        "kit_schema",
        metadata,
        sa.Column("one", sa.Boolean(), sa.CheckConstraint("one"), primary_key=True),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("oldest", sa.Text(), nullable=False),
    )
    sa.Table(
        "kit_facts",
        metadata,
        sa.Column("stream", TEXT_C, primary_key=True),
        sa.Column("first_version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last_version", sa.Integer(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("facts_json", sa.Text(), nullable=False),
    )
    sa.Table(
        "kit_claims",
        metadata,
        sa.Column("message_id", TEXT_C, primary_key=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Index("kit_claims_by_at", "at"),
    )
    sa.Table(
        "kit_progress",
        metadata,
        sa.Column("consumer", TEXT_C, primary_key=True),
        sa.Column("topic", TEXT_C, primary_key=True),
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
    )
    sa.Table(
        "kit_writers",
        metadata,
        sa.Column("writer", TEXT_C, primary_key=True),
        sa.Column("commits", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
    )
    sa.Table(
        "kit_outbox",
        metadata,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("drafts", postgresql.BYTEA(), nullable=False),
    )
    for form in formats:
        _declare(metadata, form)
    return metadata


def _declare(metadata: sa.MetaData, form: RowFormat[Any]) -> None:
    table = form.table
    sa.Table(
        table.name,
        metadata,
        sa.Column(table.key, KINDS[form.types[table.key]], primary_key=True, autoincrement=False),
        *(sa.Column(name, KINDS[form.types[name]]) for name in form.columns),
        sa.Column(REVISION, sa.BigInteger(), nullable=False),
        sa.Column(DOC, sa.Text(), nullable=False),
        *(_index(table, index, unique=False) for index in table.indexes),
        *(_index(table, index, unique=True) for index in table.unique),
    )


def _index(table: Table[Any], index: tuple[str, ...], *, unique: bool) -> sa.Index:
    """Return the index; where a null would never be found by it, it is left out: updates are cheaper."""
    sparse = index if unique or len(index) == 1 else ()
    condition = sa.and_(*(sa.column(name).is_not(None) for name in sparse)) if sparse else None
    joint = "has_one" if unique else "by"
    name = f"{table.name}_{joint}_{'_and_'.join(index)}"[:NAME_LENGTH_MAX]
    return sa.Index(name, *index, unique=unique, postgresql_where=condition)


def _additions(found: ops.UpgradeOps | ops.ModifyTableOps) -> Iterator[Any]:
    """Yield what adds something; what would take something away is left to people."""
    for change in found.ops:
        if isinstance(change, ops.ModifyTableOps):
            yield from _additions(change)
        elif isinstance(change, ops.CreateTableOp | ops.AddColumnOp | ops.CreateIndexOp):
            yield change


def _said(address: Address, changes: Sequence[Any], *, fresh: bool) -> list[str]:
    """Return what is lacking in words; the indexes of a table that lacks go without saying."""
    tables = [change.table_name for change in changes if isinstance(change, ops.CreateTableOp)]
    if fresh and changes:
        return [f"{address}: all {len(tables)} tables"]
    said = [f"{address}: table {name}" for name in tables]
    for change in changes:
        if isinstance(change, ops.AddColumnOp):
            said.append(f"{address}: column {change.table_name}.{change.column.name}")
        elif isinstance(change, ops.CreateIndexOp) and change.table_name not in tables:
            said.append(f"{address}: index {change.index_name}")
    return said


def _tune(connection: sa.Connection, address: Address, table: str) -> None:
    """Say how a table is used: rows that are changed in place, a queue, or rows that stay."""
    name = f"{quoted(address.schema)}.{quoted(table)}"
    if table == "kit_outbox":
        options = QUEUE
        connection.execute(sa.text(f"ALTER TABLE {name} ALTER drafts SET STORAGE EXTERNAL"))
    elif table.startswith("kit_"):
        return
    else:
        options = {**HOT, "toast_tuple_target": str(RECORD_BYTES_INLINE)}
        connection.execute(sa.text(f"ALTER TABLE {name} ALTER {DOC} SET STORAGE EXTERNAL"))
    said = ", ".join(f"{option}={value}" for option, value in options.items())
    connection.execute(sa.text(f"ALTER TABLE {name} SET ({said})"))


def _fill(connection: sa.Connection, form: RowFormat[Any]) -> None:
    """Fill new columns from the records, which are kept whole."""
    key, name = quoted(form.table.key), form.name
    decode = msgspec.json.Decoder(form.table.record).decode
    changes = ", ".join(f"{quoted(column)}=:{column}" for column in form.columns)
    step = sa.text(f"SELECT {key}, {DOC} FROM {name} WHERE {key}>:after ORDER BY {key} LIMIT {RECORDS_PER_STEP}")  # noqa: S608 - our own words
    change = sa.text(f"UPDATE {name} SET {changes} WHERE {key}=:kit_key")  # noqa: S608 - our own words
    after = ""
    while rows := connection.execute(step, {"after": after}).fetchall():
        for found, document in rows:
            (_, *columns, _) = form.arrays([decode(document)])
            values = dict(zip(form.columns, (column[0] for column in columns), strict=True))
            connection.execute(change, {"kit_key": found, **values})
        after = rows[-1][0]


def _sign(connection: sa.Connection, address: Address, *, breaks_older: bool) -> None:
    """Note which program wrote the schema, and the oldest that may run on it: one that fills every column."""
    ours = this_version()
    name = f"{quoted(address.schema)}.kit_schema"
    connection.execute(
        sa.text(
            f"INSERT INTO {name} AS s (one, written_by, oldest) VALUES (true, :ours, :oldest)"  # noqa: S608 - our own words
            " ON CONFLICT (one) DO UPDATE SET written_by=:ours,"
            " oldest=CASE WHEN :breaks THEN :ours ELSE s.oldest END"
        ),
        {"ours": ours, "oldest": ours, "breaks": breaks_older},
    )
