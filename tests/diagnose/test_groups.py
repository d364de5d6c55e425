"""Breakdowns by user: groups by a plain loop, each group's numbers those of its users alone, and groups that add up."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnose.memory import log_of
from tests.diagnose.test_activity import event, shown
from tests.strategies import long_logs
from upswing.core.errors import UsageError
from upswing.diagnose.distribution import distribution
from upswing.diagnose.intervals import interval
from upswing.diagnose.lifecycle import lifecycle
from upswing.diagnose.paths import paths
from upswing.diagnose.retention import retention
from upswing.diagnose.stickiness import stickiness
from upswing.engines.base import Query
from upswing.spec.paths import PathsDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.steps import EventMatch
from upswing.sql.template import q

A = EventMatch(event="A")
ANY = EventMatch(event="*")
ASKED = {
    "lifecycle": (lambda log, **k: lifecycle(log, A, period="week", **k), "A"),
    "stickiness": (lambda log, **k: stickiness(log, A, **k), "A"),
    "interval": (lambda log, **k: interval(log, A, EventMatch(event="B"), **k), "A"),
    "distribution": (lambda log, **k: distribution(log, A, bands=[1, 2, 3], **k), "A"),
    "paths": (lambda log, **k: paths(log, PathsDefinition(name="x", session_gap="none", top=50), **k), "*"),
}
NUMBERS = {
    "lifecycle": lambda r: (r.before, r.periods),
    "stickiness": lambda r: ([(p.start, p.total, tuple(np.trim_zeros(p.users, "b"))) for p in r.periods], r.series),
    "interval": lambda r: (r.count, r.users, r.open_ends, r.mean, r.quantiles, r.user_medians),
    "distribution": lambda r: (r.users, r.total, r.mean, r.quantiles, r.bands),
    "paths": lambda r: (r.paths, sorted(r.nodes, key=str), sorted(r.edges, key=str)),
}


def groups_of(events, wanted, limit):
    """user → group, by a plain loop."""
    first, users_with = {}, {}
    for e in sorted(events, key=lambda e: (e.time, e.row)):
        if wanted in ("*", e.name):
            first.setdefault(e.user, e.props.get("p"))
            if e.props.get("p") is not None:
                users_with.setdefault(e.props["p"], set()).add(e.user)
    counts = Counter({value: len(users) for value, users in users_with.items()})
    named = [v for v, _ in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))][:limit]
    return {u: v if v in named else "(none)" if v is None else "(other)" for u, v in first.items()}


def keys_of(log, users):
    known = dict(log.engine.rows(Query(q("SELECT DISTINCT user_id, user_key FROM events"))))
    return np.array(sorted(known[u] for u in users), dtype=np.int64)


@settings(max_examples=40, deadline=None)
@given(
    long_logs(users=5, most=8, days=25).filter(lambda p: any(e.name == "A" and e.props.get("p") for e in p[0])),
    st.sampled_from(sorted(ASKED)),
    st.sampled_from([1, 10]),
)
def test_each_group_is_its_users_alone(logged, name, limit):
    events, zone = logged
    log = log_of(events, zone=zone, batches=2)
    ask, wanted = ASKED[name]
    whole, split = ask(log), ask(log, by="p", limit=limit)
    numbers = NUMBERS[name]
    assert numbers(split) == numbers(whole)
    truth = groups_of(events, wanted, limit)
    for group in split.groups:
        members = keys_of(log, [u for u, g in truth.items() if g == group.value])
        assert len(members), group.value
        assert numbers(group) == numbers(ask(log, users=members)), group.value
    if name == "distribution":
        assert {g.value for g in split.groups} == set(truth.values())
        assert sum(g.users for g in split.groups) == split.users


@pytest.mark.parametrize("name", sorted(ASKED))
def test_a_segment_against_everybody_else(name):
    events = [event(u, d, name=n) for u, d, n in (("u1", 0, "A"), ("u1", 1, "B"), ("u2", 0.5, "A"), ("u2", 3, "A"),
                                                  ("u3", 1, "A"), ("u3", 1.1, "B"), ("u4", 2, "B"))]  # fmt: skip
    log = log_of(events)
    ask, _ = ASKED[name]
    inside = keys_of(log, ["u1", "u3"])
    found = ask(log, segment=("vip", inside))
    assert [g.value for g in found.groups] == ["vip", "(other)"]
    outside = keys_of(log, ["u2", "u4"])
    for group, members in zip(found.groups, (inside, outside), strict=True):
        assert NUMBERS[name](group) == NUMBERS[name](ask(log, users=members))
    assert found.by == "vip"
    assert '"groups"' in shown(found)


@settings(max_examples=25, deadline=None)
@given(
    long_logs(users=5, most=8, days=25).filter(lambda p: any(e.name == "A" for e in p[0])),
    st.sampled_from(["recurring", "first-time", "first-ever"]),
    st.sampled_from(["calendar", "rolling"]),
)
def test_retention_of_a_segment(logged, entry, clock):
    events, zone = logged
    log = log_of(events, zone=zone, batches=2)
    definition = RetentionDefinition.model_validate(
        {"name": "x", "start": A, "return": ANY, "period": "week", "periods": 2, "entry": entry, "clock": clock}
    )
    everyone = sorted({e.user for e in events})
    inside, outside = keys_of(log, everyone[::2]), keys_of(log, everyone[1::2])
    found = retention(log, definition, segment=("vip", inside))
    assert found.cohorts == retention(log, definition).cohorts
    for group in found.groups:
        members = inside if group.value == "vip" else outside
        assert group.cohorts == retention(log, definition, users=members).cohorts
        for i, cohort in enumerate(group.cohorts):
            assert set(found.users_in(cohort.start, 0, group=group.value)) <= set(members.tolist())
            kept = cohort.retained[1]
            assert kept is None or len(found.users_in(group.cohorts[i].start, 1, group=group.value)) == kept


@settings(max_examples=25, deadline=None)
@given(long_logs(users=4, most=8, days=10).filter(lambda p: bool(p[0])))
def test_users_behind_every_step_of_a_path(logged):
    events, zone = logged
    log = log_of(events, zone=zone, batches=2)
    definition = PathsDefinition(name="x", session_gap="none", top=2, depth=4)
    found = paths(log, definition, by="p") if any(e.props.get("p") for e in events) else paths(log, definition)
    for node in found.nodes:  # whole histories: one path per user
        assert len(found.users_at(node.position, node.name)) == node.count
    for edge in found.edges:
        assert len(found.users_at(edge.position, edge.source, then=edge.target)) == edge.count
    for group in found.groups:
        for node in group.nodes:
            assert len(found.users_at(node.position, node.name, group=group.value)) == node.count


def test_users_behind_a_group():
    log = log_of([event("u1", 0, name="A", p="x"), event("u2", 0, name="A", p="y"), event("u2", 8, name="A", p="x")])
    cycle = lifecycle(log, A, by="p")
    assert [g.value for g in cycle.groups] == ["x", "y"]
    first = cycle.periods[0].start
    assert cycle.users_in(first, "new", group="y").tolist() == keys_of(log, ["u2"]).tolist()
    assert len(cycle.users_in(first, "new")) == 2
    with pytest.raises(UsageError, match="UP644"):
        cycle.users_in(first, "new", group="z")
    days = distribution(log, A, by="p")
    assert days.users_in(at_least=2, group="y").tolist() == keys_of(log, ["u2"]).tolist()
    assert not len(days.users_in(at_least=2, group="x"))
    gaps = interval(log, A, A, by="p")
    assert gaps.users_in(group="y").tolist() == keys_of(log, ["u2"]).tolist()
    sticky = stickiness(log, A, by="p")
    assert sticky.users_in(sticky.periods[0].start, 1, group="x").tolist() == keys_of(log, ["u1"]).tolist()
