"""Series: published NAB vectors and run lengths, slow twins of change points, coverage of baselines."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.realdata import data_file

from upswing.stats import series
from upswing.stats.errors import InvalidInput, ShapeMismatch

WINDOWS = [(400, 419), (800, 819)]


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [([], -2), ([400, 800], 2), ([410, 800], 1.85979), ([400, 424, 800], 1.93653), ([200, 400, 800], 1.89)],
)
def test_nab_toy_scores(alarms, expected):
    assert series.nab_score(alarms, WINDOWS, n=1000).raw == pytest.approx(expected, abs=5e-6)


def test_nab_sweeper_scaled_sigmoid():
    values = [series._sigmoid(y) for y in (-1, -0.5, 0, 1, 3.1)]
    assert values == pytest.approx([0.98661, 0.84828, 0, -0.98661, -1], abs=5e-6)


def test_nab_totals_of_two_detectors_normalise_to_the_published_scores():
    # Corpus sums of raw scores over 116 windows, from the result files of Windowed Gaussian and CAD OSE.
    for raw, published in ((-24.0131, 39.65), (46.1670, 69.90)):
        corpus = series.NabScore(raw, 116, -116, 0, 0, 116, "nab") + series.nab_score([], [], n=10)
        assert corpus.normalised == pytest.approx(published, abs=5e-3)


def windowed_gaussian(values):
    """The benchmark's own reference detector: one minus the normal tail of a value given a sliding window's moments."""
    score, mean, spread = np.zeros(values.size), 0.0, 1.0
    for i, value in enumerate(values):
        if i:
            score[i] = 1 - 0.5 * math.erfc(abs(value - mean) / spread / 1.4142)
        if i < 6400 or (i - 6399) % 100 == 0:
            window = values[max(i - 6399, 0) : i + 1]
            mean, spread = window.mean(), window.std() or 1e-6
    return score


@pytest.mark.realdata
def test_nab_windowed_gaussian_on_the_advertising_series():
    # Scores per file and for the six series from the benchmark's own result files.
    published = {"4_cpm": 1.27471, "3_cpc": 2.50266, "2_cpc": -1.0}
    windows = json.loads(data_file("nab/combined_windows.json").read_text())
    table = pq.read_table(
        data_file("nab/nab_all_series.parquet"),
        filters=[("series", ">=", "realAdExchange/"), ("series", "<", "realAe")],
    )
    names, values = table["series"].to_numpy(zero_copy_only=False), table["value"].to_numpy()
    times = table["timestamp"].to_numpy().astype("datetime64[s]")
    total, count = 0.0, 0
    for name in np.unique(names):
        mine = names == name
        labelled = [
            tuple(np.searchsorted(times[mine], np.datetime64(edge[:19])).item() for edge in window)
            for window in windows[name]
        ]
        alarms = np.flatnonzero(windowed_gaussian(values[mine]) >= 1.0)  # the threshold of its published run
        score = series.nab_score(alarms, labelled, n=int(mine.sum()))
        short = name.split("exchange-")[1].removesuffix("_results.csv")
        if short in published:
            assert score.raw == pytest.approx(published[short], abs=6e-6)
        total, count = total + score.raw, count + len(labelled)
    assert count == 14
    assert 100 * (total + count) / (2 * count) == pytest.approx(56.90, abs=6e-3)


def test_nab_profiles_and_probation():
    assert series.nab_score([], WINDOWS, n=1000, profile=series.NAB_LOW_FALSE_NEGATIVES).raw == -4
    costly = series.nab_score([200, 400, 800], WINDOWS, n=1000, profile=series.NAB_LOW_FALSE_POSITIVES)
    assert costly.raw == pytest.approx(2 - 0.22)
    assert series.nab_score([149, 400, 800], WINDOWS, n=1000).raw == 2  # within the first 15 %
    assert np.isnan(series.nab_score([], [], n=10).normalised)
    with pytest.raises(InvalidInput):
        series.nab_score([1], [(5, 9), (8, 12)], n=20)
    with pytest.raises(InvalidInput):
        series.nab_score([20], [], n=20)


def test_montgomery_table_cusum_run_lengths():
    rng, runs = np.random.default_rng(1), 1500
    calm = series.cusum(rng.normal(size=(runs, 4000)), target=0, scale=1).first_alarm + 1
    assert (calm > 0).all()
    assert calm.mean() == pytest.approx(465, abs=4 * 465 / np.sqrt(runs))
    shifted = series.cusum(rng.normal(1, 1, size=(runs, 200)), target=0, scale=1).first_alarm + 1
    assert shifted.mean() == pytest.approx(10.4, abs=0.5)


def test_lucas_saccucci_1990_ewma_run_length():
    rng, runs = np.random.default_rng(2), 1500
    first = series.ewma(rng.normal(size=(runs, 5000)), target=0, scale=1).first_alarm + 1
    # Published for fixed limits: 500. Limits that start narrow alarm earlier, by a few per cent.
    assert 430 < first.mean() < 530


def optimal_partition(z, penalty, min_size):
    """Try every last change point, for every prefix."""
    n = len(z)
    best, cuts = {0: -penalty}, {0: []}
    for end in range(1, n + 1):
        for start in range(end - min_size + 1):
            if start not in best:
                continue
            segment = z[start:end]
            value = best[start] + ((segment - segment.mean()) ** 2).sum() + penalty
            if end not in best or value < best[end] - 1e-12:
                best[end], cuts[end] = value, cuts[start] + ([start] if start else [])
    return best[n], cuts[n]


@given(st.lists(st.floats(-5, 5), min_size=6, max_size=24), st.floats(0.5, 10), st.integers(1, 3))
@settings(deadline=None)
def test_change_points_are_optimal(values, penalty, min_size):
    y = np.array(values)
    result = series.change_points(y, penalty=penalty, min_size=min_size, scale=1.0)
    optimum, _ = optimal_partition(y - y.mean(), penalty, min_size)
    segments = np.split(y, result.indices)
    mine = sum(((s - s.mean()) ** 2).sum() for s in segments) + penalty * len(result.indices)
    assert min(len(s) for s in segments) >= min_size
    assert mine == pytest.approx(optimum, abs=1e-6)


def test_no_change_is_rarely_called_one():
    rng = np.random.default_rng(0)
    wrong = [series.change_points(rng.normal(size=150)).indices.size > 0 for _ in range(200)]
    assert np.mean(wrong) < 0.05


def test_nile_1898():
    flow = json.loads(data_file("tcpd/nile.json").read_text())
    values = np.array(flow["series"][0]["raw"], dtype=float)
    cuts = series.change_points(values).indices
    # The dam at Aswan, 1898; the series starts in 1871 (Cobb 1978).
    assert cuts.tolist() == [28]


def weekly(rng, n, noise=5.0):
    day = np.arange(n)
    return 200 + 0.1 * day + np.array([0, 5, 8, 6, 20, 60, 45])[day % 7] + rng.normal(0, noise, n)


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_baseline_covers_single_values(confidence):
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(60):
        y = weekly(rng, 250)
        base = series.seasonal_baseline(y, confidence=confidence)
        known = base.status == "ok"
        inside.append(((base.lower <= y) & (y <= base.upper))[known].mean())
    error = np.std(inside) / np.sqrt(60)
    assert np.mean(inside) == pytest.approx(confidence, abs=max(4 * error, 0.025))


def test_baseline_sees_only_the_past_and_shrugs_off_an_outlier():
    rng = np.random.default_rng(6)
    y = weekly(rng, 140)
    base = series.seasonal_baseline(y)
    changed = y.copy()
    changed[100:] += 1e6
    assert series.seasonal_baseline(changed).expected[:101] == pytest.approx(base.expected[:101], nan_ok=True)
    spiked = y.copy()
    spiked[90] += 1e6
    assert np.abs(series.seasonal_baseline(spiked).expected - base.expected)[91:].max() < 10
    assert series.seasonal_baseline(spiked).score[90] > 1000


def test_baseline_does_not_depend_on_units():
    y = weekly(np.random.default_rng(7), 100)
    base, scaled = series.seasonal_baseline(y), series.seasonal_baseline(3 * y + 7)
    assert scaled.expected == pytest.approx(3 * base.expected + 7, nan_ok=True)
    assert scaled.score == pytest.approx(base.score, nan_ok=True)


def test_holidays_are_expected_from_earlier_ones_and_do_not_bend_the_rest():
    rng = np.random.default_rng(8)
    y = weekly(rng, 200)
    names = [None] * 200
    for day in (60, 110, 160):
        y[day] += 500
        names[day] = "new year"
    base = series.seasonal_baseline(y, holidays=names)
    assert base.status[60] == "not_enough_data"
    assert base.expected[160] == pytest.approx(y[160], abs=40)
    assert abs(base.score[161:]).max() < 6


def test_missing_days_and_flat_series():
    y = weekly(np.random.default_rng(9), 120)
    y[[50, 51, 52]] = np.nan
    base = series.seasonal_baseline(y)
    assert np.isfinite(base.expected[60:]).all()
    flat = series.seasonal_baseline([5.0] * 100)
    assert flat.status[-1] == "zero_variance"
    assert flat.expected[-1] == 5
    assert (series.seasonal_baseline([1.0] * 10).status == "not_enough_data").all()


def test_decomposition_adds_up_and_finds_the_season():
    y = weekly(np.random.default_rng(10), 210)
    parts = series.decompose(y)
    known = ~np.isnan(parts.trend)
    assert (parts.trend + parts.seasonal + parts.remainder)[known] == pytest.approx(y[known])
    pattern = np.array([0, 5, 8, 6, 20, 60, 45])
    assert parts.seasonal[:7] == pytest.approx(pattern - pattern.mean(), abs=4)
    assert parts.strength > 0.8
    assert series.decompose(np.arange(5.0)).status == "not_enough_data"


def test_wrong_calls_are_refused():
    with pytest.raises(InvalidInput):
        series.seasonal_baseline([1.0], cycles=2)
    with pytest.raises(InvalidInput):
        series.seasonal_baseline([1.0], period=1)
    with pytest.raises(ShapeMismatch):
        series.seasonal_baseline([1.0, 2.0], holidays=[None])
    with pytest.raises(InvalidInput):
        series.change_points([1.0, np.nan])
    with pytest.raises(InvalidInput):
        series.cusum([1.0], target=0, scale=0)
    assert series.change_points([1.0]).status == "not_enough_data"
    assert series.change_points([1.0] * 9).status == "zero_variance"
