"""Paths and transitions as answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.diagnose.memory import log_of
from tests.diagnose.test_activity import shown
from tests.oracles.event import MINUTE, SECOND, Event
from tests.oracles.paths import directly_follows
from tests.oracles.paths import paths as truth_of
from tests.strategies import short_logs
from upswing.diagnose.paths import paths, transitions
from upswing.spec.paths import PathsDefinition
from upswing.spec.steps import EventMatch

T0 = 1_700_000_000 * SECOND


def walk(user, *names, every=MINUTE, start=0):
    return [Event(user, T0 + start + i * every, i, n, {}) for i, n in enumerate(names)]


def defined(**keys):
    keys.setdefault("session_gap", "none")
    return PathsDefinition(name="written", **keys)


@settings(max_examples=50, deadline=None)
@given(
    short_logs(most=9).filter(lambda log: {"A", "B"} <= {e.name for e in log}),
    st.sampled_from(["start", "after", "before", "between"]),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(["none", "15s"]),
)
def test_paths_through_an_engine(events, cut, collapse, top, gap):
    after = "A" if cut in ("after", "between") else None
    before = "B" if cut in ("before", "between") else None
    found = paths(
        log_of(events, batches=2),
        defined(
            after=EventMatch(event=after) if after else None,
            before=EventMatch(event=before) if before else None,
            collapse=collapse, depth=4, top=top, session_gap=gap, hide=["X"], group={"cd": ["C", "D"]},
        ),
    )  # fmt: skip
    truth = truth_of(
        events, depth=4, after=after, before=before, collapse=collapse, top=top, hide=["X"],
        idle=None if gap == "none" else 15 * SECOND, group=lambda n: "cd" if n in "CD" else n,
    )  # fmt: skip
    assert {(n.position, n.name): n.count for n in found.nodes} == truth.nodes
    assert {(e.position, e.source, e.target): e.count for e in found.edges} == {
        k: n for k, (n, _) in truth.edges.items()
    }
    shown(found)


def test_counts_and_mean_times():
    """Two users on /1 → /2 → /3, one of them on to /4: the edges of PostHog's first paths test (facts re-expressed)."""
    events = walk("p1", "/1", "/2", "/3", "/4", every=2 * MINUTE) + walk("p2", "/1", "/2", "/3", every=MINUTE)
    found = paths(log_of(events), defined(depth=4))
    edges = [(e.source, e.target, e.count, e.mean_seconds) for e in found.edges]
    assert edges == [("/1", "/2", 2, 90.0), ("/2", "/3", 2, 90.0), ("/3", "(end)", 1, None), ("/3", "/4", 1, 120.0)]
    assert found.units == found.paths == 2


def test_sessions_split_paths_and_other_carries_the_rest():
    events = walk("u", "a", "b") + walk("u", "a", "c", start=60 * MINUTE) + walk("v", "a", "d")
    found = paths(log_of(events), defined(session_gap="30m", depth=2, top=1))
    assert [(n.position, n.name, n.count) for n in found.nodes] == [(1, "a", 3), (2, "b", 1), (2, "(other)", 2)]


def test_events_that_are_no_steps_still_keep_a_session_open():
    events = walk("u", "a", "ping", "ping", "b", every=20 * MINUTE)
    found = paths(log_of(events), defined(session_gap="30m", events=["a", "b"], depth=2))
    assert [(n.position, n.name) for n in found.nodes] == [(1, "a"), (2, "b")]


def test_steps_called_by_a_property():
    events = [Event("u", T0 + i, i, "view", {"page": p}) for i, p in enumerate(["/home", "/item/1", "/item/2", None])]
    found = paths(log_of(events), defined(node="page", group={"item": "/item/*"}, depth=3))
    assert [n.name for n in found.nodes] == ["/home", "item", "(none)"]


def test_a_hidden_anchor_is_refused():
    with pytest.raises(ValidationError, match="hidden"):
        defined(after=EventMatch(event="a"), hide=["a"])


def test_transitions_with_starts_and_ends():
    events = walk("p", "a", "b", "b", "c") + walk("q", "a", "c", every=3 * MINUTE)
    found = transitions(log_of(events), defined(collapse=False))
    rows = {(t.source, t.target): t.count for t in found.transitions}
    assert rows == directly_follows(events)
    assert (found.starts, found.ends) == ((("a", 2),), (("c", 2),))
    assert next(t.mean_seconds for t in found.transitions if t.source == "a" and t.target == "c") == 180.0
    shown(found)


def test_no_such_path():
    events = walk("u", "b", "a")
    found = paths(log_of(events), defined(after=EventMatch(event="a"), before=EventMatch(event="b")))
    assert (found.units, found.paths, found.nodes) == (1, 0, ())
    assert [c.code for c in found.warnings] == ["no_path"]
    shown(found)
