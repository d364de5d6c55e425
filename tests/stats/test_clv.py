"""Repeat buying: published fits on CDNOW and donations, quadrature and simulation as oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special
from tests.realdata import data_file

from upswing.stats import clv
from upswing.stats.clv_continuous import _geometric_terms, _pareto_gone, _pareto_terms
from upswing.stats.clv_discrete import _terms as bg_bb_terms
from upswing.stats.clv_spend import _terms as gamma_gamma_terms
from upswing.stats.errors import InvalidInput, ShapeMismatch

positive = st.floats(0.05, 20)


def cdnow():
    table = np.genfromtxt(data_file("cdnow/cdnow_customers_summary_with_transactions.csv"), delimiter=",", names=True)
    return table["x"], table["t_x"], table["T"], table["zbar"]


def simulate_buyers(rng, n, *, r, alpha, age, leaves):
    """`leaves(rng)` returns (time of leaving, coin after a purchase, coin at start)."""
    x, t_x, alive, later = np.zeros(n), np.zeros(n), np.zeros(n, bool), np.zeros(n)
    for i in range(n):
        rate, (gone, coin, at_start) = rng.gamma(r) / alpha, leaves(rng)
        now = 0.0
        if at_start and rng.random() < coin:
            gone = 0.0
        while True:
            now += rng.exponential(1 / rate)
            if now > 2 * age or now > gone:
                break
            if now <= age:
                x[i], t_x[i] = x[i] + 1, now
            else:
                later[i] += 1
            if rng.random() < coin:
                gone = now
        alive[i] = gone > age
    return x, t_x, alive, later


LEAVING = {
    "bg_nbd": lambda rng: (np.inf, rng.beta(0.8, 2.5), False),
    "mbg_nbd": lambda rng: (np.inf, rng.beta(0.8, 2.5), True),
    "pareto_nbd": lambda rng: (rng.exponential(1 / (rng.gamma(0.8) / 10)), 0.0, False),
}
MODELS = {
    "bg_nbd": (clv.fit_bg_nbd, clv.BgNbd(0.6, 5, 0.8, 2.5)),
    "mbg_nbd": (clv.fit_mbg_nbd, clv.MbgNbd(0.6, 5, 0.8, 2.5)),
    "pareto_nbd": (clv.fit_pareto_nbd, clv.ParetoNbd(0.6, 5, 0.8, 10)),
}


def test_fader_hardie_lee_2005_bg_nbd_on_cdnow():
    x, t_x, age, _ = cdnow()
    fit = clv.fit_bg_nbd(x, t_x, age)
    assert fit.status == "ok"
    assert fit.estimates == pytest.approx([0.243, 4.414, 0.793, 2.426], abs=1e-3)
    assert fit.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    model = fit.model
    assert model.expected_of_customer(39, x=2, t_x=30.43, age=38.86) == pytest.approx(1.226, abs=5e-4)
    assert model.expected([0.1429, 1, 3, 31.8571, 32, 78]) == pytest.approx(
        [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8576], abs=5e-4
    )


def test_btyd_walkthrough_bg_nbd_customer_1516():
    model = clv.BgNbd(0.2425945, 4.4136019, 0.7929199, 2.4258881)  # CLVTools test of the same data
    assert model.expected_of_customer(52, x=26, t_x=30.857, age=31) == pytest.approx(25.75659, abs=1e-3)
    assert model.alive(26, 30.857, 31) == pytest.approx(0.9688523, abs=1e-5)
    assert model.expected(52) == pytest.approx(1.444004, abs=1e-4)


def test_btyd_probability_of_counts():
    model = clv.BgNbd(0.243, 4.414, 0.793, 2.426)
    assert model.probability(10, 2) == pytest.approx(1.07869e-07, rel=1e-5)
    assert model.probability(0, 39) == pytest.approx(0.5737864, abs=1e-6)
    assert np.sum(model.probability(np.arange(4000), 39)) == pytest.approx(1, abs=1e-9)


def test_clvtools_pareto_nbd_on_cdnow_with_standard_errors():
    x, t_x, age, _ = cdnow()
    fit = clv.fit_pareto_nbd(x, t_x, age)
    assert fit.estimates == pytest.approx([0.55315, 10.57633, 0.60625, 11.67150], rel=1e-3)
    assert fit.standard_errors == pytest.approx([0.0476, 0.8427, 0.1873, 6.2105], rel=2e-3)
    assert fit.log_likelihood == pytest.approx(-9594.976, abs=0.01)


def test_btyd_walkthrough_pareto_nbd_customer_1516():
    model = clv.ParetoNbd(0.55315, 10.57633, 0.60625, 11.67150)
    assert model.expected_of_customer(52, x=26, t_x=30.857, age=31) == pytest.approx(25.45647, abs=2e-3)
    assert model.alive(26, 30.857, 31) == pytest.approx(0.997874, abs=5e-6)
    assert model.expected(52) == pytest.approx(1.473434, abs=2e-4)


def test_btydplus_mbg_nbd_on_cdnow():
    x, t_x, age, _ = cdnow()
    assert clv.fit_mbg_nbd(x, t_x, age).estimates == pytest.approx([0.525, 6.183, 0.891, 1.614], abs=1e-3)


def test_fader_hardie_2013_gamma_gamma_on_cdnow():
    x, _, _, spend = cdnow()
    fit = clv.fit_gamma_gamma(x, spend)
    assert fit.n == 946
    assert fit.estimates == pytest.approx([6.25, 3.74, 15.44], abs=0.01)
    assert fit.log_likelihood == pytest.approx(-4055.92, abs=0.01)


def test_fader_hardie_shang_2010_bg_bb_on_donations():
    table = np.genfromtxt(data_file("cdnow/donations.csv"), delimiter=",", names=True)
    fit = clv.fit_bg_bb(table["frequency"], table["recency"], table["periods"], weights=table["weights"])
    assert fit.n == 11104
    assert fit.estimates == pytest.approx([1.20352, 0.74973, 0.65678, 2.78380], rel=5e-4)
    assert fit.log_likelihood == pytest.approx(-33225.58, abs=0.01)


def test_btyd_walkthrough_bg_bb_answers():
    model = clv.BgBb(1.20352, 0.74973, 0.65678, 2.78380)
    assert model.expected(10) == pytest.approx(3.179805, abs=2e-5)
    assert model.expected_of_customer(10, x=0, t_x=0, n=6) == pytest.approx(0.1302169, abs=1e-5)
    assert model.expected_of_customer(10, x=4, t_x=5, n=6) == pytest.approx(3.627858, abs=2e-5)
    assert model.alive([0, 2, 6], [0, 4, 6], 6) == pytest.approx([0.11, 0.59, 0.93], abs=5e-3)


@pytest.mark.parametrize("name", MODELS)
def test_simulated_customers_give_the_parameters_and_answers_back(name):
    fit_model, truth = MODELS[name]
    rng = np.random.default_rng(8)
    x, t_x, alive, later = simulate_buyers(rng, 4000, r=0.6, alpha=5, age=40.0, leaves=LEAVING[name])
    age = np.full(4000, 40.0)
    fit = fit_model(x, t_x, age)
    assert fit.status == "ok"
    values = np.array([getattr(truth, parameter) for parameter in fit.names])
    assert (np.abs(np.log(fit.estimates / values)) < 3.9 * np.sqrt(np.diag(fit.log_covariance))).all()
    chance = truth.alive(x, t_x, age)
    assert alive.mean() == pytest.approx(chance.mean(), abs=4 * np.sqrt((chance * (1 - chance)).sum()) / 4000)
    expected = truth.expected_of_customer(40, x=x, t_x=t_x, age=age)
    assert (later - expected).mean() == pytest.approx(0, abs=4 * (later - expected).std() / np.sqrt(4000))
    assert truth.expected(40) == pytest.approx(x.mean(), abs=4 * x.std() / np.sqrt(4000))


def test_lifetimes_copies_the_bg_expectation_into_mbg():
    # lifetimes' ModifiedBetaGeoFitter test compares with the BG expectation at rtol 0.05. The models differ: with
    # MBG a customer may leave right after the first purchase, so the mean over customers is smaller by b / (a + b)
    # at the start, which the simulation above confirms.
    bg, mbg = clv.BgNbd(0.6, 5, 0.8, 2.5), clv.MbgNbd(0.6, 5, 0.8, 2.5)
    assert mbg.expected(0.01) / bg.expected(0.01) == pytest.approx(2.5 / 3.3, rel=1e-2)


def gradient_check(terms, point):
    value, slopes = terms(point)
    for k in range(point.size):
        step = np.zeros(point.size)
        step[k] = 1e-6 * point[k]
        numeric = (terms(point + step)[0] - terms(point - step)[0]) / (2 * step[k])
        assert slopes[k] == pytest.approx(numeric, rel=2e-4, abs=1e-5)
    return value


@given(st.tuples(positive, positive, positive, positive), st.integers(0, 30), st.floats(0.05, 1))
@settings(deadline=None)
def test_gradients_are_those_of_the_likelihood(point, count, share):
    theta, age = np.array(point), np.array([39.0])
    x, last = np.array([float(count)]), np.array([share * 39 if count else 0.0])
    for extra in (0, 1):
        gradient_check(lambda p, extra=extra: _geometric_terms(p, x, last, age, extra=extra), theta)
    gradient_check(lambda p: _pareto_terms(p, x, last, age), theta)
    gradient_check(lambda p: gamma_gamma_terms(p, x + 1, last + 1), theta[:3])
    n, taken = np.array([31.0]), np.maximum(np.ceil(share * 31), count) * (count > 0)
    gradient_check(lambda p: bg_bb_terms(p, x, np.atleast_1d(taken), n), theta)


@given(st.tuples(*[st.floats(0.5, 20)] * 4), st.integers(0, 40), st.floats(0.0, 0.999))
@settings(deadline=None)
def test_pareto_integral_matches_the_published_hypergeometric_form(point, count, share):
    r, alpha, s, beta = point
    last, age, x = (share * 39 if count else 0.0), 39.0, float(count)
    value, _ = _pareto_gone(np.array(point), *(np.array([v]) for v in (x, last, age)))

    def integrand(u):
        return np.exp(-(r + x) * np.log((alpha + u) / (alpha + last)) - (s + 1) * np.log((beta + u) / (beta + last)))

    area, _ = integrate.quad(integrand, last, age, epsabs=0, epsrel=1e-10, limit=300)
    if area > 0:
        expected = np.log(s * area) - (r + x) * np.log(alpha + last) - (s + 1) * np.log(beta + last)
        assert value[0] == pytest.approx(expected, abs=1e-4)


@given(st.tuples(positive, positive, positive, positive), st.floats(0.1, 200))
@settings(deadline=None)
def test_bg_expectation_matches_equation_9(point, t):
    r, alpha, a, b = point
    if abs(a - 1) < 0.05 or abs(a + b - 1) < 1e-3:  # the published form divides by both
        return
    published = (
        (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * special.hyp2f1(r, b, a + b - 1, t / (alpha + t)))
    )
    if np.isfinite(published):
        assert clv.BgNbd(*point).expected(t) == pytest.approx(published, rel=1e-5, abs=1e-7)


def test_expectation_is_smooth_where_its_formula_divides_by_zero():
    around = [clv.BgNbd(0.5, 5, a, 2).expected(40) for a in (0.999, 1.0, 1.001)]
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, rel=1e-4)
    around = [clv.BgNbd(0.5, 5, 0.4, b).expected(40) for b in (0.599, 0.6, 0.601)]
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, rel=1e-4)
    around = [clv.ParetoNbd(0.5, 5, s, 2).expected(40) for s in (0.999, 1.0, 1.001)]
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, rel=1e-4)


def test_bg_bb_matches_playing_every_history():
    model = clv.BgBb(1.2, 0.8, 0.7, 2.8)
    rng = np.random.default_rng(4)
    n = 60_000
    p, q = rng.beta(1.2, 0.8, n), rng.beta(0.7, 2.8, n)
    lasts = rng.geometric(q) - 1  # chances before leaving
    chances = np.arange(1, 9)
    bought = (rng.random((n, 8)) < p[:, None]) & (chances <= lasts[:, None])
    seen = bought[:, :4]
    x, t_x = seen.sum(1), (seen * chances[:4]).max(1)
    mine = (x == 1) & (t_x == 2)
    assert (lasts[mine] >= 5).mean() == pytest.approx(model.alive(1, 2, 4), abs=4 * 0.5 / np.sqrt(mine.sum()))
    later = bought[mine, 4:].sum(1)
    assert later.mean() == pytest.approx(
        model.expected_of_customer(4, x=1, t_x=2, n=4), abs=4 * later.std() / np.sqrt(mine.sum())
    )
    fit = clv.fit_bg_bb(x, t_x, np.full(n, 4))
    assert fit.status == "ok"
    assert (np.abs(np.log(fit.estimates / [1.2, 0.8, 0.7, 2.8])) < 4 * np.sqrt(np.diag(fit.log_covariance))).all()


def test_gamma_gamma_recovers_and_its_intervals_hold_the_truth():
    rng = np.random.default_rng(2)
    x = rng.integers(1, 9, 3000)
    spend = np.array([rng.gamma(6, 1 / nu, k).mean() for k, nu in zip(x, rng.gamma(4, 1 / 15, 3000), strict=True)])
    fit = clv.fit_gamma_gamma(x, spend)
    assert (np.abs(np.log(fit.estimates / [6, 4, 15])) < 3.9 * np.sqrt(np.diag(fit.log_covariance))).all()
    mean = fit.interval(lambda model: model.mean_spend())
    assert mean.lower < 6 * 15 / 3 < mean.upper
    assert mean.lower < mean.estimate < mean.upper


def test_own_optimum_is_not_beaten_by_a_search_without_gradients():
    rng = np.random.default_rng(8)
    x, t_x, _, _ = simulate_buyers(rng, 400, r=0.6, alpha=5, age=40.0, leaves=LEAVING["bg_nbd"])
    age = np.full(400, 40.0)
    fit = clv.fit_bg_nbd(x, t_x, age)
    search = optimize.minimize(
        lambda log: -_geometric_terms(np.exp(log), x, t_x, age, extra=0)[0].sum(), np.zeros(4), method="Nelder-Mead",
        options={"maxiter": 4000, "xatol": 1e-7, "fatol": 1e-9},
    )  # fmt: skip
    assert fit.log_likelihood >= -search.fun - 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_setting_out_from_a_sample_leads_to_the_same_peak(name, monkeypatch):
    fit_model, _ = MODELS[name]
    rng = np.random.default_rng(3)
    x, t_x, _, _ = simulate_buyers(rng, 3000, r=0.6, alpha=5, age=40.0, leaves=LEAVING[name])
    whole = fit_model(x, t_x, np.full(3000, 40.0))
    monkeypatch.setattr("upswing.stats.clv_continuous.SKETCHED", 300)
    sampled = fit_model(x, t_x, np.full(3000, 40.0))
    assert sampled.estimates == pytest.approx(whole.estimates, rel=2e-3)
    assert sampled.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-4)


def test_time_unit_moves_only_the_rates():
    rng = np.random.default_rng(1)
    x, t_x, _, _ = simulate_buyers(rng, 1500, r=0.6, alpha=5, age=40.0, leaves=LEAVING["pareto_nbd"])
    weeks = clv.fit_pareto_nbd(x, t_x, np.full(1500, 40.0))
    days = clv.fit_pareto_nbd(x, t_x * 7, np.full(1500, 280.0))
    assert days.estimates == pytest.approx(weeks.estimates * [1, 7, 1, 7], rel=1e-3)


def test_weights_stand_for_repeated_customers():
    x, t_x, age = np.array([0, 1, 4, 2, 0]), np.array([0, 3, 30, 12, 0]), np.array([38, 38, 35, 30, 30])
    weight = np.array([40, 20, 8, 9, 30])
    folded = clv.fit_bg_nbd(x, t_x, age, weights=weight)
    spelled = clv.fit_bg_nbd(*(np.repeat(column, weight) for column in (x, t_x, age)))
    assert folded.estimates == pytest.approx(spelled.estimates)
    assert folded.n == weight.sum()


def test_without_a_peak_the_fit_says_so():
    nobody = clv.fit_bg_nbd([0, 0, 0], [0, 0, 0], [5, 6, 7])
    assert nobody.status == "not_enough_data"
    assert np.isnan(nobody.estimates).all()
    # Everybody buys at the same rate and nobody leaves: neither heterogeneity nor leaving can be told.
    same = clv.fit_bg_nbd([10] * 50, [40] * 50, [40] * 50)
    assert same.status == "not_identified"
    assert np.isnan(same.standard_errors).all()
    assert np.isnan(same.draws(3, rng=0)).all()
    assert np.isnan(same.interval(lambda model: model.expected(10)).lower)
    assert clv.fit_gamma_gamma([1, 2], [10, 10]).status == "not_enough_data"


def test_lifetime_value_is_spend_times_purchases_without_discount():
    model = clv.ParetoNbd(0.55, 10.6, 0.6, 11.7)
    seen = {"x": np.array([0.0, 3]), "t_x": np.array([0.0, 20]), "age": np.array([30.0, 30])}
    value = clv.lifetime_value(model, [30.0, 50.0], **seen, horizon=52, discount_per_unit=0.0)
    assert value == pytest.approx(np.array([30, 50]) * model.expected_of_customer(52, **seen))
    less = clv.lifetime_value(model, [30.0, 50.0], **seen, horizon=52, discount_per_unit=0.01)
    assert (less < value).all()


@pytest.mark.parametrize(
    ("x", "t_x", "age", "error"),
    [
        ([-1], [0], [5], InvalidInput),
        ([1], [6], [5], InvalidInput),
        ([0], [1], [5], InvalidInput),
        ([1], [np.nan], [5], InvalidInput),
        ([1, 2], [1, 2], [5, 5, 5], ShapeMismatch),
    ],
)
def test_wrong_calls_are_refused(x, t_x, age, error):
    for fit in (clv.fit_bg_nbd, clv.fit_mbg_nbd, clv.fit_pareto_nbd):
        with pytest.raises(error):
            fit(x, t_x, age)


def test_limits_are_those_of_the_profile_likelihood():
    rng = np.random.default_rng(5)
    x, t_x, _, _ = simulate_buyers(rng, 1200, r=0.6, alpha=5, age=40.0, leaves=LEAVING["mbg_nbd"])
    age = np.full(1200, 40.0)
    fit = clv.fit_mbg_nbd(x, t_x, age)
    assert fit.limits == "profile"

    def fall(index, value):  # by a search that knows no gradients
        free = [i for i in range(4) if i != index]

        def lost(log):
            point = np.full(4, value)
            point[free] = np.exp(log)
            return fit.log_likelihood - _geometric_terms(point, x, t_x, age, extra=1)[0].sum()

        options = {"maxiter": 4000, "xatol": 1e-6, "fatol": 1e-9}
        return optimize.minimize(
            lost, np.log(fit.estimates[free]), method="Nelder-Mead", bounds=[(-7, 7)] * 3, options=options
        ).fun

    for index in range(4):
        assert 2 * fall(index, fit.lower[index]) == pytest.approx(1.959964**2, rel=0.01)
        assert 2 * fall(index, fit.upper[index]) == pytest.approx(1.959964**2, rel=0.01)


def test_a_parameter_without_an_upper_limit_says_so():
    # Hardly any spread within customers: p may be as large as it likes, and a symmetric interval would hide that.
    rng = np.random.default_rng([12, 0])
    x = rng.integers(1, 9, 500)
    fit = clv.fit_gamma_gamma(x, rng.gamma(6 * x) / (x * rng.gamma(4, 1 / 15, 500)))
    assert fit.status == "ok"
    assert fit.upper[0] == np.inf
    assert fit.lower[2] == 0
    assert fit.lower[0] < 6
