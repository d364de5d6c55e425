"""Association: published vectors, statsmodels and scipy as oracles, coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2

from upswing.stats.association import associate, mantel_haenszel, overlap_effect
from upswing.stats.errors import InvalidInput, ShapeMismatch

cell = st.integers(0, 40)
filled = st.integers(1, 40)


def test_posthog_docstring_odds_ratio():
    result = associate(5, 1, 2, 10)
    assert (result.odds_ratio, result.odds_ratio_shrunk) == (25.0, 11.0)


@pytest.mark.parametrize(
    ("table", "phi"),
    [((10, 1, 100, 10), 0.0), ((10, 100, 1, 10), 0.0), ((1000, 100, 1, 10), 0.2712), ((1000, 1, 100, 10), 0.2712)],
)
def test_amplitude_compass_worked_tables(table, phi):
    # "Find your company's inflection metrics with Compass", examples 1 to 4: retained or not, at or below n times
    result = associate(*table)
    assert result.phi == pytest.approx(phi, abs=5e-5)
    high_ppv, high_sensitivity = table[0] > table[1], table[0] > table[2]
    assert (result.ppv > 0.5) == high_ppv
    assert (result.sensitivity > 0.5) == high_sensitivity


@given(filled, filled, filled, filled)
def test_phi_is_pearson_on_the_users(a, b, c, d):
    behaviour = np.repeat([1, 1, 0, 0], [a, b, c, d])
    outcome = np.repeat([1, 0, 1, 0], [a, b, c, d])
    result = associate(a, b, c, d)
    assert result.phi == pytest.approx(np.corrcoef(behaviour, outcome)[0, 1], abs=1e-12)
    assert result.odds_ratio == pytest.approx(Table2x2([[a, b], [c, d]]).oddsratio)
    assert result.ppv == a / (a + b)
    assert result.sensitivity == a / (a + c)
    assert result.lift == pytest.approx(a / (a + b) / ((a + c) / (a + b + c + d)))
    tails = [stats.fisher_exact([[a, b], [c, d]], side).pvalue for side in ("less", "greater")]
    assert result.p_value == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)


@given(cell, cell, cell, cell)
def test_swapping_roles_or_sides(a, b, c, d):
    result, flipped = associate(a, b, c, d), associate(b, a, d, c)
    if result.status == "ok":
        assert flipped.phi == pytest.approx(-result.phi)
        assert flipped.difference == pytest.approx(-result.difference)
        assert associate(a, c, b, d).phi == pytest.approx(result.phi)
        assert flipped.p_value == pytest.approx(result.p_value)


def test_phi_error_matches_the_numeric_delta_method():
    rng = np.random.default_rng(2)
    p = rng.dirichlet([3, 4, 2, 6], 50)
    n = 5000

    def phi(q):
        a, b, c, d = q
        return (a * d - b * c) / np.sqrt((a + b) * (c + d) * (a + c) * (b + d))

    for q in np.round(p * n):
        result = associate(*q)
        share, slope = q / q.sum(), np.empty(4)
        for k in range(4):
            step = np.zeros(4)
            step[k] = 1e-6
            slope[k] = (phi(share + step) - phi(share - step)) / 2e-6
        error = np.sqrt((slope**2 @ share - (slope @ share) ** 2) / q.sum())
        if result.phi_lower > -1 and result.phi_upper < 1:
            assert (result.phi_upper - result.phi_lower) / 2 / 1.959964 == pytest.approx(error, rel=1e-4)


def test_intervals_cover():
    rng, runs = np.random.default_rng(4), 4000
    p = np.array([0.15, 0.1, 0.2, 0.55])
    tables = rng.multinomial(400, p, runs).T
    result = associate(*tables)
    phi = (p[0] * p[3] - p[1] * p[2]) / np.sqrt(0.25 * 0.75 * 0.35 * 0.65)
    odds = p[0] * p[3] / (p[1] * p[2])
    for lower, upper, truth in (
        (result.phi_lower, result.phi_upper, phi),
        (result.odds_ratio_lower, result.odds_ratio_upper, odds),
        (result.difference_lower, result.difference_upper, 0.6 - 0.2 / 0.75),
        (result.ppv_lower, result.ppv_upper, 0.6),
        (result.sensitivity_lower, result.sensitivity_upper, 0.15 / 0.35),
    ):
        cover = ((lower <= truth) & (truth <= upper)).mean()
        assert abs(cover - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / runs) + 0.004


def test_false_discoveries_stay_below_q_among_many_behaviours():
    rng = np.random.default_rng(9)
    false_share = []
    for _ in range(150):
        real = np.arange(200) < 20
        with_, without = rng.binomial(300, np.where(real, 0.5, 0.3)), rng.binomial(300, 0.3, 200)
        found = associate(with_, 300 - with_, without, 300 - without).p_adjusted <= 0.1
        false_share.append((found & ~real).sum() / max(found.sum(), 1))
    assert np.mean(false_share) <= 0.1


@given(st.lists(st.tuples(filled, filled, filled, filled), min_size=1, max_size=5))
def test_mantel_haenszel_matches_statsmodels(tables):
    a, b, c, d = np.array(tables, dtype=float).T
    result = mantel_haenszel(a, b, c, d)
    peer = StratifiedTable([np.array([[t[0], t[1]], [t[2], t[3]]]) for t in tables])
    assert result.odds_ratio == pytest.approx(peer.oddsratio_pooled)
    assert (result.lower, result.upper) == pytest.approx(peer.oddsratio_pooled_confint(), rel=1e-6)
    assert result.p_value == pytest.approx(peer.test_null_odds(correction=False).pvalue, rel=1e-6, abs=1e-12)


def test_mantel_haenszel_difference_covers():
    rng, runs = np.random.default_rng(3), 3000
    n1, n0, base = np.array([50, 80, 40]), np.array([70, 60, 90]), np.array([0.1, 0.3, 0.5])
    hit1, hit0 = rng.binomial(n1, base + 0.15, (runs, 3)), rng.binomial(n0, base, (runs, 3))
    result = mantel_haenszel(hit1, n1 - hit1, hit0, n0 - hit0)
    cover = ((result.difference_lower <= 0.15) & (result.difference_upper >= 0.15)).mean()
    assert abs(cover - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / runs) + 0.004


def test_strata_undo_simpson():
    # Charig et al. (1986), kidney stones: treatment A better in both strata, worse pooled.
    a, b, c, d = np.array([81, 192]), np.array([6, 71]), np.array([234, 55]), np.array([36, 25])
    assert associate(a.sum(), b.sum(), c.sum(), d.sum()).odds_ratio < 1
    assert mantel_haenszel(a, b, c, d).odds_ratio > 1


def confounded(rng, n, effect=0.5):
    x = rng.normal(size=(n, 2))
    did = rng.random(n) < 1 / (1 + np.exp(-(0.8 * x[:, 0] - 0.5 * x[:, 1] - 0.7)))
    y = x @ [1.0, -2.0] + effect * did + rng.normal(size=n)
    return y, did, x


def test_overlap_weights_undo_confounding_with_honest_intervals():
    rng, hits, runs, estimates, errors = np.random.default_rng(7), 0, 400, [], []
    for _ in range(runs):
        y, did, x = confounded(rng, 500)
        result = overlap_effect(y, did, x)
        hits += result.lower <= 0.5 <= result.upper
        estimates.append(result.estimate)
        errors.append(result.standard_error)
        assert result.imbalance_after < 1e-8 < result.imbalance_before
    assert abs(hits / runs - 0.95) < 3.5 * np.sqrt(0.05 * 0.95 / runs)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.15)
    assert abs(np.mean(estimates) - 0.5) < 4 * np.std(estimates) / np.sqrt(runs)


def test_overlap_does_not_depend_on_units_of_covariates():
    y, did, x = confounded(np.random.default_rng(1), 800)
    base, scaled = overlap_effect(y, did, x), overlap_effect(10 * y, did, x * [1000, 0.01] + 5)
    assert scaled.estimate == pytest.approx(10 * base.estimate, rel=1e-6)
    assert scaled.standard_error == pytest.approx(10 * base.standard_error, rel=1e-6)
    turned = overlap_effect(y, ~did, x)
    assert turned.estimate == pytest.approx(-base.estimate, rel=1e-6)


def test_states_and_wrong_calls():
    assert associate(0, 0, 0, 0).status == "not_enough_data"
    everybody = associate([5, 0], [3, 0], [0, 4], [0, 9])
    assert everybody.status.tolist() == ["zero_variance"] * 2
    assert np.isnan(everybody.phi).all()
    assert mantel_haenszel([3], [2], [0], [0]).status == "not_identified"
    x = np.linspace(-1, 1, 50)[:, None]
    assert overlap_effect(x[:, 0], x[:, 0] > 0, x).status == "not_identified"
    assert overlap_effect(x[:, 0], np.ones(50), x).status == "not_enough_data"
    twice = np.column_stack([x, x])
    assert overlap_effect(x[:, 0], np.arange(50) % 2, twice).status == "not_identified"
    with pytest.raises(InvalidInput):
        associate(-1, 2, 3, 4)
    with pytest.raises(InvalidInput):
        associate(0.5, 2, 3, 4)
    with pytest.raises(ShapeMismatch):
        associate([1, 2], [1, 2, 3], [1, 2], [1, 2])
    with pytest.raises(ShapeMismatch):
        overlap_effect([1, 2], [1, 0], [1, 2])
