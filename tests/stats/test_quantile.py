"""Quantiles: the published comparison, exact binomial coverage, clusters by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.comparison import compare
from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.quantile import compare_quantiles, estimate_quantile, quantile_level


def test_r7_gbstats_ninetieth_percentile():
    control = quantile_level(7.157987489967789, 7.098780136176828, 7.217194843758751, n=11054)
    treatment = quantile_level(7.694499927525767, 7.64180598628119, 7.747193868770344, n=10861)
    result = compare(control, treatment, lift_method="delta")
    assert result.difference == pytest.approx(0.5365124375579775)
    # gbstats shrinks each variance by (n - 1) / n: 4e-6 here
    assert (result.lower, result.upper) == pytest.approx((0.4572559589115422, 0.6157689162044128), abs=5e-6)
    assert result.lift == pytest.approx(0.07495297, abs=5e-9)
    assert (result.lift_lower, result.lift_upper) == pytest.approx((0.06341006, 0.08649589), abs=1e-6)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_interval_covers_independent_values(q):
    rng = np.random.default_rng(1)
    runs, n = 2000, 400
    truth = -np.log1p(-q)
    covered = 0
    for _ in range(runs):
        result = estimate_quantile(rng.exponential(size=n), q)
        covered += result.lower <= truth <= result.upper
    # whole ranks make the interval slightly conservative
    assert -0.5 * 0.05 < covered / runs - 0.95 < 0.02


def test_clusters_widen_the_interval_and_keep_the_error():
    rng = np.random.default_rng(2)
    runs, users, each = 500, 150, 6
    owner = np.repeat(np.arange(users), each)
    naive = robust = 0
    for _ in range(runs):
        arms = [np.exp(np.repeat(rng.normal(size=users), each) + 0.3 * rng.normal(size=users * each)) for _ in "ab"]
        naive += compare_quantiles(*arms, 0.75).p_value < 0.05
        robust += compare_quantiles(*arms, 0.75, control_clusters=owner, treatment_clusters=owner).p_value < 0.05
    assert naive / runs > 0.2  # the values of one user hang together
    assert abs(robust / runs - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_order_of_rows_does_not_matter():
    values = np.random.default_rng(3).normal(size=99)
    assert estimate_quantile(values, 0.3) == estimate_quantile(values[::-1], 0.3)


def test_thin_tail_is_not_known():
    result = estimate_quantile(np.arange(30.0), 0.99)
    assert result.status == "not_enough_data"
    assert np.isnan(result.upper)
    assert compare_quantiles(np.arange(30.0), np.arange(30.0), 0.99).status == "not_enough_data"


def test_states_and_wrong_calls():
    assert estimate_quantile([], 0.5).status == "not_enough_data"
    assert compare_quantiles(np.ones(100), np.ones(100), 0.5).status == "zero_variance"
    with pytest.raises(InvalidInput):
        estimate_quantile([1.0], 50)
    with pytest.raises(ShapeMismatch):
        estimate_quantile([1.0, 2.0], 0.5, clusters=[1])
