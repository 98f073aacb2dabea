"""Every page is what the program makes of it, says what it shows, and is what Grafana takes for a page."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from observability import generate, questions
from observability.dashboards import PAGES
from observability.names import KNOWN, base
from observability.questions import Question

SCHEMAS = Path(__file__).parent / "schemas"
FILES = sorted(questions.HERE.glob("dashboards/*.json"))
PANELS_MIN = 60
UNITS_OF_NOTHING = {"", None}


def page(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def schema(name: str, of: str = "") -> jsonschema.Draft7Validator:
    its = json.loads((SCHEMAS / f"{name}.json").read_text())
    return jsonschema.Draft7Validator({**its, "$ref": f"#/definitions/{of}"} if of else its)


def faults(validator: jsonschema.Draft7Validator, what: object) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(what)]


def test_what_is_delivered_is_what_the_program_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_it_is_the_same_each_time() -> None:
    assert [generate.encoded(its) for its in PAGES] == [generate.encoded(its) for its in PAGES]


def test_there_are_six_pages_with_sixty_panels_and_more() -> None:
    assert {path.stem for path in FILES} == {its.name for its in PAGES}
    assert {"overview", "saga", "steps", "operator", "messaging", "analytics"} == {path.stem for path in FILES}
    assert sum(len(questions.panels(path)) for path in FILES) >= PANELS_MIN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_page_is_what_grafana_takes_for_one(path: Path) -> None:
    assert not faults(schema("dashboard"), page(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_panel_is_what_its_plugin_takes_for_one(path: Path) -> None:
    for panel in questions.panels(path):
        assert not faults(schema(panel["type"], "Options"), panel.get("options", {})), panel["title"]
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            assert not faults(schema(panel["type"], "FieldConfig"), custom), panel["title"]
        for target in panel.get("targets", []):
            assert not faults(schema("prometheus"), target), panel["title"]


def test_a_schema_refuses_what_is_no_page() -> None:
    [first, *_] = FILES
    assert faults(schema("dashboard"), {**page(first), "panels": [{"type": 7}]})
    assert faults(schema("stat", "Options"), {"graphMode": "loud"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_says_what_it_shows_and_in_which_unit(path: Path) -> None:
    for panel in questions.panels(path):
        assert panel["title"]
        assert panel["description"].endswith((".", ".md")), panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit") not in UNITS_OF_NOTHING, panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(path: Path) -> None:
    panels = page(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        its = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not its & taken, place
        assert place["x"] + place["w"] <= 24
        taken |= its


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_question_leaves_open_the_reader_chooses(path: Path) -> None:
    offered = {variable["name"] for variable in page(path)["templating"]["list"]}
    text = json.dumps(page(path))
    used = {
        name
        for name in ("namespace", "definition", "correlation_id", "jaeger")
        if f"${name}" in text or f"${{{name}}}" in text
    }
    assert used | {"datasource"} == offered


@pytest.mark.parametrize(
    "path", [path for path in FILES if "$definition" in path.read_text()], ids=lambda path: path.stem
)
def test_a_panel_of_sagas_that_the_chosen_definition_does_not_choose_says_so(path: Path) -> None:
    """Of a metric of the initiator without that label, that is; on a page that offers the choice."""
    for panel in questions.panels(path):
        asked = [Question(panel["title"], target["expr"]) for target in panel.get("targets", [])]
        named = [KNOWN[base(name)] for its in asked for name, _ in its.selectors() if base(name) in KNOWN]
        if [its for its in named if its.teller == "initiator" and "definition" not in its.labels]:
            assert "of all definitions" in panel["description"], panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_another_page_opens_with_what_was_chosen_and_at_the_same_time(path: Path) -> None:
    links = page(path)["links"]
    assert links
    assert all(link["includeVars"] and link["keepTime"] for link in links)


def test_a_duration_shows_sagas_that_open_their_traces() -> None:
    heats = [panel for path in FILES for panel in questions.panels(path) if panel["type"] == "heatmap"]
    assert len(heats) >= 3
    assert all(target["exemplar"] and target["format"] == "heatmap" for panel in heats for target in panel["targets"])
