"""Lifecycle, stickiness, intervals and distribution as answers."""

import numpy as np
import pytest
from hypothesis import given, settings

from tests.diagnose.memory import log_of
from tests.oracles.event import DAY, HOUR, Event
from tests.oracles.lifecycle import lifecycle as lifecycle_truth
from tests.sequences.build import named
from tests.strategies import long_logs
from upswing.core.calendar import Calendar
from upswing.core.errors import UsageError
from upswing.diagnose.distribution import distribution
from upswing.diagnose.intervals import interval
from upswing.diagnose.lifecycle import lifecycle
from upswing.diagnose.stickiness import stickiness
from upswing.spec.steps import EventMatch

T0 = Calendar("UTC").instant("2026-03-02")  # a Monday
OPEN = EventMatch(event="open")


def event(user, day, name="open", **props):
    return Event(user, T0 + round(day * DAY), 0, name, props)


def shown(result):
    """Everything a result shows can be shown."""
    assert str(result.title())
    assert str(result.verdict())
    for table in result.tables():
        assert all(len(row) == len(table.columns) for row in table.rows)
        table.formatted()
    for chart in result.charts():
        keys = {c.key for c in next(t for t in result.tables() if t.name == chart.table).columns}
        assert {chart.x, *chart.y} <= keys
    return result.to_json()


@settings(max_examples=25, deadline=None)
@given(long_logs(users=3, most=8, days=25).filter(lambda p: any(e.name == "A" for e in p[0])))
def test_lifecycle_through_an_engine(logged):
    events, zone = logged
    log = log_of(events, zone=zone, batches=2)
    found = lifecycle(log, EventMatch(event="A"), period="week")
    lo, hi = log.resolve_range()
    truth = lifecycle_truth(events, active=named("A"), period="week", start=lo, stop=hi, zone=zone)
    assert [(p.new, p.returning, p.resurrecting, p.dormant) for p in found.periods] == [
        tuple(r) for r in truth.values()
    ]


def test_lifecycle_states_and_who_they_are():
    days = {"a": [0, 1, 2, 5], "b": [1, 3], "c": [2, 5.5]}
    log = log_of([event(u, d) for u, ds in days.items() for d in ds])
    found = lifecycle(log, OPEN, period="day")
    rows = [(p.active, p.new, p.returning, p.resurrecting, p.dormant) for p in found.periods]
    assert rows == [
        (1, 1, 0, 0, 0),
        (2, 1, 1, 0, 0),
        (2, 1, 1, 0, 1),
        (1, 0, 0, 1, 2),
        (0, 0, 0, 0, 1),
        (2, 0, 0, 2, 0),
    ]
    assert [p.complete for p in found.periods] == [True] * 5 + [False]
    assert found.periods[3].pulse == 0.5
    assert log.user_ids(found.users_in("2026-03-05", "dormant")) == ["a", "c"]
    assert log.user_ids(found.users_in("2026-03-07", "resurrecting")) == ["a", "c"]
    assert '"dormant": 2' in shown(found)


def test_new_looks_over_the_whole_log_not_the_range():
    log = log_of([event("a", 0), event("a", 9), event("b", 9), event("z", 30)])
    found = lifecycle(log, OPEN, period="week", start="2026-03-09", stop="2026-03-16")
    assert (found.periods[0].new, found.periods[0].returning, found.before) == (1, 1, 1)


def test_stickiness_counts_days_of_each_week_and_of_a_range():
    """PostHog's stickiness test: one person on nine days running, one on five alternate days (facts re-expressed)."""
    events = [event("a", d) for d in range(9)] + [event("b", d) for d in (0, 2, 4, 6, 8)]
    log = log_of([*events, event("z", 20, "other")])
    whole = stickiness(log, OPEN, period="range", stop="2026-03-12")
    assert {d: n for d, n in enumerate(whole.periods[0].users, start=1) if n} == {9: 1, 5: 1}
    assert whole.periods[0].at_least[:5] == (2, 2, 2, 2, 2)
    weekly = stickiness(log, OPEN, period="week", stop="2026-03-16")
    assert [p.users for p in weekly.periods] == [(0, 0, 0, 1, 0, 0, 1), (1, 1, 0, 0, 0, 0, 0)]
    assert log.user_ids(weekly.users_in("2026-03-02", 7)) == ["a"]
    shown(weekly)


