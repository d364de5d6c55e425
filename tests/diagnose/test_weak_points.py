import numpy as np
import pytest

from upswing.diagnose.weak_points import MIN_USERS, Passing, find_weak_points

STEPS = ("come", "try", "stay")


def drawn(rng, rates, came, dimension="device", weeks=4.0):
    """Counts of a two-step way: groups × (come, try, stay)."""
    tried = rng.binomial(came, [r[0] for r in rates])
    stayed = rng.binomial(tried, [r[1] for r in rates])
    names = tuple(f"g{i}" for i in range(len(came)))
    return Passing(dimension, names, np.stack([came, tried, stayed], axis=1), weeks)


def test_a_planted_weakness_is_found_and_sized():
    came = np.array([4000, 4000, 4000])
    division = drawn(np.random.default_rng(1), [(0.6, 0.5), (0.4, 0.5), (0.6, 0.5)], came)
    first = find_weak_points([division], STEPS)[0]
    assert (first.group, first.to_step, first.kind) == ("g1", "try", "segment")
    # the truth: 20 points of 1,000 users a week
    assert first.per_week_lower <= 200 <= first.per_week_upper
    assert first.end_per_week == pytest.approx(first.per_week * division.reached[1, 2] / division.reached[1, 1])


def test_no_difference_is_seldom_called_one():
    """Under no difference at all, a list with anything on it should be rarer than the level."""
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(300):
        divisions = [
            drawn(rng, [(0.3, 0.4)] * 6, np.array([300, 900, 1500, 400, 700, 5000]), f"d{i}") for i in range(3)
        ]
        false += bool(find_weak_points(divisions, STEPS))
    assert false / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_small_groups_are_left_out():
    reached = np.array([[5000, 3000, 1000], [MIN_USERS - 1, 0, 0]])
    assert find_weak_points([Passing("x", ("big", "small"), reached, 1.0)], STEPS) == []


def test_a_small_lucky_group_is_not_the_reference():
    reached = np.array([[8000, 4000, 1000], [120, 100, 90], [8000, 3200, 1000]])
    points = find_weak_points([Passing("x", ("a", "lucky", "b"), reached, 1.0)], STEPS)
    assert {p.reference for p in points if p.to_step == "try"} == {"a"}


def test_a_bad_week_is_compared_with_the_other_weeks():
    came = np.full(8, 2000)
    rates = [(0.5, 0.5)] * 7 + [(0.35, 0.5)]
    division = drawn(np.random.default_rng(3), rates, came, "week", 1.0)
    points = find_weak_points([division], STEPS)
    assert [p.group for p in points if p.to_step == "try"] == ["g7"]
    assert points[0].kind == "cohort"


def test_the_order_of_groups_does_not_matter():
    division = drawn(np.random.default_rng(4), [(0.6, 0.5), (0.4, 0.5), (0.5, 0.3)], np.array([4000, 3000, 2000]))
    turned = Passing(division.dimension, division.groups[::-1], division.reached[::-1], division.weeks)
    assert find_weak_points([division], STEPS) == find_weak_points([turned], STEPS)


def test_nobody_came():
    assert find_weak_points([Passing("x", ("a", "b"), np.zeros((2, 3), np.int64), 1.0)], STEPS) == []
    assert find_weak_points([], STEPS) == []
