"""Switchbacks, clusters and rule audits: error, coverage, carry-over."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from upswing.stats.aggregates import Aggregates
from upswing.stats.errors import InvalidInput
from upswing.stats.means import compare_means
from upswing.stats.switchback import (
    SwitchbackDesign,
    audit_rule,
    balanced_blocks,
    compare_clusters,
    draw_schedule,
    switchback_effect,
)


def _outcome(rng, on, *, effect=0.0, lasting=0.0):
    n = on.size
    market = np.zeros(n)
    shocks = rng.normal(size=n)
    for t in range(1, n):
        market[t] = 0.6 * market[t - 1] + shocks[t]
    before = np.r_[False, on[:-1]]
    return 10 + market + effect * on + lasting * before


@pytest.mark.parametrize("carryover", [0, 1])
def test_randomisation_p_value_keeps_its_error(carryover):
    rng = np.random.default_rng(1)
    design = balanced_blocks(120, 3, carryover=carryover)
    runs = 300
    rejected = 0
    for _ in range(runs):
        on = draw_schedule(design, rng)
        rejected += switchback_effect(_outcome(rng, on), on, design, draws=199, rng=rng).p_value < 0.05
    assert abs(rejected / runs - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("carryover", "lasting"), [(0, 0.0), (1, 1.0)])
def test_unbiased_and_conservative_with_carry_over(carryover, lasting):
    rng = np.random.default_rng(2)
    design = balanced_blocks(240, 4, carryover=carryover)
    runs, values, covered = 300, [], 0
    for _ in range(runs):
        on = draw_schedule(design, rng)
        y = _outcome(rng, on, effect=1.0, lasting=lasting)
        result = switchback_effect(y, on, design, draws=1, rng=rng)
        values.append(result.effect)
        covered += result.lower <= 1.0 + lasting <= result.upper
    assert np.mean(values) == pytest.approx(1.0 + lasting, abs=4 * np.std(values) / np.sqrt(runs) + 0.03)
    assert covered / runs > 0.95 - 4 * np.sqrt(0.05 * 0.95 / runs)


def test_ignoring_carry_over_is_biased():
    rng = np.random.default_rng(3)
    design = balanced_blocks(240, 2)
    values = []
    for _ in range(200):
        on = draw_schedule(design, rng)
        values.append(switchback_effect(_outcome(rng, on, effect=1.0, lasting=1.0), on, design, draws=1).effect)
    assert np.mean(values) < 1.8


def test_cluster_robust_t_keeps_its_error_where_welch_does_not():
    rng = np.random.default_rng(4)
    runs, clusters = 800, 15
    robust = naive = 0
    for _ in range(runs):
        arms = []
        for _arm in range(2):
            sizes = rng.integers(5, 20, clusters)
            owner = np.repeat(np.arange(clusters), sizes)
            arms.append((rng.normal(0, 1, clusters)[owner] + rng.normal(size=owner.size), owner))
        (a, ca), (b, cb) = arms
        robust += compare_clusters(a, ca, b, cb).p_value < 0.05
        naive += compare_means(Aggregates.from_rows({"y": a}), Aggregates.from_rows({"y": b})).p_value < 0.05
    assert abs(robust / runs - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs) + 0.01
    assert naive / runs > 0.3


def test_equal_clusters_reduce_to_welch_on_cluster_means():
    rng = np.random.default_rng(5)
    owner = np.repeat(np.arange(12), 8)
    a, b = rng.normal(size=96), rng.normal(0.3, 1, 96)
    means = [rows.reshape(12, 8).mean(1) for rows in (a, b)]
    expected = distributions.ttest_ind(means[1], means[0], equal_var=False)
    assert compare_clusters(a, owner, b, owner).p_value == pytest.approx(expected.pvalue)


def test_audit_finds_a_peeking_rule():
    rng = np.random.default_rng(6)
    rows = rng.normal(size=400)

    def fixed(a, b):
        return distributions.ttest_ind(b, a).pvalue < 0.05

    def peeking(a, b):
        return any(distributions.ttest_ind(b[:n], a[:n]).pvalue < 0.05 for n in (40, 80, 120, 160, 200))

    honest, greedy = audit_rule(rows, fixed, resamples=300), audit_rule(rows, peeking, resamples=300)
    assert honest.lower < 0.05 < honest.upper
    assert greedy.lower > 0.05


def test_states_and_wrong_calls():
    design = balanced_blocks(12, 3)
    assert switchback_effect(np.arange(12.0), np.ones(12), design).status == "not_enough_data"
    with pytest.raises(InvalidInput, match="only in part"):
        switchback_effect(np.arange(12.0), [1, 0] * 6, design)
    with pytest.raises(InvalidInput):
        SwitchbackDesign(np.array([0, 2, 3]))
    with pytest.raises(InvalidInput):
        audit_rule([1.0], lambda a, b: True)
