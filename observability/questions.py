"""What the dashboards and the rules ask Prometheus, read back from their files."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

HERE = Path(__file__).resolve().parent
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?")
MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
LABEL_LIST = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
DURATION = re.compile(r"\[[^\]]*\]")
WORDS = frozenset(
    {"and", "or", "unless", "bool", "offset", "group_left", "group_right", "by", "without", "ignoring", "on"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and where it stands."""

    place: str
    asks: str

    def filled(self, values: Mapping[str, str]) -> str:
        """Return it with the variables of the dashboard replaced."""
        asks = self.asks
        for name, value in values.items():
            asks = asks.replace(f"${name}", value)
        return asks

    def selectors(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Return each metric that it reads, with the labels that are compared."""
        text = DURATION.sub("", LABEL_LIST.sub("", TEXT.sub('""', self.asks)))
        for found in SELECTOR.finditer(text):
            name, inside = found.group(1), found.group(2)
            is_call = inside is None and text[found.end() :].lstrip().startswith("(")
            if (
                not is_call
                and name not in WORDS
                and not text[: found.start()].endswith(("{", "$"))
                and _alone(text, found)
            ):
                yield name, frozenset(MATCHER.findall(inside or ""))

    def series(self) -> Iterator[str]:
        """Return each choice of series in it, as it stands there."""
        for found in re.finditer(r"[a-zA-Z_:][a-zA-Z0-9_:]*\{(?:[^}\"]|\"[^\"]*\")*\}", self.asks):
            yield found.group(0)


def of_dashboards() -> Iterator[Question]:
    """Return what every panel asks, in order."""
    for path in sorted(HERE.glob("dashboards/*.json")):
        for panel in panels(path):
            for target in panel.get("targets", []):
                yield Question(f"{path.stem}: {panel['title']}", target["expr"])


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard, without the headings."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def title(path: Path) -> str:
    """Return what a dashboard is called."""
    return str(json.loads(path.read_text())["title"])


def rules() -> Iterator[dict[str, Any]]:
    """Return every rule: what is recorded, and the alerts."""
    for group in groups():
        yield from group["rules"]


def groups() -> Iterator[dict[str, Any]]:
    """Return the rules as they are evaluated together."""
    for path in sorted(HERE.glob("rules/*.yaml")):
        yield from yaml.safe_load(path.read_text())["groups"]


def of_rules() -> Iterator[Question]:
    """Return what every rule asks."""
    for rule in rules():
        yield Question(rule.get("alert") or rule["record"], rule["expr"])


def _alone(text: str, found: re.Match[str]) -> bool:
    """Tell whether this is a name, and neither the rest of a number nor a label within braces."""
    before = text[: found.start()]
    return before.count("{") == before.count("}") and not before[-1:].isalnum()
