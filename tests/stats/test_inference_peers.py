"""Other libraries as live oracles, where they are installed, on the data their own documents use."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.aggregates import Aggregates
from upswing.stats.cuped import compare_adjusted
from upswing.stats.means import compare_means
from upswing.stats.ratio import compare_ratios
from upswing.stats.sequential import spending_boundary
from upswing.stats.spending import Spending


def _users(*, covariates: bool) -> tuple[Aggregates, Aggregates]:
    tea = pytest.importorskip("tea_tasting")
    table = tea.make_users_data(rng=42, covariates=covariates)
    columns = {name: np.asarray(table[name].to_numpy(), dtype=float) for name in table.column_names}
    variant = columns.pop("variant")
    columns.pop("user")
    control, treatment = (Aggregates.from_rows({k: v[variant == arm] for k, v in columns.items()}) for arm in (0, 1))
    return control, treatment


def test_r8_tea_tasting_orders_per_user():
    control, treatment = _users(covariates=False)
    result = compare_means(control, treatment, column="orders", lift_method="log")
    assert result.control == pytest.approx(0.5304003954522986)
    assert result.treatment == pytest.approx(0.5730905412240769)
    assert (result.lower, result.upper) == pytest.approx((-0.010800201598205522, 0.09618049314176216))
    assert result.statistic == pytest.approx(1.5647028839586707)
    assert result.p_value == pytest.approx(0.11773177998716207)
    # its relative interval is the log-ratio one
    expected = (-0.019515294044061937, 0.1906880061278886)
    assert (result.lift_lower, result.lift_upper) == pytest.approx(expected, abs=5e-4)


def test_r8_tea_tasting_other_metrics():
    control, treatment = _users(covariates=False)
    sessions = compare_means(control, treatment, column="sessions", lift_method="log")
    assert (sessions.lift, sessions.lift_lower, sessions.lift_upper) == pytest.approx(
        (-0.0066, -0.037, 0.025), abs=6e-4
    )
    assert sessions.p_value == pytest.approx(0.674, abs=6e-4)
    ratio = compare_ratios(control, treatment, numerator="orders", denominator="sessions", lift_method="log")
    assert (ratio.control, ratio.treatment) == pytest.approx((0.266, 0.289), abs=6e-4)
    assert (ratio.lift, ratio.lift_lower, ratio.lift_upper) == pytest.approx((0.088, -0.0089, 0.19), abs=6e-3)
    assert ratio.p_value == pytest.approx(0.0762, abs=6e-5)
    revenue = compare_means(control, treatment, column="revenue", lift_method="log")
    assert (revenue.lift, revenue.lift_lower, revenue.lift_upper) == pytest.approx((0.093, -0.024, 0.22), abs=6e-3)
    assert revenue.p_value == pytest.approx(0.123, abs=6e-4)


def test_r12_tea_tasting_cuped():
    """tea-tasting takes one pooled theta; ours by arm, and counts the noise of the pooled covariate mean."""
    control, treatment = _users(covariates=True)
    orders = compare_adjusted(control, treatment, outcome="orders", covariates=["orders_covariate"])
    assert orders.unadjusted.p_value == pytest.approx(0.118, abs=6e-4)
    assert orders.adjusted.p_value == pytest.approx(0.00733, rel=0.15)
    revenue = compare_adjusted(control, treatment, outcome="revenue", covariates=["revenue_covariate"])
    assert revenue.adjusted.p_value == pytest.approx(0.00674, rel=0.15)
    ratio = compare_adjusted(
        control, treatment, outcome="orders", denominator="sessions",
        covariates=["orders_covariate", "sessions_covariate"],
    )  # fmt: skip
    assert ratio.adjusted.p_value < 0.005
    assert ratio.adjusted.lift == pytest.approx(0.12, abs=0.01)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_spotify_confidence_boundaries():
    solver = pytest.importorskip("spotify_confidence.analysis.frequentist.sequential_bound_solver")
    times = np.array([0.1, 0.35, 0.5, 0.8, 1.0])
    theirs = solver.bounds(times, alpha=0.05, rho=2.0, ztrun=8.0, sides=2, max_nints=1000).bounds
    ours = spending_boundary(times, spending=Spending("power", 2)).z
    assert ours == pytest.approx(np.asarray(theirs), abs=2e-4)


def test_gbstats_absolute_difference():
    tests = pytest.importorskip("gbstats.frequentist.tests")
    statistics = pytest.importorskip("gbstats.models.statistics")
    rng = np.random.default_rng(1)
    a, b = rng.exponential(1, 300), rng.exponential(1.2, 250)
    arms = [statistics.SampleMeanStatistic(n=x.size, sum=x.sum(), sum_squares=(x**2).sum()) for x in (a, b)]
    config = tests.FrequentistConfig(difference_type="absolute")
    theirs = tests.TwoSidedTTest(arms[0], arms[1], config).compute_result()
    ours = compare_means(Aggregates.from_rows({"y": a}), Aggregates.from_rows({"y": b}))
    assert ours.p_value == pytest.approx(theirs.p_value)
    assert (ours.lower, ours.upper) == pytest.approx(tuple(theirs.ci))
