import numpy as np
import pytest

from upswing.diagnose.weak_points import MIN_USERS, Division, closed_steps, find_weak_points

STEPS = ("come", "try", "stay")


def drawn(rng, rates, came, dimension="device"):
    """Users of each group with the chance to try and, having tried, to stay: depths and their division."""
    codes = np.repeat(np.arange(len(came)), came)
    chance = np.array(rates)[codes]
    tried = rng.random(len(codes)) < chance[:, 0]
    stayed = tried & (rng.random(len(codes)) < chance[:, 1])
    return 1 + tried + stayed, Division(dimension, tuple(f"g{i}" for i in range(len(came))), codes)


def exact(rows, dimension="x", names=None):
    """Depths with exactly these counts by group: (came, tried, stayed)."""
    depths, codes = [], []
    for code, (came, tried, stayed) in enumerate(rows):
        depths += [3] * stayed + [2] * (tried - stayed) + [1] * (came - tried)
        codes += [code] * came
    named = names or tuple("abcdefgh"[: len(rows)])
    return np.array(depths, dtype=np.int64), Division(dimension, tuple(named), np.array(codes, dtype=np.int64))


def test_a_planted_weakness_is_found_and_sized():
    depth, division = drawn(np.random.default_rng(1), [(0.6, 0.5), (0.4, 0.5), (0.6, 0.5)], [4000] * 3)
    first = find_weak_points(depth, [division], STEPS, weeks=4.0)[0]
    assert (first.group, first.to_step, first.kind) == ("g1", "try", "segment")
    # the truth: 20 points of 1,000 users a week
    assert first.per_week_lower <= 200 <= first.per_week_upper
    mine = depth[division.codes == 1]
    assert first.end_per_week == pytest.approx(first.per_week * np.sum(mine == 3) / np.sum(mine >= 2))


def test_no_difference_is_seldom_called_one():
    """Under no difference at all, a list with anything on it should be rarer than the level."""
    rng = np.random.default_rng(2)
    false = 0
    for _ in range(150):
        n = 6000
        depth = 1 + (rng.random(n) < 0.3) + 0
        depth = depth + ((depth == 2) & (rng.random(n) < 0.4))
        divisions = [Division(f"d{i}", tuple("abcdef"), rng.integers(0, 6, n)) for i in range(3)]
        divisions.append(Division("week", tuple(f"w{i}" for i in range(10)), rng.integers(0, 10, n)))
        false += bool(find_weak_points(depth, divisions, STEPS, weeks=4.0))
    assert false / 150 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)


def test_small_groups_are_left_out():
    depth, division = exact([(5000, 3000, 1000), (MIN_USERS - 1, 1, 0)])
    assert find_weak_points(depth, [division], STEPS, weeks=1.0) == []


def test_a_small_lucky_group_is_not_the_reference():
    depth, division = exact([(8000, 4000, 1000), (120, 100, 90), (8000, 3200, 1000)])
    points = find_weak_points(depth, [division], STEPS, weeks=1.0)
    assert {p.reference for p in points if p.to_step == "try"} == {"a"}


def test_bad_weeks_are_one_finding():
    rates = [(0.5, 0.5)] * 5 + [(0.35, 0.5)] * 2 + [(0.5, 0.5)]
    depth, division = drawn(np.random.default_rng(3), rates, [2000] * 8, "week")
    points = find_weak_points(depth, [division], STEPS, weeks=8.0)
    assert [p.group for p in points] == ["g5 – g6"]
    assert points[0].kind == "cohort"
    # the truth: 15 points of 2,000 users a week
    assert points[0].per_week_lower <= 300 <= points[0].per_week_upper


def test_the_same_loss_is_not_found_under_a_second_name():
    """Only one cell of two properties is weak: the pair is named, not its two parents as well."""
    rng = np.random.default_rng(4)
    n = 40_000
    device, version = rng.integers(0, 3, n), rng.integers(0, 4, n)
    chance = np.where((device == 1) & (version == 2), 0.45, 0.9)
    depth = 1 + (rng.random(n) < chance).astype(np.int64)
    divisions = [
        Division("device", tuple("abc"), device),
        Division("version", tuple("wxyz"), version),
        Division("device × version", tuple(f"{d} × {v}" for d in "abc" for v in "wxyz"), device * 4 + version),
    ]
    points = find_weak_points(depth, divisions, ("come", "try"), weeks=10.0)
    assert [(p.dimension, p.group) for p in points] == [("device × version", "b × y")]


def test_the_order_of_groups_does_not_matter():
    depth, division = drawn(np.random.default_rng(5), [(0.6, 0.5), (0.4, 0.5), (0.5, 0.3)], [4000, 3000, 2000])
    turned = Division(division.dimension, division.groups[::-1], 2 - division.codes)
    first, second = (find_weak_points(depth, [d], STEPS, weeks=3.0) for d in (division, turned))
    assert first
    assert first == second


def test_a_step_that_is_not_open_to_a_group_is_not_a_gap():
    depth, division = exact([(5000, 3000, 1000), (4000, 0, 0), (5000, 3000, 1000)])
    assert find_weak_points(depth, [division], STEPS, weeks=1.0) == []
    assert closed_steps(depth, [division], STEPS) == [("x", "b", "try")]


def test_nobody_came():
    nobody = np.zeros(0, dtype=np.int64)
    assert find_weak_points(nobody, [Division("x", ("a", "b"), nobody)], STEPS, weeks=1.0) == []
    assert find_weak_points(nobody, [], STEPS, weeks=1.0) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_gap_in_one_part_of_a_group_is_named_by_that_part(seed):
    """Version 1 is broken on platform a alone: not the version is the point, and not the platform."""
    rng = np.random.default_rng(seed)
    n = 8000
    platform, version = rng.integers(0, 2, n), rng.integers(0, 2, n)
    chance = np.where((platform == 0) & (version == 1), 0.4, 0.8)
    depth = 1 + (rng.random(n) < chance)
    names = tuple(f"{p} × {v}" for p in "ab" for v in "01")
    divisions = [Division("platform", ("a", "b"), platform), Division("version", ("0", "1"), version),
                 Division("platform × version", names, platform * 2 + version)]  # fmt: skip
    points = find_weak_points(depth, divisions, ("come", "try"), weeks=1.0)
    assert [p.who for p in points] == ["platform = a, version = 1"]


def test_a_gap_in_all_parts_of_a_group_stays_the_group():
    rng = np.random.default_rng(1)
    n = 8000
    platform, version = rng.integers(0, 2, n), rng.integers(0, 2, n)
    depth = 1 + (rng.random(n) < np.where(version == 1, 0.5, 0.8))
    names = tuple(f"{p} × {v}" for p in "ab" for v in "01")
    divisions = [Division("platform", ("a", "b"), platform), Division("version", ("0", "1"), version),
                 Division("platform × version", names, platform * 2 + version)]  # fmt: skip
    assert find_weak_points(depth, divisions, ("come", "try"), weeks=1.0)[0].who == "version = 1"
