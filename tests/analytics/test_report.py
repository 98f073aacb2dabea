"""The report in the log: one line whenever there is something new to tell, and none while nothing happens."""

import logging

import pytest
from tests.analytics.running import NOW_MS, Running
from tests.analytics.shop import cancelled_order, confirmed_order, placed

from analytics_service.report import Report
from analytics_service.settings import AnalyticsSettings


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "analytics_service.report"]


async def test_a_shop_is_told_of_in_one_line_and_again_only_when_something_happened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    shop = Running()
    async with shop.client:
        await shop.hear()
        assert reports(caplog) == []
        await shop.hear([placed("order-1", NOW_MS, total="30.00")])
        await shop.hear()
        (first,) = reports(caplog)
        told = [*confirmed_order("order-2", NOW_MS), *cancelled_order("order-3", NOW_MS)]
        await shop.hear(told)
    (_, second) = reports(caplog)
    assert first == (
        "1 orders: 0 confirmed, 0 cancelled, 1 pending; success rate -; revenue 0.00 USD, "
        "average order 30.00; saga p99 -; lag 0.000 s; 1 events"
    )
    assert second == (
        "3 orders: 1 confirmed, 1 cancelled, 1 pending; success rate 50.0%; revenue 10.00 USD, "
        "average order 16.67; saga p99 0.05 s; lag 0.000 s; 14 events"
    )


async def test_before_the_views_are_open_there_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shop = Running()
    (report,) = (loop.steps for loop in shop.service.runner.loops if isinstance(loop.steps, Report))
    assert not await report.step()
    assert reports(caplog) == []


async def test_whoever_wants_no_report_gets_none() -> None:
    shop = Running(AnalyticsSettings(port=0, report_seconds=0))
    assert not [loop for loop in shop.service.runner.loops if isinstance(loop.steps, Report)]
