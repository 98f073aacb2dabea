"""The start of an operator on a cluster, and what it spends its time on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from tests.e2e.release import Release

PARTS = {
    "runs": "until the leader's process runs",
    "speaks": "until it speaks: the interpreter, and what it imports",
    "answers": "until it is connected and answers probes",
    "leads": "until it leads",
    "acts": "until the status is there",
}
"""What an operator does at its start, in order, and how that is called."""


@dataclass(frozen=True, slots=True)
class Start:
    """When one operator did each of `PARTS`, in seconds since 1970."""

    began: float
    runs: float
    speaks: float
    answers: float
    leads: float
    acts: float

    @classmethod
    def of(cls, release: Release, began: float, acted: float) -> Self:
        """Read it from the log of the leader, and of when its process began."""
        pod = release.wait_for_leader()
        path = f"/api/v1/namespaces/{release.namespace}/pods/{pod}/log"
        lines = release.cluster.http.get(path, params={"timestamps": "true"}).text.splitlines()

        def said(words: str) -> float:
            return datetime.fromisoformat(next(line for line in lines if words in line).split()[0]).timestamp()

        return cls(began, process_began(release, pod), said(""), said(" answers at "), said(" leads"), acted)

    @property
    def seconds(self) -> float:
        return self.acts - self.began

    def part(self, name: str) -> float:
        """Return how long one part took."""
        moments = ["began", *PARTS]
        before = moments[moments.index(name) - 1]
        return float(getattr(self, name) - getattr(self, before))


def process_began(release: Release, pod: str) -> float:
    """Return when the process of an operator began, more exactly than the API server knows it."""
    asked = "import os, time; t = time.time(); tick = os.sysconf('SC_CLK_TCK')\n"
    asked += "up = float(open('/proc/uptime').read().split()[0])\n"
    asked += "print(t - up + int(open('/proc/1/stat').read().rpartition(')')[2].split()[19]) / tick)"
    return float(release.kubectl("exec", pod, "--container=operator", "--", "python", "-c", asked))
