"""The report in the log: how the shop does, every few seconds, in one line."""

import logging
from collections.abc import Awaitable, Callable

from analytics_service.shapes import Summary

log_lines = logging.getLogger(__name__)


class Report:
    """Keeps the promises of `Steps`: one step is one report, if there is anything new to tell."""

    def __init__(self, glance: Callable[[], Awaitable[Summary | None]]) -> None:
        """Report what `glance` sees; it sees nothing before the views are open."""
        self.name = "analytics report"
        self._glance = glance
        self._told = 0

    async def step(self) -> bool:
        """Write one line when events came since the last one."""
        seen = await self._glance()
        if seen is not None and seen.events != self._told:
            self._told = seen.events
            log_lines.info("%s", line(seen))
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
