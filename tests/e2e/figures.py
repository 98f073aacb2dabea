"""The figures of the platform on a cluster: python -m tests.e2e.figures prints them as the rows of a Markdown table.

Nothing is judged here: what was asked for stands beside what was measured. The release is the one of the tests.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from statistics import median, quantiles
from uuid import uuid4

import httpx
from tests.e2e.cluster import Body, Cluster, connected, until
from tests.e2e.conftest import CONTEXT, NAMESPACE, make_namespace, remove_namespace
from tests.e2e.release import Release
from tests.e2e.sagas import Namespace, order_saga
from tests.e2e.starts import PARTS, Start
from tests.e2e.witness import witness

LONG = 600
SINGLE = 20
BURST, BURST_SECONDS_MAX = 200, 300.0
FINISHED = 1000
LATE = 100
FAIL_OVERS, RESTARTS = 3, 5
MEMORY_MINUTES, MEMORY_EVERY_SECONDS = 10.0, 15.0
WRITES = ("POST", "PUT", "PATCH", "DELETE", "APPLY")

Row = tuple[str, str, str]
"""What was measured, what was asked for, what was found."""


def single(release: Release, room: Namespace) -> Iterator[Row]:
    """From `kubectl apply` to Succeeded, one saga at a time."""
    seconds = []
    for number in range(SINGLE):
        began = time.monotonic()
        room.apply(order_saga(f"single-{number}", timeoutSeconds=LONG))
        room.wait_for_phase(f"single-{number}", "Completed")
        seconds.append(time.monotonic() - began)
    yield f"`kubectl apply` to `Succeeded`, {SINGLE} one after the other", "median < 3 s", spread(seconds)


def burst(release: Release, room: Namespace) -> Iterator[Row]:
    """Many resources applied in one file, and the writes that each costs the API server."""
    since = datetime.now(UTC)
    before, _ = written(release, since)
    bodies = [order_saga(f"burst-{number}", timeoutSeconds=LONG) for number in range(BURST)]
    room.apply(*bodies)
    began = time.monotonic()
    ended = room.wait_all_ended("burst-", BURST, BURST_SECONDS_MAX)
    seconds = time.monotonic() - began
    completed = sum(its.phase == "Completed" for its in ended)
    found = f"{completed} Completed, the last {seconds:.0f} s after the last create"
    yield f"{BURST} OrderSagas in one `kubectl apply`", "all Completed within 60 s", found
    after, how = written(release, since)
    own = after - before - (BURST if "counters" in how else 0)
    what = "writes to the API server per saga: status, finalizers and Events; the user's create and Leases apart"
    yield what, "at most 8", f"{own / BURST:.2f}, {how}"


def lateness(release: Release, room: Namespace) -> Iterator[Row]:
    """How long after its deadline each AbortSaga is on the topic."""
    for away in (["payment"], ["payment", "order"]):
        what = f"`AbortSaga` after the deadline, {LATE} at once, with {' and '.join(away)} at 0 replicas"
        yield what, "p99 < 2 s", spread(lateness_without(release, room, away))


def lateness_without(release: Release, room: Namespace, away: Sequence[str]) -> list[float]:
    """Return by how many seconds each was late; the first that is away holds the sagas, the others go later."""
    names = [f"late-{away[-1]}-{number}" for number in range(LATE)]
    with release.without(away[0]), witness(release) as heard, ExitStack() as others:
        room.apply(*(order_saga(name, timeoutSeconds=90) for name in names))
        for name in names:
            room.wait_for_placed(name)
        for service in away[1:]:
            others.enter_context(release.without(service))
        due = {its.saga_id: its.deadline for its in room.sagas() if its.name in names}
        assert datetime.now(UTC) < min(due.values()), "a deadline passed before everything was prepared"
        until(lambda: due.keys() <= {abort.saga_id for abort in heard.aborts}, 180, "every saga is asked to abort")
        late = [(min(abort.at for abort in heard.of(saga_id)) - due[saga_id]).total_seconds() for saga_id in due]
    for name in names:
        room.wait_for_phase(name, "Compensated", 120)
    return late


def failover(release: Release, room: Namespace) -> Iterator[Row]:
    """From the death of the leader to the first thing that the other one does."""
    seconds = []
    for number in range(FAIL_OVERS):
        release.wait_until_ready("operator")
        leader = release.wait_for_leader()
        began = time.monotonic()
        release.kill(leader)
        until(lambda leader=leader: release.leader() != leader, 90, "the lease has another holder")  # type: ignore[misc]
        room.apply(order_saga(f"over-{number}", suspend=True))
        room.wait_for_phase(f"over-{number}", "Pending")
        seconds.append(time.monotonic() - began)
    what = f"the leader killed, to the first status of a new OrderSaga, {FAIL_OVERS} times"
    yield what, "fail-over < 30 s", spread(seconds)


def restart(release: Release, room: Namespace) -> Iterator[Row]:
    """From nobody to the first thing that an operator does, and where the time goes."""
    starts = []
    for number in range(RESTARTS):
        release.wait_until_ready("operator")
        release.wait_for_leader()
        release.close("operator")
        began = time.time()
        release.scale("operator", 2)
        room.apply(order_saga(f"again-{number}", suspend=True))
        room.wait_for_phase(f"again-{number}", "Pending")
        starts.append(Start.of(release, began, time.time()))
    what = f"operators scaled from 0, to the first status of a new OrderSaga, {RESTARTS} times"
    yield what, "restart < 15 s", spread([start.seconds for start in starts])
    for part, what in PARTS.items():
        yield f"of that: {what}", "stated", spread([start.part(part) for start in starts])


def memory(release: Release, room: Namespace, minutes: float = MEMORY_MINUTES) -> Iterator[Row]:
    """What the leader takes with many finished resources to look after; a new one lists them all."""
    room.begin("model")
    done = room.wait_for_phase("model", "Completed").status
    empty = mib_of(release, new_leader(release, 0))
    for number in range(FINISHED):
        name = f"finished-{number}"
        room.create(order_saga(name, suspend=True, deletionPolicy="Orphan"))
        status = {**done, "sagaId": f"{done['sagaId'][:-8]}{number:08}"}
        body = {
            "apiVersion": "sagaplane.io/v1alpha1",
            "kind": "OrderSaga",
            "metadata": {"name": name},
            "status": status,
        }
        write_status(room, name, body)
    leader = new_leader(release, FINISHED)
    full = mib_of(release, leader)
    yield f"memory of a new leader that has listed {FINISHED} finished resources", "< 150 MiB", f"{full:.0f} MiB"
    yield f"growth for {FINISHED} finished resources", "stated", f"{full - empty:.0f} MiB from {empty:.0f} MiB"
    seen = [full]
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(MEMORY_EVERY_SECONDS)
        seen.append(mib_of(release, leader))
    assert release.wait_for_leader() == leader, "another operator leads"
    found = f"{seen[-1]:.0f} MiB, at most {max(seen):.0f} MiB meanwhile"
    yield f"the same after {minutes:g} minutes", "< 150 MiB", found


def new_leader(release: Release, resources: int) -> str:
    """Have all operators start anew, and return the leader once it has looked at so many resources or more."""
    release.kill(*release.pod_names("operator"))
    release.wait_for_leader(other_than=release.leader())
    release.wait_until_ready("operator")
    leader = release.wait_for_leader()

    def looked() -> bool:
        listed = release.metric(leader, "saga_operator_resources")
        return listed >= resources and release.metric(leader, "saga_operator_queue_depth") == 0

    until(looked, 120, "the operator has looked at everything")
    return leader


def write_status(room: Namespace, name: str, body: Body) -> None:
    """Write the status as the operator does."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    query = {"fieldManager": "sagaplane-operator", "force": "true"}
    answer = room.cluster.http.patch(
        f"{room.path(name)}/status", params=query, content=json.dumps(body), headers=headers
    )
    assert answer.is_success, answer.text


