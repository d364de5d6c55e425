"""Why a number moved: exact shares for the parts of a formula and for segments.

Everything here adds up: parts sum to the whole change. The fewest segments that explain it: `explanation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import FloatArray, divide, floats, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, NOT_IDENTIFIED, OK, InvalidInput, ShapeMismatch

MAX_FACTORS = 16


@dataclass(frozen=True, slots=True)
class FormulaChange:
    """Change of a formula, shared among its inputs.

    Attributes:
        names: of the inputs.
        contribution: of each input, in the unit of the result, shape (n_inputs,); they sum to `change`.
        before: value of the formula before.
        after: value of the formula after.
        change: after - before.
        method: "shapley" or "lmdi".
        status: "ok", or "not_identified" where the formula has no value on the way (a division by zero) or, for
            LMDI, where a value is not above 0.
    """

    names: tuple[str, ...]
    contribution: FloatArray
    before: float
    after: float
    change: float
    method: str
    status: str

    def as_dict(self) -> dict[str, float]:
        """Return input to contribution."""
        return dict(zip(self.names, self.contribution.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """Change of a rate (numerator / denominator) or of a total, shared among segments and three effects.

    Attributes:
        rate: effect of each segment's own rate, shape (n_segments,).
        mix: effect of the segment's changed share among all.
        volume: effect of the changed size of the whole; 0 for a rate, which does not know size.
        total: rate + mix + volume.
        change: of the whole; equals the sum of `total`.
        method: "rate_mix_midpoint" or "rate_mix_volume".
        status: "ok" or "not_enough_data" (no denominator before or after).
    """

    rate: FloatArray
    mix: FloatArray
    volume: FloatArray
    total: FloatArray
    change: float
    method: str
    status: str


def shapley_change(
    formula: Callable[[Mapping[str, float]], float], before: Mapping[str, float], after: Mapping[str, float]
) -> FormulaChange:
    """Share the change of any formula among its inputs, exactly and whatever their order.

    Each input's share is its effect averaged over all orders in which the inputs could have moved.

    Args:
        formula: takes input name to value and returns the result; a whole metric tree is one such formula.
        before: input values before.
        after: input values after; the same names.

    Raises:
        InvalidInput: different names, or more than 16 inputs that moved.

    References:
        Shapley (1953), eq. (14); Sun (1998), Energy Economics 20, for its use in decomposition.

    Examples:
        >>> before, after = {"users": 10, "arpu": 2}, {"users": 20, "arpu": 3}
        >>> result = shapley_change(lambda v: v["users"] * v["arpu"], before, after)
        >>> result.as_dict()
        {'users': 25.0, 'arpu': 15.0}
    """
    names = _same_names(before, after)
    start, end = float(formula(dict(before))), float(formula(dict(after)))
    moved = [name for name in names if before[name] != after[name]]
    if len(moved) > MAX_FACTORS:
        raise InvalidInput(f"{len(moved)} inputs moved, at most {MAX_FACTORS} can be shared exactly")
    values: dict[frozenset[str], float] = {}
    for size in range(len(moved) + 1):
        for group in combinations(moved, size):
            point = {name: float(after[name] if name in group else before[name]) for name in names}
            values[frozenset(group)] = _value(formula, point)
    share = dict.fromkeys(names, 0.0)
    n = len(moved)
    for group_set, value in values.items():
        size = len(group_set)
        for name in moved:
            if name not in group_set:
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                share[name] += weight * (values[group_set | {name}] - value)
    contribution = np.array([share[name] for name in names])
    status = OK if np.isfinite(contribution).all() else NOT_IDENTIFIED
    if status != OK:
        contribution = np.full(len(names), np.nan)
    return FormulaChange(names, contribution, start, end, end - start, "shapley", status)


def lmdi_change(before: Mapping[str, float], after: Mapping[str, float]) -> FormulaChange:
    """Share the change of a product of factors by logarithmic means (LMDI-I).

    Each factor gets L(after, before) * ln(factor after / factor before): exact, without residual, the same however
    factors are grouped. Needs every factor above 0.

    Args:
        before: factor values before.
        after: factor values after; the same names.

    References:
        Ang (2005), Energy Policy 33: The LMDI approach to decomposition analysis, table 1.

    Examples:
        >>> result = lmdi_change({"users": 10, "arpu": 2}, {"users": 20, "arpu": 3})
        >>> result.contribution.round(3)
        array([25.237, 14.763])
    """
    names = _same_names(before, after)
    old = np.array([float(before[name]) for name in names])
    new = np.array([float(after[name]) for name in names])
    start, end = float(old.prod()), float(new.prod())
    if not ((old > 0).all() and (new > 0).all()):
        nothing = np.full(len(names), np.nan)
        return FormulaChange(names, nothing, start, end, end - start, "lmdi", NOT_IDENTIFIED)
    ratio = np.log(new) - np.log(old)
    total = float(ratio.sum())
    mean = (end - start) / total if abs(total) > 1e-9 else (start + end) / 2
    return FormulaChange(names, mean * ratio, start, end, end - start, "lmdi", OK)


def rate_change(
    numerator_before: ArrayLike, denominator_before: ArrayLike, numerator_after: ArrayLike, denominator_after: ArrayLike
) -> SegmentChange:
    """Share the change of an overall rate among segments: own rate and mix.

    rate effect = mean share x change of the rate; mix effect = change of the share x (mean rate - mean overall rate).
    Measuring the mix against the overall rate makes a segment's growth count for the whole only as far as the segment
    is better or worse than the whole.

    Args:
        numerator_before: for example conversions per segment, shape (n_segments,).
        denominator_before: for example users per segment.
        numerator_after: the same later.
        denominator_after: the same later.

    References:
        Midpoint form of Kitagawa (1955), JASA 50: Components of a difference between two rates.

    Examples:
        >>> result = rate_change([10, 40], [100, 100], [10, 60], [100, 150])
        >>> result.rate.round(4), result.mix.round(4), round(result.change, 4)
        (array([0., 0.]), array([0.0165, 0.0135]), 0.03)
    """
    n0, d0, n1, d1 = _segments(numerator_before, denominator_before, numerator_after, denominator_after)
    if not (d0.sum() > 0 and d1.sum() > 0):
        nothing = np.full(n0.shape, np.nan)
        return SegmentChange(nothing, nothing, nothing, nothing, np.nan, "rate_mix_midpoint", NOT_ENOUGH_DATA)
    p0, p1 = d0 / d0.sum(), d1 / d1.sum()
    r0, r1 = _rates(n0, d0, n1, d1)
    whole0, whole1 = float(n0.sum() / d0.sum()), float(n1.sum() / d1.sum())
    rate = (p0 + p1) / 2 * (r1 - r0)
    mix = (p1 - p0) * ((r0 + r1) / 2 - (whole0 + whole1) / 2)
    return SegmentChange(rate, mix, np.zeros(rate.shape), rate + mix, whole1 - whole0, "rate_mix_midpoint", OK)


def total_change(
    numerator_before: ArrayLike, denominator_before: ArrayLike, numerator_after: ArrayLike, denominator_after: ArrayLike
) -> SegmentChange:
    """Share the change of a total (a sum of rate x share x volume over segments) among rate, mix and volume.

    Each segment's total is volume of the whole x its share x its rate; the three are shared by their exact Shapley
    value, the mix again measured against the overall rate.

    Args:
        numerator_before: for example revenue per segment, shape (n_segments,).
        denominator_before: for example users per segment.
        numerator_after: the same later.
        denominator_after: the same later.

    Examples:
        >>> result = total_change([100, 100], [100, 100], [200, 200], [200, 200])
        >>> float(result.volume.sum()), float(result.rate.sum()), float(result.mix.sum())
        (200.0, 0.0, 0.0)
    """
    n0, d0, n1, d1 = _segments(numerator_before, denominator_before, numerator_after, denominator_after)
    v0, v1 = float(d0.sum()), float(d1.sum())
    change = float(n1.sum() - n0.sum())
    if not (v0 > 0 and v1 > 0):
        nothing = np.full(n0.shape, np.nan)
        return SegmentChange(nothing, nothing, nothing, nothing, change, "rate_mix_volume", NOT_ENOUGH_DATA)
    p0, p1 = d0 / v0, d1 / v1
    r0, r1 = _rates(n0, d0, n1, d1)
    rate = _three_way(r1 - r0, v0, v1, p0, p1)
    mix = _three_way(p1 - p0, v0, v1, r0, r1)
    volume = _three_way(np.full(p0.shape, v1 - v0), p0, p1, r0, r1)
    # Shares sum to 1, so moving a constant from mix to mix changes nothing in sum: measure it against the whole.
    whole = _three_way(np.ones(1), v0, v1, n0.sum() / v0, n1.sum() / v1)[0]
    mix = mix - (p1 - p0) * whole
    return SegmentChange(rate, mix, volume, rate + mix + volume, change, "rate_mix_volume", OK)


def _same_names(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[str, ...]:
    if set(before) != set(after):
        raise InvalidInput(f"inputs differ: {sorted(set(before) ^ set(after))} stand on one side only")
    for name in before:
        floats(name, [before[name], after[name]])
    return tuple(before)


def _value(formula: Callable[[Mapping[str, float]], float], point: Mapping[str, float]) -> float:
    try:
        return float(formula(point))
    except ZeroDivisionError:
        return float("nan")


def _segments(*arrays: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    n0, d0, n1, d1 = (vector("segments", array) for array in arrays)
    if not n0.shape == d0.shape == n1.shape == d1.shape:
        raise ShapeMismatch("the four arrays must have one shape (n_segments,)")
    if (d0 < 0).any() or (d1 < 0).any():
        raise InvalidInput("a denominator is negative")
    if (n0[d0 == 0] != 0).any() or (n1[d1 == 0] != 0).any():
        raise InvalidInput("a segment has a numerator without a denominator")
    return n0, d0, n1, d1


def _rates(n0: FloatArray, d0: FloatArray, n1: FloatArray, d1: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rates per segment; one that comes or goes keeps its only rate, so its whole effect is mix."""
    r0, r1 = divide(n0, d0), divide(n1, d1)
    r0, r1 = np.where(np.isnan(r0), r1, r0), np.where(np.isnan(r1), r0, r1)
    return np.nan_to_num(r0), np.nan_to_num(r1)


def _three_way(moved: FloatArray, a0: ArrayLike, a1: ArrayLike, b0: ArrayLike, b1: ArrayLike) -> FloatArray:
    """Shapley share of one factor of a product of three, the other two being a and b."""
    x0, x1, y0, y1 = (np.asarray(value, dtype=np.float64) for value in (a0, a1, b0, b1))
    return np.asarray(moved * ((x0 * y0 + x1 * y1) / 3 + (x0 * y1 + x1 * y0) / 6))
