"""Many estimates of one thing: pooling, heterogeneity, and what selection does to the winners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

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
    one_of,
    plain,
    plain_labels,
    statuses,
    together,
)
from upswing.stats.errors import NOT_ENOUGH_DATA, InvalidInput, ShapeMismatch

Heterogeneity: TypeAlias = Literal["reml", "dersimonian_laird", "fixed"]


@dataclass(frozen=True, slots=True)
class Pooled:
    """A pooled effect.

    Attributes:
        estimate: pooled effect.
        se: its standard error.
        lower: lower limit.
        upper: upper limit.
        p_value: of no effect on average.
        tau2: variance of the true effects between studies.
        q: Cochran's Q.
        q_p_value: of homogeneity.
        i2: share of the scatter that is not sampling error, in [0, 1].
        k: studies with a finite estimate and standard error.
        confidence: nominal coverage.
        method: heterogeneity estimator, with "+hartung_knapp" where that interval was used.
        status: "ok" or "not_enough_data".
    """

    estimate: Numbers
    se: Numbers
    lower: Numbers
    upper: Numbers
    p_value: Numbers
    tau2: Numbers
    q: Numbers
    q_p_value: Numbers
    i2: Numbers
    k: Numbers
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class DesignAnalysis:
    """What an experiment of this precision would report about a true effect.

    Attributes:
        power: chance of significance.
        sign_error: chance that a significant estimate has the wrong sign.
        exaggeration: expected size of a significant estimate over the true size.
        method: "gelman_carlin".
    """

    power: Numbers
    sign_error: Numbers
    exaggeration: Numbers
    method: str


@dataclass(frozen=True, slots=True)
class LaunchedTotal:
    """Total effect of the launched winners.

    Attributes:
        naive: sum of their estimates.
        corrected: the same less the bias of having selected them.
        bias: estimated bias.
        launched: how many.
        method: "lee_shen".
    """

    naive: float
    corrected: float
    bias: float
    launched: int
    method: str


def pool(
    effects: ArrayLike, standard_errors: ArrayLike, *, heterogeneity: Heterogeneity = "reml",
    hartung_knapp: bool = True, confidence: float = 0.95,
) -> Pooled:  # fmt: skip
    """Pool estimates over the last axis, allowing true effects to differ.

    Args:
        effects: shape (n_studies,) or (n_problems, n_studies); NaN for a study that is missing.
        standard_errors: same shape, positive.
        heterogeneity: "reml", "dersimonian_laird", or "fixed" (true effects are all alike).
        hartung_knapp: t interval with the weighted scatter as variance; right also for few studies.
        confidence: nominal coverage.

    Raises:
        InvalidInput: a standard error that is 0 or negative.

    References:
        DerSimonian, Laird (1986); Viechtbauer (2005) for REML; Hartung, Knapp (2001), Statistics in Medicine
        20:3875-3889.

    Examples:
        >>> result = pool([0.1, 0.3, 0.2], [0.1, 0.1, 0.1])
        >>> round(result.estimate, 3), round(result.q, 3), result.tau2
        (0.2, 2.0, 0.0)
    """
    one_of("heterogeneity", heterogeneity, ("reml", "dersimonian_laird", "fixed"))
    fraction("confidence", confidence)
    y, v, known = _studies(effects, standard_errors)
    k = known.sum(axis=-1)
    w = known / v
    q, q_p = _cochran(y, w, k)
    tau2 = np.zeros(q.shape)
    if heterogeneity != "fixed":
        tau2 = _dersimonian_laird(q, w, k)
    if heterogeneity == "reml":
        tau2 = _reml(y, v, known, tau2)
    weight = known / (v + tau2[..., None])
    total = weight.sum(axis=-1)
    centre = divide((weight * y).sum(axis=-1), total)
    variance = divide(1.0, total)
    df = np.full(centre.shape, np.inf)
    use_knapp = hartung_knapp and heterogeneity != "fixed"
    if use_knapp:
        scatter = divide((weight * (y - centre[..., None]) ** 2).sum(axis=-1), np.maximum(k - 1, 0))
        # never narrower than the plain interval (Röver, Knapp, Friede 2015)
        variance, df = variance * np.maximum(scatter, 1.0), np.maximum(k - 1.0, 0.0)
    enough = k >= (2 if heterogeneity != "fixed" else 1)
    se = np.where(enough, np.sqrt(variance), np.nan)
    reach = distributions.t.isf((1 - confidence) / 2, np.where(df > 0, df, np.nan)) * se
    p_value = 2 * distributions.t.sf(np.abs(divide(centre, se)), np.where(df > 0, df, np.nan))
    return Pooled(
        estimate=plain(centre), se=plain(se), lower=plain(centre - reach), upper=plain(centre + reach),
        p_value=plain(p_value), tau2=plain(np.where(enough, tau2, np.nan)), q=plain(q), q_p_value=plain(q_p),
        i2=plain(np.where(k >= 2, np.maximum(0.0, 1 - np.nan_to_num(divide(k - 1.0, q), nan=1.0)), np.nan)),
        k=plain(k), confidence=confidence, method=heterogeneity + ("+hartung_knapp" if use_knapp else ""),
        status=plain_labels(statuses(k.shape, (~enough, NOT_ENOUGH_DATA))),
    )  # fmt: skip


def design_analysis(effect: ArrayLike, se: ArrayLike, *, alpha: float = 0.05) -> DesignAnalysis:
    """Return power, sign error and exaggeration of significant results (the winner's curse).

    Args:
        effect: plausible true effect, not 0.
        se: standard error of the experiment, positive.
        alpha: two-sided error.

    References:
        Gelman, Carlin (2014), Perspectives on Psychological Science 9:641-651; the expectation is exact here.

    Examples:
        >>> result = design_analysis(2.0, 8.1)
        >>> round(result.power, 2), round(result.sign_error, 2), round(result.exaggeration, 1)
        (0.06, 0.24, 9.5)
    """
    true, spread = together(effect=floats("effect", effect), se=floats("se", se))
    if (true == 0).any() or (spread <= 0).any():
        raise InvalidInput("effect must not be 0 and se must be positive")
    z = distributions.norm.isf(fraction("alpha", alpha) / 2)
    size = np.abs(true) / spread
    right, wrong = distributions.norm.sf(z - size), distributions.norm.cdf(-z - size)
    # E|X|·1{|X| > z} for X ~ N(size, 1), by parts
    mass = size * right + distributions.norm.pdf(z - size) - size * wrong + distributions.norm.pdf(z + size)
    found = right + wrong
    return DesignAnalysis(plain(found), plain(wrong / found), plain(mass / found / size), "gelman_carlin")


def false_positive_risk(success_rate: ArrayLike, *, alpha: float = 0.05, power: float = 0.8) -> Numbers:
    """Return the share of significant improvements that are no improvements.

    Args:
        success_rate: share of ideas that truly help, in (0, 1).
        alpha: two-sided error; half of it falls on the good side.
        power: chance to detect one that helps.

    References:
        Kohavi, Deng, Vermeer (2022), KDD, "A/B Testing Intuition Busters", formula 3 and table 2.

    Examples:
        >>> round(false_positive_risk(0.10), 2)
        0.22
    """
    good = floats("success_rate", success_rate, at_least=0)
    if (good > 1).any():
        raise InvalidInput("success_rate exceeds 1")
    false = fraction("alpha", alpha) / 2 * (1 - good)
    return plain(divide(false, false + fraction("power", power) * good))


def launched_total(estimates: ArrayLike, standard_errors: ArrayLike, *, critical: float = 1.959964) -> LaunchedTotal:
    """Return the summed effect of launched changes, corrected for having been chosen for looking good.

    Args:
        estimates: effect of every experiment of the programme, launched or not, shape (n,).
        standard_errors: shape (n,), positive.
        critical: a change was launched when estimate / se exceeded this.

    References:
        Lee, Shen (2018), KDD, "Winner's Curse: Bias Estimation for Total Effects of Features", formula 5.

    Examples:
        >>> result = launched_total([0.5, 0.1], [0.2, 0.2])
        >>> result.launched, round(result.naive, 3), result.corrected < result.naive
        (1, 0.5, True)
    """
    y, se = together(
        estimates=floats("estimates", estimates), standard_errors=floats("standard_errors", standard_errors)
    )
    if (se <= 0).any():
        raise InvalidInput("standard errors must be positive")
    chosen = y / se > critical
    bias = float((se * distributions.norm.pdf((critical * se - y) / se)).sum())
    naive = float(y[chosen].sum())
    return LaunchedTotal(naive, naive - bias, bias, int(chosen.sum()), "lee_shen")


def _studies(effects: ArrayLike, standard_errors: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    y, se = together(
        effects=floats("effects", effects, nan=True),
        standard_errors=floats("standard_errors", standard_errors, nan=True),
    )
    if y.ndim == 0:
        raise ShapeMismatch("effects must have an axis of studies")
    if (se <= 0).any():
        raise InvalidInput("standard errors must be positive")
    known = np.isfinite(y) & np.isfinite(se)
    return np.where(known, y, 0.0), np.where(known, se, 1.0) ** 2, known.astype(np.float64)


def _cochran(y: FloatArray, w: FloatArray, k: FloatArray) -> tuple[FloatArray, FloatArray]:
    centre = divide((w * y).sum(axis=-1), w.sum(axis=-1))
    q = np.where(k >= 2, (w * (y - np.nan_to_num(centre)[..., None]) ** 2).sum(axis=-1), np.nan)
    return q, np.asarray(distributions.chi2.sf(q, np.maximum(k - 1, 1)))


def _dersimonian_laird(q: FloatArray, w: FloatArray, k: FloatArray) -> FloatArray:
    total = w.sum(axis=-1)
    scale = total - divide((w**2).sum(axis=-1), total)
    return np.maximum(np.nan_to_num(divide(q - (k - 1), scale)), 0.0)


def _reml(y: FloatArray, v: FloatArray, known: FloatArray, start: FloatArray) -> FloatArray:
    """Iterate the fixed-point form of the restricted likelihood's score equation."""
    tau2 = start.copy()
    for _ in range(1000):
        w = known / (v + tau2[..., None])
        total = w.sum(axis=-1)
        centre = np.nan_to_num(divide((w * y).sum(axis=-1), total))
        spread = (w**2 * ((y - centre[..., None]) ** 2 - v)).sum(axis=-1)
        new = np.maximum(np.nan_to_num(divide(spread, (w**2).sum(axis=-1)) + divide(1.0, total)), 0.0)
        done = bool(np.all(np.abs(new - tau2) <= 1e-10 * (np.abs(tau2) + 1e-12)))
        tau2 = new
        if done:
            break
    return tau2
