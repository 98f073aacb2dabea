"""Several servers live in one event loop; each starts and stops by itself, in bounded time."""

import asyncio
import socket

import httpx
import pytest
from tests.unit.http.services import build_all

from sagakit.runtime.http.server import PortTakenError, Server


async def test_all_services_run_in_one_process_and_say_that_they_are_ready() -> None:
    services = list(build_all().values())
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        for service in services:
            await service.__aenter__()
        try:
            for service in services:
                while (await client.get(f"http://127.0.0.1:{service.port}/readyz")).status_code != 200:
                    pass
        finally:
            for service in services:
                await service.__aexit__()
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{services[0].port}/readyz")


async def test_a_service_that_stops_is_not_ready() -> None:
    service = build_all()["shipping"]
    async with service:
        service.runner.stop.set()
        assert "is stopping" in service.troubles()


async def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"^127.0.0.1:{port} cannot be bound: Address already in use$"):
            await Server(None, port).start()


async def test_a_client_that_still_sends_hears_that_its_body_is_too_large() -> None:
    service = build_all()["inventory"]
    async with service, httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        answer = await client.put("/stock/prod-1", content=b" " * 8_000_000)
        assert answer.status_code == 413
        assert (await client.get("/healthz")).status_code == 200
