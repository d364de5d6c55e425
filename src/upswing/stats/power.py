"""Before the start: how many users, how many days, how small an effect.

All designs share one equation: the effect divided by its standard error must reach the critical value plus the normal
quantile of the power. What differs is the variance of one user (`unit variance`), the critical value, and how much a
design multiplies the sample. The helpers below supply each part; `sample_size`, `power` and `minimal_effect` solve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from scipy.optimize import brentq

from upswing.stats._arrays import FloatArray, Numbers, divide, floats, fraction, one_of, plain, vector
from upswing.stats.errors import InvalidInput, ShapeMismatch
from upswing.stats.sequential import Boundary, operating_characteristics

Comparisons: TypeAlias = Literal["against_control", "all_pairs"]


@dataclass(frozen=True, slots=True)
class Design:
    """What is asked of an experiment, apart from effect and variance.

    Attributes:
        alpha: error of the whole test.
        power: chance to find the effect.
        two_sided: whether both directions count; guardrails with a margin are one-sided.
        shares: traffic share of control and each treatment, sum 1.
        comparisons: which pairs will be tested; alpha is split over them (Bonferroni).
        variance_factor: what CUPED leaves of the variance, 1 - ρ² (1 = no covariate).
        design_effect: how much clusters multiply the variance, 1 + (m - 1)·ICC (1 = independent units).
        inflation: how many times the fixed sample a sequential plan needs (see `sequential_inflation`).
    """

    alpha: float = 0.05
    power: float = 0.8
    two_sided: bool = True
    shares: tuple[float, ...] = (0.5, 0.5)
    comparisons: Comparisons = "against_control"
    variance_factor: float = 1.0
    design_effect: float = 1.0
    inflation: float = 1.0

    def __post_init__(self) -> None:
        fraction("alpha", self.alpha)
        fraction("power", self.power)
        one_of("comparisons", self.comparisons, ("against_control", "all_pairs"))
        if len(self.shares) < 2 or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise InvalidInput("shares must be positive, at least two, and sum to 1")
        if not 0 < self.variance_factor <= 1 or self.design_effect < 1 or self.inflation < 1:
            raise InvalidInput("variance_factor must be in (0, 1], design_effect and inflation at least 1")

    @property
    def pairs(self) -> int:
        """Number of comparisons that share alpha."""
        k = len(self.shares)
        return k - 1 if self.comparisons == "against_control" else k * (k - 1) // 2

    @property
    def critical(self) -> float:
        """Critical value of one comparison, in standard errors."""
        each = self.alpha / self.pairs
        return float(distributions.norm.isf(each / 2 if self.two_sided else each))


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Users needed.

    Attributes:
        total: users over all arms, rounded up per arm.
        per_arm: users in each arm, shape (n_arms,) or (n_problems, n_arms).
        method: "normal".
    """

    total: Numbers
    per_arm: FloatArray
    method: str


@dataclass(frozen=True, slots=True)
class Duration:
    """How long it takes.

    Attributes:
        days: first day on which enough users have been reached, rounded up to whole weeks if asked; NaN if never.
        reached: users expected by then.
        method: "reach_curve".
        status: "ok" or "not_reached" (the curve saturates below the need).
    """

    days: float
    reached: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """Cumulative unique users by day: a·day^b/(c + day^b) or a·day^b, whichever fitted better.

    Attributes:
        scale: a.
        exponent: b, at most 1: later days bring fewer new users.
        half: c of the saturating form; infinite for the power law.
    """

    scale: float
    exponent: float
    half: float

    def users(self, day: ArrayLike) -> FloatArray:
        """Return expected cumulative users by the end of a day (1 = first)."""
        powered = floats("day", day, at_least=0) ** self.exponent
        return np.asarray(self.scale * powered if np.isinf(self.half) else self.scale * powered / (self.half + powered))


