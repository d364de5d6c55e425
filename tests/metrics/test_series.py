import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs import embedded_log
from tests.oracles.event import DAY, HOUR, SECOND, Event, by_user
from tests.strategies import ZONES, long_logs
from upswing.core.calendar import Calendar
from upswing.core.errors import UsageError
from upswing.metrics.series import metric_series, user_values
from upswing.spec.metric import MetricDefinition

BASE = 1_767_225_600 * SECOND


def metric(name="m", **body):
    return MetricDefinition.model_validate({"name": name, **body})


METRICS = [
    metric("times", type="simple", numerator={"event": "A"}),
    metric("people", type="simple", numerator={"event": "A", "agg": "users"}),
    metric("sum", type="simple", numerator={"event": "A", "agg": "sum", "of": "n"}),
    metric("mean", type="simple", numerator={"event": "A", "agg": "mean", "of": "n"}),
    metric("each", type="ratio", numerator={"event": "A"}, denominator={"event": "*", "agg": "users"}),
    metric("share", type="proportion", numerator={"event": "A"}),
    metric("only_p", type="simple", numerator={"event": "A"}, where=[{"prop": "p", "value": "a"}]),
    metric("median", type="quantile", numerator={"event": "A", "agg": "sum", "of": "n"}, quantile=0.5),
]


def expected(events, name):
    """The metric over one period's events, the slow and obvious way."""
    a = [e for e in events if e.name == "A"]
    n = [float(e.props["n"]) for e in a if isinstance(e.props.get("n"), int | float)]
    active = len({e.user for e in events})
    return {
        "times": len(a),
        "people": len({e.user for e in a}),
        "sum": sum(n),
        "mean": np.mean(n) if n else None,
        "each": len(a) / active if active else None,
        "share": len({e.user for e in a}) / active if active else None,
        "only_p": sum(e.props.get("p") == "a" for e in a),
        "median": np.quantile(n, 0.5) if n else None,
    }[name]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(long_logs(), st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]))
def test_every_period_agrees_with_counting_by_hand(drawn, zone, period):
    events = [e._replace(props={"p": None, "n": None, **e.props}) for e in drawn[0]]
    if not any(e.name == "A" for e in events) or not any(isinstance(e.props["n"], int | float) for e in events):
        return
    if not any(e.props["p"] for e in events):
        return
    with tempfile.TemporaryDirectory() as folder:
        log = embedded_log(Path(folder), events, zone=zone)
        result = metric_series(log, METRICS, period=period)
        log.engine.close()
    calendar = Calendar(zone)
    inside = {}
    for event in events:
        inside.setdefault(calendar.label(calendar.floor(event.time, period), period), []).append(event)
    for point in result.points:
        assert point.value == pytest.approx(expected(inside.get(point.period, []), point.metric)), point


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(long_logs(days=12), st.sampled_from([("A", "B"), ("A", "A")]), st.sampled_from([0, 1, 3]), st.integers(1, 4))
def test_conversion_and_retention_agree_with_following_by_hand(drawn, pair, after, within):
    events = drawn[0]
    names = {e.name for e in events}
    if not set(pair) <= names:
        return
    kind = {"type": "retention", "after": f"{after}d"} if after else {"type": "conversion"}
    definition = metric(start={"event": pair[0]}, target={"event": pair[1]}, within=f"{within}d", **kind)
    with tempfile.TemporaryDirectory() as folder:
        log = embedded_log(Path(folder), events)
        points = metric_series(log, [definition], period="day").points
        log.engine.close()
    calendar, horizon = Calendar("UTC"), max(e.time for e in events)
    until = (after + within) * DAY + (0 if after else 1)
    counts: dict[str, list[int]] = {}
    for rows in by_user(events).values():
        seen = set()
        for start in (e for e in rows if e.name == pair[0]):
            day = calendar.label(calendar.floor(start.time, "day"), "day")
            if day in seen:
                continue
            seen.add(day)
            if start.time + until > horizon:
                continue
            low = start.time + after * DAY
            hit = any(e.name == pair[1] and e is not start and low <= e.time < start.time + until for e in rows)
            row = counts.setdefault(day, [0, 0])
            row[0] += hit
            row[1] += 1
    for point in points:
        top, bottom = counts.get(point.period, [0, 0])
        assert (point.numerator, point.denominator) == (top, bottom)
        assert point.value == (top / bottom if bottom else None)


def test_users_values_add_up_to_the_period(tmp_path):
    rng = np.random.default_rng(5)
    events = [
        Event(
            f"u{rng.integers(30)}",
            BASE + int(rng.integers(20 * DAY)),
            i,
            "AB"[int(rng.integers(2))],
            {"n": float(i % 7)},
        )
        for i in range(500)
    ]
    log = embedded_log(tmp_path, events)
    chosen = [m for m in METRICS if m.name in ("times", "sum", "each")]
    values = user_values(log, chosen, start=BASE, stop=BASE + 10 * DAY)
    early = [e for e in events if e.time < BASE + 10 * DAY and e.name == "A"]
    assert values["times"].numerator.sum() == len(early)
    assert values["sum"].numerator.sum() == pytest.approx(sum(e.props["n"] for e in early))
    assert values["each"].denominator is not None
    assert values["each"].denominator.sum() == len({e.user for e in events if e.time < BASE + 10 * DAY})
    some = np.array([0, 3, 10_000], dtype=np.int64)
    aligned = user_values(log, chosen, start=BASE, stop=BASE + 10 * DAY, users=some)["times"]
    assert aligned.users.tolist() == some.tolist()
    assert aligned.numerator[2] == 0


def test_breakdown_has_other_and_none_and_adds_up(tmp_path):
    kinds = ["x", "x", "x", "y", "y", "z", None]
    events = [Event("u", BASE + i * HOUR, i, "A", {"kind": k}) for i, k in enumerate(kinds)]
    log = embedded_log(tmp_path, events)
    points = metric_series(log, [METRICS[0]], period="day", by="kind", limit=2).points
    assert {p.group: p.value for p in points} == {"x": 3, "y": 2, "(other)": 1, "(none)": 1}


def test_what_is_not_there_is_named(tmp_path):
    log = embedded_log(tmp_path, [Event("u", BASE, 0, "pay", {"amount": 1.0})])
    with pytest.raises(UsageError, match="UP302"):
        metric_series(log, [metric(type="simple", numerator={"event": "pai"})])
    with pytest.raises(UsageError, match="UP301"):
        metric_series(log, [metric(type="simple", numerator={"event": "pay", "agg": "sum", "of": "amuont"})])
    with pytest.raises(UsageError, match="UP605"):
        metric_series(log, [])
