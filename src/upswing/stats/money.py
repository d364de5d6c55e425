"""Money: what a subsidy earned, what one more conversion cost, and which dose to stop at.

The cost of a subsidy falls on everybody who redeems it, also on those who would have bought anyway; the value comes
only from those who would not have. So everything here is a difference between randomised arms, cost included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import (
    Alternative,
    FloatArray,
    Labels,
    Numbers,
    Seed,
    critical_value,
    divide,
    floats,
    fraction,
    generator,
    plain,
    plain_labels,
    statuses,
    together,
    vector,
)
from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Comparison, Level, compare, fieller_roots
from upswing.stats.errors import NOT_ENOUGH_DATA, ZERO_VARIANCE, InvalidInput

BOUNDED = "bounded"
COMPLEMENT = "complement"
EVERYTHING = "unbounded"


@dataclass(frozen=True, slots=True)
class RatioSet:
    """A ratio of two estimated differences, with its exact confidence set.

    Attributes:
        estimate: numerator / denominator; NaN when the denominator is 0.
        kind: shape of the set. "bounded": the interval [lower, upper]. "complement": everything *outside*
            (lower, upper): the denominator is not distinguishable from 0, so arbitrarily large ratios of either
            sign fit. "unbounded": every ratio fits; the data say nothing.
        lower: smaller root; NaN when unbounded.
        upper: larger root; NaN when unbounded.
        confidence: coverage of the set.
        method: "fieller".
        status: "ok", "not_enough_data" or "zero_variance".
    """

    estimate: Numbers
    kind: Labels
    lower: Numbers
    upper: Numbers
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """Response to rising doses.

    Attributes:
        doses: shape (n_doses,), the first is the control's.
        raw: conversion (or value) per user in each arm.
        pooled: the same, made non-decreasing by pooling adjacent violators.
        lower: lower limit of `pooled`.
        upper: upper limit of it.
        cost: cost per user in each arm.
        marginal_cost: extra cost per extra conversion from each dose to the next, shape (n_doses - 1,); inf where the
            step brings nothing.
        marginal_lower: lower percentile limit of it.
        marginal_upper: upper one; inf when the step may bring nothing.
        best: index of the last dose whose every step up to it costs at most `value` per extra conversion.
        value: worth of one conversion.
        confidence: nominal coverage of the intervals.
        method: "pooled_adjacent_violators".
        status: "ok" or "not_enough_data".
    """

    doses: FloatArray
    raw: FloatArray
    pooled: FloatArray
    lower: FloatArray
    upper: FloatArray
    cost: FloatArray
    marginal_cost: FloatArray
    marginal_lower: FloatArray
    marginal_upper: FloatArray
    best: int
    value: float
    confidence: float
    method: str
    status: str


def net_value(
    control: Aggregates,
    treatment: Aggregates,
    worth: Mapping[str, float],
    *,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
) -> Comparison:
    """Return the incremental net value per user.

    Args:
        control: sufficient statistics, one row per *assigned* user (not per redeemer), any shape of problems.
        treatment: those of the treatment.
        worth: what one unit of each column is worth, in money; costs negative:
            {"conversion": 30.0, "subsidy": -1.0}.
        confidence: nominal coverage.
        alternative: "two_sided", "greater" (it pays) or "less".

    Returns:
        Comparison of value per user; its difference is v·(CR_t - CR_c) - (cost_t - cost_c), always-takers included.

    Raises:
        InvalidInput: no column, or one that does not exist.

    Examples:
        >>> a = Aggregates.from_rows({"buys": [0.0, 1.0, 0.0, 0.0], "subsidy": [0.0, 0.0, 0.0, 0.0]})
        >>> b = Aggregates.from_rows({"buys": [1.0, 1.0, 0.0, 0.0], "subsidy": [5.0, 5.0, 0.0, 0.0]})
        >>> net_value(a, b, {"buys": 30.0, "subsidy": -1.0}).difference
        5.0
    """
    if not worth:
        raise InvalidInput("at least one column must be worth something")
    return compare(
        _combined(control, worth), _combined(treatment, worth), confidence=confidence, alternative=alternative,
        method="net_value",
    )  # fmt: skip


def cost_per_incremental(
    control: Aggregates, treatment: Aggregates, *, cost: str, conversion: str, confidence: float = 0.95
) -> RatioSet:
    """Return the extra cost per extra conversion (CPIC).

    Args:
        control: sufficient statistics with the two columns, one row per assigned user.
        treatment: those of the treatment.
        cost: column of the cost per user.
        conversion: column of conversions per user.
        confidence: coverage.

    References:
        Fieller (1954); the three shapes of the set: Franz (2007), arXiv 0710.2024; von Luxburg, Franz (2009).

    Examples:
        >>> a = Aggregates.from_sums(10_000, {"cost": 0.0, "buys": 500.0},
        ...     squares={"cost": 0.0, "buys": 500.0}, cross={("cost", "buys"): 0.0})
        >>> b = Aggregates.from_sums(10_000, {"cost": 3500.0, "buys": 700.0},
        ...     squares={"cost": 17_500.0, "buys": 700.0}, cross={("cost", "buys"): 3500.0})
        >>> result = cost_per_incremental(a, b, cost="cost", conversion="buys")
        >>> round(result.estimate, 1), result.kind, round(result.lower, 1), round(result.upper, 1)
        (17.5, 'bounded', 13.8, 24.7)
    """
    numerator, denominator, covariance = _two_differences(control, treatment, cost, conversion)
    return ratio_set(numerator, denominator, covariance=covariance, confidence=confidence)


def return_on_investment(
    control: Aggregates, treatment: Aggregates, *, value: str, cost: str, confidence: float = 0.95
) -> RatioSet:
    """Return the ROI, (extra value - extra cost) / extra cost.

    Args:
        control: sufficient statistics with the two columns, one row per assigned user.
        treatment: those of the treatment.
        value: column of the value per user (before cost).
        cost: column of the cost per user.
        confidence: coverage.

    Returns:
        The set of `value / cost - 1`; 0 is break-even.

    References:
        Fieller (1954).

    Examples:
        >>> a = Aggregates.from_rows({"value": [30.0, 0.0, 0.0, 0.0], "cost": [0.0, 0.0, 0.0, 0.0]})
        >>> b = Aggregates.from_rows({"value": [30.0, 30.0, 0.0, 0.0], "cost": [5.0, 5.0, 0.0, 0.0]})
        >>> result = return_on_investment(a, b, value="value", cost="cost")
        >>> round(result.estimate, 6), result.kind
        (2.0, 'unbounded')
    """
    numerator, denominator, covariance = _two_differences(control, treatment, value, cost)
    found = ratio_set(numerator, denominator, covariance=covariance, confidence=confidence)
    return RatioSet(
        plain(np.asarray(found.estimate) - 1), found.kind, plain(np.asarray(found.lower) - 1),
        plain(np.asarray(found.upper) - 1), confidence, found.method, found.status,
    )  # fmt: skip


def ratio_set(
    numerator: Level, denominator: Level, *, covariance: ArrayLike = 0.0, confidence: float = 0.95
) -> RatioSet:
    """Return the Fieller set of a ratio of two estimates.

    Args:
        numerator: estimate with variance.
        denominator: estimate with variance.
        covariance: covariance of the two estimates.
        confidence: coverage, exact for normal estimates whatever the shape of the set.

    Examples:
        >>> ratio_set(Level.of(1.0, 0.01), Level.of(0.1, 0.01)).kind
        'complement'
        >>> ratio_set(Level.of(0.1, 0.01), Level.of(0.1, 0.01)).kind
        'unbounded'
    """
    fraction("confidence", confidence)
    top, vt, bottom, vb, cov, df = together(
        numerator=numerator.value, numerator_variance=numerator.variance, denominator=denominator.value,
        denominator_variance=denominator.variance, covariance=floats("covariance", covariance, nan=True),
        df=np.minimum(numerator.df, denominator.df),
    )  # fmt: skip
    unknown = np.isnan(top + bottom + vt + vb + cov) | ~(df > 0)
    constant = ~unknown & (vt == 0) & (vb == 0)
    reach = np.where(unknown, np.nan, critical_value(confidence=confidence, df=df))
    low, high, leading, discriminant = fieller_roots(bottom, vb, top, vt, cov, reach)
    everything = ~unknown & (leading <= 0) & (discriminant <= 0)
    kind = np.where(leading > 0, BOUNDED, np.where(everything, EVERYTHING, COMPLEMENT))
    kind = np.where(unknown | constant, "", kind)
    hide = unknown | constant | everything
    return RatioSet(
        estimate=plain(np.where(unknown, np.nan, divide(top, bottom))),
        kind=plain_labels(kind),
        lower=plain(np.where(hide, np.nan, low)),
        upper=plain(np.where(hide, np.nan, high)),
        confidence=confidence,
        method="fieller",
        status=plain_labels(statuses(top.shape, (unknown, NOT_ENOUGH_DATA), (constant, ZERO_VARIANCE))),
    )


def dose_response(
    doses: ArrayLike,
    arms: Sequence[Aggregates],
    *,
    conversion: str,
    cost: str,
    value: float,
    confidence: float = 0.95,
    draws: int = 4000,
    rng: Seed = 0,
) -> DoseResponse:
    """Read arms with rising subsidies together: more money does not convert fewer people.

    Args:
        doses: size of the subsidy in each arm, increasing, shape (n_doses,); the control's first.
        arms: sufficient statistics of each arm with the two columns, in the same order.
        conversion: column of conversions per user.
        cost: column of the cost per user.
        value: worth of one conversion, in the unit of the cost.
        confidence: nominal coverage of the percentile intervals.
        draws: normal draws of the arm means behind the intervals.
        rng: seed or generator.

    Raises:
        InvalidInput: doses not increasing, or not one arm per dose.

    References:
        Ayer et al. (1955) for the pooling; Robertson, Wright, Dykstra (1988), chapter 1.

    Examples:
        >>> def arm(rate, dose, n=20_000):
        ...     buys = rate * n
        ...     return Aggregates.from_sums(n, {"buys": buys, "cost": dose * buys},
        ...         squares={"buys": buys, "cost": dose**2 * buys}, cross={("buys", "cost"): dose * buys})
        >>> result = dose_response([0, 2, 5], [arm(0.05, 0), arm(0.08, 2), arm(0.085, 5)],
        ...     conversion="buys", cost="cost", value=20.0)
        >>> result.marginal_cost.round(1), result.best
        (array([ 5.3, 53. ]), 1)
    """
    dose = vector("doses", doses)
    if dose.size != len(arms) or dose.size < 2 or (np.diff(dose) <= 0).any():
        raise InvalidInput("doses must increase and there must be one arm for each, at least two")
    tail = (1 - fraction("confidence", confidence)) / 2
    n = np.array([float(arm.n) for arm in arms])
    raw = np.array([float(arm.mean(conversion)) for arm in arms])
    spent = np.array([float(arm.mean(cost)) for arm in arms])
    if (n < 2).any():
        nothing = np.full(dose.size, np.nan)
        step = nothing[1:]
        return DoseResponse(
            dose, raw, nothing, nothing, nothing, spent, step, step, step, 0, value, confidence,
            "pooled_adjacent_violators", NOT_ENOUGH_DATA,
        )  # fmt: skip
    random = generator(rng)
    sampled = np.stack([_draw(arm, conversion, cost, draws, random) for arm in arms], axis=1)
    curves = np.array([monotone(row, n) for row in sampled[..., 0]])
    pooled = monotone(raw, n)
    marginal = _marginal(pooled, spent)
    drawn = _marginal(curves, sampled[..., 1])
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="inverted_cdf")
    paying = marginal <= value
    best = int(np.argmin(paying)) if not paying.all() else dose.size - 1
    lower, upper = np.quantile(curves, [tail, 1 - tail], axis=0)
    return DoseResponse(
        dose, raw, pooled, lower, upper, spent, marginal, low, high, best, value, confidence,
        "pooled_adjacent_violators", "ok",
    )  # fmt: skip


def monotone(values: ArrayLike, weights: ArrayLike) -> FloatArray:
    """Return the closest non-decreasing sequence (weighted least squares) by pooling adjacent violators.

    Examples:
        >>> monotone([1.0, 3.0, 2.0], [1.0, 1.0, 3.0])
        array([1.  , 2.25, 2.25])
    """
    y, w = vector("values", values), vector("weights", weights)
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(y.tolist(), w.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (left, wl, nl), (right, wr, nr) = blocks[-2:]
            blocks[-2:] = [((left * wl + right * wr) / (wl + wr), wl + wr, nl + nr)]
    return np.concatenate([np.full(count, value) for value, _, count in blocks]) if blocks else y


def _combined(arm: Aggregates, worth: Mapping[str, float]) -> Level:
    chosen = arm.only(*worth)
    price = np.array(list(worth.values()), dtype=np.float64)
    per_degree = divide(np.einsum("i,...ij,j", price, chosen.products, price), chosen.n - 1)
    mean = np.where(chosen.n > 0, chosen.means @ price, np.nan)
    variance = np.where(chosen.n >= 2, divide(per_degree, chosen.n), np.nan)
    return Level(mean, np.maximum(variance, 0.0), chosen.n - 1, chosen.n)


def _two_differences(
    control: Aggregates, treatment: Aggregates, top: str, bottom: str
) -> tuple[Level, Level, FloatArray]:
    df = np.minimum(control.n, treatment.n) - 1
    n = control.n + treatment.n
    levels = [
        Level(
            treatment.mean(column) - control.mean(column),
            divide(treatment.variance(column), treatment.n) + divide(control.variance(column), control.n),
            df,
            n,
        )
        for column in (top, bottom)
    ]
    covariance = divide(treatment.covariance(top, bottom), treatment.n) + divide(
        control.covariance(top, bottom), control.n
    )
    return levels[0], levels[1], covariance


def _draw(arm: Aggregates, conversion: str, cost: str, draws: int, rng: np.random.Generator) -> FloatArray:
    chosen = arm.only(conversion, cost)
    covariance = chosen.products / (float(arm.n) - 1) / float(arm.n)
    return rng.multivariate_normal(chosen.means, covariance, size=draws, method="eigh")


def _marginal(conversion: FloatArray, cost: FloatArray) -> FloatArray:
    more, paid = np.diff(conversion, axis=-1), np.diff(cost, axis=-1)
    return np.where(more > 1e-15, np.nan_to_num(divide(paid, np.maximum(more, 1e-300)), posinf=np.inf), np.inf)
