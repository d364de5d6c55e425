"""Intervals that hold at every moment: watch for ever, stop whenever, never plan a horizon.

The price against a planned group-sequential test is power: tuned for the right sample size, the interval is about 1.55
times as wide as the fixed one. For that reason `upswing.stats.sequential` is the default for the primary metric, and
confidence sequences serve guardrails and open-ended monitoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import (
    Alternative,
    BoolArray,
    FloatArray,
    Labels,
    Numbers,
    floats,
    fraction,
    limits,
    one_of,
    plain,
    plain_labels,
    statuses,
    together,
)
from upswing.stats.errors import NOT_ENOUGH_DATA, ZERO_VARIANCE, InvalidInput


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """An interval valid simultaneously at all sample sizes.

    Attributes:
        estimate: the effect.
        lower: lower limit; -inf for alternative "less".
        upper: upper limit; inf for alternative "greater".
        p_value: always-valid p-value: the smallest alpha whose sequence (tuned as here) excludes no effect.
        confidence: probability that the sequence never misses.
        alternative: "two_sided", "greater" or "less".
        method: "asymptotic_confidence_sequence".
        status: "ok", "not_enough_data" or "zero_variance".
    """

    estimate: Numbers
    lower: Numbers
    upper: Numbers
    p_value: Numbers
    confidence: float
    alternative: Alternative
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class DeteriorationWatch:
    """Early warning on guardrails.

    Attributes:
        alarm: whether harm is shown, shape (n_guardrails,).
        bound: best value of the effect still compatible with the data, as harm counts: for a metric that is better
            up, the upper confidence limit of the effect; below 0 means harm.
        p_value: always-valid p-value of "no harm", before the split over guardrails.
        alpha_each: error given to each guardrail.
        method: "one_sided_confidence_sequence".
        status: per guardrail "ok", "not_enough_data" or "zero_variance".
    """

    alarm: BoolArray
    bound: FloatArray
    p_value: FloatArray
    alpha_each: float
    method: str
    status: Labels


def confidence_sequence(
    estimate: ArrayLike,
    se: ArrayLike,
    n: ArrayLike,
    *,
    tuned_for: float = 5000.0,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
) -> ConfidenceSequence:
    """Return an asymptotic confidence sequence at this sample size.

    The error is spent over for ever: watched daily up to the planned size only, it is 1 % instead of 5 % in
    simulations, which is what the freedom to go on costs. Asymptotic: the first hundred users are not to be trusted.

    Args:
        estimate: effect, shape (n_problems,) or a number.
        se: its standard error now.
        n: units behind it now (both arms together).
        tuned_for: sample size at which the sequence is narrowest; give the planned size. Fixed before the start.
        confidence: probability that no interval of the sequence misses.
        alternative: "two_sided", or one side (narrower there).

    Raises:
        InvalidInput: negative standard error or n, `tuned_for` not positive.

    References:
        Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2021), arXiv 2103.06476: theorem 2.2 formula 9 (two-sided),
        proposition B.1 (one-sided); tuning by formula B.20.

    Examples:
        >>> result = confidence_sequence(0.29, 0.125, 6868, tuned_for=5000)
        >>> round(result.lower, 4), round(result.upper, 4)
        (-0.0901, 0.6701)
    """
    fraction("confidence", confidence)
    one_of("alternative", alternative, ("two_sided", "greater", "less"))
    if not tuned_for > 0:
        raise InvalidInput("tuned_for must be positive")
    effect, spread, size = together(
        estimate=floats("estimate", estimate, nan=True),
        se=floats("se", se, at_least=0, nan=True),
        n=floats("n", n, at_least=0),
    )
    unknown = np.isnan(effect) | np.isnan(spread) | (size <= 0)
    constant = ~unknown & (spread == 0)
    usable = ~(unknown | constant)
    alpha, one_sided = 1 - confidence, alternative != "two_sided"
    rho = _tuned(alpha, tuned_for, one_sided)
    safe_n = np.where(usable, size, 1.0)
    factor = _width(safe_n, rho, alpha, one_sided)
    lower, upper = limits(np.where(usable, effect, np.nan), factor * np.where(usable, spread, 0.0), alternative)
    z = np.divide(effect, spread, out=np.full(effect.shape, np.nan), where=usable)
    return ConfidenceSequence(
        estimate=plain(effect),
        lower=plain(lower),
        upper=plain(upper),
        p_value=plain(_always_valid_p(z, safe_n, rho, alternative)),
        confidence=confidence,
        alternative=alternative,
        method="asymptotic_confidence_sequence",
        status=plain_labels(statuses(effect.shape, (unknown, NOT_ENOUGH_DATA), (constant, ZERO_VARIANCE))),
    )


def watch_deterioration(
    estimate: ArrayLike,
    se: ArrayLike,
    n: ArrayLike,
    *,
    better_up: ArrayLike = True,
    tuned_for: float = 5000.0,
    alpha: float = 0.05,
) -> DeteriorationWatch:
    """Tell which guardrails have got worse, at any look, with one error budget for all of them.

    Args:
        estimate: effect on each guardrail, shape (n_guardrails,).
        se: standard errors, same shape.
        n: units behind each.
        better_up: whether more is better, per guardrail.
        tuned_for: sample size at which to be most sensitive.
        alpha: probability of any false alarm ever; split evenly.

    References:
        Schultzberg, Ankargren, Fraanberg (2024), arXiv 2402.11609, deterioration tests; sequence as in
        `confidence_sequence`.

    Examples:
        >>> watch = watch_deterioration([-0.5, 0.1], [0.1, 0.1], 4000)
        >>> watch.alarm, watch.alpha_each
        (array([ True, False]), 0.025)
    """
    effect = np.atleast_1d(floats("estimate", estimate, nan=True))
    sign = np.where(np.asarray(better_up, dtype=bool), 1.0, -1.0)
    each = fraction("alpha", alpha) / effect.size
    result = confidence_sequence(effect * sign, se, n, tuned_for=tuned_for, confidence=1 - each, alternative="less")
    upper = np.asarray(result.upper)
    return DeteriorationWatch(
        alarm=upper < 0,
        bound=upper * sign,
        p_value=np.asarray(result.p_value),
        alpha_each=each,
        method="one_sided_confidence_sequence",
        status=result.status,
    )


def _tuned(alpha: float, size: float, one_sided: bool) -> float:
    level = -2 * np.log(2 * alpha if one_sided else alpha)
    if level <= 0:
        raise InvalidInput("a one-sided sequence needs a confidence above 0.5")
    return float(np.sqrt((level + np.log(level + 1)) / size))


def _width(n: FloatArray, rho: float, alpha: float, one_sided: bool) -> FloatArray:
    """Return the half-width in standard errors."""
    scale = n * rho**2
    inner = np.log1p(np.sqrt(scale + 1) / (2 * alpha)) if one_sided else np.log(np.sqrt(scale + 1) / alpha)
    return np.asarray(np.sqrt(2 * (scale + 1) / scale * inner))


def _always_valid_p(z: FloatArray, n: FloatArray, rho: float, alternative: Alternative) -> FloatArray:
    """Invert the width in alpha, with the tuning held fixed."""
    scale = n * rho**2
    signed = {"two_sided": np.abs(z), "greater": z, "less": -z}[alternative]
    exponent = np.minimum(signed**2 * scale / (2 * (scale + 1)), 700.0)
    if alternative == "two_sided":
        return np.asarray(np.minimum(1.0, np.sqrt(scale + 1) * np.exp(-exponent)))
    p_value = np.sqrt(scale + 1) / (2 * np.expm1(np.maximum(exponent, 1e-300)))
    return np.where(np.isnan(z), np.nan, np.where(signed > 0, np.minimum(1.0, p_value), 1.0))
