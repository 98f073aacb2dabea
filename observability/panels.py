"""What a page may show, each as one function: its title, what it tells, its unit, and what it asks Prometheus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import common as shapes
from grafana_foundation_sdk.builders import dashboard as pages
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    HeatmapCellLayout,
    LegendDisplayMode,
    LegendPlacement,
    ScaleDistribution,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

SOURCE = DataSourceRef("prometheus", "${datasource}")
"""The data source is a variable, so that the page fits whatever it is called."""
FULL, THIRD, HALF, QUARTER, FIFTH, SIXTH = 24, 8, 12, 6, 5, 4
"""Of 24 columns; a fifth of four, and the last has a sixth."""
LOWEST = -1e12
"""Where the first colour begins: Grafana takes it for all below the second, and its schema wants a number."""
GREEN, ORANGE, RED, PLAIN = "green", "orange", "red", "text"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and how each answer is called; `{{step}}` stands for a label."""

    asks: str
    called: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a value is bad; or, where low is bad, below which it is. Below `least` it is bad in any case."""

    warns: float | None = None
    alarms: float | None = None
    low: bool = False
    least: float | None = None

    def steps(self) -> list[Threshold]:
        """Return the colours, from the lowest value up."""
        ranks = [(self.warns, ORANGE), (self.alarms, RED)]
        told = [(value, colour) for value, colour in ranks if value is not None]
        if not told:
            return [Threshold(LOWEST, PLAIN)]
        if not self.low:
            begin = [Threshold(LOWEST, GREEN)]
            if self.least is not None:
                begin = [Threshold(LOWEST, RED), Threshold(self.least, GREEN)]
            return [*begin, *(Threshold(value, colour) for value, colour in told)]
        rising = sorted(told, key=lambda rank: rank[0])
        colours = [rising[0][1] if len(rising) == 1 else RED, *([ORANGE] if len(rising) > 1 else []), GREEN]
        return [
            Threshold(value, colour) for value, colour in zip([LOWEST, *(v for v, _ in rising)], colours, strict=True)
        ]


NO_LIMITS = Limits()


class Begun(Protocol):
    """What builds a panel of any kind."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def datasource(self, datasource: DataSourceRef) -> Self: ...
    def height(self, h: int) -> Self: ...
    def span(self, w: int) -> Self: ...


B = TypeVar("B", bound=Begun)


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = THIRD,
    limits: Limits = NO_LIMITS,
    stacked: bool = False,
    exemplars: bool = False,
) -> timeseries.Panel:
    """Return curves over time; stacked, they add up."""
    panel = _begin(timeseries.Panel(), title, description, unit, width, 8)
    panel = panel.draw_style(GraphDrawStyle.LINE).line_width(1).fill_opacity(30 if stacked else 8).min(0)
    panel = panel.show_points(VisibilityMode.NEVER).thresholds(_thresholds(limits))
    panel = panel.legend(
        shapes.VizLegendOptions()
        .show_legend(show_legend=True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    ).tooltip(shapes.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if stacked:
        panel = panel.stacking(shapes.StackingConfig().mode(StackingMode.NORMAL))
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(_asked(query, letter).range().exemplar(exemplars))
    return panel


def number(
    title: str, description: str, unit: str, query: Query, *, width: int = SIXTH, limits: Limits = NO_LIMITS
) -> stat.Panel:
    """Return one number, as it is now."""
    panel = _begin(stat.Panel(), title, description, unit, width, 4).thresholds(_thresholds(limits))
    panel = panel.color_mode(BigValueColorMode.VALUE).graph_mode(BigValueGraphMode.NONE).no_value("none")
    panel = panel.reduce_options(shapes.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.with_target(_asked(query, "A").instant())


def heat(title: str, description: str, unit: str, query: Query, *, width: int = HALF) -> heatmap.Panel:
    """Return how a histogram came to be over time, with a dot for each exemplar: it opens its trace."""
    panel = _begin(heatmap.Panel(), title, description, unit, width, 9).calculate(calculate=False)
    panel = panel.rows_frame(heatmap.RowsHeatmapOptions().layout(HeatmapCellLayout.AUTO))
    panel = panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32))
    panel = panel.y_axis(heatmap.YAxisConfig().unit(unit)).cell_gap(1).exemplars_color("rgba(70, 130, 255, 0.9)")
    panel = panel.scale_distribution(shapes.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
    panel = panel.mode(TooltipDisplayMode.SINGLE).show_y_histogram().show_legend()
    return panel.with_target(_asked(query, "A").range().format(PromQueryFormat.HEATMAP).exemplar(exemplar=True))


def rows(
    title: str, description: str, unit: str, query: Query, hidden: Sequence[str] = (), *, width: int = HALF
) -> table.Panel:
    """Return a table of what there is now, without these columns."""
    panel = _begin(table.Panel(), title, description, unit, width, 8).show_header(show_header=True)
    panel = panel.with_target(_asked(query, "A").instant().format(PromQueryFormat.TABLE))
    excluded = dict.fromkeys(("Time", "__name__", *hidden), True)
    return panel.with_transformation(DataTransformerConfig("organize", options={"excludeByName": excluded}))


def states(title: str, description: str, unit: str, query: Query, *, width: int = FULL) -> statetimeline.Panel:
    """Return one band per answer, over time."""
    panel = _begin(statetimeline.Panel(), title, description, unit, width, 6).row_height(0.8)
    panel = panel.merge_values(merge_values=True).show_value(VisibilityMode.NEVER).fill_opacity(70)
    panel = panel.thresholds(_thresholds(NO_LIMITS))
    return panel.with_target(_asked(query, "A").range())


def note(title: str, description: str, words: str, *, width: int = HALF, height: int = 6) -> text.Panel:
    """Return words; they may have variables in them."""
    panel = _begin(text.Panel(), title, description, "none", width, height)
    return panel.mode(TextMode.MARKDOWN).content(words)


def _begin(panel: B, title: str, description: str, unit: str, width: int, height: int) -> B:
    panel = panel.title(title).description(description).unit(unit)
    return panel.datasource(SOURCE).height(height).span(width)


def _asked(query: Query, letter: str) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(query.asks).ref_id(letter).datasource(SOURCE)
    return asked.legend_format(query.called) if query.called else asked


def _thresholds(limits: Limits) -> pages.ThresholdsConfig:
    return pages.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(limits.steps())
