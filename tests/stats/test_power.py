"""Power and sample size: published figures, statsmodels, and simulation of the promised power."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions
from scipy.optimize import brentq
from statsmodels.stats.power import zt_ind_solve_power

from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.errors import InvalidInput
from upswing.stats.power import (
    Design,
    ReachCurve,
    cluster_design_effect,
    duration,
    fit_reach,
    growth_needed,
    lift_power,
    minimal_effect,
    minimal_lift,
    power,
    proportion_variance,
    quantile_variance,
    ratio_variance,
    sample_size,
    sequential_inflation,
)
from upswing.stats.sequential import constant_boundary, spending_boundary

THREE = (1 / 3, 1 / 3, 1 / 3)


def test_r27_growthbook_fixed_sample():
    # three arms, alpha 0.05 for each of the two comparisons: 0.1 over both
    design = Design(shares=THREE, alpha=0.1)
    assert lift_power(0.05, 10, 3909.9997749994377, 400_000, design=design) == pytest.approx(0.52144, abs=5e-6)
    assert minimal_lift(10, 3909.9997749994377, 400_000, design=design) == pytest.approx(0.07027, abs=5e-6)


def test_r27_one_look_of_a_confidence_sequence():
    # moving the critical value to 3.4742, instead of inflating the estimator's sd as the peer's calculator does
    alpha = 2 * distributions.norm.sf(3.4742)
    design = Design(shares=THREE, alpha=2 * alpha)
    assert lift_power(0.05, 10, 3909.9997749994377, 400_000, design=design) == pytest.approx(0.0721, abs=6e-5)
    assert minimal_lift(10, 3909.9997749994377, 400_000, design=design) == pytest.approx(0.1104, abs=6e-5)


@pytest.mark.parametrize(
    ("effect", "before", "after", "design", "total"),
    [
        (0.3, 100.0, 100.0, Design(power=0.85), 39_904),
        (0.003, 0.34 * 0.66, 0.343 * 0.657, Design(power=0.85), 897_343),
        (0.003, 0.34 * 0.66, 0.343 * 0.657, Design(power=0.85, alpha=0.14), 630_778),
        (0.003, 0.34 * 0.66, 0.343 * 0.657, Design(power=0.67, alpha=0.14), 366_789),
    ],
)
def test_r29_spotify_z_formula(effect, before, after, design, total):
    result = sample_size(effect, before, treatment_variance=after, design=design)
    assert result.total == pytest.approx(total, abs=3)


def test_r29_spotify_three_arms():
    # their figures split no alpha: 29,929 + 2 × 14,965 against control, 3 × 19,953 for all pairs
    against = Design(power=0.85, shares=(0.5, 0.25, 0.25), alpha=2 * 0.05)
    assert sample_size(0.3, 100.0, design=against).per_arm == pytest.approx([29_929, 14_965, 14_965], abs=2)
    pairs = Design(power=0.85, shares=THREE, comparisons="all_pairs", alpha=3 * 0.05)
    assert sample_size(0.3, 100.0, design=pairs).per_arm == pytest.approx([19_953] * 3, abs=2)


def test_r29_spotify_three_arms_of_a_proportion():
    # 673,157 + 2 × 336,578 against control and 3 × 448,674 for all pairs. Theirs gives both arms of every pair the
    # control's or the pair's mean variance; ours takes each arm's own, which differs by 0.2 % at most.
    against = Design(power=0.85, shares=(0.5, 0.25, 0.25), alpha=2 * 0.05)
    wanted = sample_size(0.003, 0.34 * 0.66, treatment_variance=0.343 * 0.657, design=against).per_arm
    assert wanted == pytest.approx([673_157, 336_578, 336_578], rel=1e-3)
    pairs = Design(power=0.85, shares=THREE, comparisons="all_pairs", alpha=3 * 0.05)
    wanted = sample_size(0.003, 0.34 * 0.66, treatment_variance=0.343 * 0.657, design=pairs).per_arm
    assert wanted == pytest.approx([448_674] * 3, rel=2.5e-3)


def test_r32_tea_tasting_power_analysis():
    tea = pytest.importorskip("tea_tasting")
    table = tea.make_users_data(rng=42, sessions_uplift=0, orders_uplift=0, revenue_uplift=0, covariates=True)
    users = {name: np.asarray(table[name].to_numpy(), dtype=float) for name in table.column_names}
    orders, sessions = users["orders"], users["sessions"]
    moments = np.cov(orders, sessions)
    variance = ratio_variance(orders.mean(), sessions.mean(), moments[0, 0], moments[1, 1], moments[0, 1])
    ratio = orders.sum() / sessions.sum()
    assert power(0.1 * ratio, variance, 4000) == pytest.approx(0.52, abs=5e-3)

    def left(outcome, covariate):  # share of the variance that CUPED leaves
        return 1 - np.corrcoef(outcome, covariate)[0, 1] ** 2

    past_ratio = users["orders_covariate"].sum() / users["sessions_covariate"].sum()
    cases = (
        (sessions, users["sessions_covariate"], sessions.mean(), (2.3, 1.6)),
        (
            (orders - ratio * sessions) / sessions.mean(),
            users["orders_covariate"] - past_ratio * users["sessions_covariate"], ratio, (6.8, 4.8),
        ),
        (orders, users["orders_covariate"], orders.mean(), (7.2, 5.1)),
        (users["revenue"], users["revenue_covariate"], users["revenue"].mean(), (9.2, 6.5)),
    )  # fmt: skip
    for outcome, covariate, level, per_cent in cases:
        design = Design(variance_factor=left(outcome, covariate))
        found = minimal_effect(outcome.var(ddof=1), np.array([10_000, 20_000]), design=design)
        assert 100 * found / level == pytest.approx(per_cent, abs=0.06)


def test_r30_rule_of_thumb_and_exact():
    rule = 16 * 0.05 * 0.95 / 0.0025**2
    assert rule == pytest.approx(121_600)
    assert sample_size(0.0025, proportion_variance(0.05)).per_arm[0] == pytest.approx(119_303, abs=60)


def test_growth_is_the_ratio_of_sample_sizes():
    design = Design()
    now = 4000
    needed = sample_size(0.05, 1.0, design=design).total
    assert growth_needed(np.sqrt(4 / now), 0.05, design=design) == pytest.approx(needed / now, rel=1e-3)


@given(st.floats(0.05, 0.4), st.floats(0.6, 0.99), st.floats(0.001, 0.1))
def test_agrees_with_statsmodels(effect, wanted, alpha):
    n = zt_ind_solve_power(effect, alpha=alpha, power=wanted, alternative="larger")
    design = Design(alpha=alpha, power=wanted, two_sided=False)
    assert sample_size(effect, 1.0, design=design).per_arm[0] == pytest.approx(n, abs=1.01)


@given(st.floats(0.1, 3), st.floats(0.1, 50), st.floats(0.2, 1))
def test_the_three_questions_agree(effect, variance, kept):
    design = Design(variance_factor=kept, design_effect=1.3, shares=(0.4, 0.3, 0.3))
    n = sample_size(effect, variance, design=design).total
    assert power(effect, variance, n, design=design) >= 0.8 - 1e-9
    assert minimal_effect(variance, n, design=design) <= effect * (1 + 1e-9)


def test_promised_power_is_delivered():
    rng = np.random.default_rng(1)
    runs = 4000
    n = int(sample_size(0.05, proportion_variance(0.3), treatment_variance=proportion_variance(0.35)).per_arm[0])
    a, b = rng.binomial(n, 0.30, runs) / n, rng.binomial(n, 0.35, runs) / n
    z = (b - a) / np.sqrt((a * (1 - a) + b * (1 - b)) / n)
    assert abs((z > 1.96).mean() - 0.8) < 4 * np.sqrt(0.8 * 0.2 / runs)


@pytest.mark.parametrize(
    ("looks", "shape", "factor"),
    [
        (2, "pocock", 1.110),
        (5, "pocock", 1.229),
        (10, "pocock", 1.301),
        (2, "obrien_fleming", 1.008),
        (5, "obrien_fleming", 1.028),
        (10, "obrien_fleming", 1.040),
    ],
)
def test_jennison_turnbull_tables_2_2_and_2_4(looks, shape, factor):
    assert sequential_inflation(constant_boundary(looks, shape=shape)) == pytest.approx(factor, abs=1.1e-3)


def test_sequential_plan_keeps_power_once_inflated():
    plan = spending_boundary(np.arange(1, 15) / 14)
    assert 1.0 < sequential_inflation(plan) < 1.06


def test_clusters_and_quantiles():
    assert cluster_design_effect(1, 0.5) == 1.0
    assert cluster_design_effect(20, 0.1, size_cv=0.5) == pytest.approx(1 + (1.25 * 20 - 1) * 0.1)
    # median of a normal sample: π/2 times the variance of the mean
    assert quantile_variance(0.5, distributions.norm.pdf(0)) == pytest.approx(np.pi / 2)


@pytest.mark.parametrize("true", [ReachCurve(5000.0, 0.6, np.inf), ReachCurve(80_000.0, 1.0, 12.0)])
def test_reach_curve_extrapolates(true):
    days = np.arange(1, 15)
    fitted = fit_reach(days, true.users(days))
    assert float(fitted.users(28)) == pytest.approx(float(true.users(28)), rel=0.02)


def test_duration_rounds_to_weeks_and_admits_defeat():
    curve = ReachCurve(10_000.0, 1.0, 10.0)
    assert duration(6000, curve).days == 21.0
    assert duration(6000, curve, whole_weeks=False).days == 15.0
    never = duration(10_001, curve)
    assert (np.isnan(never.days), never.status) == (True, "not_reached")


def test_wrong_calls_are_refused():
    with pytest.raises(InvalidInput):
        sample_size(0.0, 1.0)
    with pytest.raises(InvalidInput):
        Design(shares=(0.5, 0.6))
    with pytest.raises(InvalidInput):
        fit_reach([1, 2, 3], [3, 2, 1])


def _r31_relative_se():
    var_a, var_b = (1500 - 500) / 499, (1551.25 - 525**2 / 500) / 499
    return np.sqrt(var_b / 500 + var_a * 1.05**2 / 500)


def test_r31_mid_experiment_growth():
    # gbstats counts the users still to come, in units of those seen: one less than the growth of the sample
    assert growth_needed(_r31_relative_se(), 0.05) - 1 == pytest.approx(25.4570, abs=5e-4)


def test_r31_mid_experiment_growth_of_a_confidence_sequence():
    def gap(more):
        se = _r31_relative_se() / np.sqrt(1 + more)
        half_width = confidence_sequence(0.0, se, 1000 * (1 + more), tuned_for=5000).upper
        return (0.05 - half_width) / se - distributions.norm.isf(0.2)

    assert brentq(gap, 1, 500) == pytest.approx(55.6680, abs=5e-3)
