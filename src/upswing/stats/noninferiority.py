"""Guardrails with a margin: show that nothing got worse by more than is bearable, instead of hoping so.

"No significant drop" is not evidence of no drop: a small experiment never finds one. Non-inferiority turns the burden
of proof round: the change passes only if harm beyond the stored margin is ruled out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import (
    BoolArray,
    FloatArray,
    Labels,
    Numbers,
    critical_value,
    divide,
    floats,
    fraction,
    plain,
    plain_labels,
    statuses,
    tail_probability,
    together,
)
from upswing.stats.comparison import Level, fieller_roots, welch_df
from upswing.stats.errors import NOT_ENOUGH_DATA, UNBOUNDED, ZERO_VARIANCE


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Test of "not worse by more than the margin".

    Attributes:
        difference: treatment minus control.
        bound: one-sided confidence limit towards harm, in the scale of the margin (unit of the metric, or lift).
        margin: the tolerated harm, positive, in the same scale.
        statistic: t statistic of the shifted hypothesis.
        p_value: one-sided.
        shown: whether non-inferiority is shown at alpha.
        alpha: one-sided error.
        method: "noninferiority_absolute" or "noninferiority_relative".
        status: "ok", "not_enough_data", "zero_variance", or "unbounded" (relative margin, control level not
            distinguishable from 0: the test stands, its bound does not exist).
    """

    difference: Numbers
    bound: Numbers
    margin: Numbers
    statistic: Numbers
    p_value: Numbers
    shown: bool | BoolArray
    alpha: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests of "within the margin on both sides".

    Attributes:
        difference: treatment minus control.
        lower: lower limit of the interval with confidence 1 - 2·alpha.
        upper: upper limit of it.
        margin: tolerated difference, positive, in the metric's unit.
        p_value: larger of the two one-sided p-values.
        shown: whether equivalence is shown at alpha.
        alpha: error.
        method: "tost".
        status: "ok", "not_enough_data" or "zero_variance".
    """

    difference: Numbers
    lower: Numbers
    upper: Numbers
    margin: Numbers
    p_value: Numbers
    shown: bool | BoolArray
    alpha: float
    method: str
    status: Labels


def noninferiority(
    control: Level,
    treatment: Level,
    *,
    margin: ArrayLike,
    relative: bool = False,
    better_up: bool = True,
    alpha: float = 0.05,
) -> NonInferiority:
    """Test whether the treatment is not worse than the control by more than the margin.

    Args:
        control: level of the control, from `mean_level`, `ratio_level` or another.
        treatment: level of the treatment.
        margin: largest bearable harm, at least 0: in the metric's unit, or as a share of the control level.
        relative: the margin is a share of the control level. The control level is an estimate too, so the hypothesis
            is tested on treatment - (1 ± margin)·control, with the variance of just that.
        better_up: whether more is better.
        alpha: one-sided error; not corrected for the number of guardrails (see `guardrail_beta`).

    Raises:
        InvalidInput: negative margin.

    References:
        Schultzberg, Ankargren, Fraanberg (2024), arXiv 2402.11609; relative margins: Hauschke, Kieser, Hothorn (1999).

    Examples:
        >>> control = Level.of(0.10, 0.10 * 0.90 / 50_000)
        >>> treatment = Level.of(0.0995, 0.0995 * 0.9005 / 50_000)
        >>> result = noninferiority(control, treatment, margin=0.002)
        >>> round(result.statistic, 4), round(result.p_value, 4), result.shown
        (0.7914, 0.2143, False)
    """
    fraction("alpha", alpha)
    a, va, dfa, b, vb, dfb, tolerated = together(
        control=control.value, control_variance=control.variance, control_df=control.df, treatment=treatment.value,
        treatment_variance=treatment.variance, treatment_df=treatment.df, margin=floats("margin", margin, at_least=0),
    )  # fmt: skip
    up = 1.0 if better_up else -1.0
    factor = 1 - up * tolerated * np.sign(np.where(a == 0, 1.0, a)) if relative else np.ones_like(a)
    shift = np.zeros_like(a) if relative else up * tolerated
    df = welch_df(factor**2 * va, dfa, vb, dfb)
    se = np.sqrt(vb + factor**2 * va)
    unknown = np.isnan(a + b + se) | ~(df > 0)
    constant = ~unknown & (se == 0)
    statistic = np.where(unknown, np.nan, divide(up * (b - factor * a + shift), se))
    reach = np.where(unknown, np.nan, critical_value(confidence=1 - alpha, df=df, alternative="greater"))
    if relative:
        bound, unbounded = _relative_bound(a, va, b, vb, reach, up)
    else:
        bound, unbounded = b - a - up * reach * se, np.zeros(a.shape, dtype=bool)
    p_value = tail_probability(statistic, df=df, alternative="greater")
    shown = p_value <= alpha
    return NonInferiority(
        difference=plain(b - a), bound=plain(np.where(unknown | constant | unbounded, np.nan, bound)),
        margin=plain(tolerated), statistic=plain(statistic), p_value=plain(p_value),
        shown=bool(shown) if shown.ndim == 0 else shown, alpha=alpha,
        method="noninferiority_relative" if relative else "noninferiority_absolute",
        status=plain_labels(
            statuses(a.shape, (unknown, NOT_ENOUGH_DATA), (constant, ZERO_VARIANCE), (unbounded, UNBOUNDED))
        ),
    )  # fmt: skip


def equivalence(control: Level, treatment: Level, *, margin: ArrayLike, alpha: float = 0.05) -> Equivalence:
    """Test whether the treatment differs from the control by less than the margin, either way.

    Args:
        control: level of the control.
        treatment: level of the treatment.
        margin: tolerated difference in the metric's unit, at least 0.
        alpha: error of each one-sided test, and of the whole.

    Raises:
        InvalidInput: negative margin.

    References:
        Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15:657-680.

    Examples:
        >>> equivalence(Level.of(1.0, 0.01), Level.of(1.02, 0.01), margin=0.5).shown
        True
    """
    tolerated = floats("margin", margin, at_least=0)
    low = noninferiority(control, treatment, margin=tolerated, better_up=True, alpha=alpha)
    high = noninferiority(control, treatment, margin=tolerated, better_up=False, alpha=alpha)
    p_value: FloatArray = np.maximum(low.p_value, high.p_value)
    shown = np.asarray(p_value <= alpha)
    return Equivalence(
        difference=low.difference,
        lower=low.bound,
        upper=high.bound,
        margin=low.margin,
        p_value=plain(p_value),
        shown=bool(shown) if shown.ndim == 0 else shown,
        alpha=alpha,
        method="tost",
        status=low.status,
    )


def _relative_bound(
    a: FloatArray, va: FloatArray, b: FloatArray, vb: FloatArray, reach: FloatArray, up: float
) -> tuple[FloatArray, BoolArray]:
    """Return the limit of the lift towards harm by Fieller's theorem, and where it does not exist."""
    low, high, leading, _ = fieller_roots(a, va, b, vb, np.zeros_like(a), reach)
    # a negative control level mirrors the lift
    towards_low = np.where(a > 0, up > 0, up < 0)
    root = np.where(towards_low, low, high)
    return np.where(a > 0, root - 1, 1 - root), ~(leading > 0)
