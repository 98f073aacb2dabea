#!/usr/bin/env python3
"""Write what the chart takes from elsewhere, or check that it is current: `k8s/generate.py [--check]`.

That is what the services are and need (`files/shop.json`), the custom resources, and the README of its values.
"""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from onebox.layout import PORTS
from onebox.wiring import ALL_ACCESS, ALL_TOPICS
from sagakit.adapters.kafka.specs import TopicSpec
from sagakit.core.definition import Saga
from shop_contracts.access import ANY
from shop_contracts.order_saga import ORDER_SAGA

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts/sagaplane"
HEADING = "# -- "


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when everything is current in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    given = parser.parse_args(arguments)
    stale = {path: text for path, text in wanted() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if given.check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not current: run k8s/generate.py\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")
    return 1 if given.check and stale else 0


def wanted() -> Iterator[tuple[Path, str]]:
    """Yield each file that is made, and what has to be in it."""
    yield CHART / "files/shop.json", msgspec.json.format(msgspec.json.encode(shop()), indent=1).decode() + "\n"
    for crd in sorted((ROOT / "k8s/crds").glob("*.yaml")):
        yield CHART / "files/crds" / crd.name, crd.read_text()
    yield CHART / "README.md", readme((CHART / "README.md.in").read_text(), (CHART / "values.yaml").read_text())


def shop() -> dict[str, Any]:
    """Return the services, the topics, the rights of each user, and the definition that is built in."""
    return {
        "services": {
            service: {
                "port": port,
                "groups": {group: sorted(topics) for group, topics in _wiring(service).GROUPS.items()},
            }
            for service, port in PORTS.items()
        },
        "topics": [
            {"name": topic.name, "config": _config(topic.keep_seconds, compacted=topic.compacted)}
            for topic in ALL_TOPICS
        ],
        "rights": {user: [*rights(user)] for user in sorted(ALL_ACCESS)},
        "definition": definition(ORDER_SAGA),
    }


def rights(user: str) -> Iterator[dict[str, Any]]:
    """Yield what a user may do with topics and groups, as Strimzi writes it; all may see which topics are there."""
    access = ALL_ACCESS[user]
    for topic in ALL_TOPICS:
        asked = {
            "Describe": True,
            "Read": topic.name in access.reads,
            "Write": topic.name in access.writes,
            "Delete": topic.name in access.prunes,
        }
        yield _rule("topic", topic.name, [operation for operation, given in asked.items() if given])
    for group in access.groups:
        yield _rule("group", group, ["Read"])


def definition(saga: Saga) -> dict[str, Any]:
    """Return a definition in the short form of a SagaDefinition's spec: the rest is known of each command."""
    return {
        "name": saga.name,
        "version": saga.version,
        "stages": [
            {"steps": [{"name": step.name, "participant": step.participant, "command": step.command} for step in stage]}
            for stage in saga.stages
        ],
    }


def readme(frame: str, values: str) -> str:
    """Return the README: the frame, with a table of the values in it."""
    rows = [f"| `{key}` | {meaning} | {default} |" for key, meaning, default in described(values)]
    table = "\n".join(["| value | meaning | default |", "| --- | --- | --- |", *rows])
    return frame.replace("<!-- values -->", table)


def described(values: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, meaning and default of each value that `# -- ` stands before; the meaning may take several lines."""
    path: list[str] = []
    meaning = ""
    lines = values.splitlines()
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith(HEADING):
            meaning = text.removeprefix(HEADING)
        elif text.startswith("# ") and meaning:
            meaning += " " + text.removeprefix("# ")
        elif text and not text.startswith("#"):
            depth = (len(line) - len(line.lstrip())) // 2
            key, _, default = text.partition(":")
            path[depth:] = [key]
            if meaning:
                yield ".".join(path), meaning.replace("|", "\\|"), _default(default.strip(), lines[number + 1 :], depth)
            meaning = ""


def _default(text: str, after: list[str], depth: int) -> str:
    """Return a default as the table shows it: what is nested is shown by its own rows, or by the file."""
    if text:
        return f"`{text}`" if text != '""' else ""
    nested = after and after[0].startswith("  " * (depth + 1))
    return "see `values.yaml`" if nested else ""


def _wiring(service: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"{service}_service.wiring")


def _config(keep_seconds: int | None, *, compacted: bool) -> dict[str, str]:
    """Return a topic's settings, without the one that depends on the number of copies."""
    spec = TopicSpec.of("x", 1, 1, keep_seconds=keep_seconds, compacted=compacted)
    return {name: value for name, value in sorted(spec.configs.items()) if name != "min.insync.replicas"}


def _rule(kind: str, name: str, operations: list[str]) -> dict[str, Any]:
    pattern = "prefix" if name.endswith(ANY) else "literal"
    resource = {"type": kind, "name": name.removesuffix(ANY), "patternType": pattern}
    return {"resource": resource, "operations": operations}


if __name__ == "__main__":
    sys.exit(main())
