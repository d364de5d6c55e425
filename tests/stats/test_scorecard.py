"""Score cards: by hand, and laws: units, order of items, gates, noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.scorecard import Dimension, rank_stability, score

CARD = [
    Dimension("retention", 0.5),
    Dimension("cost", 0.3, "rank", higher_is_better=False, gate=20),
    Dimension("roi", 0.2, "target", floor=0.5, target=1.5),
]


def test_by_hand():
    result = score([[0.3, 10, 1.0], [0.2, 5, 2.0], [0.1, 30, 0.2]], CARD)
    assert result.score == pytest.approx([50 + 15 + 10, 25 + 30 + 20, 0])
    assert result.passed.tolist() == [True, True, False]
    assert result.failed_gates == ((), (), ("cost",))
    assert result.rank.tolist() == [1, 1, 0]


tables = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=8)


@given(tables, st.floats(0.1, 100))
def test_units_and_order_do_not_matter(rows, unit):
    card = [Dimension("a", 0.5), Dimension("b", 0.3, "z_score"), Dimension("c", 0.2, "rank", higher_is_better=False)]
    table = np.array(rows, dtype=float)
    base = score(table, card)
    assert score(table * unit + 3, card).score == pytest.approx(base.score, abs=1e-6)
    assert score(table[::-1], card).score[::-1] == pytest.approx(base.score, abs=1e-9)
    assert (base.score >= -1e-9).all()
    assert (base.score <= 100 + 1e-9).all()


def test_without_noise_ranks_stand_and_with_noise_equals_share():
    card = [Dimension("a", 1.0)]
    sure = rank_stability([[3.0], [2.0], [1.0]], np.zeros((3, 1)), card, replications=20)
    assert sure.kendall == pytest.approx(1)
    assert sure.best.tolist() == [1, 0, 0]
    twins = rank_stability([[1.0], [1.0], [1.0], [1.0]], np.ones((4, 1)), card, replications=4000)
    assert twins.best == pytest.approx([0.25] * 4, abs=0.03)


def test_states_and_wrong_calls():
    missing = score([[0.3, 10, 1.0], [np.nan, 5, 2.0]], CARD)
    assert missing.status.tolist() == ["ok", "not_enough_data"]
    assert np.isnan(missing.score[1])
    assert missing.rank[1] == 0
    with pytest.raises(InvalidInput):
        score([[1.0]], [Dimension("a", 0.9)])
    with pytest.raises(InvalidInput):
        score([[1.0]], [Dimension("a", 1.0, "target")])
    with pytest.raises(ShapeMismatch):
        score([[1.0, 2.0]], [Dimension("a", 1.0)])
