"""A schema is brought up to what a program declares: only added to, once, and whoever is too old is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from tests.real.postgres_world import connected

from sagakit.adapters.postgres import Address, PostgresStore, WrongDatabaseError, migration, schema
from sagakit.adapters.postgres.migration import drop, migrate
from sagakit.ports import Query, StoreUnavailableError
from sagakit.testing.contracts import TABLES
from sagakit.testing.contracts.things import OTHERS, THINGS, Colour, Other, Thing, minutes

pytestmark = pytest.mark.real

DESCRIPTION = """
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema=$1
UNION ALL SELECT tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname=$1
ORDER BY 1, 2
"""
BARE = replace(THINGS, indexes=(), unique=())
"""Things as a program declared them before it had any index."""
VERSIONS = ("1.1.0", "1.2.0")
MANY = migration.RECORDS_PER_STEP + 10
SECONDS_MAX = 60.0


@pytest.fixture
def address(database_url: str) -> Address:
    return Address(database_url, "shop")


async def described(address: Address) -> list[tuple[str, ...]]:
    async with connected(address.url) as own:
        return [tuple(row) for row in await own.fetch(DESCRIPTION, address.schema)]


async def signed(address: Address) -> tuple[str, str]:
    async with connected(address.url) as own:
        row = await own.fetchrow(f'SELECT written_by, oldest FROM "{address.schema}".kit_schema')  # noqa: S608
        return (row["written_by"], row["oldest"])


@asynccontextmanager
async def opened(address: Address, *tables: object) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(address, tables or TABLES)  # type: ignore[arg-type]
    try:
        yield store
    finally:
        await store.close()


async def test_a_dry_run_says_what_lacks_and_changes_nothing(address: Address) -> None:
    assert await migrate(address, TABLES, dry=True) == [f"{address}: the whole schema"]
    assert await described(address) == []
    await migrate(address, [OTHERS])
    before = await described(address)
    assert await migrate(address, [OTHERS, BARE], dry=True) == [f"{address}: table things"]
    assert await described(address) == before


async def test_what_is_made_is_told_and_a_second_run_changes_nothing(address: Address) -> None:
    assert await migrate(address, TABLES) == [f"{address}: all {len(schema.KIT) + len(TABLES)} tables"]
    before, signature = await described(address), await signed(address)
    assert await migrate(address, TABLES, dry=True) == []
    assert await migrate(address, TABLES) == []
    assert (await described(address), await signed(address)) == (before, signature)
    async with opened(address) as store:
        await store.check()


async def test_several_at_once_are_as_good_as_one(address: Address) -> None:
    said = await asyncio.gather(*(migrate(address, TABLES) for _ in range(3)))
    assert sorted(map(len, said)) == [0, 0, 1]
    async with opened(address) as store:
        await store.check()


async def test_a_role_that_is_named_like_its_schema_and_may_little_makes_and_uses_it(
    address: Address,
) -> None:
    database = urlsplit(address.url).path.strip("/")
    async with connected(address.url) as own:
        await own.execute("""CREATE ROLE "order" LOGIN PASSWORD 'hush'; REVOKE ALL ON SCHEMA public FROM PUBLIC""")
        await own.execute(f'GRANT CREATE ON DATABASE "{database}" TO "order"')
    parts = urlsplit(address.url)
    theirs = Address(parts._replace(netloc=f"order:hush@{parts.hostname}:{parts.port}").geturl(), "order")
    try:
        assert len(await migrate(theirs, TABLES)) == 1
        assert await migrate(theirs, TABLES) == []
        async with opened(theirs) as store:
            await store.check()
            await store.transact(lambda transaction: transaction.save(THINGS, [Thing("a", size=1)]))
            found = await store.view(lambda reader: reader.select(THINGS, Query(by="size")))
        assert [thing.key for thing in found] == ["a"]
    finally:
        async with connected(address.url) as own:
            await own.execute('DROP OWNED BY "order" CASCADE; DROP ROLE "order"')


async def test_a_role_without_rights_is_told_what_lacks(address: Address) -> None:
    async with connected(address.url) as own:
        await own.execute("CREATE ROLE poor LOGIN PASSWORD 'hush'")
    parts = urlsplit(address.url)
    theirs = Address(parts._replace(netloc=f"poor:hush@{parts.hostname}:{parts.port}").geturl(), "shop")
    try:
        with pytest.raises(WrongDatabaseError, match="permission denied") as caught:
            await migrate(theirs, TABLES)
        assert "SAGAPLANE_DATABASE_URL" in str(caught.value)
        assert "\n" not in str(caught.value)
    finally:
        async with connected(address.url) as own:
            await own.execute("DROP ROLE poor")


async def test_new_indexes_have_columns_that_are_filled_from_the_records(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = VERSIONS
    monkeypatch.setattr(migration, "this_version", lambda: old)
    monkeypatch.setattr(schema, "this_version", lambda: old)
    await migrate(address, [BARE])
    things = [
        Thing(f"{n:05}", Colour.BLUE if n % 2 else Colour.RED, n, minutes(n), bool(n % 3), n / 7, f"s{n}")
        for n in range(MANY)
    ]
    async with opened(address, BARE) as store:
        await store.transact(lambda transaction: transaction.save(BARE, [*things, Thing("none")]))
        assert await signed(address) == (old, old)

        monkeypatch.setattr(migration, "this_version", lambda: new)
        said = await migrate(address, [THINGS])
        assert f"{address}: column things.size" in said
        assert await signed(address) == (new, new)
        with pytest.raises(WrongDatabaseError) as caught:
            await store.check()
        assert str(caught.value) == f"{address} needs Sagaplane {new} or newer, and this is {old}; upgrade this program"

    monkeypatch.setattr(schema, "this_version", lambda: new)
    async with opened(address, THINGS) as store:
        await store.check()
        blue = Query({"colour": Colour.BLUE}, by="size", limit=MANY)
        found = await store.view(lambda reader: reader.select(THINGS, blue))
        assert found == [thing for thing in things if thing.colour is Colour.BLUE]
        due = Query(by="due", at_least=minutes(10), below=minutes(20))
        assert await store.view(lambda reader: reader.select(THINGS, due)) == things[10:20]
        assert await store.view(lambda reader: reader.select(THINGS, Query({"serial": "s7"}))) == [things[7]]
        assert await store.view(lambda reader: reader.count(THINGS, {"size": None})) == 1


async def test_an_older_program_neither_brings_the_schema_up_nor_down(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = VERSIONS
    monkeypatch.setattr(migration, "this_version", lambda: new)
    await migrate(address, TABLES)
    before = await described(address)
    monkeypatch.setattr(schema, "this_version", lambda: old)
    with pytest.raises(WrongDatabaseError, match="upgrade this program"):
        await migrate(address, [*TABLES, replace(OTHERS, name="more")])
    assert await described(address) == before


async def test_a_table_or_an_index_more_leaves_older_programs_running(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = VERSIONS
    monkeypatch.setattr(migration, "this_version", lambda: old)
    monkeypatch.setattr(schema, "this_version", lambda: new)
    await migrate(address, [OTHERS])
    monkeypatch.setattr(migration, "this_version", lambda: new)
    more = replace(OTHERS, name="more")
    assert await migrate(address, [OTHERS, more]) == [f"{address}: table more"]
    again = replace(OTHERS, indexes=(*OTHERS.indexes, ("size", "name")))
    assert await migrate(address, [again, more]) == [f"{address}: index others_by_size_and_name"]
    assert await signed(address) == (new, old)
    monkeypatch.setattr(schema, "this_version", lambda: old)
    async with opened(address, OTHERS) as store:
        await store.check()


async def test_nothing_that_is_not_declared_is_taken_away(address: Address) -> None:
    await migrate(address, TABLES)
    async with opened(address) as store:
        await store.transact(lambda transaction: transaction.save(THINGS, [Thing("a", size=1, serial="s")]))
        async with connected(address.url) as own:
            await own.execute(f"""CREATE TABLE "{address.schema}".notes (note text);
                ALTER TABLE "{address.schema}".others ADD remark text;
                CREATE INDEX ON "{address.schema}".others (remark)""")
        before = await described(address)
        assert await migrate(address, [BARE, replace(OTHERS, indexes=())]) == []
        assert await described(address) == before
        assert [*await store.view(lambda reader: reader.load(THINGS, ["a"]))] == ["a"]


async def test_records_that_a_new_unique_index_would_refuse_are_told_and_the_schema_stays(
    address: Address,
) -> None:
    await migrate(address, [BARE])
    async with opened(address, BARE) as store:
        doubles = [Thing("a", serial="s"), Thing("b", serial="s")]
        await store.transact(lambda transaction: transaction.save(BARE, doubles))
    before = await described(address)
    with pytest.raises(WrongDatabaseError, match=r"things_has_one_serial.*correct the records") as caught:
        await migrate(address, [THINGS])
    assert "\n" not in str(caught.value)
    assert await described(address) == before


async def test_a_change_does_not_wait_for_a_table_that_is_long_in_use_and_is_made_when_it_is_free(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "LOCK_SECONDS_MAX", 1)
    await migrate(address, [BARE])
    async with connected(address.url) as dump, dump.transaction():
        await dump.execute(f'LOCK TABLE "{address.schema}".things IN ACCESS SHARE MODE')
        async with asyncio.timeout(SECONDS_MAX):
            with pytest.raises(StoreUnavailableError, match="lock timeout"):
                await migrate(address, [THINGS])
    assert f"{address}: column things.size" in await migrate(address, [THINGS])


async def test_a_schema_that_is_dropped_is_gone_and_one_that_is_not_there_is_no_error(address: Address) -> None:
    await migrate(address, TABLES)
    await drop(address)
    await drop(address)
    assert await described(address) == []


async def test_a_store_that_makes_its_schema_makes_it_once(address: Address) -> None:
    stores = [PostgresStore(address, [OTHERS], make=True) for _ in range(3)]
    names = [f"s{number}" for number in range(3)]

    async def save(number: int) -> None:
        await stores[number].transact(lambda transaction: transaction.save(OTHERS, [Other(names[number])]))

    await asyncio.gather(*map(save, range(3)))
    found = await stores[0].view(lambda reader: reader.select(OTHERS, Query()))
    for store in stores:
        await store.close()
    assert [other.name for other in found] == names


async def test_a_server_that_is_not_there_is_unavailable_to_a_migration() -> None:
    there = Address("postgresql://u:hush@127.0.0.1:1/none", "shop")
    with pytest.raises(StoreUnavailableError) as caught:
        await migrate(there, TABLES)
    assert str(there) in str(caught.value)
    assert "hush" not in str(caught.value)
