"""Path and transition kernels against the written-out oracle."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.paths import END, OTHER, START, directly_follows, paths
from tests.sequences.build import batch, named
from tests.strategies import NAMES, short_logs
from upswing.sequences.paths import PathKernel, TransitionKernel, Walk

LUT = np.array([*range(len(NAMES)), -1, -1], dtype=np.int32)
SECOND = 1_000_000


def code(event):
    return NAMES.index(event.name)


def key(event):
    return {"a": 11, "b": 22}.get(event.props.get("p"), 0)


def slots_of(counts, top):
    """Slots of the most frequent nodes by position, then "(other)", then the marker."""
    depth, n = counts.nodes.shape
    slots = np.full((depth, n), top, dtype=np.int64)
    slots[:, -1] = top + 1
    shown = []
    for p in range(depth):
        order = sorted(range(n - 1), key=lambda v: (-counts.nodes[p, v], NAMES[v]))[:top]
        kept = [v for v in order if counts.nodes[p, v]]
        slots[p, kept] = range(len(kept))
        shown.append({i: NAMES[v] for i, v in enumerate(kept)})
    return slots, shown


@settings(max_examples=300, deadline=None)
@given(
    short_logs(most=10).filter(bool),
    st.sampled_from(["start", "after", "before", "between"]),
    st.integers(2, 5),
    st.sampled_from([None, 10 * SECOND, 25 * SECOND, "key"]),
    st.booleans(),
    st.sampled_from([(), ("C",), ("C", "D")]),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_paths(events, cut, depth, idle, collapse, hide, top, parts):
    after = "A" if cut in ("after", "between") else None
    before = "B" if cut in ("before", "between") else None
    truth = paths(
        events, depth=depth, idle=idle if isinstance(idle, int) else None, session=key if idle == "key" else None,
        hide=hide, collapse=collapse, after=after, before=before, top=top,
    )  # fmt: skip
    lut = LUT.copy()
    lut[[NAMES.index(h) for h in hide]] = -1
    gap = idle if isinstance(idle, int) else 0
    walk = Walk(lut, len(NAMES), gap=gap, keyed=idle == "key", collapse=collapse)
    kernel = PathKernel(walk, depth, cut)
    whole = batch(events, (lambda e: True, named("A"), named("B")), (code, key))
    batches = list(whole.split(parts))
    nodes = sum((kernel.nodes(b) for b in batches[1:]), kernel.nodes(batches[0]))
    slots, shown = slots_of(nodes, top)
    edges = sum((kernel.edges(b, slots) for b in batches[1:]), kernel.edges(batches[0], slots))
    marker = START if cut == "before" else END

    def name(p, slot):
        return marker if slot == top + 1 else shown[p].get(slot, OTHER)

    def position(p):
        return -p if cut == "before" else p + 1

    found = {(position(p), name(p, s)): int(edges.nodes[p, s]) for p, s in zip(*np.nonzero(edges.nodes), strict=True)}
    assert found == truth.nodes
    mean = edges.mean_seconds
    counted = {}
    for p, s, t in zip(*np.nonzero(edges.edges), strict=True):
        seconds = None if t == top + 1 else mean[p, s, t]
        if cut == "before":
            edge = (position(p + 1), name(p + 1, t), name(p, s))
        else:
            edge = (position(p), name(p, s), name(p + 1, t))
        counted[edge] = (int(edges.edges[p, s, t]), seconds)
    assert {e: n for e, (n, _) in counted.items()} == {e: n for e, (n, _) in truth.edges.items()}
    for edge, (_, seconds) in counted.items():
        expected = truth.edges[edge][1]
        assert (seconds is None) == (expected is None)
        assert seconds is None or abs(seconds - expected / SECOND) < 1e-9
    # what comes in goes on, ends, or has arrived
    assert np.array_equal(edges.edges.sum(axis=1), edges.nodes[1:])
    going = (edges.nodes - edges.finished)[:-1]
    going[:, top + 1] = 0
    assert np.array_equal(edges.edges.sum(axis=2), going)


@settings(max_examples=100, deadline=None)
@given(short_logs(most=12).filter(bool), st.integers(1, 3))
def test_transitions(events, parts):
    kernel = TransitionKernel(Walk(LUT, len(NAMES), collapse=False))
    batches = list(batch(events, (lambda e: True,), (code,)).split(parts))
    counts = sum((kernel(b) for b in batches[1:]), kernel(batches[0]))
    found = {(NAMES[s], NAMES[t]): int(counts.follows[s, t]) for s, t in zip(*np.nonzero(counts.follows), strict=True)}
    assert found == directly_follows(events)
    firsts, lasts = Counter(), Counter()
    for user in {e.user for e in events}:
        own = sorted((e for e in events if e.user == user), key=lambda e: (e.time, e.row))
        firsts[own[0].name] += 1
        lasts[own[-1].name] += 1
    assert {NAMES[i]: int(n) for i, n in enumerate(counts.starts) if n} == firsts
    assert {NAMES[i]: int(n) for i, n in enumerate(counts.ends) if n} == lasts
