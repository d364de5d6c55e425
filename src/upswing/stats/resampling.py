"""Bootstrap and permutation: intervals and tests for any statistic, at the price of computing.

Statistics are written with weights, so the same function serves the plain, the Poisson and the cluster bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import Alternative, FloatArray, Seed, cluster_numbers, floats, fraction, generator, one_of
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch

WeightedStatistic: TypeAlias = Callable[[FloatArray, FloatArray], float]
"""A statistic of rows (n, k) or (n,) under weights (n,)."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A bootstrapped difference of two arms.

    Attributes:
        control: statistic of the control.
        treatment: statistic of the treatment.
        difference: treatment minus control.
        se: standard deviation of the resampled differences.
        lower: percentile limit of the difference.
        upper: percentile limit.
        lift: difference / |control|.
        lift_lower: percentile limit of the lift.
        lift_upper: percentile limit of it.
        p_value: two-sided, from the share of resamples on the other side of 0.
        resamples: how many.
        confidence: nominal coverage.
        method: "bootstrap", "poisson_bootstrap", with "cluster_" in front when clusters were resampled.
        status: "ok", "not_enough_data" or "zero_variance".
    """

    control: float
    treatment: float
    difference: float
    se: float
    lower: float
    upper: float
    lift: float
    lift_lower: float
    lift_upper: float
    p_value: float
    resamples: int
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class Permutation:
    """A permutation test.

    Attributes:
        difference: treatment minus control.
        p_value: share of relabellings at least as extreme; exact when all were enumerated.
        relabellings: how many were used.
        exact: whether all of them were.
        alternative: "two_sided", "greater" or "less".
        method: "permutation" or "cluster_permutation".
        status: "ok" or "not_enough_data".
    """

    difference: float
    p_value: float
    relabellings: int
    exact: bool
    alternative: Alternative
    method: str
    status: str


def weighted_mean(rows: FloatArray, weights: FloatArray) -> float:
    """Return the weighted mean of values (n,).

    Examples:
        >>> weighted_mean(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
        2.0
    """
    return float(rows @ weights / weights.sum()) if weights.sum() > 0 else np.nan


def weighted_ratio(rows: FloatArray, weights: FloatArray) -> float:
    """Return Σ first column / Σ second column of rows (n, 2), weighted.

    Examples:
        >>> weighted_ratio(np.array([[1.0, 2.0], [2.0, 2.0]]), np.ones(2))
        0.75
    """
    top, bottom = weights @ rows
    return float(top / bottom) if bottom else np.nan


def weighted_quantile(q: float) -> WeightedStatistic:
    """Return a function for the weighted quantile (inverse of the weighted distribution function).

    Examples:
        >>> weighted_quantile(0.5)(np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 5.0]))
        9.0
    """
    fraction("q", q)

    def statistic(rows: FloatArray, weights: FloatArray) -> float:
        order = np.argsort(rows, kind="stable")
        cumulative = np.cumsum(weights[order])
        if not cumulative.size or cumulative[-1] <= 0:
            return np.nan
        return float(rows[order][np.searchsorted(cumulative, q * cumulative[-1] * (1 - 1e-12))])

    return statistic


def bootstrap(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    statistic: WeightedStatistic = weighted_mean,
    control_clusters: ArrayLike | None = None,
    treatment_clusters: ArrayLike | None = None,
    weights: Literal["multinomial", "poisson"] = "multinomial",
    resamples: int = 2000,
    confidence: float = 0.95,
    rng: Seed = 0,
) -> Bootstrap:
    """Bootstrap the difference of a statistic between two arms.

    Args:
        control: rows of the control, shape (n,) or (n, k).
        treatment: rows of the treatment.
        statistic: any weighted statistic: `weighted_mean`, `weighted_ratio`, `weighted_quantile(q)` or your own.
        control_clusters: cluster of each row; whole clusters are resampled.
        treatment_clusters: likewise.
        weights: "multinomial" (classical) or "poisson" (independent Poisson(1) weights, for streams).
        resamples: how many.
        confidence: nominal coverage of the percentile intervals.
        rng: seed or generator.

    Raises:
        InvalidInput: fewer than 100 resamples, NaN.

    References:
        Efron, Tibshirani (1993), chapter 13; Chamandy et al. (2012), Google (Poisson); Davison, Hinkley (1997)
        section 3.8 (clusters).

    Examples:
        >>> a, b = np.arange(100.0), np.arange(100.0) + 30
        >>> result = bootstrap(a, b, rng=1)
        >>> result.difference, 10 < result.lower < 30 < result.upper < 50
        (30.0, True)
    """
    one_of("weights", weights, ("multinomial", "poisson"))
    if resamples < 100:
        raise InvalidInput("at least 100 resamples are needed for an interval")
    tail = (1 - fraction("confidence", confidence)) / 2
    random = generator(rng)
    clustered = control_clusters is not None or treatment_clusters is not None
    method = ("cluster_" if clustered else "") + ("poisson_bootstrap" if weights == "poisson" else "bootstrap")
    arms = []
    for rows, clusters in ((control, control_clusters), (treatment, treatment_clusters)):
        arms.append(_resampled(floats("rows", rows, finite=True), clusters, statistic, weights, resamples, random))
    (a, a_star, a_units), (b, b_star, b_units) = arms
    gap = b_star - a_star
    enough = min(a_units, b_units) >= 2 and np.isfinite(gap).mean() > 0.99
    if not enough:
        return Bootstrap(
            a, b, b - a, *(np.nan,) * 7, resamples=resamples, confidence=confidence, method=method,
            status=NOT_ENOUGH_DATA,
        )  # fmt: skip
    gap, base = gap[np.isfinite(gap)], a_star[np.isfinite(gap)]
    lower, upper = np.quantile(gap, [tail, 1 - tail])
    with np.errstate(divide="ignore", invalid="ignore"):
        lifts = gap / np.abs(base)
    reliable = a != 0 and bool((np.sign(base) == np.sign(a)).all())
    low, high = np.quantile(lifts, [tail, 1 - tail]) if reliable else (np.nan, np.nan)
    # counting the seen sample as one resample keeps the p-value above 0
    other_side = (min((gap <= 0).sum(), (gap >= 0).sum()) + 1) / (gap.size + 1)
    constant = float(gap.std()) == 0.0
    return Bootstrap(
        a, b, b - a, float(gap.std(ddof=1)), float(lower), float(upper), (b - a) / abs(a) if a else np.nan,
        float(low), float(high), np.nan if constant else float(min(1.0, 2 * other_side)), resamples, confidence,
        method, ZERO_VARIANCE if constant else OK,
    )  # fmt: skip


def permutation(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    statistic: WeightedStatistic = weighted_mean,
    control_clusters: ArrayLike | None = None,
    treatment_clusters: ArrayLike | None = None,
    relabellings: int = 9999,
    alternative: Alternative = "two_sided",
    rng: Seed = 0,
) -> Permutation:
    """Test "the treatment changes nothing for anybody" by relabelling the units.

    Args:
        control: rows of the control, shape (n,) or (n, k).
        treatment: rows of the treatment.
        statistic: weighted statistic to compare.
        control_clusters: cluster of each row; whole clusters are relabelled.
        treatment_clusters: likewise.
        relabellings: random ones; all are enumerated when there are no more than this.
        alternative: "two_sided" (|difference|), "greater" or "less".
        rng: seed or generator.

    References:
        Fisher (1935); Phipson, Smyth (2010): (hits + 1) / (relabellings + 1).

    Examples:
        >>> result = permutation([1.0, 2.0, 3.0], [7.0, 8.0, 9.0])
        >>> result.p_value, result.exact
        (0.1, True)
    """
    one_of("alternative", alternative, ("two_sided", "greater", "less"))
    a, b = floats("control", control, finite=True), floats("treatment", treatment, finite=True)
    if a.ndim != b.ndim or a.shape[1:] != b.shape[1:]:
        raise ShapeMismatch(f"rows of shapes {a.shape} and {b.shape} do not match")
    clustered = control_clusters is not None or treatment_clusters is not None
    method = "cluster_permutation" if clustered else "permutation"
    left, right = cluster_numbers(control_clusters, a.shape[0]), cluster_numbers(treatment_clusters, b.shape[0])
    n_left = int(left.max(initial=-1)) + 1
    n_right = int(right.max(initial=-1)) + 1
    if min(n_left, n_right) < 1:
        return Permutation(np.nan, np.nan, 0, False, alternative, method, NOT_ENOUGH_DATA)
    rows, units = np.concatenate([a, b]), np.concatenate([left, right + n_left])

    def gap(treated: FloatArray) -> float:
        return statistic(rows, treated[units]) - statistic(rows, 1 - treated[units])

    seen = gap(np.r_[np.zeros(n_left), np.ones(n_right)])
    total = comb(n_left + n_right, n_right)
    exact = total <= relabellings
    drawn = np.array([gap(labels) for labels in _labels(n_left, n_right, relabellings, exact, generator(rng))])
    slack = 1e-12 * max(1.0, abs(seen))
    if alternative == "two_sided":
        hits = np.abs(drawn) >= abs(seen) - slack
    else:
        hits = drawn >= seen - slack if alternative == "greater" else drawn <= seen + slack
    p_value = hits.mean() if exact else (hits.sum() + 1) / (drawn.size + 1)
    return Permutation(seen, float(p_value), drawn.size, exact, alternative, method, OK)


def _resampled(
    rows: FloatArray, clusters: ArrayLike | None, statistic: WeightedStatistic, weights: str, resamples: int,
    rng: np.random.Generator,
) -> tuple[float, FloatArray, int]:  # fmt: skip
    units = cluster_numbers(clusters, rows.shape[0])
    count = int(units.max(initial=-1)) + 1
    if count == 0:
        return np.nan, np.full(resamples, np.nan), 0
    seen = statistic(rows, np.ones(rows.shape[0]))
    result = np.empty(resamples)
    for i in range(resamples):
        if weights == "poisson":
            drawn = rng.poisson(1.0, count)
        else:
            drawn = np.bincount(rng.integers(0, count, count), minlength=count)
        result[i] = statistic(rows, drawn[units].astype(np.float64))
    return seen, result, count


def _labels(n_left: int, n_right: int, relabellings: int, exact: bool, rng: np.random.Generator) -> list[FloatArray]:
    total = n_left + n_right
    if exact:
        chosen = [np.array(treated) for treated in combinations(range(total), n_right)]
    else:
        chosen = [rng.permutation(total)[:n_right] for _ in range(relabellings)]
    result = []
    for treated in chosen:
        labels = np.zeros(total)
        labels[treated] = 1.0
        result.append(labels)
    return result
