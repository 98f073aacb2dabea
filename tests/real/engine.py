"""The container engine, spoken to through its command line: what a test run starts is gone when the run is.

Three things see to that: the session's end, a process that waits for the end of this one, however it comes, and the
next run, which removes what runs that are dead left behind.
"""

import itertools
import os
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from typing_extensions import override

OWNER = "sagaplane.tests.owner"
ANSWER_SECONDS_MAX = 120.0
PULL_SECONDS_MAX = 600.0
PORTS = range(20_000, 30_000)
WORKERS = 10
_given: set[int] = set()
NUMBERS = itertools.count(1)

REMOVE_ALL = """
cat >/dev/null
docker ps --all --quiet --filter "label=$1" | xargs -r docker rm --force --volumes
docker network ls --quiet --filter "label=$1" | xargs -r docker network rm
"""


class EngineMissingError(Exception):
    """No container engine answers. Start one, or leave these tests out; the text says how."""


class EngineError(Exception):
    """The engine refused. The text has the command and what the engine said."""


def docker(*arguments: str, seconds_max: float = ANSWER_SECONDS_MAX, text: str | None = None) -> str:
    """Return what the engine answers.

    Raises:
        EngineError: with what it said instead.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments], input=text, capture_output=True, text=True, timeout=seconds_max, check=False
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"docker {arguments[0]}: no answer within {seconds_max:g} s") from None
    if done.returncode:
        raise EngineError(
            f"docker {' '.join(arguments)[:300]}: exit code {done.returncode}\n{done.stderr}{done.stdout}"
        )
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that containers belong to; a number that was used again is a different owner."""

    host: str
    pid: int
    started: str

    @classmethod
    def me(cls) -> Self:
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def parse(cls, text: str) -> Self:
        host, pid, started = text.split("/")
        return cls(host, int(pid), started)

    @override
    def __str__(self) -> str:
        return f"{self.host}/{self.pid}/{self.started}"

    def is_dead(self) -> bool:
        """Tell whether the process is gone; of other machines' processes nothing is known."""
        return self.host == socket.gethostname() and _started(self.pid) != self.started


@dataclass(frozen=True, slots=True)
class Engine:
    """What one test run has started."""

    owner: Owner
    containers: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return f"{OWNER}={self.owner}"

    def create(
        self,
        image: str,
        name: str,
        *command: str,
        environment: Mapping[str, str],
        ports: Sequence[int] = (),
        options: Sequence[str] = (),
    ) -> str:
        """Make a container that is not started yet and return its id; its ports are the same on this machine."""
        arguments = ["--label", self.label, "--name", f"{name}-{self.owner.pid}-{next(NUMBERS)}", *options]
        for port in ports:
            arguments += ["--publish", f"127.0.0.1:{port}:{port}"]
        for variable, value in environment.items():
            arguments += ["--env", f"{variable}={value}"]
        container = docker("create", *arguments, image, *command, seconds_max=PULL_SECONDS_MAX)
        self.containers.append(container)
        return container

    @contextmanager
    def network(self) -> Iterator[str]:
        """Offer a network on which containers find each other by name."""
        network = docker("network", "create", "--label", self.label, f"sagaplane-{self.owner.pid}-{next(NUMBERS)}")
        try:
            yield network
        finally:
            docker("network", "rm", network)

    def remove(self, container: str) -> None:
        """Remove a container and what it kept."""
        docker("rm", "--force", "--volumes", container)
        self.containers.remove(container)


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Offer the engine, without what dead runs left behind; afterwards nothing of this run is left either.

    Raises:
        EngineMissingError: when there is none.
    """
    _require_engine()
    _remove_leftovers()
    engine = Engine(Owner.me())
    with subprocess.Popen(
        ["sh", "-c", REMOVE_ALL, "sh", engine.label],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as remover:
        try:
            yield engine
        finally:
            assert remover.stdin is not None
            remover.stdin.close()
            remover.wait(ANSWER_SECONDS_MAX)


def free_port() -> int:
    """Return a port of the loopback that nobody listens at.

    The system gives none of these to clients: while a server is down, no connection takes its port, or meets itself.
    None is given twice, for whoever has one may bind it later, and again; each worker has ports of its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = [port for port in PORTS[worker % WORKERS :: WORKERS] if port not in _given]
    for port in random.sample(own, len(own)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise AssertionError("no free ports")


def _require_engine() -> None:
    remedy = "start dockerd, or leave these tests out with -m 'not real'"
    if shutil.which("docker") is None:
        raise EngineMissingError(f"the command docker is not installed: install and {remedy}")
    try:
        docker("version", "--format", "{{.Server.Version}}", seconds_max=20)
    except EngineError as error:
        raise EngineMissingError(f"no container engine answers ({str(error).splitlines()[-1]}): {remedy}") from None


def _remove_leftovers() -> None:
    """Remove what belongs to a process of this machine that no longer runs."""
    owner = f'{{{{.Label "{OWNER}"}}}}'
    for kind, remove in (("ps --all", "rm --force --volumes"), ("network ls", "network rm")):
        listed = docker(*kind.split(), "--filter", f"label={OWNER}", "--format", f"{{{{.ID}}}} {owner}")
        for line in listed.splitlines():
            found, _, text = line.partition(" ")
            if Owner.parse(text).is_dead():
                with suppress(EngineError):  # another run removes it at this moment
                    docker(*remove.split(), found)


def _started(pid: int) -> str | None:
    """Return when a process started, in a form that only compares; none when there is no such process."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except ProcessLookupError:
        return None
    except PermissionError:
        return None  # somebody else's process: not a test run of ours
    except FileNotFoundError:
        return ""  # a system without /proc: only the number counts
