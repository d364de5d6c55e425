"""First times and who comes first, against loops over users."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from upswing.sequences.batch import Sequences
from upswing.sequences.precedence import first_times, precedence

HISTORIES = st.lists(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 7)), max_size=6), max_size=5)
MOMENTS = st.one_of(st.integers(0, 6).map(float), st.just(np.inf))


@given(HISTORIES)
def test_first_times(histories):
    histories = [sorted(h) for h in histories]
    flat = [event for h in histories for event in h]
    offsets = np.cumsum([0] + [len(h) for h in histories])
    batch = Sequences(
        users=np.arange(len(histories)),
        offsets=offsets,
        times=np.array([t for t, _ in flat], np.int64),
        marks=np.array([m for _, m in flat], np.uint8),
    )
    expected = [[min([t for t, m in h if m >> k & 1], default=np.inf) for k in range(3)] for h in histories]
    assert first_times(batch, 3).tolist() == expected


@given(st.lists(st.tuples(MOMENTS, MOMENTS, MOMENTS), max_size=8), st.integers(0, 4))
def test_pairs(users, limit):
    counted = precedence(np.array(users, float).reshape(-1, 3), limit)
    for a in range(3):
        assert counted.reach[a] == sum(u[a] < np.inf for u in users)
        for b in range(3):
            both = [(u[a], u[b]) for u in users if u[a] < np.inf and u[b] < np.inf]
            assert counted.earlier[a, b] == sum(x < y for x, y in both)
            assert counted.tied[a, b] == sum(x == y for x, y in both)
            assert counted.soon[a, b] == sum(0 <= y - x <= limit for x, y in both)
            assert counted.both[a, b] == len(both)
            shares = [1.0 if x < y else 0.5 if x == y else 0.0 for x, y in both]
            assert counted.order[a, b] == (sum(shares) / len(both) if both else 0.5)
