"""The box: every service on this machine, in one or more processes that end with their parent.

The parent only watches. A child reads from a pipe that nobody writes to; when the parent is gone, however it ended, the
pipe closes and the child drains and ends.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from onebox.layout import Layout

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0
SERVERS = ("SAGAPLANE_KAFKA_", "SAGAPLANE_DATABASE_")
"""A box keeps files: it takes servers from whoever makes it, and not from the terminal in which that happens."""


class BoxError(Exception):
    """The box could not start, or lost a process. The text says which and why; mend that and start again."""


@dataclass
class Box:
    """Services under one data directory. Use it as an asynchronous context: it is ready inside."""

    program: ClassVar[str] = "onebox.process"
    """What each process runs."""
    data_dir: Path
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    children: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Start every process and wait until every service is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            for services in self.layout.spread(self.processes):
                self.children.append(await self._start(services))
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drain and end every process."""
        await self.stop()

    async def watch(self) -> None:
        """Return when a process has ended by itself.

        Raises:
            BoxError: with its exit code.
        """
        waits = [asyncio.create_task(child.wait()) for child in self.children]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        self._check()

    async def stop(self) -> None:
        """Ask every process to drain; end what does not within the time."""
        for child in self.children:
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), STOP_SECONDS_MAX)
            if child.returncode is None:
                child.kill()
                await child.wait()
        self.children.clear()

    async def kill_and_start(self, service: str) -> None:
        """End the process of this service without any tidying up, and start it again at once."""
        place = next(place for place, names in enumerate(self.layout.spread(self.processes)) if service in names)
        self.children[place].kill()
        await self.children[place].wait()
        self.children[place] = await self._start(self.layout.spread(self.processes)[place])

    async def _start(self, services: Sequence[str]) -> asyncio.subprocess.Process:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}
        environment = {**inherited, **self.layout.environment(), **self.environment}
        environment["SAGAPLANE_DATA_DIR"] = str(self.data_dir)
        environment.setdefault("SQLITE_TMPDIR", str(self.data_dir))  # /tmp may be memory, or small
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.program, *services),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )

    async def _until_ready(self) -> None:
        async with asyncio.timeout(READY_SECONDS_MAX):
            for child in self.children:
                assert child.stdout is not None, "the child was started with a pipe"
                if not await child.stdout.readline():  # its own word: whoever answers at a port may be another box
                    await child.wait()
                    self._check()
            for service in self.layout.services:
                while not await _answers(self.layout.port(service)):
                    self._check()
                    await asyncio.sleep(0.02)

    def _check(self) -> None:
        for child in self.children:
            if child.returncode is not None:
                text = f"a process of the box ended with exit code {child.returncode}; its last lines say why"
                raise BoxError(text)


async def _answers(port: int) -> bool:
    """Tell whether the service at this port says that it is ready."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
