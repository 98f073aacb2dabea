"""A page of Grafana: rows of panels, and the variables that its questions have in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from typing_extensions import override

from observability.panels import SOURCE

T = TypeVar("T")

TAG = "sagaplane"
ANY = ".*"
"""What matches also series without that label: outside Kubernetes there is no namespace."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels beside each other and below, under one heading."""

    title: str
    panels: Sequence[Builder[Panel]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page. Its name is that of its file, and with `sagaplane-` before it that of its address."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: Sequence["Variable"] = ()
    since: str = "now-1h"


@dataclass(frozen=True, slots=True)
class Variable:
    """What the reader chooses; `asks` finds the choices, and without it the reader types."""

    name: str
    label: str
    description: str
    asks: str = ""
    begins: str = ANY
    several: bool = True


NAMESPACE = Variable(
    "namespace", "Namespace", "Where the shop runs; outside Kubernetes there is none.", "saga_build_info"
)
DEFINITION = Variable("definition", "Definition", "Which definition of a saga, with its version.", "saga_started_total")


def drawn(page: Page) -> Dashboard:
    """Return the page as Grafana has it."""
    made = build.Dashboard(page.title).uid(f"sagaplane-{page.name}").description(page.description).tags([TAG])
    made = made.timezone("browser").time(page.since, "now").refresh("10s").tooltip(DashboardCursorSync.CROSSHAIR)
    made = made.readonly().link(
        build.DashboardLink("Sagaplane")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=True)
        .include_vars(include_vars=True)
        .keep_time(keep_time=True)
    )
    made = made.with_variable(
        build.DatasourceVariable("datasource")
        .label("Data source")
        .description("Which Prometheus is asked.")
        .type("prometheus")
    )
    for variable in page.variables:
        made = made.with_variable(_Made(_variable(variable)))
    number = 0
    for row in page.rows:
        number += 1
        made = made.with_row(build.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made = made.with_panel(_Made(_numbered(panel.build(), number)))
    return made.build()


class _Made(Builder[T]):
    """What is built already, for whoever asks for its builder."""

    def __init__(self, made: T) -> None:
        self._made = made

    @override
    def build(self) -> T:
        return self._made


def _numbered(panel: Panel, number: int) -> Panel:
    panel.id_val = number
    return panel


def _variable(variable: Variable) -> VariableModel:
    if not variable.asks:
        typed = build.TextBoxVariable(variable.name).label(variable.label).description(variable.description)
        return typed.default_value(variable.begins).build()
    asked = build.QueryVariable(variable.name).label(variable.label).description(variable.description)
    asked = asked.query(f"label_values({variable.asks}, {variable.name})").datasource(SOURCE)
    asked = asked.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    if variable.several:
        asked = asked.multi(multi=True).include_all(include_all=True).all_value(ANY)
        asked = asked.current(VariableOption(selected=True, text="All", value="$__all"))
    return asked.build()
