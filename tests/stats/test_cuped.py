"""CUPED: Lin's regression by least squares as oracle, the published vector, coverage, states."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from upswing.stats.aggregates import Aggregates, stack
from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.crossfit import out_of_fold, ridge
from upswing.stats.cuped import compare_adjusted, compare_stratified, with_missing_indicator
from upswing.stats.errors import InvalidInput


def _rows(rng, n, effect=0.0, slope=1.0):
    x = rng.normal(5, 2, n)
    w = rng.exponential(1, n)
    return {"y": slope * x + 0.5 * w + effect + rng.normal(size=n), "x": x, "w": w}


def test_estimate_is_lins_interacted_regression():
    rng = np.random.default_rng(1)
    a, b = _rows(rng, 300, slope=1.0), _rows(rng, 200, effect=0.4, slope=1.6)
    result = compare_adjusted(Aggregates.from_rows(a), Aggregates.from_rows(b), outcome="y", covariates=["x", "w"])
    arm = np.r_[np.zeros(300), np.ones(200)]
    covariates = np.column_stack([np.r_[a[c], b[c]] for c in ("x", "w")])
    centred = covariates - covariates.mean(0)
    design = np.column_stack([np.ones(500), arm, centred, centred * arm[:, None]])
    fitted = sm.OLS(np.r_[a["y"], b["y"]], design).fit(cov_type="HC1")
    assert result.adjusted.difference == pytest.approx(fitted.params[1])
    # HC takes the covariate mean as known; ours adds its noise, (slope gap)² var(x) / N
    gap = fitted.params[4:]
    extra = gap @ np.cov(covariates, rowvar=False) @ gap / 500
    assert result.adjusted.se**2 == pytest.approx(fitted.bse[1] ** 2 + extra, rel=0.03)


def test_r13_gbstats_cuped_with_confidence_sequence():
    def arm(n, post, post2, pre, pre2):
        return Aggregates.from_sums(n, {"y": post, "x": pre}, squares={"y": post2, "x": pre2}, cross={("y", "x"): 1.0})

    a = arm(3000, 1396.87, 52377.9767, 16.87, 527.9767)
    b = arm(3461, 2422.7, 134698.29, 22.7, 1348.29)
    result = compare_adjusted(a, b, outcome="y", covariates=["x"], slopes="pooled", lift_method="delta")
    assert result.control_slopes == pytest.approx([-0.0114032], abs=5e-8)
    lift, low, high = result.adjusted.lift, result.adjusted.lift_lower, result.adjusted.lift_upper
    sequence = confidence_sequence(lift, (high - low) / 2 / 1.9602, 6461, tuned_for=5000)
    assert lift == pytest.approx(0.50338, abs=2e-5)
    assert (sequence.lower, sequence.upper) == pytest.approx((-0.50970, 1.51647), abs=3e-4)


def _ratio_arm(n, m, m2, d, d2, mp, mp2, dp, dp2, m_mp, d_dp, mp_dp, m_d, m_dp, mp_d):
    return Aggregates.from_sums(
        n, {"m": m, "d": d, "mp": mp, "dp": dp}, squares={"m": m2, "d": d2, "mp": mp2, "dp": dp2},
        cross={("m", "mp"): m_mp, ("d", "dp"): d_dp, ("mp", "dp"): mp_dp, ("m", "d"): m_d, ("m", "dp"): m_dp,
               ("mp", "d"): mp_d},
    )  # fmt: skip


def test_r13_gbstats_ratio_with_cuped():
    """gbstats takes one slope on the linearised pre-period ratio; ours one on each of its two parts.

    Two slopes contain the one, so ours must be at least as precise and agree within the noise that is left.
    """
    a = _ratio_arm(
        100, 485.112236689623, 2715.484666118136, 679.9093275844917, 4939.424001640236, 192.59138069991536,
        460.076026390857, 290.1398399750233, 920.9461385038898, 1113.6215759318352, 2130.9404074446747,
        634.239482353647, 3602.146836776702, 1559.2878434944676, 1460.3181079276983,
    )  # fmt: skip
    b = _ratio_arm(
        100, 514.7757826608777, 2994.897482705013, 705.4090874383759, 5291.36604146392, 206.94157227402536,
        514.2903702246757, 302.54389139107326, 994.4506208125663, 1237.0953021125997, 2292.081739775257,
        698.4173425817908, 3918.1561431600717, 1701.0287270040265, 1604.0759503266522,
    )  # fmt: skip
    result = compare_adjusted(
        a, b, outcome="m", denominator="d", covariates=["mp", "dp"], slopes="pooled", lift_method="delta"
    ).adjusted
    published, half = -0.0007, (0.00700 + 0.00841) / 2
    ours = (result.lift_upper - result.lift_lower) / 2
    assert 0.7 * half < ours <= half
    assert result.lift == pytest.approx(published, abs=np.sqrt(half**2 - ours**2))
    assert result.p_value == pytest.approx(0.85771, abs=0.1)
    # their sequential interval is the confidence sequence around their own estimate
    sequence = confidence_sequence(published, 0.00391, 200, tuned_for=5000)
    assert (sequence.lower, sequence.upper) == pytest.approx((-0.02063, 0.01923), abs=3e-5)


def test_r15_gbstats_three_arms():
    rows = ((3001, 300, 600, 210, 415, -20), (3000, 222, 555, 120, 405, -10), (4000, 450, 900, 300, 600, -30))
    arms = [
        Aggregates.from_sums(n, {"y": y, "x": x}, squares={"y": y2, "x": x2}, cross={("y", "x"): xy})
        for n, y, y2, x, x2, xy in rows
    ]

    def left(arm, slope):  # standard deviation of a user's adjusted value
        products = np.asarray(arm.products)[[0, 0, 1], [0, 1, 1]] / (arm.n - 1)
        variance = {"y": arm.only("y").variance("y"), "x": arm.only("x").variance("x")}
        return np.sqrt(variance["y"] + slope**2 * variance["x"] - 2 * slope * products[1])

    first = compare_adjusted(arms[0], arms[1], outcome="y", covariates=["x"], slopes="pooled")
    second = compare_adjusted(arms[0], arms[2], outcome="y", covariates=["x"], slopes="pooled")
    assert (first.unadjusted.control, first.unadjusted.treatment) == pytest.approx((0.099966678, 0.074))
    assert second.unadjusted.treatment == pytest.approx(0.1125)
    # Published to nine digits with the arms' slopes averaged by variance alone; ours merges the arms' users.
    assert left(arms[1], first.treatment_slopes[0]) == pytest.approx(0.423529598, abs=2e-5)
    assert left(arms[0], second.control_slopes[0]) == pytest.approx(0.434288923, abs=2e-5)
    assert left(arms[2], second.treatment_slopes[0]) == pytest.approx(0.458953951, abs=2e-5)


def test_r14_variance_reduction_is_the_squared_correlation():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 40_000))
    y = 0.7 * x + np.sqrt(1 - 0.49) * rng.normal(size=x.shape)
    arms = [Aggregates.from_rows({"y": y[i], "x": x[i]}) for i in range(2)]
    result = compare_adjusted(*arms, outcome="y", covariates=["x"])
    assert result.variance_reduction == pytest.approx(0.49, abs=0.02)


def test_one_covariate_taken_twice_changes_nothing():
    rng = np.random.default_rng(3)
    rows = [_rows(rng, 100), _rows(rng, 120)]
    once = compare_adjusted(*map(Aggregates.from_rows, rows), outcome="y", covariates=["x"])
    doubled = [Aggregates.from_rows({**r, "x2": 3 * r["x"] + 1, "c": np.ones_like(r["x"])}) for r in rows]
    twice = compare_adjusted(*doubled, outcome="y", covariates=["x", "x2", "c"])
    assert twice.adjusted.difference == pytest.approx(once.adjusted.difference)


@pytest.mark.parametrize("sizes", [(150, 150), (400, 80)])
def test_coverage_with_unequal_slopes(sizes):
    rng = np.random.default_rng(4)
    runs = 2000
    a = stack([Aggregates.from_rows(_rows(rng, sizes[0], slope=1.0)) for _ in range(runs)])
    b = stack([Aggregates.from_rows(_rows(rng, sizes[1], slope=2.0)) for _ in range(runs)])
    result = compare_adjusted(a, b, outcome="y", covariates=["x"]).adjusted
    covered = ((result.lower <= 5.0) & (result.upper >= 5.0)).mean()  # population effect: (2 - 1) × mean of x
    assert abs(covered - 0.95) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_ratio_is_adjusted_too():
    rng = np.random.default_rng(5)
    runs, wins, rejected = 600, 0, 0
    for _ in range(runs):
        arms = []
        for _arm in range(2):
            taste = rng.normal(0, 1, 200)
            views = 1 + rng.poisson(3, 200).astype(float)
            clicks = views * (2 + taste) + rng.normal(0, 0.5, 200)
            arms.append(Aggregates.from_rows({"clicks": clicks, "views": views, "past": taste}))
        result = compare_adjusted(*arms, outcome="clicks", denominator="views", covariates=["past"])
        wins += result.variance_reduction > 0.5
        rejected += result.adjusted.p_value < 0.05
    assert wins == runs
    assert abs(rejected / runs - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_missing_covariates_keep_every_user():
    rng = np.random.default_rng(6)
    x = rng.normal(size=300)
    y = x + rng.normal(size=300)
    seen = np.where(rng.random(300) < 0.3, np.nan, x)
    arms = [
        Aggregates.from_rows({"y": y[part], **with_missing_indicator("x", seen[part])})
        for part in (slice(0, 150), slice(150, 300))
    ]
    result = compare_adjusted(*arms, outcome="y", covariates=["x", "x_missing"])
    assert arms[0].n == 150
    assert 0.1 < result.variance_reduction < 0.6


def test_error_with_missing_covariates_filled_arm_by_arm():
    rng = np.random.default_rng(16)
    runs = 3000

    def arm():
        x = rng.gamma(2, 5, 300)
        y = 0.7 * x + rng.gamma(2, 4, 300)
        return Aggregates.from_rows({"y": y, **with_missing_indicator("x", np.where(rng.random(300) < 0.3, np.nan, x))})

    control, treatment = (stack([arm() for _ in range(runs)]) for _ in range(2))
    result = compare_adjusted(control, treatment, outcome="y", covariates=["x", "x_missing"]).adjusted
    assert abs((result.p_value < 0.05).mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / runs)


def test_cupac_takes_the_same_slot():
    rng = np.random.default_rng(7)
    features = rng.normal(size=(600, 3))
    y = features @ [1.0, -1.0, 0.5] + rng.normal(size=600)
    guess = out_of_fold(features, y, learner=ridge(), rng=1)
    arms = [Aggregates.from_rows({"y": y[p], "guess": guess[p]}) for p in (slice(0, 300), slice(300, 600))]
    assert compare_adjusted(*arms, outcome="y", covariates=["guess"]).variance_reduction > 0.5


def test_post_stratification_equals_the_regression_on_dummies():
    rng = np.random.default_rng(8)
    strata = rng.integers(0, 3, (2, 400))
    y = strata * 2.0 + rng.normal(size=strata.shape)
    y[1] += 0.3
    by_stratum = [Aggregates.from_rows({"y": y[i]}, groups=strata[i], n_groups=3) for i in range(2)]
    dummies = [
        Aggregates.from_rows({"y": y[i], "one": (strata[i] == 1) * 1.0, "two": (strata[i] == 2) * 1.0})
        for i in range(2)
    ]
    ours = compare_stratified(*by_stratum)
    other = compare_adjusted(*dummies, outcome="y", covariates=["one", "two"])
    assert ours.adjusted.difference == pytest.approx(other.adjusted.difference)
    assert ours.adjusted.se == pytest.approx(other.adjusted.se, rel=0.01)


def test_many_problems_equal_one_by_one():
    rng = np.random.default_rng(9)
    a = [Aggregates.from_rows(_rows(rng, n)) for n in (30, 3, 80)]
    b = [Aggregates.from_rows(_rows(rng, n)) for n in (40, 50, 2)]
    many = compare_adjusted(stack(a), stack(b), outcome="y", covariates=["x"]).adjusted
    for i in range(3):
        one = compare_adjusted(a[i], b[i], outcome="y", covariates=["x"]).adjusted
        assert one.status == many.status[i]
        for name in ("difference", "se", "p_value", "lift_lower"):
            assert getattr(one, name) == pytest.approx(getattr(many, name)[i], nan_ok=True)
    assert many.status[2] == "not_enough_data"


def test_constant_covariate_changes_nothing():
    rng = np.random.default_rng(10)
    arms = [Aggregates.from_rows({"y": rng.normal(size=50), "x": np.ones(50)}) for _ in range(2)]
    result = compare_adjusted(*arms, outcome="y", covariates=["x"])
    assert result.adjusted.difference == pytest.approx(result.unadjusted.difference)
    with pytest.raises(InvalidInput):
        compare_adjusted(*arms, outcome="y", covariates=[])
    with pytest.raises(InvalidInput):
        compare_adjusted(*arms, outcome="z", covariates=["x"])
