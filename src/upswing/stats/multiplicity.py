"""Many tests at once, corrected by the role each metric plays.

Primary metrics decide, so the family-wise error is controlled (Holm, Dunnett); secondary metrics inform, so the false
discovery rate is (Benjamini-Hochberg); guardrails must all hold, so their *power* is corrected instead of their alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import BoolArray, FloatArray, Numbers, floats, fraction, one_of, plain, vector
from upswing.stats.errors import InvalidInput

Adjustment: TypeAlias = Literal[
    "none", "bonferroni", "sidak", "holm", "holm_sidak", "hochberg", "hochberg_sidak",
    "benjamini_hochberg", "benjamini_yekutieli",
]  # fmt: skip
ADJUSTMENTS: tuple[Adjustment, ...] = (
    "none", "bonferroni", "sidak", "holm", "holm_sidak", "hochberg", "hochberg_sidak",
    "benjamini_hochberg", "benjamini_yekutieli",
)  # fmt: skip
MAX_CLOSED = 14


@dataclass(frozen=True, slots=True)
class SimultaneousIntervals:
    """Intervals that hold together and agree with their test.

    Attributes:
        lower: lower limits, shape (n,).
        upper: upper limits, shape (n,).
        confidence: joint coverage (for "fcr": 1 - expected share of missed parameters among the selected).
        method: "bonferroni", "holm" or "fcr".
    """

    lower: FloatArray
    upper: FloatArray
    confidence: float
    method: str


@dataclass(frozen=True, slots=True)
class Gate:
    """Outcome of one family in a gatekeeping procedure.

    Attributes:
        alpha: error the family was tested with; 0 when its gate stayed shut.
        rejected: hypotheses rejected, shape (n,).
        adjusted_p: p-values adjusted within the family, shape (n,).
        method: "gatekeeping_serial" or "gatekeeping_parallel".
    """

    alpha: float
    rejected: BoolArray
    adjusted_p: FloatArray
    method: str


def adjust(p_values: ArrayLike, *, method: Adjustment = "holm") -> FloatArray:
    """Adjust p-values over the last axis.

    Args:
        p_values: shape (..., n_hypotheses); NaN (a test that could not be done) stays NaN and does not count.
        method: "holm" or "holm_sidak" (step down), "hochberg" or "hochberg_sidak" (step up, independent or positively
            dependent tests), "benjamini_hochberg" (false discovery rate, same condition), "benjamini_yekutieli"
            (false discovery rate, any dependence), "bonferroni", "sidak", or "none".

    Returns:
        Adjusted p-values in the given order; reject where they are at most alpha.

    Raises:
        InvalidInput: p-values outside [0, 1], unknown method.

    References:
        Holm (1979); Hochberg (1988); Benjamini, Hochberg (1995); Benjamini, Yekutieli (2001).

    Examples:
        >>> adjust([0.01, 0.04, 0.03, 0.005], method="holm")
        array([0.03, 0.06, 0.06, 0.02])
    """
    one_of("method", method, ADJUSTMENTS)
    p = floats("p_values", p_values, at_least=0, nan=True)
    if (p > 1).any():
        raise InvalidInput("p_values exceed 1")
    if p.ndim == 0:
        raise InvalidInput("p_values must be at least one-dimensional")
    order = np.argsort(p, axis=-1, kind="stable")  # NaN sorts last
    ranked = np.take_along_axis(p, order, axis=-1)
    count = (~np.isnan(p)).sum(axis=-1, keepdims=True)
    rank = np.arange(1, p.shape[-1] + 1)
    result = np.empty_like(p)
    np.put_along_axis(result, order, _ranked(ranked, rank, count, method), axis=-1)
    return np.where(np.isnan(p), np.nan, np.minimum(result, 1.0))


def simes(p_values: ArrayLike) -> Numbers:
    """Combine p-values of one family into one for "nothing is there", over the last axis.

    References:
        Simes (1986), Biometrika 73:751-754.

    Examples:
        >>> simes([0.01, 0.04, 0.03])
        0.03
    """
    return plain(np.nanmin(adjust(p_values, method="benjamini_hochberg"), axis=-1))


def closed_testing(p_values: ArrayLike, *, combine: Literal["bonferroni", "simes"] = "simes") -> FloatArray:
    """Adjust by full closure: a hypothesis counts only if every family that contains it is rejected.

    Args:
        p_values: shape (n,), n at most 14; for segments: one hypothesis per segment.
        combine: test of an intersection; "simes" needs independent or positively dependent tests.

    References:
        Marcus, Peritz, Gabriel (1976), Biometrika 63:655-660.

    Examples:
        >>> closed_testing([0.01, 0.03, 0.5]).round(3)
        array([0.03, 0.06, 0.5 ])
    """
    p = vector("p_values", p_values)
    if p.size > MAX_CLOSED:
        raise InvalidInput(f"{p.size} hypotheses have too many intersections, at most {MAX_CLOSED}")
    adjusted = p.copy()
    for code in range(1, 2**p.size):
        members = np.array([bool(code >> i & 1) for i in range(p.size)])
        family = p[members]
        joint = float(np.asarray(simes(family))) if combine == "simes" else min(1.0, float(family.min()) * family.size)
        adjusted[members] = np.maximum(adjusted[members], joint)
    return adjusted


def select_families(p_values: ArrayLike, *, q: float = 0.05) -> FloatArray:
    """Test within selected families so that the error averaged over selected families is controlled.

    Families (metrics, segments) are selected by Benjamini-Hochberg on their Simes p-values; inside a selected family
    Benjamini-Hochberg runs at q × selected / all.

    Args:
        p_values: shape (n_families, n_hypotheses), NaN for "not tested".
        q: level.

    Returns:
        p-values adjusted such that a hypothesis is found where they are at most q; 1 in families not selected.

    References:
        Benjamini, Bogomolov (2014), JRSS B 76:297-318, procedure 1.

    Examples:
        >>> select_families([[0.001, 0.2], [0.6, 0.7]]).round(3)
        array([[0.004, 0.4  ],
               [1.   , 1.   ]])
    """
    fraction("q", q)
    p = floats("p_values", p_values, nan=True)
    if p.ndim != 2:
        raise InvalidInput("p_values must have shape (n_families, n_hypotheses)")
    selected = adjust(np.asarray(simes(p)), method="benjamini_hochberg") <= q
    if not selected.any():
        return np.where(np.isnan(p), np.nan, 1.0)
    inside = adjust(p, method="benjamini_hochberg") * p.shape[0] / selected.sum()
    return np.where(np.isnan(p), np.nan, np.where(selected[:, None], np.minimum(inside, 1.0), 1.0))


def gatekeep(
    families: Sequence[ArrayLike], *, alpha: float = 0.05, mode: Literal["serial", "parallel"] = "serial"
) -> tuple[Gate, ...]:
    """Test families of metrics in the order of their role.

    Args:
        families: p-values per family, most important first (primary, secondary, …).
        alpha: family-wise error over everything.
        mode: "serial": the next family opens only if all of this one was rejected, and gets all of alpha; Holm
            inside. "parallel": the next family gets the share of alpha that was rejected; Bonferroni inside all but
            the last family, which is tested by Holm.

    References:
        Maurer, Hothorn, Lehmacher (1995); Dmitrienko, Offen, Westfall (2003), Statistics in Medicine 22:2387-2400.

    Examples:
        >>> first, second = gatekeep([[0.01, 0.2], [0.001]], mode="parallel")
        >>> first.rejected, second.alpha, second.rejected
        (array([ True, False]), 0.025, array([ True]))
    """
    one_of("mode", mode, ("serial", "parallel"))
    left = fraction("alpha", alpha)
    gates: list[Gate] = []
    for position, family in enumerate(families):
        inner: Adjustment = "bonferroni" if mode == "parallel" and position < len(families) - 1 else "holm"
        adjusted = adjust(family, method=inner)
        rejected = (adjusted <= left) & (left > 0)
        gates.append(Gate(left, rejected, adjusted, f"gatekeeping_{mode}"))
        share = float(rejected.mean()) if rejected.size else 1.0
        left = left * share if mode == "parallel" else (left if share == 1.0 else 0.0)
    return tuple(gates)


def simultaneous_intervals(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    confidence: float = 0.95,
    method: Literal["bonferroni", "holm", "fcr"] = "bonferroni",
    selected: ArrayLike | None = None,
) -> SimultaneousIntervals:
    """Return intervals that agree with the multiple test.

    Args:
        estimates: effects, shape (n,).
        standard_errors: shape (n,).
        confidence: joint level.
        method: "bonferroni": two-sided, joint coverage. "holm": lower limits (one-sided) that exclude 0 exactly where
            Holm's one-sided test rejects. "fcr": two-sided, for the `selected` only, false coverage rate.
        selected: which were selected (for "fcr"), shape (n,).

    References:
        Guilbaud (2008), Biometrical Journal 50:678-692 (Holm); Benjamini, Yekutieli (2005), JASA 100:71-81 (FCR).

    Examples:
        >>> simultaneous_intervals([3.0, 0.5], [1.0, 1.0]).lower.round(3)
        array([ 0.759, -1.741])
    """
    one_of("method", method, ("bonferroni", "holm", "fcr"))
    effect = vector("estimates", estimates)
    se = vector("standard_errors", standard_errors, size=effect.size)
    alpha, m = 1 - fraction("confidence", confidence), effect.size
    if method == "holm":
        return SimultaneousIntervals(_holm_limits(effect, se, alpha), np.full(m, np.inf), confidence, method)
    share = alpha / m
    chosen = np.ones(m, dtype=bool)
    if method == "fcr":
        chosen = np.asarray(selected, dtype=bool) if selected is not None else chosen
        share = alpha * int(chosen.sum()) / m if chosen.any() else alpha / m
    half = distributions.norm.isf(share / 2) * se
    lower, upper = np.where(chosen, effect - half, np.nan), np.where(chosen, effect + half, np.nan)
    return SimultaneousIntervals(lower, upper, confidence, method)


def guardrail_beta(beta: float, guardrails: int) -> float:
    """Return the type-2 error to design each metric with, so that the whole decision keeps its power.

    Shipping needs success on the primary side *and* no failure of any guardrail: by the union bound the chance to
    miss a good change is at most beta if each of the G guardrails and the success side is powered at
    1 - beta / (G + 1). Alpha of the guardrails needs no correction: all of them must pass.

    Args:
        beta: 1 - power wanted for the decision.
        guardrails: number G of guardrails with a non-inferiority margin.

    References:
        Schultzberg, Ankargren, Fraanberg (2024), arXiv 2402.11609, section 4.

    Examples:
        >>> round(guardrail_beta(0.2, 3), 3)
        0.05
    """
    if guardrails < 0:
        raise InvalidInput("guardrails cannot be negative")
    return fraction("beta", beta) / (guardrails + 1)


def _ranked(p: FloatArray, rank: FloatArray | np.ndarray, count: np.ndarray, method: Adjustment) -> FloatArray:
    """Adjust ascending p-values (NaN last)."""
    left = np.maximum(count - rank + 1, 1)
    if method == "none":
        return p
    if method == "bonferroni":
        return np.asarray(p * count)
    if method == "sidak":
        return _sidak(p, count)
    if method == "holm":
        return np.fmax.accumulate(p * left, axis=-1)
    if method == "holm_sidak":
        return np.fmax.accumulate(_sidak(p, left), axis=-1)
    if method == "hochberg":
        scaled = p * left
    elif method == "hochberg_sidak":
        scaled = _sidak(p, left)
    else:
        scaled = p * count / rank
        if method == "benjamini_yekutieli":
            harmonic = np.concatenate([[0.0], np.cumsum(1 / rank)])
            scaled = scaled * harmonic[count]
    return np.asarray(np.fmin.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1])


def _sidak(p: FloatArray, exponent: np.ndarray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(exponent * np.log1p(-p)))


def _holm_limits(effect: FloatArray, se: FloatArray, alpha: float) -> FloatArray:
    p = distributions.norm.sf(effect / se)
    rejected = adjust(p, method="holm") <= alpha
    if rejected.all():
        return np.asarray(np.maximum(0.0, effect - distributions.norm.isf(alpha / effect.size) * se))
    left = int((~rejected).sum())
    return np.where(rejected, 0.0, effect - distributions.norm.isf(alpha / left) * se)
