"""Bayesian read-out: published posteriors, brute-force integration, parameter recovery."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as distributions

from upswing.stats.bayes import (
    Prior,
    compare_beta,
    fit_prior,
    normal_prior,
    posterior,
    t_prior,
    value_before_testing,
)
from upswing.stats.comparison import Level, compare
from upswing.stats.errors import InvalidInput, NotEnoughData


def _lift(control, treatment):
    result = compare(control, treatment, lift_method="delta")
    return result.lift, (result.lift_upper - result.lift_lower) / 2 / distributions.norm.isf(0.025)


def test_r35_gbstats_proportions_flat_prior():
    lift, se = _lift(Level.of(0.49, 0.49 * 0.51 / 100), Level.of(0.51, 0.51 * 0.49 / 100))
    result = posterior(lift, se)
    assert result.mean == pytest.approx(0.04082, abs=5e-6)
    assert (result.lower, result.upper) == pytest.approx((-0.24779, 0.32943), abs=1e-5)
    assert result.probability_positive == pytest.approx(0.60918, abs=1e-5)
    assert (result.loss_if_kept, result.loss_if_shipped) == pytest.approx((0.0814, 0.04058), abs=1e-5)


def test_r35_gbstats_means_flat_and_normal_prior():
    lift, se = _lift(Level.of(10.0, (1002.25 - 1000) / 9 / 10), Level.of(10.5, (1111.5 - 1102.5) / 9 / 10))
    flat = posterior(lift, se)
    assert (flat.mean, flat.lower, flat.upper) == pytest.approx((0.05, -0.02, 0.12), abs=1e-5)
    assert flat.probability_positive == pytest.approx(0.91923, abs=1e-5)
    assert (flat.loss_if_kept, flat.loss_if_shipped) == pytest.approx((0.05131, 0.00131), abs=1e-5)
    informed = posterior(lift, se, prior=normal_prior(0.1, np.sqrt(0.1)))
    expected = (0.05063, -0.01893, 0.12019)
    assert (informed.mean, informed.lower, informed.upper) == pytest.approx(expected, abs=1e-5)
    assert informed.probability_positive == pytest.approx(0.92315, abs=1e-5)


def test_r35_gbstats_risk():
    result = posterior(0.1, 0.05)
    assert (result.loss_if_kept, result.loss_if_shipped) == pytest.approx((0.1004245351, 0.0004245351), abs=1e-10)


@pytest.mark.parametrize(
    "prior",
    [
        t_prior(3.0, 0.05),
        Prior(np.array([0.8, 0.2]), np.array([0.0, 0.01]), np.array([0.02, 0.2])),
    ],
)
def test_mixture_posterior_agrees_with_integration(prior):
    y, se, cost = 0.12, 0.06, 0.03

    points = np.linspace(-1, 1, 40_001)
    given = distributions.norm.pdf(points[:, None], prior.means, prior.sds) @ prior.weights
    weight = given * distributions.norm.pdf(y, points, se)
    weight /= weight.sum()
    result = posterior(y, se, prior=prior, cost=cost)
    assert result.mean == pytest.approx(weight @ points, abs=1e-6)
    assert result.sd == pytest.approx(np.sqrt(weight @ (points - weight @ points) ** 2), abs=1e-6)
    assert result.probability_worth_it == pytest.approx(weight[points > cost].sum(), abs=1e-3)
    assert result.loss_if_kept == pytest.approx(weight @ np.maximum(points - cost, 0), abs=1e-6)
    assert result.lower == pytest.approx(points[np.searchsorted(weight.cumsum(), 0.025)], abs=1e-4)


@pytest.mark.parametrize("df", [1.0, 2.5, 8.0])
def test_t_prior_is_a_t(df):
    prior = t_prior(df, 0.3, mean=0.1)
    for x in (-2.0, 0.0, 0.1, 0.5, 3.0):
        mixed = prior.weights @ distributions.norm.pdf(x, prior.means, prior.sds)
        assert mixed == pytest.approx(distributions.t.pdf(x, df, 0.1, 0.3), rel=2e-3)


def test_fat_tails_believe_breakthroughs_and_shrink_noise():
    thin, fat = normal_prior(0.0, 0.02), t_prior(1.5, 0.01)
    assert posterior(0.3, 0.03, prior=fat).mean > posterior(0.3, 0.03, prior=thin).mean
    assert posterior(0.03, 0.03, prior=fat).mean < 0.03 * 0.5


def test_fitted_priors_recover_their_parameters():
    rng = np.random.default_rng(1)
    se = rng.uniform(0.01, 0.04, 1500)
    narrow = rng.random(1500) < 0.9
    effects = np.where(narrow, rng.normal(0.005, 0.01, 1500), rng.normal(0.005, 0.15, 1500))
    fitted = fit_prior(rng.normal(effects, se), se, kind="mixture")
    assert fitted.weights[1] == pytest.approx(0.1, abs=0.03)
    assert fitted.sds == pytest.approx([0.01, 0.15], rel=0.25)
    heavy = fit_prior(rng.normal(0.02 * rng.standard_t(3, 1500), se), se, kind="t")
    spread = heavy.weights @ distributions.norm.cdf(0.02, heavy.means, heavy.sds)
    assert spread == pytest.approx(distributions.t.cdf(1.0, 3), abs=0.02)


def test_shrunk_forecasts_are_calibrated():
    rng = np.random.default_rng(2)
    truth = rng.normal(0.0, 0.03, 20_000)
    seen = rng.normal(truth, 0.04)
    result = posterior(seen, 0.04, prior=normal_prior(0.0, 0.03))
    winners = seen > 0.08
    assert seen[winners].mean() > truth[winners].mean() * 2
    assert result.mean[winners].mean() == pytest.approx(truth[winners].mean(), rel=0.05)
    covered = ((result.lower <= truth) & (truth <= result.upper)).mean()
    assert abs(covered - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 20_000)


@pytest.mark.parametrize("counts", [(12, 100, 8, 100), (0, 10, 3, 20), (500, 10_000, 450, 10_000)])
def test_beta_comparison_agrees_with_integration(counts):
    s1, n1, s2, n2 = counts
    treatment, control = distributions.beta(s1 + 1, n1 - s1 + 1), distributions.beta(s2 + 1, n2 - s2 + 1)
    middle = [float(treatment.mean()), float(control.mean())]
    better = integrate.quad(lambda x: treatment.pdf(x) * control.cdf(x), 0, 1, points=middle, limit=400)[0]
    loss = integrate.quad(lambda x: treatment.cdf(x) * control.sf(x), 0, 1, points=middle, limit=400)[0]
    result = compare_beta(*counts)
    assert result.probability_better == pytest.approx(better, abs=2e-5)
    assert result.loss_if_shipped == pytest.approx(loss, abs=2e-6)
    assert result.loss_if_kept - result.loss_if_shipped == pytest.approx(treatment.mean() - control.mean())


def test_value_before_testing_rises_with_uncertainty_and_falls_with_cost():
    assert value_before_testing(normal_prior(0, 2)) == pytest.approx(2 * distributions.norm.pdf(0))
    assert value_before_testing(normal_prior(0, 2), cost=1) < value_before_testing(normal_prior(0, 2))


def test_states_and_wrong_calls():
    result = posterior([0.1, np.nan, 0.1], [0.05, 0.05, 0.0], prior=t_prior(3, 0.1))
    assert result.status.tolist() == ["ok", "not_enough_data", "not_enough_data"]
    assert np.isnan(result.mean[1:]).all()
    with pytest.raises(NotEnoughData):
        fit_prior([0.1], [0.1])
    with pytest.raises(InvalidInput):
        Prior(np.array([0.5, 0.6]), np.zeros(2), np.ones(2))
    with pytest.raises(InvalidInput):
        compare_beta(5, 4, 1, 2)
