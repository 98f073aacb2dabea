"""What the operators say, kept while they run: a pod that is killed takes its log with it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
from tests.e2e.cluster import Cluster

LOOK_SECONDS = 0.5
ERRORS = ('"level":"error"', '"level":"critical"', ": error: ", ": critical: ")


@dataclass
class OperatorLogs:
    """A follower of the log of every pod with some labels."""

    cluster: Cluster
    namespace: str
    selector: str
    _lines: dict[str, list[str]] = field(default_factory=dict)
    _followed: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _read: dict[str, int] = field(default_factory=dict)
    _looking: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._looking = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        self._looking.start()

    def stop(self) -> None:
        self._stop.set()
        self._looking.join()

    def text(self) -> str:
        """Return everything that was said."""
        return "\n".join(f"{pod}: {line}" for pod, lines in self._lines.items() for line in list(lines))

    def fresh(self) -> list[str]:
        """Return the lines that were not returned before."""
        found = []
        for pod, lines in list(self._lines.items()):
            until = len(lines)
            found += [f"{pod}: {line}" for line in lines[self._read.get(pod, 0) : until]]
            self._read[pod] = until
        return found

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                path = f"/api/v1/namespaces/{self.namespace}/pods"
                for pod in self.cluster.items(path, labelSelector=self.selector):
                    if pod["status"]["phase"] == "Running" and pod["metadata"]["name"] not in self._followed:
                        self._followed.add(pod["metadata"]["name"])
                        threading.Thread(target=self._follow, args=[pod["metadata"]["name"]], daemon=True).start()
            except (httpx.HTTPError, ValueError, AssertionError):
                continue

    def _follow(self, pod: str) -> None:
        """Read one pod's log to its end; when the connection breaks, what was read is skipped."""
        lines = self._lines.setdefault(pod, [])
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        try:
            with self.cluster.http.stream("GET", path, params={"follow": "true"}, timeout=None) as answer:
                if answer.is_success:
                    for number, line in enumerate(answer.iter_lines()):
                        if number >= len(lines):
                            lines.append(line)
        except httpx.HTTPError:
            pass
        except RuntimeError:  # the client was closed, as at the end of a session
            if not self._stop.is_set():
                raise
        finally:
            self._followed.discard(pod)


def offending(lines: list[str]) -> Iterator[str]:
    """Yield the lines that no operator should say."""
    for line in lines:
        loud = "Traceback" in line or any(mark in line for mark in ERRORS)
        if loud:
            yield line
