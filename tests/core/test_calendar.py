from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.core.calendar import Calendar, period_index, to_micros
from upswing.core.errors import UsageError
from upswing.core.units import DAY, HOUR

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Asia/Kolkata",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
]
moments = st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)).map(lambda d: to_micros(d.replace(tzinfo=UTC)))


@given(moments, st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]))
def test_the_period_of_a_moment_is_the_local_one(micros, zone, period):
    calendar = Calendar(zone)
    start = calendar.local(calendar.floor(micros, period))
    moment = calendar.local(micros)
    assert calendar.floor(micros, period) <= micros
    if period == "day":
        assert start.date() == moment.date()
    elif period == "week":
        assert start.date().weekday() == 0
        assert timedelta() <= moment.date() - start.date() < timedelta(days=7)
    else:
        assert (start.date().year, start.date().month, start.date().day) == (moment.year, moment.month, 1)


@given(moments, st.integers(0, 400), st.sampled_from(ZONES), st.sampled_from(["hour", "day", "week", "month"]))
def test_edges_cover_the_range_and_nothing_more(micros, days, zone, period):
    stop = micros + days * DAY + HOUR
    if period == "hour":
        stop = micros + days * HOUR + 1
    edges = Calendar(zone).edges(period, micros, stop)
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= micros < edges[1]
    assert edges[-2] < stop <= edges[-1]


def test_days_of_23_and_25_hours():
    calendar = Calendar("America/New_York")
    assert np.diff(calendar.edges("day", "2026-03-07", "2026-03-10")).tolist() == [24 * HOUR, 23 * HOUR, 24 * HOUR]
    assert np.diff(calendar.edges("day", "2026-10-31", "2026-11-03")).tolist() == [24 * HOUR, 25 * HOUR, 24 * HOUR]


def test_hours_of_a_half_hour_zone_begin_on_the_local_hour():
    calendar = Calendar("Asia/Kolkata")
    assert calendar.local(calendar.floor(calendar.instant("2026-01-01T10:59"), "hour")).strftime("%H:%M") == "10:00"


def test_a_week_may_start_on_sunday():
    calendar = Calendar("UTC", "sunday")
    assert calendar.local(calendar.floor(calendar.instant("2026-11-23"), "week")).date() == date(2026, 11, 22)


def test_month_edges_are_firsts():
    edges = Calendar("Asia/Shanghai").edges("month", "2026-01-31", "2026-03-01")
    assert [Calendar("Asia/Shanghai").label(e, "month") for e in edges] == ["2026-01", "2026-02", "2026-03"]


@pytest.mark.parametrize("wrong", ["Mars/Base", "", "Asia/Shangai"])
def test_an_unknown_zone_is_named_with_the_nearest(wrong):
    with pytest.raises(UsageError) as caught:
        Calendar(wrong)
    assert caught.value.code == "UP620"
    if wrong == "Asia/Shangai":
        assert "Asia/Shanghai" in str(caught.value)


def test_a_time_that_is_none():
    with pytest.raises(UsageError, match="UP621"):
        Calendar().instant("tomorrow")


@given(st.lists(st.integers(-50, 50), min_size=2, unique=True), st.lists(st.integers(-60, 60)))
def test_period_index_counts_edges(edges, times):
    edges = sorted(edges)
    found = period_index(np.array(times, dtype=np.int64), edges)
    assert found.tolist() == [sum(e <= t for e in edges) - 1 for t in times]
