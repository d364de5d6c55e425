"""Referral: the published growth table, and branching against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upswing.stats import referral
from upswing.stats.errors import InvalidInput, ShapeMismatch


def test_skok_reiss_growth_table():
    assert referral.users_over_time(10, k=2, cycle=1, time=range(6)).tolist() == [10, 30, 70, 150, 310, 630]
    assert referral._amplify(0.7) == pytest.approx(3.333, abs=5e-4)
    assert referral.users_over_time(1, k=0.7, cycle=1, time=200) == pytest.approx(1 / 0.3)
    assert referral.users_over_time(10, k=1, cycle=2, time=4) == pytest.approx(30)


def test_k_covers_with_skewed_inviters():
    rng, hits, runs = np.random.default_rng(1), 0, 1500
    for _ in range(runs):
        result = referral.k_factor(rng.negative_binomial(0.5, 0.5 / 0.9, 400))  # mean 0.4, variance 0.72
        hits += result.lower <= 0.4 <= result.upper
    assert abs(hits / runs - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / runs)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6))
@settings(deadline=None, max_examples=30)
def test_extinction_is_the_limit_of_generations(weights):
    p = np.array(weights) / np.sum(weights)
    dead = 0.0
    for _ in range(20_000):
        dead = np.polyval(p[::-1], dead)
    near_critical = abs(p @ np.arange(p.size) - 1) < 0.02
    assert referral.extinction_probability(weights) == pytest.approx(dead, abs=0.05 if near_critical else 1e-5)


def test_cascades_match_playing_them():
    rng = np.random.default_rng(2)
    p, runs = np.array([0.6, 0.2, 0.2]), 20_000
    alive, total = np.ones(runs, int), np.ones(runs, int)
    for _ in range(60):
        alive = rng.multinomial(alive, p) @ np.arange(3)
        total += alive
    sizes = referral.cascade_sizes(p, size=40)
    for n in (1, 2, 3, 5):
        assert (total == n).mean() == pytest.approx(sizes[n - 1], abs=4 * 0.5 / np.sqrt(runs))
    mean = referral.cascade_sizes(p, size=400) @ np.arange(1, 401)
    assert mean == pytest.approx(1 / (1 - 0.6), rel=1e-3)  # amplification at K = 0.6


def test_effective_cac_counts_users_brought():
    assert referral.effective_cac(1000, 100, k=0.5) == 5
    # 100 bought users become 200; 100 rewards of 4 are paid.
    assert referral.effective_cac(1000, 100, k=0.5, reward=4) == pytest.approx((1000 + 400) / 200)
    assert np.isnan(referral.effective_cac(1000, 100, k=1.2))


def test_states_and_wrong_calls():
    nobody = referral.k_factor([0] * 100)
    assert nobody.status == "not_enough_data"
    assert nobody.upper == pytest.approx(-np.log(0.025) / 100)
    assert referral.k_factor([5, 0, 3, 0]).status == "unbounded"
    assert referral.k_factor([]).status == "not_enough_data"
    assert referral.extinction_probability([0, 0.5, 0.5]) == 0
    with pytest.raises(InvalidInput):
        referral.k_factor([0.5])
    with pytest.raises(InvalidInput):
        referral.k_from_funnel(5, 10)
    with pytest.raises(ShapeMismatch):
        referral.extinction_probability([0, 0])
