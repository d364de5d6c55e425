"""Retention curves: published fits and forecasts, closed forms against sums, recovery of simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import betaln

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.retention_curves import (
    BetaDiscreteWeibull,
    ShiftedBetaGeometric,
    back_test,
    discounted_lifetime,
    fit_beta_discrete_weibull,
    fit_power_law,
    fit_shifted_beta_geometric,
)

REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241]
HIGH_END = [1000, 869, 743, 653, 593, 551, 517, 491]
SHEET = [
    0.45, 0.35, 0.30, 0.27, 0.26, 0.25, 0.24, 0.23, 0.22, 0.21, 0.20, 0.19, 0.18, 0.17, 0.16, 0.15, 0.14, 0.13, 0.12,
    0.11, 0.10, 0.095, 0.09, 0.085, 0.08, 0.075, 0.07, 0.065, 0.06, 0.055,
]  # fmt: skip


def test_fader_hardie_2007_regular_customers():
    fit = fit_shifted_beta_geometric(REGULAR)
    assert fit.estimates == pytest.approx([0.704, 1.182], abs=5e-4)
    assert fit.log_likelihood == pytest.approx(-1680.27, abs=0.01)
    forecast = 100 * fit.model.survival([8, 9, 10, 11, 12])
    assert forecast == pytest.approx([22.0, 20.4, 19.1, 18.0, 17.0], abs=0.05)
    assert forecast == pytest.approx([22.3, 20.7, 19.4, 18.3, 17.3], abs=0.5)  # what the customers did


def test_pymc_marketing_lists_another_alpha_for_the_regular_customers():
    # Its test holds alpha = 0.688 with rtol 0.1; the likelihood is higher at the published 0.704.
    def log_likelihood(alpha, beta):
        survival = ShiftedBetaGeometric(alpha, beta).survival(np.arange(8))
        lost = -np.diff(REGULAR)
        return lost @ np.log(-np.diff(survival)) + REGULAR[-1] * np.log(survival[-1])

    best = optimize.minimize_scalar(lambda beta: -log_likelihood(0.688, beta), bounds=(0.5, 3), method="bounded")
    assert log_likelihood(0.704, 1.182) > -best.fun


def test_fader_hardie_2010_five_years_and_residual_lifetimes():
    fit = fit_shifted_beta_geometric([1000, 631, 468, 382, 326])
    assert fit.estimates == pytest.approx([0.764, 1.296], abs=5e-4)
    assert fit.log_likelihood == pytest.approx(-1401.56, abs=0.01)
    model = ShiftedBetaGeometric(0.764, 1.296)
    lifetimes = [model.expected_lifetime(0.1, renewals=n) for n in range(5)]
    assert lifetimes == pytest.approx([2.882, 3.939, 4.675, 5.235, 5.682], abs=1e-3)
    assert model.new_customer_lifetime(0.1) == pytest.approx(3.620, abs=1e-3)


def test_public_sheet_power_law_lifetime_and_its_conventions():
    fit = fit_power_law(np.arange(1, 31), SHEET)
    assert fit.a == pytest.approx(0.6755619207, abs=1e-9)
    assert fit.b == pytest.approx(-0.614436236, abs=1e-9)
    life = fit.lifetime(180)
    assert life.estimate == pytest.approx(11.54993642, abs=1e-7)
    assert 0.10 * life.estimate == pytest.approx(1.155, abs=5e-4)
    assert fit.lifetime(180, convention="model").estimate == pytest.approx(11.6076, abs=1e-4)
    assert fit.lifetime(180, convention="integral").estimate == pytest.approx(12.9754, abs=1e-4)
    assert fit.lifetime(180, counts_period_zero=True).estimate == pytest.approx(12.54993642, abs=1e-7)
    assert life.lower < life.estimate < life.upper


@given(st.floats(0.2, 5), st.floats(0.2, 5), st.floats(0.02, 0.5), st.integers(0, 8))
def test_closed_form_of_residual_lifetime_is_the_sum(alpha, beta, discount, renewals):
    model = ShiftedBetaGeometric(alpha, beta)
    total = discounted_lifetime(model, discount, renewals=renewals)
    assert model.expected_lifetime(discount, renewals=renewals) == pytest.approx(total, rel=1e-6)


def test_survival_is_the_beta_mean_of_geometric_survival():
    rng = np.random.default_rng(3)
    theta = rng.beta(0.9, 2.0, 400_000)
    for t, c in ((1, 1.0), (5, 1.0), (4, 1.5)):
        model = BetaDiscreteWeibull(0.9, 2.0, c)
        assert ((1 - theta) ** (t**c)).mean() == pytest.approx(model.survival(t), abs=0.003)


def test_many_cohorts_of_different_age_recover_the_truth():
    rng = np.random.default_rng(0)
    model, periods = BetaDiscreteWeibull(1.2, 3.0, 1.4), np.arange(10)
    table = np.full((6, 10), np.nan)
    for cohort in range(6):
        chance = -np.diff(model.survival(periods), append=0.0)
        left = rng.multinomial(3000, chance / chance.sum())
        table[cohort] = 3000 - np.concatenate([[0], left.cumsum()[:-1]])
        table[cohort, 10 - cohort :] = np.nan
    fit = fit_beta_discrete_weibull(table)
    assert fit.status == "ok"
    assert (np.abs(np.log(fit.estimates / [1.2, 3.0, 1.4])) < 4 * np.sqrt(np.diag(fit.log_covariance))).all()
    interval = fit.interval(lambda m: m.survival(20))
    assert interval.lower < model.survival(20) < interval.upper


def test_parameter_intervals_cover():
    rng, hits, runs = np.random.default_rng(6), 0, 300
    chance = np.append(-np.diff(ShiftedBetaGeometric(0.8, 1.5).survival(np.arange(8))), 0)
    chance[-1] = 1 - chance.sum()
    for _ in range(runs):
        left = rng.multinomial(1500, chance)
        fit = fit_shifted_beta_geometric(1500 - np.concatenate([[0], left.cumsum()[:-1]]))
        hits += fit.lower[0] <= 0.8 <= fit.upper[0]
    assert abs(hits / runs - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / runs)


def test_weibull_is_not_worse_than_its_special_case():
    both = fit_shifted_beta_geometric(HIGH_END), fit_beta_discrete_weibull(HIGH_END)
    assert both[0].estimates == pytest.approx([0.668, 3.806], abs=5e-4)  # Fader, Hardie (2007), high end
    assert both[1].log_likelihood >= both[0].log_likelihood - 1e-9


def test_own_formula_of_the_likelihood_by_hand():
    fit = fit_shifted_beta_geometric(REGULAR)
    alpha, beta = fit.estimates
    t = np.arange(1, 8)
    log_leave = betaln(alpha + 1, beta + t - 1) - betaln(alpha, beta)
    by_hand = -np.diff(REGULAR) @ log_leave + 241 * (betaln(alpha, beta + 7) - betaln(alpha, beta))
    assert fit.log_likelihood == pytest.approx(by_hand, abs=1e-8)


def test_back_test_tells_a_right_curve_from_a_wrong_one():
    test = back_test(HIGH_END, train_periods=4, model="beta_discrete_weibull")
    assert test.actual.tolist() == [0.551, 0.517, 0.491]
    by_hand = np.abs(test.predicted / test.actual - 1).mean()
    assert test.mean_absolute_percentage_error == pytest.approx(by_hand)
    assert test.mean_absolute_percentage_error < 0.05


def test_back_test_of_a_power_law_is_exact_on_one():
    days = np.arange(1, 31)
    active = np.concatenate([[1e6], 4e5 * days**-0.5])
    test = back_test(active, train_periods=7, model="power_law")
    assert test.predicted == pytest.approx(test.actual)
    assert test.mean_error == pytest.approx(0, abs=1e-12)
    assert back_test([0, 0, 0, 0, 0, 0], train_periods=3, model="power_law").status == "not_enough_data"


def test_states_of_the_data():
    assert fit_power_law([1, 2], [0.4, 0.3]).status == "not_enough_data"
    assert np.isnan(fit_power_law([1, 2], [0.4, 0.3]).lifetime(30).estimate)
    assert fit_power_law([2, 2, 2], [0.4, 0.3, 0.2]).status == "zero_variance"
    assert fit_shifted_beta_geometric([100, 100, 100, 100]).status == "not_enough_data"
    # One rate for everybody: the curve is geometric and alpha, beta run away together.
    assert fit_shifted_beta_geometric([1e6, 5e5, 2.5e5, 1.25e5, 62500]).status == "not_identified"
    assert ShiftedBetaGeometric(0.9, 2).expected_lifetime() == np.inf


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: fit_shifted_beta_geometric([100, 110]), InvalidInput),
        (lambda: fit_shifted_beta_geometric([100]), ShapeMismatch),
        (lambda: fit_shifted_beta_geometric([[100, np.nan, 80]]), InvalidInput),
        (lambda: fit_power_law([0, 1], [1.0, 0.4]), InvalidInput),
        (lambda: fit_power_law([1, 2, 3], [40, 30, 20]), InvalidInput),
        (lambda: ShiftedBetaGeometric(1, 1).expected_lifetime(-0.1), InvalidInput),
        (lambda: discounted_lifetime(ShiftedBetaGeometric(1, 1), 0.0), InvalidInput),
        (lambda: back_test(REGULAR, train_periods=7, model="shifted_beta_geometric"), InvalidInput),
    ],
)
def test_wrong_calls_are_refused(call, error):
    with pytest.raises(error):
        call()
