"""Explaining a change: planted causes, an exhaustive twin, and what no small set can say."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.explanation import explain_change

GRID = list(product("abcde", "xyz", "pq"))
CELLS = {name: [row[i] for row in GRID] for i, name in enumerate(("country", "os", "version"))}


def moved(rng, factors):
    """Totals before and after; factors: condition to the factor its cells are multiplied by."""
    level = rng.uniform(500, 3000, len(GRID))
    after = level.copy()
    for condition, factor in factors:
        after[[all(CELLS[k][i] == v for k, v in condition.items()) for i in range(len(GRID))]] *= factor
    return rng.poisson(level).astype(float), rng.poisson(after).astype(float)


@pytest.mark.parametrize(
    "causes",
    [
        [({"country": "c", "os": "y"}, 0.3)],
        [({"country": "c"}, 0.7)],
        [({}, 0.8)],
        [({"country": "a"}, 0.6), ({"os": "z", "version": "q"}, 0.5)],
        [({"country": "a"}, 0.5), ({"country": "b"}, 1.3)],
    ],
)
def test_planted_causes_are_found_and_everything_adds_up(causes):
    rng, found, runs = np.random.default_rng(3), 0, 40
    for _ in range(runs):
        before, after = moved(rng, causes)
        result = explain_change(CELLS, before, after)
        assert result.contribution.sum() + result.remainder == pytest.approx((after - before).sum())
        assert result.explained == pytest.approx(result.contribution.sum() / result.change)
        wanted = [condition for condition, _ in causes]
        found += len(result.segments) == len(wanted) and all(condition in result.segments for condition in wanted)
    assert found >= 0.9 * runs


def test_effects_are_relative_changes():
    before = np.full(len(GRID), 1000.0)
    after = before * np.where(np.array(CELLS["os"]) == "y", 0.6, 1.0)
    result = explain_change(CELLS, before, after)
    assert result.segments == ({"os": "y"},)
    assert result.effect[0] == pytest.approx(-400 / 800)  # against the mean of before and after
    assert result.contribution[0] == pytest.approx(-4000)
    assert result.remainder == pytest.approx(0, abs=1e-9)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=6, max_size=6))
@settings(deadline=None, max_examples=60)
def test_no_single_segment_fits_closer_and_no_pair_where_two_are_told(rows):
    cells = {"a": list("xxyyzz"), "b": list("pqpqpq")}
    before, after = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows], float)
    if before.sum() == after.sum():
        return
    result = explain_change(cells, before, after, max_segments=2)
    size = (before + after) / 2
    masks = [np.array([all(cells[k][i] == v for k, v in c.items()) for i in range(6)], float) for c in every(cells)]

    def misfit(columns):
        weighted = np.column_stack(columns) * np.sqrt(size)[:, None]
        seen = (after - before) / np.sqrt(size)
        return float(((seen - weighted @ np.linalg.lstsq(weighted, seen, rcond=None)[0]) ** 2).sum())

    mine = misfit(
        [np.array([all(cells[k][i] == v for k, v in c.items()) for i in range(6)], float) for c in result.segments]
    )
    best = min(misfit(subset) for subset in combinations(masks, len(result.segments)))
    assert mine == pytest.approx(best, rel=1e-6, abs=1e-6)


def every(cells):
    yield {}
    for depth in (1, 2):
        for names in combinations(cells, depth):
            for key in sorted(set(zip(*(cells[name] for name in names), strict=True))):
                yield dict(zip(names, key, strict=True))


def test_shorter_condition_wins_a_tie():
    cells = {"country": ["CN", "CN", "US"], "os": ["a", "i", "a"]}
    result = explain_change(cells, [100, 100, 100], [50, 50, 100])
    assert result.segments == ({"country": "CN"},)
    assert result.explained == pytest.approx(1)


def test_chance_everywhere_is_not_dressed_up():
    rng = np.random.default_rng(1)
    counts = [0, 0]
    for _ in range(60):
        before, after = moved(rng, [])
        result = explain_change(CELLS, before, after, max_segments=3)
        counts[0] += len(result.segments) <= 2
        counts[1] += result.status in ("ok", "incomplete")
    assert counts[0] >= 45
    assert counts[1] == 60


def test_labels_and_units_do_not_matter():
    rng = np.random.default_rng(2)
    before, after = moved(rng, [({"country": "c", "os": "y"}, 0.3)])
    plain = explain_change(CELLS, before, after)
    money = explain_change(CELLS, before * 0.01, after * 0.01)
    assert money.segments == plain.segments
    assert money.contribution == pytest.approx(plain.contribution * 0.01)
    order = rng.permutation(len(GRID))
    shuffled = explain_change({k: [v[i] for i in order] for k, v in CELLS.items()}, before[order], after[order])
    assert shuffled.segments == plain.segments
    back = explain_change(CELLS, after, before)
    assert back.contribution == pytest.approx(-plain.contribution)


def test_states_and_wrong_calls():
    assert explain_change({"a": ["x"]}, [1], [1]).status == "not_enough_data"
    assert explain_change({"a": ["x"]}, [0], [5]).segments == ({},)
    empty = explain_change({"a": ["x", "y"]}, [0, 3], [0, 5])
    assert empty.segments == ({},)
    with pytest.raises(ShapeMismatch):
        explain_change({"a": ["x", "y"]}, [1], [2])
    for before, after in (([-1], [2]), ([np.nan], [2]), ([1], [np.inf])):
        with pytest.raises(InvalidInput):
            explain_change({"a": ["x"]}, before, after)
    with pytest.raises(InvalidInput):
        explain_change({}, [1], [2])
