"""What is on a topic, read in a pod that may read it: Kafka lets nobody in from outside the cluster."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread

from tests.e2e.cluster import until
from tests.e2e.release import Release

READER = "analytics"
OPEN_SECONDS_MAX = 60.0
PROGRAM = """
import asyncio, json, os, sys, threading
from sagakit.hosting import opened
from sagakit.runtime.wire import parse

async def main():
    async with opened(dict(os.environ), {"sagas.events"}) as adapters:
        log = adapters.log.for_reader()
        positions = await log.ends(["sagas.events"])
        print("open", flush=True)
        while True:
            for record in await log.fetch(positions, 1000):
                positions[record.topic, record.partition] = record.offset + 1
                message = parse(record)
                if message.type == "AbortSaga":
                    told = [message.saga_id, message.source, record.appended_at.isoformat()]
                    print(json.dumps(told), flush=True)
            await log.wait(0.2)

def end_with_the_caller():
    sys.stdin.read()
    os._exit(0)

threading.Thread(target=end_with_the_caller, daemon=True).start()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Abort:
    """One AbortSaga on the topic: who published it, and when the broker took it."""

    saga_id: str
    source: str
    at: datetime


@dataclass
class Witness:
    """A reader of `sagas.events` from now on."""

    aborts: list[Abort] = field(default_factory=list)
    open: bool = False
    said: list[str] = field(default_factory=list)

    def of(self, saga_id: str) -> list[Abort]:
        return [each for each in self.aborts if each.saga_id == saga_id]

    def read(self, lines: Iterator[str]) -> None:
        for line in lines:
            if line.startswith("["):
                saga_id, source, at = json.loads(line)
                self.aborts.append(Abort(saga_id, source, datetime.fromisoformat(at)))
            elif line.strip() == "open":
                self.open = True
            else:
                self.said.append(line)


@contextmanager
def witness(release: Release) -> Iterator[Witness]:
    """Offer a reader that has begun to read."""
    command = ["kubectl", "--context", release.cluster.context, "--namespace", release.namespace, "exec", "--stdin"]
    command += [f"deployment/{release.name}-{READER}", f"--container={READER}", "--", "python", "-c", PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        its = Witness()
        Thread(target=its.read, args=[iter(process.stdout)], daemon=True).start()
        try:
            until(lambda: its.open or process.poll() is not None, OPEN_SECONDS_MAX, "somebody reads sagas.events")
            assert its.open, "".join(its.said)
            yield its
        finally:
            process.terminate()