def sample_size(
    effect: ArrayLike,
    control_variance: ArrayLike,
    *,
    treatment_variance: ArrayLike | None = None,
    design: Design = Design(),
) -> SampleSize:
    """Return how many users a difference needs.

    Args:
        effect: difference to find, in the metric's unit, not 0, shape (n_problems,). For non-inferiority: the margin
            (plus any true advantage), with a one-sided design.
        control_variance: variance of one user's value, from `mean_variance`, `proportion_variance`, …
        treatment_variance: the same under the effect; without it equal to the control's.
        design: error, power, arms, CUPED, clusters, sequential inflation.

    Raises:
        InvalidInput: zero effect, negative variance.

    References:
        Lehr (1992) is the shortcut 16·σ²/δ² per arm of this formula at alpha 0.05, power 0.8.

    Examples:
        >>> sample_size(0.0025, proportion_variance(0.05), treatment_variance=proportion_variance(0.0525)).total
        244242.0
    """
    delta, va, vb = _checked(effect, control_variance, treatment_variance)
    scale = design.variance_factor * design.design_effect * design.inflation
    reach = (design.critical + distributions.norm.isf(1 - design.power)) ** 2
    shares = np.array(design.shares)
    pair = _worst_pair(va, vb, shares, design.comparisons)
    total = reach * pair * scale / delta**2
    per_arm = np.ceil(total[..., None] * shares - 1e-9)
    return SampleSize(plain(per_arm.sum(axis=-1)), per_arm, "normal")


def power(
    effect: ArrayLike, control_variance: ArrayLike, n_total: ArrayLike, *, treatment_variance: ArrayLike | None = None,
    design: Design = Design(),
) -> Numbers:  # fmt: skip
    """Return the chance of finding an effect in the right direction with n users in total.

    Args:
        effect: true difference, in the metric's unit.
        control_variance: variance of one user's value.
        n_total: users over all arms.
        treatment_variance: the same under the effect.
        design: its `power` is not used.

    Examples:
        >>> round(power(0.3, 100.0, 39_904, design=Design(power=0.85)), 3)
        0.85
    """
    delta, va, vb = _checked(effect, control_variance, treatment_variance, zero=True)
    n = floats("n_total", n_total, at_least=0)
    scale = design.variance_factor * design.design_effect * design.inflation
    se = np.sqrt(divide(_worst_pair(va, vb, np.array(design.shares), design.comparisons) * scale, n))
    return plain(distributions.norm.sf(design.critical - divide(np.abs(delta), se)))


def minimal_effect(control_variance: ArrayLike, n_total: ArrayLike, *, design: Design = Design()) -> Numbers:
    """Return the smallest difference that n users in total find with the design's power (equal variances).

    Args:
        control_variance: variance of one user's value.
        n_total: users over all arms.
        design: error, power, arms, CUPED, clusters, sequential inflation.

    Examples:
        >>> round(minimal_effect(100.0, 39_904, design=Design(power=0.85)), 4)
        0.3
    """
    variance = floats("control_variance", control_variance, at_least=0)
    n = floats("n_total", n_total, at_least=0)
    scale = design.variance_factor * design.design_effect * design.inflation
    pair = _worst_pair(variance, variance, np.array(design.shares), design.comparisons)
    reach = design.critical + distributions.norm.isf(1 - design.power)
    return plain(reach * np.sqrt(divide(pair * scale, n)))


def minimal_lift(mean: ArrayLike, variance: ArrayLike, n_total: ArrayLike, *, design: Design = Design()) -> Numbers:
    """Return the smallest relative lift that is found, when significance is judged on the lift itself.

    The noise of the control's mean grows with the lift: Var(lift) = (σ²/μ²)(1/n_t + (1 + lift)²/n_c), so the answer
    solves a quadratic. Infinite where no lift is large enough.

    Args:
        mean: control mean.
        variance: variance of one user's value.
        n_total: users over all arms.
        design: error, power, arms, CUPED, clusters, sequential inflation.

    Examples:
        >>> three = Design(shares=(1 / 3, 1 / 3, 1 / 3), alpha=0.1)
        >>> round(minimal_lift(10.0, 3909.9997749994377, 400_000, design=three), 5)
        0.07027
    """
    centre, spread = floats("mean", mean), floats("variance", variance, at_least=0)
    n = floats("n_total", n_total, at_least=0)
    scale = design.variance_factor * design.design_effect * design.inflation
    unit = divide(spread * scale, centre**2)
    smallest = min(design.shares[1:])
    reach = (design.critical + distributions.norm.isf(1 - design.power)) ** 2
    treated, untreated = divide(unit * reach, n * smallest), divide(unit * reach, n * design.shares[0])
    leading = 1 - untreated
    root = divide(untreated + np.sqrt(np.maximum(untreated**2 + leading * (treated + untreated), 0.0)), leading)
    return plain(np.where(leading > 0, root, np.inf))


