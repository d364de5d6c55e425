"""Fourteen daily looks at every kind of data: error, power, and what stopping does to estimate and interval.

Days are aggregated once and added up, as the product does; no row is read twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from upswing.stats.aggregates import Aggregates, stack
from upswing.stats.confidence_sequences import confidence_sequence
from upswing.stats.cuped import compare_adjusted
from upswing.stats.means import compare_means
from upswing.stats.ratio import compare_ratios
from upswing.stats.sequential import read_out, spending_boundary

Rows = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator, int, float], Rows]
DAYS, PER_DAY = 14, 400
TIMES = np.arange(1, DAYS + 1) / DAYS


def paths(kind: str, draw: Draw, lift: float, runs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the difference and its standard error at each look, shape (runs, DAYS)."""
    rng = np.random.default_rng([seed, int(1000 * lift)])
    day = np.repeat(np.arange(DAYS), PER_DAY)
    arms: list[list[Aggregates]] = [[], []]
    for _ in range(runs):
        for arm, effect in zip(arms, (0.0, lift), strict=True):
            arm.append(Aggregates.from_rows(draw(rng, DAYS * PER_DAY, effect), groups=day, n_groups=DAYS))
    control, treatment = stack(arms[0]), stack(arms[1])
    difference, se = np.empty((runs, DAYS)), np.empty((runs, DAYS))
    so_far: list[Aggregates] = []
    for look in range(DAYS):
        today = [arm.take((slice(None), look)) for arm in (control, treatment)]
        so_far = [old + new for old, new in zip(so_far, today, strict=True)] if so_far else today
        if kind == "ratio":
            result = compare_ratios(*so_far, numerator="y", denominator="sessions")
        elif kind.startswith("correlated"):
            result = compare_adjusted(*so_far, outcome="y", covariates=["past", "past_missing"]).adjusted
        else:
            result = compare_means(*so_far, column="y")
        difference[:, look], se[:, look] = result.difference, result.se
    return difference, se


def table(kinds: dict[str, tuple[Draw, float, float]], truth: Callable[[str, float], float], runs: int) -> list[str]:
    """Return the rows of the page for every kind of data."""
    bound = spending_boundary(TIMES).z
    lines = [
        "| data | naive: error | O'Brien-Fleming: error | sequence: error | O'Brien-Fleming: power | estimate when"
        " stopped | median-unbiased | coverage when stopped |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for index, (kind, (draw, lift, _)) in enumerate(kinds.items()):
        null, null_se = paths(kind, draw, 0.0, runs, 100 + index)
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.abs(np.nan_to_num(null / null_se))
        n = TIMES * DAYS * PER_DAY * 2
        sequence = confidence_sequence(null, null_se, n, tuned_for=n[-1])
        crossed = (np.asarray(sequence.lower) > 0) | (np.asarray(sequence.upper) < 0)
        errors = [(hit.any(axis=1)).mean() for hit in (z >= 1.959964, z >= bound, crossed)]
        lines.append(f"| {kind} | " + " | ".join(f"{e:.3f}" for e in errors) + " | " + _with_effect(
            *paths(kind, draw, lift, runs // 2, 200 + index), truth(kind, lift) - truth(kind, 0.0)
        ))  # fmt: skip
    return lines


def _with_effect(difference: np.ndarray, se: np.ndarray, gap: float) -> str:
    planned = 1 / np.median(se[:, -1]) ** 2
    power, stopped, unbiased, covered = 0, [], [], 0
    for effect, error in zip(difference, se, strict=True):
        known = np.isfinite(error) & (error > 0)
        # information may not fall from look to look; a noisy early variance can make it
        information = 1 / error[known] ** 2
        rising = information >= np.maximum.accumulate(information)
        one = read_out(effect[known][rising], error[known][rising], planned_information=planned)
        power += one.stopped_at >= 0
        stopped.append(one.estimate)
        unbiased.append(one.median_unbiased)
        covered += one.lower <= gap <= one.upper
    runs = len(stopped)
    above = [np.mean(np.asarray(values) > gap) for values in (stopped, unbiased)]
    return (
        f"{power / runs:.2f} | {np.mean(stopped) / gap - 1:+.0%}, too high in {above[0]:.0%} "
        f"| too high in {above[1]:.0%} | {covered / runs:.3f} |"
    )
