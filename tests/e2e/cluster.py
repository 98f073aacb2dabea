"""A Kubernetes cluster as its users meet it: kubectl for what people type, kubectl's proxy for what is asked often."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import httpx
from tests.real.shop import NotInTimeError

COMMAND_SECONDS_MAX = 90.0
ASKED_EVERY_SECONDS = 0.1
GROUP = "/apis/sagaplane.io/v1alpha1"
EVENTS = "/apis/events.k8s.io/v1"

Body = dict[str, Any]


class CommandError(AssertionError):
    """A command did not do what was asked. The text is what it said."""


STARTING = (401, 403)
"""What an API server says to everybody before it knows who may do what."""


def until(met: Callable[[], object], seconds_max: float, what: str | Callable[[], str]) -> float:
    """Return after how many seconds the condition was met; servers that are away or ill meanwhile are asked again.

    Raises:
        NotInTimeError: when it was not.
    """
    began = time.monotonic()
    while True:
        try:
            if met():
                return time.monotonic() - began
        except httpx.HTTPStatusError as error:
            if not (error.response.is_server_error or error.response.status_code in STARTING):
                raise
        except httpx.TransportError:
            pass
        if time.monotonic() - began > seconds_max:
            raise NotInTimeError(f"not within {seconds_max:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(ASKED_EVERY_SECONDS)


@dataclass(frozen=True)
class Cluster:
    """One cluster, by the context that reaches it."""

    context: str
    http: httpx.Client

    def run(
        self, *words: str, body: object = None, seconds_max: float = COMMAND_SECONDS_MAX
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; a body goes to it as a file."""
        text = None if body is None else body if isinstance(body, str) else json.dumps(body)
        return subprocess.run(
            ["kubectl", "--context", self.context, *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )

    def must(self, *words: str, body: object = None, seconds_max: float = COMMAND_SECONDS_MAX) -> str:
        """Return what kubectl says, which has to succeed.

        Raises:
            CommandError: when it does not.
        """
        done = self.run(*words, body=body, seconds_max=seconds_max)
        if done.returncode != 0:
            raise CommandError(f"kubectl {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def get(self, path: str, **query: str) -> Body | None:
        """Return what the API server has there, or None."""
        answer = self.http.get(path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: Body = answer.json()
        return found

    def items(self, path: str, **query: str) -> list[Body]:
        """Return a list of the API server, all of it."""
        found = self.get(path, **query)
        assert found is not None, f"{path} is not served"
        return [*found["items"]]

    def patch(self, path: str, patch: Mapping[str, Any]) -> None:
        """Change an object as `kubectl patch --type=merge` does."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self.http.patch(path, content=json.dumps(patch), headers=headers).raise_for_status()

    def delete(self, path: str, **options: object) -> None:
        """Delete an object, or all of a list; what is gone is gone."""
        answer = self.http.request("DELETE", path, content=json.dumps(options) if options else None)
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()


@contextmanager
def connected(context: str) -> Iterator[Cluster]:
    """Offer the cluster; its proxy ends with this.

    Raises:
        CommandError: when there is no such cluster.
    """
    command = ["kubectl", "--context", context, "proxy", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if "Starting to serve on" not in said:
                raise CommandError(f"no cluster behind the context {context}: {said}{process.stdout.read()}")
            # It says a line about each request that fails, and stands still once nobody reads them.
            Thread(target=process.stdout.read, daemon=True).start()
            address = f"http://{said.strip().rpartition(' ')[2]}"
            with httpx.Client(base_url=address, timeout=15, trust_env=False) as http:
                yield Cluster(context, http)
        finally:
            process.terminate()
