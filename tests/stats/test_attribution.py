"""Attribution: published chains and games, axioms, and simulation of the walks."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.stats import attribution as at
from upswing.stats.errors import InvalidInput, ShapeMismatch

path_tables = st.lists(
    st.tuples(
        st.lists(st.sampled_from("abcd"), min_size=1, max_size=5).map(tuple), st.integers(0, 5), st.integers(0, 5)
    ),
    min_size=1,
    max_size=12,
).filter(lambda rows: any(row[1] for row in rows))


def table(rows):
    return at.Paths.of(
        [row[0] for row in rows], conversions=[row[1] for row in rows], users=[row[1] + row[2] for row in rows]
    )


def test_analyzecore_2016_markov():
    paths = at.Paths.of([("C1", "C2", "C3"), ("C1",), ("C2", "C3")], users=[1, 1, 1], conversions=[1, 0, 0])
    result = at.markov(paths)
    assert result.conversion_probability == pytest.approx(1 / 3)
    assert result.removal_effect == pytest.approx([0.5, 1, 1])
    assert result.attribution.credit == pytest.approx([0.2, 0.4, 0.4])


def test_puzyrov_2019_markov_transitions_and_credit():
    paths = at.Paths.of([("G",), ("M",), ("G", "M"), ("G",)], users=[2, 1, 1, 1], conversions=[2, 1, 1, 0])
    result = at.markov(paths)
    assert result.transitions == pytest.approx(
        {
            ("(start)", "G"): 0.8,
            ("(start)", "M"): 0.2,
            ("G", "(conversion)"): 0.5,
            ("G", "M"): 0.25,
            ("G", "(null)"): 0.25,
            ("M", "(conversion)"): 1.0,
        }
    )
    assert result.conversion_probability == pytest.approx(0.8)
    assert result.removal_effect == pytest.approx([0.75, 0.5])
    assert result.attribution.credit == pytest.approx([2.4, 1.6])


def test_dp6_readme_shapley():
    game = {"O": 7, "F": 6, "D": 4, "OF": 15, "OD": 7, "FD": 9, "OFD": 19}
    credit = at.shapley({frozenset(k): float(v) for k, v in game.items()}).as_dict()
    assert credit == pytest.approx({"O": 7.6667, "F": 8.1667, "D": 3.1667}, abs=5e-5)


def test_dp6_readme_time_decay_and_position():
    paths = at.Paths.of([("a", "b", "c")], conversions=[1], ages=[[14, 12, 0]])
    credit = at.time_decay(paths, half_life=7, bucket=7).credit
    # Ages 14 and 12 lie in buckets 2 and 1. DP6 counts buckets from the first touch: 0 h and 2 h share a bucket.
    assert credit[2] > credit[1] > credit[0]
    shared = at.Paths.of([("a", "b", "c")], conversions=[1], ages=[[13, 12, 0]])
    assert at.time_decay(shared, half_life=7, bucket=7).credit == pytest.approx([0.25, 0.25, 0.5])
    assert at.position_based(paths).credit == pytest.approx([0.4, 0.2, 0.4])
    two = at.Paths.of([("a", "b")], conversions=[1])
    assert at.position_based(two).credit == pytest.approx([0.5, 0.5])


@given(path_tables)
def test_every_model_credits_all_conversions(rows):
    paths = table(rows)
    timed = at.Paths(
        paths.touches, paths.users, paths.conversions, tuple(np.arange(len(p))[::-1] for p in paths.touches)
    )
    results = [
        at.first_touch(paths), at.last_touch(paths), at.linear(paths), at.position_based(paths), at.path_shapley(paths),
        at.time_decay(timed, half_life=2), at.markov(paths).attribution, at.markov(paths, order=2).attribution,
    ]  # fmt: skip
    for result in results:
        assert result.credit.sum() == pytest.approx(paths.conversions.sum())
        assert (result.credit >= -1e-12).all()
    long = at.time_decay(timed, half_life=1e9).credit
    assert long == pytest.approx(at.linear(paths).credit, abs=1e-6)


@given(path_tables)
def test_markov_matches_powers_of_the_transition_matrix(rows):
    paths = table(rows)
    result = at.markov(paths)
    names = sorted({name for pair in result.transitions for name in pair} | {"(conversion)"}, key=str)
    matrix = np.zeros((len(names), len(names)))
    for (a, b), p in result.transitions.items():
        matrix[names.index(a), names.index(b)] = p

    def conversion(without=None):
        step = matrix.copy()
        if without is not None:
            step[names.index(without), :] = 0.0
        for state in ("(conversion)", "(null)"):
            if state in names:
                step[names.index(state), names.index(state)] = 1
        power = np.linalg.matrix_power(step, 2**14)
        return power[names.index("(start)"), names.index("(conversion)")]

    assert result.conversion_probability == pytest.approx(conversion(), abs=1e-9)
    for channel, effect in zip(paths.channels, result.removal_effect, strict=True):
        if channel in names:
            assert effect == pytest.approx(1 - conversion(channel) / conversion(), abs=1e-8)


def test_with_memory_longer_than_any_path_removal_counts_paths():
    paths = at.Paths.of([("a", "b"), ("b",), ("a",)], users=[10, 10, 10], conversions=[4, 3, 1])
    result = at.markov(paths, order=5)
    assert result.conversion_probability == pytest.approx(8 / 30)
    assert result.removal_effect == pytest.approx([5 / 8, 7 / 8])


def test_shapley_is_the_mean_over_all_orders():
    rng = np.random.default_rng(0)
    players = "wxyz"
    worth = {frozenset(): 0.0}
    for mask in range(1, 16):
        worth[frozenset(p for i, p in enumerate(players) if mask >> i & 1)] = float(rng.uniform(0, 10))
    gains = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        group = frozenset()
        for player in order:
            gains[player] += (worth[group | {player}] - worth[group]) / 24
            group = group | {player}
    exact = at.shapley(worth)
    assert exact.as_dict() == pytest.approx(gains)
    sampled = at.shapley_sampled(tuple(players), worth.__getitem__, permutations=400, rng=1)
    error = (sampled.upper - sampled.lower) / 3.92 * 4.5
    assert (np.abs(sampled.attribution.credit - exact.credit) <= error + 1e-9).all()


@given(path_tables)
def test_path_shapley_is_shapley_of_covered_conversions(rows):
    paths = table(rows)
    channels = paths.channels
    worth = {}
    for mask in range(1, 2 ** len(channels)):
        group = frozenset(c for i, c in enumerate(channels) if mask >> i & 1)
        worth[group] = sum(v for p, v in zip(paths.touches, paths.conversions, strict=True) if set(p) <= group)
    assert at.path_shapley(paths).credit == pytest.approx(at.shapley(worth).credit)


def test_bootstrap_intervals_cover_the_true_credit():
    rng, hits, runs = np.random.default_rng(5), 0, 200
    touches, chance, mix = [("a", "b"), ("b",), ("a",)], np.array([0.2, 0.1, 0.05]), np.array([0.4, 0.4, 0.2])
    n = 1500
    truth = n * (mix[0] * chance[0] / 2 + mix[2] * chance[2])
    for run in range(runs):
        users = rng.multinomial(n, mix)
        paths = at.Paths.of(touches, users=users, conversions=rng.binomial(users, chance))
        interval = at.bootstrap(paths, at.linear, replications=200, rng=run)
        hits += interval.lower[0] <= truth <= interval.upper[0]
    assert hits / runs > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / runs) - 0.01


def test_states_and_wrong_calls():
    nobody = at.Paths.of([("a",), ("b",)], users=[5, 5], conversions=[0, 0])
    assert at.linear(nobody).status == at.markov(nobody).status == "not_enough_data"
    assert np.isnan(at.linear(nobody).share).all()
    with pytest.raises(InvalidInput):
        at.Paths.of([()], conversions=[1])
    with pytest.raises(ShapeMismatch):
        at.Paths.of([("a",)], conversions=[1, 2])
    with pytest.raises(InvalidInput):
        at.markov(at.Paths.of([("a",)], users=[1], conversions=[2]))
    with pytest.raises(InvalidInput):
        at.time_decay(nobody, half_life=7)
    with pytest.raises(InvalidInput):
        at.position_based(nobody, first=0.8, last=0.4)
    with pytest.raises(InvalidInput):
        at.shapley({frozenset(range(17)): 1.0})
