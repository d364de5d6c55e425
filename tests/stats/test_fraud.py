"""Fraud evidence: planted shares come back, honest traffic is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.fraud import DAY, click_to_install, source_outliers


def honest(rng, n):
    """AppsFlyer's rule of thumb: about 75 % within an hour and 94 % within a day."""
    delay = rng.lognormal(np.log(900), 2.05, 4 * n)
    return delay[delay < 7 * DAY][:n]


def test_appsflyer_rule_of_thumb_on_honest_delays():
    result = click_to_install(honest(np.random.default_rng(0), 20_000))
    assert result.within_hour == pytest.approx(0.75, abs=0.02)
    assert result.within_day > 0.94
    assert result.hijacked < 0.01
    assert result.flooded < 0.02


@pytest.mark.parametrize(("hijacked", "flooded"), [(0.3, 0.0), (0.0, 0.3), (0.2, 0.2)])
def test_planted_shares_come_back(hijacked, flooded):
    rng, n = np.random.default_rng(1), 4000
    a, b = int(hijacked * n), int(flooded * n)
    genuine = rng.lognormal(np.log(900), 1.3, n - a - b)
    genuine = genuine[genuine < 7 * DAY]
    delay = np.concatenate([genuine, rng.uniform(0, 10, a), rng.uniform(0, 7 * DAY, b)])
    result = click_to_install(delay)
    assert result.hijacked == pytest.approx(a / delay.size, abs=0.02)
    assert result.flooded == pytest.approx(b / delay.size, abs=0.02)
    assert result.genuine + result.hijacked + result.flooded == pytest.approx(1)
    assert result.median_delay == pytest.approx(900, rel=0.15)
    planted = np.arange(delay.size) >= genuine.size
    assert result.suspicion[planted].mean() > result.suspicion[~planted].mean() + 0.5


def test_small_sources_do_not_stand_out_by_chance_and_planted_ones_do():
    rng = np.random.default_rng(2)
    base = rng.integers(30, 3000, (200, 2)).astype(float)
    events = rng.binomial(base.astype(int), 0.1).astype(float)
    events[7] = np.round(0.5 * base[7])
    result = source_outliers(events, base)
    assert result.score.argmax() == 7
    others = np.delete(result.z, 7, axis=0)
    assert (np.abs(others) > 3).mean() < 0.02


def test_states_and_wrong_calls():
    assert click_to_install([5.0] * 10).status == "not_enough_data"
    assert click_to_install([5.0] * 100).status == "not_identified"
    few = source_outliers([[1], [1]], [[50], [50]])
    assert few.status.tolist() == ["not_enough_data"] * 2
    assert np.isnan(few.score).all()
    with pytest.raises(InvalidInput):
        click_to_install([8 * DAY])
    with pytest.raises(InvalidInput):
        source_outliers([[5]], [[4]])
    with pytest.raises(ShapeMismatch):
        source_outliers([5], [10])
