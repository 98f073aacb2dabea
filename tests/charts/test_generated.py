"""What the chart takes from elsewhere is what is there."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]
from tests.charts.rendering import CHART, ROOT


def test_everything_that_is_generated_is_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "k8s/generate.py", "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_chart_brings_the_custom_resource_definitions_that_are_declared() -> None:
    declared = {path.name: path.read_text() for path in (ROOT / "k8s/crds").glob("*.yaml")}
    brought = {path.name: path.read_text() for path in (CHART / "files/crds").glob("*.yaml")}
    assert declared
    assert brought == declared


def test_the_readme_tells_every_value() -> None:
    told = {line.split("`")[1] for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    missing = [
        path for path in _leaves(values) if not any(path == name or path.startswith(f"{name}.") for name in told)
    ]
    assert missing == []


def _leaves(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each value that is not a mapping with more in it."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"
