"""Two estimated levels against each other: the one comparison behind means, ratios, quantiles and CUPED.

Every kind of metric first becomes a `Level` (a value and the variance of that value); `compare` then gives the
absolute difference with a t test, and the relative lift with an interval that is right for a quotient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import (
    Alternative,
    BoolArray,
    FloatArray,
    Labels,
    Numbers,
    critical_value,
    divide,
    floats,
    fraction,
    limits,
    one_of,
    plain,
    plain_labels,
    statuses,
    tail_probability,
    together,
)
from upswing.stats.errors import NOT_ENOUGH_DATA, UNBOUNDED, ZERO_VARIANCE

LiftMethod: TypeAlias = Literal["fieller", "log", "delta"]


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """An estimated level of one arm.

    Attributes:
        value: the estimate, shape (*shape,).
        variance: variance of that estimate (squared standard error), same shape.
        df: degrees of freedom behind the variance; infinite for asymptotic ones.
        n: units behind the estimate.

    Examples:
        >>> Level.of(10.0, 0.25, df=99, n=100).value
        array(10.)
    """

    value: FloatArray
    variance: FloatArray
    df: FloatArray
    n: FloatArray

    @classmethod
    def of(cls, value: ArrayLike, variance: ArrayLike, *, df: ArrayLike = np.inf, n: ArrayLike = np.inf) -> Level:
        """Build a level from numbers; NaN means "not known".

        Raises:
            InvalidInput: a negative variance.
        """
        parts = together(
            value=floats("value", value, nan=True),
            variance=floats("variance", variance, at_least=0, nan=True),
            df=floats("df", df, nan=True),
            n=floats("n", n, at_least=0),
        )
        return cls(*parts)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treatment against control.

    Attributes:
        control: level of the control.
        treatment: level of the treatment.
        difference: treatment minus control, in the metric's unit.
        se: standard error of the difference.
        lower: lower limit of the difference (-inf for alternative "less").
        upper: upper limit of the difference (inf for alternative "greater").
        statistic: difference / se.
        df: degrees of freedom of the t test.
        p_value: of the hypothesis of no difference.
        lift: difference / |control|, so that its sign is that of the difference; NaN when the control level is 0.
        lift_lower: lower limit of the lift.
        lift_upper: upper limit of the lift.
        lift_p_value: of the hypothesis of no lift under `lift_method` (equal to `p_value` for "fieller").
        lift_status: "ok"; "unbounded" when the control level is not distinguishable from 0, so that no finite
            interval exists; or the comparison's own status when that is not "ok".
        confidence: nominal coverage of both intervals.
        alternative: "two_sided", "greater" or "less".
        method: how the levels were estimated and tested.
        lift_method: "fieller", "log" or "delta".
        status: "ok", "not_enough_data" or "zero_variance".
    """

    control: Numbers
    treatment: Numbers
    difference: Numbers
    se: Numbers
    lower: Numbers
    upper: Numbers
    statistic: Numbers
    df: Numbers
    p_value: Numbers
    lift: Numbers
    lift_lower: Numbers
    lift_upper: Numbers
    lift_p_value: Numbers
    lift_status: Labels
    confidence: float
    alternative: Alternative
    method: str
    lift_method: LiftMethod
    status: Labels


def compare(
    control: Level,
    treatment: Level,
    *,
    covariance: ArrayLike = 0.0,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
    lift_method: LiftMethod = "fieller",
    method: str = "welch",
) -> Comparison:
    """Compare two levels: difference by Welch's t, lift by Fieller's theorem (or log ratio, or delta method).

    Args:
        control: level of the control, any shape.
        treatment: level of the treatment; broadcasts against the control.
        covariance: covariance of the two estimates; 0 for independent arms, not 0 when both were adjusted with a
            pooled covariate mean.
        confidence: nominal coverage.
        alternative: what to look for; "greater" means the treatment is higher.
        lift_method: "fieller" inverts the same t test and can never contradict it. "log" needs positive levels.
            "delta" is the symmetric interval most products print; it covers badly when the control is noisy and can
            contradict the test on the difference. It is here for comparison.
        method: label to carry into the result.

    Raises:
        InvalidInput: confidence outside (0, 1), unknown alternative or lift method.
        ShapeMismatch: levels that do not broadcast.

    References:
        Welch (1947), formula 28; Fieller (1954), JRSS B 16:175-185, formula 9.

    Examples:
        >>> result = compare(Level.of(10.0, 0.04), Level.of(11.0, 0.05))
        >>> round(result.difference, 2), round(result.lower, 3), round(result.upper, 3)
        (1.0, 0.412, 1.588)
        >>> round(result.lift, 2), round(result.lift_lower, 4), round(result.lift_upper, 4)
        (0.1, 0.0401, 0.1632)
    """
    fraction("confidence", confidence)
    one_of("alternative", alternative, ("two_sided", "greater", "less"))
    one_of("lift_method", lift_method, ("fieller", "log", "delta"))
    a, va, dfa, b, vb, dfb, cov = together(
        control=control.value, control_variance=control.variance, control_df=control.df, treatment=treatment.value,
        treatment_variance=treatment.variance, treatment_df=treatment.df, covariance=floats("covariance", covariance),
    )  # fmt: skip
    difference, se = b - a, np.sqrt(np.maximum(va + vb - 2 * cov, 0.0))
    df = welch_df(va, dfa, vb, dfb)
    unknown = np.isnan(difference) | np.isnan(se) | ~(df > 0)
    constant = ~unknown & (se == 0)
    reach = np.where(unknown, np.nan, critical_value(confidence=confidence, df=df, alternative=alternative))
    statistic = np.where(unknown | constant, np.nan, divide(difference, se))
    lower, upper = limits(np.where(constant, np.nan, difference), reach * se, alternative)
    status = statuses(difference.shape, (unknown, NOT_ENOUGH_DATA), (constant, ZERO_VARIANCE))
    lift = _lift(lift_method, a, va, b, vb, cov, reach, unknown | constant, alternative)
    return Comparison(
        control=plain(a), treatment=plain(b), difference=plain(difference), se=plain(se), lower=plain(lower),
        upper=plain(upper), statistic=plain(statistic), df=plain(np.where(unknown, np.nan, df)),
        p_value=plain(tail_probability(statistic, df=df, alternative=alternative)),
        lift=plain(divide(difference, np.abs(a))), lift_lower=plain(lift.lower), lift_upper=plain(lift.upper),
        lift_p_value=plain(tail_probability(lift.statistic, df=df, alternative=alternative)),
        lift_status=plain_labels(np.where(status != "ok", status, np.where(lift.unbounded, UNBOUNDED, status))),
        confidence=confidence, alternative=alternative, method=method, lift_method=lift_method,
        status=plain_labels(status),
    )  # fmt: skip


