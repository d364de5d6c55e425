"""What other events lead one to expect, against the plain way: day after day, each with the days before it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from upswing.metrics import tracking
from upswing.metrics.tracking import _ALIVE, _EXPECTED, _GONE, _LEAST_PAST, _PAST


def slowly(seen: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    expected = np.zeros(len(seen))
    share = [s / o if o > 0 else None for s, o in zip(seen, others, strict=True)]
    for day in range(_LEAST_PAST, len(seen)):
        before = range(max(0, day - _PAST), day)
        known = [x for x in (share[d] for d in before) if x is not None]
        if len(known) < _LEAST_PAST or min(known) == 0:
            continue
        if others[day] < _ALIVE * np.median([others[d] for d in before]):
            continue
        expected[day] = float(np.median(known)) * others[day]
        if seen[day] < _GONE * expected[day] and expected[day] >= _EXPECTED:
            share[day] = None
    return expected


days = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 3, 60, 61, 200, 400]), st.sampled_from([0, 5, 300, 310, 500, 900])), max_size=90
)
steady = st.lists(
    st.tuples(st.sampled_from([0, 1, 60, 61, 62, 63]), st.sampled_from([300, 310, 320])), min_size=20, max_size=90
)


@given(days | steady)
def test_expectation(rows: list[tuple[int, int]]) -> None:
    seen, others = (np.array([row[i] for row in rows], dtype=float) for i in (0, 1))
    np.testing.assert_allclose(tracking._expected(seen, others), slowly(seen, others), rtol=1e-12)


@given(st.lists(st.integers(0, 89), max_size=30), st.integers(30, 90))
def test_expectation_with_breaks(gone: list[int], length: int) -> None:
    """A steady event that falls silent on some days: those days do not teach."""
    rng = np.random.default_rng(len(gone))
    others = rng.poisson(400, length).astype(float)
    seen = rng.poisson(120, length).astype(float)
    seen[[d for d in gone if _LEAST_PAST <= d < length]] = 1.0
    found = tracking._expected(seen, others)
    np.testing.assert_allclose(found, slowly(seen, others), rtol=1e-12)
