"""Ratios: the delta method against an influence-function oracle on the rows, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.aggregates import Aggregates, stack
from upswing.stats.ratio import compare_ratios, ratio_level


def _users(rng, n, rate):
    sessions = 1 + rng.poisson(2, n)
    chance = rng.beta(20 * rate, 20 * (1 - rate), n)
    return rng.binomial(sessions, chance).astype(float), sessions.astype(float)


def _moments(clicks, views):
    return Aggregates.from_rows({"clicks": clicks, "views": views})


def test_variance_is_that_of_the_linearised_ratio():
    clicks, views = _users(np.random.default_rng(1), 400, 0.3)
    level = ratio_level(_moments(clicks, views), "clicks", "views")
    influence = (clicks - level.value * views) / views.mean()
    assert level.value == pytest.approx(clicks.sum() / views.sum())
    assert level.variance == pytest.approx(influence.var(ddof=1) / 400)


def test_false_positives_are_nominal_although_sessions_cluster_in_users():
    rng = np.random.default_rng(2)
    runs = 1500
    a, b = (stack([_moments(*_users(rng, 300, 0.3)) for _ in range(runs)]) for _ in range(2))
    rejected = (compare_ratios(a, b, numerator="clicks", denominator="views").p_value < 0.05).mean()
    assert abs(rejected - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_proportional_columns_have_no_noise():
    views = np.array([1.0, 2.0, 3.0])
    result = compare_ratios(_moments(views, views), _moments(views, views), numerator="clicks", denominator="views")
    assert result.difference == 0
    assert result.status == "zero_variance"


def test_empty_denominator_is_not_known():
    nothing = _moments([0.0, 0.0], [0.0, 0.0])
    some = _moments([1.0, 0.0], [1.0, 2.0])
    result = compare_ratios(nothing, some, numerator="clicks", denominator="views")
    assert result.status == "not_enough_data"
    assert np.isnan(result.p_value)
