"""Funnel kernels against the oracle that writes down every chain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.oracles import funnel as oracle
from tests.oracles.event import Event, by_user
from tests.strategies import funnel_queries, short_logs
from upswing.sequences.batch import Sequences, run
from upswing.sequences.funnel import Chains, FunnelRules, chains

VALUES = {None: 0, "a": 11, "b": 12}


def named(names):
    return lambda event: event.name in names


def held(prop):
    return lambda event: event.props.get(prop)


def lay_out(events: list[Event], query) -> Sequences:
    users = by_user(events)
    rows = [e for name in sorted(users) for e in users[name]]
    steps = [named(s) for s in query["steps"]] + [named([x]) for x, _, _ in query["exclusions"]]
    props = sorted(set(query["hold"] or ()))
    return Sequences(
        users=np.arange(1, len(users) + 1, dtype=np.int64),
        offsets=np.cumsum([0, *(len(users[name]) for name in sorted(users))]).astype(np.int64),
        times=np.array([e.time for e in rows], dtype=np.int64),
        marks=np.array([sum(1 << j for j, s in enumerate(steps) if s(e)) for e in rows], dtype=np.uint8),
        columns=tuple(np.array([VALUES[e.props.get(p)] for e in rows], dtype=np.int64) for p in props),
    )


def rules_of(query) -> FunnelRules:
    steps = len(query["steps"])
    props = sorted(set(query["hold"] or ()))
    return FunnelRules(
        steps=steps,
        window=query["window"],
        edges=np.array([query["start"], query["stop"]], dtype=np.int64),
        order=query["order"],
        tie=query["tie"],
        count=query["count"],
        optional=tuple(query["optional"]),
        min_gap=tuple(query["min_gap"].items()),
        max_gap=tuple(query["max_gap"].items()),
        exclusions=tuple((steps + i, a, b) for i, (_, a, b) in enumerate(query["exclusions"])),
        remove=query["exclusion_policy"] == "remove",
        hold=tuple(props.index(p) for p in query["hold"] or ()),
        session_gap=30 * 1_000_000,
    )


def truth_of(events, query):
    return oracle.funnel(
        events,
        **{
            **query,
            "steps": [named(s) for s in query["steps"]],
            "exclusions": [(named([x]), a, b) for x, a, b in query["exclusions"]],
            "hold": [held(p) for p in query["hold"]] if query["hold"] else None,
        },
        idle=30 * 1_000_000,
    )


def found_facts(found: Chains):
    return sorted(
        (int(u), int(d), int(e), int(e + row.max()), tuple(k + 1 for k, t in enumerate(row) if t >= 0))
        for u, d, e, row in zip(found.users, found.depth, found.entry, found.elapsed, strict=True)
    )


def true_facts(events, truth):
    number = {name: i + 1 for i, name in enumerate(sorted(by_user(events)))}
    owner = lambda unit: unit if isinstance(unit, str) else owner(unit[0])  # noqa: E731
    return sorted((number[owner(unit)], *t) for unit, t in truth.units.items())


def supported(query):
    return not (query["count"] == "totals" and query["hold"])


def check(events, query):
    assume(supported(query))
    found = chains(lay_out(events, query), rules_of(query))
    assert found_facts(found) == true_facts(events, truth_of(events, query))


SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(short_logs(), funnel_queries())
def test_agrees_with_every_chain_written_down(events, query):
    assume(query["exclusion_policy"] == "drop")
    check(events, query)


@SETTINGS
@given(short_logs(users=2, most=7, span=5), funnel_queries(span=5))
def test_plain_kernel_on_crowded_instants(events, query):
    query.update(order="ordered", exclusions=[], optional=[], min_gap={}, max_gap={}, exclusion_policy="drop")
    check(events, query)


@SETTINGS
@given(short_logs(users=4, most=5), funnel_queries(), st.integers(1, 4))
def test_any_split_of_the_users_gives_the_same_chains(events, query, parts):
    assume(supported(query))
    batch, rules = lay_out(events, query), rules_of(query)
    whole = chains(batch, rules)
    merged = run(rules, batch.split(parts), Chains.__add__, threads=1)
    assert found_facts(whole) == (found_facts(merged) if merged else [])


@SETTINGS
@given(short_logs(users=3, most=6), funnel_queries(), st.integers(-(10**12), 10**12))
def test_shifting_all_times_changes_no_chain(events, query, by):
    assume(supported(query))
    moved = [e._replace(time=e.time + by) for e in events]
    later = {**query, "start": query["start"] + by, "stop": query["stop"] + by}
    before, after = (chains(lay_out(log, q), rules_of(q)) for log, q in ((events, query), (moved, later)))
    assert after.depth.tolist() == before.depth.tolist()
    assert after.elapsed.tolist() == before.elapsed.tolist()


@pytest.mark.parametrize("order", ["ordered", "strict", "any"])
def test_no_users_at_all(order):
    empty = np.empty(0, np.int64)
    batch = Sequences(empty, np.zeros(1, np.int64), empty, np.empty(0, np.uint8))
    assert len(chains(batch, FunnelRules(steps=2, window=1, edges=np.array([0, 1]), order=order))) == 0


@SETTINGS
@given(short_logs(), funnel_queries())
def test_removal_agrees(events, query):
    assume(query["exclusions"] and query["count"] != "totals" and query["order"] == "ordered")
    check(events, {**query, "exclusion_policy": "remove"})
