"""Shares: published intervals, exact tests against scipy, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from upswing.stats.errors import InvalidInput
from upswing.stats.proportions import newcombe_difference, two_proportion_test, wilson_interval

# Newcombe (1998) II, table II: method 10, 95 %
NEWCOMBE = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
    (10, 10, 0, 10, 0.6075, 1.0),
]


@pytest.mark.parametrize(("s1", "n1", "s2", "n2", "lower", "upper"), NEWCOMBE)
def test_newcombe_1998_table_ii(s1, n1, s2, n2, lower, upper):
    result = newcombe_difference(s1, n1, s2, n2)
    assert result.lower == pytest.approx(lower, abs=5e-5)
    assert result.upper == pytest.approx(upper, abs=5e-5)


@pytest.mark.parametrize(
    ("s", "n", "lower", "upper"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_newcombe_1998_table_i(s, n, lower, upper):
    result = wilson_interval(s, n)
    assert (result.lower, result.upper) == pytest.approx((lower, upper), abs=5e-5)


@given(
    st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99])
)
def test_intervals_agree_with_statsmodels(a, b, c, d, confidence):
    s1, s2 = min(a, b), min(c, d)
    low, high = proportion_confint(s1, b, 1 - confidence, "wilson")
    mine = wilson_interval(s1, b, confidence)
    assert (mine.lower, mine.upper) == pytest.approx((low, high), abs=1e-9)
    low, high = confint_proportions_2indep(s1, b, s2, d, compare="diff", method="newcomb", alpha=1 - confidence)
    ours = newcombe_difference(s1, b, s2, d, confidence)
    assert (ours.lower, ours.upper) == pytest.approx((low, high), abs=1e-9)


@settings(max_examples=200)
@given(
    st.integers(0, 40),
    st.integers(1, 40),
    st.integers(0, 40),
    st.integers(1, 40),
    st.sampled_from(["two_sided", "greater", "less"]),
)
def test_fisher_agrees_with_scipy(a, b, c, d, alternative):
    s1, s2 = min(a, b), min(c, d)
    expected = distributions.fisher_exact([[s1, b - s1], [s2, d - s2]], alternative=alternative.replace("_", "-"))
    result = two_proportion_test(s1, b, s2, d, alternative=alternative, method="fisher")
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-14)


def test_r9_tea_tasting_exact_tests():
    published = {"barnard": 0.530637, "boschloo": 0.400017, "fisher": 0.399995}
    for method, expected in published.items():
        assert two_proportion_test(19, 53, 13, 47, method=method).p_value == pytest.approx(expected, abs=2e-6)


def test_r10_cookie_cats_day_seven():
    result = two_proportion_test(0.190201 * 44700, 44700, 0.182000 * 45489, 45489)
    assert result.p_value == pytest.approx(0.00155, abs=2e-5)
    assert result.method == "pooled_z"


def test_r11_udacity_landing_page():
    result = two_proportion_test(17264, 145310, 17489, 145274)
    assert result.statistic == pytest.approx(-1.3109, abs=1e-4)
    assert result.p_value == pytest.approx(0.1899, abs=1e-4)


def test_many_problems_equal_one_by_one():
    rng = np.random.default_rng(3)
    n1, n2 = rng.integers(0, 80, 300), rng.integers(0, 80, 300)
    s1, s2 = rng.binomial(n1, 0.2), rng.binomial(n2, 0.3)
    many = two_proportion_test(s1, n1, s2, n2)
    for i in range(300):
        one = two_proportion_test(s1[i], n1[i], s2[i], n2[i])
        assert one.status == many.status[i]
        assert one.method == many.method[i]
        for name in ("difference", "lower", "upper", "p_value", "statistic"):
            assert getattr(one, name) == pytest.approx(getattr(many, name)[i], nan_ok=True)


def test_swapping_groups_mirrors_the_answer():
    there, back = two_proportion_test(12, 90, 30, 110), two_proportion_test(30, 110, 12, 90)
    assert there.difference == -back.difference
    assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower))
    assert there.p_value == pytest.approx(back.p_value)


def test_states_of_the_data_are_answers():
    empty = two_proportion_test(0, 0, 3, 10)
    assert (empty.status, np.isnan(empty.p_value), np.isnan(empty.difference)) == ("not_enough_data", True, True)
    constant = two_proportion_test(0, 500, 0, 400)
    assert (constant.status, constant.p_value) == ("zero_variance", 1.0)
    assert constant.lower < 0 < constant.upper


@pytest.mark.parametrize(("s", "n"), [(-1, 3), (4, 3), (1, float("nan")), (1, float("inf"))])
def test_wrong_counts_are_refused(s, n):
    with pytest.raises(InvalidInput):
        wilson_interval(s, n)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_wilson_covers_on_average(share):
    n = np.arange(30, 200)
    covered = [
        distributions.binom.pmf(np.arange(m + 1), m, share)[
            (lambda i: (i.lower <= share) & (share <= i.upper))(wilson_interval(np.arange(m + 1), m))
        ].sum()
        for m in n
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.012)
