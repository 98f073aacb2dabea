"""Draw panels of the dashboards from what a Prometheus answers: `python -m observability.render --minutes 5`."""

import argparse
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from observability import questions
from observability.drawing import Curve, Picture, sheet

SHEETS: Mapping[str, tuple[str, ...]] = {
    "overview": (
        "Begun",
        "Ended",
        "Share of outcomes",
        "Active by phase",
        "How long sagas took",
        "Quantiles",
    ),
    "steps": ("Outcomes", "p99 by step", "Refused", "How long steps took", "Compensations", "Compensation p99"),
    "messaging": ("Published", "Handled", "Records per batch", "Outbox", "Outbox age", "Lag in records"),
    "operator": (
        "By phase",
        "Messages heard",
        "How long a resource waited",
        "Writes",
        "Looked at",
        "How long a look took",
    ),
    "analytics": ("Taken in", "Watermark age", "Unmatched over time", "Read", "Lag in seconds", "Begun and counted"),
}
"""Which panels of which page."""
POINTS = 120
ANSWER_SECONDS_MAX = 30.0


def main(arguments: list[str] | None = None) -> int:
    """Write one picture per page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="where it is")
    parser.add_argument("--minutes", type=float, default=10, help="how much of the past")
    parser.add_argument("--interval", default="30s", help="over how long rates are taken")
    parser.add_argument("--into", type=Path, default=questions.HERE.parent / "docs/images", help="a directory")
    given = parser.parse_args(arguments)
    end = time.time()
    with httpx.Client(base_url=given.prometheus, timeout=ANSWER_SECONDS_MAX, trust_env=False) as client:
        for name, titles in SHEETS.items():
            drawn = page(client, name, titles, end - given.minutes * 60, end, given.interval)
            (given.into / f"dashboard-{name}.svg").write_text(drawn)
            sys.stdout.write(f"wrote dashboard-{name}.svg\n")
    return 0


def page(client: httpx.Client, name: str, titles: Sequence[str], begin: float, end: float, interval: str) -> str:
    """Return these panels of a page, drawn."""
    path = questions.HERE / f"dashboards/{name}.json"
    panels = {panel["title"]: panel for panel in questions.panels(path)}
    values = {
        "__rate_interval": interval,
        "__range": f"{end - begin:.0f}s",
        "namespace": ".*",
        "definition": ".*",
    }
    pictures = [_picture(client, panels[title], begin, end, values) for title in titles]
    return sheet(questions.title(path), pictures)


def _picture(
    client: httpx.Client, panel: Mapping[str, Any], begin: float, end: float, values: Mapping[str, str]
) -> Picture:
    curves: list[Curve] = []
    for target in panel["targets"]:
        asks = questions.Question(panel["title"], target["expr"]).filled(values)
        asked: dict[str, str | float] = {"query": asks, "start": begin, "end": end, "step": (end - begin) / POINTS}
        answer = client.get("/api/v1/query_range", params=asked).raise_for_status().json()["data"]["result"]
        curves += [
            Curve(_called(target.get("legendFormat", ""), series["metric"]), _points(series)) for series in answer
        ]
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    return Picture(
        title=panel["title"],
        unit=panel["fieldConfig"]["defaults"]["unit"],
        curves=sorted(curves, key=lambda curve: curve.called),
        begin=begin,
        end=end,
        stacked=custom.get("stacking", {}).get("mode") == "normal",
        heat=panel["type"] == "heatmap",
    )


def _called(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found.group(1), ""), legend).strip()


def _points(series: Mapping[str, Any]) -> list[tuple[float, float]]:
    points = [(float(at), float(value)) for at, value in series["values"]]
    return [(at, value) for at, value in points if math.isfinite(value)]


if __name__ == "__main__":
    sys.exit(main())