def test_trailing_active_users_wait_until_their_days_are_there():
    events = [event("a", 0), event("b", 3), event("a", 6), event("c", 7), event("z", 40, "other")]
    series = stickiness(log_of(events), OPEN, stop="2026-03-10").series
    assert [a.dau for a in series] == [1, 0, 0, 1, 0, 0, 1, 1]
    assert [a.wau for a in series] == [None] * 6 + [2, 3]
    assert all(a.mau is None for a in series)


def test_interval_takes_the_nearest_pair():
    events = [event("u", h / 24, n) for h, n in [(0, "a"), (1, "a"), (3, "b"), (4, "b"), (10, "a")]]
    log = log_of([*events, event("v", 0, "a"), event("v", 5 / 24, "b")])
    found = interval(log, EventMatch(event="a"), EventMatch(event="b"))
    assert (found.count, found.users, found.open_ends) == (2, 2, 2)
    assert found.mean == 3.5 * 3600
    assert dict(found.quantiles)[0.5] == 3.5 * 3600
    assert log.user_ids(found.users_in(at_least="3h")) == ["v"]
    assert sum(b.count for b in found.bands) == 2
    shown(found)


def test_usage_interval_counts_each_user_once_by_the_median():
    hours = {"u": [0, 1, 2, 3, 13], "v": [0, 24]}
    log = log_of([Event(u, T0 + h * HOUR, h, "open", {}) for u, hs in hours.items() for h in hs])
    found = interval(log, OPEN, OPEN)
    assert dict(found.quantiles)[0.5] == 3600
    assert dict(found.user_medians)[0.5] == (1 + 24) / 2 * 3600


def test_interval_of_nobody():
    log = log_of([event("u", 0, "a"), event("v", 0, "b")])
    shown(interval(log, EventMatch(event="a"), EventMatch(event="b")))


def test_distribution_by_count_days_and_sum():
    events = [event("a", d / 4, amount=float(d)) for d in range(9)] + [event("b", 0.1, amount=2.0), event("c", 1)]
    log = log_of(events)
    counted = distribution(log, OPEN, bands=[1, 2, 5])
    assert [(b.lower, b.upper, b.users) for b in counted.bands] == [(1, 2, 2), (2, 5, 0), (5, None, 1)]
    assert [str(row[0]) for row in counted.tables()[0].rows] == ["1", "2–4", "5 or more"]
    assert log.user_ids(counted.users_in(at_least=5)) == ["a"]
    assert distribution(log, OPEN, measure="active_days").total == 5
    summed = distribution(log, OPEN, measure="sum", property="amount")
    assert (summed.users, summed.total, summed.mean) == (2, 38.0, 19.0)
    assert [c.code for c in summed.warnings] == ["no_value"]
    for result in (counted, summed):
        shown(result)


def test_values_below_the_first_band_get_a_band_of_their_own():
    found = distribution(log_of([event("a", 0), event("b", 0), event("b", 1)]), OPEN, bands=[2])
    assert [(b.lower, b.upper, b.users) for b in found.bands] == [(None, 2, 1), (2, None, 1)]


@pytest.mark.parametrize(
    "question",
    [
        {"measure": "sum"},
        {"property": "amount"},
        {"measure": "nothing"},
        {"bands": [2, 1]},
        {"window": "36h", "measure": "active_days"},
        {"measure": "sum", "property": "plan"},
    ],
)
def test_questions_that_make_no_sense(question):
    log = log_of([event("a", 0, amount=1.0, plan="x")])
    with pytest.raises(UsageError):
        distribution(log, OPEN, **question)


def test_nobody_has_a_distribution():
    found = distribution(log_of([event("a", 0)]), OPEN, users=np.zeros(0, dtype=np.int64))
    assert found.users == 0
    shown(found)
