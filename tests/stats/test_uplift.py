"""Uplift: published curves, scikit-uplift, error and coverage of RATE, learners that find the effect."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.crossfit import ridge
from upswing.stats.errors import InvalidInput
from upswing.stats.uplift import doubly_robust_scores, estimate_uplift, gain_curve, rate, uplift_bins


@pytest.mark.parametrize(("y", "t", "expected"), [([0, 1], [1, 0], 0.0), ([1, 0], [0, 1], 1.0)])
def test_r37_scikit_uplift_uplift_area(y, t, expected):
    assert gain_curve(y, [0.1, 0.3], t, method="uplift").area == pytest.approx(expected)


def test_r37_scikit_uplift_qini_area():
    assert gain_curve([1, 0], [0.1, 0.3], [0, 1], method="qini").area == pytest.approx(1.0)


def test_r37_constant_score_is_one_step():
    uplift = gain_curve([1, 0, 0], [0.5] * 3, [1, 1, 0], method="uplift")
    assert (uplift.users.tolist(), uplift.gain.tolist()) == ([0, 3], [0, 1.5])
    assert gain_curve([1, 0, 0], [0.5] * 3, [1, 1, 0], method="qini").gain.tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_curves_agree_with_scikit_uplift():
    metrics = pytest.importorskip("sklift.metrics")
    rng = np.random.default_rng(1)
    for _ in range(20):
        n = 200
        w, s = rng.integers(0, 2, n), rng.normal(size=n).round(1)
        y = (rng.random(n) < 0.3 + 0.1 * w * (s > 0)).astype(int)
        assert gain_curve(y, s, w, method="qini").area == pytest.approx(metrics.qini_auc_score(y, s, w))
        assert gain_curve(y, s, w, method="uplift").area == pytest.approx(metrics.uplift_auc_score(y, s, w))
        x, values = metrics.qini_curve(y, s, w)
        ours = gain_curve(y, s, w, method="qini")
        assert ours.users == pytest.approx(x)
        assert ours.gain == pytest.approx(values)


def _experiment(rng, n, strength=1.0):
    x = rng.normal(size=(n, 3))
    w = (rng.random(n) < 0.4).astype(float)
    y = x[:, 1] + strength * x[:, 0] * w + rng.normal(size=n)
    return x, y, w


@pytest.mark.parametrize("learner", ["t", "x", "dr"])
def test_learners_find_who_reacts(learner):
    x, y, w = _experiment(np.random.default_rng(2), 3000)
    predicted = estimate_uplift(x, y, w, learner=learner, regressor=ridge(1.0), rng=1)
    assert np.corrcoef(predicted, x[:, 0])[0, 1] > 0.97
    assert np.polyfit(x[:, 0], predicted, 1)[0] == pytest.approx(1.0, abs=0.15)


def test_doubly_robust_scores_average_to_the_effect():
    rng = np.random.default_rng(3)
    errors, claimed = [], []
    for _ in range(200):
        x, y, w = _experiment(rng, 400)
        scores = doubly_robust_scores(x, y + 0.5 * w, w, propensity=0.4, rng=rng)
        errors.append(scores.mean() - 0.5)
        claimed.append(scores.std(ddof=1) / 20)
    assert np.mean(errors) == pytest.approx(0, abs=4 * np.std(errors) / np.sqrt(200))
    assert np.mean(claimed) == pytest.approx(np.std(errors), rel=0.25)


@pytest.mark.parametrize("weighting", ["autoc", "qini"])
def test_rate_of_a_useless_ranking_keeps_its_error(weighting):
    rng = np.random.default_rng(4)
    runs = 300
    rejected = sum(
        rate(rng.normal(size=400), rng.exponential(size=400), weighting=weighting, resamples=120, rng=rng).p_value
        < 0.05
        for _ in range(runs)
    )
    assert rejected / runs < 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)


def test_rate_by_its_definition():
    rng = np.random.default_rng(5)
    score, gamma = rng.normal(size=50), rng.normal(size=50)
    order = np.argsort(-score)
    toc = [gamma[order][: k + 1].mean() - gamma.mean() for k in range(50)]
    assert rate(score, gamma, resamples=100).estimate == pytest.approx(np.mean(toc))
    qini = np.mean([t * (k + 1) / 50 for k, t in enumerate(toc)])
    assert rate(score, gamma, weighting="qini", resamples=100).estimate == pytest.approx(qini)


def test_order_and_units_of_the_score_do_not_matter():
    rng = np.random.default_rng(6)
    score, gamma = rng.integers(0, 5, 100) * 1.0, rng.normal(size=100)
    shuffle = rng.permutation(100)
    there, back = rate(score, gamma, resamples=100), rate(np.exp(score[shuffle]), gamma[shuffle], resamples=100)
    assert there.estimate == pytest.approx(back.estimate)


def test_bins_are_calibrated_when_the_model_is():
    x, y, w = _experiment(np.random.default_rng(7), 20_000)
    result = uplift_bins(y, x[:, 0], w)
    inside = (result.lower <= result.predicted) & (result.predicted <= result.upper)
    assert inside.sum() >= 8
    assert result.n.sum() == 20_000
    assert (np.diff(result.predicted) < 0).all()


def test_area_interval_covers_a_random_ranking():
    rng = np.random.default_rng(8)
    n = 1000
    result = gain_curve(rng.integers(0, 2, n), rng.normal(size=n), rng.integers(0, 2, n), resamples=200)
    assert result.lower < 0 < result.upper


def test_states_and_wrong_calls():
    assert rate([1.0], [1.0]).status == "not_enough_data"
    assert np.isnan(gain_curve([0, 0], [0.1, 0.2], [0, 1]).area)
    with pytest.raises(InvalidInput):
        gain_curve([2.0], [0.1], [1])
    with pytest.raises(InvalidInput):
        estimate_uplift(np.zeros((10, 1)), np.zeros(10), np.ones(10))
    with pytest.raises(InvalidInput):
        uplift_bins([1.0], [1.0], [0.5])
