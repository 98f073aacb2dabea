"""What the scripts for kind ask a cluster and make of the answer; stand-ins for the commands write down their calls."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITES_DOWN = 'printf "%s %s\\n" "$(basename "$0")" "$*" >>"$CALLS"; cat >/dev/null\n'
STOPS_HERE = "the stand-in of docker builds nothing"
STRIMZI = "customresourcedefinition.apiextensions.k8s.io/kafkas.kafka.strimzi.io"


class Stage:
    """A PATH on which the script finds stand-ins."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.calls = place / "calls"
        self.stand_in("helm", "")
        self.stand_in("docker", f'echo "{STOPS_HERE}" >&2; exit 1')
        self.stand_in("kind", "echo first; echo testbed; sleep 0.1; echo last")

    def stand_in(self, command: str, body: str) -> None:
        path = self.place / command
        path.write_text(f"#!/usr/bin/env bash\n{WRITES_DOWN}{body}\n")
        path.chmod(0o755)

    def kind_up(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("kind-up.sh", **environment)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.place}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "KIND_CLUSTER": "testbed",
            **environment,
        }
        return subprocess.run(
            [ROOT / "k8s" / script],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def called(self, words: str) -> bool:
        return words in self.calls.read_text()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_question_is_answered_although_its_answer_goes_on_after_what_is_looked_for(stage: Stage) -> None:
    """An e2e run failed by it: `kubectl … | grep -q` answered no when grep left before kubectl had written all."""
    stage.stand_in("kubectl", f'echo kafkas; echo "{STRIMZI}"; sleep 0.1; echo kafkausers; sleep 0.1; echo kafkatopics')
    done = stage.kind_up()
    assert "2/6 Strimzi's resources are served" in done.stdout, done
    assert STOPS_HERE in done.stderr
    assert not stage.called("helm --kube-context")
    assert not stage.called("kind create")


def test_an_api_server_that_does_not_answer_is_not_one_without_strimzi(stage: Stage) -> None:
    stage.stand_in("kubectl", '[[ "$*" != *strimzi* ]] || { echo "unable to handle the request" >&2; exit 1; }')
    done = stage.kind_up()
    assert done.returncode != 0
    assert "unable to handle the request" in done.stderr
    assert not stage.called("helm --kube-context")


def test_strimzi_is_installed_where_its_resources_are_not_served(stage: Stage) -> None:
    stage.stand_in("kubectl", "")
    done = stage.kind_up()
    assert "2/6 install Strimzi" in done.stdout, done
    assert stage.called("helm --kube-context kind-testbed upgrade --install strimzi")


def test_an_api_server_that_is_silent_for_a_moment_is_not_one_where_everything_is_ready(stage: Stage) -> None:
    asked = stage.place / "asked"
    silent_once = f'[[ "$*" != *deployments,* || -e "{asked}" ]] || {{ touch "{asked}"; exit 1; }}'
    stage.stand_in("kubectl", silent_once)
    stage.stand_in("docker", "")
    done = stage.kind_up()
    assert done.returncode == 0, done
    assert "waiting for the API server" in done.stdout
    assert "ready after" in done.stdout.partition("waiting for the API server")[2]


def test_a_helm_that_is_too_old_is_told_before_anything_is_made(stage: Stage) -> None:
    stage.stand_in("helm", "echo v3.16.4")
    stage.stand_in("kubectl", "")
    done = stage.kind_up()
    assert done.returncode == 1
    assert "error: helm v3.16.4 is older than 3.17" in done.stderr
    assert not stage.called("kind")


@pytest.mark.parametrize("version", ["v3.17.0", "v3.20.1", "v4.0.0"])
def test_a_helm_that_is_new_enough_will_do(stage: Stage, version: str) -> None:
    stage.stand_in("helm", f"echo {version}")
    stage.stand_in("kubectl", "")
    assert STOPS_HERE in stage.kind_up().stderr


def test_a_cluster_that_was_interrupted_while_it_was_made_is_taken_away(stage: Stage) -> None:
    stage.stand_in("kind", '[[ "$1" != create ]] || kill -TERM "$PPID"')
    stage.stand_in("kubectl", "")
    done = stage.kind_up()
    assert done.returncode == 130
    assert stage.called("kind delete cluster --quiet --name testbed")
    assert not stage.called("kubectl")


@pytest.mark.parametrize("script", ["kind-down.sh", "kind-demo.sh"])
def test_what_kind_cannot_say_is_not_a_cluster_that_is_not_there(stage: Stage, script: str) -> None:
    stage.stand_in("kind", 'echo "failed to list clusters: permission denied" >&2; exit 1')
    stage.stand_in("kubectl", "")
    done = stage.run(script)
    assert done.returncode == 1
    assert "error: kind: failed to list clusters: permission denied" in done.stderr
    assert "there is no cluster" not in done.stdout + done.stderr


def test_of_a_cluster_that_does_not_answer_nothing_is_deleted(stage: Stage) -> None:
    stage.stand_in("kubectl", "exit 1")
    done = stage.run("kind-down.sh")
    assert done.returncode == 1
    assert "cluster testbed does not answer: docker start testbed-control-plane" in done.stderr
    assert "kind delete cluster --name testbed" in done.stderr
    assert not stage.called("delete")


def test_an_image_of_somebody_else_that_cannot_be_loaded_is_left_to_the_node(stage: Stage) -> None:
    """`kind load` refuses what the engine's image store holds for one platform only."""
    stage.stand_in("kind", 'echo testbed; [[ "$*" != *postgres:15* ]] || exit 1')
    stage.stand_in("kubectl", "")
    stage.stand_in("docker", "")
    done = stage.kind_up()
    assert done.returncode == 0, done
    assert "postgres:15 is left to the node to pull" in done.stdout
    assert stage.called("kind load docker-image --quiet --name testbed sagaplane:dev")


def test_our_own_image_that_cannot_be_loaded_is_an_error(stage: Stage) -> None:
    stage.stand_in("kind", 'echo testbed; [[ "$1" != load ]] || { echo "no such image" >&2; exit 1; }')
    stage.stand_in("kubectl", "")
    stage.stand_in("docker", "")
    done = stage.kind_up()
    assert done.returncode != 0
    assert "no such image" in done.stderr


def test_the_commands_that_come_next_are_about_the_same_namespace(stage: Stage) -> None:
    stage.stand_in("kubectl", "")
    stage.stand_in("docker", "")
    done = stage.kind_up(KIND_NAMESPACE="shop")
    assert "make kind-demo KIND_CLUSTER=testbed KIND_NAMESPACE=shop" in done.stdout
    assert "make kind-down KIND_CLUSTER=testbed KIND_NAMESPACE=shop" in done.stdout
