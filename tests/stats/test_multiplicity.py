"""Multiplicity: published adjustments, statsmodels, error rates by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions
from statsmodels.stats.multitest import multipletests

from upswing.stats.errors import InvalidInput
from upswing.stats.multiplicity import (
    adjust,
    closed_testing,
    gatekeep,
    guardrail_beta,
    select_families,
    simes,
    simultaneous_intervals,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_r36_holm():
    assert adjust([0.01, 0.04, 0.03, 0.005, 0.55, 0.6]) == pytest.approx([0.05, 0.12, 0.12, 0.03, 1, 1])


def test_r36_benjamini_hochberg():
    given_p = [0.898, 0.138, 0.007, 0.964, 0.538, 0.006, 0.138]
    expected = [0.964, 0.2415, 0.0245, 0.964, 0.7532, 0.0245, 0.2415]
    assert adjust(given_p, method="benjamini_hochberg") == pytest.approx(expected)


def test_r36_tea_tasting_tests():
    given_p = [0.005, 0.06, 0.007, 0.04, 0.01, 0.03]
    assert adjust(given_p, method="benjamini_hochberg") == pytest.approx([0.02, 0.06, 0.02, 0.048, 0.02, 0.045])
    expected = [0.049, 0.147, 0.049, 0.1176, 0.049, 0.11025]
    assert adjust(given_p, method="benjamini_yekutieli") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("benjamini_hochberg", [0.118, 0.0284, 0.0284, 0.00872]),
        ("benjamini_yekutieli", [0.245, 0.0592, 0.0592, 0.0182]),
        ("hochberg_sidak", [0.118, 0.0422, 0.0422, 0.00869]),
        ("holm", [0.118, 0.0634, 0.0634, 0.00872]),
    ],
)
def test_r36_tea_tasting_docs(method, expected):
    assert adjust([0.118, 0.0211, 0.0213, 0.00218], method=method) == pytest.approx(expected, rel=6e-3)


@given(
    P_VALUES,
    st.sampled_from(
        [
            ("bonferroni", "bonferroni"),
            ("sidak", "sidak"),
            ("holm", "holm"),
            ("holm_sidak", "holm-sidak"),
            ("hochberg", "simes-hochberg"),
            ("benjamini_hochberg", "fdr_bh"),
            ("benjamini_yekutieli", "fdr_by"),
        ]
    ),
)
def test_agrees_with_statsmodels(p_values, names):
    ours, theirs = names
    with np.errstate(divide="ignore"):
        expected = multipletests(p_values, method=theirs)[1]
    assert adjust(p_values, method=ours) == pytest.approx(expected, abs=1e-12)


@given(P_VALUES)
def test_missing_tests_do_not_count(p_values):
    with_gap = [*p_values[:1], np.nan, *p_values[1:]]
    adjusted = adjust(with_gap)
    assert np.isnan(adjusted[1])
    assert np.delete(adjusted, 1) == pytest.approx(adjust(p_values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_closure_with_bonferroni_is_holm(p_values):
    assert closed_testing(p_values, combine="bonferroni") == pytest.approx(adjust(p_values))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_closure_by_enumeration(p_values):
    subsets = [s for r in range(1, len(p_values) + 1) for s in itertools.combinations(range(len(p_values)), r)]
    for i, adjusted in enumerate(closed_testing(p_values)):
        expected = max(simes([p_values[j] for j in s]) for s in subsets if i in s)
        assert adjusted == pytest.approx(expected)


def test_rows_are_adjusted_one_by_one():
    rng = np.random.default_rng(0)
    table = rng.random((50, 7))
    many = adjust(table, method="hochberg")
    assert all(many[i] == pytest.approx(adjust(table[i], method="hochberg")) for i in range(50))


def test_serial_gate_shuts_on_one_failure():
    first, second = gatekeep([[0.01, 0.2], [0.001]])
    assert first.rejected.tolist() == [True, False]
    assert (second.alpha, second.rejected.tolist()) == (0.0, [False])


@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_gatekeeping_controls_the_family_wise_error(mode):
    rng = np.random.default_rng(8)
    runs, wrong = 2000, 0
    for _ in range(runs):
        # first family: one real effect, one null; second family: nulls only
        gates = gatekeep([[rng.random() * 1e-4, rng.random()], rng.random(3)], mode=mode)
        wrong += gates[0].rejected[1] or gates[1].rejected.any()
    assert wrong / runs < 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)


def test_families_selected_by_benjamini_bogomolov():
    rng = np.random.default_rng(10)
    runs, shares = 800, []
    for _ in range(runs):
        p_values = rng.random((10, 4))
        p_values[:3, 0] *= 1e-4
        found = select_families(p_values, q=0.1) <= 0.1
        selected = found.any(axis=1)
        null = np.ones((10, 4), dtype=bool)
        null[:3, 0] = False
        inside = (found & null).sum(1)[selected] / found.sum(1)[selected]
        shares.append(inside.mean() if selected.any() else 0.0)
    assert np.mean(shares) < 0.1 + 4 * np.std(shares) / np.sqrt(runs)


def test_bonferroni_intervals_cover_jointly():
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(2000):
        result = simultaneous_intervals(rng.normal(size=8), np.ones(8))
        covered += ((result.lower <= 0) & (result.upper >= 0)).all()
    assert covered / 2000 > 0.95 - 4 * np.sqrt(0.05 * 0.95 / 2000)


@given(st.lists(st.floats(-4, 6), min_size=1, max_size=6))
def test_holm_limits_exclude_zero_where_holm_rejects(effects):
    limits = simultaneous_intervals(effects, np.ones(len(effects)), method="holm").lower
    rejected = adjust(distributions.norm.sf(effects)) <= 0.05
    assert ((limits >= 0) == rejected).all()


def test_false_coverage_rate_of_the_selected():
    rng = np.random.default_rng(13)
    shares = []
    for _ in range(1000):
        truth = rng.normal(0, 1.5, 20)
        seen = truth + rng.normal(size=20)
        chosen = adjust(2 * distributions.norm.sf(abs(seen)), method="benjamini_hochberg") <= 0.05
        if not chosen.any():
            shares.append(0.0)
            continue
        result = simultaneous_intervals(seen, np.ones(20), method="fcr", selected=chosen)
        missed = (truth < result.lower) | (truth > result.upper)
        shares.append((missed & chosen).sum() / chosen.sum())
    assert np.mean(shares) < 0.05 + 4 * np.std(shares) / np.sqrt(1000)


def test_guardrail_beta_is_a_union_bound():
    assert guardrail_beta(0.2, 0) == 0.2
    assert (1 - guardrail_beta(0.2, 4)) ** 5 >= 0.8


@pytest.mark.parametrize("bad", [[1.5], [-0.1], 0.3])
def test_wrong_p_values_are_refused(bad):
    with pytest.raises(InvalidInput):
        adjust(bad)
