"""What is planted in the demo is found, and what nobody lost is not recommended; the intervals hold what is known exactly.

Few seeds, for speed; the whole figures are in docs/guide/growth-review.md: ``python -m bench.growth_points``.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
from bench.growth_coverage import Product, cover, simulated
from bench.growth_points import EXACT, PLACE, judge, world

from upswing.demo.model import MODEL
from upswing.demo.truths import truth
from upswing.review.sources import weak_steps


def test_the_broken_step_leads_and_nothing_that_nobody_lost_is_recommended(tmp_path):
    found: Counter[str] = Counter()
    with world(tmp_path, seed=1, users=10_000, model=MODEL) as workspace:
        judge(workspace, found)
        first = workspace.growth_points().points[0]
    assert found["broken step: first, by its exact name"] == 1
    assert found["aha: a point, by its behaviour and count"] == 1
    assert found["decoy: recommended"] == found["mix shift: recommended"] == found["tracking break: recommended"] == 0
    planted = -truth("broken_step").effect
    assert first.candidate.gap_lower < planted < first.candidate.gap_upper


def test_without_the_broken_step_another_point_leads(tmp_path):
    with world(tmp_path, seed=1, users=10_000, model=replace(MODEL, broken_factor=1.0)) as workspace:
        points = [p for p in workspace.growth_points().points if p.sound]
    assert not any(p.candidate.place == PLACE and p.candidate.who == EXACT for p in points)


def test_intervals_hold_the_true_gain_of_simulated_products():
    """At least at their level: they are widened for the choice among groups and references."""
    figures = cover(60)
    shares = [figures[f"{which} point's interval holds its true gain"] for which in ("the first", "any sound")]
    for share in shares:
        held, n = share.replace("%", "").split(" of ")
        assert float(held) / 100 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / int(n))


def test_a_product_without_gaps_has_no_growth_points():
    rng = np.random.default_rng(5)
    named = sum(bool(weak_steps(simulated(Product(1000, 0.7, 0.0, 0.0), rng))) for _ in range(40))
    assert named <= 6  # level 5 %: more than 6 of 40 happens once in 1,000
