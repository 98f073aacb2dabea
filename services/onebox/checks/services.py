"""The services: does each answer that it can do its work, and does its clock agree with ours?"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from onebox.checks.findings import Area, Finding, failed, skipped, well, wrong
from onebox.client import Shop
from onebox.errors import Failure
from onebox.moments import length

TOLERANCE = timedelta(seconds=2)
DATE_STEP = timedelta(seconds=2)
"""A Date header has whole seconds, and a server makes it once a second: so it may be two behind."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one service answered, and between which moments of our clock."""

    service: str
    asked: datetime
    answered: datetime
    date: datetime | None
    failure: Failure | None


async def check(shop: Shop) -> list[Answered]:
    """Return what every service answers when it is asked whether it is ready."""
    return list(await asyncio.gather(*(_asked(shop, service) for service in shop.settings.urls)))


def readiness(answers: Iterable[Answered], urls: Mapping[str, str]) -> list[Finding]:
    """Return whether each service is ready, and at which address, where that is one to tell."""
    return [
        failed(Area.SERVICES, its.service, its.failure)
        if its.failure is not None
        else well(Area.SERVICES, its.service, f"ready at {urls[its.service]}" if its.service in urls else "ready")
        for its in answers
    ]


def clocks(answers: Iterable[Answered]) -> list[Finding]:
    """Return whether the clocks agree with ours, as far as a header can tell."""
    told = [its for its in answers if its.failure is None]
    dated = [its for its in told if its.date is not None]
    off = [finding for its in dated if (finding := _clock(its))]
    if off:
        return off
    if not dated:
        return [skipped(Area.CLOCKS, "all", "no service told the time")]
    return [well(Area.CLOCKS, "all", f"{len(dated)} services agree with ours within {length(TOLERANCE)}")]


def _clock(its: Answered) -> Finding | None:
    """Return by how much a clock is off at least; None when it may be right."""
    assert its.date is not None
    ahead = its.date - its.answered
    behind = its.asked - (its.date + DATE_STEP)
    by = max(ahead, behind)
    if by <= TOLERANCE:
        return None
    way = "ahead of" if ahead > behind else "behind"
    remedy = "synchronise both machines, by NTP or chrony: deadlines and leases are moments"
    return wrong(Area.CLOCKS, its.service, f"its clock is {length(by)} or more {way} ours", remedy)


async def _asked(shop: Shop, service: str) -> Answered:
    asked = datetime.now(UTC)
    try:
        response, _ = await shop.send("GET", service, "/readyz", Any)
    except Failure as failure:
        return Answered(service, asked, datetime.now(UTC), None, failure)
    return Answered(service, asked, datetime.now(UTC), _date(response), None)


def _date(response: httpx.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return None
