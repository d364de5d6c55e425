"""Group-sequential tests: published boundaries and operating characteristics, simulation of the read-out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions
from scipy.stats import multivariate_normal

from upswing.stats.brownian import crossing
from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.errors import InvalidInput
from upswing.stats.sequential import (
    conditional_power,
    constant_boundary,
    futility_boundary,
    operating_characteristics,
    read_out,
    repeated_p_values,
    spending_boundary,
)
from upswing.stats.spending import Spending

DAILY = np.arange(1, 15) / 14
DRIFT_80 = distributions.norm.isf(0.025) + distributions.norm.isf(0.2)


@pytest.mark.parametrize(
    ("looks", "error"),
    [
        (1, 0.050),
        (2, 0.083),
        (3, 0.107),
        (4, 0.126),
        (5, 0.142),
        (10, 0.193),
        (14, 0.220),
        (20, 0.248),
        (28, 0.275),
    ],
)
def test_r18_armitage_mcpherson_rowe_peeking(looks, error):
    result = crossing(np.arange(1, looks + 1) / looks, 1.959964, lower=-1.959964)
    assert result.upper.sum() + result.lower.sum() == pytest.approx(error, abs=6e-4)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    [
        (2, 2.178, 1.977),
        (3, 2.289, 2.004),
        (4, 2.361, 2.024),
        (5, 2.413, 2.040),
        (10, 2.555, 2.087),
    ],
)
def test_r19_jennison_turnbull_constants(looks, pocock, obrien_fleming):
    assert constant_boundary(looks).z[-1] == pytest.approx(pocock, abs=6e-4)
    assert constant_boundary(looks, shape="obrien_fleming").z[-1] == pytest.approx(obrien_fleming, abs=6e-4)


@pytest.mark.parametrize(
    "z",
    [
        [2.963, 1.969],
        [3.710, 2.511, 1.993],
        [4.333, 2.963, 2.359, 2.014],
        [4.877, 3.357, 2.680, 2.290, 2.031],
    ],
)
def test_r20_lan_demets_obrien_fleming(z):
    boundary = spending_boundary(np.arange(1, len(z) + 1) / len(z))
    assert boundary.z == pytest.approx(z, abs=6e-4)
    assert boundary.spent[-1] == pytest.approx(0.05)


def _rows_of_r23():
    bonferroni = distributions.norm.isf(0.05 / 14 / 2)
    return [
        (np.full(14, 1.959964), 0.2196, 0.876, 0.47),
        (np.full(14, bonferroni), 0.0219, 0.545, 0.77),
        (constant_boundary(14).z, 0.0500, 0.668, 0.69),
        (spending_boundary(DAILY, spending=Spending("power", 2)).z, 0.0500, 0.766, 0.72),
        (spending_boundary(DAILY, spending=Spending("power", 3)).z, 0.0500, 0.780, 0.75),
        (spending_boundary(DAILY).z, 0.0500, 0.783, 0.76),
    ]


@pytest.mark.parametrize("row", range(6))
def test_r23_fourteen_daily_looks(row):
    z, error, power, stop = _rows_of_r23()[row]
    null, real = crossing(DAILY, z, lower=-z), crossing(DAILY, z, lower=-z, drift=DRIFT_80)
    leaving = real.upper + real.lower
    assert null.upper.sum() + null.lower.sum() == pytest.approx(error, abs=6e-5)
    assert leaving.sum() == pytest.approx(power, abs=6e-4)
    assert leaving @ DAILY + (1 - leaving.sum()) == pytest.approx(stop, abs=6e-3)


def test_r23_critical_values():
    assert spending_boundary(DAILY).z[[1, -1]] == pytest.approx([5.815, 2.103], abs=6e-4)
    assert spending_boundary(DAILY, spending=Spending("power", 2)).z[[0, -1]] == pytest.approx([3.657, 2.198], abs=6e-4)
    assert spending_boundary(DAILY, spending=Spending("power", 3)).z[[0, -1]] == pytest.approx([4.286, 2.113], abs=6e-4)


def test_gsdesign_manual_default_design():
    # R package gsDesign, gsDesign(): k = 3, non-binding, Hwang-Shih-DeCani -4 / -2, alpha 0.025, beta 0.1
    design = futility_boundary(
        [1 / 3, 2 / 3, 1],
        alpha=0.025,
        beta=0.1,
        spending=Spending("hwang_shih_decani", -4),
        beta_spending=Spending("hwang_shih_decani", -2),
    )
    assert design.upper == pytest.approx([3.0107, 2.5465, 1.9992], abs=5e-4)
    assert design.lower == pytest.approx([-0.2387, 0.9411, 1.9992], abs=5e-4)
    assert design.inflation == pytest.approx(1.070, abs=6e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=3), st.floats(-2, 3), st.floats(0.5, 3), st.floats(0.5, 3))
def test_recursion_agrees_with_the_multivariate_normal(steps, drift, high, low):
    times = np.cumsum(steps)
    covariance = np.sqrt(np.minimum.outer(times, times) / np.maximum.outer(times, times))
    inside = multivariate_normal(drift * np.sqrt(times), covariance, abseps=1e-7, releps=1e-7, maxpts=10**6)
    expected = inside.cdf(np.full(3, high), lower_limit=np.full(3, -low), rng=np.random.default_rng(0))
    result = crossing(times, high, lower=-low, drift=drift)
    assert result.stay == pytest.approx(expected, abs=3e-5)
    assert result.stay + result.upper.sum() + result.lower.sum() == pytest.approx(1, abs=1e-8)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0.02, 0.5), min_size=1, max_size=8),
    st.sampled_from(["obrien_fleming", "pocock", "power", "hwang_shih_decani"]),
    st.sampled_from(["two_sided", "greater", "less"]),
)
def test_unequal_looks_over_and_under_run_spend_alpha_exactly(steps, kind, alternative):
    times = np.cumsum(steps)
    plan = spending_boundary(times, alpha=0.05, spending=Spending(kind, 1.5), alternative=alternative, final=True)
    lower = -plan.z if alternative == "two_sided" else None
    result = crossing(times, plan.z, lower=lower)
    assert result.upper.sum() + (result.lower.sum() if lower is not None else 0) == pytest.approx(0.05, abs=1e-6)


def test_two_hundred_looks_keep_their_error():
    times = np.arange(1, 201) / 200
    plan = spending_boundary(times)
    result = crossing(times, plan.z, lower=-plan.z)
    assert result.upper.sum() + result.lower.sum() == pytest.approx(0.05, abs=1e-7)
    # the limit of continuous monitoring is bounded by the reflection principle
    assert 2.19 < plan.z[-1] < 2.2415


def test_first_look_past_the_plan_spends_the_rest():
    plan = spending_boundary([0.5, 0.9, 1.3, 1.6])
    assert plan.spent[2] == plan.spent[3] == pytest.approx(0.05)
    assert plan.z[3] == np.inf


def test_ignoring_futility_never_costs_type_one_error():
    design = futility_boundary([0.25, 0.5, 0.75, 1.0], alpha=0.025, beta=0.2)
    assert crossing(design.information, design.upper).upper.sum() == pytest.approx(0.025, abs=1e-7)
    obeyed = crossing(design.information, design.upper, lower=design.lower, drift=design.drift)
    assert obeyed.upper.sum() == pytest.approx(0.8, abs=1e-5)


def test_conditional_power_averages_to_power():
    plan = spending_boundary([0.4, 1.0], alternative="greater")
    grid = np.linspace(-8, plan.z[0], 2001)
    density = distributions.norm.pdf(grid, 2.5 * np.sqrt(0.4))
    later = np.trapezoid([conditional_power(z, 0.4, plan, drift=2.5) for z in grid] * density, grid)
    total = later + distributions.norm.sf(plan.z[0] - 2.5 * np.sqrt(0.4))
    assert total == pytest.approx(operating_characteristics(plan, drift=2.5).power, abs=1e-5)


def test_one_look_is_the_ordinary_test():
    result = read_out([0.5], [0.2], planned_information=25.0)
    assert result.p_value == pytest.approx(2 * distributions.norm.sf(2.5))
    assert result.median_unbiased == pytest.approx(0.5)
    assert (result.lower, result.upper) == pytest.approx((0.5 - 1.959964 * 0.2, 0.5 + 1.959964 * 0.2), abs=1e-5)


def test_repeated_p_values_agree_with_the_boundary():
    times = np.array([0.3, 0.7, 1.0])
    plan = spending_boundary(times, alpha=0.05)
    # a statistic exactly on the boundary has repeated p = alpha
    assert repeated_p_values(plan.z, times) == pytest.approx(np.full(3, 0.05), abs=1e-5)


@pytest.mark.parametrize("effect", [0.0, 2.8])
def test_readout_after_stopping_is_honest(effect):
    """Stage-wise intervals cover and the estimate is median unbiased although the test stops when it looks good."""
    rng = np.random.default_rng(17)
    times, runs = np.array([0.3, 0.6, 1.0]), 400
    plan = spending_boundary(times, spending=Spending("pocock"))
    steps = np.diff(times, prepend=0)
    covered = too_high = 0
    for _ in range(runs):
        score = np.cumsum(rng.normal(effect * steps, np.sqrt(steps)))
        z = score / np.sqrt(times)
        looks = int(np.argmax(np.abs(z) >= plan.z)) + 1 if (np.abs(z) >= plan.z).any() else 3
        result = read_out(
            score[:looks] / times[:looks],
            1 / np.sqrt(times[:looks]),
            planned_information=1.0,
            spending=Spending("pocock"),
        )
        covered += result.lower <= effect <= result.upper
        too_high += result.median_unbiased > effect
    assert abs(covered / runs - 0.95) < 4 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(too_high / runs - 0.5) < 4 * np.sqrt(0.25 / runs)


def test_sign_flip_mirrors_everything():
    up = read_out([0.4, 0.3], [0.2, 0.1], planned_information=150.0, alternative="greater")
    down = read_out([-0.4, -0.3], [0.2, 0.1], planned_information=150.0, alternative="less")
    assert up.p_value == pytest.approx(down.p_value)
    assert up.median_unbiased == pytest.approx(-down.median_unbiased)
    assert up.lower == pytest.approx(-down.upper)


def test_wrong_calls_are_refused():
    for looks in ([0.5, 0.5], [0.0, 1.0], [0.8, 0.3], []):
        with pytest.raises(InvalidInput):
            spending_boundary(looks)
    with pytest.raises(InvalidInput):
        spending_boundary([1.0], alpha=5)
    with pytest.raises(InvalidInput):
        Spending("power", -1)
    with pytest.raises(InvalidInput):
        read_out([1.0], [0.0], planned_information=1.0)


@pytest.mark.parametrize(("planned", "tuned_for", "error", "power", "stop"), [
    (50_000, 50_000, 0.0098, 0.484, 0.83),
    (50_000, 5_000, 0.0117, 0.422, 0.83),
    (500_000, 5_000, 0.0049, 0.298, 0.89),
])  # fmt: skip
def test_r23_confidence_sequences_pay_for_never_planning(planned, tuned_for, error, power, stop):
    z = confidence_sequence(np.zeros(14), np.ones(14), planned * DAILY, tuned_for=tuned_for).upper
    null, real = crossing(DAILY, z, lower=-z), crossing(DAILY, z, lower=-z, drift=DRIFT_80)
    leaving = real.upper + real.lower
    assert null.upper.sum() + null.lower.sum() == pytest.approx(error, abs=6e-5)
    assert leaving.sum() == pytest.approx(power, abs=6e-4)
    assert leaving @ DAILY + (1 - leaving.sum()) == pytest.approx(stop, abs=6e-3)


def test_r22_r23_statsig_constant_boundary():
    # balanced arms: mixture variance z²/2 times that of the estimate, at every sample size; alpha halved once more
    share = 1.959964**2 / 2
    boundary = np.sqrt(2 * (1 + share) / share * np.log(np.sqrt(1 + share) * 2 / 0.05))
    assert boundary == pytest.approx(3.5845, abs=6e-5)
    null, real = crossing(DAILY, 3.5845, lower=-3.5845), crossing(DAILY, 3.5845, lower=-3.5845, drift=DRIFT_80)
    leaving = real.upper + real.lower
    assert null.upper.sum() + null.lower.sum() == pytest.approx(0.0025, abs=6e-5)
    assert leaving.sum() == pytest.approx(0.276, abs=6e-4)
    assert leaving @ DAILY + (1 - leaving.sum()) == pytest.approx(0.91, abs=6e-3)
