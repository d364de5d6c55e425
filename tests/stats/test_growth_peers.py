"""Other libraries as live oracles of the growth models, each where it is installed."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from tests.realdata import data_file

from upswing.stats import attribution, clv, survival
from upswing.stats.confidence_sequences import confidence_sequence

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def _lives(rng, n, kinds=2):
    life, watched = np.round(rng.weibull(1.3, n) * 20, 0) + 1, np.round(rng.uniform(5, 40, n), 0)
    kind = np.where(life <= watched, rng.integers(1, kinds + 1, n), 0)
    return np.minimum(life, watched), kind


def test_lifelines_kaplan_meier_log_rank_and_restricted_mean():
    lifelines = pytest.importorskip("lifelines")
    from lifelines.statistics import multivariate_logrank_test
    from lifelines.utils import restricted_mean_survival_time

    rng = np.random.default_rng(1)
    for _ in range(5):
        duration, kind = _lives(rng, 150)
        theirs = lifelines.KaplanMeierFitter(alpha=0.05).fit(duration, kind > 0)
        ours = survival.kaplan_meier(duration, kind > 0)
        at = np.array([2.0, 7, 15, 22])
        seen = ours.at(at)
        assert seen.estimate == pytest.approx(theirs.survival_function_at_times(at).to_numpy())
        limits = theirs.confidence_interval_.reindex(theirs.survival_function_.index)
        row = [limits.index.get_indexer([t], method="ffill")[0] for t in at]
        assert seen.lower == pytest.approx(limits.iloc[row, 0].to_numpy())
        assert seen.upper == pytest.approx(limits.iloc[row, 1].to_numpy())
        assert ours.quantile(0.5).estimate == theirs.median_survival_time_
        assert ours.restricted_mean(20).estimate == pytest.approx(restricted_mean_survival_time(theirs, t=20))
        group = rng.integers(0, 3, 150)
        test = multivariate_logrank_test(duration, group, kind > 0)
        mine = survival.log_rank(duration, kind > 0, group)
        assert mine.statistic == pytest.approx(test.test_statistic)
        assert mine.p_value == pytest.approx(test.p_value)


def test_lifelines_cumulative_incidence():
    lifelines = pytest.importorskip("lifelines")
    rng = np.random.default_rng(2)
    duration = rng.permutation(np.arange(1.0, 201)) / 10  # lifelines jitters ties
    kind = rng.integers(0, 3, 200)
    theirs = lifelines.AalenJohansenFitter().fit(duration, kind, event_of_interest=1)
    at = np.array([1.05, 6.0, 12.0])
    ours = survival.cumulative_incidence(duration, kind)
    mine = ours.at(at)
    column = theirs.cumulative_density_.iloc[:, 0]
    assert mine.estimate == pytest.approx([column[column.index <= t].iloc[-1] for t in at])


def test_lifetimes_on_cdnow():
    lifetimes = pytest.importorskip("lifetimes")
    table = np.genfromtxt(data_file("cdnow/cdnow_customers_summary_with_transactions.csv"), delimiter=",", names=True)
    x, t_x, age, spend = table["x"], table["t_x"], table["T"], table["zbar"]
    theirs = lifetimes.BetaGeoFitter().fit(x, t_x, age)
    ours = clv.fit_bg_nbd(x, t_x, age)
    assert ours.estimates == pytest.approx(theirs.params_[["r", "alpha", "a", "b"]].to_numpy(), rel=1e-4)
    modified = lifetimes.ModifiedBetaGeoFitter().fit(x, t_x, age)
    assert clv.fit_mbg_nbd(x, t_x, age).estimates == pytest.approx(
        modified.params_[["r", "alpha", "a", "b"]].to_numpy(), rel=1e-4
    )
    model = clv.BgNbd(*theirs.params_[["r", "alpha", "a", "b"]])
    some = slice(0, 300)
    future = theirs.conditional_expected_number_of_purchases_up_to_time(39, x[some], t_x[some], age[some])
    assert model.expected_of_customer(39, x=x[some], t_x=t_x[some], age=age[some]) == pytest.approx(future, rel=1e-6)
    alive = theirs.conditional_probability_alive(x[some], t_x[some], age[some])
    assert model.alive(x[some], t_x[some], age[some]) == pytest.approx(alive)
    pareto = lifetimes.ParetoNBDFitter().fit(x, t_x, age)
    assert clv.fit_pareto_nbd(x, t_x, age).estimates == pytest.approx(
        pareto.params_[["r", "alpha", "s", "beta"]].to_numpy(), rel=1e-3
    )
    buys = x > 0
    gamma = lifetimes.GammaGammaFitter().fit(x[buys], spend[buys])
    assert clv.fit_gamma_gamma(x, spend).estimates == pytest.approx(gamma.params_[["p", "q", "v"]].to_numpy(), rel=1e-4)


def _mta(rows):
    mta = pytest.importorskip("mta")
    import pandas as pd

    table = pd.DataFrame(
        {
            "path": [" > ".join(path) for path, _, _ in rows],
            "total_conversions": [converted for _, converted, _ in rows],
            "total_null": [users - converted for _, converted, users in rows],
        }
    )
    with contextlib.redirect_stdout(io.StringIO()):
        return mta.MTA(table, allow_loops=True, add_timepoints=False, normalize_by_default=False)


def _journeys(rng, n=60):
    for _ in range(n):
        users = int(rng.integers(1, 50))
        yield tuple(rng.choice(list("abcd"), rng.integers(1, 6))), int(rng.integers(0, users + 1)), users


def test_mta_rules_and_shapley():
    rows = list(_journeys(np.random.default_rng(3)))
    theirs = _mta(rows)
    paths = attribution.Paths.of(
        [row[0] for row in rows], conversions=[row[1] for row in rows], users=[row[2] for row in rows]
    )
    with contextlib.redirect_stdout(io.StringIO()):
        theirs.linear(share="proportional").position_based().first_touch().last_touch().shapley()
    for name, mine in (
        ("linear", attribution.linear(paths)),
        ("pos_based", attribution.position_based(paths)),
        ("first_touch", attribution.first_touch(paths)),
        ("last_touch", attribution.last_touch(paths)),
        ("shapley", attribution.path_shapley(paths)),
    ):
        assert mine.as_dict() == pytest.approx(dict(theirs.attribution[name]))


def test_mta_markov_counts_only_the_walks_somebody_walked():
    """Its transition matrix is ours; its conversion probability is not that of the chain.

    It adds up the probability of the converting paths that are in the data. The chain also walks paths nobody walked,
    so the sum is too small; its own simulation of the same chain agrees with the absorbing-chain solution.
    """
    rows = [(("a", "b"), 3, 10), (("b", "a", "b"), 1, 5), (("a",), 2, 12), (("b",), 4, 9)]
    theirs = _mta(rows)
    paths = attribution.Paths.of(
        [row[0] for row in rows], conversions=[row[1] for row in rows], users=[row[2] for row in rows]
    )
    ours = attribution.markov(paths)
    matrix = theirs.transition_matrix()
    assert ours.transitions == pytest.approx({step: p for step, p in matrix.items() if p > 0})
    np.random.seed(0)  # it draws from numpy's global generator
    with contextlib.redirect_stdout(io.StringIO()):
        walks = theirs.simulate_path(matrix, n=20_000)
    simulated = walks["(conversion)"] / 20_000
    assert ours.conversion_probability == pytest.approx(simulated, abs=4 * 0.5 / np.sqrt(20_000))
    assert theirs.prob_convert(matrix) < simulated - 0.01


def test_confseq_normal_mixture():
    boundaries = pytest.importorskip("confseq.boundaries")
    n = np.array([100.0, 1000, 5000, 50_000])
    for tuned in (1000.0, 5000.0):
        ours = confidence_sequence(np.zeros(4), np.ones(4), n, tuned_for=tuned)
        theirs = boundaries.normal_mixture_bound(n, 0.05, tuned, 0.05, is_one_sided=False) / np.sqrt(n)
        assert ours.upper == pytest.approx(theirs, rel=2e-3)
        # one-sided, the two libraries tune by different approximations: the widths agree to a few per cent
        one = confidence_sequence(np.zeros(4), np.ones(4), n, tuned_for=tuned, alternative="less")
        sided = boundaries.normal_mixture_bound(n, 0.05, tuned, 0.05, is_one_sided=True) / np.sqrt(n)
        assert one.upper == pytest.approx(sided, rel=0.05)
