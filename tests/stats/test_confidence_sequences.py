"""Confidence sequences: published limits, widths, and error under continuous peeking."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from upswing.stats.aggregates import Aggregates
from upswing.stats.confidence_sequences import confidence_sequence, watch_deterioration
from upswing.stats.errors import InvalidInput
from upswing.stats.means import compare_means

# R16: the sums of R1 with 3 000 instead of 3 407 users in the control
CONTROL = Aggregates.from_sums(3000, {"y": 1396.87}, squares={"y": 52377.9767})
TREATMENT = Aggregates.from_sums(3461, {"y": 2422.7}, squares={"y": 134698.29})


def _delta_lift():
    result = compare_means(CONTROL, TREATMENT, lift_method="delta")
    se = (result.lift_upper - result.lift_lower) / 2 / distributions.t.isf(0.025, result.df)
    return result.lift, se


def test_r16_gbstats_two_sided():
    lift, se = _delta_lift()
    result = confidence_sequence(lift, se, 6461, tuned_for=1000)
    assert lift == pytest.approx(0.50336, abs=1e-5)
    assert (result.lower, result.upper) == pytest.approx((-0.55844, 1.56516), abs=2e-5)


def test_r16_gbstats_one_sided():
    lift, se = _delta_lift()
    result = confidence_sequence(lift, se, 6461, tuned_for=5000, alternative="greater")
    assert (result.lower, result.upper) == pytest.approx((-0.42356, np.inf), abs=2e-5)
    difference = compare_means(CONTROL, TREATMENT)
    absolute = confidence_sequence(difference.difference, difference.se, 6461, tuned_for=5000, alternative="greater")
    assert absolute.lower == pytest.approx(-0.12657, abs=2e-5)


@pytest.mark.parametrize(
    ("n", "ratio"), [(500, 1.967), (1000, 1.716), (5000, 1.549), (50_000, 1.654), (500_000, 1.817)]
)
def test_r17_width_against_the_fixed_interval(n, ratio):
    result = confidence_sequence(0.0, 1.0, n, tuned_for=5000)
    assert result.upper / 1.959964 == pytest.approx(ratio, abs=6e-4)


def test_r17_badly_tuned():
    assert confidence_sequence(0.0, 1.0, 500, tuned_for=50_000).upper / 1.959964 == pytest.approx(4.635, abs=6e-4)


@pytest.mark.parametrize("alternative", ["two_sided", "greater", "less"])
def test_p_value_agrees_with_the_interval(alternative):
    for z in (-4.0, -3.2, -1.0, 0.5, 2.9, 3.05, 3.3, 4.0):
        result = confidence_sequence(z, 1.0, 4000, alternative=alternative)
        assert (result.p_value < 0.05) == (result.lower > 0 or result.upper < 0)


@pytest.mark.parametrize("alternative", ["two_sided", "greater"])
def test_watching_for_ever_keeps_the_error(alternative):
    rng = np.random.default_rng(9)
    runs, steps = 2000, 1500
    paths = rng.standard_exponential((runs, steps)) - 1
    n = np.arange(1, steps + 1)
    mean = paths.cumsum(1) / n
    se = np.sqrt(np.maximum((paths**2).cumsum(1) / n - mean**2, 1e-12) / n)
    late = n >= 100  # asymptotic: the first looks need some users
    result = confidence_sequence(mean[:, late], se[:, late], n[late], tuned_for=500, alternative=alternative)
    missed = ((result.lower > 0) | (result.upper < 0)).any(axis=1).mean()
    assert missed < 0.05


def test_deterioration_splits_its_error_and_knows_the_direction():
    watch = watch_deterioration([0.6, 0.6], [0.1, 0.1], 4000, better_up=[True, False])
    assert watch.alarm.tolist() == [False, True]
    assert watch.alpha_each == pytest.approx(0.025)
    assert watch.bound[1] > 0


def test_states():
    result = confidence_sequence([1.0, 1.0, np.nan], [0.0, 1.0, 1.0], [10, 0, 10])
    assert result.status.tolist() == ["zero_variance", "not_enough_data", "not_enough_data"]
    assert np.isnan(result.lower).all()
    assert np.isnan(result.p_value).all()
    with pytest.raises(InvalidInput):
        confidence_sequence(0.0, 1.0, 10, tuned_for=0)


def test_r16_gbstats_p_value():
    # gbstats finds its p-value by a coarse root search (0.46316); the closed form is a hair lower
    difference = compare_means(CONTROL, TREATMENT)
    result = confidence_sequence(difference.difference, difference.se, 6461, alternative="greater")
    assert result.p_value == pytest.approx(0.46316, abs=2e-4)
