"""The report in the log: how the shop does, every few seconds, in one line."""

import logging
from collections.abc import Awaitable, Callable

from analytics_service.shapes import Summary

log_lines = logging.getLogger(__name__)


class Report:
    """Keeps the promises of `Steps`: one step is one report."""

    def __init__(self, glance: Callable[[], Awaitable[Summary]]) -> None:
        """Report what `glance` sees."""
        self.name = "analytics report"
        self._glance = glance

    async def step(self) -> bool:
        """Write one line."""
        log_lines.info("%s", line(await self._glance()))
        return False


def line(seen: Summary) -> str:
    """Return the report."""
    rate = "-" if seen.success_rate is None else f"{seen.success_rate:.1%}"
    p99 = "-" if seen.durations.p99_seconds is None else f"{seen.durations.p99_seconds:.2f} s"
    average = "-" if seen.average_order_value is None else f"{seen.average_order_value}"
    return (
        f"{seen.total_orders} orders: {seen.confirmed_orders} confirmed, {seen.cancelled_orders} cancelled, "
        f"{seen.pending_orders} pending; success rate {rate}; revenue {seen.total_revenue} {seen.currency}, "
        f"average order {average}; saga p99 {p99}; lag {seen.lag_seconds:.3f} s; {seen.events} events"
    )
