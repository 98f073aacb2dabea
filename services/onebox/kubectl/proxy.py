"""The person's own kubectl: which cluster it speaks to, and a way there for as long as a command takes.

`kubectl proxy` listens at a socket in a directory that only this person may enter. At a port, everybody on the machine
could use her rights for as long as the command runs.
"""

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onebox.errors import BadInput, Unreachable

START_SECONDS = 20.0
"""A plugin that fetches credentials may take some."""
END_SECONDS = 5.0
SEE_CONTEXTS = "see which clusters it knows: kubectl config get-contexts"

# The shell ends kubectl when its own standard input ends, and that ends with us however we die; then it takes the
# directory away. It keeps no output open, so that ours ends with kubectl.
WATCHED = '"$@" & exec >&-; read -r _; kill $! 2>&-; wait $!; rm -rf "$0"'


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl, and the options by which it finds a cluster."""

    options: tuple[str, ...] = ()

    def line(self, *words: str) -> str:
        """Return a command line for the person to type."""
        return shlex.join(["kubectl", *self.options, *words])

    def namespace(self) -> str:
        """Return the namespace that the context is in.

        Raises:
            BadInput: when kubectl finds no context.
        """
        asked = ("config", "view", "--minify", "--output", "jsonpath={..namespace}")
        try:
            done = subprocess.run(  # noqa: S603 - it is meant to be the person's own
                [_found(), *self.options, *asked],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=START_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"kubectl config view took more than {START_SECONDS:g} s", "try again") from None
        if done.returncode:
            raise BadInput(f"kubectl knows no cluster: {_last(done.stderr)}", SEE_CONTEXTS)
        return done.stdout.strip() or "default"

    @contextmanager
    def proxy(self) -> Iterator[Path]:
        """Yield the socket at which `kubectl proxy` takes requests; it ends with the block, and with us.

        Raises:
            BadInput: when kubectl does not begin, as with a context that is not there.
            Unreachable: when it says nothing for too long.
        """
        with tempfile.TemporaryDirectory(prefix="kubectl-saga-", ignore_cleanup_errors=True) as directory:
            socket, said = Path(directory, "socket"), Path(directory, "said")
            words = ["sh", "-c", WATCHED, directory, _found(), *self.options, "proxy", f"--unix-socket={socket}"]
            with said.open("wb") as errors:
                watcher = subprocess.Popen(  # noqa: S603 - as above
                    words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
                )
            try:
                _wait_until_it_serves(watcher, said)
                yield socket
            finally:
                _end(watcher)


def _found() -> str:
    found = shutil.which("kubectl")
    if found is None:
        raise BadInput("there is no kubectl on the PATH", "install it, or add the directory it is in to PATH")
    return found


def _wait_until_it_serves(watcher: "subprocess.Popen[bytes]", said: Path) -> None:
    assert watcher.stdout is not None
    until = time.monotonic() + START_SECONDS
    printed = b""
    while not printed.endswith(b"\n"):
        ready, _, _ = select.select([watcher.stdout], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise Unreachable(f"kubectl proxy did not begin within {START_SECONDS:g} s", "try again")
        more = os.read(watcher.stdout.fileno(), 4096)
        if not more:
            raise BadInput(f"kubectl proxy did not begin: {_last(said.read_text(errors='replace'))}", SEE_CONTEXTS)
        printed += more


def _end(watcher: "subprocess.Popen[bytes]") -> None:
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    watcher.stdin.close()
    try:
        watcher.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(watcher.pid, signal.SIGKILL)
        watcher.wait()
    watcher.stdout.close()


def _last(text: str) -> str:
    """Return what kubectl said last, which is why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