def welch_df(va: FloatArray, dfa: FloatArray, vb: FloatArray, dfb: FloatArray) -> FloatArray:
    """Return Satterthwaite's degrees of freedom for the sum of two estimated variances; infinite if both are known.

    Examples:
        >>> float(welch_df(np.array(1.0), np.array(9.0), np.array(1.0), np.array(9.0)))
        18.0
    """
    top = (va + vb) ** 2
    known = np.where(np.isinf(dfa), 0.0, divide(va**2, dfa)) + np.where(np.isinf(dfb), 0.0, divide(vb**2, dfb))
    smallest = np.minimum(dfa, dfb)
    return np.where(known > 0, divide(top, known), np.where(np.isnan(known), np.nan, smallest))


def fieller_roots(
    a: FloatArray, va: FloatArray, b: FloatArray, vb: FloatArray, cov: FloatArray, reach: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Solve (b - r a)² = reach² Var(b - r a) for the ratio r = b / a.

    Returns:
        Smaller root, larger root, leading coefficient (positive: the set is the interval between the roots; negative:
        everything outside them), and discriminant (negative with a negative leading coefficient: every ratio fits).

    Examples:
        >>> one, none = np.array(1.0), np.array(0.0)
        >>> low, high, leading, _ = fieller_roots(one, none, np.array(2.0), one, none, np.array(1.5))
        >>> float(low), float(high), float(leading)
        (0.5, 3.5, 1.0)
    """
    square = reach**2
    leading = a * a - square * va
    middle = a * b - square * cov
    last = b * b - square * vb
    discriminant = middle**2 - leading * last
    root = np.sqrt(np.maximum(discriminant, 0.0))
    # the numerically stable pair of roots: add magnitudes, then use the product of the roots
    q = middle + np.where(middle >= 0, root, -root)
    first, second = divide(q, leading), divide(last, q)
    # b = 0 with vb = 0 makes q vanish: both roots coincide at 0
    second = np.where(q == 0, np.where(leading == 0, np.nan, 0.0), second)
    return np.fmin(first, second), np.fmax(first, second), leading, discriminant


@dataclass(frozen=True, slots=True)
class _Lift:
    lower: FloatArray
    upper: FloatArray
    statistic: FloatArray
    unbounded: BoolArray


def _lift(
    method: LiftMethod, a: FloatArray, va: FloatArray, b: FloatArray, vb: FloatArray, cov: FloatArray,
    reach: FloatArray, unusable: BoolArray, alternative: Alternative,
) -> _Lift:  # fmt: skip
    """Return the interval of b / a - 1, mirrored where a is negative so that up stays up."""
    with np.errstate(invalid="ignore"):
        if method == "fieller":
            lower, upper, leading, _ = fieller_roots(a, va, b, vb, cov, reach)
            unbounded = ~unusable & ~(leading > 0)
            statistic = divide(b - a, np.sqrt(va + vb - 2 * cov)) * np.where(a < 0, -1.0, 1.0)
            low, high = lower - 1, upper - 1
        elif method == "log":
            positive = (a > 0) & (b > 0)
            log_ratio = np.log(np.where(positive, divide(b, a), np.nan))
            se = np.sqrt(divide(va, a**2) + divide(vb, b**2) - 2 * divide(cov, a * b))
            unbounded = ~unusable & ~positive
            statistic = divide(log_ratio, se)
            low, high = np.expm1(log_ratio - reach * se), np.expm1(log_ratio + reach * se)
        else:
            lift = divide(b, a) - 1
            se = np.sqrt(divide(vb, a**2) + divide(va * b**2, a**4) - 2 * divide(cov * b, a**3))
            unbounded = ~unusable & (a == 0)
            statistic = divide(lift, se)
            low, high = lift - reach * se, lift + reach * se
    down = a < 0
    statistic, low, high = np.where(down, -statistic, statistic), np.where(down, -high, low), np.where(down, -low, high)
    hidden = unusable | unbounded
    if alternative == "greater":
        high = np.full_like(high, np.inf)
    if alternative == "less":
        low = np.full_like(low, -1.0 if method == "log" else -np.inf)
    statistic = np.where(unusable if method == "fieller" else hidden, np.nan, statistic)
    return _Lift(np.where(hidden, np.nan, low), np.where(hidden, np.nan, high), statistic, unbounded)
