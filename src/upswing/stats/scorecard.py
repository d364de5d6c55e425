"""Weighted score cards: several measures of one thing brought to one scale, gated, weighted, and ranked with doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Seed, floats, fraction, generator, one_of
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput, ShapeMismatch

Normaliser: TypeAlias = Literal["min_max", "z_score", "rank", "target", "none"]
NORMALISERS: tuple[Normaliser, ...] = ("min_max", "z_score", "rank", "target", "none")


@dataclass(frozen=True, slots=True)
class Dimension:
    """One measure of a score card.

    Attributes:
        name: of the measure.
        weight: at least 0; weights of a card sum to 1.
        normaliser: "min_max" (0 at the worst, 1 at the best of those scored), "z_score" (standard deviations from
            the mean, as a normal share), "rank" (share of others beaten), "target" (0 at `floor`, 1 at `target`,
            cut off outside) or "none" (already between 0 and 1).
        higher_is_better: False for costs.
        floor: value worth 0, for "target".
        target: value worth 1, for "target".
        gate: worst raw value allowed; anything worse fails the whole card.
    """

    name: str
    weight: float
    normaliser: Normaliser = "min_max"
    higher_is_better: bool = True
    floor: float | None = None
    target: float | None = None
    gate: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """A scored card.

    Attributes:
        score: 0 to 100, NaN where a measure is missing; shape (n_items,).
        points: share of each dimension before weights, shape (n_items, n_dimensions).
        passed: False where a gate failed.
        rank: 1 is best, among those that passed and have a score; 0 for the others.
        failed_gates: per item, names of dimensions whose gate failed.
        method: "weighted_sum".
        status: per item "ok" or "not_enough_data" (a measure is missing).
    """

    score: FloatArray
    points: FloatArray
    passed: NDArray[np.bool_]
    rank: NDArray[np.int64]
    failed_gates: tuple[tuple[str, ...], ...]
    method: str
    status: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class RankStability:
    """How sure scores and ranks are, given the uncertainty of the measures.

    Attributes:
        scores: at the measured values.
        lower: lower limits of the scores, shape (n_items,).
        upper: upper limits.
        rank_lower: best rank within the interval.
        rank_upper: worst rank within the interval.
        best: how often each item came first.
        kendall: mean rank correlation with the measured ranking; 1 when noise never reorders. NaN with fewer than two
            ranked items.
        confidence: nominal coverage.
        method: "parametric_bootstrap".
    """

    scores: Scores
    lower: FloatArray
    upper: FloatArray
    rank_lower: FloatArray
    rank_upper: FloatArray
    best: FloatArray
    kendall: float
    confidence: float
    method: str


def score(values: ArrayLike, dimensions: Sequence[Dimension]) -> Scores:
    """Score items on a card.

    Args:
        values: raw measures, shape (n_items, n_dimensions); NaN where unknown.
        dimensions: one per column.

    Raises:
        InvalidInput: weights that do not sum to 1, a target without floor and target.
        ShapeMismatch: columns and dimensions differ in number.

    Examples:
        >>> card = [Dimension("retention", 0.6), Dimension("cost", 0.4, higher_is_better=False)]
        >>> score([[0.3, 10.0], [0.2, 5.0], [0.1, 10.0]], card).score
        array([60., 70.,  0.])
    """
    table = _checked(values, dimensions)
    points = np.column_stack([_normalise(table[:, j], d) for j, d in enumerate(dimensions)])
    weights = np.array([d.weight for d in dimensions])
    total = 100 * points @ weights
    failed = np.column_stack([_fails(table[:, j], d) for j, d in enumerate(dimensions)])
    passed: NDArray[np.bool_] = np.asarray(~failed.any(axis=1), dtype=np.bool_)
    rank = np.zeros(total.size, dtype=np.int64)
    ranked = passed & ~np.isnan(total)
    rank[ranked] = distributions.rankdata(-np.round(total[ranked], 9), method="min")
    names = tuple(tuple(d.name for d, out in zip(dimensions, row, strict=True) if out) for row in failed)
    status = np.where(np.isnan(total), NOT_ENOUGH_DATA, OK)
    return Scores(total, points, passed, rank, names, "weighted_sum", status)


def rank_stability(
    values: ArrayLike,
    standard_errors: ArrayLike,
    dimensions: Sequence[Dimension],
    *,
    replications: int = 1000,
    confidence: float = 0.9,
    rng: Seed = 0,
) -> RankStability:
    """Score the card again and again with measures drawn from their standard errors.

    Args:
        values: raw measures, shape (n_items, n_dimensions).
        standard_errors: of each, same shape; 0 where a measure is exact.
        dimensions: one per column.
        replications: draws.
        confidence: nominal coverage.
        rng: generator or seed.

    Examples:
        >>> card = [Dimension("retention", 1.0)]
        >>> result = rank_stability([[0.30], [0.29], [0.10]], [[0.02], [0.02], [0.02]], card)
        >>> bool(0.3 < result.best[1] < 0.5), result.rank_upper[2]
        (True, np.float64(3.0))
    """
    fraction("confidence", confidence)
    table = _checked(values, dimensions)
    error = floats("standard_errors", standard_errors, at_least=0, nan=True)
    if error.shape != table.shape:
        raise ShapeMismatch(f"standard_errors has shape {error.shape}, it must have shape {table.shape}")
    random, measured = generator(rng), score(table, dimensions)
    drawn = [score(random.normal(table, np.nan_to_num(error)), dimensions) for _ in range(replications)]
    scores = np.stack([one.score for one in drawn])
    ranks = np.stack([np.where(one.rank > 0, one.rank, np.nan) for one in drawn])
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    lower, upper = np.quantile(scores, tails, axis=0)
    # Items that fail a gate have no rank: the worst place stands for it.
    places = np.where(np.isnan(ranks), table.shape[0], ranks)
    first, last = np.quantile(places, tails, axis=0, method="inverted_cdf")
    both = measured.rank > 0
    kendall = np.nan
    if both.sum() > 1 and np.ptp(measured.rank[both]) > 0:
        taus = [distributions.kendalltau(measured.rank[both], row[both]).statistic for row in places]
        known = [tau for tau in taus if not np.isnan(tau)]
        kendall = float(np.mean(known)) if known else np.nan
    return RankStability(
        measured, lower, upper, first, last, (ranks == 1).mean(axis=0), kendall, confidence, "parametric_bootstrap"
    )


def _checked(values: ArrayLike, dimensions: Sequence[Dimension]) -> FloatArray:
    table = floats("values", values, nan=True)
    if table.ndim != 2 or table.shape[1] != len(dimensions):
        raise ShapeMismatch(f"values has shape {table.shape}, it must have shape (n_items, {len(dimensions)})")
    total = sum(d.weight for d in dimensions)
    if any(d.weight < 0 for d in dimensions) or abs(total - 1) > 1e-9:
        raise InvalidInput(f"weights sum to {total:g}, they must be at least 0 and sum to 1")
    for d in dimensions:
        one_of("normaliser", d.normaliser, NORMALISERS)
        if d.normaliser == "target" and (d.floor is None or d.target is None or d.floor == d.target):
            raise InvalidInput(f"{d.name}: a target needs a floor and a target that differ")
    return table


def _normalise(column: FloatArray, dimension: Dimension) -> FloatArray:
    known = ~np.isnan(column)
    points = np.full(column.shape, np.nan)
    if not known.any():
        return points
    x = column[known] if dimension.higher_is_better else -column[known]
    if dimension.normaliser == "none":
        points[known] = column[known] if dimension.higher_is_better else 1 - column[known]
    elif dimension.normaliser == "target":
        low, high = float(dimension.floor or 0.0), float(dimension.target or 0.0)
        points[known] = np.clip((column[known] - low) / (high - low), 0, 1)
    elif np.ptp(x) == 0:
        points[known] = 0.5  # all alike: the measure tells nobody apart
    elif dimension.normaliser == "min_max":
        points[known] = (x - x.min()) / np.ptp(x)
    elif dimension.normaliser == "z_score":
        points[known] = distributions.norm.cdf((x - x.mean()) / x.std())
    else:
        points[known] = (distributions.rankdata(x) - 1) / (x.size - 1)
    return points


def _fails(column: FloatArray, dimension: Dimension) -> NDArray[np.bool_]:
    if dimension.gate is None:
        return np.zeros(column.shape, dtype=np.bool_)
    return column < dimension.gate if dimension.higher_is_better else column > dimension.gate
