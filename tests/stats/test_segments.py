"""Segments: error of the gate, gain from shrinkage, coverage."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.segments import interaction, segment_effects


def test_altman_bland_2003_interaction():
    # BMJ 326:219: relative risks 0.67 (0.46 to 0.98) and 0.88 (0.71 to 1.08); z = -1.24, P = 0.2
    log_se = [(np.log(high) - np.log(low)) / (2 * 1.959964) for low, high in ((0.46, 0.98), (0.71, 1.08))]
    result = interaction(np.log(0.67), log_se[0], np.log(0.88), log_se[1])
    assert result.difference / result.se == pytest.approx(-1.24, abs=5e-3)
    assert result.p_value == pytest.approx(0.2, abs=0.02)


def test_gelman_bda3_eight_schools():
    # table 5.3 of Bayesian Data Analysis: posterior medians from 200 draws, to whole points
    effects, errors = [28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18]
    result = segment_effects(effects, errors)
    assert result.shrunk == pytest.approx([10, 8, 7, 8, 5, 6, 10, 8], abs=1.6)
    assert not result.gate_open


def test_gate_keeps_its_level_when_all_segments_react_alike():
    rng = np.random.default_rng(1)
    runs = 4000
    se = rng.uniform(0.05, 0.3, (runs, 5))
    opened = segment_effects(rng.normal(0.2, se), se).gate_open.mean()
    assert abs(opened - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("tau", [0.05, 0.2, 0.6])
def test_shrinkage_beats_raw_effects_and_its_intervals_cover(tau):
    rng = np.random.default_rng(2)
    runs, k = 1500, 8
    se = rng.uniform(0.1, 0.3, (runs, k))
    truth = rng.normal(0.1, tau, (runs, k))
    seen = rng.normal(truth, se)
    result = segment_effects(seen, se)
    assert ((result.shrunk - truth) ** 2).mean() < ((seen - truth) ** 2).mean()
    covered = ((result.lower <= truth) & (truth <= result.upper)).mean()
    assert 0.94 < covered < 0.995


def test_limits_no_heterogeneity_and_all():
    same = segment_effects([0.2, 0.2, 0.2], [0.1, 0.1, 0.1])
    assert same.shrunk == pytest.approx([0.2] * 3)
    assert (same.keep < 0.5).all()
    apart = segment_effects([-50.0, 0.0, 50.0], [0.1, 0.1, 0.1])
    assert apart.gate_open
    assert apart.shrunk == pytest.approx([-50, 0, 50], abs=0.05)


def test_labels_do_not_matter():
    there = segment_effects([0.1, 0.5, 0.9], [0.1, 0.2, 0.1])
    back = segment_effects([0.9, 0.5, 0.1], [0.1, 0.2, 0.1])
    assert there.shrunk == pytest.approx(back.shrunk[::-1])


def test_segment_without_an_estimate_is_left_out():
    result = segment_effects([0.1, np.nan, 0.9], [0.1, np.nan, 0.1])
    assert np.isnan(result.shrunk[1])
    assert result.pooled.k == 2
    assert interaction(np.nan, 1.0, 0.0, 1.0).status == "not_enough_data"
