"""Designs in which users are not the unit: switchbacks in time, clusters of people who affect each other.

A switchback turns the whole market on and off in random blocks. An effect may outlast its block, so the exposure that
counts is "on for the last p periods as well", and only such periods are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import (
    Alternative,
    BoolArray,
    FloatArray,
    IntArray,
    Seed,
    cluster_numbers,
    fraction,
    generator,
    vector,
)
from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Comparison, LiftMethod
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput, ShapeMismatch
from upswing.stats.proportions import wilson_interval
from upswing.stats.ratio import compare_ratios


@dataclass(frozen=True, slots=True)
class SwitchbackDesign:
    """A randomised schedule of blocks.

    Attributes:
        block: block number of each period, shape (n_periods,), 0, 1, … without gaps, not falling.
        probability: chance that a block is treated; blocks are drawn independently.
        carryover: number of periods by which an effect may outlast its period (p); 0 = none.
    """

    block: IntArray
    probability: float = 0.5
    carryover: int = 0

    def __post_init__(self) -> None:
        fraction("probability", self.probability)
        if self.carryover < 0:
            raise InvalidInput("carryover cannot be negative")
        steps = np.diff(self.block)
        if self.block.ndim != 1 or self.block.size == 0 or self.block[0] != 0 or not np.isin(steps, (0, 1)).all():
            raise InvalidInput("block must be 0, 1, … without gaps, one number per period")


@dataclass(frozen=True, slots=True)
class SwitchbackEffect:
    """Effect of "always on" against "always off" in a switchback.

    Attributes:
        effect: Horvitz-Thompson estimate per period.
        se: conservative standard error.
        lower: lower limit of the normal interval.
        upper: upper limit.
        p_value: randomisation-inference p-value of "no effect in any period".
        usable: periods whose exposure was pure (on or off for the whole carry-over window).
        confidence: nominal coverage; the interval is conservative.
        method: "horvitz_thompson".
        status: "ok" or "not_enough_data".
    """

    effect: float
    se: float
    lower: float
    upper: float
    p_value: float
    usable: int
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class RuleAudit:
    """How often a decision rule ships nothing at all, on one's own data.

    Attributes:
        false_positive_rate: share of A/A resamples in which the rule said yes.
        lower: lower Wilson limit.
        upper: upper Wilson limit.
        resamples: how many.
        confidence: coverage of the limits.
        method: "aa_resampling".
    """

    false_positive_rate: float
    lower: float
    upper: float
    resamples: int
    confidence: float
    method: str


def balanced_blocks(
    periods: int, block_length: int, *, carryover: int = 0, probability: float = 0.5
) -> SwitchbackDesign:
    """Return a schedule of equal blocks.

    Args:
        periods: number of periods.
        block_length: periods per block; longer than `carryover`, or no period is usable.
        carryover: periods by which an effect may outlast its period.
        probability: chance that a block is treated.

    References:
        Bojinov, Simchi-Levi, Zhao (2023), Management Science, arXiv 2009.00148: with carry-over p the optimal
        blocks are p long (the first and last 2p).

    Examples:
        >>> balanced_blocks(5, 2).block
        array([0, 0, 1, 1, 2])
    """
    if periods < 1 or block_length < 1:
        raise InvalidInput("periods and block_length must be at least 1")
    return SwitchbackDesign(np.arange(periods) // block_length, probability, carryover)


def draw_schedule(design: SwitchbackDesign, rng: Seed) -> BoolArray:
    """Draw which periods are treated, shape (n_periods,).

    Examples:
        >>> draw_schedule(balanced_blocks(6, 2), 0)
        array([False, False,  True,  True,  True,  True])
    """
    blocks = int(design.block[-1]) + 1
    return np.asarray((generator(rng).random(blocks) < design.probability)[design.block])


def switchback_effect(
    outcome: ArrayLike,
    treated: ArrayLike,
    design: SwitchbackDesign,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    rng: Seed = 0,
) -> SwitchbackEffect:
    """Estimate the effect of always on against always off.

    Args:
        outcome: outcome of each period, shape (n_periods,).
        treated: 1 or 0 for each period; equal inside a block.
        design: how the schedule was drawn.
        confidence: nominal coverage; the interval is conservative.
        draws: random schedules behind the p-value.
        rng: seed or generator.

    Raises:
        InvalidInput: a block that is treated only in part.

    References:
        Bojinov, Simchi-Levi, Zhao (2023), arXiv 2009.00148: estimator 2, exact p-value of section 4.1. The variance
        bounds what cannot be seen together as in Aronow, Samii (2017), Annals of Applied Statistics 11:1912-1947.

    Examples:
        >>> design = balanced_blocks(200, 4)
        >>> on = draw_schedule(design, 1)
        >>> noise = np.random.default_rng(2).normal(size=200)
        >>> result = switchback_effect(5 * on + noise, on, design)
        >>> result.lower < 5 < result.upper, result.p_value < 0.01
        (True, True)
    """
    y = vector("outcome", outcome, size=design.block.size)
    on = vector("treated", treated, size=y.size)
    if not np.isin(on, (0.0, 1.0)).all():
        raise InvalidInput("treated must be 0 or 1")
    same = design.block[1:] == design.block[:-1]
    if (np.diff(on)[same] != 0).any():
        raise InvalidInput("a block is treated only in part")
    fraction("confidence", confidence)
    first, last = (part[design.carryover :] for part in _windows(design))
    blocks = int(design.block[-1]) + 1
    schedule = on[np.searchsorted(design.block, np.arange(blocks))]
    y = y[design.carryover :]
    up, down = _exposure(schedule, first, last)
    usable = int((up | down).sum())
    if not up.any() or not down.any() or blocks < 4:
        return SwitchbackEffect(
            np.nan, np.nan, np.nan, np.nan, np.nan, usable, confidence, "horvitz_thompson", NOT_ENOUGH_DATA
        )
    # centring removes the level shared by all periods from the noise of the weights
    centred, size = y - y.mean(), last - first + 1.0
    p_up, p_down = design.probability**size, (1 - design.probability) ** size
    effect = float((centred * (up / p_up - down / p_down)).mean())
    cell = np.unique(np.column_stack([first, last]), axis=0, return_inverse=True)
    sums = np.bincount(cell[1].ravel(), weights=centred).astype(np.float64)
    low, high = cell[0][:, 0], cell[0][:, 1]
    variance = _variance(sums, *_exposure(schedule, low, high), low, high, design.probability)
    se = float(np.sqrt(variance)) / y.size
    random = generator(rng)
    more = 0
    for _ in range(draws):
        other = (random.random(blocks) < design.probability).astype(np.float64)
        on_then, off_then = _exposure(other, first, last)
        more += abs(float((centred * (on_then / p_up - off_then / p_down)).mean())) >= abs(effect) - 1e-12
    reach = float(distributions.norm.isf((1 - confidence) / 2)) * se
    return SwitchbackEffect(
        effect, se, effect - reach, effect + reach, (more + 1) / (draws + 1), usable, confidence,
        "horvitz_thompson", OK,
    )  # fmt: skip


def compare_clusters(
    control_values: ArrayLike,
    control_clusters: ArrayLike,
    treatment_values: ArrayLike,
    treatment_clusters: ArrayLike,
    *,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
    lift_method: LiftMethod = "fieller",
) -> Comparison:
    """Compare means of units when whole clusters were randomised.

    Args:
        control_values: value of each unit, shape (n,).
        control_clusters: its cluster, shape (n,).
        treatment_values: value of each unit, shape (m,).
        treatment_clusters: its cluster, shape (m,).
        confidence: nominal coverage.
        alternative: "two_sided", "greater" (treatment is higher) or "less".
        lift_method: "fieller", "log" or "delta".

    Returns:
        Comparison of unit means with cluster-robust errors and clusters - 1 degrees of freedom per arm.

    References:
        Liang, Zeger (1986); Deng, Knoblich, Lu (2018), section 3: a mean over units is a ratio of cluster sums.

    Examples:
        >>> result = compare_clusters([1.0, 1.0, 2.0, 2.0], [0, 0, 1, 1], [3.0, 3.0, 4.0, 4.0], [0, 0, 1, 1])
        >>> result.difference, result.df
        (2.0, 2.0)
    """
    arms = [_cluster_sums(control_values, control_clusters), _cluster_sums(treatment_values, treatment_clusters)]
    return compare_ratios(
        arms[0], arms[1], numerator="sum", denominator="units", confidence=confidence, alternative=alternative,
        lift_method=lift_method,
    )  # fmt: skip


def audit_rule(
    rows: ArrayLike,
    rule: Callable[[FloatArray, FloatArray], bool],
    *,
    clusters: ArrayLike | None = None,
    treated_share: float = 0.5,
    resamples: int = 1000,
    confidence: float = 0.95,
    rng: Seed = 0,
) -> RuleAudit:
    """Run a decision rule on random splits of data in which nothing was changed (A/A).

    Args:
        rows: data of the untreated users, shape (n,) or (n, k).
        rule: takes control rows and treatment rows, returns whether it would ship.
        clusters: cluster of each row; clusters are split whole.
        treated_share: share that plays the treatment.
        resamples: number of splits.
        confidence: coverage of the limits of the rate.
        rng: seed or generator.

    References:
        Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 19.

    Examples:
        >>> audit_rule(np.arange(100.0), lambda a, b: False, resamples=50).false_positive_rate
        0.0
    """
    data = np.asarray(rows, dtype=np.float64)
    if data.ndim == 0 or resamples < 1:
        raise InvalidInput("rows must have an axis of users, resamples must be at least 1")
    fraction("treated_share", treated_share)
    number = cluster_numbers(clusters, data.shape[0])
    count = int(number.max(initial=-1)) + 1
    if count < 2:
        raise InvalidInput("at least two users (or clusters) are needed for a split")
    random = generator(rng)
    size = min(max(round(count * treated_share), 1), count - 1)
    hits = 0
    for _ in range(resamples):
        treated = np.zeros(count, dtype=bool)
        treated[random.permutation(count)[:size]] = True
        inside = treated[number]
        hits += bool(rule(data[~inside], data[inside]))
    interval = wilson_interval(hits, resamples, confidence)
    return RuleAudit(
        hits / resamples, float(interval.lower), float(interval.upper), resamples, confidence, "aa_resampling"
    )


def _windows(design: SwitchbackDesign) -> tuple[IntArray, IntArray]:
    """Return, per period, the first and the last block its outcome may depend on."""
    block = np.asarray(design.block, dtype=np.int64)
    reach = np.maximum(np.arange(block.size) - design.carryover, 0)
    return block[reach], block


def _exposure(on: FloatArray, first: IntArray, last: IntArray) -> tuple[BoolArray, BoolArray]:
    """Return which windows of blocks were purely on, and which purely off."""
    total = np.r_[0.0, np.cumsum(on)]
    treated = total[last + 1] - total[first]
    return treated == last - first + 1, treated == 0


def _variance(
    sums: FloatArray, up: BoolArray, down: BoolArray, first: IntArray, last: IntArray, probability: float
) -> float:
    """Return a conservative variance of Σ y·on/p - Σ y·off/q over cells (periods with one and the same window).

    Products seen together are weighted by their joint probability; on and off of linked cells are never seen
    together, so their product is bounded by 2ab ≤ a² + b².
    """
    linked = (last[:, None] >= first) & (first[:, None] <= last)
    union = np.maximum(last[:, None], last) - np.minimum(first[:, None], first) + 1.0
    size = last - first + 1.0
    total = 0.0
    for seen, chance in ((up, probability), (down, 1 - probability)):
        p = chance**size
        weighted = seen * sums / p
        correlated = np.where(linked, 1 - np.outer(p, p) / chance**union, 0.0)
        total += float(weighted @ correlated @ weighted) + float((linked.sum(axis=1) * seen * sums**2 / p).sum())
    return max(total, 0.0)


def _cluster_sums(values: ArrayLike, clusters: ArrayLike) -> Aggregates:
    y = vector("values", values)
    if np.asarray(clusters).shape != y.shape:
        raise ShapeMismatch("one cluster per value is needed")
    number = cluster_numbers(clusters, y.size)
    count = int(number.max(initial=-1)) + 1
    sums = np.bincount(number, weights=y, minlength=count)
    units = np.bincount(number, minlength=count).astype(np.float64)
    return Aggregates.from_rows({"sum": sums, "units": units})
