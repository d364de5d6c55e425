"""Policy value and budgets: unbiasedness by simulation, exhaustive search for the knapsack."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.stats.errors import InvalidInput
from upswing.stats.policy import allocate, policy_value

TRUTH = np.array([0.1, 0.5, 0.3])


def _log(rng, n):
    context = rng.random(n)
    propensity = np.column_stack([0.6 - 0.3 * context, 0.2 + 0.1 * context, 0.2 + 0.2 * context])
    action = (rng.random(n)[:, None] > propensity.cumsum(1)).sum(1)
    mean = TRUTH * (0.5 + context[:, None])
    reward = mean[np.arange(n), action] + rng.normal(0, 0.5, n)
    return reward, action, propensity[np.arange(n), action], mean


@pytest.mark.parametrize("estimator", ["ips", "snips", "doubly_robust"])
def test_unbiased_and_covering(estimator):
    rng = np.random.default_rng(1)
    runs, truth = 600, 0.2 * 0.1 + 0.5 * 0.5 + 0.3 * 0.3
    target = np.array([0.2, 0.5, 0.3])
    values, covered = [], 0
    for _ in range(runs):
        reward, action, propensity, mean = _log(rng, 500)
        result = policy_value(
            reward, action, propensity, np.tile(target, (500, 1)), model=mean + 0.2, estimator=estimator
        )
        values.append(result.value)
        covered += result.lower <= truth <= result.upper
    assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(runs))
    assert abs(covered / runs - 0.95) < 4 * np.sqrt(0.05 * 0.95 / runs) + 0.01


def test_doubly_robust_survives_a_wrong_propensity_with_a_right_model():
    reward, action, propensity, mean = _log(np.random.default_rng(2), 40_000)
    result = policy_value(reward, action, np.clip(propensity * 1.5, 0.01, 1), np.ones(40_000, dtype=int), model=mean)
    assert result.value == pytest.approx(0.5, abs=0.02)
    naive = policy_value(
        reward, action, np.clip(propensity * 1.5, 0.01, 1), np.ones(40_000, dtype=int), estimator="ips"
    )
    assert abs(naive.value - 0.5) > 0.05


def test_the_logging_policy_is_worth_what_it_earned():
    rng = np.random.default_rng(3)
    n = 1000
    action = rng.integers(0, 2, n)
    reward = rng.normal(size=n)
    result = policy_value(reward, action, np.full(n, 0.5), np.full((n, 2), 0.5))
    assert result.value == pytest.approx(reward.mean())
    assert result.effective_n == pytest.approx(n)


def test_policy_without_overlap_is_not_known():
    result = policy_value([1.0] * 50, [0] * 50, [0.5] * 50, [1] * 50)
    assert result.status == "not_enough_data"
    assert np.isnan(result.value)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 3), st.floats(0, 1))
def test_allocation_against_exhaustive_search(seed, users, options, share):
    rng = np.random.default_rng(seed)
    value, cost = rng.random((users, options)).round(2), rng.random((users, options)).round(2)
    cost[:, 0] = 0.0
    budget = share * cost.max(axis=1).sum()
    result = allocate(value, cost, budget)
    every = itertools.product(range(options), repeat=users)
    rows = np.arange(users)
    best = max(value[rows, c].sum() for c in map(list, every) if cost[rows, c].sum() <= budget + 1e-12)
    assert result.cost <= budget + 1e-9
    assert result.value <= best + 1e-9
    assert best <= result.bound + 1e-9
    # the dual loses at most about one user's best step
    assert result.value >= best - np.ptp(value, axis=1).max() - 1e-9


def test_budget_bounds():
    value, cost = np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    assert allocate(value, cost, 0.0).value == 0.0
    assert allocate(value, cost, 10.0).value == 3.0
    assert allocate(value, cost, 1.0).choice.tolist() == [0, 1]
    with pytest.raises(InvalidInput):
        allocate(value, cost + 1, 1.0)


def test_large_allocation_reaches_its_bound():
    rng = np.random.default_rng(4)
    value, cost = rng.random((20_000, 4)), rng.random((20_000, 4)) * 5
    cost[:, 0] = value[:, 0] = 0
    result = allocate(value, cost, 5000.0)
    assert result.value > 0.999 * result.bound
    assert result.cost <= 5000.0


def test_wrong_calls_are_refused():
    with pytest.raises(InvalidInput):
        policy_value([1.0], [0], [0.0], [0])
    with pytest.raises(InvalidInput):
        policy_value([1.0, 1.0], [0, 0], [0.5, 0.5], [[0.5, 0.6], [0.5, 0.5]])
    with pytest.raises(InvalidInput):
        policy_value([1.0, 1.0], [0, 0], [0.5, 0.5], [0, 0], estimator="doubly_robust")
