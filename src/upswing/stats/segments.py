"""Does the effect differ between segments, and what may be said about each?

The order matters: first one test of any difference at all (the gate), then estimates pulled towards the common effect
by as much as the data warrant. Reading off the best of five raw segment effects is how noise gets shipped.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import (
    FloatArray,
    Labels,
    Numbers,
    divide,
    floats,
    fraction,
    plain,
    plain_labels,
    statuses,
    tail_probability,
    together,
)
from upswing.stats.errors import NOT_ENOUGH_DATA
from upswing.stats.meta import Heterogeneity, Pooled, pool
from upswing.stats.multiplicity import adjust

GRID = 200


@dataclass(frozen=True, slots=True)
class SegmentEffects:
    """Segments read together.

    Attributes:
        pooled: common effect and heterogeneity; `pooled.q_p_value` is the interaction test.
        gate_open: whether the interaction test rejects "the same effect everywhere" at `gate_alpha`, shape (*shape,).
        shrunk: effect per segment pulled towards the common one, shape (*shape, n_segments).
        shrunk_se: posterior standard deviation, incl. the uncertainty of the common effect and of τ.
        lower: lower limit of the shrunk effect.
        upper: upper limit.
        keep: share of each segment's own estimate that was kept, the posterior mean of τ²/(τ² + se²), in [0, 1].
        p_value: raw two-sided p-value per segment.
        adjusted_p: the same after Holm over segments.
        gate_alpha: level of the gate.
        confidence: nominal coverage of the intervals.
        method: "hierarchical_normal".
        status: that of `pooled`: "ok" or "not_enough_data" (fewer than two segments).
    """

    pooled: Pooled
    gate_open: np.bool_ | np.ndarray
    shrunk: FloatArray
    shrunk_se: FloatArray
    lower: FloatArray
    upper: FloatArray
    keep: FloatArray
    p_value: FloatArray
    adjusted_p: FloatArray
    gate_alpha: float
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class Interaction:
    """Difference between the effects in two disjoint groups of users.

    Attributes:
        difference: first effect minus second.
        se: its standard error.
        lower: lower limit.
        upper: upper limit.
        p_value: two-sided.
        confidence: nominal coverage.
        method: "interaction_z".
        status: "ok" or "not_enough_data".
    """

    difference: Numbers
    se: Numbers
    lower: Numbers
    upper: Numbers
    p_value: Numbers
    confidence: float
    method: str
    status: Labels


def segment_effects(
    effects: ArrayLike,
    standard_errors: ArrayLike,
    *,
    gate_alpha: float = 0.05,
    heterogeneity: Heterogeneity = "reml",
    confidence: float = 0.95,
) -> SegmentEffects:
    """Test for heterogeneity and shrink segment effects towards their common value.

    Args:
        effects: effect in each segment, shape (n_segments,) or (n_problems, n_segments); NaN where not estimable.
            Segments are disjoint and fixed on data from before exposure.
        standard_errors: same shape.
        gate_alpha: level of the interaction test.
        heterogeneity: estimator of τ².
        confidence: nominal coverage of the shrunk intervals, on average over segments.

    How far to shrink is itself uncertain with a handful of segments, so τ (the spread of true effects) is integrated
    out under a half-Cauchy prior of five median standard errors, instead of plugging in one estimate: plugged-in
    intervals cover 86 % where these cover 95 % (99 % when the segments hardly differ).

    References:
        Cochran (1954) for the gate; Gelman et al. (2013), Bayesian Data Analysis, section 5.4, formulas 5.17-5.21;
        Gelman (2006), Bayesian Analysis 1:515-534 for the prior.

    Examples:
        >>> result = segment_effects([0.1, 0.3, 0.2], [0.1, 0.1, 0.1])
        >>> bool(result.gate_open), result.shrunk.round(3)
        (False, array([0.148, 0.252, 0.2  ]))
    """
    fraction("gate_alpha", gate_alpha)
    y, se = together(
        effects=floats("effects", effects, nan=True),
        standard_errors=floats("standard_errors", standard_errors, nan=True),
    )
    pooled = pool(y, se, heterogeneity=heterogeneity, hartung_knapp=False, confidence=confidence)
    shrunk, shrunk_se, keep = _hierarchical(y, se)
    reach = distributions.norm.isf((1 - confidence) / 2) * shrunk_se
    p_value = tail_probability(divide(y, se), alternative="two_sided")
    gate = np.asarray(np.asarray(pooled.q_p_value) <= gate_alpha)
    return SegmentEffects(
        pooled=pooled,
        gate_open=gate[()],
        shrunk=shrunk,
        shrunk_se=shrunk_se,
        lower=shrunk - reach,
        upper=shrunk + reach,
        keep=keep,
        p_value=p_value,
        adjusted_p=adjust(p_value, method="holm"),
        gate_alpha=gate_alpha,
        confidence=confidence,
        method="hierarchical_normal",
        status=pooled.status,
    )


def interaction(
    effect: ArrayLike, se: ArrayLike, other_effect: ArrayLike, other_se: ArrayLike, *, confidence: float = 0.95
) -> Interaction:
    """Test whether two disjoint groups of users react differently (a segment against the rest).

    Comparing "significant here" with "not significant there" is no such test.

    Args:
        effect: effect in the first group.
        se: its standard error.
        other_effect: effect in the second group.
        other_se: its standard error.
        confidence: nominal coverage.

    References:
        Altman, Bland (2003), BMJ 326:219; Gelman, Stern (2006).

    Examples:
        >>> result = interaction(0.25, 0.1, 0.10, 0.1)
        >>> round(result.p_value, 2)
        0.29
    """
    a, sa, b, sb = together(
        effect=floats("effect", effect, nan=True), se=floats("se", se, at_least=0, nan=True),
        other_effect=floats("other_effect", other_effect, nan=True),
        other_se=floats("other_se", other_se, at_least=0, nan=True),
    )  # fmt: skip
    gap, spread = a - b, np.hypot(sa, sb)
    reach = distributions.norm.isf((1 - fraction("confidence", confidence)) / 2) * spread
    unknown = np.isnan(gap + spread) | (spread == 0)
    hide = np.where(unknown, np.nan, 0.0)
    return Interaction(
        difference=plain(gap),
        se=plain(spread),
        lower=plain(gap - reach + hide),
        upper=plain(gap + reach + hide),
        p_value=plain(tail_probability(divide(gap, spread), alternative="two_sided")),
        confidence=confidence,
        method="interaction_z",
        status=plain_labels(statuses(gap.shape, (unknown, NOT_ENOUGH_DATA))),
    )


def _hierarchical(y: FloatArray, se: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return posterior mean, sd and kept share per segment, integrating over a grid of equal prior mass for τ."""
    known = np.isfinite(y) & np.isfinite(se)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a problem without any segment has no median
        scale = 5 * np.nanmedian(np.where(known, se, np.nan), axis=-1)
    quantiles = (np.arange(GRID) + 0.5) / GRID
    tau2 = (np.nan_to_num(scale, nan=1.0)[..., None] * np.tan(np.pi / 2 * quantiles)) ** 2
    # axes: (*shape, grid, segment)
    value, v = np.where(known, y, 0.0)[..., None, :], np.where(known, se, 1.0)[..., None, :] ** 2
    used = known[..., None, :]
    spread = v + tau2[..., None]
    weight = used / spread
    total = weight.sum(axis=-1)
    centre = np.nan_to_num(divide((weight * value).sum(axis=-1), total))
    fit = used * (np.log(spread) + (value - centre[..., None]) ** 2 / spread)
    log_density = -0.5 * (fit.sum(axis=-1) + np.log(np.maximum(total, 1e-300)))
    density = np.exp(log_density - log_density.max(axis=-1, keepdims=True))
    density = (density / density.sum(axis=-1, keepdims=True))[..., None]
    kept = tau2[..., None] / spread
    mean = kept * value + (1 - kept) * centre[..., None]
    variance = kept * v + (1 - kept) ** 2 * divide(1.0, total)[..., None]
    posterior = (density * mean).sum(axis=-2)
    spread_of_means = (density * (mean - posterior[..., None, :]) ** 2).sum(axis=-2)
    sd = np.sqrt((density * variance).sum(axis=-2) + spread_of_means)
    enough = known & (known.sum(axis=-1, keepdims=True) >= 2)
    hide = np.where(enough, 0.0, np.nan)
    return posterior + hide, sd + hide, (density * kept).sum(axis=-2) + hide
