"""Small pictures of what a panel's own questions were answered, as SVG. No IO, and nothing of Grafana."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT, GAP = 420, 244, 12
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 58
LEGEND_LINES = 2
COLOURS = ("#3871dc", "#e0752d", "#299c46", "#b877d9", "#d44a3a", "#0aa2a2", "#a88600", "#7c8794")
STYLE = """
  text { font: 11px system-ui, sans-serif; fill: #444 }
  .title { font-size: 12px; font-weight: 600; fill: #222 }
  .page { fill: #fff } .panel { fill: none; stroke: #ddd } .grid { stroke: #e6e6e6 }
  .note { fill: #777; font-size: 10px }
  @media (prefers-color-scheme: dark) {
    text { fill: #bbb } .title { fill: #eee } .page { fill: #111217 } .panel { stroke: #333 } .grid { stroke: #2a2a2e }
  }
"""
NOTE = "Rendered from the answers to the dashboard’s own queries; not a screenshot of Grafana."
SUFFIXES: Mapping[str, tuple[float, str]] = {
    "s": (1, " s"),
    "ops": (1, "/s"),
    "reqps": (1, "/s"),
    "percentunit": (100, " %"),
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One answer: what it is called, and its values over time."""

    called: str
    points: Points


@dataclass(frozen=True, slots=True)
class Picture:
    """One panel: what it is called, its unit, and the answers; `heat` where they are the buckets of a histogram."""

    title: str
    unit: str
    curves: Sequence[Curve]
    begin: float
    end: float
    stacked: bool = False
    heat: bool = False


def sheet(title: str, pictures: Sequence[Picture], columns: int = 2) -> str:
    """Return pictures beside each other and below, under one heading."""
    lines = -(-len(pictures) // columns)
    width = columns * (WIDTH + GAP) + GAP
    height = lines * (HEIGHT + GAP) + GAP + 44
    body = "".join(
        f'<g transform="translate({GAP + place % columns * (WIDTH + GAP)},{30 + place // columns * (HEIGHT + GAP)})">'
        f"{_panel(picture)}</g>\n"
        for place, picture in enumerate(pictures)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        f'<style>{STYLE}</style>\n<rect class="page" width="{width}" height="{height}"/>\n'
        f"{_text(GAP, 20, title, 'title')}\n{body}{_text(GAP, height - 12, NOTE, 'note')}\n</svg>\n"
    )


def told(value: float, unit: str) -> str:
    """Return a number with its unit, short."""
    factor, suffix = SUFFIXES.get(unit, (1, ""))
    return f"{value * factor:.4g}{suffix}"


def steps(most: float, unit: str) -> list[float]:
    """Return round values from 0 to the first that is not below `most`: four to six steps."""
    factor, _ = SUFFIXES.get(unit, (1, ""))
    wanted = most * factor / 5
    power = 10 ** math.floor(math.log10(wanted))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= wanted)
    return [round(step * number / factor, 9) for number in range(math.ceil(round(most * factor / step, 6)) + 1)]


def _panel(picture: Picture) -> str:
    frame = f'<rect class="panel" width="{WIDTH}" height="{HEIGHT}" rx="3"/>{_text(10, 18, picture.title, "title")}'
    return frame + (_heat(picture) if picture.heat else _curves(picture))


def _curves(picture: Picture) -> str:
    curves = _stacked(picture.curves) if picture.stacked else list(picture.curves)
    most = max((value for curve in curves for _, value in curve.points), default=0.0) or 1.0
    values = steps(most, picture.unit)
    x, y = _scale(picture.begin, picture.end, values[-1])
    drawn = [_grid(picture, values, x, y)]
    step = min((after - before for c in curves for (before, _), (after, _) in pairwise(c.points)), default=0.0)
    for number, curve in reversed([*enumerate(curves)]):
        colour = COLOURS[number % len(COLOURS)]
        for points in _runs(curve.points, step):
            path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
            if picture.stacked:
                first, last = x(points[0][0]), x(points[-1][0])
                drawn.append(f'<polygon points="{first:.1f},{y(0):.1f} {path} {last:.1f},{y(0):.1f}" fill="{colour}"/>')
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return "".join(drawn) + _legend([curve.called for curve in curves])


def _runs(points: Points, step: float) -> list[Points]:
    """Return the points without a gap between them: where nothing was answered nothing is drawn."""
    runs: list[list[tuple[float, float]]] = []
    for at, value in points:
        if not runs or at - runs[-1][-1][0] > 1.5 * step:
            runs.append([])
        runs[-1].append((at, value))
    return list(runs)


def _stacked(curves: Sequence[Curve]) -> list[Curve]:
    """Return each curve on top of those before it."""
    below: dict[float, float] = {}
    risen = []
    for curve in curves:
        for at, value in curve.points:
            below[at] = below.get(at, 0.0) + value
        risen.append(Curve(curve.called, [(at, below[at]) for at, _ in curve.points]))
    return risen


def _heat(picture: Picture) -> str:
    """Draw what each bucket holds by itself; the answers have in each what is below it too."""
    curves = sorted((curve for curve in picture.curves if curve.points), key=lambda curve: float(curve.called))
    cells: list[tuple[int, float, float]] = []
    below: dict[float, float] = {}
    for row, curve in enumerate(curves):
        cells += [(row, at, max(0.0, value - below.get(at, 0.0))) for at, value in curve.points]
        below = dict(curve.points)
    most = max((value for *_, value in cells), default=0.0) or 1.0
    x, _ = _scale(picture.begin, picture.end, 1)
    high = (HEIGHT - TOP - BOTTOM) / max(len(curves), 1)
    times = sorted({at for _, at, _ in cells})
    wide = min((x(after) - x(before) for before, after in pairwise(times)), default=4.0)
    drawn = [_times(picture, x)]
    for row, at, value in cells:
        if value > 0:
            across = f'x="{x(at):.1f}" width="{wide:.1f}"'
            up = f'y="{HEIGHT - BOTTOM - (row + 1) * high:.1f}" height="{high - 1:.1f}"'
            drawn.append(f'<rect {across} {up} fill="#e0752d" fill-opacity="{0.15 + 0.85 * value / most:.2f}"/>')
    for row, curve in enumerate(curves):
        if row % 2 == 0:
            name = "more" if curve.called == "+Inf" else told(float(curve.called), picture.unit)
            drawn.append(_text(LEFT - 6, HEIGHT - BOTTOM - row * high - 2, name, anchor="end"))
    return "".join(drawn)


def _scale(begin: float, end: float, most: float) -> tuple[Callable[[float], float], Callable[[float], float]]:
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return (
        lambda at: LEFT + (at - begin) / (end - begin) * across,
        lambda value: HEIGHT - BOTTOM - value / most * up,
    )


def _grid(picture: Picture, values: Sequence[float], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    drawn = [_times(picture, x)]
    for value in values:
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        drawn.append(_text(LEFT - 6, y(value) + 4, told(value, picture.unit), anchor="end"))
    return "".join(drawn)


def _times(picture: Picture, x: Callable[[float], float]) -> str:
    moments = [picture.begin + (picture.end - picture.begin) * part / 4 for part in range(5)]
    return "".join(
        _text(x(at), HEIGHT - BOTTOM + 14, f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}", anchor="middle")
        for at in moments[:-1]
    )


def _legend(names: Iterable[str]) -> str:
    place, line, drawn = 10.0, 0, []
    names = [*names]
    for number, name in enumerate(names):
        if place + 20 + 6 * len(name) > WIDTH:
            if line + 1 == LEGEND_LINES:
                drawn.append(_text(WIDTH - 10, HEIGHT - 4, f"and {len(names) - number} more", "note", "end"))
                break
            place, line = 10.0, line + 1
        square = f'x="{place:.0f}" y="{HEIGHT - 29 + 14 * line}" width="9" height="9"'
        drawn.append(f'<rect {square} fill="{COLOURS[number % len(COLOURS)]}"/>')
        drawn.append(_text(place + 13, HEIGHT - 21 + 14 * line, name))
        place += 24 + 6 * len(name)
    return "".join(drawn)


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "") -> str:
    more = (f' class="{style}"' if style else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(words)}</text>'
