"""What happens to the server and to the wire: works happen once or not at all, and the store comes back by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from tests.real.postgres import PASSWORD, Postgres
from tests.real.postgres_world import Cut, OpenPostgres, Wire, connected, one_schema, opening, wired

from sagakit.adapters.postgres import Address, PostgresStore, WrongDatabaseError, connections, schema, writer
from sagakit.adapters.postgres.migration import migrate
from sagakit.ports import Query, StoreUnavailableError, Transaction
from sagakit.testing.contracts import TABLES
from sagakit.testing.contracts.things import OTHERS, Other, draft

pytestmark = pytest.mark.real

SECONDS_MAX = 60.0
KILL_IN_TRANSACTION = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid<>pg_backend_pid() AND datname=current_database() AND state='idle in transaction'
"""
KILL_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid<>pg_backend_pid() AND datname=current_database()
"""
Change = Callable[[str], str]


@pytest.fixture(scope="module")
def address(session_postgres: Postgres) -> Iterator[Address]:
    with one_schema(session_postgres) as address:
        yield address


@pytest.fixture
async def open_store(address: Address, postgres: Postgres) -> AsyncIterator[OpenPostgres]:
    async with opening(address) as open_store:
        yield open_store


@pytest.fixture
async def wire(address: Address, open_store: OpenPostgres) -> AsyncIterator[tuple[Wire, PostgresStore]]:
    """A store at the end of a wire that can be cut."""
    async with wired(address) as (wire, far):
        store = PostgresStore(far, TABLES)
        yield wire, store
        await store.close()


async def put(store: PostgresStore, key: str, size: int = 0) -> str:
    async def work(transaction: Transaction) -> str:
        await transaction.save(OTHERS, [Other(key, size)])
        await transaction.send([draft("t", key, "saved")])
        return f"{key} saved"

    return await store.transact(work)


async def keys(store: PostgresStore) -> list[str]:
    return [record.name for record in await store.view(lambda reader: reader.select(OTHERS, Query()))]


async def persist(do: Callable[[], Awaitable[str]]) -> str:
    """Do it until the server is there."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            try:
                return await do()
            except StoreUnavailableError:
                await asyncio.sleep(0.05)


async def test_a_work_whose_connection_is_killed_did_not_happen_and_the_next_one_does(
    open_store: OpenPostgres, address: Address
) -> None:
    store = open_store()

    async def work(transaction: Transaction) -> None:
        await transaction.save(OTHERS, [Other("a")])
        await transaction.select(OTHERS, Query())
        async with connected(address.url) as rival:
            assert await rival.fetchval(KILL_IN_TRANSACTION)
        await transaction.select(OTHERS, Query())

    with pytest.raises(StoreUnavailableError):
        await store.transact(work)
    assert await put(store, "b") == "b saved"
    assert await keys(store) == ["b"]


async def test_works_that_share_a_killed_connection_all_hear_of_it(open_store: OpenPostgres, address: Address) -> None:
    store = open_store()
    killed = False

    async def work(transaction: Transaction, key: str) -> None:
        nonlocal killed
        await transaction.save(OTHERS, [Other(key)])
        await transaction.select(OTHERS, Query())
        if key == "c" and not killed:
            async with connected(address.url) as rival:
                killed = bool(await rival.fetchval(KILL_IN_TRANSACTION))
        await transaction.count(OTHERS, {})

    names = [*"abcde"]
    results = await asyncio.gather(
        *(store.transact(lambda transaction, its=name: work(transaction, its)) for name in names),  # type: ignore[misc]
        return_exceptions=True,
    )
    there = await persist(lambda: _joined(store))
    assert killed
    assert there == "".join(name for name, result in zip(names, results, strict=True) if result is None)
    assert all(result is None or isinstance(result, StoreUnavailableError) for result in results)


async def _joined(store: PostgresStore) -> str:
    return "".join(await keys(store))


