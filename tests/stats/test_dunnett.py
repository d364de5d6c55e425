"""Dunnett: the published example, scipy, joint coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as distributions

from upswing.stats.comparison import Level
from upswing.stats.dunnett import compare_to_control
from upswing.stats.multiplicity import adjust


def _pooled_levels(groups):
    df = sum(len(g) - 1 for g in groups)
    variance = sum(((g - g.mean()) ** 2).sum() for g in groups) / df
    control, *rest = (Level.of(g.mean(), variance / len(g), df=df / 2) for g in groups)
    treatments = Level.of([t.value for t in rest], [float(t.variance) for t in rest], df=df / 2)
    return control, treatments


def test_dunnett_1955_critical_value():
    # table 2a: two-sided 5 %, infinitely many degrees of freedom, equal groups: 1.96, 2.21, 2.35, 2.44
    for k, expected in ((1, 1.96), (2, 2.21), (3, 2.35), (4, 2.44)):
        result = compare_to_control(Level.of(0.0, 1.0), Level.of(np.zeros(k), 1.0))
        assert result.critical == pytest.approx(expected, abs=6e-3)


@pytest.mark.parametrize("alternative", ["two_sided", "greater", "less"])
def test_agrees_with_scipy(alternative):
    rng = np.random.default_rng(1)
    groups = [rng.normal(m, 1, 60) for m in (0.0, 0.3, -0.2, 0.5)]
    expected = distributions.dunnett(*groups[1:], control=groups[0], alternative=alternative.replace("_", "-"), rng=rng)
    result = compare_to_control(*_pooled_levels(groups), alternative=alternative)
    assert result.p_value == pytest.approx(expected.pvalue, abs=3e-3)


def test_sharper_than_bonferroni_and_never_sharper_than_one_test():
    rng = np.random.default_rng(2)
    for _ in range(20):
        treatments = Level.of(rng.normal(0, 2, 3), 1.0)
        result = compare_to_control(Level.of(0.0, 1.0), treatments)
        raw = 2 * distributions.norm.sf(np.abs(treatments.value) / np.sqrt(2))
        assert (result.p_value <= adjust(raw, method="bonferroni") + 1e-9).all()
        assert (result.p_value >= raw - 1e-9).all()


def test_joint_coverage_with_unequal_variances():
    rng = np.random.default_rng(3)
    runs, covered = 800, 0
    for _ in range(runs):
        groups = [rng.normal(0, s, n) for s, n in ((1, 60), (2, 40), (0.5, 30))]
        levels = [Level.of(g.mean(), g.var(ddof=1) / g.size, df=g.size - 1) for g in groups]
        treatments = Level.of(
            [lev.value for lev in levels[1:]], [lev.variance for lev in levels[1:]], df=[lev.df for lev in levels[1:]]
        )
        result = compare_to_control(levels[0], treatments)
        covered += ((result.lower <= 0) & (result.upper >= 0)).all()
    assert abs(covered / runs - 0.95) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_missing_arm_is_not_known():
    result = compare_to_control(Level.of(0.0, 1.0), Level.of([np.nan, 1.0], 1.0))
    assert result.status == "not_enough_data"
    assert np.isnan(result.p_value).all()
