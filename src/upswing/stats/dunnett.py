"""Several treatments against one control: less strict than Bonferroni, because the comparisons share the control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats as distributions
from scipy.optimize import brentq
from scipy.special import ndtr

from upswing.stats._arrays import Alternative, FloatArray, divide, fraction, one_of
from upswing.stats.comparison import Level, welch_df
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ShapeMismatch

NODES = 48
LARGE_DF = 2000.0


@dataclass(frozen=True, slots=True)
class ManyToOne:
    """Treatments against one control, all together.

    Attributes:
        difference: treatment minus control, shape (n_treatments,).
        lower: lower simultaneous limit.
        upper: upper simultaneous limit.
        p_value: adjusted p-values.
        critical: critical value of the joint test.
        confidence: joint coverage.
        alternative: "two_sided", "greater" or "less".
        method: "dunnett".
        status: "ok" or "not_enough_data" (some arm has no estimate or no variance).
    """

    difference: FloatArray
    lower: FloatArray
    upper: FloatArray
    p_value: FloatArray
    critical: float
    confidence: float
    alternative: Alternative
    method: str
    status: str


def compare_to_control(
    control: Level, treatments: Level, *, confidence: float = 0.95, alternative: Alternative = "two_sided"
) -> ManyToOne:
    """Compare all treatments with the control by Dunnett's test, variances unequal.

    Args:
        control: level of the control, scalar.
        treatments: levels of the treatments, shape (n_treatments,).
        confidence: joint coverage.
        alternative: "two_sided", "greater" (treatments are higher) or "less".

    References:
        Dunnett (1955), JASA 50:1096-1121; Hasler, Hothorn (2008), Biometrical Journal 50:793-800 for unequal
        variances (correlations from the estimated variances; here the smallest Welch degrees of freedom for all).

    Examples:
        >>> result = compare_to_control(Level.of(10.0, 0.04), Level.of([10.5, 10.0], 0.04))
        >>> result.p_value.round(3)
        array([0.137, 1.   ])
    """
    one_of("alternative", alternative, ("two_sided", "greater", "less"))
    if control.value.ndim != 0 or treatments.value.ndim != 1:
        raise ShapeMismatch("one control and a one-dimensional set of treatments are needed")
    v0, v = control.variance, treatments.variance
    difference = treatments.value - control.value
    df = float(np.min(welch_df(np.broadcast_to(v0, v.shape), np.broadcast_to(control.df, v.shape), v, treatments.df)))
    if not np.isfinite(difference).all() or not (v > 0).all() or not v0 > 0 or not df > 0:
        nothing = np.full(difference.shape, np.nan)
        return ManyToOne(
            difference, nothing, nothing, nothing, np.nan, confidence, alternative, "dunnett", NOT_ENOUGH_DATA
        )
    se, loading = np.sqrt(v + v0), np.sqrt(v0 / (v + v0))
    two_sided = alternative == "two_sided"
    statistic = divide(difference, se)
    signed = {"two_sided": np.abs(statistic), "greater": statistic, "less": -statistic}[alternative]
    joint = _JointMaximum(loading, df, two_sided)
    alpha = 1 - fraction("confidence", confidence)
    # one test alone and Bonferroni's correction bracket the joint critical value
    tail = alpha / 2 if two_sided else alpha
    low, high = (float(distributions.t.isf(part, df)) for part in (tail, tail / v.size))
    critical = float(brentq(lambda c: joint.beyond(c) - alpha, low - 0.01, high + 0.01, xtol=1e-7))
    reach = critical * se
    return ManyToOne(
        difference=difference,
        lower=np.full_like(reach, -np.inf) if alternative == "less" else difference - reach,
        upper=np.full_like(reach, np.inf) if alternative == "greater" else difference + reach,
        p_value=np.array([joint.beyond(float(t)) for t in signed]),
        critical=critical,
        confidence=confidence,
        alternative=alternative,
        method="dunnett",
        status=OK,
    )


class _JointMaximum:
    """Distribution of the largest of t statistics that share a control; given its noise they are independent."""

    def __init__(self, loading: FloatArray, df: float, two_sided: bool) -> None:
        x, w = np.polynomial.hermite_e.hermegauss(NODES)
        self._noise, self._weight = x, w / w.sum()
        self._loading, self._rest = loading, np.sqrt(1 - loading**2)
        self._two_sided = two_sided
        if df > LARGE_DF:
            self._scale, self._mass = np.ones(1), np.ones(1)
        else:
            u, mass = np.polynomial.legendre.leggauss(NODES)
            self._scale = np.sqrt(distributions.chi2.ppf((u + 1) / 2, df) / df)
            self._mass = mass / 2

    def beyond(self, c: float) -> float:
        """Return P(max T > c), or of |T| when two-sided."""
        shift = self._noise[:, None, None] * self._loading
        reach = c * self._scale[None, :, None]
        inside = ndtr((reach + shift) / self._rest)
        if self._two_sided:
            inside = inside - ndtr((-reach + shift) / self._rest)
        return float(max(0.0, 1 - self._weight @ inside.prod(axis=2) @ self._mass))
