"""Welch, Fieller, log and delta: published numbers, scipy, honest states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from upswing.stats.aggregates import Aggregates, stack
from upswing.stats.comparison import Level, compare
from upswing.stats.means import compare_means


def _sums(n, total, squares):
    return Aggregates.from_sums(n, {"y": total}, squares={"y": squares})


def _bernoulli(successes, n):
    return _sums(n, successes, successes)


R1_CONTROL, R1_TREATMENT = _sums(3407, 1396.87, 52377.9767), _sums(3461, 2422.7, 134698.29)


def test_r1_gbstats_absolute():
    result = compare_means(R1_CONTROL, R1_TREATMENT)
    assert result.difference == pytest.approx(0.29, abs=5e-6)
    assert (result.lower, result.upper) == pytest.approx((0.04538, 0.53462), abs=5e-6)
    assert result.p_value == pytest.approx(0.02016, abs=5e-6)
    assert result.se == pytest.approx(0.12478, abs=5e-6)
    assert result.df == pytest.approx(5841.74, abs=5e-3)


def test_r1_gbstats_relative_by_the_delta_method():
    result = compare_means(R1_CONTROL, R1_TREATMENT, lift_method="delta")
    assert result.lift == pytest.approx(0.70732, abs=5e-6)
    assert (result.lift_lower, result.lift_upper) == pytest.approx((-0.03526, 1.44989), abs=1e-5)
    assert result.lift_p_value == pytest.approx(0.06191, abs=5e-6)


def test_r1_honesty_fieller_never_contradicts_the_difference():
    # the symmetric delta interval says "maybe nothing", the test on the same data says "something"
    result = compare_means(R1_CONTROL, R1_TREATMENT)
    assert result.p_value < 0.05
    assert result.lift_p_value == pytest.approx(result.p_value)
    assert result.lift_lower > 0
    # not symmetric: the control's noise pushes the upper limit out
    assert result.lift_upper - result.lift > result.lift - result.lift_lower


def test_r2_gbstats_proportions():
    result = compare_means(_bernoulli(14, 28), _bernoulli(16, 30), lift_method="delta")
    assert result.lift == pytest.approx(0.06667, abs=5e-6)
    # gbstats divides the variance of a proportion by n, not n - 1: agreement to a small-sample factor
    control = Level.of(0.5, 0.25 / 28, df=27, n=28)
    treatment = Level.of(16 / 30, (16 / 30) * (14 / 30) / 30, df=29, n=30)
    exact = compare(control, treatment, lift_method="delta")
    assert (exact.lift_lower, exact.lift_upper) == pytest.approx((-0.47767, 0.61101), abs=2e-5)
    assert exact.lift_p_value == pytest.approx(0.80707, abs=2e-5)


def test_r4_posthog_means():
    treatment, control = _sums(2461, 1922.7, 94698.29), _sums(2507, 1196.87, 37377.9767)
    result = compare_means(control, treatment, lift_method="delta")
    assert result.lift == pytest.approx(0.63646, abs=1e-5)
    assert (result.lift_lower, result.lift_upper) == pytest.approx((-0.0875, 1.36048), abs=1e-4)
    assert result.lift_p_value == pytest.approx(0.08487, abs=2e-5)


def test_r4_posthog_proportions():
    result = compare_means(_bernoulli(87, 1529), _bernoulli(62, 1471), lift_method="delta")
    assert result.lift == pytest.approx(-0.25925, abs=1e-5)
    assert (result.lift_lower, result.lift_upper) == pytest.approx((-0.49475, -0.02376), abs=2e-4)
    assert result.lift_p_value == pytest.approx(0.03096, abs=1e-4)


def test_r6_growthbook_delta_variance():
    a, b = Level.of(7.0, 2 / 4), Level.of(5.0, 0.5 / 15)
    result = compare(a, b, lift_method="delta")
    assert result.se**2 == pytest.approx(0.53333, abs=5e-6)
    half_width = (result.lift_upper - result.lift_lower) / 2 / distributions.norm.isf(0.025)
    assert half_width**2 == pytest.approx(0.00589, abs=5e-6)


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40), st.sampled_from(["two_sided", "greater", "less"]))
def test_welch_agrees_with_scipy(seed, n1, n2, alternative):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(5, 2, n1), rng.gamma(2, 3, n2)
    expected = distributions.ttest_ind(b, a, equal_var=False, alternative=alternative.replace("_", "-"))
    interval = expected.confidence_interval(0.9)
    result = compare_means(
        Aggregates.from_rows({"y": a}), Aggregates.from_rows({"y": b}), confidence=0.9, alternative=alternative
    )
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-12)
    assert (result.lower, result.upper) == pytest.approx((interval.low, interval.high), rel=1e-7)
    assert result.df == pytest.approx(expected.df)


@given(st.floats(-5, 5), st.floats(0.01, 2), st.floats(-5, 5), st.floats(0.01, 2), st.floats(-0.9, 0.9))
def test_fieller_limits_solve_the_test(a, sa, b, sb, correlation):
    covariance = correlation * sa * sb
    result = compare(Level.of(a, sa**2), Level.of(b, sb**2), covariance=covariance)
    if result.lift_status != "ok":
        assert abs(a) <= 1.96 * sa * 1.001
        assert np.isnan(result.lift_lower)
        return
    for lift in (result.lift_lower, result.lift_upper):
        ratio = 1 + lift * np.sign(a)
        variance = sb**2 + ratio**2 * sa**2 - 2 * ratio * covariance
        assert (b - ratio * a) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-3, abs=1e-6)
    assert result.lift_lower <= result.lift <= result.lift_upper
    assert (result.lift_lower > 0 or result.lift_upper < 0) == (result.p_value < 0.05)


def test_symmetry_of_arms():
    there, back = compare_means(R1_CONTROL, R1_TREATMENT), compare_means(R1_TREATMENT, R1_CONTROL)
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower))
    assert 1 + there.lift_lower == pytest.approx(1 / (1 + back.lift_upper))


def test_units_do_not_matter():
    cents = compare_means(_sums(3407, 139687, 523779767), _sums(3461, 242270, 1346982900))
    euros = compare_means(R1_CONTROL, R1_TREATMENT)
    assert cents.p_value == pytest.approx(euros.p_value, rel=1e-6)
    assert cents.lift_upper == pytest.approx(euros.lift_upper, rel=1e-6)
    assert cents.lower == pytest.approx(100 * euros.lower, rel=1e-6)


def test_many_problems_equal_one_by_one():
    rng = np.random.default_rng(5)
    controls = [Aggregates.from_rows({"y": rng.normal(1, 1, n)}) for n in (1, 2, 30, 50)]
    treatments = [Aggregates.from_rows({"y": rng.normal(1, 1, n)}) for n in (5, 2, 31, 1)]
    many = compare_means(stack(controls), stack(treatments))
    for i, (control, treatment) in enumerate(zip(controls, treatments, strict=True)):
        one = compare_means(control, treatment)
        assert (one.status, one.lift_status) == (many.status[i], many.lift_status[i])
        for name in ("difference", "lower", "p_value", "lift_lower", "lift_upper", "df"):
            assert getattr(one, name) == pytest.approx(getattr(many, name)[i], nan_ok=True)


@pytest.mark.parametrize(
    ("control", "treatment", "status"),
    [
        ([], [1.0, 2.0], "not_enough_data"),
        ([1.0], [1.0, 2.0], "not_enough_data"),
        ([1.0, 1.0], [1.0, 1.0], "zero_variance"),
        ([0.0, 0.0], [0.0, 0.0], "zero_variance"),
    ],
)
def test_states_are_answers_not_zeros(control, treatment, status):
    result = compare_means(Aggregates.from_rows({"y": control}), Aggregates.from_rows({"y": treatment}))
    assert result.status == result.lift_status == status
    assert np.isnan([result.p_value, result.lower, result.upper, result.lift_lower]).all()


def test_control_near_zero_has_no_finite_lift():
    result = compare(Level.of(0.01, 1.0), Level.of(1.0, 1.0))
    assert result.lift_status == "unbounded"
    assert np.isnan([result.lift_lower, result.lift_upper]).all()
    assert result.status == "ok"


@pytest.mark.parametrize("lift_method", ["fieller", "log"])
def test_lift_interval_covers_where_delta_does_not(lift_method):
    rng = np.random.default_rng(11)
    runs, n = 4000, 200
    a, b = rng.exponential(1.0, (runs, n)), rng.exponential(1.3, (runs, n))
    control = Aggregates.from_moments(n, a.mean(1), a.var(1, ddof=1))
    treatment = Aggregates.from_moments(n, b.mean(1), b.var(1, ddof=1))
    result = compare_means(control, treatment, lift_method=lift_method)
    covered = ((result.lift_lower <= 0.3) & (result.lift_upper >= 0.3)).mean()
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / runs)
