"""The published vectors of retention, lifecycle, stickiness and paths, through a real embedded log."""

from collections import Counter

import pytest

from tests.conformance.test_oracles_agree import label
from tests.conformance.vectors import events, instant, load
from tests.oracles.event import Event
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.diagnose.lifecycle import lifecycle
from upswing.diagnose.paths import paths, transitions
from upswing.diagnose.retention import retention
from upswing.diagnose.stickiness import stickiness
from upswing.spec.paths import PathsDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.steps import EventMatch


def every(kind):
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in load(kind)])


def match(test):
    names = test["event"] if isinstance(test["event"], list) else [test["event"]]
    where = [
        {"prop": k, "op": "is_not_set"} if v is None else {"prop": k, "value": v}
        for k, v in test.get("where", {}).items()
    ]
    return EventMatch(any_of=names, where=where)


def open_log(log_on, vector):
    """The vector's log; names asked for that never occur get one event of another user, before everything else."""
    query, rows = vector["query"], events(vector)
    asked = [n for key in ("start", "return", "active") if key in query for n in match(query[key]).events]
    first = min((e.time for e in rows), default=0)
    missing = sorted(set(asked) - {e.name for e in rows})
    rows += [Event("(nobody)", first - 10**15, len(rows) + i, name, {}) for i, name in enumerate(missing)]
    if "horizon" in query:
        rows.append(Event("(nobody)", instant(query["horizon"]), len(rows), "(end)", {}))
    zone, week_start = query.get("zone", "UTC"), query.get("week_start", "monday")
    return log_on(rows, zone=zone, week_start=week_start)


def moment(query, key, calendar):
    return calendar.local(instant(query[key])) if key in query else None


@every("retention")
def test_retention(vector, log_on):
    query, expected = vector["query"], vector["expected"]
    log = open_log(log_on, vector)
    at = query.get("at", "on")
    definition = RetentionDefinition(
        name="vector",
        start=match(query["start"]),
        returning=match(query["return"]),
        period=query["period"],
        periods=query.get("periods", 1),
        entry=query.get("entry", "recurring"),
        clock="rolling" if query.get("rolling") else "calendar",
        at=at if isinstance(at, str) else "brackets",
        brackets=[] if isinstance(at, str) else at,
        min_count=query.get("min_count", 1),
    )
    begin = moment(query, "from", log.calendar)
    if begin is None:
        begin = log.calendar.local(min(e.time for e in events(vector)))
    found = retention(log, definition, start=begin, stop=moment(query, "to", log.calendar))
    edges = log.calendar.edges(query["period"], *log.resolve_range(begin, moment(query, "to", log.calendar)))
    names = [label(int(e), query.get("zone", "UTC"), query["period"]) for e in edges[:-1]]
    cohorts = {name: c for name, c in zip(names, found.cohorts, strict=True) if c.size}
    assert sorted(cohorts) == sorted(expected["rows"])
    for name, row in expected["rows"].items():
        assert [n or 0 for n in cohorts[name].retained[: len(row)]] == row
    for name, row in expected.get("complete", {}).items():
        assert list(cohorts[name].complete) == row
    if "pooled" in expected:
        assert [p.rate for p in found.pooled] == pytest.approx(expected["pooled"])


@every("lifecycle")
def test_lifecycle(vector, log_on):
    query = vector["query"]
    log = open_log(log_on, vector)
    begin, end = (log.calendar.local(instant(query[key])) for key in ("from", "to"))
    found = lifecycle(log, match(query["active"]), period=query["period"], start=begin, stop=end)
    starts = log.calendar.edges(query["period"], instant(query["from"]), instant(query["to"]))
    zone = query.get("zone", "UTC")
    rows = {
        label(int(start), zone, query["period"]): {
            "new": p.new, "returning": p.returning, "resurrecting": p.resurrecting, "dormant": p.dormant
        }
        for start, p in zip(starts, found.periods, strict=False)
    }  # fmt: skip
    assert rows == vector["expected"]["periods"]


@every("stickiness")
def test_stickiness(vector, log_on):
    query, expected = vector["query"], vector["expected"]
    log = open_log(log_on, vector)
    active = match(query["active"])
    if "day" in query:
        day = next(a for a in stickiness(log, active, stop="2020-01-25").series if a.day == query["day"])
        assert day.dau == expected["dau"]
        assert day.wau == expected["wau"]
        assert day.mau in (expected["mau"], None)  # the log is younger than 30 days
        return
    if "period" in query:
        found = stickiness(log, active, period=query["period"], unit=query["unit"])
        rows = {p.start: counted(p) for p in found.periods if p.total}
        assert rows == expected["periods"]
        return
    begin, end = (log.calendar.local(instant(query[key])) for key in ("from", "to"))
    found = stickiness(log, active, period="range", unit=query["unit"], start=begin, stop=end)
    assert counted(found.periods[0]) == expected["users_by_units"]


def counted(period):
    return {str(n): users for n, users in enumerate(period.users, start=1) if users}


@every("paths")
def test_paths(vector, log_on):
    query, expected = dict(vector["query"]), vector["expected"]
    log = log_on(events(vector))
    asked = {"name": "vector", "session_gap": query.pop("idle", "none"), "collapse": query.pop("collapse", False)}
    if query.pop("directly_follows", False):
        found = transitions(log, PathsDefinition(**asked))
        rows = {(t.source, t.target): t.count for t in found.transitions}
        assert rows == {(a, b): n for a, b, n in expected["edges"]}
        return
    for key in ("after", "before"):
        if key in query:
            asked[key] = EventMatch(event=query.pop(key))
    answer = paths(log, PathsDefinition(**asked, **{"top": 200, **query}))
    if "edges" in expected:
        edges = {(e.position, e.source, e.target): (e.count, e.mean_seconds) for e in answer.edges}
        assert edges == {(p, a, b): (n, seconds) for p, a, b, n, seconds in expected["edges"]}
    nodes = {(n.position, n.name): n.count for n in answer.nodes}
    for position, name, count in expected.get("nodes", []):
        assert nodes[position, name] == count
    if "ends" in expected:
        ends = Counter()
        for e in answer.edges:
            if e.target == "(end)":
                ends[e.source] += e.count
        assert dict(ends) == expected["ends"]


def test_an_empty_log_says_so(log_on):
    log = log_on([])
    with pytest.raises(DataError, match="no events"):
        lifecycle(log, EventMatch(event="*"))
    assert log.calendar == Calendar("UTC")
