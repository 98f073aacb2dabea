"""Small plots in block characters, for a terminal: one character for each window. No IO."""

from collections.abc import Sequence
from decimal import Decimal

from onebox.description import aligned
from onebox.figures import Figures, Window
from onebox.moments import moment
from onebox.report import facts, percent

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING, BELOW = "·", "▾"


def frame(seen: Figures) -> str:
    """Return one picture of the figures: what they are, and how they came to be lately."""
    lately = seen.windows
    rows = [
        _row("orders / minute", lately.orders_per_minute, None, ""),
        _row("success / minute", lately.success_rate_per_minute, Decimal(1), percent(seen.success_rate)),
        _row("revenue / hour", lately.revenue_per_hour, None, f" {seen.currency}"),
    ]
    return "\n".join(
        [f"as of {moment(seen.as_of)}, version {seen.version}", *aligned([*facts(seen)]), "", *aligned(rows)]
    )


def bars(values: Sequence[Decimal | None], top: Decimal | None = None) -> str:
    """Return a bar for each value; the highest one, or `top`, fills a line. What is no number is a dot."""
    numbers = [value for value in values if value is not None]
    most = top if top is not None else max(numbers, default=Decimal(0))
    return "".join(_bar(value, most) for value in values)


def _bar(value: Decimal | None, most: Decimal) -> str:
    if not value:
        return NOTHING if value is None else " "
    if value < 0:
        return BELOW
    return BLOCKS[min(int(value / most * len(BLOCKS)), len(BLOCKS) - 1)]


def _row(name: str, windows: Sequence[Window], top: Decimal | None, end: str) -> tuple[str, str, str]:
    values = [window.now for window in windows]
    most = max((value for value in values if value is not None), default=Decimal(0))
    return name, bars(values, top), end if top is not None else f"at most {most}{end}"
