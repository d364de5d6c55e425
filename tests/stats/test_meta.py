"""Pooling and selection: published meta-analysis, published winner's curse, simulation."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.meta_analysis import combine_effects

from upswing.stats.errors import InvalidInput
from upswing.stats.meta import design_analysis, false_positive_risk, launched_total, pool

# BCG vaccine trials (Colditz et al. 1994), as analysed in Viechtbauer (2010), J. Stat. Software 36(3)
BCG = np.array([
    (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
    (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
    (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
], dtype=float)  # fmt: skip
_A, _B, _C, _D = BCG.T
LOG_RISK = np.log(_A / (_A + _B) / (_C / (_C + _D)))
LOG_RISK_SE = np.sqrt(1 / _A - 1 / (_A + _B) + 1 / _C - 1 / (_C + _D))


def test_viechtbauer_2010_bcg_reml():
    result = pool(LOG_RISK, LOG_RISK_SE, hartung_knapp=False)
    assert result.estimate == pytest.approx(-0.7145, abs=5e-5)
    assert result.se == pytest.approx(0.1798, abs=5e-5)
    assert result.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert result.q == pytest.approx(152.2330, abs=5e-4)
    assert (result.lower, result.upper) == pytest.approx((-1.0669, -0.3622), abs=1e-4)


def test_dersimonian_laird_agrees_with_statsmodels():
    theirs = combine_effects(LOG_RISK, LOG_RISK_SE**2, method_re="dl")
    ours = pool(LOG_RISK, LOG_RISK_SE, heterogeneity="dersimonian_laird", hartung_knapp=False)
    assert ours.tau2 == pytest.approx(theirs.tau2)
    assert ours.estimate == pytest.approx(theirs.mean_effect_re)
    assert ours.se == pytest.approx(theirs.sd_eff_w_re)
    assert ours.i2 == pytest.approx(theirs.i2)
    assert pool(LOG_RISK, LOG_RISK_SE, heterogeneity="fixed").estimate == pytest.approx(theirs.mean_effect_fe)


def test_hartung_knapp_covers_with_few_studies():
    rng = np.random.default_rng(1)
    runs, k = 3000, 5
    se = rng.uniform(0.1, 0.5, (runs, k))
    seen = rng.normal(0.3, np.hypot(0.4, se))
    knapp, plain = pool(seen, se), pool(seen, se, hartung_knapp=False)
    covered = ((knapp.lower <= 0.3) & (knapp.upper >= 0.3)).mean()
    assert covered > 0.95 - 4 * np.sqrt(0.05 * 0.95 / runs)
    assert ((plain.lower <= 0.3) & (plain.upper >= 0.3)).mean() < 0.92


def test_many_problems_equal_one_by_one_and_gaps_are_left_out():
    rng = np.random.default_rng(2)
    y, se = rng.normal(size=(20, 6)), rng.uniform(0.2, 1, (20, 6))
    y[3, 2] = np.nan
    many = pool(y, se)
    for i in range(20):
        keep = np.isfinite(y[i])
        one = pool(y[i][keep], se[i][keep])
        assert one.estimate == pytest.approx(many.estimate[i], rel=1e-6, abs=1e-8)
        assert one.tau2 == pytest.approx(many.tau2[i], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("effect", "se", "power", "sign", "exaggeration"),
    [
        (2, 8.1, 0.06, 0.24, 9.5),
        (0.1, 3.28, 0.05, 0.46, 77),
    ],
)
def test_r34_gelman_carlin(effect, se, power, sign, exaggeration):
    result = design_analysis(effect, se)
    assert result.power == pytest.approx(power, abs=5e-3)
    assert result.sign_error == pytest.approx(sign, abs=2e-2)
    assert result.exaggeration == pytest.approx(exaggeration, rel=0.02)


@pytest.mark.parametrize(("power", "exaggeration"), [(0.1, 3.71), (0.2, 2.26), (0.3, 1.81), (0.5, 1.41), (0.8, 1.12)])
def test_r34_exaggeration_by_power(power, exaggeration):
    effects = np.linspace(0.01, 4, 40_000)
    result = design_analysis(effects, 1.0)
    at = int(np.argmin(np.abs(result.power - power)))
    assert result.exaggeration[at] == pytest.approx(exaggeration, abs=0.011)


@pytest.mark.parametrize(
    ("rate", "alpha", "risk"),
    [
        (1 / 3, 0.05, 0.059),
        (0.15, 0.05, 0.15),
        (0.10, 0.05, 0.22),
        (0.08, 0.05, 0.264),
        (1 / 3, 0.01, 0.013),
        (0.15, 0.01, 0.034),
        (0.10, 0.01, 0.053),
        (0.08, 0.01, 0.067),
    ],
)
def test_r33_kohavi_deng_vermeer(rate, alpha, risk):
    assert false_positive_risk(rate, alpha=alpha) == pytest.approx(risk, abs=1.1e-3)


def test_lee_shen_removes_the_winners_bias():
    rng = np.random.default_rng(3)
    naive, corrected = [], []
    truth = rng.normal(0.0, 0.1, 40)
    se = rng.uniform(0.05, 0.2, 40)
    for _ in range(3000):
        seen = rng.normal(truth, se)
        result = launched_total(seen, se)
        launched_truth = truth[seen / se > 1.959964].sum()
        naive.append(result.naive - launched_truth)
        corrected.append(result.corrected - launched_truth)
    assert np.mean(naive) > 0.05
    # the correction itself is plugged in from estimates, so most of the bias goes, not all
    assert abs(np.mean(corrected)) < 0.3 * np.mean(naive)


def test_states_and_wrong_calls():
    assert pool([0.1], [0.1]).status == "not_enough_data"
    assert np.isnan(pool([np.nan, np.nan], [1.0, 1.0]).estimate)
    with pytest.raises(InvalidInput):
        pool([0.1, 0.2], [0.1, 0.0])
    with pytest.raises(InvalidInput):
        design_analysis(0.0, 1.0)
