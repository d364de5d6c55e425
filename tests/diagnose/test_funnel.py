"""The funnel as a question: counts, rates, groups, trend, maturity, and the list behind every bar."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.diagnose.memory import log_of
from tests.oracles import funnel as oracle
from tests.oracles.event import DAY, HOUR, SECOND, Event, by_user
from tests.strategies import short_logs
from upswing.core.errors import UsageError
from upswing.diagnose.funnel import funnel, users_at
from upswing.spec.funnel import FunnelDefinition

BASE = 1_700_006_400 * SECOND  # 2023-11-15, midnight UTC


def define(*steps, **keys) -> FunnelDefinition:
    written = [s if isinstance(s, dict) else {"event": s} for s in steps]
    return FunnelDefinition.model_validate({"name": "f", "steps": written, "window": "1d", **keys})


def shop() -> list[Event]:
    """Forty users enter an hour apart; every second goes on after 100 s, every fourth pays after 500 s."""
    found = []
    for u in range(40):
        at = BASE + u * HOUR
        props = {"plan": ("a", "b", "c", None)[u % 4]}
        story = [("view", 0)] + [("cart", 100)] * (u % 2) + [("pay", 500)] * (u % 4 == 1)
        found += [Event(f"u{u:02}", at + after * SECOND, 0, name, props) for name, after in story]
    return [e._replace(row=i) for i, e in enumerate(found)]


def test_steps_rates_and_times():
    found = funnel(log_of(shop(), batches=3), define("view", "cart", "pay"))
    assert [s.users for s in found.steps] == [40, 20, 10]
    assert [s.rate_from_entry for s in found.steps] == [1.0, 0.5, 0.25]
    assert [s.rate_from_previous for s in found.steps] == [1.0, 0.5, 0.5]
    assert [s.median_seconds for s in found.steps] == [None, 100, 500]
    assert found.steps[2].median_seconds_from_previous == 400
    # the last event is the cart of the last user, 39 h and 100 s after the first
    assert found.steps[0].mature_users == sum(u * HOUR + DAY <= 39 * HOUR + 100 * SECOND for u in range(40))


def test_json_has_the_promised_keys():
    body = json.loads(funnel(log_of(shop()), define("view", "cart"), by="plan").to_json())
    assert {"steps", "groups", "window", "sql", "warnings"} <= set(body)
    assert {"name", "users", "rate_from_entry", "rate_from_previous", "median_seconds", "mature_users"} <= set(
        body["steps"][0]
    )


def test_groups_add_up_with_the_rest_and_without_value():
    found = funnel(log_of(shop()), define("view", "cart"), by="plan", limit=2)
    assert {g.value: g.steps[0].users for g in found.groups} == {"a": 10, "b": 10, "(other)": 10, "(none)": 10}
    assert sum(g.steps[1].users for g in found.groups) == found.steps[1].users


def test_nobody_is_no_rate():
    events = [Event("u", BASE, 0, "cart", {}), Event("u", BASE + DAY, 1, "view", {})]
    found = funnel(log_of(events), define("view", "cart", "view"), stop="2023-11-15T12:00")
    assert [s.users for s in found.steps] == [0, 0, 0]
    assert found.steps[1].rate_from_previous is None
    assert "nobody" in {c.code for c in found.warnings}


def test_bar_and_list_never_disagree():
    log, definition = log_of(shop(), batches=2), define("view", "cart", "pay")
    found = funnel(log, definition, by="plan")
    for number, step in enumerate(found.steps, start=1):
        assert len(users_at(log, definition, number)) == step.users
    gone = users_at(log, definition, 2, dropped=True)
    assert len(gone) == found.steps[0].users - found.steps[1].users
    for group in found.groups:
        assert len(found.users_at(2, group=group.value)) == group.steps[1].users
    with pytest.raises(UsageError, match="UP644"):
        users_at(log, definition, 4)


def test_targets_are_judged_on_mature_users_with_an_interval():
    found = funnel(log_of(shop()), define("view", {"event": "cart", "target": 0.99}, {"event": "pay", "target": 0.5}))
    standings = [s.target.standing for s in found.steps if s.target]
    assert standings == ["missed", "open"]
    assert found.passed() is False


def test_a_segment_against_everybody_else():
    log = log_of(shop())
    chosen = users_at(log, define("view", "cart"), 2)
    found = funnel(log, define("view", "pay"), segment=("cart users", chosen))
    assert {g.value: (g.steps[0].users, g.steps[1].users) for g in found.groups} == {
        "cart users": (20, 10),
        "(other)": (20, 0),
    }


def test_curve_without_censoring_is_the_share_converted():
    late = [*shop(), Event("z", BASE + 90 * DAY, 10_000, "end", {})]
    found = funnel(log_of(late), define("view", "pay"))
    assert found.curve[-1].rate == pytest.approx(10 / 40)
    assert sum(b.users for b in found.histogram) == 10


SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(short_logs(users=4, most=8, grid=6 * HOUR, base=BASE), st.sampled_from(["hour", "day"]))
def test_trend_is_one_funnel_per_period(events, period):
    names = {e.name for e in events}
    if not {"A", "B"} <= names:
        return
    log = log_of(events)
    found = funnel(log, define("A", "B"), trend=period)
    lo, hi = log.resolve_range()
    edges = log.calendar.edges(period, lo, hi)
    intervals = [(int(a), int(b)) for a, b in pairwise(edges)]
    tests = [lambda e: e.name == "A", lambda e: e.name == "B"]
    truth = oracle.trend(events, intervals, steps=tests, window=DAY)
    expected = [tuple(t.counts(2)) for t in truth if t.units]
    assert [r.users for r in found.trend] == expected


@SETTINGS
@given(short_logs(users=4, most=8), st.sampled_from(["entry", "last", 2]))
def test_groups_carry_a_value_of_the_chosen_chain(events, attribution):
    if not {"A", "B"} <= {e.name for e in events} or not any("p" in e.props for e in events):
        return
    log = log_of(events)
    found = funnel(log, define("A", "B"), by="p", attribution=attribution)
    truth = oracle.funnel(events, steps=[lambda e: e.name == "A", lambda e: e.name == "B"], window=DAY)
    allowed = oracle.breakdown(truth, lambda e: e.props.get("p"), attribution)
    for group in found.groups:
        value = None if group.value == "(none)" else group.value
        for user in log.user_ids(found.users_at(1, group=group.value)):
            assert value in allowed[user]
    assert sum(g.steps[0].users for g in found.groups) == len(truth.units)


@SETTINGS
@given(short_logs(users=4, most=8))
def test_all_attribution_is_one_funnel_per_value(events):
    if not {"A", "B"} <= {e.name for e in events} or not any(e.props.get("p") for e in events):
        return
    found = funnel(log_of(events), define("A", "B"), by="p", attribution="all")
    tests = [lambda e: e.name == "A", lambda e: e.name == "B"]
    for group in found.groups:
        value = None if group.value == "(none)" else group.value
        same = [e for e in events if e.props.get("p") == value]
        assert [s.users for s in group.steps] == oracle.funnel(same, steps=tests, window=DAY).counts(2)
    whole = oracle.funnel(events, steps=tests, window=DAY)
    assert [s.users for s in found.steps] == whole.counts(2)


@SETTINGS
@given(short_logs(users=3, most=6))
def test_twice_the_users_are_twice_the_counts(events):
    if not {"A", "B"} <= {e.name for e in events}:
        return
    twins = [*events, *(e._replace(user=e.user + "x", row=e.row + 1000) for e in events)]
    once, twice = (funnel(log_of(log), define("A", "B")) for log in (events, twins))
    assert [s.users for s in twice.steps] == [2 * s.users for s in once.steps]
    assert len(by_user(twins)) == 2 * len(by_user(events))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"count": "pairs"}, "pairs needs 'hold'"),
        ({"order": "any", "exclude": [{"event": "x", "between": [1, 2]}]}, "any knows no exclusions"),
        ({"exclude": [{"event": "x", "between": [2, 2]}]}, "step a before step b"),
        ({"exclude": [{"event": "x", "between": [1, 3]}]}, "between steps 1 and 2"),
        ({"window": "0d"}, "longer than zero"),
        ({"window": 7}, "needs a unit"),
        ({"profile": "mixpanel", "hold": "p"}, "rules of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        define("a", "b", **keys)


def test_more_than_sixty_three_steps_are_refused():
    with pytest.raises(ValidationError):
        define(*["a"] * 64)