def lift_power(
    lift: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    n_total: ArrayLike,
    *,
    design: Design = Design(),
) -> Numbers:
    """Return the chance of a significant relative lift (either direction if two-sided), by the delta method.

    Examples:
        >>> three = Design(shares=(1 / 3, 1 / 3, 1 / 3), alpha=0.1)
        >>> round(lift_power(0.05, 10.0, 3909.9997749994377, 400_000, design=three), 4)
        0.5214
    """
    true, centre = floats("lift", lift), floats("mean", mean)
    spread, n = floats("variance", variance, at_least=0), floats("n_total", n_total, at_least=0)
    scale = design.variance_factor * design.design_effect * design.inflation
    unit = divide(spread * scale, centre**2 * n)
    se = np.sqrt(unit / min(design.shares[1:]) + unit * (1 + true) ** 2 / design.shares[0])
    standardised = divide(true, se)
    found = distributions.norm.sf(design.critical - standardised)
    return plain(found + distributions.norm.cdf(-design.critical - standardised) if design.two_sided else found)


def proportion_variance(p: ArrayLike) -> FloatArray:
    """Return the variance of one user's 0/1 outcome, p(1 - p).

    Examples:
        >>> float(proportion_variance(0.5))
        0.25
    """
    share = floats("p", p, at_least=0)
    if (share > 1).any():
        raise InvalidInput("p exceeds 1")
    return np.asarray(share * (1 - share))


def ratio_variance(
    mean_numerator: float, mean_denominator: float, var_numerator: float, var_denominator: float, covariance: float
) -> float:
    """Return the variance one user contributes to a ratio metric (delta method).

    References:
        Deng, Knoblich, Lu (2018), formula 3.

    Examples:
        >>> round(ratio_variance(1.0, 4.0, 2.0, 3.0, 1.5), 4)
        0.0898
    """
    if mean_denominator == 0:
        raise InvalidInput("the denominator's mean is 0")
    ratio = mean_numerator / mean_denominator
    return (var_numerator - 2 * ratio * covariance + ratio**2 * var_denominator) / mean_denominator**2


def quantile_variance(q: float, density: float) -> float:
    """Return the variance one user contributes to a quantile, q(1 - q) / density², density taken at the quantile.

    Examples:
        >>> round(quantile_variance(0.5, 0.3989423), 4)
        1.5708
    """
    if not density > 0:
        raise InvalidInput("density must be positive")
    return fraction("q", q) * (1 - q) / density**2


def cluster_design_effect(mean_size: float, icc: float, *, size_cv: float = 0.0) -> float:
    """Return how much clusters multiply the variance.

    Args:
        mean_size: units per cluster on average.
        icc: intra-cluster correlation, in [0, 1].
        size_cv: coefficient of variation of the sizes.

    References:
        Eldridge, Ashby, Kerry (2006), International Journal of Epidemiology 35:1292-1300.

    Examples:
        >>> round(cluster_design_effect(11, 0.05), 6)
        1.5
    """
    if mean_size < 1 or not 0 <= icc <= 1 or size_cv < 0:
        raise InvalidInput("mean_size must be at least 1, icc in [0, 1], size_cv at least 0")
    return 1 + ((size_cv**2 + 1) * mean_size - 1) * icc


def sequential_inflation(boundary: Boundary, *, target: float = 0.8) -> float:
    """Return how many times the fixed sample a sequential plan needs for the same power.

    Args:
        boundary: planned boundary with its last look at information 1.
        target: power.

    References:
        Jennison, Turnbull (2000), table 2.2 and 2.4 (factors R).

    Examples:
        >>> from upswing.stats.sequential import constant_boundary
        >>> round(sequential_inflation(constant_boundary(5)), 3)
        1.228
    """
    fraction("target", target)
    per_side = boundary.alpha / 2 if boundary.alternative == "two_sided" else boundary.alpha
    sign = -1.0 if boundary.alternative == "less" else 1.0
    fixed = float(distributions.norm.isf(per_side) + distributions.norm.isf(1 - target))

    def gap(drift: float) -> float:
        return operating_characteristics(boundary, drift=sign * drift).power - target

    needed = float(brentq(gap, fixed * 0.9, fixed * 3, xtol=1e-7)) / np.sqrt(float(boundary.information[-1]))
    return float((needed / fixed) ** 2)


