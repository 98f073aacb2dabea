"""What would have to read too much is refused with a sentence, and what is just small enough is answered."""

import pytest
from tests.analytics.shop import Shop, at, placed

from analytics_service import reading, window_answers
from analytics_service.calendar_windows import WindowError

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


async def test_durations_of_more_minutes_than_a_week_are_refused_and_of_a_week_answered() -> None:
    shop = Shop()
    asked = {"metric": "durationP95", "size": "7m", "start": at(0).isoformat()}
    told = await shop.windows(**asked, end=at(9_996 * MINUTE_MS).isoformat())
    assert len(told.windows) == 1428
    with pytest.raises(WindowError, match="of durations at most 10,000 are read") as refused:
        await shop.windows(**asked, end=at(10_003 * MINUTE_MS).isoformat())
    assert refused.value.field == "size"


async def test_sessions_of_many_users_that_may_reach_far_back_are_refused_and_of_one_user_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "MARGIN_MAX", 1)
    monkeypatch.setattr(window_answers, "USERS_MAX", 1)
    shop = Shop()
    await shop.hear(placed("order-1", 1000, "ada"), placed("order-2", 2000, "grace"))
    asked = {"kind": "session", "gap": "1m", "start": at(0).isoformat(), "end": at(MINUTE_MS).isoformat()}
    with pytest.raises(WindowError, match="sessions of 2 users") as refused:
        await shop.windows(**asked)
    assert refused.value.field == "gap"
    assert [window.now for window in (await shop.windows(**asked, user_id="ada")).windows] == [1]
