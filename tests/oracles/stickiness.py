"""Stickiness: how many days (or hours, weeks, months) of a period a user was active; and DAU over WAU and MAU."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta

from tests.oracles.calendar import local_date, period_start
from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]


def stickiness(
    events: Iterable[Event],
    *,
    active: Test,
    period: str,
    unit: str = "day",
    zone: str = "UTC",
    week_start: str = "monday",
) -> dict[int, dict[int, int]]:
    """Per calendar period: users by number of distinct active units in it."""
    histogram: dict[int, Counter[int]] = {}
    for log in by_user(events).values():
        units: dict[int, set[int]] = {}
        for event in filter(active, log):
            inside = units.setdefault(period_start(event.time, period, zone, week_start), set())
            inside.add(period_start(event.time, unit, zone, week_start))
        for start, days in units.items():
            histogram.setdefault(start, Counter())[len(days)] += 1
    return {start: dict(counts) for start, counts in histogram.items()}


def stickiness_over(
    events: Iterable[Event],
    *,
    active: Test,
    start: int,
    stop: int,
    unit: str = "day",
    zone: str = "UTC",
    week_start: str = "monday",
) -> dict[int, int]:
    """Users by number of distinct active units in one whole range [start, stop)."""
    counts: Counter[int] = Counter()
    for log in by_user(events).values():
        units = {period_start(e.time, unit, zone, week_start) for e in log if active(e) and start <= e.time < stop}
        if units:
            counts[len(units)] += 1
    return dict(counts)


def active_ratio(
    events: Iterable[Event], *, active: Test, day: date, trailing: int, zone: str = "UTC"
) -> tuple[int, int]:
    """Users active on ``day``, and on any of the ``trailing`` days that end with it (7 for WAU, 30 for MAU)."""
    seen = {(e.user, local_date(e.time, zone)) for e in events if active(e)}
    span = {day - timedelta(days=k) for k in range(trailing)}
    return len({u for u, d in seen if d == day}), len({u for u, d in seen if d in span})