def mib_of(release: Release, pod: str) -> float:
    """Return the resident memory of an operator's process."""
    said = release.kubectl("exec", pod, "--container=operator", "--", "cat", "/proc/1/status")
    (kib,) = (line.split()[1] for line in said.splitlines() if line.startswith("VmRSS:"))
    return int(kib) / 1024


def written(release: Release, since: datetime) -> tuple[float, str]:
    """Return how many writes to OrderSagas and Events were served since, all in all, and who counted them.

    That is the audit log, where the cluster keeps one: there the operator is told from everybody else. Else it is the
    API server's own counters, from its start.
    """
    node = release.cluster.items("/api/v1/nodes")[0]["metadata"]["name"]
    answer = release.cluster.http.get(f"/api/v1/nodes/{node}/proxy/logs/kubernetes/audit.log")
    if not answer.is_success:
        return counted(release.cluster), "by the API server's counters: this cluster keeps no audit log"
    who = f"system:serviceaccount:{release.namespace}:{release.name}-operator"
    entries = (json.loads(line) for line in answer.text.splitlines())
    mine = (each for each in entries if each["user"]["username"] == who and _is_write(each, since))
    return float(sum(1 for _ in mine)), "by the audit log"


def _is_write(entry: Body, since: datetime) -> bool:
    about = entry.get("objectRef", {}).get("resource") in ("ordersagas", "events")
    served = entry.get("responseStatus", {}).get("code", 0) < httpx.codes.MULTIPLE_CHOICES
    return about and served and datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= since


