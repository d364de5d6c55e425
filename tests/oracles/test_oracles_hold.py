"""Laws the oracles themselves must obey, and the small examples the guide prints."""

import random
from datetime import date
from itertools import pairwise, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracles.calendar import WEEKDAYS, later_period, local_date, midnight, next_period, period_start
from tests.oracles.distribution import distribution
from tests.oracles.event import DAY, HOUR, MINUTE, SECOND, Event
from tests.oracles.funnel import funnel
from tests.oracles.identity import Alias, CycleError, resolve
from tests.oracles.intervals import intervals
from tests.oracles.lifecycle import lifecycle
from tests.oracles.profiles import profiled
from tests.oracles.segments import did, did_not, quintile
from tests.oracles.sessions import sessions
from tests.strategies import EPOCH, ZONES, funnel_queries, long_logs, short_logs

calm = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def executable(query):
    """The neutral query with names turned into tests of events."""
    hold = query["hold"]
    return {
        **query,
        "steps": [lambda e, names=names: e.name in names for names in query["steps"]],
        "exclusions": [(lambda e, x=x: e.name == x, a, b) for x, a, b in query["exclusions"]],
        "hold": [lambda e, p=p: e.props.get(p) for p in hold] if hold else None,
    }


@calm
@given(short_logs(users=2, most=6), funnel_queries(), st.randoms(use_true_random=False))
def test_stored_order_does_not_matter_when_ties_are_unordered(log, query, rng):
    query["tie"] = "any"
    rows = list(range(len(log)))
    rng.shuffle(rows)
    shuffled = [e._replace(row=r) for e, r in zip(log, rows, strict=True)]
    assert funnel(log, **executable(query)).units == funnel(shuffled, **executable(query)).units


@calm
@given(short_logs(users=2, most=6), funnel_queries())
def test_shifting_all_times_shifts_the_answer(log, query):
    by = 86_400 * SECOND + 1
    later = {**query, "start": query["start"] + by, "stop": query["stop"] + by}
    moved = funnel([e._replace(time=e.time + by) for e in log], **executable(later))
    plain = funnel(log, **executable(query))
    assert {u: t.depth for u, t in moved.units.items()} == {u: t.depth for u, t in plain.units.items()}
    assert {u: t.entry_time - by for u, t in moved.units.items()} == {u: t.entry_time for u, t in plain.units.items()}


@calm
@given(short_logs(users=2, most=6), funnel_queries())
def test_a_longer_window_and_looser_ties_never_lose_depth(log, query):
    query |= {"exclusion_policy": "drop", "count": "users"}
    tight = funnel(log, **executable({**query, "tie": "strict"})).units
    loose = funnel(log, **executable({**query, "tie": "any", "window": query["window"] + SECOND})).units
    assert tight.keys() <= loose.keys()
    assert all(tight[u].depth <= loose[u].depth for u in tight)


@calm
@given(short_logs(users=1, most=5, names=("A", "B", "C")), st.integers(1, 12))
def test_strict_means_adjacent_in_some_order_of_the_ties(log, ticks):
    """The rule "no event strictly between in time outside the chain", spelt out over every order of tied events."""
    steps = [lambda e, n=n: e.name == n for n in "ABC"]
    window = ticks * 10 * SECOND
    found = funnel(log, steps=steps, window=window, order="strict").units
    depth = 0
    for order in permutations(log):
        if any(a.time > b.time for a, b in pairwise(order)):
            continue
        for i in range(len(order)):
            run = 0
            while run < 3 and i + run < len(order) and steps[run](order[i + run]):
                if order[i + run].time - order[i].time > window:
                    break
                run += 1
            depth = max(depth, run)
    assert max((t.depth for t in found.values()), default=0) == depth


@calm
@given(long_logs(), st.sampled_from(("hour", "day", "week", "month")), st.sampled_from(WEEKDAYS))
def test_periods_tile_time(log_and_zone, period, week_start):
    log, zone = log_and_zone
    for event in log:
        start = period_start(event.time, period, zone, week_start)
        end = next_period(start, period, zone)
        assert start <= event.time < end
        assert period_start(start, period, zone, week_start) == start
        assert period_start(end, period, zone, week_start) == end


