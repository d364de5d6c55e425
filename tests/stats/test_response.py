"""Response: published transformations, curves by differences, allocation against brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upswing.stats import response as rs
from upswing.stats.errors import InvalidInput, ShapeMismatch

MERIDIAN = np.array(
    [[0.12, 0.55, 0.89], [0.34, 0.71, 0.23], [0.91, 0.08, 0.67], [0.45, 0.82, 0.11], [0.78, 0.29, 0.95]]
)


def test_meridian_adstock_vectors():
    geometric = [rs.geometric_adstock(MERIDIAN[:, i], decay=d, window=5)[-1] for i, d in enumerate((0.1, 0.5, 0.9))]
    binomial = [rs.binomial_adstock(MERIDIAN[:, i], decay=d, window=5)[-1] for i, d in enumerate((0.1, 0.5, 0.9))]
    assert geometric == pytest.approx([0.751, 0.435, 0.572], abs=5e-4)
    assert binomial == pytest.approx([0.742, 0.463, 0.567], abs=5e-4)


def test_robyn_adstock_and_hill():
    assert rs.geometric_adstock([100] * 5, decay=0.5, normalise=False).tolist() == [100, 150, 175, 187.5, 193.75]
    media = np.array([100, 150, 170, 190, 200])
    now = rs.hill(media, half=200 * 0.5, slope=3)
    assert now == pytest.approx([0.5, 0.77143, 0.83088, 0.87276, 0.88889], abs=5e-6)
    older = rs.hill(media, half=100 + 100 * 0.5, slope=3)
    assert older == pytest.approx([0.22857, 0.5, 0.59278, 0.67022, 0.70330], abs=5e-6)


def test_meridian_hill_and_pymc_marketing_logistic():
    x = np.array([0.0, 0.5, 2.0])
    assert rs.hill(x, half=1, slope=1) == pytest.approx(x / (1 + x))
    assert rs.hill(x[1:], half=1, slope=0) == pytest.approx(0.5)
    assert rs.logistic_saturation([1, 2, 5], rate=0.5) == pytest.approx([0.24492, 0.46212, 0.84828], abs=5e-6)


@given(st.floats(0, 0.95), st.integers(1, 8), st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_adstock_is_the_sum_over_lags(decay, window, media):
    result = rs.geometric_adstock(media, decay=decay, window=window)
    weights = [decay**lag for lag in range(window)]
    for t in range(len(media)):
        by_hand = sum(w * media[t - lag] for lag, w in enumerate(weights) if t >= lag) / sum(weights)
        assert result[t] == pytest.approx(by_hand, abs=1e-9)


def test_steady_media_stay_as_they_are():
    media = np.full(40, 7.0)
    for carried in (
        rs.geometric_adstock(media, decay=0.6, window=8),
        rs.binomial_adstock(media, decay=0.6, window=8),
        rs.weibull_adstock(media, shape=2, scale=3, window=8),
        rs.weibull_adstock(media, shape=2, scale=3, window=8, kind="survival"),
    ):
        assert carried[-1] == pytest.approx(7)


@given(st.floats(0.5, 90), st.floats(0.2, 3))
def test_marginal_is_the_slope_of_the_response(x, shape):
    curves = [
        rs.PowerResponse(3, shape, (0, 100)),
        rs.LogResponse(3, 20, (0, 100)),
        rs.HillResponse(3, 20, shape, (0, 100)),
    ]
    for curve in curves:
        numeric = (curve.response(x + 1e-5) - curve.response(x - 1e-5)) / 2e-5
        assert curve.marginal(x) == pytest.approx(numeric, rel=1e-4, abs=1e-8)


channels = st.lists(
    st.tuples(st.floats(0.5, 5), st.floats(0.2, 0.9), st.integers(0, 3), st.integers(4, 9)), min_size=2, max_size=3
)


@given(channels, st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_allocation_meets_the_optimality_conditions(rows, share):
    curves = [rs.PowerResponse(a, b, (0, 20)) for a, b, _, _ in rows]
    low, high = np.array([r[2] for r in rows], float), np.array([r[3] for r in rows], float)
    budget = low.sum() + share * (high.sum() - low.sum())
    result = rs.allocate(curves, budget, lower=low, upper=high)
    assert result.spend.sum() == pytest.approx(budget, abs=1e-9)
    assert (result.spend >= low - 1e-9).all()
    assert (result.spend <= high + 1e-9).all()
    for x, slope, a, b in zip(result.spend, result.marginal, low, high, strict=True):
        if a + 1e-6 < x < b - 1e-6:
            assert slope == pytest.approx(result.price, rel=1e-4)
        elif x <= a + 1e-6 and b - a > 1e-5 and share > 1e-6:
            assert slope <= result.price * (1 + 1e-3) or x >= b - 1e-6


@given(channels, st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_steps_find_the_best_split_of_any_curves(rows, extra):
    curves = [rs.HillResponse(a, 5, 4 * b, (0, 20)) for a, b, _, _ in rows]
    low, high = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    budget = int(min(low.sum() + extra, high.sum()))
    result = rs.allocate(curves, budget, lower=low, upper=high, step=1)
    grid = product(*(range(a, b + 1) for a, b in zip(low, high, strict=True)))
    best = max(sum(c.response(x) for c, x in zip(curves, split, strict=True)) for split in grid if sum(split) == budget)
    assert result.spend.sum() == budget
    assert result.total == pytest.approx(best)


def test_fine_steps_agree_with_marginals():
    curves = [rs.LogResponse(10, 30, (0, 200)), rs.LogResponse(25, 80, (0, 200)), rs.PowerResponse(2, 0.4, (0, 200))]
    smooth = rs.allocate(curves, 200, lower=0, upper=150)
    stepped = rs.allocate(curves, 200, lower=0, upper=150, step=0.5)
    assert stepped.total == pytest.approx(smooth.total, rel=1e-4)
    assert stepped.total <= smooth.total + 1e-9


def test_refusals():
    curve = rs.PowerResponse(1, 0.5, (10, 50))
    with pytest.raises(InvalidInput) as refused:
        rs.allocate([curve, curve], 80, lower=10, upper=60)
    assert refused.value.code == "outside_observed"
    assert rs.allocate([curve, curve], 80, lower=10, upper=60, beyond_observed=True).spend.sum() == pytest.approx(80)
    for budget in (10, 200):
        with pytest.raises(InvalidInput):
            rs.allocate([curve, curve], budget, lower=10, upper=50)
    with pytest.raises(InvalidInput, match="concave"):
        rs.allocate([rs.HillResponse(1, 30, 3, (0, 50))] * 2, 50, lower=0, upper=50)
    with pytest.raises(InvalidInput, match="whole number"):
        rs.allocate([curve, curve], 41, lower=10, upper=50, step=2)
    with pytest.raises(InvalidInput):
        rs.geometric_adstock([1], decay=1)
    with pytest.raises(ShapeMismatch):
        rs.geometric_adstock([[[1.0]]], decay=0.5)
