"""The retention kernel against the cell-by-cell oracle, and the laws it must keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.calendar import ROLLING
from tests.oracles.event import DAY, Event
from tests.oracles.retention import retention
from tests.sequences.build import ZONES, batch, logs, named
from upswing.core.calendar import Calendar
from upswing.sequences.periods import PeriodGrid
from upswing.sequences.retention import RetentionKernel


def plan(events, *, zone, week_start, period, periods, at, brackets, entry, rolling, min_count, start, stop):
    calendar = Calendar(zone, week_start)
    horizon = max(e.time for e in events)
    cohorts = calendar.edges(period, start, stop)
    n_lags = max(b for _, b in brackets) + 1 if at == "brackets" else periods + 1
    edges = cohorts
    while len(edges) - len(cohorts) < n_lags or edges[-1] <= horizon:
        edges = calendar.edges(period, int(cohorts[0]), int(edges[-1]) + 1)
    return RetentionKernel(
        grid=PeriodGrid.of(edges),
        n_cohorts=len(cohorts) - 1,
        start=start,
        stop=stop,
        n_lags=n_lags,
        horizon=horizon,
        entry=entry,
        at=at,
        brackets=np.array(brackets, dtype=np.int64).reshape(-1, 2),
        rolling=ROLLING[period] if rolling else 0,
        min_count=min_count,
    )


@st.composite
def questions(draw):
    zone = draw(st.sampled_from(ZONES))
    events = draw(logs(zone=zone).filter(bool))
    first, last = min(e.time for e in events), max(e.time for e in events)
    start = draw(st.sampled_from([first, first + DAY, first - 3 * DAY]))
    stop = draw(st.sampled_from([last + 1, max(start + 1, last - DAY), start + 1, start + 4 * DAY]))
    settings_ = {
        "zone": zone,
        "week_start": draw(st.sampled_from(["monday", "sunday", "wednesday"])),
        "period": draw(st.sampled_from(["hour", "day", "week", "month"])),
        "periods": draw(st.integers(1, 8)),
        "at": draw(st.sampled_from(["on", "on-or-after", "on-or-before", "brackets"])),
        "brackets": draw(st.sampled_from([[(0, 0), (1, 3)], [(1, 1), (2, 6), (7, 9)], [(2, 4), (3, 5)]])),
        "entry": draw(st.sampled_from(["recurring", "first-time", "first-ever"])),
        "rolling": draw(st.booleans()),
        "min_count": draw(st.integers(1, 3)),
        "start": start,
        "stop": stop,
    }
    same = draw(st.booleans())
    tests = {
        "start": lambda e: e.name == "a" and e.props["plan"] != "y",
        "returns": named("a") if same else lambda e: e.name in "bc",
        "start_type": named("a"),
    }
    return events, settings_, tests


@settings(max_examples=300, deadline=None)
@given(questions(), st.integers(1, 4))
def test_kernel_is_the_oracle_and_partials_add_up(question, parts):
    events, settings_, tests = question
    truth = retention(
        events,
        **tests,
        period=settings_["period"],
        periods=settings_["periods"],
        zone=settings_["zone"],
        week_start=settings_["week_start"],
        rolling=settings_["rolling"],
        at=settings_["brackets"] if settings_["at"] == "brackets" else settings_["at"],
        entry=settings_["entry"],
        range_start=settings_["start"],
        range_stop=settings_["stop"],
        min_count=settings_["min_count"],
    )
    kernel = plan(events, **settings_)
    whole = batch(events, (tests["start"], tests["returns"], tests["start_type"]))
    counts = [kernel(part) for part in whole.split(parts)]
    total = sum(counts[1:], counts[0])
    edges = kernel.grid.edges
    found = {int(edges[c]): int(n) for c, n in enumerate(total.sizes[0]) if n}
    assert found == truth.sizes
    for c in range(kernel.n_cohorts):
        cells = truth.cells.get(int(edges[c]))
        if cells is None:
            assert not total.retained[0, c].any()
            continue
        assert total.retained[0, c].tolist() == [cell.retained for cell in cells.values()]
        for cell in range(total.retained.shape[2]):
            standing = kernel.members(whole, cohort=c, cell=cell)
            assert (standing == 2).sum() == total.retained[0, c, cell]
            assert (standing >= 1).sum() == total.sizes[0, c]
        if settings_["rolling"] and settings_["at"] != "brackets":
            seen = total.ages[0, c][::-1].cumsum()[::-1][1:]
            assert seen.tolist() == [cell.observable for cell in cells.values()]


@settings(max_examples=80, deadline=None)
@given(logs(zone="Europe/Berlin").filter(bool), st.booleans())
def test_amounts_by_lag_add_up_to_what_was_returned(events, rolling):
    """Each return's amount goes to the lag of its instant; the first-time cohort sees every amount once."""
    first, last = min(e.time for e in events), max(e.time for e in events)
    kernel = plan(
        events, zone="Europe/Berlin", week_start="monday", period="day", periods=20, at="on", brackets=[],
        entry="first-time", rolling=rolling, min_count=1, start=first, stop=last + 1,
    )  # fmt: skip
    kernel = RetentionKernel(
        grid=kernel.grid, n_cohorts=kernel.n_cohorts, start=first, stop=last + 1, n_lags=21, horizon=last,
        entry="first-time", rolling=kernel.rolling, with_sum=True,
    )  # fmt: skip
    counts = kernel(batch(events, (named("a"), named("b")), (lambda e: e.props["amount"],)))
    starts = {}
    for event in sorted(events, key=lambda e: e.time):
        if event.name == "a":
            starts.setdefault(event.user, event.time)
    expected = sum(e.props["amount"] for e in events if e.name == "b" and e.user in starts and e.time >= starts[e.user])
    assert counts.sums.sum() == expected


