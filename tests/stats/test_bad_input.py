"""Every kind of bad input, over all rooms: a clear error, or a result that says it cannot know. Never a silent 0.

pytest turns warnings into errors, so a division by zero that nobody meant fails here too.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from upswing.stats import attribution, clv, fraud, referral, response, scorecard, series, survival
from upswing.stats.aggregates import Aggregates
from upswing.stats.association import associate, mantel_haenszel, overlap_effect
from upswing.stats.bayes import compare_beta, fit_prior, posterior
from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.cuped import compare_adjusted, compare_stratified
from upswing.stats.decomposition import rate_change, shapley_change
from upswing.stats.errors import StatsError
from upswing.stats.explanation import explain_change
from upswing.stats.fraud_clusters import score_clusters
from upswing.stats.means import compare_means
from upswing.stats.meta import pool
from upswing.stats.money import cost_per_incremental, dose_response
from upswing.stats.multiplicity import adjust
from upswing.stats.policy import allocate, policy_value
from upswing.stats.power import Design, sample_size
from upswing.stats.proportions import newcombe_difference, two_proportion_test, wilson_interval
from upswing.stats.quantile import compare_quantiles, estimate_quantile
from upswing.stats.ratio import compare_ratios
from upswing.stats.resampling import bootstrap, permutation
from upswing.stats.response_fit import choose_shape, fit_responses
from upswing.stats.retention_curves import fit_beta_discrete_weibull, fit_power_law, fit_shifted_beta_geometric
from upswing.stats.segments import segment_effects
from upswing.stats.sequential import read_out, spending_boundary
from upswing.stats.srm import sample_ratio, sequential_sample_ratio
from upswing.stats.switchback import compare_clusters
from upswing.stats.uplift import estimate_uplift, gain_curve, rate


def arm(n, total=0.0, squares=0.0):
    return Aggregates.from_sums(n, {"y": total}, squares={"y": squares})


def rows(**columns):
    return Aggregates.from_rows({name: np.asarray(values, float) for name, values in columns.items()})


GOOD = arm(100, 200.0, 600.0)
FLAT = arm(100, 200.0, 400.0)  # everybody 2
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=40)


def admits(call):
    """Whether a call raises a StatsError or returns a result in which nothing passes for known."""
    try:
        result = call()
    except StatsError as refused:
        return bool(str(refused))
    if isinstance(result, (float, np.ndarray)):
        return bool(np.isnan(result).all())
    result = getattr(result, "adjusted", result)
    for part in result if isinstance(result, tuple) else (result,):
        numbers = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        status = numbers.get("status", "ok")
        words = {status} if isinstance(status, str) else set(np.ravel(np.asarray(status)).tolist())
        if words and "ok" in words:
            return False
    return True


CASES = {
    "n is 0": [
        lambda: compare_means(arm(0), GOOD),
        lambda: wilson_interval(0, 0),
        lambda: newcombe_difference(0, 0, 1, 5),
        lambda: two_proportion_test(0, 0, 1, 5),
        lambda: estimate_quantile([], 0.5),
        lambda: bootstrap([], [1.0, 2.0], rng=0),
        lambda: permutation([], [1.0, 2.0], rng=0),
        lambda: confidence_sequence(0.1, 0.1, 0),
        lambda: sample_ratio([0, 0], [0.5, 0.5]),
        lambda: sequential_sample_ratio([[0, 0]], [0.5, 0.5]),
        lambda: compare_beta(0, 0, 0, 0),
        lambda: survival.kaplan_meier([], []),
        lambda: survival.cumulative_incidence([], []),
        lambda: survival.log_rank([], [], []),
        lambda: fit_shifted_beta_geometric([0, 0, 0]),
        lambda: fit_power_law([], []),
        lambda: clv.fit_bg_nbd([], [], []),
        lambda: clv.fit_pareto_nbd([], [], []),
        lambda: clv.fit_bg_bb([], [], []),
        lambda: clv.fit_gamma_gamma([], []),
        lambda: attribution.linear(attribution.Paths.of([], conversions=[])),
        lambda: attribution.markov(attribution.Paths.of([], conversions=[])),
        lambda: fit_responses([[]], [[]], shape="hill"),
        lambda: referral.k_factor([]),
        lambda: referral.cycle_time([], [], [], horizon=1),
        lambda: fraud.click_to_install([]),
        lambda: score_clusters([]),
        lambda: associate(0, 0, 0, 0),
        lambda: overlap_effect([], [], np.empty((0, 1))),
        lambda: pool([], []),
        lambda: segment_effects([], []),
        lambda: fit_prior([], []),
    ],
    "n is 1": [
        lambda: compare_means(arm(1, 2.0, 4.0), GOOD),
        lambda: estimate_quantile([3.0], 0.5),
        lambda: bootstrap([1.0], [2.0, 3.0], rng=0),
        lambda: compare_clusters([1.0, 2.0], [0, 0], [1.0, 2.0, 3.0], [0, 1, 2]),
        lambda: clv.fit_gamma_gamma([1], [10.0]),
        lambda: clv.fit_bg_nbd([1], [2.0], [5.0]),
        lambda: fit_power_law([1], [0.3]),
        lambda: choose_shape([[1.0]], [[2.0]]),
        lambda: referral.k_factor([1]),
        lambda: fraud.click_to_install([5.0]),
        lambda: score_clusters(["a"]),
        lambda: compare_adjusted(rows(y=[1], x=[1]), rows(y=[1], x=[2]), outcome="y", covariates=["x"]),
    ],
    "zero variance": [
        lambda: compare_means(FLAT, FLAT),
        lambda: confidence_sequence(0.1, 0.0, 100),
        lambda: compare_ratios(
            rows(y=[2, 4, 6], d=[1, 2, 3]), rows(y=[2, 4, 6], d=[1, 2, 3]), numerator="y", denominator="d"
        ),
        lambda: clv.fit_gamma_gamma([1, 2, 3], [10.0, 10.0, 10.0]),
        lambda: fit_responses([[5.0] * 9], [list(range(1, 10))], shape="log"),
        lambda: fraud.click_to_install([7.0] * 100),
        lambda: fit_power_law([3, 3, 3], [0.2, 0.2, 0.2]),
    ],
    "all zero": [
        lambda: associate(0, 0, 5, 5),
        lambda: attribution.markov(attribution.Paths.of([("a",), ("b",)], users=[5, 5], conversions=[0, 0])),
        lambda: attribution.linear(attribution.Paths.of([("a",), ("b",)], users=[5, 5], conversions=[0, 0])),
        lambda: clv.fit_bg_nbd([0, 0], [0, 0], [5, 5]),
        lambda: clv.fit_pareto_nbd([0, 0], [0, 0], [5, 5]),
        lambda: clv.fit_bg_bb([0, 0], [0, 0], [5, 5]),
        lambda: fit_power_law([1, 2, 3, 4], [0, 0, 0, 0]),
        lambda: fit_responses([[0.0] * 6], [[0.0] * 6], shape="power"),
        lambda: explain_change({"a": ["x", "y"]}, [0, 0], [0, 0]),
        lambda: rate_change([0, 0], [0, 0], [0, 0], [0, 0]),
        lambda: referral.k_factor([0] * 50),
        lambda: compare_means(arm(50), arm(50)),
    ],
    "infinities": [
        lambda: Aggregates.from_rows({"y": [1.0, np.inf]}),
        lambda: estimate_quantile([1.0, np.inf], 0.5),
        lambda: bootstrap([1.0, np.inf], [1.0, 2.0], rng=0),
        lambda: survival.kaplan_meier([1.0, np.inf], [True, True]),
        lambda: clv.fit_gamma_gamma([1, 2], [10.0, np.inf]),
        lambda: clv.fit_bg_nbd([1, 2], [1, 2], [5.0, np.inf]),
        lambda: fit_responses([[1.0, np.inf]], [[1.0, 2.0]], shape="log"),
        lambda: explain_change({"a": ["x"]}, [1], [np.inf]),
        lambda: referral.cycle_time([np.inf], [0], [5.0], horizon=5),
        lambda: score_clusters(list(range(30)), time=[np.inf] * 30),
        lambda: series.decompose([1.0, np.inf] * 20),
    ],
    "NaN": [
        lambda: Aggregates.from_rows({"y": [1.0, np.nan]}),
        lambda: wilson_interval(np.nan, 5),
        lambda: estimate_quantile([1.0, np.nan], 0.5),
        lambda: bootstrap([1.0, np.nan], [1.0, 2.0], rng=0),
        lambda: confidence_sequence(np.nan, 0.1, 100),
        lambda: posterior(np.nan, 0.1),
        lambda: sample_ratio([np.nan, 5], [0.5, 0.5]),
        lambda: survival.kaplan_meier([1.0, np.nan], [True, True]),
        lambda: clv.fit_bg_nbd([1, np.nan], [1, 1], [5, 5]),
        lambda: fit_responses([[1.0, np.nan]], [[1.0, 2.0]], shape="power"),
        lambda: fraud.click_to_install([np.nan] * 60),
        lambda: associate(np.nan, 1, 1, 1),
        lambda: shapley_change(lambda v: v["a"], {"a": 1.0}, {"a": np.nan}),
        lambda: allocate([[np.nan]], [[1.0]], 1.0),
        lambda: gain_curve([1, 0], [np.nan, 0.2], [1, 0]),
    ],
    "negative counts": [
        lambda: wilson_interval(-1, 5),
        lambda: two_proportion_test(-1, 5, 1, 5),
        lambda: sample_ratio([-1, 5], [0.5, 0.5]),
        lambda: Aggregates.from_sums(-5, {"y": 1.0}, squares={"y": 1.0}),
        lambda: survival.kaplan_meier([-1.0], [True]),
        lambda: clv.fit_bg_nbd([-1], [1], [5]),
        lambda: clv.fit_bg_bb([-1], [1], [5]),
        lambda: fit_shifted_beta_geometric([100, -5]),
        lambda: attribution.Paths.of([("a",)], conversions=[-1]),
        lambda: referral.k_factor([-1, 2]),
        lambda: associate(-1, 1, 1, 1),
        lambda: mantel_haenszel([-1], [1], [1], [1]),
        lambda: fraud.source_outliers([[-1]], [[5]]),
        lambda: explain_change({"a": ["x"]}, [-1], [1]),
        lambda: response.hill(-1.0, half=1, slope=1),
        lambda: compare_beta(-1, 5, 1, 5),
    ],
    "perfect separation": [
        lambda: overlap_effect(NOISE, NOISE > 0, NOISE[:, None]),
        lambda: policy_value(np.ones(4), [0, 0, 0, 0], np.ones(4), np.tile([0.0, 1.0], (4, 1))),
    ],
    "one arm": [
        lambda: gain_curve([1, 0, 1], [0.1, 0.2, 0.3], [1, 1, 1]),
        lambda: estimate_uplift(NOISE[:, None], NOISE, np.ones(40), rng=0),
        lambda: survival.log_rank([1, 2, 3], [True, True, True], ["a", "a", "a"]),
        lambda: sample_ratio([5], [1.0]),
        lambda: pool([0.1], [0.05]),
        lambda: dose_response([1.0], [rows(y=[1, 0], c=[1, 0])], conversion="y", cost="c", value=1.0),
        lambda: Design(shares=(1.0,)),
    ],
    "weights that do not sum": [
        lambda: sample_ratio([5, 5], [0.0, 0.0]),
        lambda: sample_ratio([5, 5], [-0.5, 1.5]),
        lambda: Design(shares=(0.5, 0.6)),
        lambda: policy_value(np.ones(2), [0, 1], [0.5, 0.5], [[0.7, 0.7], [0.5, 0.5]]),
        lambda: attribution.position_based(attribution.Paths.of([("a",)], conversions=[1]), first=0.7, last=0.7),
        lambda: clv.fit_bg_nbd([1, 0], [1, 0], [5, 5], weights=[1, -1]),
        lambda: scorecard.score([[1.0]], []),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=f"{kind} {i}") for kind, calls in CASES.items() for i, call in enumerate(calls)]
)
def test_bad_input_is_admitted(call):
    assert admits(call)


def test_constant_covariate_changes_nothing():
    control, treatment = rows(y=NOISE[:20], x=np.ones(20)), rows(y=NOISE[20:], x=np.ones(20))
    result = compare_adjusted(control, treatment, outcome="y", covariates=["x"])
    assert result.adjusted.difference == pytest.approx(result.unadjusted.difference)
    assert overlap_effect(NOISE, np.arange(40) % 2 == 0, np.ones((40, 1))).estimate == pytest.approx(
        NOISE[::2].mean() - NOISE[1::2].mean()
    )


def test_a_channel_nobody_leaves_is_no_singular_chain():
    # every walk returns to the channel before it ends: the chain of the others alone would never be absorbed
    paths = attribution.Paths.of([("a", "b", "a", "b"), ("b", "a")], users=[10, 10], conversions=[10, 0])
    result = attribution.markov(paths)
    assert result.attribution.credit.sum() == pytest.approx(10)
    assert 0 < result.conversion_probability < 1
    never = attribution.markov(attribution.Paths.of([("a",)], users=[10], conversions=[10]))
    assert never.conversion_probability == 1
    assert never.attribution.as_dict() == {"a": 10}


def test_strata_without_an_arm_and_empty_designs():
    empty = Aggregates.from_rows({"y": [1.0, 2.0, 3.0, 4.0]}, groups=[0, 0, 1, 1], n_groups=3)
    assert compare_stratified(empty, empty).adjusted.status == "ok"  # a stratum nobody is in counts for nothing
    lopsided = Aggregates.from_rows({"y": [1.0, 2.0, 3.0]}, groups=[0, 0, 1], n_groups=3)
    assert compare_stratified(empty, lopsided).adjusted.status == "not_enough_data"


def test_no_effect_to_find_is_refused_and_money_without_effect_is_unbounded():
    assert admits(lambda: sample_size(0.0, 1.0))
    control = rows(y=[0, 1] * 200, c=[0] * 400)
    treatment = rows(y=[1, 0] * 200, c=[1] * 400)
    assert cost_per_incremental(control, treatment, cost="c", conversion="y").kind == "complement"


def test_empty_looks_and_constant_scores():
    assert admits(lambda: spending_boundary([]))
    assert admits(lambda: spending_boundary([0.5, 0.4]))
    assert admits(lambda: read_out([], [], planned_information=1.0))
    assert admits(lambda: adjust([1.5, 0.2]))
    assert adjust([np.nan, 0.2]).tolist()[1] == 0.2
    assert admits(lambda: rate(np.ones(5), np.full(5, np.nan)))
    assert admits(lambda: compare_quantiles([1.0], [2.0], 0.5))
    assert admits(lambda: fit_beta_discrete_weibull([5, 5, 5]))