@pytest.mark.parametrize("zone", ZONES)
def test_every_instant_of_a_local_day_lies_between_its_midnights(zone):
    draw = random.Random(zone)
    for _ in range(200):
        t = EPOCH - draw.randrange(6 * 365 * DAY)
        day = local_date(t, zone)
        assert midnight(day, zone) <= t < later_period(midnight(day, zone), 1, "day", zone)


def test_a_skipped_midnight_begins_the_day_at_the_jump():
    # 2018-11-04 in São Paulo: 00:00 does not exist, the day begins at 01:00 (03:00 UTC).
    start = midnight(date(2018, 11, 4), "America/Sao_Paulo")
    assert start == 1_541_300_400 * SECOND
    assert later_period(start, 1, "day", "America/Sao_Paulo") - start == 23 * HOUR


@calm
@given(long_logs(), st.sampled_from(("day", "week", "month")))
def test_lifecycle_adds_up(log_and_zone, period):
    log, zone = log_and_zone
    if not log:
        return
    span = {"start": min(e.time for e in log), "stop": max(e.time for e in log) + 1}
    rows = list(lifecycle(log, active=lambda e: True, period=period, zone=zone, **span).values())
    active = [r.new + r.returning + r.resurrecting for r in rows]
    for before, now, row in zip(active, active[1:], rows[1:], strict=False):
        assert now - before == row.new + row.resurrecting - row.dormant


def test_identity_follows_the_dated_table():
    rows = [Alias("d", "u1", 100), Alias("d", "u2", 200), Alias("u1", "person", None)]
    assert [resolve("d", t, rows) for t in (0, 100, 199, 200)] == ["person", "person", "person", "u2"]
    assert resolve("d", 150, rows[:2]) == "u1"
    assert resolve("d", 150, []) == "d"
    with pytest.raises(CycleError, match="a → b → a"):
        resolve("a", 0, [Alias("a", "b"), Alias("b", "a")])


def at(*named):
    return [Event("u", t, row, name, {"n": t / SECOND}) for row, (name, t) in enumerate(named)]


def test_sessions_intervals_distribution_segments_by_hand():
    log = at(("A", 0), ("B", 30 * MINUTE), ("A", 60 * MINUTE + 1), ("A", 61 * MINUTE), ("B", 62 * MINUTE))
    assert [n for _, n in sessions(log).values()] == [0, 0, 1, 1, 1]
    is_a, is_b = (lambda e: e.name == "A"), (lambda e: e.name == "B")
    assert intervals(log, first=is_a, then=is_b) == [MINUTE, 30 * MINUTE]
    assert intervals(log, first=is_a, then=is_a) == [MINUTE - 1, 60 * MINUTE + 1]
    assert distribution(log, test=is_a, period="day", bands=(1, 3)) == {0: {1: 1}}
    assert did(log, is_a, at_least=3) == {"u"}
    assert did(log, is_a, at_least=4) == set()
    assert did_not(log, lambda e: e.name == "C") == {"u"}
    assert quintile({k: float(v) for k, v in zip("abcde", range(5), strict=True)}) == dict(
        zip("abcde", range(1, 6), strict=False)
    )


@calm
@given(short_logs(users=2, most=6), st.integers(1, 12), st.sampled_from(("posthog", "clickhouse", "amplitude")))
def test_profiles_agree_with_the_canon_where_nothing_divides_them(log, ticks, profile):
    """Different steps, one event at a time, no range, no exclusion: the products' differences all fall away."""
    seen = set()
    apart = [e for e in log if (e.user, e.time) not in seen and not seen.add((e.user, e.time))]  # type: ignore[func-returns-value]
    query = {"steps": [lambda e, n=n: e.name == n for n in "ABC"], "window": ticks * 10 * SECOND}
    plain = {u: t.depth for u, t in funnel(apart, **query).units.items()}
    assert {u: t.depth for u, t in profiled(profile, apart, **query).units.items()} == plain
