"""Whose file it is, and how it is brought up to what the program declares."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sagakit.adapters.sqlite import SqliteLog, SqliteStore, WrongFileError
from sagakit.ports import DuplicateError, LogUnavailableError, Query, Store, StoreUnavailableError, Table
from sagakit.testing.contracts.things import OTHERS, THINGS, Other, Thing

BARE = replace(THINGS, indexes=(), unique=())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


async def test_a_store_of_a_newer_program_is_refused_with_a_sentence(path: Path) -> None:
    await SqliteStore(path, []).close()
    write(path, "UPDATE kit_schema SET version=99")
    with pytest.raises(WrongFileError, match=r"some.db: was written by a newer program \(store schema 99"):
        SqliteStore(path, [])


async def test_a_log_of_a_newer_program_is_refused_with_a_sentence(path: Path) -> None:
    await SqliteLog(path).close()
    write(path, "UPDATE kit_schema SET version=99")
    with pytest.raises(WrongFileError, match=r"some.db: was written by a newer program \(log schema 99"):
        SqliteLog(path)


async def test_a_log_is_no_store_and_a_store_is_no_log(path: Path, tmp_path: Path) -> None:
    await SqliteLog(path).close()
    with pytest.raises(WrongFileError, match="holds a log, not a store"):
        SqliteStore(path, [])
    await SqliteStore(tmp_path / "store.db", []).close()
    with pytest.raises(WrongFileError, match="holds a store, not a log"):
        SqliteLog(tmp_path / "store.db")


async def test_the_number_of_partitions_is_fixed_when_a_log_is_made(path: Path) -> None:
    await SqliteLog(path, 3).close()
    with pytest.raises(WrongFileError, match="has 3 partitions, not 4"):
        SqliteLog(path, 4)
    assert SqliteLog(path, 3).partitions == 3


@pytest.mark.parametrize("open_it", [lambda path: SqliteStore(path, []), SqliteLog])
def test_what_is_no_database_is_said(path: Path, open_it: Callable[[Path], object]) -> None:
    path.write_text("This is not a database, it only looks like one." * 100)
    with pytest.raises((StoreUnavailableError, LogUnavailableError), match="file is not a database; put a sound copy"):
        open_it(path)


@pytest.mark.parametrize("open_it", [lambda path: SqliteStore(path, []), SqliteLog])
def test_a_directory_that_is_not_there_is_said(path: Path, open_it: Callable[[Path], object]) -> None:
    with pytest.raises((StoreUnavailableError, LogUnavailableError), match="unable to open database file"):
        open_it(path.parent / "missing" / "some.db")


@pytest.mark.parametrize("name", ["kit_facts", "sqlite_master", "Things", "a b", 'a"b', ""])
def test_a_table_needs_a_plain_name(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a table"):
        SqliteStore(path, [replace(OTHERS, name=name)])


async def test_a_new_index_is_filled_from_the_records(path: Path) -> None:
    store = await reopened(None, path, BARE)
    things = [Thing(f"{number:04}", size=number, serial=str(number)) for number in range(2500)]
    await store.transact(lambda transaction: transaction.save(BARE, things))
    store = await reopened(store, path, THINGS)
    found = await store.view(lambda reader: reader.select(THINGS, Query(by="size", at_least=2490)))
    assert [thing.size for thing in found] == [*range(2490, 2500)]
    with pytest.raises(DuplicateError):
        await store.transact(lambda transaction: transaction.save(THINGS, [Thing("x", serial="7")]))
    await store.close()


async def test_an_index_declared_again_is_true_again(path: Path) -> None:
    store = await reopened(None, path, THINGS)
    await store.transact(lambda transaction: transaction.save(THINGS, [Thing("a", size=1)]))
    store = await reopened(store, path, BARE)
    await store.transact(lambda transaction: transaction.save(BARE, [Thing("a", size=2)]))
    store = await reopened(store, path, THINGS)
    assert await store.view(lambda reader: reader.select(THINGS, Query(where={"size": 1}))) == []
    assert await store.view(lambda reader: reader.select(THINGS, Query(where={"size": 2}))) == [Thing("a", size=2)]
    await store.close()


async def test_an_index_that_became_unique_is_made_anew(path: Path) -> None:
    plain = Table("others", Other, "name", (("size",),))
    unique = Table("others", Other, "name", unique=(("size",),))
    store = await reopened(None, path, plain)
    await store.transact(lambda transaction: transaction.save(plain, [Other("a", 1)]))
    store = await reopened(store, path, unique)
    with pytest.raises(DuplicateError):
        await store.transact(lambda transaction: transaction.save(unique, [Other("b", 1)]))
    await store.close()


async def test_an_index_that_records_already_break_is_said(path: Path) -> None:
    store = await reopened(None, path, BARE)
    await store.transact(lambda transaction: transaction.save(BARE, [Thing("a", serial="1"), Thing("b", serial="1")]))
    await store.close()
    with pytest.raises(WrongFileError, match="things_has_one_serial: cannot be"):
        SqliteStore(path, [THINGS])


async def test_a_table_keeps_its_key(path: Path) -> None:
    store = await reopened(None, path, THINGS)
    await store.close()
    with pytest.raises(WrongFileError, match="things: is not keyed by serial"):
        SqliteStore(path, [replace(BARE, key="serial")])


async def test_a_table_the_store_was_not_opened_with_is_named(path: Path) -> None:
    store = await reopened(None, path, THINGS)
    with pytest.raises(LookupError, match="others: the store was not opened with this table"):
        await store.view(lambda reader: reader.load(OTHERS, ["a"]))
    await store.close()


async def reopened(before: Store | None, path: Path, table: Table[Thing] | Table[Other]) -> Store:
    if before is not None:
        await before.close()
    return SqliteStore(path, [table])


def write(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()
