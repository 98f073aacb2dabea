"""Judges that we did not write: what they find is mended, or left for a reason that `skips.toml` tells."""

import json
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from tests.charts.rendering import CHART, NAMED, PROFILES, ROOT, helm, manifests, text

pytestmark = pytest.mark.charts

SKIPS: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("skips.toml").read_text())
FAILED_BELOW = 5
"""Of kube-score's grades, 10 is good and 7 almost; below are warnings and what is critical."""
FOREIGN = ("kafka.strimzi.io", "keda.sh")
"""Resources whose definitions are not ours: a real API server judges Strimzi's in test_server.py."""


def judge(name: str) -> str:
    """Return where a judge is: on PATH, or where `make judges` has put it; without it the test is skipped."""
    found = shutil.which(name) or shutil.which(name, path=ROOT / ".judges/bin")
    if found is None:
        pytest.skip(f"{name} is not on PATH, and not from `make judges`")
    return found


@pytest.mark.parametrize("name", PROFILES)
def test_helm_lint_finds_nothing(name: str) -> None:
    case = NAMED[name]
    files = [f"--values={CHART / file}" for file in case.files]
    done = helm("lint", "--strict", str(CHART), *files, values=case.values)
    assert done.returncode == 0, done.stdout
    findings = [line for line in done.stdout.splitlines() if line.startswith(("[WARNING]", "[ERROR]"))]
    assert findings == []


def test_the_charts_own_suites_pass() -> None:
    judge("helm")
    done = subprocess.run(
        ["helm", "unittest", str(CHART)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    if "unknown command" in done.stderr:
        pytest.skip("helm has no plugin unittest")
    assert done.returncode == 0, done.stdout


def test_kube_score_finds_nothing_that_is_not_explained() -> None:
    found: set[str] = set()
    for name in PROFILES:
        done = subprocess.run(
            [judge("kube-score"), "score", "--output-format=json", "-"],
            input=text(name),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for judged in json.loads(done.stdout):
            for check in judged["checks"] or ():
                if not check["skipped"] and check["grade"] <= FAILED_BELOW:
                    found.add(check["check"]["id"])
    assert found == SKIPS["kube-score"].keys()


def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    found: set[str] = set()
    for name in PROFILES:
        manifest = tmp_path / f"{name}.yaml"
        manifest.write_text(text(name))
        asked = ["--framework=kubernetes", "--skip-download", "--compact", "--quiet", "--output=json"]
        done = subprocess.run(
            [judge("checkov"), *asked, f"--file={manifest}"], capture_output=True, text=True, timeout=180, check=False
        )
        answer = json.loads(done.stdout)
        assert answer["summary"]["parsing_errors"] == 0
        assert answer["summary"]["passed"] > 0
        found |= {check["check_id"] for check in answer["results"]["failed_checks"]}
    assert found == SKIPS["checkov"].keys()


@pytest.mark.parametrize("name", [*PROFILES, "all namespaces", "scaled by CPU", "pods with everything"])
def test_kubectl_validate_finds_nothing(name: str, tmp_path: Path) -> None:
    ours = [found for found in manifests(name) if not found["apiVersion"].startswith(FOREIGN)]
    (tmp_path / "manifests.yaml").write_text(yaml.safe_dump_all(ours))
    asked = ["--version=1.30", f"--local-crds={ROOT / 'k8s/crds'}"]
    done = subprocess.run(
        [judge("kubectl-validate"), *asked, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
