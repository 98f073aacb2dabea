"""What a page tells somebody to type at night is there."""

import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.core
import typer.main
import yaml  # type: ignore[import-untyped]
from observability import questions
from observability.names import KNOWN, base
from observability.questions import Question
from tests.charts.rendering import CHART, PROFILES, manifests, text

from onebox.cli import app
from onebox.kubectl.commands import LEFT_OUT
from onebox.layout import SERVICES
from onebox.wiring import ALL_TOPICS
from saga_operator.settings import OperatorSettings
from sagakit.adapters.kafka import KafkaSettings
from sagakit.hosting.logs import LogSettings
from sagakit.hosting.settings import PlatformSettings, variables

PAGES = sorted((questions.HERE.parent / "docs/runbooks").glob("*.md"))
[FIRST] = [path for path in PAGES if path.stem == "README"]
COMMAND = re.compile(r"sagactl [^`\n#&|;]+")
METRIC = re.compile(r"\b(?:saga|sagaplane)_[a-z_]+\b")
LINK = re.compile(r"\]\(([^)#]+)")
DASHBOARD = re.compile(r"[Dd]ashboard \*([^*]+)\*(?:, (?:row|table) \*([^*]+)\*)?")
CHART_VALUE = re.compile(r"`([a-z][A-Za-z]+(?:\.[A-Za-z]+)+)`")
VARIABLE = re.compile(r"\b(?:SAGAPLANE|PAYMENT|ORDER|INVENTORY|SHIPPING|ANALYTICS|NOTIFICATION)_[A-Z_]*[A-Z]\b")
TOPIC_OPTION = re.compile(r"kafka-\S+\.sh [^`\n]*?--topic(?:-list)? (\S+)")
KUBECTL = re.compile(r"kubectl [^`\n#|;]+")
SELECTOR = re.compile(r"(?:-l|--selector)[ =](\S+)=(\S+)")
NUMBERS = {"VERSION": "1"}
"""What stands for a number on a page."""
OF_PROMETHEUS = {"up"}
FIELDS_OF_LOGS = {"saga_id"}
USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]
"""Of the click that typer brings along; typer does not give it a name."""
ONLY_ON_THIS_MACHINE = {"demo", "dev", "service"}

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def commands(path: Path) -> list[str]:
    return [found.strip().rstrip(".,:") for found in COMMAND.findall(path.read_text())]


def wrong(typed: str) -> str | None:
    """Return what sagactl would say of this command before it does anything; None when it would begin."""
    command = typer.main.get_command(app)
    words = [NUMBERS.get(word, word) for word in shlex.split(typed.removeprefix("sagactl ").replace("…", "x"))]
    while isinstance(command, typer.core.TyperGroup):
        if not words or words[0] not in command.commands:
            return f"no command {words[:1]}"
        command = command.commands[words.pop(0)]
    try:
        command.make_context("sagactl", words)
    except USAGE_ERROR as error:
        return str(error)
    return None


def known_settings() -> frozenset[str]:
    own = [import_module(f"{service}_service.wiring").SETTINGS for service in SERVICES]
    return frozenset().union(*map(variables, (PlatformSettings, LogSettings, KafkaSettings, OperatorSettings, *own)))


