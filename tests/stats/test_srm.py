"""Sample ratio mismatch: published p-values and error of the sequential test."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.srm import localise, sample_ratio, sequential_sample_ratio

HALF = [0.5, 0.5]


@pytest.mark.parametrize(
    ("counts", "weights", "p_value"),
    [
        ([1000, 1200], HALF, 0.000020079),
        ([135, 115], HALF, 0.205903211),
        ([310, 98], [0.75, 0.25], 0.647434186),
        ([500, 500, 600], [0.34, 0.33, 0.33], 0.000592638),
        ([0, 10, 10], [0.34, 0.33, 0.33], 0.005790624),
    ],
)
def test_r24_growthbook(counts, weights, p_value):
    assert sample_ratio(counts, weights).p_value == pytest.approx(p_value, abs=6e-10)


def test_r24_zero_weight_arm_is_left_out_and_told():
    # gbstats 0.8.0 keeps the 900 stray users in the total and one degree of freedom too many
    result = sample_ratio([1000, 1200, 900], [0.5, 0.5, 0])
    assert result.p_value == pytest.approx(0.000020079, abs=6e-10)
    assert (result.df, result.status) == (1, "unexpected_arm")


def test_r24_nobody_is_not_a_pass():
    # growthbook answers 1; with no user there is no answer
    result = sample_ratio([0, 0], HALF)
    assert np.isnan(result.p_value)
    assert result.status == "not_enough_data"


@pytest.mark.parametrize(
    ("counts", "p_value", "tolerance"),
    [
        ([44_000, 45_000], 0.00080, 5e-6),
        ([600, 400], 2.54e-10, 1e-12),
        ([821_588, 815_482], 1.8e-6, 1e-7),
        ([44_700, 45_489], 0.0086, 5e-5),
    ],
)
def test_r10_r25_published_mismatches(counts, p_value, tolerance):
    assert sample_ratio(counts, HALF).p_value == pytest.approx(p_value, abs=tolerance)


@pytest.mark.parametrize(
    ("counts", "flat", "weak", "strong"),
    [
        ([1000, 1200], 0.00418, 0.00079, 0.0034),
        ([821_588, 815_482], 0.0116, 0.00146, 0.00046),
        ([44_700, 45_489], 1.0, 0.959, 0.315),
        ([600, 400], 4.6e-8, 3.8e-8, 6.3e-5),
    ],
)
def test_r26_lindon_malek(counts, flat, weak, strong):
    assert sequential_sample_ratio(counts, HALF, uniform_prior=True).p_value == pytest.approx(flat, rel=0.015)
    assert sequential_sample_ratio(counts, HALF, concentration=100).p_value == pytest.approx(weak, rel=0.015)
    assert sequential_sample_ratio(counts, HALF).p_value == pytest.approx(strong, rel=0.015)


def test_watching_after_every_user_keeps_the_error():
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(400):
        arm = rng.random(2000) < 0.3
        counts = np.column_stack([np.cumsum(arm), np.cumsum(~arm)])
        alarms += sequential_sample_ratio(counts, [0.3, 0.7]).p_value[-1] < 0.05
    assert alarms / 400 < 0.05


def test_p_value_never_rises():
    result = sequential_sample_ratio([[100, 200], [300, 300], [1000, 1000]], HALF)
    assert (np.diff(result.p_value) <= 0).all()


def test_localiser_finds_the_broken_platform():
    rng = np.random.default_rng(6)
    platform = np.array([[5000, 5050], [2000, 2400], [3010, 2990]])
    country = rng.multinomial(platform.sum(), [0.5, 0.3, 0.2])[:, None] * np.array(HALF)
    found = localise({"country": (["a", "b", "c"], country), "platform": (["web", "ios", "android"], platform)}, HALF)
    assert (found[0].dimension, found[0].value) == ("platform", "ios")
    assert found[0].adjusted_p < 1e-6
    assert found[0].p_value_without > 0.5
    assert found[0].excess == pytest.approx([-200, 200])
    assert all(suspect.adjusted_p > 0.05 for suspect in found[1:])


def test_labels_do_not_matter():
    assert sample_ratio([10, 30, 20], [0.2, 0.5, 0.3]).p_value == pytest.approx(
        sample_ratio([20, 10, 30], [0.3, 0.2, 0.5]).p_value
    )


@pytest.mark.parametrize(
    ("counts", "weights", "error"),
    [
        ([1, 2], [0.5, 0.6], InvalidInput),
        ([-1, 2], HALF, InvalidInput),
        ([1], [1.0], InvalidInput),
        ([1, 2, 3], HALF, ShapeMismatch),
        ([1, np.nan], HALF, InvalidInput),
        ([1, np.inf], HALF, InvalidInput),
    ],
)
def test_wrong_calls_are_refused(counts, weights, error):
    with pytest.raises(error):
        sample_ratio(counts, weights)


def test_shrinking_counts_are_refused():
    with pytest.raises(InvalidInput, match="counts fall"):
        sequential_sample_ratio([[10, 10], [9, 12]], HALF)
