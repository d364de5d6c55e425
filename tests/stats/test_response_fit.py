"""Fitted response curves: simulation, quadrature and published hierarchies as oracles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize
from scipy import stats as distributions

from upswing.stats import response as rs
from upswing.stats._grid import Grid, pool, quantiles
from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.response_fit import BOUNDS, SHAPES, choose_shape, fit_responses

TRUTH = {
    "power": lambda rng: rs.PowerResponse(2.0, float(np.clip(rng.normal(0.6, 0.1), 0.05, 1.9)), (0, 1e9)),
    "log": lambda rng: rs.LogResponse(40.0, float(np.exp(rng.normal(3.0, 0.4))), (0, 1e9)),
    "hill": lambda rng: rs.HillResponse(90.0, float(np.exp(rng.normal(3.0, 0.3))), float(np.exp(rng.normal(0.3, 0.2))), (0, 1e9)),
}  # fmt: skip


def simulate(rng, shape, n_channels, points=20, noise=0.15, spread=0.8):
    curves = [TRUTH[shape](rng) for _ in range(n_channels)]
    spend = [np.exp(rng.normal(3, spread, points)) for _ in curves]
    outcome = [c.response(x) * np.exp(rng.normal(0, noise, points)) for c, x in zip(curves, spend, strict=True)]
    return curves, spend, outcome


@pytest.mark.parametrize("shape", SHAPES)
def test_limits_of_parameters_and_responses_cover(shape):
    rng, hits, answers, count = np.random.default_rng(3), 0, 0, 0
    for _ in range(30):
        truth, spend, outcome = simulate(rng, shape, 6)
        fit = fit_responses(spend, outcome, shape=shape)
        values = np.array([[getattr(curve, name) for name in fit.names] for curve in truth])
        hits += ((fit.lower <= values) & (values <= fit.upper)).sum()
        for channel in range(2):
            at = float(np.quantile(spend[channel], 0.8))
            told = fit.interval(channel, lambda curve, at=at: curve.response(at), size=300)
            answers += told.lower <= truth[channel].response(at) <= told.upper
        count += 6
    k = len(fit.names)
    assert abs(hits / (count * k) - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / count)
    assert abs(answers / 60 - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / 60)


def test_pooling_beats_channels_on_their_own():
    rng, own, pooled = np.random.default_rng(3), 0.0, 0.0
    for _ in range(40):
        truth, spend, outcome = simulate(rng, "power", 8, points=15, noise=0.3, spread=0.4)
        fit = fit_responses(spend, outcome, shape="power")
        exponent = np.array([curve.exponent for curve in truth])
        own += ((fit.own_estimate[:, 0] - exponent) ** 2).sum()
        pooled += ((fit.estimate[:, 0] - exponent) ** 2).sum()
    assert pooled < 0.7 * own


def test_one_channel_is_the_integral_over_its_likelihood():
    rng = np.random.default_rng(1)
    u = rng.normal(3, 0.5, 9)
    v = 0.4 + 0.7 * u + rng.normal(0, 0.2, 9)
    fit = fit_responses([np.exp(u)], [np.exp(v)], shape="power")

    def density(b):  # scale and noise integrated out: the residual sum of squares to the power -(n - 1) / 2
        gap = v - b * u
        return float(((gap - gap.mean()) ** 2).sum() ** -4.0)

    whole = integrate.quad(density, 0, 2, points=[0.5, 0.7, 0.9])[0]
    assert fit.log_evidence == pytest.approx(np.log(whole / 2), abs=1e-3)
    for level, limit in ((0.025, fit.lower), (0.5, fit.estimate), (0.975, fit.upper)):
        exact = optimize.brentq(lambda b, level=level: integrate.quad(density, 0, b)[0] / whole - level, 0.01, 1.99)
        assert limit[0, 0] == pytest.approx(exact, abs=2e-3)
    # far from the ends of its range the exponent's posterior is the t of least squares, one degree of freedom richer
    slope = distributions.linregress(u, v)
    t = distributions.t(7)
    assert fit.lower[0, 0] == pytest.approx(slope.slope - t.ppf(0.975) * slope.stderr, abs=0.05 * slope.stderr)


def test_bayesian_data_analysis_eight_schools():
    effect, error = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    edges = np.linspace(-100, 100, 801)
    centre = (edges[1:] + edges[:-1]) / 2
    grids = []
    for y, sigma in zip(effect, error, strict=True):
        log_likelihood = -(((centre - y) / sigma) ** 2) / 2
        weight = np.exp(log_likelihood - log_likelihood.max())
        nothing = np.zeros(centre.size)
        grids.append(
            Grid(centre[:, None], (edges,), np.array([0.25]), log_likelihood, weight / weight.sum(), nothing, nothing, 9, 0.0)
        )  # fmt: skip
    pooled, between, _ = pool(grids, [(-100.0, 100.0)])
    medians = [quantiles(grid, 0.95, [(-100.0, 100.0)])[0, 0] for grid in pooled]
    # Medians of table 5.3.
    assert medians == pytest.approx([10, 8, 7, 8, 5, 6, 10, 8], abs=1.2)
    assert 3 < between[0] < 12


@pytest.mark.parametrize("shape", SHAPES)
def test_the_true_shape_is_chosen_on_a_wide_range(shape):
    rng, right, wrong = np.random.default_rng(9), 0, 0
    for _ in range(12):
        _, spend, outcome = simulate(rng, shape, 4, points=40, noise=0.1, spread=1.3)
        choice = choose_shape(spend, outcome)
        right += choice.chosen.shape == shape
        wrong += choice.status == "ok" and choice.chosen.shape != shape
    assert right >= 11
    assert wrong == 0


def test_a_narrow_range_cannot_tell_shapes_apart():
    rng = np.random.default_rng(4)
    _, spend, outcome = simulate(rng, "log", 2, points=12, noise=0.3, spread=0.2)
    choice = choose_shape(spend, outcome)
    assert choice.status == "not_identified"
    assert choice.probability.sum() == pytest.approx(1)
    hill = choice.fits[SHAPES.index("hill")]
    assert np.isinf(hill.upper).any() or (hill.upper / np.maximum(hill.lower, 1e-9) > 5).all()


def test_units_move_only_scale_and_half():
    rng = np.random.default_rng(2)
    _, spend, outcome = simulate(rng, "hill", 3)
    fen = fit_responses([100 * x for x in spend], [7 * y for y in outcome], shape="hill")
    yuan = fit_responses(spend, outcome, shape="hill")
    assert fen.estimate == pytest.approx(yuan.estimate * [100, 1], rel=1e-6)
    assert fen.curves[0].response(2000) == pytest.approx(7 * yuan.curves[0].response(20), rel=1e-6)
    assert fen.log_evidence == pytest.approx(yuan.log_evidence - 3 * 19 * np.log(1.0), abs=1e-6)


def test_channels_without_data_stay_unknown():
    x = [1.0, 2, 4, 8]
    fit = fit_responses([x, [5.0] * 4, [1.0, 2.0]], [[1, 1.5, 2, 3], [1, 2, 1, 2], [1, 2]], shape="power")
    assert fit.status == ("ok", "zero_variance", "not_enough_data")
    assert np.isnan(fit.estimate[1:]).all()
    assert fit.estimate[0] == pytest.approx(fit.own_estimate[0])
    assert fit.draws(1, 5, rng=0) == ()
    assert np.isnan(fit.interval(2, lambda curve: curve.response(3)).lower)
    assert choose_shape([[1.0]], [[2.0]]).status == "not_enough_data"


def test_a_flat_response_has_an_exponent_down_to_nothing():
    rng = np.random.default_rng(0)
    fit = fit_responses([np.exp(rng.normal(2, 1, 60))], [np.exp(rng.normal(1, 0.2, 60))], shape="power")
    assert fit.lower[0, 0] < 0.01
    assert BOUNDS["power"][0][0] == 0


def test_wrong_calls_are_refused():
    with pytest.raises(ShapeMismatch):
        fit_responses([[1, 2]], [[1, 2], [1, 2]], shape="log")
    with pytest.raises(ShapeMismatch):
        fit_responses([[1, 2]], [[1, 2, 3]], shape="log")
    for spend, outcome in (([-1.0, 2], [1.0, 2]), ([1.0, np.inf], [1.0, 2]), ([1.0, np.nan], [1.0, 2])):
        with pytest.raises(InvalidInput):
            fit_responses([spend], [outcome], shape="log")
    with pytest.raises(InvalidInput):
        fit_responses([[1.0]], [[1.0]], shape="cubic")
    with pytest.raises(InvalidInput):
        choose_shape([[1.0]], [[1.0]], shapes=[])
