"""The oracles reproduce every published vector: what judges the engines is itself judged by others' facts."""

from collections import Counter
from datetime import date
from typing import Any

import pytest

from tests.conformance.vectors import duration, events, instant, load, test_of
from tests.oracles.calendar import local, period_start
from tests.oracles.event import SECOND
from tests.oracles.funnel import FunnelTruth, funnel
from tests.oracles.lifecycle import lifecycle
from tests.oracles.paths import END, directly_follows, paths
from tests.oracles.profiles import profiled
from tests.oracles.retention import RetentionTruth, retention
from tests.oracles.stickiness import active_ratio, stickiness, stickiness_over


def every(kind: str) -> Any:
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in load(kind)])


@every("funnel")
def test_funnel(vector):
    query, expected = vector["query"], vector["expected"]
    truth = funnel_of(vector)
    if "depth" in expected:
        assert {unit: t.depth for unit, t in truth.units.items()} == expected["depth"]
    if "counts" in expected:
        assert truth.counts(len(query["steps"]), query.get("optional", ())) == expected["counts"]
    for step, seconds in expected.get("times_to_convert", {}).items():
        if truth.chosen:
            assert truth.times_to_convert(int(step)) == [s * SECOND for s in seconds]
        else:  # profiles tell the entry and the completion only
            ends = [t.completion_time - t.entry_time for t in truth.units.values() if t.depth == int(step)]
            assert set(ends) <= {s * SECOND for s in seconds}


def funnel_of(vector: dict[str, Any]) -> FunnelTruth:
    query = dict(vector["query"])
    shared: dict[str, Any] = {
        "steps": [test_of(s) for s in query.pop("steps")],
        "window": duration(query.pop("window")),
        "exclusions": [(test_of(x), *x["between"]) for x in query.pop("exclusions", [])],
    }
    for key, name in (("from", "start"), ("to", "stop")):
        if key in query:
            shared[name] = instant(query.pop(key))
    zone = query.pop("zone", "UTC")
    if "profile" in query:
        return profiled(query.pop("profile"), events(vector), zone=zone, **shared, **query)
    for key in ("min_gap", "max_gap"):
        query[key] = {int(step): duration(gap) for step, gap in query.get(key, {}).items()}
    if "hold" in query:
        held = query["hold"] * (len(shared["steps"]) if len(query["hold"]) == 1 else 1)
        query["hold"] = [lambda e, p=p: e.props.get(p) for p in held]
    return funnel(events(vector), **shared, **query)


@every("retention")
def test_retention(vector):
    expected = vector["expected"]
    query = vector["query"]
    truth = retention_of(vector)
    labels = {label(c, query.get("zone", "UTC"), query["period"]): c for c in truth.sizes}
    assert sorted(labels) == sorted(expected["rows"])
    for name, row in expected["rows"].items():
        cells = list(truth.cells[labels[name]].values())
        assert [c.retained for c in cells[: len(row)]] == row
    for name, row in expected.get("complete", {}).items():
        assert [c.complete for c in truth.cells[labels[name]].values()] == row
    if "pooled" in expected:
        assert list(truth.pooled.values()) == pytest.approx(expected["pooled"])


def retention_of(vector: dict[str, Any]) -> RetentionTruth:
    query = dict(vector["query"])
    start = query.pop("start")
    for key, name in (("from", "range_start"), ("to", "range_stop"), ("horizon", "horizon")):
        if key in query:
            query[name] = instant(query.pop(key))
    query.setdefault("periods", 0)
    return retention(
        events(vector),
        start=test_of(start),
        start_type=test_of({"event": start["event"]}),
        returns=test_of(query.pop("return")),
        **query,
    )


def label(start: int, zone: str, period: str) -> str:
    return local(start, zone).strftime("%Y-%m-%dT%H:%M" if period == "hour" else "%Y-%m-%d")


@every("lifecycle")
def test_lifecycle(vector):
    query = vector["query"]
    zone, week_start = query.get("zone", "UTC"), query.get("week_start", "monday")
    rows = lifecycle(
        events(vector),
        active=test_of(query["active"]),
        period=query["period"],
        start=instant(query["from"]),
        stop=instant(query["to"]),
        zone=zone,
        week_start=week_start,
    )
    assert {label(t, zone, query["period"]): row._asdict() for t, row in rows.items()} == vector["expected"]["periods"]


@every("stickiness")
def test_stickiness(vector):
    query, expected = dict(vector["query"]), vector["expected"]
    log, active = events(vector), test_of(query.pop("active"))
    if "day" in query:
        day = date.fromisoformat(query["day"])
        daily, weekly = active_ratio(log, active=active, day=day, trailing=7)
        assert {
            "dau": daily,
            "wau": weekly,
            "mau": active_ratio(log, active=active, day=day, trailing=30)[1],
        } == expected
    elif "period" in query:
        found = stickiness(log, active=active, **query)
        named = {label(t, "UTC", "day"): {str(k): n for k, n in row.items()} for t, row in found.items()}
        assert named == expected["periods"]
    else:
        span = {"start": instant(query.pop("from")), "stop": instant(query.pop("to"))}
        found_over = stickiness_over(log, active=active, **span, **query)
        assert {str(k): n for k, n in found_over.items()} == expected["users_by_units"]


@every("paths")
def test_paths(vector):
    query, expected = dict(vector["query"]), vector["expected"]
    if query.pop("directly_follows", False):
        found = directly_follows(events(vector))
        assert found == {(a, b): n for a, b, n in expected["edges"]}
        return
    if "idle" in query:
        query["idle"] = duration(query["idle"])
    truth = paths(events(vector), **query)
    if "edges" in expected:
        wanted = {(p, a, b): (n, s if s is None else s * SECOND) for p, a, b, n, s in expected["edges"]}
        assert truth.edges == wanted
    for position, name, count in expected.get("nodes", []):
        assert truth.nodes[position, name] == count
    if "ends" in expected:
        ends: Counter[str] = Counter()
        for (_, source, target), (count, _) in truth.edges.items():
            if target == END:
                ends[source] += count
        assert dict(ends) == expected["ends"]


def test_a_vector_says_where_it_comes_from():
    for kind in ("funnel", "retention", "lifecycle", "stickiness", "paths"):
        names = [v["name"] for v in load(kind)]
        assert len(names) == len(set(names))
        assert all(v["source"] and v["kind"] == kind for v in load(kind))


def test_a_period_contains_its_own_start():
    assert period_start(instant("2024-03-10T12:00:00Z"), "day", "America/New_York") == instant("2024-03-10T05:00:00Z")
