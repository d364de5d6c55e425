"""Bootstrap and permutation: closed forms, scipy, clusters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from upswing.stats.errors import InvalidInput
from upswing.stats.resampling import bootstrap, permutation, weighted_quantile, weighted_ratio


@pytest.mark.parametrize("weights", ["multinomial", "poisson"])
def test_standard_error_of_the_mean(weights):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=300), rng.exponential(size=200)
    result = bootstrap(a, b, weights=weights, resamples=3000, rng=2)
    assert result.se == pytest.approx(np.sqrt(a.var() / 300 + b.var() / 200), rel=0.06)


def test_clusters_are_resampled_whole():
    rng = np.random.default_rng(3)
    owner = np.repeat(np.arange(60), 10)
    a, b = (np.repeat(rng.normal(size=60), 10) for _ in range(2))
    result = bootstrap(a, b, control_clusters=owner, treatment_clusters=owner, rng=1)
    assert result.se == pytest.approx(np.sqrt(a.var() / 60 + b.var() / 60), rel=0.1)
    assert result.method == "cluster_bootstrap"


def test_ratio_and_quantile_statistics():
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert weighted_ratio(rows, np.array([1.0, 2.0])) == pytest.approx(7 / 10)
    values = np.random.default_rng(4).normal(size=101)
    for q in (0.1, 0.5, 0.93):
        expected = np.quantile(values, q, method="inverted_cdf")
        assert weighted_quantile(q)(values, np.ones(101)) == expected


def test_same_seed_same_answer():
    a, b = np.arange(50.0), np.arange(50.0) ** 1.1
    assert bootstrap(a, b, rng=5, resamples=200) == bootstrap(a, b, rng=5, resamples=200)
    assert permutation(a, b, rng=5, relabellings=200) == permutation(a, b, rng=5, relabellings=200)


@pytest.mark.parametrize("alternative", ["two_sided", "greater", "less"])
def test_exact_permutation_agrees_with_scipy(alternative):
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=6), rng.normal(0.8, 1, 5)
    expected = distributions.permutation_test(
        (b, a),
        lambda x, y: abs(x.mean() - y.mean()) if alternative == "two_sided" else x.mean() - y.mean(),
        alternative="greater" if alternative == "two_sided" else alternative,
        n_resamples=np.inf,
    )
    assert permutation(a, b, alternative=alternative).p_value == pytest.approx(expected.pvalue)


def test_permutation_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(7)
    p_values = [
        permutation(rng.exponential(size=15), rng.exponential(size=15), relabellings=199, rng=rng).p_value
        for _ in range(300)
    ]
    assert distributions.kstest(p_values, "uniform").pvalue > 1e-3


def test_clusters_are_relabelled_whole():
    a, b = np.repeat([1.0, 2.0, 3.0], 20), np.repeat([7.0, 8.0, 9.0], 20)
    owner = np.repeat([0, 1, 2], 20)
    result = permutation(a, b, control_clusters=owner, treatment_clusters=owner)
    assert (result.p_value, result.relabellings) == (pytest.approx(0.1), 20)


def test_states_and_wrong_calls():
    assert bootstrap([1.0], [1.0, 2.0]).status == "not_enough_data"
    assert bootstrap([1.0, 1.0], [2.0, 2.0]).status == "zero_variance"
    assert permutation([], [1.0]).status == "not_enough_data"
    with pytest.raises(InvalidInput):
        bootstrap([1.0], [2.0], resamples=3)
    with pytest.raises(InvalidInput):
        bootstrap([np.nan, 1.0], [2.0, 1.0])