@pytest.mark.parametrize("cut", list(Cut))
async def test_a_commit_whose_answer_is_lost_is_told_as_it_was(
    cut: Cut, wire: tuple[Wire, PostgresStore], open_store: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    its, store = wire
    monkeypatch.setitem(connections.SESSION, "idle_in_transaction_session_timeout", "3s")
    other = open_store()
    assert await put(store, "before") == "before saved"
    its.cut = cut
    try:
        told = await put(store, "doubted")
    except StoreUnavailableError:
        told = "unavailable"
    assert its.cuts == 1
    there = await keys(other)
    assert told == ("doubted saved" if "doubted" in there else "unavailable")
    if cut in (Cut.BEFORE_COMMIT, Cut.TOWARDS_CLIENT):
        assert told == "unavailable"
    if cut is Cut.AFTER_ANSWER:
        assert told == "doubted saved"
    assert await put(store, "later") == "later saved"
    waiting = [entry.draft.key for entry in await store.outbox(10)]
    assert waiting == [entry.draft.key for entry in await other.outbox(10)]
    assert waiting == ["before", *(["doubted"] if "doubted" in there else []), "later"]


async def test_a_commit_that_a_crash_swallowed_is_not_taken_for_a_later_one_of_somebody_else(
    postgres: Postgres,
    wire: tuple[Wire, PostgresStore],
    open_store: OpenPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    its, store = wire
    monkeypatch.setattr(writer, "DOUBT_SECONDS_MAX", SECONDS_MAX)
    other = open_store()
    await put(store, "before")

    async def crash() -> None:
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)
        for number in range(20):
            await persist(lambda its=f"other-{number:02}": put(other, its))  # type: ignore[misc]

    its.cut, its.before_cut = Cut.BEFORE_COMMIT, crash
    with pytest.raises(StoreUnavailableError):
        await put(store, "doubted")
    assert await put(store, "later") == "later saved"
    assert await keys(other) == ["before", "later", *(f"other-{number:02}" for number in range(20))]


async def test_works_are_refused_while_the_server_is_down_and_go_on_when_it_is_back(
    postgres: Postgres, open_store: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "DOUBT_SECONDS_MAX", 1.0)
    store = open_store()
    saved: list[str] = []
    refused = 0
    back = asyncio.Event()

    async def work() -> None:
        nonlocal refused
        number = 0
        while not back.is_set() or number < 5:
            try:
                saved.append((await put(store, f"{number:06}")).split()[0])
                number += 1
            except StoreUnavailableError:
                refused += 1
                number += 1
                await asyncio.sleep(0.02)

    async def restart() -> None:
        await put(store, "first")
        await asyncio.to_thread(postgres.kill)
        with pytest.raises(StoreUnavailableError):
            await put(store, "never")
        with pytest.raises(StoreUnavailableError):
            await keys(store)
        await asyncio.to_thread(postgres.start)
        await persist(lambda: put(store, "last"))
        back.set()

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(work(), restart())
    assert refused
    there = await persist_keys(store)
    assert {"first", "last", *saved} <= set(there)
    assert len(there) - len(saved) - 2 <= refused
    assert "never" not in there


async def persist_keys(store: PostgresStore) -> list[str]:
    return (await persist(lambda: _spaced(store))).split()


async def _spaced(store: PostgresStore) -> str:
    found = await store.view(lambda reader: reader.select(OTHERS, Query(limit=100_000)))
    return " ".join(record.name for record in found)


async def test_readers_come_back_after_a_restart(postgres: Postgres, open_store: OpenPostgres) -> None:
    store = open_store()
    await put(store, "a")
    await asyncio.gather(*(keys(store) for _ in range(4)))
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start)
    assert await persist_keys(store) == ["a"]


async def test_whoever_is_paused_in_a_transaction_loses_its_locks(
    open_store: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.SESSION, "idle_in_transaction_session_timeout", "3s")
    zombie, other = open_store(), open_store()
    await put(zombie, "a", 1)
    paused, resume = asyncio.Event(), asyncio.Event()

    async def sleepwalk(transaction: Transaction) -> None:
        await transaction.save(OTHERS, [Other("a", 100)])
        await transaction.select(OTHERS, Query())
        paused.set()
        await resume.wait()

    sleeping = asyncio.create_task(zombie.transact(sleepwalk))
    await paused.wait()
    async with asyncio.timeout(SECONDS_MAX):
        await put(other, "a", 2)
    resume.set()
    with pytest.raises(StoreUnavailableError):
        await sleeping
    assert (await zombie.view(lambda reader: reader.load(OTHERS, ["a"])))["a"].size == 2


