import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.logs import embedded_log
from tests.oracles import segments as oracle
from tests.oracles.event import DAY, HOUR, SECOND, Event
from tests.strategies import short_logs
from upswing.core.errors import UsageError
from upswing.events.segments import SegmentResolver
from upswing.spec.segment import SegmentDefinition

BASE = 1_767_225_600 * SECOND  # 2026-01-01 UTC


def definition(name="s", **body):
    return SegmentDefinition.model_validate({"name": name, **body})


def ids(log, segment, *, named=None, as_of=None, root=Path()):
    resolver = SegmentResolver(log, (named or {}).__getitem__, root)
    return set(log.user_ids(resolver.users(segment, as_of=as_of)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    rows = [
        ("ann", 0, "pay", {"amount": 10.0, "city": "SH"}),
        ("ann", 1 * DAY, "pay", {"amount": 20.0, "city": "BJ"}),
        ("bob", 2 * DAY, "open", {"city": "SH"}),
        ("bob", 2 * DAY + HOUR, "open", {}),
        ("cat", 3 * DAY, "pay", {"amount": 90.0, "city": "SH"}),
        ("dan", 9 * DAY, "open", {}),
    ]
    events = [Event(u, BASE + t, i, n, p) for i, (u, t, n, p) in enumerate(rows)]
    return embedded_log(tmp_path_factory.mktemp("shop"), events)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"all": [{"did": "pay"}]}, {"ann", "cat"}),
        ({"all": [{"did": "pay", "at_least": 2}]}, {"ann"}),
        ({"all": [{"did": "pay", "at_most": 0}]}, {"bob", "dan"}),
        ({"all": [{"did": "pay", "within": "7d"}]}, {"cat"}),
        ({"all": [{"did": "pay", "where": [{"prop": "amount", "op": "gt", "value": 15}]}]}, {"ann", "cat"}),
        ({"all": [{"prop": "city", "value": "SH"}]}, {"bob", "cat"}),  # ann moved to BJ: the last known value counts
        ({"all": [{"expr": "amount >= 20"}]}, {"ann", "cat"}),
        ({"any": [{"did": "open"}, {"prop": "city", "value": "BJ"}]}, {"ann", "bob", "dan"}),
        ({"exclude": [{"did": "pay"}]}, {"bob", "dan"}),
        ({"all": [{"did": ["pay", "open"]}], "exclude": [{"users": ["dan"]}]}, {"ann", "bob", "cat"}),
        ({"all": [{"active_days": "*", "within": "30d", "at_least": 2}]}, {"ann"}),
        ({"all": [{"active_days": "*", "within": "30d", "at_most": 1}]}, {"bob", "cat", "dan"}),
        ({"all": [{"users": ["ann", "nobody"]}]}, {"ann"}),
        ({"all": [{"rfm": "pay", "amount": "amount", "monetary": [3]}]}, {"cat"}),
        (
            {"all": [{"any": [{"users": ["bob"]}, {"all": [{"did": "pay"}, {"prop": "city", "value": "SH"}]}]}]},
            {"bob", "cat"},
        ),
    ],
)
def test_by_hand(shop, body, expected):
    assert ids(shop, definition(**body)) == expected


def test_only_the_past_of_the_reference_time_counts(shop):
    assert ids(shop, definition(all=[{"did": "pay"}]), as_of=BASE + DAY) == {"ann"}
    assert ids(shop, definition(all=[{"prop": "city", "value": "SH"}]), as_of=BASE + DAY) == {"ann"}
    assert ids(shop, definition(exclude=[{"did": "pay"}]), as_of=BASE + 3 * DAY) == {"bob"}


def test_segments_of_segments_and_circles(shop):
    named = {"payers": definition("payers", all=[{"did": "pay"}])}
    assert ids(shop, definition(exclude=[{"segment": "payers"}]), named=named) == {"bob", "dan"}
    circle = {
        "a": definition("a", all=[{"segment": "b"}]),
        "b": definition("b", all=[{"segment": "a"}]),
    }
    with pytest.raises(UsageError, match="UP203.*a → b → a"):
        ids(shop, circle["a"], named=circle)


def test_a_file_outside_the_workspace_is_refused(shop, tmp_path):
    (tmp_path / "ws").mkdir()
    (tmp_path / "secret.txt").write_text("ann\n")
    with pytest.raises(Exception, match="UP320"):
        ids(shop, definition(all=[{"users_file": "../secret.txt"}]), root=tmp_path / "ws")
    (tmp_path / "ws" / "list.txt").write_text("ann\n\nbob\n")
    assert ids(shop, definition(all=[{"users_file": "list.txt"}]), root=tmp_path / "ws") == {"ann", "bob"}


def test_an_unknown_event_is_named_with_the_nearest(shop):
    with pytest.raises(UsageError, match="UP302.*\n.*'pay'"):
        ids(shop, definition(all=[{"did": "payy"}]))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(short_logs(users=5), st.integers(0, 4), st.one_of(st.none(), st.integers(0, 4)), st.sampled_from("ABX"))
def test_did_agrees_with_the_oracle(events, low, high, name):
    if not any(e.name == name for e in events) or (low == 0 and high is None):
        return
    with tempfile.TemporaryDirectory() as folder:
        log = embedded_log(Path(folder), events)
        found = ids(log, definition(all=[{"did": name, "at_least": low, "at_most": high}]))
        log.engine.close()
    assert found == oracle.did(events, lambda e: e.name == name, at_least=low, at_most=high)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(short_logs(users=8, most=6), st.sampled_from(["recency", "frequency", "monetary"]), st.integers(1, 5))
def test_rfm_agrees_with_the_oracle(events, score, wanted):
    events = [e._replace(props={"n": e.props.get("n")}) for e in events]
    if not any(e.name == "A" for e in events) or not any(isinstance(e.props["n"], int | float) for e in events):
        return
    with tempfile.TemporaryDirectory() as folder:
        log = embedded_log(Path(folder), events)
        found = ids(log, definition(all=[{"rfm": "A", "amount": "n", score: [wanted]}]))
        log.engine.close()
    now = max(e.time for e in events) + 1
    values = oracle.rfm(events, purchase=lambda e: e.name == "A", amount=lambda e: e.props["n"] or 0, now=now)
    index = ["recency", "frequency", "monetary"].index(score)
    scores = oracle.quintile({u: v[index] for u, v in values.items()}, high_is_good=score != "recency")
    assert found == {u for u, s in scores.items() if s == wanted}
