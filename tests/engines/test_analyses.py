"""Every analysis on random logs: ClickHouse in process gives the very answer of the embedded log."""

import math

import pytest
from hypothesis import HealthCheck, given, settings

from tests.conformance.conftest import table
from tests.logs import embedded_log
from tests.strategies import long_logs
from upswing.core.calendar import Calendar
from upswing.diagnose.distribution import distribution
from upswing.diagnose.funnel import funnel
from upswing.diagnose.intervals import interval
from upswing.diagnose.lifecycle import lifecycle
from upswing.diagnose.paths import paths
from upswing.diagnose.retention import retention
from upswing.diagnose.stickiness import stickiness
from upswing.engines.clickhouse import ClickHouseEngine
from upswing.events.log import EventLog
from upswing.events.segments import SegmentResolver
from upswing.metrics.series import metric_series
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.metric import MetricDefinition
from upswing.spec.paths import PathsDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.segment import SegmentDefinition
from upswing.spec.steps import EventMatch, parse_match

A, B, ANY = EventMatch(event="A"), EventMatch(event="B"), EventMatch(event="*")
STEPS = [{"event": "A"}, {"event": "B", "where": [{"expr": "q is null or q <> 'b'"}]}]
METRICS = [
    {"name": "count", "type": "simple", "numerator": {"event": "A"}},
    {"name": "users", "type": "simple", "numerator": {"event": "*", "agg": "users"}},
    {"name": "share", "type": "proportion", "numerator": {"event": "A"}},
    {"name": "conversion", "type": "conversion", "start": {"event": "A"}, "target": {"event": "B"}, "within": "3d"},
]
SEGMENTS = [
    [{"prop": "p", "value": "a"}], [{"did": "A", "at_least": 2}], [{"did": "B", "at_most": 0, "within": "7d"}],
    [{"active_days": "*", "at_least": 2}], [{"rfm": "A", "recency": [4, 5]}], [{"expr": "p = 'a' or q is null"}],
]  # fmt: skip


def plain_users(log):
    resolver = SegmentResolver(log, lambda name: None, None)
    return [sorted(log.user_ids(resolver.users(SegmentDefinition(name="s", all=condition)))) for condition in SEGMENTS]


ASKED = {
    "funnel": lambda log: funnel(log, FunnelDefinition(name="f", steps=STEPS, window="5d"), by="p"),
    "strict funnel": lambda log: funnel(log, FunnelDefinition(name="f", steps=STEPS, window="5d", order="strict")),
    "held funnel": lambda log: funnel(log, FunnelDefinition(name="f", steps=STEPS, window="9d", hold="p")),
    "retention": lambda log: retention(
        log, RetentionDefinition.model_validate({"name": "r", "start": A, "return": ANY, "periods": 3}), by="p"
    ),
    "lifecycle": lambda log: lifecycle(log, A, period="week", by="p"),
    "stickiness": lambda log: stickiness(log, ANY, by="p"),
    "paths": lambda log: paths(log, PathsDefinition(name="p", session_gap="2d", after=A)),
    "interval": lambda log: interval(log, A, B),
    "distribution": lambda log: distribution(log, parse_match("A[p is not null]"), by="p"),
    "metrics": lambda log: metric_series(log, [MetricDefinition.model_validate(m) for m in METRICS], by="p"),
}


@pytest.fixture(scope="module")
def clickhouse():
    pytest.importorskip("chdb", reason="the ClickHouse engine in process is not installed")
    engine = ClickHouseEngine.open("chdb://")
    yield engine
    engine.close()


def rounded(value):
    """Numbers that were added up in another order differ in the last digits."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.10g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else value


def answer(ask, log):
    body = ask(log).to_dict()
    for key in ("sql", "engine", "timings", "sample"):  # engines differ in how many events they leave out
        body.pop(key)
    return rounded(body)


@pytest.mark.parametrize("name", [*ASKED, "segments"])
def test_one_answer(clickhouse, tmp_path_factory, name):
    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        long_logs(users=4, most=7, days=25).filter(
            lambda logged: (
                {"A", "B"} <= {e.name for e in logged[0]}
                and any(e.props.get("p") for e in logged[0])
                and any(e.props.get("q") for e in logged[0])
            )
        ),
    )
    def check(logged):
        events, zone = logged
        embedded = embedded_log(tmp_path_factory.mktemp("log"), events, zone=zone)
        clickhouse.load(table(events))
        served = EventLog(clickhouse, Calendar(zone))
        if name == "segments":
            assert plain_users(served) == plain_users(embedded)
        else:
            assert answer(ASKED[name], served) == answer(ASKED[name], embedded)
        embedded.engine.close()

    check()
