"""What `k8s/kind-up.sh` asks a cluster and makes of the answer; stand-ins for the commands write down their calls."""

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

    def kind_up(self) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.place}:{os.environ['PATH']}",
            "CALLS": str(self.calls),
            "KIND_CLUSTER": "testbed",
        }
        return subprocess.run(
            [ROOT / "k8s" / "kind-up.sh"],
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
    assert not stage.called("helm")
    assert not stage.called("kind create")


def test_an_api_server_that_does_not_answer_is_not_one_without_strimzi(stage: Stage) -> None:
    stage.stand_in("kubectl", '[[ "$*" != *strimzi* ]] || { echo "unable to handle the request" >&2; exit 1; }')
    done = stage.kind_up()
    assert done.returncode != 0
    assert "unable to handle the request" in done.stderr
    assert not stage.called("helm")


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
