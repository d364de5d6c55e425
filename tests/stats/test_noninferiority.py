"""Non-inferiority and equivalence: the published example, statsmodels, error rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_ind

from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Level, compare
from upswing.stats.errors import InvalidInput
from upswing.stats.means import mean_level
from upswing.stats.noninferiority import equivalence, noninferiority

CONTROL = Level.of(0.10, 0.10 * 0.90 / 50_000)
TREATMENT = Level.of(0.0995, 0.0995 * 0.9005 / 50_000)


def test_r39_two_percent_margin():
    result = noninferiority(CONTROL, TREATMENT, margin=0.02 * 0.10)
    assert result.statistic == pytest.approx(0.7914, abs=5e-5)
    assert result.p_value == pytest.approx(0.2143, abs=5e-5)
    assert result.bound / 0.10 == pytest.approx(-0.0362, abs=5e-5)
    assert not result.shown
    # the naive reading: "no significant drop"
    assert compare(CONTROL, TREATMENT).p_value > 0.5


def test_relative_margin_is_tested_on_its_own_contrast():
    # H0: treatment = 0.98 control, so the control's variance enters with 0.98²
    result = noninferiority(CONTROL, TREATMENT, margin=0.02, relative=True)
    expected = (0.0995 - 0.098) / np.sqrt(TREATMENT.variance + 0.98**2 * CONTROL.variance)
    assert result.statistic == pytest.approx(expected)


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.01, 0.1), st.floats(0.01, 0.4), st.booleans(), st.booleans())
def test_test_and_bound_agree(a, b, se, margin, relative, better_up):
    result = noninferiority(
        Level.of(a, se**2), Level.of(b, se**2), margin=margin, relative=relative, better_up=better_up
    )
    within = result.bound > -margin if better_up else result.bound < margin
    if abs(result.p_value - 0.05) > 1e-6:
        assert result.shown == within


@given(st.integers(0, 10**6), st.floats(0.05, 2))
def test_equivalence_agrees_with_statsmodels(seed, margin):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, 20), rng.normal(0.1, 2, 30)
    expected = ttost_ind(b, a, -margin, margin, usevar="unequal")[0]
    levels = [mean_level(Aggregates.from_rows({"y": rows})) for rows in (a, b)]
    assert equivalence(*levels, margin=margin).p_value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("relative", [False, True])
def test_error_on_the_margin_is_nominal(relative):
    rng = np.random.default_rng(14)
    runs, n = 6000, 400
    a = rng.exponential(1.0, (runs, n))
    b = rng.exponential(0.9, (runs, n))
    control = Level.of(a.mean(1), a.var(1, ddof=1) / n, df=n - 1)
    treatment = Level.of(b.mean(1), b.var(1, ddof=1) / n, df=n - 1)
    result = noninferiority(control, treatment, margin=0.1, relative=relative)
    # exponential outcomes leave a little skewness at n = 400
    assert abs(result.shown.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs) + 0.006


def test_states_and_wrong_calls():
    result = noninferiority(Level.of(np.nan, np.nan), TREATMENT, margin=0.1)
    assert (result.status, result.shown) == ("not_enough_data", False)
    near_zero = noninferiority(Level.of(0.01, 1.0), Level.of(0.5, 1.0), margin=0.1, relative=True)
    assert near_zero.status == "unbounded"
    assert np.isnan(near_zero.bound)
    with pytest.raises(InvalidInput):
        noninferiority(CONTROL, TREATMENT, margin=-0.1)