def boards() -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the title of each dashboard, with those of its rows and panels."""
    for path in questions.HERE.glob("dashboards/*.json"):
        board = json.loads(path.read_text())
        yield board["title"], frozenset(panel["title"] for panel in board["panels"])


def labelled(key: str, value: str) -> Iterator[str]:
    """Yield the kind of everything that the chart makes with this label, pods and their Deployments apart."""
    for made in manifests("defaults"):
        if made["metadata"].get("labels", {}).get(key) == value:
            yield made["kind"].lower()
        pod = made.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {})
        if made["kind"] == "Deployment" and pod.get(key) == value:
            yield "pod"


@every_page
def test_every_command_on_a_page_is_one_with_its_options_and_all_that_it_needs(path: Path) -> None:
    assert not {typed: said for typed in commands(path) if (said := wrong(typed))}


def test_there_are_commands_and_a_wrong_one_is_found() -> None:
    assert sum(len(commands(path)) for path in PAGES) > 40
    assert wrong("sagactl rety ID") == "no command ['rety']"
    assert "--fase" in str(wrong("sagactl list --fase running"))
    assert "finished" in str(wrong("sagactl list --phase finished"))
    assert "reason" in str(wrong("sagactl retry ID"))


@every_page
def test_every_metric_on_a_page_is_in_the_catalogue(path: Path) -> None:
    named = {base(name) for name in METRIC.findall(path.read_text())}
    assert named - FIELDS_OF_LOGS <= KNOWN.keys()


@every_page
def test_every_link_on_a_page_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        assert link.startswith("http") or (path.parent / link).exists(), link


def test_the_first_page_leads_to_every_other_and_to_every_alert() -> None:
    assert {path.name for path in PAGES} - {FIRST.name} <= set(LINK.findall(FIRST.read_text()))
    for rule in questions.rules():
        if "alert" in rule:
            [line] = [line for line in FIRST.read_text().splitlines() if f"`{rule['alert']}`" in line]
            assert Path(rule["annotations"]["runbook_url"]).name in line


def test_a_page_begins_with_the_alerts_that_lead_to_it() -> None:
    for page, alerts in re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \| (.+) \|$", FIRST.read_text(), re.MULTILINE):
        assert (FIRST.parent / page).read_text().splitlines()[2] == alerts, page


def test_the_first_page_names_what_the_plugin_of_kubectl_does_not_have() -> None:
    [told] = re.findall(r"the same commands, but for ([^:]+?),\s+which", FIRST.read_text())
    assert set(re.findall("`([^`]+)`", told)) == LEFT_OUT - ONLY_ON_THIS_MACHINE


@every_page
def test_every_question_to_prometheus_on_a_page_is_one_of_known_labels(path: Path) -> None:
    for asks in re.findall(r"`((?:sum|max|count|min|rate)[ (][^`]+)`", path.read_text()):
        for name, labels in Question(path.stem, asks).selectors():
            assert name in OF_PROMETHEUS or labels <= {*KNOWN[base(name)].labels, "job", "instance"}, asks


@every_page
def test_every_dashboard_on_a_page_is_one_and_has_that_row_or_table(path: Path) -> None:
    known = dict(boards())
    for title, part in DASHBOARD.findall(path.read_text()):
        assert title in known
        assert not part or part in known[title], f"{title} has no {part}"


@every_page
def test_every_setting_on_a_page_is_read_by_somebody(path: Path) -> None:
    assert set(VARIABLE.findall(path.read_text())) <= known_settings() | {"SAGAPLANE_KAFKA"}


@every_page
def test_every_topic_on_a_page_is_one(path: Path) -> None:
    named = {name for some in TOPIC_OPTION.findall(path.read_text()) for name in some.split(",")}
    assert named <= {topic.name for topic in ALL_TOPICS}


def test_the_topics_that_a_restored_service_leaves_out_are_all_that_it_reads() -> None:
    page = (FIRST.parent / "backup-and-restore.md").read_text()
    rows = re.findall(r"^\| ([a-z]+) \| ((?:`[a-z.]+` )+)\|$", page, re.MULTILINE)
    told = {service: set(re.findall("`([^`]+)`", topics)) for service, topics in rows}
    assert told.keys() == {"payment", "inventory", "shipping"}
    assert told == {service: set(import_module(f"{service}_service.wiring").GROUPS[service]) for service in told}
    [typed] = re.findall(r"for topic in (.+); do", page)
    assert set(typed.split()) == told["inventory"]


@every_page
def test_every_value_of_the_chart_on_a_page_is_one(path: Path) -> None:
    values: Any = yaml.safe_load((CHART / "values.yaml").read_text())
    for name in CHART_VALUE.findall(path.read_text()):
        its = values
        for part in name.split(".") if name.split(".")[0] in values else ():
            assert part in its, f"there is no value {name}"
            its = its[part]


@pytest.mark.charts
@pytest.mark.parametrize("path", [*PAGES, questions.HERE.parent / "docs/kubernetes.md"], ids=lambda path: path.stem)
def test_what_kubectl_is_asked_for_by_name_or_label_is_made_by_the_chart(path: Path) -> None:
    made = "\n".join(text(name) for name in PROFILES)
    for typed in KUBECTL.findall(path.read_text()):
        for name in re.findall(r"\bsagaplane-[a-z-]+[a-z]\b", typed):
            assert name in made, typed
        for key, value in SELECTOR.findall(typed):
            [kind] = re.findall(r"\b(deployment|pod)s?\b", typed) or ["pod"]
            assert kind in set(labelled(key, value)), typed
