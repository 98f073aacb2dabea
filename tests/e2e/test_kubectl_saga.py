"""`kubectl saga` against a real API server: sagas by the names of their resources, and what is in the way."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import CONTEXT
from tests.e2e.release import Release
from tests.e2e.sagas import ENDS_SECONDS_MAX, Namespace, Saga

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]
SECONDS_MAX = 120
NOBODY = "system:serviceaccount:kube-system:kubectl-saga-test"
LABELS = {"app.kubernetes.io/part-of": "sagaplane", "app.kubernetes.io/component": "order"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the plugin printed, and its exit code."""

    code: int
    out: str
    err: str


Plugin = Callable[..., Answer]


@pytest.fixture
def plugin(session_release: Release, room: Namespace) -> Plugin:
    """Type a command in the room, about the platform."""

    def type_in(*words: str) -> Answer:
        where = ("--context", CONTEXT, "-n", room.name)
        named = () if "--release" in words else ("--release", f"{session_release.namespace}/{session_release.name}")
        done = subprocess.run(
            [sys.executable, "-m", "onebox.kubectl", *where, *named, *words],
            env={**os.environ, "SAGACTL_ACTOR": "ada", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return type_in


def ended(room: Namespace, name: str) -> Saga:
    room.begin(name)
    return room.wait_for(name, lambda its: its.ended, ENDS_SECONDS_MAX)


@pytest.mark.usefixtures("release")
def test_a_saga_is_read_by_the_name_of_its_resource(plugin: Plugin, room: Namespace) -> None:
    its = ended(room, "breakfast")
    described = plugin("describe", "breakfast")
    assert described.code == 0, described.err
    assert described.out.startswith(f"{its.saga_id}  ✔ Completed")
    assert plugin("describe", "osaga/breakfast", "-o", "name").out.strip() == its.saga_id
    assert "✔ Completed" in plugin("timeline", "breakfast").out
    assert plugin("events", "breakfast", "-o", "name").out.startswith(f"{its.saga_id}/1\n")
    replayed = plugin("replay", "breakfast")
    assert (replayed.code, replayed.out[:2]) == (0, "✔ ")
    listed = plugin("list", "--limit", "0")
    assert [its.saga_id, "breakfast"] in [row.split()[:2] for row in listed.out.splitlines()], listed.err


@pytest.mark.usefixtures("release")
def test_an_order_is_placed_and_who_asks_comes_through(plugin: Plugin) -> None:
    key = uuid4().hex
    placed = plugin("submit", "--item", "prod-1:1:1.00", "--key", key, "--wait", "-o", "name")
    assert placed.code == 0, placed.err
    saga = placed.out.strip()
    assert plugin("submit", "--item", "prod-1:1:1.00", "--key", key, "-o", "name").out.strip() == saga
    because = ("--reason", "a test of the plugin")
    job = plugin("batch", "create", "--verb", "cancel", "--id", saga, *because, "-o", "name").out.strip()
    assert json.loads(plugin("batch", "show", job, "-o", "json").out)["actor"] == "ada"


def test_a_resource_whose_order_is_held_says_why_it_has_no_saga(plugin: Plugin, room: Namespace) -> None:
    room.begin("held", suspend=True)
    answer = plugin("describe", "held")
    assert answer.code == 4
    assert answer.err.startswith("error: OrderSaga held has no saga yet: suspend is true")
    room.delete("held")


def test_what_is_not_there_is_said_by_who_knows_it(plugin: Plugin) -> None:
    resource, saga = plugin("describe", "osaga/nobody"), plugin("describe", "nobody")
    assert (resource.code, saga.code) == (4, 4)
    assert resource.err.startswith('error: ordersagas.sagaplane.io "nobody" not found\n')
    assert saga.err.startswith("error: there is no saga with the id or correlation id 'nobody'\n")


def test_a_service_without_endpoints_names_the_command_that_shows_why(plugin: Plugin, room: Namespace) -> None:
    metadata = {"name": "empty-order", "labels": LABELS | {"app.kubernetes.io/instance": "empty"}}
    spec = {"selector": {"nothing": "bears-this"}, "ports": [{"name": "http", "port": 3002}]}
    room.kubectl("apply", "-f", "-", body={"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    try:
        # The API server learns of the Service a little later than it is made.
        until(lambda: "no pod that is ready" in plugin("list", "--release", "empty").err, SECONDS_MAX, "no endpoints")
        answer = plugin("list", "--release", "empty")
        assert answer.code == 3
        assert f"--namespace={room.name} get pods --selector=" in answer.err
        assert len(answer.err.splitlines()) == 2
    finally:
        room.kubectl("delete", "service", "empty-order")


def test_who_may_not_is_told_which_right_is_missing(plugin: Plugin, cluster: Cluster, tmp_path: Path) -> None:
    config = json.loads(cluster.must("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    config["users"][0]["user"]["as"] = NOBODY
    file = tmp_path / "config.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))
    answer = plugin("list", "--kubeconfig", str(file))
    assert answer.code == 3
    assert answer.err.startswith("error: the cluster does not allow it: services is forbidden: ")
    assert "\n  ask for the right to list services in namespace " in answer.err
    assert "Traceback" not in answer.err


def test_a_context_that_is_not_there_is_one_line(plugin: Plugin) -> None:
    answer = plugin("list", "--context", "no-such-context")
    assert answer.code == 2
    assert "no-such-context" in answer.err
    assert len(answer.err.splitlines()) == 2
