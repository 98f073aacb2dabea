"""Pictures show what was answered, and say that Grafana did not draw them."""

import re
from xml.etree import ElementTree as ET

import pytest
from observability import drawing, questions, render
from observability.drawing import Curve, Picture

NAMESPACE = "{http://www.w3.org/2000/svg}"
IMAGES = questions.HERE.parent / "docs/images"
RISING = Curve("payment", [(0, 1), (50, 2), (100, 4)])


def drawn(**more: object) -> ET.Element:
    given: dict[str, object] = {"title": "Begun", "unit": "ops", "curves": [RISING], "begin": 0, "end": 100, **more}
    return ET.fromstring(drawing.sheet("Sagas", [Picture(**given)]))  # type: ignore[arg-type]  # noqa: S314 - ours


def heights(svg: ET.Element) -> list[float]:
    [curve] = svg.iter(f"{NAMESPACE}polyline")
    return [float(place.partition(",")[2]) for place in curve.attrib["points"].split()]


def test_a_greater_value_stands_higher_and_the_axis_goes_beyond_it() -> None:
    first, middle, last = heights(drawn())
    assert first > middle > last >= drawing.TOP


def test_stacked_curves_add_up() -> None:
    svg = drawn(curves=[RISING, Curve("stock", [(0, 3), (50, 3), (100, 3)])], stacked=True)
    assert {text.text for text in svg.iter(f"{NAMESPACE}text")} >= {"8/s", "payment", "stock"}


def test_a_cell_is_what_its_bucket_holds_without_those_below() -> None:
    buckets = [Curve(bound, [(0, value), (50, value)]) for bound, value in (("0.5", 2.0), ("1.0", 2.0), ("+Inf", 4.0))]
    cells = [
        its
        for its in drawn(unit="s", curves=buckets, heat=True).iter(f"{NAMESPACE}rect")
        if "fill-opacity" in its.attrib
    ]
    assert len(cells) == 4, "the middle bucket is empty"


def test_nothing_is_drawn_where_nothing_was_answered() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (5.0, 3.0), (6.0, 1.0), (7.0, 1.0)]
    picture = drawn(title="t", unit="", curves=[Curve("a", points)], begin=0.0, end=8.0)
    lines = [element.get("points", "").split() for element in picture.iter(f"{NAMESPACE}polyline")]
    assert [len(line) for line in lines] == [2, 3]


def test_a_legend_that_has_no_room_says_how_much_is_missing() -> None:
    curves = [Curve(f"10.244.0.{number}:8080", [(0.0, 1.0)]) for number in range(20)]
    picture = drawn(title="t", unit="", curves=curves, begin=0.0, end=8.0)
    words = [element.text or "" for element in picture.iter(f"{NAMESPACE}text")]
    named = sum(word.startswith("10.244") for word in words)
    assert f"and {20 - named} more" in words


@pytest.mark.parametrize(
    ("most", "unit", "last"), [(4, "ops", 4), (0.87, "percentunit", 1.0), (0.0031, "s", 0.004), (23, "", 25)]
)
def test_an_axis_has_round_values(most: float, unit: str, last: float) -> None:
    values = drawing.steps(most, unit)
    assert values[0] == 0
    assert values[-1] == pytest.approx(last)
    assert 4 <= len(values) <= 7


@pytest.mark.parametrize("name", render.SHEETS)
def test_a_picture_in_the_documents_is_of_panels_that_there_are(name: str) -> None:
    titles = {panel["title"] for panel in questions.panels(questions.HERE / f"dashboards/{name}.json")}
    assert set(render.SHEETS[name]) <= titles
    text = (IMAGES / f"dashboard-{name}.svg").read_text()
    assert re.findall(r'<text x="10\.0" y="18\.0" class="title">([^<]+)<', text) == [*render.SHEETS[name]]
    assert drawing.NOTE in text
