"""Survival curves against statsmodels, against counting, and against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight, survdiff

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.survival import cumulative_incidence, kaplan_meier, kaplan_meier_by, log_rank

subjects = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40)

# Gehan (1965), remission of leukaemia in weeks: the standard teaching example of log-rank and Kaplan-Meier.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
TREATED_SEEN = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def product_limit(rows):
    """Multiply what survives each event time, one user at a time."""
    survival, curve = 1.0, {}
    for time in sorted({t for t, _ in rows}):
        watched = sum(t >= time for t, _ in rows)
        died = sum(t == time and e for t, e in rows)
        survival *= 1 - died / watched
        curve[time] = survival
    return curve


@given(subjects)
def test_kaplan_meier_matches_counting_by_hand(rows):
    curve = kaplan_meier([t for t, _ in rows], [e for _, e in rows])
    expected = product_limit(rows)
    assert curve.times.tolist() == list(expected)
    assert curve.survival == pytest.approx(list(expected.values()), abs=1e-12)
    assert (curve.lower <= curve.survival + 1e-12).all()
    assert (curve.upper >= curve.survival - 1e-12).all()
    assert (curve.events + curve.censored).sum() == len(rows)


def test_gehan_1965_published_survival():
    curve = kaplan_meier(TREATED, TREATED_SEEN)
    # Freireich data as tabulated in Klein and Moeschberger (2003), table 4.1B.
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert curve.at([6, 7, 10, 13, 16, 22, 23]).estimate == pytest.approx(expected, abs=6e-4)
    assert curve.quantile(0.5).estimate == 23
    test = log_rank(TREATED + PLACEBO, TREATED_SEEN + [1] * 21, ["6-MP"] * 21 + ["placebo"] * 21)
    assert test.statistic == pytest.approx(16.79, abs=0.01)


@given(subjects)
def test_greenwood_matches_statsmodels(rows):
    time, seen = np.array([t for t, _ in rows], float), np.array([e for _, e in rows], int)
    if not seen.any():
        return
    peer, curve = SurvfuncRight(time, seen), kaplan_meier(time, seen)
    estimate = curve.at(peer.surv_times)
    inside = (peer.surv_prob > 0) & (peer.surv_prob < 1)
    reach = 1.959963984540054 * peer.surv_prob_se[inside] / (peer.surv_prob[inside] * -np.log(peer.surv_prob[inside]))
    assert estimate.estimate == pytest.approx(peer.surv_prob, abs=1e-12)
    assert estimate.lower[inside] == pytest.approx(peer.surv_prob[inside] ** np.exp(reach), abs=1e-9)
    assert estimate.upper[inside] == pytest.approx(peer.surv_prob[inside] ** np.exp(-reach), abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 2)), min_size=6, max_size=60))
def test_log_rank_matches_statsmodels(rows):
    time, seen, group = (np.array(column) for column in zip(*rows, strict=True))
    test = log_rank(time, seen, group)
    if test.status != "ok":
        return
    statistic, p_value = survdiff(time, seen.astype(int), group)
    assert test.statistic == pytest.approx(statistic, rel=1e-8, abs=1e-10)
    assert test.p_value == pytest.approx(p_value, abs=1e-10)
    assert test.observed.sum() == pytest.approx(test.expected.sum())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the peer divides by zero at the last time
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=3, max_size=60))
def test_cumulative_incidence_matches_statsmodels_and_adds_up(rows):
    time, cause = (np.array(column) for column in zip(*rows, strict=True))
    both = [cumulative_incidence(time, cause, cause=k) for k in (1, 2)]
    total = both[0].incidence + both[1].incidence
    assert total == pytest.approx(1 - kaplan_meier(time, cause > 0).survival, abs=1e-12)
    if {1, 2} <= set(cause.tolist()):
        peer = CumIncidenceRight(time.astype(float), cause)
        for k in (0, 1):
            assert both[k].at(peer.times).estimate == pytest.approx(peer.cinc[k], abs=1e-12)


def test_incidence_variance_is_binomial_without_censoring():
    rng = np.random.default_rng(3)
    time, cause = rng.integers(1, 30, 400), rng.integers(1, 3, 400)
    curve = cumulative_incidence(time, cause)
    binomial = np.sqrt(curve.incidence * (1 - curve.incidence) / 400)
    assert curve.standard_error == pytest.approx(binomial, rel=1e-6)


def test_restricted_mean_is_the_mean_of_capped_times_without_censoring():
    time = np.random.default_rng(5).exponential(10, 500)
    area = kaplan_meier(time, np.ones(500)).restricted_mean(15)
    capped = np.minimum(time, 15)
    assert area.estimate == pytest.approx(capped.mean())
    assert area.standard_error == pytest.approx(capped.std() / np.sqrt(500), rel=1e-9)


def test_intervals_cover_under_censoring():
    rng, hits, area_hits, runs = np.random.default_rng(11), 0, 0, 600
    truth, horizon = np.exp(-5 / 8), 10.0
    mean = 8 * (1 - np.exp(-horizon / 8))
    for _ in range(runs):
        life, watch = rng.exponential(8, 120), rng.uniform(4, 25, 120)
        curve = kaplan_meier(np.minimum(life, watch), life <= watch)
        estimate, area = curve.at(5), curve.restricted_mean(horizon)
        hits += estimate.lower <= truth <= estimate.upper
        area_hits += area.lower <= mean <= area.upper
    error = 3.5 * np.sqrt(0.95 * 0.05 / runs)
    assert abs(hits / runs - 0.95) < error
    assert abs(area_hits / runs - 0.95) < error


def test_curve_knows_what_it_cannot_know():
    curve = kaplan_meier([2, 4, 6], [True, False, False])
    assert curve.at(7).status == "beyond_follow_up"
    assert np.isnan(curve.at(7).estimate)
    assert curve.restricted_mean(7).status == "beyond_follow_up"
    assert curve.quantile(0.5).status == "not_reached"
    assert kaplan_meier([2, 4], [True, True]).at(99).estimate == 0
    empty = kaplan_meier([], np.array([], bool))
    assert empty.status == empty.at(1).status == empty.quantile().status == "not_enough_data"
    assert log_rank([1, 2], [1, 1], ["a", "a"]).status == "not_enough_data"


def test_no_event_yet_still_gives_an_interval():
    curve = kaplan_meier([10] * 30, [False] * 30)
    estimate = curve.at(10)
    assert estimate.estimate == 1
    assert estimate.lower == pytest.approx(0.025 ** (1 / 30))  # Clopper-Pearson for 0 of 30


@given(subjects, st.floats(0.01, 100))
def test_units_and_weights_do_not_matter(rows, unit):
    time, seen = np.array([t for t, _ in rows], float), np.array([e for _, e in rows])
    base = kaplan_meier(time, seen)
    assert kaplan_meier(time * unit, seen).survival == pytest.approx(base.survival)
    twice = kaplan_meier(np.repeat(time, 2), np.repeat(seen, 2))
    weighted = kaplan_meier(time, seen, weights=np.full(time.size, 2))
    assert weighted.survival == pytest.approx(twice.survival)
    assert weighted.lower == pytest.approx(twice.lower)


def test_groups_are_separate_curves():
    rng = np.random.default_rng(1)
    time, seen, group = rng.exponential(5, 90), rng.random(90) < 0.7, rng.integers(0, 3, 90)
    for label, curve in kaplan_meier_by(time, seen, group).items():
        mine = group == label
        assert curve.survival == pytest.approx(kaplan_meier(time[mine], seen[mine]).survival)


@pytest.mark.parametrize(
    ("durations", "observed", "error"),
    [
        ([-1.0], [True], InvalidInput),
        ([np.nan], [True], InvalidInput),
        ([np.inf], [False], InvalidInput),
        ([1.0], [2], InvalidInput),
        ([1.0, 2.0], [True], ShapeMismatch),
    ],
)
def test_wrong_calls_are_refused(durations, observed, error):
    with pytest.raises(error):
        kaplan_meier(durations, observed)
