"""Boosted trees: an exhaustive twin for the split, curves no line can follow, and uplift with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upswing.stats.boosting import boosted_trees
from upswing.stats.crossfit import out_of_fold, ridge
from upswing.stats.errors import InvalidInput
from upswing.stats.uplift import doubly_robust_scores, estimate_uplift, rate


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-5, 5)), min_size=8, max_size=19))
@settings(deadline=None, max_examples=60)
def test_a_stump_is_the_best_of_all_splits(rows):
    # below 20 rows nothing is held back
    x, y = np.array([r[:2] for r in rows], float), np.array([r[2] for r in rows], float)
    predict = boosted_trees(rounds=1, depth=1, rate=0.999999, min_leaf=2, penalty=0.0)(x, y)
    best = ((y - y.mean()) ** 2).sum()
    for column in range(2):
        for value in np.unique(x[:, column])[:-1]:
            low = x[:, column] <= value
            if low.sum() >= 2 and (~low).sum() >= 2:
                best = min(best, ((y[low] - y[low].mean()) ** 2).sum() + ((y[~low] - y[~low].mean()) ** 2).sum())
    assert ((y - predict(x)) ** 2).sum() == pytest.approx(best, rel=1e-3, abs=1e-6)


def test_steps_and_interactions_that_a_line_cannot_follow():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (3000, 4))
    truth = np.where(x[:, 0] > 0, 2.0, 0.0) * (x[:, 1] > 0.3) + x[:, 2] ** 2
    y = truth + rng.normal(0, 0.5, 3000)
    trees = out_of_fold(x, y, learner=boosted_trees(), rng=0)
    line = out_of_fold(x, y, learner=ridge(), rng=0)
    assert ((trees - truth) ** 2).mean() < 0.15 * ((line - truth) ** 2).mean()


def test_noise_teaches_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2000, 5)), rng.normal(size=2000)
    predict = boosted_trees()(x, y)
    assert predict(rng.normal(size=(1000, 5))).std() < 0.15


def test_monotone_changes_of_a_feature_do_not_matter():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 2))
    y = np.abs(x[:, 0]) + 0.1 * rng.normal(size=500)
    one, other = boosted_trees()(x, y)(x), boosted_trees()(np.exp(x), y)(np.exp(x))
    assert one == pytest.approx(other)


def test_uplift_with_trees_finds_a_step():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (4000, 3))
    w = (rng.random(4000) < 0.5).astype(float)
    y = x[:, 1] ** 2 + w * np.where(np.abs(x[:, 0]) < 0.4, 1.0, -0.2) + rng.normal(0, 1, 4000)
    trees = boosted_trees(depth=2)
    scores = doubly_robust_scores(x, y, w, regressor=trees, rng=1)
    found = rate(estimate_uplift(x, y, w, learner="dr", regressor=trees, rng=0), scores, rng=2)
    straight = rate(estimate_uplift(x, y, w, learner="dr", rng=0), scores, rng=2)
    assert found.lower > 0.1
    assert straight.estimate < found.lower


def test_states_and_wrong_calls():
    flat = boosted_trees()(np.ones((50, 1)), np.arange(50.0))
    assert flat(np.ones((2, 1))) == pytest.approx([24.5, 24.5])
    few = boosted_trees()(np.array([[1.0], [2.0]]), np.array([3.0, 5.0]))
    assert few(np.array([[9.0]])) == pytest.approx([4.0])
    for wrong in ({"rounds": 0}, {"depth": 0}, {"rate": 1.5}, {"bins": 1}, {"penalty": -1}):
        with pytest.raises(InvalidInput):
            boosted_trees(**wrong)
