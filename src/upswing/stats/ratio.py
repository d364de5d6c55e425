"""Ratios of two per-user sums: revenue per order, clicks per session, orders per visit.

The unit of analysis (session, order) is finer than the unit of assignment (user), so the rows are not independent;
the delta method with user-level covariance is the remedy.
"""

from __future__ import annotations

import numpy as np

from upswing.stats._arrays import Alternative, divide
from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Comparison, Level, LiftMethod, compare


def ratio_level(aggregates: Aggregates, numerator: str, denominator: str) -> Level:
    """Return the ratio of two means and its variance by the delta method.

    Args:
        aggregates: sufficient statistics of one arm with one row per assigned user.
        numerator: column of the numerator per user.
        denominator: column of the denominator per user.

    References:
        Deng, Knoblich, Lu (2018), KDD, formula 3.

    Examples:
        >>> users = Aggregates.from_rows({"clicks": [1.0, 0.0, 4.0], "views": [2.0, 1.0, 5.0]})
        >>> level = ratio_level(users, "clicks", "views")
        >>> round(float(level.value), 4), round(float(level.variance), 6)
        (0.625, 0.028564)
    """
    top, bottom = aggregates.mean(numerator), aggregates.mean(denominator)
    ratio = divide(top, bottom)
    residual = (
        aggregates.variance(numerator)
        - 2 * ratio * aggregates.covariance(numerator, denominator)
        + ratio**2 * aggregates.variance(denominator)
    )
    # proportional columns leave a residual of pure rounding
    variance = divide(np.maximum(residual, 0.0), aggregates.n * bottom**2)
    return Level(ratio, variance, aggregates.n - 1, aggregates.n)


def compare_ratios(
    control: Aggregates,
    treatment: Aggregates,
    *,
    numerator: str,
    denominator: str,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
    lift_method: LiftMethod = "fieller",
) -> Comparison:
    """Compare two ratios by the delta method with user-level covariance.

    Args:
        control: sufficient statistics of the control, one row per user, any shape of problems.
        treatment: those of the treatment; the shapes broadcast.
        numerator: column of the numerator per user.
        denominator: column of the denominator per user.
        confidence: nominal coverage.
        alternative: "two_sided", "greater" (treatment is higher) or "less".
        lift_method: "fieller" (default), "log" or "delta".

    Returns:
        Difference and lift with intervals; status "not_enough_data" where an arm has fewer than 2 units or its
        denominator sums to 0.

    References:
        Deng, Knoblich, Lu (2018), "Applying the Delta Method in Metric Analytics", KDD, formula 3.

    Examples:
        >>> a = Aggregates.from_rows({"clicks": [1.0, 0.0, 4.0, 2.0], "views": [2.0, 1.0, 5.0, 5.0]})
        >>> b = Aggregates.from_rows({"clicks": [2.0, 1.0, 4.0, 3.0], "views": [2.0, 1.0, 5.0, 4.0]})
        >>> round(compare_ratios(a, b, numerator="clicks", denominator="views").difference, 4)
        0.2949
    """
    return compare(
        ratio_level(control, numerator, denominator),
        ratio_level(treatment, numerator, denominator),
        confidence=confidence,
        alternative=alternative,
        lift_method=lift_method,
        method="delta_ratio",
    )