def test_breakdown_groups_partition_the_cohort():
    events = [Event(f"u{i}", i * DAY // 4, i, "a", {"plan": i % 4}) for i in range(40)]
    last = max(e.time for e in events)
    base = {"start": 0, "stop": last + 1, "n_lags": 3, "horizon": last}
    grid = PeriodGrid.of(Calendar("UTC").edges("day", 0, last + 4 * DAY))
    # 4 values: two named, one in "(other)" as code 2, one null as -1
    coded = batch(events, (named("a"), named("a")), (lambda e: [0, 1, 2, -1][e.props["plan"]],))
    split = RetentionKernel(grid=grid, n_cohorts=10, n_groups=4, **base)(coded)
    whole = RetentionKernel(grid=grid, n_cohorts=10, **base)(coded)
    assert split.sizes.sum(axis=0).tolist() == whole.sizes[0].tolist()
    assert split.sizes.sum(axis=1).tolist() == [10, 10, 10, 10]


@pytest.mark.parametrize("shift", [DAY, 700 * DAY])
def test_shifting_every_event_shifts_nothing_else(shift):
    rng = np.random.default_rng(5)
    raw = [
        (f"u{u}", int(t), "ab"[int(k)])
        for u, t, k in zip(*(rng.integers(0, n, 300) for n in (20, 9 * DAY, 2)), strict=True)
    ]
    events = [Event(u, t, i, n, {}) for i, (u, t, n) in enumerate(raw)]
    moved = [e._replace(time=e.time + shift) for e in events]

    def count(log, origin):
        grid = PeriodGrid.of(Calendar("UTC").edges("day", origin, origin + 20 * DAY))
        kernel = RetentionKernel(grid=grid, n_cohorts=9, start=origin, stop=origin + 9 * DAY, n_lags=8, horizon=0)
        return kernel(batch(log, (named("a"), named("b")))).retained

    assert np.array_equal(count(events, 0), count(moved, shift))
