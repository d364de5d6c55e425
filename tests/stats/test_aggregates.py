"""Sufficient statistics: merge laws against numpy on the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from upswing.stats.aggregates import Aggregates, stack
from upswing.stats.errors import InvalidInput, ShapeMismatch

TABLE = arrays(np.float64, st.tuples(st.integers(2, 30), st.just(2)), elements=st.floats(-1e6, 1e6, width=32))


def _of(table):
    return Aggregates.from_rows({"x": table[:, 0], "y": table[:, 1]})


def _assert_same(left, right, scale):
    assert left.n == pytest.approx(right.n)
    assert left.means == pytest.approx(right.means, abs=1e-9 * (1 + scale))
    assert left.products == pytest.approx(right.products, abs=1e-9 * (1 + scale**2) * 30)


@given(TABLE, TABLE)
def test_merging_equals_aggregating_the_union(left, right):
    union = np.vstack([left, right])
    scale = np.abs(union).max()
    _assert_same(_of(left) + _of(right), _of(union), scale)
    _assert_same(_of(right) + _of(left), _of(union), scale)


@given(TABLE, TABLE, TABLE)
def test_merging_is_associative(a, b, c):
    scale = np.abs(np.vstack([a, b, c])).max()
    _assert_same((_of(a) + _of(b)) + _of(c), _of(a) + (_of(b) + _of(c)), scale)


@given(TABLE, TABLE)
def test_subtracting_undoes_merging(left, right):
    scale = np.abs(np.vstack([left, right])).max()
    _assert_same((_of(left) + _of(right)) - _of(right), _of(left), scale)


@given(TABLE)
def test_moments_are_numpys(table):
    moments = _of(table)
    covariance = np.cov(table, rowvar=False)
    tolerance = 1e-9 * (1 + np.abs(table).max() ** 2)
    assert moments.mean("x") == pytest.approx(table[:, 0].mean(), abs=tolerance)
    assert moments.variance("y") == pytest.approx(covariance[1, 1], abs=tolerance)
    assert moments.covariance("x", "y") == pytest.approx(covariance[0, 1], abs=tolerance)


def test_groups_are_separate_problems():
    rng = np.random.default_rng(1)
    groups, values = rng.integers(0, 4, 200), rng.normal(size=200)
    moments = Aggregates.from_rows({"x": values}, groups=groups, n_groups=5)
    assert moments.shape == (5,)
    for group in range(4):
        assert moments.variance()[group] == pytest.approx(values[groups == group].var(ddof=1))
    assert moments.n[4] == 0
    assert np.isnan(moments.mean()[4])
    assert moments.total().variance() == pytest.approx(values.var(ddof=1))


def test_engine_sums_equal_rows():
    rng = np.random.default_rng(2)
    x, y = rng.normal(3, 2, 500), rng.exponential(5, 500)
    sums = Aggregates.from_sums(
        500, {"x": x.sum(), "y": y.sum()}, squares={"x": (x**2).sum(), "y": (y**2).sum()}, cross={("y", "x"): x @ y}
    )
    rows = Aggregates.from_rows({"x": x, "y": y})
    assert sums.products == pytest.approx(rows.products, rel=1e-9)
    assert sums.only("y").variance() == pytest.approx(y.var(ddof=1))


def test_large_offset_keeps_the_variance():
    values = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])
    parts = Aggregates.from_rows({"x": values[:2]}) + Aggregates.from_rows({"x": values[2:]})
    assert parts.variance() == pytest.approx(5 / 3, rel=1e-9)


def test_stacked_problems_keep_their_numbers():
    a, b = Aggregates.from_moments(10, 2.0, 4.0), Aggregates.from_moments(20, 3.0, 1.0)
    both = stack([a, b])
    assert both.mean().tolist() == [2.0, 3.0]
    assert both.variance().tolist() == pytest.approx([4.0, 1.0])
    assert both.take(1).variance() == pytest.approx(1.0)


def test_wrong_calls_are_refused():
    one = Aggregates.from_moments(10, 2.0, 4.0)
    with pytest.raises(InvalidInput, match="more units"):
        one - Aggregates.from_moments(11, 2.0, 4.0)
    with pytest.raises(InvalidInput, match="columns differ"):
        one + Aggregates.from_moments(11, 2.0, 4.0, column="other")
    with pytest.raises(InvalidInput, match="NaN"):
        Aggregates.from_rows({"x": [1.0, np.nan]})
    with pytest.raises(ShapeMismatch):
        Aggregates.from_rows({"x": [1.0], "y": [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="lacks the pair"):
        Aggregates.from_sums(3, {"x": 1, "y": 1}, squares={"x": 1, "y": 1})
    with pytest.raises(InvalidInput, match="at least 0"):
        Aggregates.from_sums(-3, {"x": 1}, squares={"x": 1})
    with pytest.raises(InvalidInput, match="no column"):
        one.mean("nothing")


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinities_are_refused(bad):
    with pytest.raises(InvalidInput, match="infinity"):
        Aggregates.from_rows({"x": [1.0, bad]})
    with pytest.raises(InvalidInput, match="infinity"):
        Aggregates.from_sums(2, {"x": bad}, squares={"x": 1.0})
    with pytest.raises(InvalidInput, match="infinity"):
        Aggregates.from_moments(2, bad, 1.0)
