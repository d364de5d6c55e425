"""Lifecycle, active days, trailing users, counts, intervals and sessions against their oracles."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.calendar import local_date, next_period, period_start
from tests.oracles.distribution import distribution
from tests.oracles.event import DAY, HOUR, Event
from tests.oracles.intervals import intervals
from tests.oracles.lifecycle import lifecycle
from tests.oracles.sessions import sessions
from tests.oracles.stickiness import active_ratio, stickiness
from tests.sequences.build import batch, named
from tests.strategies import long_logs, short_logs
from upswing.core.calendar import Calendar
from upswing.sequences.counts import CountKernel
from upswing.sequences.intervals import IntervalKernel
from upswing.sequences.lifecycle import STATES, LifecycleKernel
from upswing.sequences.periods import PeriodGrid
from upswing.sequences.sessions import by_gap, by_key
from upswing.sequences.stickiness import ActiveDaysKernel, TrailingKernel

LOGS = long_logs(users=4, most=10).filter(lambda p: any(e.name == "A" for e in p[0]))
PARTS = st.integers(1, 4)


def total(kernel, whole, parts):
    found = [kernel(part) for part in whole.split(parts)]
    return sum(found[1:], found[0])


@settings(max_examples=150, deadline=None)
@given(LOGS, st.sampled_from(["hour", "day", "week", "month"]), st.integers(0, 9), PARTS)
def test_lifecycle(logged, period, skipped, parts):
    events, zone = logged
    calendar = Calendar(zone)
    first, last = min(e.time for e in events), max(e.time for e in events)
    start = min(first + skipped * DAY, last)
    inside = calendar.edges(period, start, last + 1)
    edges = np.concatenate((calendar.edges(period, int(inside[0]) - 1, int(inside[0])), inside[1:]))
    kernel = LifecycleKernel(PeriodGrid.of(edges))
    whole = batch(events, (named("A"),))
    counts = total(kernel, whole, parts)
    truth = lifecycle(events, active=named("A"), period=period, start=start, stop=last + 1, zone=zone)
    assert {int(edges[i]): tuple(counts.states[:, i]) for i in range(1, len(edges) - 1)} == truth
    assert np.array_equal(counts.active[1:], counts.states[:3, 1:].sum(axis=0))
    for i in range(1, len(edges) - 1):
        found = kernel.states(whole, i)
        assert [int((found == s).sum()) for s in range(len(STATES))] == counts.states[:, i].tolist()


@settings(max_examples=100, deadline=None)
@given(LOGS, st.sampled_from([("week", "day"), ("month", "day"), ("month", "week_day"), ("day", "hour")]), PARTS)
def test_active_days(logged, what, parts):
    events, zone = logged
    period, unit = what[0], "day" if what[1] == "week_day" else what[1]
    calendar = Calendar(zone)
    first, last = min(e.time for e in events), max(e.time for e in events)
    periods = calendar.edges(period, first, last + 1)
    units = calendar.edges(unit, int(periods[0]), int(periods[-1]))
    owner = np.searchsorted(periods, units[:-1], side="right") - 1
    kernel = ActiveDaysKernel(PeriodGrid.of(units), owner, len(periods) - 1)
    whole = batch(events, (named("A"),))
    histogram = total(kernel, whole, parts)
    truth = stickiness(events, active=named("A"), period=period, unit=unit, zone=zone)
    found = {
        int(periods[p]): {n: int(histogram[p, n]) for n in range(histogram.shape[1]) if histogram[p, n]}
        for p in range(len(periods) - 1)
        if histogram[p].any()
    }
    assert found == truth
    for p in range(len(periods) - 1):
        days = kernel.days(whole, p)
        assert Counter(days[days > 0].tolist()) == Counter(truth.get(int(periods[p]), {}))


@settings(max_examples=80, deadline=None)
@given(LOGS, PARTS)
def test_trailing_users(logged, parts):
    events, zone = logged
    calendar = Calendar(zone)
    first, last = min(e.time for e in events), max(e.time for e in events)
    days = calendar.edges("day", calendar.instant(local_date(first, zone) - timedelta(days=29)), last + 1)
    counts = total(TrailingKernel(PeriodGrid.of(days), np.array([1, 7, 30])), batch(events, (named("A"),)), parts)
    for d in (29, 30, 33, 36, 41, len(days) - 2):
        if 29 <= d < len(days) - 1:
            for i, length in ((1, 7), (2, 30)):
                day = local_date(int(days[d]), zone)
                truth = active_ratio(events, active=named("A"), day=day, trailing=length, zone=zone)
                assert (counts[0, d], counts[i, d]) == truth


@settings(max_examples=100, deadline=None)
@given(LOGS, PARTS)
def test_counts_per_user(logged, parts):
    events, zone = logged
    first, last = min(e.time for e in events), max(e.time for e in events)
    start = period_start(first, "month", zone)
    stop = next_period(start, "month", zone)
    days = PeriodGrid.of(Calendar(zone).edges("day", start, min(stop, last + 1)))
    amount = lambda e: np.nan if e.props.get("n") is None else float(e.props["n"])  # noqa: E731
    found = total(CountKernel(days), batch(events, (named("A"),), (amount,)), parts)
    bands = [-1000, 0, 1, 2, 3, 5]
    for measure, values in (("count", found.events), ("days", found.days), ("sum", found.sums[found.valued > 0])):
        truth = distribution(
            events,
            test=named("A"),
            period="month",
            measure=measure,
            amount=lambda e: e.props.get("n"),
            bands=bands,
            zone=zone,
        )
        counted = Counter((np.searchsorted(bands, values, side="right") - 1).tolist())
        assert counted == Counter(truth.get(start, {}))


@settings(max_examples=60, deadline=None)
@given(LOGS, st.integers(1, 9))
def test_the_busiest_stretch_of_days(logged, window):
    events, zone = logged
    first, last = min(e.time for e in events), max(e.time for e in events)
    kernel = CountKernel(PeriodGrid.of(Calendar(zone).edges("day", first, last + 1)), window)
    found = kernel(batch(events, (named("A"),)))
    users = sorted({e.user for e in events})
    for key, days in zip(found.users, found.days, strict=True):
        active = {local_date(e.time, zone) for e in events if e.user == users[key - 1] and e.name == "A"}
        assert days == max(sum(0 <= (b - a).days < window for b in active) for a in active)


@settings(max_examples=150, deadline=None)
@given(short_logs(most=12).filter(bool), st.booleans(), PARTS)
def test_intervals(events, same, parts):
    first, then = named("A"), named("A") if same else named("B")
    low, high = min(e.time for e in events), max(e.time for e in events)
    found = total(IntervalKernel(low, high + 1), batch(events, (first, then)), parts)
    assert sorted(found.gaps.tolist()) == intervals(events, first=first, then=then)
    opened = sum(first(e) for e in events)
    assert found.open_ends <= opened
    if same:
        assert len(found.gaps) + found.open_ends == opened


@settings(max_examples=100, deadline=None)
@given(short_logs(most=12).filter(bool), st.sampled_from([0, 1, 9, 10, 11, 25]))
def test_sessions_by_gap(events, seconds):
    truth = sessions(events, seconds * 1_000_000)
    found = by_gap(batch(events, (), (lambda e: e.row,)), seconds * 1_000_000)
    rows = [sorted(found.columns[0][a:b].tolist()) for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    expected: dict = {}
    for row, unit in truth.items():
        expected.setdefault(unit, []).append(row)
    assert sorted(rows) == sorted(sorted(r) for r in expected.values())


def test_sessions_by_key_bring_interleaved_events_together():
    events = [Event("u", t * HOUR, t, "a", {"s": s}) for t, s in enumerate([7, 9, 7, 9, 7])]
    found = by_key(batch(events, (), (lambda e: e.props["s"],)), np.array([7, 9, 7, 9, 7], dtype=np.int64))
    assert found.offsets.tolist() == [0, 3, 5]
    assert found.users.tolist() == [1, 1]
    assert (found.times // HOUR).tolist() == [0, 2, 4, 1, 3]


def test_sessions_of_nothing():
    empty = batch([])
    assert by_gap(empty, 1).n_users == 0
    assert by_key(empty, np.zeros(0, dtype=np.int64)).n_users == 0


@pytest.mark.parametrize("window", [7, 8])
def test_adopted_user_rule_differs_by_one_day(window):
    """Three days within seven: whether the eighth day still counts is where public answers to it differ."""
    events = [Event("u", d * DAY, d, "A", {}) for d in (0, 3, 7)]
    kernel = CountKernel(PeriodGrid.of(Calendar("UTC").edges("day", 0, 10 * DAY)), window)
    assert kernel(batch(events, (named("A"),))).days.tolist() == [window - 5]
