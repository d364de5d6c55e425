"""Lifecycle: each user's active periods, laid side by side."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.oracles.calendar import next_period, period_start, previous_period
from tests.oracles.event import Event, by_user


class LifecycleRow(NamedTuple):
    """Users by state in one period; dormant are those active in the period before and not in this one."""

    new: int
    returning: int
    resurrecting: int
    dormant: int


def lifecycle(
    events: Iterable[Event],
    *,
    active: Callable[[Event], bool],
    period: str,
    start: int,
    stop: int,
    zone: str = "UTC",
    week_start: str = "monday",
) -> dict[int, LifecycleRow]:
    """States per period between two instants; "new" looks over the whole log, not over the range."""
    periods_of = [
        {period_start(e.time, period, zone, week_start) for e in log if active(e)} for log in by_user(events).values()
    ]
    rows: dict[int, LifecycleRow] = {}
    t = period_start(start, period, zone, week_start)
    while t < stop:
        before = previous_period(t, period, zone, week_start)
        rows[t] = LifecycleRow(
            new=sum(t in own and min(own) == t for own in periods_of),
            returning=sum(t in own and before in own for own in periods_of),
            resurrecting=sum(t in own and before not in own and min(own) < t for own in periods_of),
            dormant=sum(t not in own and before in own for own in periods_of),
        )
        t = next_period(t, period, zone)
    return rows
