"""Laws that hold whatever the numbers: limits, monotonicity, symmetry of arms, labels and units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from upswing.stats import attribution, clv
from upswing.stats.aggregates import Aggregates
from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.cuped import compare_adjusted
from upswing.stats.means import compare_means
from upswing.stats.power import lift_power, power, sample_size
from upswing.stats.proportions import newcombe_difference, two_proportion_test
from upswing.stats.quantile import compare_quantiles
from upswing.stats.ratio import compare_ratios
from upswing.stats.response import HillResponse, LogResponse, PowerResponse
from upswing.stats.retention_curves import BetaDiscreteWeibull, ShiftedBetaGeometric
from upswing.stats.sequential import spending_boundary
from upswing.stats.survival import kaplan_meier

positive = st.floats(0.05, 20)


def table(seed, n=60):
    rng = np.random.default_rng(seed)
    x = rng.gamma(2, 2, n)
    return {"y": x + rng.normal(0, 1, n), "d": 1.0 + rng.poisson(3, n), "x": x}


@given(st.floats(0.01, 2), st.floats(0.1, 10), st.integers(10, 10_000))
@settings(deadline=None)
def test_power_rises_with_users_and_effect_and_ends_at_one_and_alpha(effect, variance, n):
    assert power(effect, variance, 2 * n) >= power(effect, variance, n) - 1e-12
    assert power(2 * effect, variance, n) >= power(effect, variance, n) - 1e-12
    assert power(effect, variance, 1e12) == pytest.approx(1)
    assert power(1e-9, variance, n) == pytest.approx(0.025, abs=1e-6)  # found on the right side
    assert sample_size(2 * effect, variance).total <= sample_size(effect, variance).total
    assert lift_power(effect, 1.0, variance, 2 * n) >= lift_power(effect, 1.0, variance, n) - 1e-12


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_swapping_arms_mirrors_every_comparison(seed):
    one, two = table(seed), table(seed + 5000)
    a, b = Aggregates.from_rows(one), Aggregates.from_rows(two)
    pairs = [
        (compare_means(a, b, column="y"), compare_means(b, a, column="y")),
        (compare_ratios(a, b, numerator="y", denominator="d"), compare_ratios(b, a, numerator="y", denominator="d")),
        (
            compare_adjusted(a, b, outcome="y", covariates=["x"]).adjusted,
            compare_adjusted(b, a, outcome="y", covariates=["x"]).adjusted,
        ),
        (compare_quantiles(one["y"], two["y"], 0.5), compare_quantiles(two["y"], one["y"], 0.5)),
    ]
    for forth, back in pairs:
        assert back.difference == pytest.approx(-forth.difference)
        assert (back.lower, back.upper) == pytest.approx((-forth.upper, -forth.lower))
        assert back.p_value == pytest.approx(forth.p_value)
    forth, back = newcombe_difference(8, 40, 15, 50), newcombe_difference(15, 50, 8, 40)
    assert (back.lower, back.upper) == pytest.approx((-forth.upper, -forth.lower))
    assert two_proportion_test(8, 40, 15, 50).p_value == pytest.approx(two_proportion_test(15, 50, 8, 40).p_value)


@pytest.mark.parametrize("unit", [0.01, 100.0])
def test_money_in_fen_or_yuan_gives_the_same_lift_and_p_value(unit):
    a, b = (Aggregates.from_rows(table(seed)) for seed in (1, 2))
    c, d = (Aggregates.from_rows({k: v * unit for k, v in table(seed).items()}) for seed in (1, 2))
    plain, scaled = compare_means(a, b, column="y"), compare_means(c, d, column="y")
    assert scaled.difference == pytest.approx(unit * plain.difference)
    assert (scaled.lift_lower, scaled.lift_upper) == pytest.approx((plain.lift_lower, plain.lift_upper))
    assert scaled.p_value == pytest.approx(plain.p_value)
    adjusted = [compare_adjusted(*arms, outcome="y", covariates=["x"]).adjusted.p_value for arms in ((a, b), (c, d))]
    assert adjusted[1] == pytest.approx(adjusted[0])


def test_many_users_turn_t_into_normal_and_fieller_into_delta():
    def arm(mean, n):
        return Aggregates.from_moments(np.array(float(n)), np.array(mean), np.array(4.0))

    for n, near in ((50, 0.2), (5_000_000, 1e-5)):
        result = compare_means(arm(2.0, n), arm(2.0 + 2.0 / np.sqrt(n), n))
        normal = 2 * distributions.norm.sf(abs(result.statistic))
        assert result.p_value == pytest.approx(normal, rel=near)
        delta = compare_means(arm(2.0, n), arm(2.0 + 2.0 / np.sqrt(n), n), lift_method="delta")
        assert result.lift_upper == pytest.approx(delta.lift_upper, rel=20 / np.sqrt(n))


@given(st.floats(0.01, 3), st.integers(100, 100_000))
def test_sequences_are_wider_than_intervals_and_narrow_with_users(se, n):
    now, later = confidence_sequence(0.0, se, n), confidence_sequence(0.0, se / np.sqrt(4), 4 * n)
    assert now.upper > 1.959964 * se
    assert later.upper < now.upper
    assert now.upper == pytest.approx(-now.lower)


@given(st.lists(st.floats(0.02, 1), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_more_looks_never_lower_the_last_bar(steps):
    times = np.cumsum(steps) / np.sum(steps)
    bounds = spending_boundary(times).z
    assert bounds[-1] >= 1.959963


@given(st.tuples(positive, positive, positive, positive), st.integers(0, 20), st.floats(0.05, 1))
@settings(deadline=None)
def test_buying_models_are_monotone(point, count, share):
    last = 30 * share if count else 0.0
    for model in (clv.BgNbd(*point), clv.MbgNbd(*point), clv.ParetoNbd(*point)):
        ahead = np.asarray(model.expected(np.array([0.0, 1, 5, 25, 125])))
        assert ahead[0] == pytest.approx(0, abs=1e-9)
        assert (np.diff(ahead) >= -1e-9).all()
        alive = np.asarray(model.alive(count, last, np.array([last, last + 1, last + 10, last + 100])))
        assert ((alive >= 0) & (alive <= 1)).all()
        assert (np.diff(alive) <= 1e-9).all()  # the longer the silence, the less likely


@given(positive, positive, st.floats(0.3, 3))
def test_survival_and_responses_are_monotone(alpha, beta, c):
    for model in (ShiftedBetaGeometric(alpha, beta), BetaDiscreteWeibull(alpha, beta, c)):
        curve = np.asarray(model.survival(np.arange(30)))
        assert curve[0] == pytest.approx(1)
        assert (np.diff(curve) <= 1e-12).all()
    spend = np.linspace(0, 100, 50)
    for curve in (
        PowerResponse(alpha, min(c, 0.9), (0, 1)),
        LogResponse(alpha, beta, (0, 1)),
        HillResponse(alpha, beta, c, (0, 1)),
    ):
        assert (np.diff(np.asarray(curve.response(spend))) >= -1e-12).all()


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=30))
def test_kaplan_meier_falls_and_stays_inside_its_limits(rows):
    curve = kaplan_meier([float(t) for t, _ in rows], [seen for _, seen in rows])
    assert (np.diff(curve.survival) <= 0).all()
    known = np.isfinite(curve.lower)
    assert (curve.lower[known] <= curve.survival[known] + 1e-12).all()
    assert (curve.upper[known] >= curve.survival[known] - 1e-12).all()


def test_names_of_channels_do_not_matter():
    rows = [(("a", "b"), 3), (("b", "c", "a"), 2), (("c",), 4), (("a", "a", "c"), 1)]
    named = {"a": "zz", "b": "x", "c": "m"}
    users = [10, 9, 8, 7]
    one = attribution.Paths.of([p for p, _ in rows], conversions=[c for _, c in rows], users=users)
    other = attribution.Paths.of(
        [tuple(named[t] for t in p) for p, _ in rows], conversions=[c for _, c in rows], users=users
    )
    for model in (attribution.linear, attribution.path_shapley, lambda p: attribution.markov(p).attribution):
        first, second = model(one).as_dict(), model(other).as_dict()
        assert {named[k]: v for k, v in first.items()} == pytest.approx(second)
