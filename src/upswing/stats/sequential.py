"""Group-sequential tests: look as often as you like, keep the error and nearly all the power.

The plan fixes the total information (users at the planned end) and a spending function; looks may come at any time,
in any number. Boundaries are computed exactly for the looks that took place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from scipy.optimize import brentq

from upswing.stats._arrays import Alternative, BoolArray, FloatArray, floats, fraction, one_of, vector
from upswing.stats.brownian import Crossing, Walk, crossing, information_times
from upswing.stats.errors import InvalidInput
from upswing.stats.spending import Spending

Shape: TypeAlias = Literal["pocock", "obrien_fleming"]
OBRIEN_FLEMING = Spending("obrien_fleming")


@dataclass(frozen=True, slots=True)
class Boundary:
    """Critical values, one per look.

    Attributes:
        information: information time of each look, shape (n_looks,).
        z: stop for efficacy when the statistic reaches this (its absolute value for a two-sided test); inf: no
            stopping at this look.
        nominal_p: the p-value that corresponds to z at each look taken alone.
        spent: cumulative alpha spent after each look; the rest of `alpha` is left.
        alpha: total error over both sides.
        alternative: "two_sided", "greater" or "less".
        method: name of the spending function.
    """

    information: FloatArray
    z: FloatArray
    nominal_p: FloatArray
    spent: FloatArray
    alpha: float
    alternative: Alternative
    method: str


@dataclass(frozen=True, slots=True)
class FutilityBoundary:
    """Efficacy and non-binding futility boundaries of a one-sided design.

    Attributes:
        information: information times, shape (n_looks,).
        upper: stop for efficacy at or above.
        lower: consider stopping for futility at or below; equals `upper` at the last look.
        drift: expected z at information 1 for which the power is 1 - beta.
        inflation: how many times the fixed-sample size the design needs.
        alpha: one-sided error; holds even when the futility boundary is ignored.
        beta: type-2 error if both boundaries are followed.
        method: names of the two spending functions.
    """

    information: FloatArray
    upper: FloatArray
    lower: FloatArray
    drift: float
    inflation: float
    alpha: float
    beta: float
    method: str


@dataclass(frozen=True, slots=True)
class OperatingCharacteristics:
    """What a boundary does at a given effect.

    Attributes:
        power: probability of ever stopping for efficacy.
        expected_information: expected information time at which it ends.
        stopping: probability of stopping for efficacy at each look, shape (n_looks,).
        method: "brownian_recursion".
    """

    power: float
    expected_information: float
    stopping: FloatArray
    method: str


@dataclass(frozen=True, slots=True)
class SequentialReadout:
    """A sequential test after its latest look.

    Attributes:
        boundary: critical values of the looks so far.
        z: statistic at each look, shape (n_looks,).
        crossed: whether a boundary has been crossed at each look.
        stopped_at: index of the first crossing look, -1 if none.
        estimate: estimate at the look it stopped at (or the latest); biased away from 0 after a stop.
        median_unbiased: estimate that is too high as often as too low; NaN for status "no_looks".
        lower: limit of the interval that goes with `median_unbiased` (stage-wise order).
        upper: upper limit.
        p_value: stage-wise ordered p-value at the stop (or, provisionally, at the latest look).
        repeated_lower: repeated confidence limits: jointly valid at all looks, shape (n_looks,).
        repeated_upper: upper ones.
        alpha_left: error not spent yet.
        method: how.
        status: "stopped", "running", or "exhausted" (all alpha spent, nothing found).
    """

    boundary: Boundary
    z: FloatArray
    crossed: BoolArray
    stopped_at: int
    estimate: float
    median_unbiased: float
    lower: float
    upper: float
    p_value: float
    repeated_lower: FloatArray
    repeated_upper: FloatArray
    alpha_left: float
    method: str
    status: str


def spending_boundary(
    information: ArrayLike,
    *,
    alpha: float = 0.05,
    spending: Spending = OBRIEN_FLEMING,
    alternative: Alternative = "two_sided",
    final: bool = False,
) -> Boundary:
    """Return the critical values for looks at the given information times.

    Args:
        information: share of the planned information at each look, shape (n_looks,), increasing, unequal steps
            allowed. Beyond 1 (an over-run) the first look at or past 1 spends all that is left; the boundary uses
            the information really seen, so the error stays exact. Looks after that have nothing to spend.
        alpha: total error; a two-sided test gives half to each side.
        spending: spending function.
        alternative: "two_sided", "greater" or "less".
        final: the last look is the last for good (an under-run): spend all that is left there.

    Raises:
        InvalidInput: information not increasing, alpha outside (0, 1).

    References:
        Lan, DeMets (1983), Biometrika 70:659-663.

    Examples:
        >>> spending_boundary([0.2, 0.4, 0.6, 0.8, 1.0]).z.round(3)
        array([4.877, 3.357, 2.68 , 2.29 , 2.031])
    """
    fraction("alpha", alpha)
    one_of("alternative", alternative, ("two_sided", "greater", "less"))
    times = information_times(information)
    two_sided = alternative == "two_sided"
    per_side = alpha / 2 if two_sided else alpha
    target = spending.spent(times, total=per_side)
    if final:
        target[-1] = per_side
    z = _solve(times, target, two_sided=two_sided)
    sides = 2 if two_sided else 1
    return Boundary(
        information=times,
        z=z,
        nominal_p=np.asarray(sides * distributions.norm.sf(z)),
        spent=sides * target,
        alpha=alpha,
        alternative=alternative,
        method=f"lan_demets_{spending.kind}",
    )


def constant_boundary(looks: int, *, shape: Shape = "pocock", alpha: float = 0.05) -> Boundary:
    """Return the classical two-sided boundary for equally spaced looks.

    Args:
        looks: number of looks, fixed in advance.
        shape: "pocock": the same z at each look; "obrien_fleming": z falls as 1/√t.
        alpha: two-sided error.

    References:
        Pocock (1977); O'Brien, Fleming (1979); tables 2.1 and 2.3 of Jennison, Turnbull (2000).

    Examples:
        >>> round(float(constant_boundary(5, shape="obrien_fleming").z[-1]), 3)
        2.04
    """
    fraction("alpha", alpha)
    one_of("shape", shape, ("pocock", "obrien_fleming"))
    if looks < 1:
        raise InvalidInput("at least one look is needed")
    times = np.arange(1, looks + 1) / looks
    form = np.ones(looks) if shape == "pocock" else 1 / np.sqrt(times)

    def excess(scale: float) -> float:
        result = crossing(times, scale * form, lower=-scale * form)
        return float(result.upper.sum() + result.lower.sum()) - alpha

    z = float(brentq(excess, 0.5, 8.0, xtol=1e-9)) * form
    leaving = crossing(times, z, lower=-z)
    return Boundary(
        information=times,
        z=z,
        nominal_p=np.asarray(2 * distributions.norm.sf(z)),
        spent=np.cumsum(leaving.upper + leaving.lower),
        alpha=alpha,
        alternative="two_sided",
        method=shape,
    )


def futility_boundary(
    information: ArrayLike,
    *,
    alpha: float = 0.025,
    beta: float = 0.2,
    spending: Spending = OBRIEN_FLEMING,
    beta_spending: Spending = OBRIEN_FLEMING,
) -> FutilityBoundary:
    """Return one-sided efficacy bounds with non-binding futility bounds by beta spending.

    Non-binding: the efficacy bounds are computed as if futility did not exist, so going on past a futility bound
    never costs type-1 error.

    Args:
        information: planned information times, last one 1.
        alpha: one-sided error.
        beta: 1 - power.
        spending: alpha spending.
        beta_spending: beta spending.

    References:
        Pampallona, Tsiatis, Kim (2001), Drug Information Journal 35:1113-1121.

    Examples:
        >>> design = futility_boundary(
        ...     [1 / 3, 2 / 3, 1], beta=0.1,
        ...     spending=Spending("hwang_shih_decani", -4), beta_spending=Spending("hwang_shih_decani", -2),
        ... )
        >>> design.upper.round(2), design.lower.round(2), round(design.inflation, 2)
        (array([3.01, 2.55, 2.  ]), array([-0.24,  0.94,  2.  ]), 1.07)
    """
    fraction("beta", beta)
    times = information_times(information)
    upper = spending_boundary(times, alpha=alpha, spending=spending, alternative="greater", final=True).z
    target = beta_spending.spent(times, total=beta)
    target[-1] = beta
    fixed = float(distributions.norm.isf(alpha) + distributions.norm.isf(beta))

    def gap(drift: float) -> float:
        return float(upper[-1] - _beta_bounds(times, upper, target, drift)[-1])

    drift = float(brentq(gap, fixed * 0.9, fixed * 2.0, xtol=1e-8))
    lower = _beta_bounds(times, upper, target, drift)
    lower[-1] = upper[-1]
    return FutilityBoundary(
        times, upper, lower, drift, (drift / fixed) ** 2, alpha, beta, f"{spending.kind}/{beta_spending.kind}"
    )


def operating_characteristics(
    boundary: Boundary, *, drift: float, futility: ArrayLike | None = None
) -> OperatingCharacteristics:
    """Return power and expected duration of a boundary.

    Args:
        boundary: from `spending_boundary` or `constant_boundary`.
        drift: expected z at information 1. A fixed 5 % two-sided test with 80 % power has drift 2.8016.
        futility: lower z values at which to stop for nothing, shape (n_looks,); one-sided designs only.

    Examples:
        >>> plan = spending_boundary(np.arange(1, 15) / 14)
        >>> result = operating_characteristics(plan, drift=2.8016)
        >>> round(result.power, 3), round(result.expected_information, 2)
        (0.783, 0.76)
    """
    leaving = _leaving(boundary, drift, futility)
    two_sided = boundary.alternative == "two_sided"
    stopping = leaving.upper + leaving.lower if two_sided else leaving.upper
    ending = leaving.upper + leaving.lower
    last = float(boundary.information[-1])
    expected = float(ending[:-1] @ boundary.information[:-1] + last * (1 - ending[:-1].sum()))
    return OperatingCharacteristics(float(stopping.sum()), expected, stopping, "brownian_recursion")


def conditional_power(z: float, information: float, boundary: Boundary, *, drift: float | None = None) -> float:
    """Return the probability of still crossing at a coming look, given what has been seen.

    Args:
        z: statistic now (sign such that positive is good for "two_sided" and "greater").
        information: information time now.
        boundary: its looks after `information` are the ones to come.
        drift: assumed expectation of z at information 1; without it the current trend, z / √information.

    Raises:
        InvalidInput: no look is left.

    References:
        Jennison, Turnbull (2000), section 10.2.

    Examples:
        >>> plan = spending_boundary([0.5, 1.0])
        >>> round(conditional_power(1.0, 0.5, plan, drift=2.8016), 3)
        0.578
    """
    if not information > 0:
        raise InvalidInput("information must be positive")
    later = boundary.information > information * (1 + 1e-9)
    if not later.any():
        raise InvalidInput("no look is left after this one")
    sign = -1.0 if boundary.alternative == "less" else 1.0
    score = sign * z * np.sqrt(information)
    assumed = score / information if drift is None else sign * drift
    times = boundary.information[later]
    ahead = times - information
    upper = (boundary.z[later] * np.sqrt(times) - score) / np.sqrt(ahead)
    lower = (-boundary.z[later] * np.sqrt(times) - score) / np.sqrt(ahead)
    two_sided = boundary.alternative == "two_sided"
    leaving = crossing(ahead, upper, lower=lower if two_sided else None, drift=float(assumed))
    return float(leaving.upper.sum() + (leaving.lower.sum() if two_sided else 0.0))


def read_out(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    planned_information: float,
    alpha: float = 0.05,
    spending: Spending = OBRIEN_FLEMING,
    alternative: Alternative = "two_sided",
    final: bool = False,
) -> SequentialReadout:
    """Analyse all looks so far.

    Args:
        estimates: effect at each look, in order, shape (n_looks,).
        standard_errors: its standard error at each look, shape (n_looks,), falling.
        planned_information: 1 / se² expected at the planned end.
        alpha: total error.
        spending: spending function, fixed before the start.
        alternative: "two_sided", "greater" or "less".
        final: no further look will follow.

    Raises:
        InvalidInput: standard errors that do not fall, non-positive planned information.

    References:
        Stage-wise ordering: Fairbanks, Madsen (1982); Tsiatis, Rosner, Mehta (1984). Repeated intervals: Jennison,
        Turnbull (1989). All in Jennison, Turnbull (2000), chapters 8 and 9.

    Examples:
        >>> result = read_out([0.9, 0.7], [0.3, 0.2], planned_information=25.0)
        >>> result.status, result.stopped_at, round(result.p_value, 4)
        ('stopped', 1, 0.0019)
    """
    effect = vector("estimates", estimates)
    se = vector("standard_errors", standard_errors, size=effect.size)
    if effect.size == 0 or not (se > 0).all() or not planned_information > 0:
        raise InvalidInput("at least one look, positive standard errors and positive planned information are needed")
    information = se**-2 / planned_information
    plan = spending_boundary(information, alpha=alpha, spending=spending, alternative=alternative, final=final)
    z = effect / se
    signed = {"two_sided": np.abs(z), "greater": z, "less": -z}[alternative]
    crossed = signed >= plan.z
    stop = int(np.argmax(crossed)) if crossed.any() else -1
    at = stop if stop >= 0 else effect.size - 1
    ordered = _StagewiseOrder(plan, at, float(z[at]))
    scale = float(np.sqrt(planned_information))
    half = plan.z * se
    left = alpha - float(plan.spent[-1])
    status = "stopped" if stop >= 0 else ("exhausted" if left <= 1e-12 else "running")
    tail = alpha / 2 if alternative == "two_sided" else alpha
    return SequentialReadout(
        boundary=plan, z=z, crossed=crossed, stopped_at=stop, estimate=float(effect[at]),
        median_unbiased=ordered.drift_at(0.5) / scale,
        lower=-np.inf if alternative == "less" else ordered.drift_at(tail) / scale,
        upper=np.inf if alternative == "greater" else ordered.drift_at(1 - tail) / scale,
        p_value=ordered.p_value(),
        repeated_lower=np.full_like(half, -np.inf) if alternative == "less" else effect - half,
        repeated_upper=np.full_like(half, np.inf) if alternative == "greater" else effect + half,
        alpha_left=max(left, 0.0), method=plan.method, status=status,
    )  # fmt: skip


def repeated_p_values(
    z: ArrayLike,
    information: ArrayLike,
    *,
    spending: Spending = OBRIEN_FLEMING,
    alternative: Alternative = "two_sided",
    final: bool = False,
) -> FloatArray:
    """Return, per look, the smallest alpha at which that look would have stopped the test.

    Unlike the stage-wise p-value these may be shown at every look, whatever the stopping rule.

    Args:
        z: statistic at each look, shape (n_looks,).
        information: information time of each look, shape (n_looks,).
        spending: spending function.
        alternative: "two_sided", "greater" or "less".
        final: no further look will follow.

    References:
        Jennison, Turnbull (2000), section 9.2.

    Examples:
        >>> repeated_p_values([2.5, 2.5], [0.5, 1.0]).round(4)
        array([0.106 , 0.0125])
    """
    times = information_times(information)
    seen = vector("z", z, size=times.size)
    signed = {"two_sided": np.abs(seen), "greater": seen, "less": -seen}[alternative]
    result = np.empty(seen.size)
    for k in range(seen.size):
        end = final and k == seen.size - 1

        def margin(log_alpha: float, look: int = k, last: bool = end) -> float:
            alpha, upto = float(np.exp(log_alpha)), times[: look + 1]
            plan = spending_boundary(upto, alpha=alpha, spending=spending, alternative=alternative, final=last)
            return float(np.clip(plan.z[look], -40.0, 40.0) - signed[look])

        smallest, largest = float(np.log(1e-12)), float(np.log(1 - 1e-9))
        if margin(largest) > 0:
            result[k] = 1.0
        elif margin(smallest) < 0:
            result[k] = 1e-12
        else:
            result[k] = np.exp(brentq(margin, smallest, largest, xtol=1e-6))
    return result


def _solve(times: FloatArray, target: FloatArray, *, two_sided: bool) -> FloatArray:
    """Return z values at which each look spends exactly its share of `target` (cumulative, one side)."""
    walk, z = Walk(times), np.empty(times.size)
    spent = 0.0
    for k in walk.looks():
        z[k] = walk.boundary_for(float(target[k]) - spent, up=True)
        spent = float(target[k])
        walk.keep(-z[k] if two_sided else -np.inf, z[k])
    return z


def _beta_bounds(times: FloatArray, upper: FloatArray, target: FloatArray, drift: float) -> FloatArray:
    walk, lower = Walk(times, drift), np.empty(times.size)
    spent = 0.0
    for k in walk.looks():
        lower[k] = min(walk.boundary_for(float(target[k]) - spent, up=False), 10.0)
        spent = float(target[k])
        walk.keep(min(lower[k], upper[k]), upper[k])
    return lower


def _leaving(boundary: Boundary, drift: float, futility: ArrayLike | None) -> Crossing:
    if boundary.alternative == "two_sided":
        if futility is not None:
            raise InvalidInput("futility bounds belong to one-sided designs")
        return crossing(boundary.information, boundary.z, lower=-boundary.z, drift=drift)
    signed = -drift if boundary.alternative == "less" else drift
    low = None if futility is None else np.minimum(floats("futility", futility), boundary.z)
    return crossing(boundary.information, boundary.z, lower=low, drift=signed)


@dataclass(frozen=True, slots=True)
class _StagewiseOrder:
    """Probability of an outcome at least as high as the seen one: earlier upper stops rank above later ones."""

    plan: Boundary
    at: int
    z: float

    def above(self, drift: float) -> float:
        times, bound = self.plan.information[: self.at + 1], self.plan.z[: self.at + 1]
        high = np.full_like(bound, np.inf) if self.plan.alternative == "less" else bound
        low = np.full_like(bound, -np.inf) if self.plan.alternative == "greater" else -bound
        walk, total = Walk(times, drift), 0.0
        for k in walk.looks():
            last = k == self.at
            total += walk.beyond(self.z if last else float(high[k]), up=True)
            if last:
                break
            walk.keep(float(low[k]), float(high[k]))
        return total

    def p_value(self) -> float:
        upper = self.above(0.0)
        if self.plan.alternative == "two_sided":
            return min(1.0, 2 * min(upper, 1 - upper))
        return upper if self.plan.alternative == "greater" else 1 - upper

    def drift_at(self, probability: float) -> float:
        """Return the drift under which an outcome as high as this has the given probability."""
        t = float(self.plan.information[self.at])
        centre, spread = self.z / np.sqrt(t), 1 / np.sqrt(t)
        reach: Callable[[float], float] = lambda drift: self.above(drift) - probability  # noqa: E731
        low, high = centre - 6 * spread, centre + 6 * spread
        while reach(low) > 0:
            low -= 6 * spread
        while reach(high) < 0:
            high += 6 * spread
        return float(brentq(reach, low, high, xtol=1e-7))
