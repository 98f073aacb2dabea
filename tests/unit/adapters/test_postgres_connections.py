"""Trouble of a database is never taken for trouble with a record, and several hosts are tried one by one."""

import asyncpg
import pytest
from asyncpg.exceptions import _base as driver
from tests.unit.adapters.scripted_postgres import ScriptedPostgres, serving

from sagakit.adapters.postgres import Address, PostgresStore, connections
from sagakit.adapters.postgres.connections import connect
from sagakit.adapters.postgres.errors import in_our_words, is_lost
from sagakit.ports import StoreUnavailableError, Transaction
from sagakit.testing.contracts import TABLES


def of_state(state: str) -> asyncpg.PostgresError:
    error: asyncpg.PostgresError = asyncpg.PostgresError.new({"S": "ERROR", "C": state, "M": "as it is"})
    return error


@pytest.mark.parametrize("state", ["26000", "42P05", "XX000", "XX001", "XX002", "25P04", "55000"])
def test_a_pooler_or_a_damaged_table_is_the_databases_trouble_and_not_the_records(state: str) -> None:
    told = in_our_words(of_state(state), "there")
    assert type(told) is StoreUnavailableError
    assert str(told).startswith("there: as it is")


@pytest.mark.parametrize("error", [of_state("22021"), driver.DataError("value out of int64 range")])
def test_a_value_that_the_database_cannot_take_is_the_records_trouble(error: Exception) -> None:
    assert in_our_words(error, "there") is error
    assert not is_lost(error)


@pytest.mark.parametrize("state", ["0A000", "42601"])
async def test_whatever_refuses_a_connection_the_database_is_unavailable(state: str) -> None:
    async with serving(ScriptedPostgres(refusal=state)) as url:
        with pytest.raises(StoreUnavailableError, match="not now") as caught:
            await connect(Address(url, "shop"), server_settings={})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "first",
    [ScriptedPostgres(silent=True), ScriptedPostgres(standby=True), ScriptedPostgres(refusal="57P03")],
    ids=["is without power", "only reads", "is starting"],
)
async def test_of_several_hosts_the_one_that_takes_writes_is_found_behind_one_that(
    first: ScriptedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_SECONDS_MAX", 0.5)
    primary = ScriptedPostgres()
    async with serving(first, primary) as url:
        connection = await connect(Address(url, "shop"), server_settings={})
        await connection.execute("BEGIN")
        connection.terminate()
    assert primary.statements == ["BEGIN"]


async def test_when_no_host_takes_writes_each_is_named_with_its_trouble() -> None:
    servers = ScriptedPostgres(standby=True), ScriptedPostgres(refusal="57P03")
    async with serving(*servers) as url:
        with pytest.raises(StoreUnavailableError) as caught:
            await connect(Address(url, "shop"), server_settings={})
    for server in servers:
        assert f"127.0.0.1:{server.port}/" in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_one_host_alone_may_only_read() -> None:
    async with serving(ScriptedPostgres(standby=True)) as url:
        connection = await connect(Address(url, "shop"), server_settings={})
        connection.terminate()


async def test_what_is_remembered_of_a_server_ends_with_the_connection_to_it() -> None:
    async def nothing(transaction: Transaction) -> None:
        pass

    server = ScriptedPostgres()
    async with serving(server) as url:
        store = PostgresStore(Address(url, "shop"), TABLES)
        memory = store._writer._memory
        await store.transact(nothing)
        memory.streams["order-7"] = 3
        await store.transact(nothing)
        assert memory.streams == {"order-7": 3}
        server.hang_up()
        await store.transact(nothing)
        assert memory.streams == {}
        await store.close()
