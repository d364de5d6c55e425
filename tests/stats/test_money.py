"""Money: Fieller sets by grid search, coverage of all three shapes, isotonic regression against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Level
from upswing.stats.errors import InvalidInput
from upswing.stats.money import (
    cost_per_incremental,
    dose_response,
    monotone,
    net_value,
    ratio_set,
    return_on_investment,
)


def _inside(result, ratio):
    kind, low, high = np.asarray(result.kind), np.asarray(result.lower), np.asarray(result.upper)
    between = (low <= ratio) & (ratio <= high)
    return np.where(kind == "bounded", between, np.where(kind == "complement", ~between, kind == "unbounded"))


@given(st.floats(-3, 3), st.floats(0.05, 1), st.floats(-3, 3), st.floats(0.05, 1), st.floats(-0.9, 0.9))
def test_sets_by_grid_search(top, st_, bottom, sb, correlation):
    covariance = correlation * st_ * sb
    result = ratio_set(Level.of(top, st_**2), Level.of(bottom, sb**2), covariance=covariance)
    grid = np.linspace(-30, 30, 4001)
    margin = (top - grid * bottom) ** 2 - 1.959964**2 * (st_**2 - 2 * grid * covariance + grid**2 * sb**2)
    clear = np.abs(margin) > 1e-5 * (1 + grid**2)
    assert (_inside(result, grid) == (margin <= 0))[clear].all()


@pytest.mark.parametrize("bottom", [3.0, 1.5, 0.2])
def test_coverage_whatever_the_shape(bottom):
    rng = np.random.default_rng(1)
    runs = 5000
    a, b = rng.normal(2.0, 1.0, runs), rng.normal(bottom, 1.0, runs)
    result = ratio_set(Level.of(a, 1.0), Level.of(b, 1.0))
    assert abs(_inside(result, 2.0 / bottom).mean() - 0.95) < 4 * np.sqrt(0.05 * 0.95 / runs)
    assert len(set(result.kind)) > 1 or bottom == 3.0


def _arms(rng, n=4000):
    base, more = rng.random(n) < 0.10, rng.random(n) < 0.14
    return (
        Aggregates.from_rows({"buys": base * 1.0, "value": base * 30.0, "cost": np.zeros(n)}),
        Aggregates.from_rows({"buys": more * 1.0, "value": more * 30.0, "cost": more * 5.0}),
        base,
        more,
    )


def test_net_value_charges_the_always_takers():
    control, treatment, base, more = _arms(np.random.default_rng(2))
    result = net_value(control, treatment, {"buys": 30.0, "cost": -1.0})
    assert result.difference == pytest.approx((more * 25.0).mean() - (base * 30.0).mean())
    assert result.se == pytest.approx(np.sqrt((more * 25.0).var(ddof=1) / 4000 + (base * 30.0).var(ddof=1) / 4000))


def test_cost_per_conversion_and_return_agree():
    control, treatment, base, more = _arms(np.random.default_rng(3))
    cost = cost_per_incremental(control, treatment, cost="cost", conversion="buys")
    extra = more.mean() - base.mean()
    assert cost.estimate == pytest.approx(5 * more.mean() / extra)
    assert cost.kind == "bounded"
    assert cost.lower < cost.estimate < cost.upper
    roi = return_on_investment(control, treatment, value="value", cost="cost")
    assert roi.estimate == pytest.approx(30 / cost.estimate - 1)
    # value is 30 per purchase, so the two sets are images of each other
    assert roi.lower == pytest.approx(30 / cost.upper - 1)


def test_no_effect_is_reported_as_such():
    rng = np.random.default_rng(4)
    arms = [Aggregates.from_rows({"buys": rng.random(400) < 0.1, "cost": rng.random(400) * paid}) for paid in (0, 1)]
    result = cost_per_incremental(*arms, cost="cost", conversion="buys")
    assert result.kind == "complement"
    empty = Aggregates.from_rows({"buys": [], "cost": []})
    nothing = cost_per_incremental(arms[0], empty, cost="cost", conversion="buys")
    assert (nothing.status, nothing.kind) == ("not_enough_data", "")
    assert np.isnan(nothing.estimate)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 10)), min_size=1, max_size=20))
def test_monotone_agrees_with_scipy(pairs):
    values, weights = map(np.array, zip(*pairs, strict=True))
    assert monotone(values, weights) == pytest.approx(isotonic_regression(values, weights=weights).x)


def _dose_arm(rng, rate, dose, n):
    buys = (rng.random(n) < rate) * 1.0
    return Aggregates.from_rows({"buys": buys, "cost": dose * buys})


def test_dose_stops_where_the_next_step_costs_more_than_it_brings():
    rng = np.random.default_rng(5)
    doses, rates = [0.0, 2.0, 5.0, 10.0], [0.05, 0.10, 0.13, 0.131]
    arms = [_dose_arm(rng, r, d, 60_000) for r, d in zip(rates, doses, strict=True)]
    result = dose_response(doses, arms, conversion="buys", cost="cost", value=25.0)
    assert result.best == 2
    truth = np.diff(np.array(rates) * doses) / np.diff(rates)
    assert result.marginal_cost[:2] == pytest.approx(truth[:2], rel=0.15)
    assert (np.diff(result.pooled) >= 0).all()


def test_marginal_cost_intervals_cover():
    rng = np.random.default_rng(7)
    doses, rates, n, runs = [0.0, 2.0, 5.0], [0.05, 0.10, 0.13], 5000, 200
    truth = np.diff(np.array(rates) * doses) / np.diff(rates)
    covered = np.zeros(2)
    for _ in range(runs):
        arms = [_dose_arm(rng, r, d, n) for r, d in zip(rates, doses, strict=True)]
        result = dose_response(doses, arms, conversion="buys", cost="cost", value=25.0, draws=400, rng=rng)
        covered += (result.marginal_lower <= truth) & (truth <= result.marginal_upper)
    assert np.abs(covered / runs - 0.95).max() < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_wrong_doses_are_refused():
    arm = _dose_arm(np.random.default_rng(6), 0.1, 1.0, 100)
    for doses in ([1.0, 1.0], [2.0, 1.0], [1.0]):
        with pytest.raises(InvalidInput):
            dose_response(doses, [arm, arm], conversion="buys", cost="cost", value=1.0)
    with pytest.raises(InvalidInput):
        net_value(arm, arm, {})
