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


def invitations(rng, users, oldest):
    """Users of all ages; some invite many: K 0.6 within 20 days, delays of mean 4 (gamma), cut at what was watched."""
    age = rng.uniform(0, oldest, users)
    keen = rng.gamma(0.5, 0.6 / 0.5, users)
    owner = np.repeat(np.arange(users), rng.poisson(keen))
    delay = rng.gamma(2.0, 2.0, owner.size)
    seen = delay <= age[owner]
    return delay[seen], owner[seen], age


def test_cycle_time_is_not_fooled_by_young_users():
    rng = np.random.default_rng(6)
    runs, hits, k_hits, naive = 400, 0, 0, []
    for _ in range(runs):
        delay, owner, age = invitations(rng, 800, 25.0)
        result = referral.cycle_time(delay, owner, age, horizon=20.0)
        # beyond 20 days: P(gamma(2, 2) > 20) = 11 e^-10, nothing
        hits += result.lower <= 4.0 <= result.upper
        k_hits += result.k_lower <= 0.6 <= result.k_upper
        naive.append(delay.mean())
    bound = 3.5 * np.sqrt(0.05 * 0.95 / runs)
    assert abs(hits / runs - 0.95) < bound
    assert abs(k_hits / runs - 0.95) < bound
    assert np.mean(naive) < 3.7  # the plain mean of the delays seen


def test_fully_watched_users_give_plain_means():
    rng = np.random.default_rng(7)
    delay, owner, _ = invitations(rng, 300, 1e9)
    result = referral.cycle_time(delay, owner, np.full(300, 1e6), horizon=1e6)
    assert result.mean == pytest.approx(delay.mean())
    assert result.k == pytest.approx(delay.size / 300)
    assert result.median == pytest.approx(np.quantile(delay, 0.5, method="inverted_cdf"))
    per_user = np.bincount(owner, minlength=300)
    assert np.log(result.k_upper / result.k) == pytest.approx(
        np.log(referral.k_factor(per_user).upper / result.k), rel=0.03
    )


def test_growth_rate_solves_lotkas_equation_and_matches_the_cycle_of_one_delay():
    # Everybody brings 2 after exactly 3 days: users double by a factor of 2 every 3 days.
    result = referral.cycle_time(np.full(200, 3.0), np.repeat(np.arange(100), 2), np.full(100, 9.0), horizon=9)
    assert result.growth_rate == pytest.approx(np.log(2) / 3)
    # Gamma delays: 1 = K (1 + 2 r)^-2, the moment generating function of the delay
    rng = np.random.default_rng(8)
    owner = np.repeat(np.arange(20_000), 2)
    spread = referral.cycle_time(rng.gamma(2.0, 2.0, owner.size), owner, np.full(20_000, 100.0), horizon=100)
    assert spread.growth_rate == pytest.approx((np.sqrt(2) - 1) / 2, rel=0.01)


def test_cycle_time_states_and_wrong_calls():
    few = referral.cycle_time([1.0], [0], [5.0, 5.0], horizon=5)
    assert few.status == "not_enough_data"
    assert np.isnan(few.mean)
    assert referral.cycle_time([], [], [], horizon=5).status == "not_enough_data"
    unwatched = referral.cycle_time([1.0] * 9, range(9), [5.0] * 9, horizon=6)
    assert unwatched.status == "not_enough_data"
    for delay, owner, age, horizon in (
        ([6.0], [0], [5.0], 5), ([1.0], [3], [5.0], 5), ([1.0], [0.5], [5.0], 5), ([-1.0], [0], [5.0], 5),
        ([1.0], [0], [5.0], 0), ([np.nan], [0], [5.0], 5), ([1.0], [0], [np.inf], 5),
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            referral.cycle_time(delay, owner, age, horizon=horizon)
    with pytest.raises(ShapeMismatch):
        referral.cycle_time([1.0], [0, 1], [5.0, 5.0], horizon=5)