def counted(cluster: Cluster) -> float:
    total = 0.0
    for line in cluster.http.get("/metrics").text.splitlines():
        if line.startswith("apiserver_request_total{") and 'code="2' in line:
            event = 'resource="events"' in line and 'group="events.k8s.io"' in line
            if (event or 'resource="ordersagas"' in line) and any(f'verb="{verb}"' in line for verb in WRITES):
                total += float(line.rpartition(" ")[2])
    return total


def spread(seconds: Sequence[float]) -> str:
    """Return the middle and the ends of a sample."""
    p99 = quantiles(seconds, n=100, method="inclusive")[98]
    return f"median {median(seconds):.2f} s, p99 {p99:.2f} s, {min(seconds):.2f} to {max(seconds):.2f} s"


Figure = Callable[[Release, Namespace], Iterable[Row]]
FIGURES: dict[str, Figure] = {
    "single": single,
    "burst": burst,
    "lateness": lateness,
    "failover": failover,
    "restart": restart,
    "memory": memory,
}


def machine() -> str:
    """Return what was measured on."""
    began = f"{datetime.now().astimezone():%F %R}"
    return f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} at the start, {began}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.figures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*FIGURES], help=f"some of {', '.join(FIGURES)}")
    parser.add_argument("--minutes", type=float, default=MEMORY_MINUTES, help="how long the memory is looked at")
    asked = parser.parse_args(arguments)
    if unknown := {*asked.names} - FIGURES.keys():
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    figures: dict[str, Figure] = {**FIGURES, "memory": partial(memory, minutes=asked.minutes)}
    sys.stdout.write(f"{machine()}\n\n| what | asked | found |\n| --- | --- | --- |\n")
    with connected(CONTEXT) as cluster:
        release = Release(cluster, namespace=NAMESPACE)
        release.look_everywhere()
        release.wait_until_ready()
        release.stock_up()
        room = make_namespace(cluster, f"e2e-figures-{uuid4().hex[:6]}")
        try:
            for name in asked.names:
                for row in figures[name](release, room):
                    sys.stdout.write(f"| {' | '.join(row)} |\n")
                    sys.stdout.flush()
            release.demand_balanced()
        finally:
            remove_namespace(room)
    sys.stdout.write(f"\nload {os.getloadavg()[0]:.1f} at the end, {datetime.now().astimezone():%R}\n")


if __name__ == "__main__":
    main()