def growth_needed(se: ArrayLike, effect: ArrayLike, *, design: Design = Design()) -> Numbers:
    """Return how many times the present sample is needed to have the design's power for an effect.

    The estimate seen so far does not enter: planning on it would chase noise.

    Args:
        se: standard error now.
        effect: effect to be able to find, not 0.
        design: error and power.

    Examples:
        >>> round(growth_needed(0.1, 0.05), 2)
        31.4
    """
    spread, delta = floats("se", se, at_least=0), floats("effect", effect)
    if (delta == 0).any():
        raise InvalidInput("an effect of 0 needs infinitely many users")
    return plain(((design.critical + distributions.norm.isf(1 - design.power)) * spread / delta) ** 2)


def fit_reach(days: ArrayLike, users: ArrayLike) -> ReachCurve:
    """Fit the curve of cumulative unique users: visitors come back, so days do not add up linearly.

    Args:
        days: day numbers, 1 = first, shape (n,), at least 3.
        users: cumulative unique users by the end of each day, not falling.

    Raises:
        InvalidInput: fewer than 3 days, falling or non-positive counts.

    Examples:
        >>> curve = fit_reach([1, 2, 4, 8], [1000, 1414.21, 2000, 2828.43])
        >>> round(curve.exponent, 2), round(float(curve.users(16)), -1)
        (0.5, 4000.0)
    """
    day, seen = vector("days", days), vector("users", users)
    if day.shape != seen.shape:
        raise ShapeMismatch("days and users differ in length")
    if day.size < 3 or (day <= 0).any() or (seen <= 0).any() or (np.diff(seen) < 0).any():
        raise InvalidInput("at least 3 days with positive, growing cumulative counts are needed")
    slope, level = np.polyfit(np.log(day), np.log(seen), 1)
    best = ReachCurve(float(np.exp(level)), float(np.clip(slope, 0.01, 1.0)), np.inf)
    error = float(np.square(np.log(best.users(day) / seen)).sum())
    # saturating form with exponent 1: users = a·d / (c + d), a straight line in reciprocals
    for half in np.geomspace(0.5, 50 * day[-1], 200):
        shape = day / (half + day)
        scale = float(np.exp(np.mean(np.log(seen / shape))))
        candidate = float(np.square(np.log(scale * shape / seen)).sum())
        if candidate < error * 0.999:
            best, error = ReachCurve(scale, 1.0, float(half)), candidate
    return best


def duration(needed: float, curve: ReachCurve, *, whole_weeks: bool = True, at_most: int = 365) -> Duration:
    """Return the days until enough users have been reached.

    Args:
        needed: users over all arms, after dividing by the share of traffic in the experiment.
        curve: from `fit_reach`.
        whole_weeks: round up to full weeks, so that every weekday counts alike.
        at_most: give up after this many days.

    Examples:
        >>> duration(3500, ReachCurve(1000.0, 0.5, np.inf)).days
        14.0
    """
    days = np.arange(1, at_most + 1)
    enough = curve.users(days) >= needed
    if not enough.any():
        return Duration(np.nan, float(curve.users(at_most)), "reach_curve", "not_reached")
    day = int(days[np.argmax(enough)])
    if whole_weeks:
        day = -(-day // 7) * 7
    return Duration(float(day), float(curve.users(day)), "reach_curve", "ok")


def _checked(
    effect: ArrayLike, control: ArrayLike, treatment: ArrayLike | None, *, zero: bool = False
) -> tuple[FloatArray, FloatArray, FloatArray]:
    delta = floats("effect", effect)
    if not zero and (delta == 0).any():
        raise InvalidInput("an effect of 0 needs infinitely many users")
    va = floats("control_variance", control, at_least=0)
    vb = va if treatment is None else floats("treatment_variance", treatment, at_least=0)
    return delta, va, vb


def _worst_pair(va: FloatArray, vb: FloatArray, shares: FloatArray, comparisons: Comparisons) -> FloatArray:
    """Return n_total times the variance of the least precise difference that will be tested."""
    treated = np.sort(shares[1:])
    against = va / shares[0] + vb / treated[0]
    if comparisons == "against_control" or treated.size < 2:
        return np.asarray(against)
    return np.asarray(np.maximum(against, vb / treated[0] + vb / treated[1]))
