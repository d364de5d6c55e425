"""Decomposition: laws (adds up, symmetric), slow twins over all orders, planted causes found."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.stats.decomposition import lmdi_change, rate_change, shapley_change, total_change
from upswing.stats.errors import InvalidInput

above = st.floats(0.1, 50)
counts = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6
)


def over_all_orders(formula, before, after):
    share = dict.fromkeys(before, 0.0)
    orders = list(permutations(before))
    for order in orders:
        point = dict(before)
        for name in order:
            value = formula(point)
            point[name] = after[name]
            share[name] += (formula(point) - value) / len(orders)
    return share


@given(st.lists(st.tuples(above, above), min_size=4, max_size=4))
def test_shapley_is_the_mean_over_all_orders(pairs):
    def tree(v):  # a metric tree: revenue = (new + kept * rate) * price
        return (v["new"] + v["kept"] * v["rate"]) * v["price"]

    names = ("new", "kept", "rate", "price")
    before = dict(zip(names, (p[0] for p in pairs), strict=True))
    after = dict(zip(names, (p[1] for p in pairs), strict=True))
    result = shapley_change(tree, before, after)
    assert result.as_dict() == pytest.approx(over_all_orders(tree, before, after), rel=1e-9, abs=1e-7)
    assert result.contribution.sum() == pytest.approx(result.change, rel=1e-9, abs=1e-7)
    back = shapley_change(tree, after, before)
    assert back.contribution == pytest.approx(-result.contribution, rel=1e-9, abs=1e-7)


@given(st.lists(st.tuples(above, above), min_size=1, max_size=5))
def test_lmdi_has_no_residual_and_reverses(pairs):
    before = {str(i): p[0] for i, p in enumerate(pairs)}
    after = {str(i): p[1] for i, p in enumerate(pairs)}
    result = lmdi_change(before, after)
    scale = max(result.before, result.after)
    assert result.contribution.sum() == pytest.approx(result.change, rel=1e-6, abs=1e-6 * scale)
    assert lmdi_change(after, before).contribution == pytest.approx(-result.contribution, rel=1e-6, abs=1e-6 * scale)


def test_formulas_without_a_value_on_the_way_say_so():
    ratio = shapley_change(lambda v: v["a"] / v["b"], {"a": 1, "b": 0.5}, {"a": 2, "b": 0.0} | {"b": 4})
    assert ratio.status == "ok"

    def chain(v):
        return v["a"] / (v["b"] - v["c"])

    broken = shapley_change(chain, {"a": 1, "b": 2, "c": 1}, {"a": 1, "b": 5, "c": 2})
    assert broken.status == "not_identified"
    assert np.isnan(broken.contribution).all()
    assert lmdi_change({"a": 0}, {"a": 1}).status == "not_identified"


def segments(rows):
    d0, d1 = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], float)
    return d0 * [r[2] for r in rows], d0, d1 * [r[3] for r in rows], d1


@given(counts)
def test_rate_and_mix_add_up(rows):
    n0, d0, n1, d1 = segments(rows)
    result = rate_change(n0, d0, n1, d1)
    if not (d0.sum() and d1.sum()):
        assert result.status == "not_enough_data"
        return
    assert result.change == pytest.approx(n1.sum() / d1.sum() - n0.sum() / d0.sum())
    assert result.total.sum() == pytest.approx(result.change, abs=1e-12)
    back = rate_change(n1, d1, n0, d0)
    assert back.rate == pytest.approx(-result.rate)
    assert back.mix == pytest.approx(-result.mix)


@given(counts)
def test_rate_mix_volume_add_up_to_the_last_unit(rows):
    n0, d0, n1, d1 = segments(rows)
    result = total_change(n0, d0, n1, d1)
    if result.status == "ok":
        assert result.total.sum() == pytest.approx(n1.sum() - n0.sum(), abs=1e-9)


def test_rate_mix_volume_matches_all_orders_on_one_segment_pair():
    # Two segments: the three factors moved in all six orders, summed over segments.
    n0, d0, n1, d1 = np.array([10.0, 40]), np.array([100.0, 100]), np.array([30.0, 45]), np.array([200.0, 90])
    result = total_change(n0, d0, n1, d1)

    def whole(point):
        return float(point["volume"] * (point["mix"] * point["rate"]).sum())

    before = {"volume": d0.sum(), "mix": d0 / d0.sum(), "rate": n0 / d0}
    after = {"volume": d1.sum(), "mix": d1 / d1.sum(), "rate": n1 / d1}
    expected = over_all_orders(whole, before, after)
    assert result.volume.sum() == pytest.approx(expected["volume"])
    assert result.mix.sum() == pytest.approx(expected["mix"])
    assert result.rate.sum() == pytest.approx(expected["rate"])


def test_simpson_case_is_all_mix():
    # Both segments' rates rise, the overall rate falls: mix carries the fall.
    result = rate_change([10, 80], [100, 100], [36, 85], [300, 100])
    assert result.change < 0
    assert (result.rate > 0).all()
    assert result.mix.sum() < 0


def test_a_segment_that_appears_is_mix():
    result = rate_change([10, 0], [100, 0], [10, 30], [100, 100])
    assert result.rate == pytest.approx([0, 0])
    assert result.mix.sum() == pytest.approx(0.2 - 0.1)


def test_states_and_wrong_calls():
    assert rate_change([0], [0], [1], [2]).status == "not_enough_data"
    with pytest.raises(InvalidInput):
        shapley_change(lambda v: 0.0, {"a": 1}, {"b": 1})
    with pytest.raises(InvalidInput):
        rate_change([1], [0], [1], [1])
