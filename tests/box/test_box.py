"""The box as processes: it survives being killed under load, and nothing of it survives its parent."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.box.ports import free_layout

from onebox.box import Box, BoxError
from onebox.layout import SERVICES, Layout

SECONDS_MAX = 30.0
RATES = {"PAYMENT_SUCCESS_RATE": "0.7", "INVENTORY_SUCCESS_RATE": "0.8"}


@asynccontextmanager
async def running(data_dir: Path, layout: Layout, processes: int = 2) -> AsyncIterator[tuple[Box, httpx.AsyncClient]]:
    async with (
        Box(data_dir, processes, RATES, layout) as box,
        httpx.AsyncClient(base_url=layout.url("order"), timeout=30) as client,
    ):
        yield box, client


async def place(client: httpx.AsyncClient, keys: range) -> None:
    orders = [
        {
            "userId": "u",
            "idempotencyKey": f"k{key}",
            "items": [{"productId": f"p-{key % 3}", "quantity": 1, "price": 5}],
        }
        for key in keys
    ]
    answer = await client.post("/orders/batch", json={"orders": orders})
    assert answer.status_code == 200, answer.text
    assert all(result["status"] in (200, 201) for result in answer.json()["results"])


async def stock(layout: Layout) -> None:
    async with httpx.AsyncClient(base_url=layout.url("inventory")) as client:
        for product in range(3):
            answer = await client.put(f"/stock/p-{product}", json={"quantity": 100_000})
            answer.raise_for_status()


async def until_all_ended(client: httpx.AsyncClient) -> None:
    end = time.monotonic() + SECONDS_MAX
    while (await client.get("/orders", params={"status": "pending", "limit": 1})).json()["orders"]:
        assert time.monotonic() < end, "some orders never ended"


async def until_counted(layout: Layout, orders: int) -> None:
    """Return when the analytics have counted so many orders, each once and to its end."""
    end = time.monotonic() + SECONDS_MAX
    async with httpx.AsyncClient(base_url=layout.url("analytics")) as client:
        seen: dict[str, int] = {}
        while (seen.get("totalOrders"), seen.get("pendingOrders")) != (orders, 0):
            assert time.monotonic() < end, f"the analytics say {seen}"
            seen = (await client.get("/analytics")).json()
    assert seen["confirmedOrders"] + seen["cancelledOrders"] == orders


def audit(layout: Layout) -> subprocess.CompletedProcess[str]:
    urls = {f"SAGACTL_{service.upper()}_URL": layout.url(service) for service in SERVICES}
    command = [str(Path(sys.executable).with_name("sagactl")), "audit"]
    return subprocess.run(command, env={**os.environ, **urls}, capture_output=True, text=True, check=False)


async def test_the_books_balance_after_every_process_was_killed_under_load(tmp_path: Path) -> None:
    layout = free_layout()
    async with running(tmp_path, layout) as (box, client):
        await stock(layout)
        await place(client, range(300))
        for child in box.children:
            child.kill()
            await child.wait()
    async with running(tmp_path, layout) as (_, client):
        await place(client, range(200, 400))
        await until_all_ended(client)
        assert len((await client.get("/orders", params={"limit": 1000})).json()["orders"]) == 400
        await until_counted(layout, 400)
        answer = audit(layout)
    assert answer.returncode == 0, answer.stdout + answer.stderr


async def test_the_books_do_not_balance_when_a_payment_was_tampered_with(tmp_path: Path) -> None:
    layout = free_layout()
    async with running(tmp_path, layout, processes=1) as (_, client):
        await stock(layout)
        await place(client, range(20))
        await until_all_ended(client)
        order = (await client.get("/orders", params={"status": "confirmed", "limit": 1})).json()["orders"][0]["id"]
        with sqlite3.connect(tmp_path / "payment.db", timeout=10) as database:
            changed = database.execute(
                "UPDATE payments SET record_json=json_set(record_json, '$.amount_minor', 1) WHERE order_id=?", (order,)
            )
        assert changed.rowcount == 1
        answer = audit(layout)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert order in answer.stdout


async def test_a_box_whose_ports_are_taken_says_so_and_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    layout = free_layout()
    async with running(tmp_path / "one", layout, processes=1):
        with pytest.raises(BoxError, match="exit code 2"):
            await Box(tmp_path / "two", 1, {}, layout).__aenter__()
    said = capfd.readouterr().err
    assert f"{layout.port('order')} cannot be bound" in said
    assert "Traceback" not in said


async def test_what_sqlite_writes_for_a_moment_lies_beside_the_data(tmp_path: Path) -> None:
    async with running(tmp_path, free_layout(), processes=1) as (box, _):
        told = environment_of(box.children[0].pid)
    assert f"SQLITE_TMPDIR={tmp_path}" in told


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


@pytest.mark.parametrize("processes", range(1, len(SERVICES) + 1))
def test_a_box_without_the_analytics_has_every_other_service_once(processes: int) -> None:
    spread = Layout(without=frozenset({"analytics"})).spread(processes)
    assert all(spread)
    assert sorted(service for services in spread for service in services) == sorted({*SERVICES} - {"analytics"})


PARENT = """
import asyncio, sys
from pathlib import Path
from onebox.box import Box
from onebox.layout import Layout

async def main():
    async with Box(Path(sys.argv[1]), 2, {}, Layout(int(sys.argv[2]))) as box:
        print(*(child.pid for child in box.children), flush=True)
        await box.watch()

asyncio.run(main())
"""


def test_no_process_of_the_box_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    layout = free_layout()
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(layout.offset)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not any(alive(pid) for pid in children), "a child outlived its parent")


def wait_until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < end, otherwise


def alive(pid: int) -> bool:
    """Tell whether the process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_told_of_a_place_that_does_not_exist_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onebox.process", "shipping"]
    environment = {**os.environ, "SAGAPLANE_FAILPOINT": "nowhere", "SAGAPLANE_DATA_DIR": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert json.loads(line)["message"].startswith("cannot start: SAGAPLANE_FAILPOINT=nowhere: ")
