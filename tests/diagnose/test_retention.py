"""Retention as an analysis: against the oracle through an engine, and what its result says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnose.memory import log_of
from tests.oracles.event import DAY, Event
from tests.oracles.retention import retention as truth_of
from tests.sequences.build import named
from tests.strategies import long_logs, retention_queries
from upswing.core.calendar import Calendar
from upswing.core.errors import UsageError
from upswing.diagnose.retention import retention
from upswing.spec.retention import RetentionDefinition
from upswing.spec.steps import EventMatch

T0 = Calendar("UTC").instant("2026-03-02")  # a Monday


def event(user, day, name="open", **props):
    return Event(user, T0 + round(day * DAY), 0, name, props)


def defined(**keys):
    keys.setdefault("start", EventMatch(event="open"))
    return RetentionDefinition(name="written", **keys)


@settings(max_examples=60, deadline=None)
@given(long_logs(users=3, most=6, days=20).filter(lambda p: bool(p[0])), retention_queries(), st.integers(1, 3))
def test_the_whole_analysis_is_the_oracle(logged, query, batches):
    events, zone = logged
    names = {e.name for e in events}
    if not {query["start"], query["returns"]} <= names:
        return
    log = log_of(events, zone=zone, week_start=query["week_start"], batches=batches)
    brackets = not isinstance(query["at"], str)
    definition = RetentionDefinition(
        name="written",
        start=EventMatch(event=query["start"], where=[{"prop": "p", "op": "ne", "value": "b"}]),
        returning=EventMatch(event=query["returns"]),
        period=query["period"],
        periods=query["periods"],
        entry=query["entry"],
        clock="rolling" if query["rolling"] else "calendar",
        at="brackets" if brackets else query["at"],
        brackets=list(query["at"]) if brackets else [],
        min_count=query["min_count"],
    )
    if "p" not in {p for e in events for p in e.props}:
        return
    found = retention(log, definition)
    lo, hi = log.resolve_range()
    truth = truth_of(
        events,
        start=lambda e: e.name == query["start"] and e.props.get("p") != "b",
        returns=named(query["returns"]),
        start_type=named(query["start"]),
        period=query["period"],
        periods=query["periods"],
        zone=zone,
        week_start=query["week_start"],
        rolling=query["rolling"],
        at=query["at"],
        entry=query["entry"],
        min_count=query["min_count"],
        range_start=lo,
        range_stop=hi,
    )
    labels = {log.calendar.label(c, query["period"]): c for c in truth.sizes}
    assert {c.start: c.size for c in found.cohorts if c.size} == {k: truth.sizes[v] for k, v in labels.items()}
    for cohort in (c for c in found.cohorts if c.size):
        cells = list(truth.cells[labels[cohort.start]].values())
        assert list(cohort.complete) == [c.complete for c in cells]
        for kept, cell in zip(cohort.retained, cells, strict=True):
            # a period that has not begun is null; on-or-before, users of earlier periods are known by then, and null still
            empty = cell.retained == 0 or query["at"] == "on-or-before"
            assert kept == cell.retained or (kept is None and empty and not cell.complete and cell.observable == 0)
    assert [p.rate for p in found.pooled] == pytest.approx(list(truth.pooled.values()), nan_ok=True)


def test_cells_that_have_not_begun_are_null_and_open_ones_marked():
    log = log_of([event("a", 0), event("a", 1.5), event("b", 1), event("c", 2.4)])
    found = retention(log, defined(period="day", periods=3, entry="first-time")).data()
    assert found["cohorts"] == [
        {"start": "2026-03-02", "size": 1, "retained": [1, 1, 0, None], "complete": [True, True, False, False]},
        {"start": "2026-03-03", "size": 1, "retained": [1, 0, None, None], "complete": [True, False, False, False]},
        {"start": "2026-03-04", "size": 1, "retained": [1, None, None, None], "complete": [False] * 4},
    ]
    assert found["pooled"] == [1.0, 1.0, None, None]
    detail = found["pooled_detail"][0]
    assert (detail["retained"], detail["size"], detail["cohorts"]) == (2, 2, ["2026-03-02", "2026-03-03"])


def test_pooled_is_weighted_by_size_not_a_mean_of_rates():
    """1000 → 500 and 500 → 400 pool to 900/1500 = 60 %, as GrowingIO and ThinkingData define it (not 65 %)."""
    events = [event(f"x{i}", 0) for i in range(10)] + [event(f"x{i}", 1.1, "back") for i in range(5)]
    events += [event(f"y{i}", 1) for i in range(5)] + [event(f"y{i}", 2.1, "back") for i in range(4)]
    events.append(event("z", 9, "back"))
    found = retention(log_of(events), defined(period="day", periods=1, returning=EventMatch(event="back")))
    assert found.pooled[1].rate == 9 / 15


def test_users_in_a_cell_are_those_counted():
    events = [
        event("a", 0),
        event("a", 1),
        event("b", 0.2),
        event("c", 0.3),
        event("c", 1.2),
        event("d", 1),
        event("d", 5),
    ]
    log = log_of(events, batches=3)
    found = retention(log, defined(period="day", periods=2, entry="first-time"))
    assert log.user_ids(found.users_in("2026-03-02", 1)) == ["a", "c"]
    assert log.user_ids(found.users_in("2026-03-02", 1, state="lost")) == ["b"]
    with pytest.raises(UsageError, match="did you mean '2026-03-0"):
        found.users_in("2026-03-99", 1)


def test_first_ever_looks_before_the_range():
    events = [event("a", 0), event("a", 8), event("b", 8), event("b", 9), event("c", 20)]
    log = log_of(events)
    window = {"start": "2026-03-09", "stop": "2026-03-16"}
    sizes = {
        entry: sum(c.size for c in retention(log, defined(period="day", periods=1, entry=entry), **window).cohorts)
        for entry in ("recurring", "first-time", "first-ever")
    }
    assert sizes == {"recurring": 3, "first-time": 1, "first-ever": 1}


def test_first_ever_needs_the_very_first_event_to_pass_the_filter():
    events = [event("a", 0, plan="free"), event("a", 1, plan="pro"), event("b", 1, plan="pro"), event("z", 9, plan="x")]
    match = EventMatch(event="open", where=[{"prop": "plan", "value": "pro"}])
    log = log_of(events)
    for entry, expected in (("first-time", 2), ("first-ever", 1)):
        found = retention(log, defined(start=match, period="day", periods=1, entry=entry))
        assert sum(c.size for c in found.cohorts) == expected


def test_breakdown_groups_add_up_and_take_the_value_at_the_start():
    events = [event(f"u{i}", i % 3, plan="abc"[i % 3] if i % 4 else None) for i in range(24)]
    events += [event(f"u{i}", i % 3 + 1, plan="z") for i in range(0, 24, 2)]
    found = retention(log_of(events), defined(period="day", periods=2, entry="first-time"), by="plan", limit=2)
    assert [g.value for g in found.groups][-2:] == ["(other)", "(none)"]
    for cell in range(3):
        assert sum(g.pooled[cell].retained for g in found.groups) == found.pooled[cell].retained
    for i, cohort in enumerate(found.cohorts):
        assert sum(g.cohorts[i].size for g in found.groups) == cohort.size


def test_a_sum_gives_revenue_per_user_and_its_cumulation():
    events = [event("a", 0), event("b", 0), event("a", 0.5, "pay", amount=10.0), event("a", 1.5, "pay", amount=4.0)]
    events += [event("b", 2.5, "pay", amount=6.0), event("c", 9)]
    definition = defined(period="day", periods=2, returning=EventMatch(event="pay"), sum="amount", entry="first-time")
    found = retention(log_of(events), definition, stop="2026-03-03")
    assert found.cohorts[0].sums == (10.0, 4.0, 6.0)
    assert [p.cumulative for p in found.pooled] == [5.0, 7.0, 10.0]


def test_days_of_23_and_25_hours_stay_one_day():
    zone = Calendar("Europe/Berlin")
    before = zone.instant("2026-03-28T23:30")  # the next local day has 23 hours
    events = [Event("a", before, 0, "open", {}), Event("a", before + 24 * 3_600_000_000, 1, "open", {})]
    events.append(Event("z", before + 9 * DAY, 2, "open", {}))
    calendar = retention(log_of(events, zone="Europe/Berlin"), defined(period="day", periods=2))
    assert calendar.cohorts[0].retained == (1, 0, 1)  # 24 hours later is two local days later
    rolling = retention(log_of(events, zone="Europe/Berlin"), defined(period="day", periods=2, clock="rolling"))
    assert rolling.cohorts[0].retained == (1, 1, 0)


def test_a_log_that_nobody_comes_back_to_is_called_one():
    found = retention(
        log_of([event(u, d) for u, d in zip("abcd", (0, 1, 2, 9), strict=True)]), defined(period="day", periods=2)
    )
    assert str(found.verdict()).startswith("None of 3 users is back in Day 1 or later")


def test_it_explains_itself():
    log = log_of([event("a", 0), event("a", 1.5), event("b", 1), event("c", 2.4)])
    found = retention(log, defined(period="day", periods=3, entry="first-time"))
    assert str(found.title()) == "How many users do open again?"
    assert "Day 1" in str(found.verdict())
    assert {c.code for c in found.warnings} == {"incomplete"}
    assert found.sql
    assert found.to_csv("cells").count("\n") == 1 + 3 * 4
    assert found.to_dict()["sample"] == {"events": 4, "users": 3}
    for table in found.tables():
        assert all(len(row) == len(table.columns) for row in table.rows)
        table.formatted()


def test_a_sum_over_text_is_refused():
    log = log_of([event("a", 0, plan="x")])
    with pytest.raises(UsageError, match="plan"):
        retention(log, defined(sum="plan"))


def test_nobody_started_gives_empty_cohorts():
    log = log_of([event("a", 0), event("b", 1, "pay")])
    found = retention(log, defined(period="day", periods=1), users=np.zeros(0, dtype=np.int64))
    assert [c.size for c in found.cohorts] == [0, 0]
    assert found.pooled[0].rate is None
