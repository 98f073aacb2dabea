"""Where windows of fixed length begin and end, by UTC and by local clocks that jump."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from analytics_service.calendar_windows import BUCKETS_MAX, WINDOWS_MAX, Span, WindowError, level_of, spans
from analytics_service.series import DAY, HOUR, MINUTE, QUARTER, SECOND

BERLIN = ZoneInfo("Europe/Berlin")
ALL_ZONES = sorted(available_timezones() - {"localtime"})
BY_THE_CLOCK = (
    *(minutes * MINUTE for minutes in (5, 10, 15, 20, 30, 45)),
    *(minutes * MINUTE for minutes in (60, 80, 90, 120, 180, 240, 288, 360, 480, 720)),
    *(days * DAY for days in (1, 2, 3, 7)),
)
"""Sizes that divide a day, or are whole days."""
RANGE_WINDOWS = 60
MANY = settings(max_examples=300, deadline=None)


def tumbling(size: int, first: str, last: str, zone: tzinfo) -> list[Span]:
    """Return the windows that begin in a range that is told by the clock of the zone."""
    start, end = (datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC) for text in (first, last))
    return spans(size, size, start, end, zone)


def clock(second: int, zone: tzinfo) -> str:
    """Return what a clock of the zone shows."""
    return f"{datetime.fromtimestamp(second, zone):%m-%d %H:%M}"


def hours(found: Sequence[Span]) -> list[float]:
    """Return how long the windows are."""
    return [(span.end - span.start) / HOUR for span in found]


def gaps(found: Sequence[Span]) -> list[tuple[Span, Span]]:
    """Return the neighbours between which there is a hole or an overlap."""
    return [(one, other) for one, other in pairwise(found) if one.end != other.start]


# In UTC


@given(
    step=st.integers(1, 10 * DAY),
    times=st.integers(1, 5),
    start_ms=st.integers(-(10**12), 4 * 10**12),
    steps=st.floats(0.01, 30),
)
@MANY
def test_in_utc_windows_begin_at_multiples_of_the_step(step: int, times: int, start_ms: int, steps: float) -> None:
    """Also before 1970, and whatever the range begins with."""
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=start_ms)
    end = start + timedelta(milliseconds=int(steps * step * 1000) + 1)
    first, last = start_ms / 1000, (end - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    before = int(first // step) - 1
    expected = [
        Span(number * step, number * step + step * times)
        for number in range(before, before + int(steps) + 4)
        if first <= number * step < last
    ]
    assert spans(step * times, step, start, end, UTC) == expected


def test_a_window_that_begins_with_the_range_is_in_it_and_one_that_begins_with_its_end_is_not() -> None:
    found = tumbling(HOUR, "2026-11-25T10:00", "2026-11-25T12:00", UTC)
    assert [clock(span.start, UTC) for span in found] == ["11-25 10:00", "11-25 11:00"]


def test_utc_by_its_name_in_the_database_is_utc() -> None:
    assert tumbling(90, "2026-11-25", "2026-11-26", ZoneInfo("UTC")) == tumbling(90, "2026-11-25", "2026-11-26", UTC)


def test_a_range_in_which_no_window_begins_has_none() -> None:
    for zone in (UTC, BERLIN):
        assert tumbling(DAY, "2026-11-25T01:00", "2026-11-25T23:00", zone) == []


# In Berlin


@pytest.mark.parametrize(
    ("day", "length"),
    [("2026-03-29", 23.0), ("2026-10-25", 25.0), ("2026-11-25", 24.0)],
    ids=["spring", "autumn", "any"],
)
def test_a_day_in_berlin_has_23_24_or_25_hours(day: str, length: float) -> None:
    (found,) = tumbling(DAY, day, f"{day}T12:00", BERLIN)
    assert (clock(found.start, BERLIN)[6:], clock(found.end, BERLIN)[6:]) == ("00:00", "00:00")
    assert hours([found]) == [length]


@pytest.mark.parametrize(
    ("day", "next_day", "count"), [("2026-03-29", "2026-03-30", 23), ("2026-10-25", "2026-10-26", 25)]
)
def test_the_hours_of_a_day_with_a_change_are_all_an_hour_long(day: str, next_day: str, count: int) -> None:
    found = tumbling(HOUR, day, next_day, BERLIN)
    assert hours(found) == [1.0] * count
    assert not gaps(found)
    assert (clock(found[0].start, BERLIN), clock(found[-1].end, BERLIN)) == (
        f"{day[5:]} 00:00",
        f"{next_day[5:]} 00:00",
    )


def test_in_spring_the_hour_from_two_to_three_is_not_there_and_in_autumn_it_is_there_twice() -> None:
    spring = [clock(span.start, BERLIN) for span in tumbling(HOUR, "2026-03-29", "2026-03-29T05:00", BERLIN)]
    autumn = [clock(span.start, BERLIN) for span in tumbling(HOUR, "2026-10-25", "2026-10-25T04:00", BERLIN)]
    assert spring == ["03-29 00:00", "03-29 01:00", "03-29 03:00", "03-29 04:00"]
    assert autumn == ["10-25 00:00", "10-25 01:00", "10-25 02:00", "10-25 02:00", "10-25 03:00"]


@pytest.mark.parametrize(
    ("day", "next_day", "lengths"),
    [("2026-03-29", "2026-03-30", [5.0, 6.0, 6.0, 6.0]), ("2026-10-25", "2026-10-26", [7.0, 6.0, 6.0, 6.0])],
)
def test_a_quarter_of_a_day_ends_when_the_clock_says_so(day: str, next_day: str, lengths: list[float]) -> None:
    found = tumbling(6 * HOUR, day, next_day, BERLIN)
    assert hours(found) == lengths
    assert [clock(span.start, BERLIN)[6:] for span in found] == ["00:00", "06:00", "12:00", "18:00"]


def test_hopping_days_in_berlin_overlap_by_whole_days() -> None:
    start, end = datetime(2026, 3, 27, tzinfo=BERLIN), datetime(2026, 3, 30, tzinfo=BERLIN)
    assert hours(spans(2 * DAY, DAY, start.astimezone(UTC), end.astimezone(UTC), BERLIN)) == [48.0, 47.0, 47.0]


def test_hopping_windows_of_some_hours_begin_and_end_when_the_clock_says_so() -> None:
    start, end = datetime(2026, 3, 28, 18, tzinfo=BERLIN), datetime(2026, 3, 29, 12, tzinfo=BERLIN)
    found = spans(12 * HOUR, 6 * HOUR, start.astimezone(UTC), end.astimezone(UTC), BERLIN)
    assert [(clock(span.start, BERLIN), clock(span.end, BERLIN)) for span in found] == [
        ("03-28 18:00", "03-29 06:00"),
        ("03-29 00:00", "03-29 12:00"),
        ("03-29 06:00", "03-29 18:00"),
    ]
    assert hours(found) == [11.0, 11.0, 12.0]


def test_weeks_by_a_local_clock_begin_at_the_same_day_whatever_the_range_begins_with() -> None:
    found = [tumbling(7 * DAY, f"2026-10-{day:02}", "2026-11-06", BERLIN) for day in range(9, 15)]
    assert [[clock(span.start, BERLIN)[:5] for span in weeks] for weeks in found] == [
        ["10-15", "10-22", "10-29", "11-05"]
    ] * 6


# Everywhere


@given(
    name=st.sampled_from(ALL_ZONES),
    size=st.sampled_from(BY_THE_CLOCK),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - of bounds
)
@example(name="Antarctica/Troll", size=90 * MINUTE, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(name="Antarctica/Troll", size=80 * MINUTE, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(name="Europe/Berlin", size=80 * MINUTE, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(name="Australia/Lord_Howe", size=HOUR, start=datetime(2026, 4, 4, tzinfo=UTC))
@example(name="America/Havana", size=HOUR, start=datetime(2026, 3, 7, tzinfo=UTC))
@MANY
def test_tumbling_windows_by_any_clock_leave_no_hole_and_do_not_overlap(name: str, size: int, start: datetime) -> None:
    zone, end = ZoneInfo(name), start + timedelta(seconds=RANGE_WINDOWS * size)
    found = spans(size, size, start, end, zone)
    assert not gaps(found)
    assert all(span.start < span.end for span in found)
    assert start.timestamp() <= found[0].start
    assert found[-1].start < end.timestamp() <= found[-1].end
    *_, before = spans(size, size, start - timedelta(seconds=2 * size), start, zone)
    assert before.end == found[0].start


@given(
    name=st.sampled_from(ALL_ZONES),
    step=st.sampled_from(BY_THE_CLOCK),
    times=st.integers(1, 4),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - of bounds
)
@example(name="Antarctica/Troll", step=90 * MINUTE, times=2, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(name="Antarctica/Troll", step=80 * MINUTE, times=3, start=datetime(2026, 3, 28, 12, tzinfo=UTC))
@MANY
def test_hopping_windows_by_any_clock_only_go_forward(name: str, step: int, times: int, start: datetime) -> None:
    """That durations are summed up in one pass rests on it."""
    found = spans(step * times, step, start, start + timedelta(seconds=RANGE_WINDOWS * step), ZoneInfo(name))
    assert all(one.start < other.start and one.end <= other.end for one, other in pairwise(found))
    assert all(span.start < span.end for span in found)


@given(
    name=st.sampled_from(ALL_ZONES),
    size=st.sampled_from(BY_THE_CLOCK),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - of bounds
    cut=st.floats(0, 1),
)
@MANY
def test_a_range_that_is_asked_for_in_two_parts_has_the_same_windows(
    name: str, size: int, start: datetime, cut: float
) -> None:
    zone, length = ZoneInfo(name), timedelta(seconds=RANGE_WINDOWS * size)
    middle, end = start + length * cut, start + length
    assert spans(size, size, start, middle, zone) + spans(size, size, middle, end, zone) == spans(
        size, size, start, end, zone
    )


@pytest.mark.parametrize(
    ("name", "minutes"), [("Asia/Kolkata", 30), ("Asia/Kathmandu", 15), ("America/St_Johns", 30), ("Asia/Tokyo", 0)]
)
def test_hours_begin_with_the_hours_of_clocks_that_are_not_whole_hours_from_utc(name: str, minutes: int) -> None:
    zone = ZoneInfo(name)
    found = tumbling(HOUR, "2026-11-25", "2026-11-26", zone)
    assert [clock(span.start, zone) for span in found] == [f"11-25 {hour:02}:00" for hour in range(24)]
    assert {span.start % HOUR // MINUTE for span in found} == {minutes}


def test_where_the_clock_changes_by_half_an_hour_the_day_has_half_an_hour_more_or_less() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    longer, shorter = tumbling(DAY, "2026-04-05", "2026-04-06", zone), tumbling(DAY, "2026-10-04", "2026-10-05", zone)
    assert hours(longer + shorter) == [24.5, 23.5]
    assert hours(tumbling(HOUR, "2026-04-05", "2026-04-06", zone)) == [1.0] * 24 + [0.5]
    assert hours(tumbling(HOUR, "2026-10-04", "2026-10-05", zone)) == [1.0] * 23 + [0.5]
    assert hours(tumbling(6 * HOUR, "2026-04-05", "2026-04-06", zone)) == [6.5, 6.0, 6.0, 6.0]


@pytest.mark.parametrize("day", ["2017-10-15", "2018-11-04"])
def test_a_day_without_a_midnight_begins_at_one_o_clock(day: str) -> None:
    """As the clocks of São Paulo did once a year."""
    zone = ZoneInfo("America/Sao_Paulo")
    (found,) = tumbling(DAY, day, f"{day}T12:00", zone)
    assert (clock(found.start, zone), hours([found])) == (f"{day[5:]} 01:00", [23.0])
    within = tumbling(HOUR, day, f"{day}T23:59", zone)
    assert [clock(span.start, zone)[6:] for span in within] == [f"{hour:02}:00" for hour in range(1, 24)]
    quarters = tumbling(6 * HOUR, day, f"{day}T23:59", zone)
    assert hours(quarters) == [5.0, 6.0, 6.0, 6.0]


def test_a_day_that_ends_with_an_hour_twice_has_25_hours() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    found = tumbling(HOUR, "2018-02-17", "2018-02-18", zone)
    assert len(found) == 25
    assert hours(tumbling(DAY, "2018-02-17", "2018-02-18", zone)) == [25.0]
    assert [clock(span.start, zone)[6:] for span in found[-2:]] == ["23:00", "23:00"]


def test_a_window_that_would_begin_when_the_clock_is_turned_begins_with_the_turn() -> None:
    """In Troll 01:00 to 03:00 is left out in spring: a window from 01:30 cannot begin behind the one from 03:00."""
    zone = ZoneInfo("Antarctica/Troll")
    found = tumbling(90 * MINUTE, "2026-03-29", "2026-03-29T06:00", zone)
    assert [clock(span.start, zone)[6:] for span in found] == ["00:00", "03:00", "04:30"]
    assert hours(found) == [1.0, 1.5, 1.5]


# What cannot be had


def test_too_many_windows_are_refused_with_their_number() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in (UTC, BERLIN):
        assert len(spans(60, 60, start, start + timedelta(seconds=60 * WINDOWS_MAX), zone)) == WINDOWS_MAX
        with pytest.raises(WindowError) as refused:
            spans(60, 60, start, start + timedelta(days=10), zone)
        assert refused.value.field == "step"
        assert str(refused.value) == "would give 14,401 windows; at most 1,500 are answered: choose longer ones"


@pytest.mark.parametrize("step", [7, 11 * MINUTE, 7 * HOUR, DAY + HOUR])
def test_a_step_that_does_not_divide_a_day_is_refused_by_a_local_clock_only(step: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    end = start + timedelta(seconds=10 * step)
    with pytest.raises(WindowError) as refused:
        spans(step, step, start, end, BERLIN)
    assert refused.value.field == "step"
    rule = "does not divide a day: by the clock of Europe/Berlin windows begin at midnight"
    assert str(refused.value) == f"of {step} s {rule}"
    assert spans(step, step, start, end, UTC)


def test_whole_days_that_hop_need_a_size_of_whole_days_by_a_local_clock_only() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    end = start + timedelta(days=7)
    with pytest.raises(WindowError) as refused:
        spans(DAY + HOUR, DAY, start, end, BERLIN)
    assert refused.value.field == "size"
    rule = "must be whole days when the step is: a day by a local clock is not always 24 hours"
    assert str(refused.value) == rule
    assert len(spans(DAY + HOUR, DAY, start, end, UTC)) == 7


# From which buckets


@pytest.mark.parametrize(
    ("size", "zone", "level"),
    [
        (1, UTC, SECOND),
        (7, UTC, SECOND),
        (90, UTC, SECOND),
        (5 * MINUTE, UTC, MINUTE),
        (HOUR, UTC, HOUR),
        (6 * HOUR, UTC, HOUR),
        (DAY, UTC, DAY),
        (7 * DAY, UTC, DAY),
        (DAY, BERLIN, HOUR),
        (6 * HOUR, BERLIN, HOUR),
        (HOUR, ZoneInfo("Asia/Kathmandu"), QUARTER),
        (DAY, ZoneInfo("Asia/Kolkata"), QUARTER),
        (DAY, ZoneInfo("Atlantic/Reykjavik"), DAY),
    ],
    ids=str,
)
def test_windows_are_made_of_the_longest_buckets_that_give_them(size: int, zone: tzinfo, level: int) -> None:
    start = datetime(2026, 3, 26, tzinfo=UTC)
    found = spans(size, size, start, start + timedelta(seconds=14 * size), zone)
    assert level_of(found, size) == level


def test_windows_that_hop_by_less_are_made_of_shorter_buckets() -> None:
    start = datetime(2026, 3, 26, tzinfo=UTC)
    found = spans(DAY, 90 * MINUTE, start, start + timedelta(days=1), UTC)
    assert level_of(found, DAY) == QUARTER


def test_more_buckets_than_are_read_for_one_answer_are_refused() -> None:
    size = DAY + 1
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = spans(size, size, start, start + timedelta(days=4), UTC)
    buckets = found[-1].end - found[0].start
    assert buckets > BUCKETS_MAX
    with pytest.raises(WindowError) as refused:
        level_of(found, size)
    assert refused.value.field == "size"
    rule = "at most 200,000 are read: take whole minutes or hours, or a shorter range"
    assert str(refused.value) == f"of {size} s needs {buckets:,} buckets of 1 s, {rule}"
    assert level_of(found[:2], size) == SECOND