async def test_whoever_waits_too_long_for_a_lock_is_told_that_the_store_is_unavailable(
    open_store: OpenPostgres, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.SESSION, "lock_timeout", "200ms")
    store = open_store()
    await put(store, "a", 1)
    async with connected(address.url) as rival, rival.transaction():
        await rival.execute(f'SELECT 1 FROM "{address.schema}".others FOR UPDATE')  # noqa: S608 - our own words
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await put(store, "a", 2)
    assert await put(store, "a", 3) == "a saved"


async def test_a_server_that_only_reads_is_unavailable(
    open_store: OpenPostgres, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(open_store(), "a")
    database = urlsplit(address.url).path.strip("/")
    async with connected(address.url) as own:
        await own.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only=on')
        try:
            store = open_store()
            with pytest.raises(StoreUnavailableError, match="read-only"):
                await put(store, "b")
            assert await keys(store) == ["a"]
        finally:
            await own.execute("SET default_transaction_read_only=off")
            await own.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    assert await persist(lambda: put(store, "c")) == "c saved"
    assert await keys(store) == ["a", "c"]


def at(**changes: str) -> Change:
    """Return a change of the address, by the names of its parts."""

    def change(url: str) -> str:
        for old, new in changes.items():
            url = url.replace({"password": PASSWORD, "host": "127.0.0.1"}[old], new)
        return url

    return change


WRONG: dict[str, tuple[Change, str]] = {
    "password": (at(password="hush-hush"), "SAGAPLANE_DATABASE_URL"),
    "user": (lambda url: url.replace("//sagaplane:", "//nobody:"), "SAGAPLANE_DATABASE_URL"),
    "database": (lambda url: url.rpartition("/")[0] + "/none", "SAGAPLANE_DATABASE_URL"),
    "host": (at(host="no-such-host.invalid"), "no-such-host.invalid"),
    "port": (lambda url: url.replace(f":{urlsplit(url).port}/", ":1/"), "127.0.0.1:1"),
    "port that is none": (lambda url: url.replace(f":{urlsplit(url).port}/", ":many/"), "SAGAPLANE_DATABASE_URL"),
    "password with a slash": (at(password="hush-hush/more"), "SAGAPLANE_DATABASE_URL"),
    "password with a hash": (at(password="hush-hush#more"), "SAGAPLANE_DATABASE_URL"),
    "password with an at": (at(password="hush-hush@more"), ""),
    "password with a percent": (at(password="hush-hush%zz"), "SAGAPLANE_DATABASE_URL"),
    "password with a bracket": (at(password="hush-hush[more"), "SAGAPLANE_DATABASE_URL"),
    "password with a question mark": (at(password="hush-hush?more"), "SAGAPLANE_DATABASE_URL"),
    "no scheme": (lambda url: url.partition("://")[2], "SAGAPLANE_DATABASE_URL"),
    "no address": (lambda url: "somewhere", "SAGAPLANE_DATABASE_URL"),
    "option": (lambda url: f"{url}?sslmode=hush", "SAGAPLANE_DATABASE_URL"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("doing", ["check", "write", "migrate"])
async def test_a_wrong_address_is_told_in_a_line_without_the_password(
    wrong: str, doing: str, address: Address, postgres: Postgres
) -> None:
    change, named = WRONG[wrong]
    there = replace(address, url=change(address.url))
    store = PostgresStore(there, TABLES)
    todo: dict[str, Callable[[], Awaitable[object]]] = {
        "check": store.check,
        "write": lambda: put(store, "a"),
        "migrate": lambda: migrate(there, TABLES),
    }
    with pytest.raises(StoreUnavailableError) as caught:
        await todo[doing]()
    await store.close()
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
    for error in chain_of(caught.value):
        for secret in ("hush-hush", PASSWORD):
            assert secret not in str(error)
            assert secret not in repr(error)
    assert PASSWORD not in f"{there} {there!r}"
    assert "hush-hush" not in f"{there} {there!r}"


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Return an error and all that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def test_a_schema_that_is_missing_is_told_with_what_to_run(address: Address, postgres: Postgres) -> None:
    store = PostgresStore(replace(address, schema="none"), TABLES)
    for do in (store.check, lambda: put(store, "a")):
        with pytest.raises(WrongDatabaseError, match="sagactl database apply") as caught:
            await do()
        assert "\n" not in str(caught.value)
    await store.close()


async def test_a_schema_of_a_newer_program_is_refused(
    open_store: OpenPostgres, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f'"{address.schema}".kit_schema'
    async with connected(address.url) as own:
        oldest = await own.fetchval(f"SELECT oldest FROM {name}")  # noqa: S608 - our own words
        await own.execute(f"UPDATE {name} SET oldest='99.1.0'")  # noqa: S608 - our own words
        try:
            with pytest.raises(WrongDatabaseError, match=r"needs Sagaplane 99\.1\.0 or newer") as caught:
                await open_store().check()
            monkeypatch.setattr(schema, "this_version", lambda: "99.1.0")
            await open_store().check()
        finally:
            await own.execute(f"UPDATE {name} SET oldest=$1", oldest)  # noqa: S608 - our own words
    assert "\n" not in str(caught.value)


async def test_after_a_fail_over_that_lost_commits_nothing_that_was_remembered_is_believed(
    open_store: OpenPostgres, address: Address
) -> None:
    store, other = open_store(), open_store()

    async def add(transaction: Transaction) -> int:
        size = (await transaction.load(OTHERS, ["a"])).get("a", Other("a")).size + 1
        await transaction.save(OTHERS, [Other("a", size)])
        return size

    async with connected(address.url) as own:
        name = f'"{address.schema}".others'
        assert await store.transact(add) == 1
        await own.execute(f"CREATE TEMP TABLE before AS TABLE {name}")
        assert await store.transact(add) == 2
        await own.execute(f"DELETE FROM {name}; INSERT INTO {name} TABLE before")  # noqa: S608 - our own words
        await put(other, "a", 10)
        await own.execute(f"UPDATE {name} SET revision=(SELECT revision+1 FROM before)")  # noqa: S608
        assert await own.fetchval(KILL_ALL)
    assert await persist(lambda: _said(store, add)) == "11"


async def _said(store: PostgresStore, work: Callable[[Transaction], Awaitable[int]]) -> str:
    return str(await store.transact(work))


async def test_after_a_fail_over_a_number_of_the_outbox_that_is_given_away_again_is_not_taken_for_the_one_before(
    open_store: OpenPostgres, address: Address
) -> None:
    store = open_store()
    assert await put(store, "lost")
    async with connected(address.url) as own:
        name = f'"{address.schema}".kit_outbox'

        async def fail_over(key: str) -> None:
            """Have the same number stand for other drafts, as when the server had never heard of those before."""
            await put(open_store(), key)
            await own.execute(f"""WITH old AS (DELETE FROM {name} RETURNING *)
                INSERT INTO {name} OVERRIDING SYSTEM VALUE
                SELECT (SELECT min(id) FROM old), size, waiting, drafts FROM old ORDER BY id DESC LIMIT 1""")  # noqa: S608
            assert await own.fetchval(KILL_ALL)

        await fail_over("kept")
        assert await persist(lambda: _waiting(store)) == "kept"
        entries = await store.outbox(10)
        await fail_over("kept too")
        with pytest.raises(StoreUnavailableError):
            await store.published([entry.position for entry in entries])
        assert await persist(lambda: _waiting(store)) == "kept too"
        await store.published([entry.position for entry in await store.outbox(10)])
        assert await store.outbox_depth() == 0


async def _waiting(store: PostgresStore) -> str:
    return " ".join(entry.draft.key or "" for entry in await store.outbox(10))


async def test_a_value_that_the_database_refuses_fails_its_work_and_not_those_that_share_the_commit(
    open_store: OpenPostgres,
) -> None:
    store = open_store()
    results = await asyncio.gather(
        put(store, "a"), put(store, "b\0"), put(store, "c", 1 << 70), put(store, "d"), return_exceptions=True
    )
    assert [result if isinstance(result, str) else None for result in results] == ["a saved", None, None, "d saved"]
    assert not any(isinstance(result, StoreUnavailableError) for result in results)
    assert await keys(store) == ["a", "d"]


async def test_a_database_whose_commits_do_not_last_is_refused(open_store: OpenPostgres, address: Address) -> None:
    database = urlsplit(address.url).path.strip("/")
    async with connected(address.url) as own:
        await own.execute(f'ALTER DATABASE "{database}" SET synchronous_commit=off')
        try:
            with pytest.raises(WrongDatabaseError, match="synchronous_commit"):
                await open_store().check()
        finally:
            await own.execute(f'ALTER DATABASE "{database}" RESET synchronous_commit')
    await open_store().check()
