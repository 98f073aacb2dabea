"""A server in a container, and what can happen to it."""

import subprocess
import time
from dataclasses import dataclass

from tests.real.engine import Engine, EngineError, docker

READY_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 30
ASKED_EVERY_SECONDS = 0.2
LINES_READ = 1000
LINES_SHOWN = 40


class NotReadyError(Exception):
    """A server ended or stayed silent instead of being ready. The text has its last lines."""


@dataclass(frozen=True, slots=True)
class Server:
    """One container. Its address and what it holds outlive each of these verbs; all of them return when it is so."""

    engine: Engine
    id: str
    name: str

    def start(self) -> None:
        """Start it, for the first time or again, and wait until it is ready."""
        self.start_only()
        self.wait_until_ready()

    def start_only(self) -> None:
        """Start it without waiting, so that several start side by side."""
        docker("start", self.id)

    def wait_until_ready(self) -> None:
        """Return once clients are served.

        Raises:
            NotReadyError: when that takes too long, or cannot happen any more.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Let it end in good order: SIGTERM or what the image asks for."""
        docker("stop", "--time", str(STOP_SECONDS_MAX), self.id)

    def kill(self) -> None:
        """End it at once, as a power cut would: SIGKILL."""
        docker("kill", self.id)
        docker("wait", self.id)

    def pause(self) -> None:
        """Let it stand still: connections stay open, and nothing answers."""
        docker("pause", self.id)

    def unpause(self) -> None:
        """Let it go on where it stood still."""
        docker("unpause", self.id)

    def status(self) -> str:
        """Return `created`, `running`, `paused` or `exited`."""
        return docker("inspect", "--format", "{{.State.Status}}", self.id)

    def mend(self) -> None:
        """Undo what a test did to it."""
        match self.status():
            case "running":
                pass
            case "paused":
                self.unpause()
            case _:
                self.start()

    def execute(self, *command: str, text: str | None = None) -> str:
        """Return what a command prints inside the container."""
        return docker("exec", *(("--interactive",) if text is not None else ()), self.id, *command, text=text)

    def remove(self) -> None:
        self.engine.remove(self.id)

    def logs(self) -> str:
        """Return the last lines that it said, without the settings that it recites."""
        command = ["docker", "logs", "--tail", str(LINES_READ), self.id]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
        lines = [line for line in said.splitlines() if not line.startswith("\t")]
        return "\n".join(lines[-LINES_SHOWN:])

    def wait_for_line(self, words: str) -> None:
        """Return when it has said these words since it was started last.

        Raises:
            NotReadyError: when it ends without them, or does not say them in time.
        """
        # The engine notes the start after it, when a quick server has said everything; so count from the end before.
        since = docker("inspect", "--format", "{{.State.FinishedAt}}", self.id)
        # Asked again and again: whoever follows a log from its very begin may be told nothing more.
        asked = ["docker", "logs", "--since", since, self.id]
        end = time.monotonic() + READY_SECONDS_MAX
        while True:
            over = self.status() == "exited" or time.monotonic() > end
            said = subprocess.run(
                asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            ).stdout
            if words in said:
                return
            if over:
                raise NotReadyError(f"{self.name}: never said {words!r} and is {self.status()}\n{self.logs()}")
            time.sleep(ASKED_EVERY_SECONDS)

    def wait_for_command(self, command: str) -> None:
        """Return when a shell command has succeeded inside the container.

        Raises:
            NotReadyError: when the container ends first, or the command does not succeed in time.
        """
        loop = f"until {command}; do sleep 0.05; done"
        try:
            self.execute("timeout", f"{READY_SECONDS_MAX:.0f}", "sh", "-c", loop)
        except EngineError:
            raise NotReadyError(f"{self.name}: {command} fails; it is {self.status()}\n{self.logs()}") from None
