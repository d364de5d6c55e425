"""Means: revenue per user, counts per user, conversion as the mean of 0 and 1."""

from __future__ import annotations

from upswing.stats._arrays import Alternative, divide
from upswing.stats.aggregates import Aggregates
from upswing.stats.comparison import Comparison, Level, LiftMethod, compare


def mean_level(aggregates: Aggregates, column: str | None = None) -> Level:
    """Return the mean of a column and the variance of that mean.

    Args:
        aggregates: sufficient statistics of one arm, any shape of problems.
        column: which column; may be left out when there is one.

    Examples:
        >>> level = mean_level(Aggregates.from_rows({"x": [1.0, 2.0, 3.0]}))
        >>> float(level.value), round(float(level.variance), 4)
        (2.0, 0.3333)
    """
    variance = divide(aggregates.variance(column), aggregates.n)
    return Level(aggregates.mean(column), variance, aggregates.n - 1, aggregates.n)


def compare_means(
    control: Aggregates,
    treatment: Aggregates,
    *,
    column: str | None = None,
    confidence: float = 0.95,
    alternative: Alternative = "two_sided",
    lift_method: LiftMethod = "fieller",
) -> Comparison:
    """Compare two means by Welch's unequal-variance t test; the lift by Fieller's theorem.

    With about 100 users per arm and values that are nearly all 0 or very skewed, tests at 5 % reject in 3 to 4 % and
    95 % intervals hold the truth in 96 to 97 % of simulations; from 1,000 users on both are nominal.

    Args:
        control: sufficient statistics of the control, shape of problems (n_problems,) or ().
        treatment: those of the treatment; the shapes broadcast (many arms against one control).
        column: which column; may be left out when there is one.
        confidence: nominal coverage.
        alternative: "two_sided", "greater" (treatment is higher) or "less".
        lift_method: "fieller" (default), "log" or "delta".

    Returns:
        Difference and lift with intervals; status "not_enough_data" where an arm has fewer than 2 units,
        "zero_variance" where nobody differs from anybody.

    References:
        Welch (1947), Biometrika 34:28-35; Fieller (1954).

    Examples:
        >>> a = Aggregates.from_sums(3407, {"y": 1396.87}, squares={"y": 52377.9767})
        >>> b = Aggregates.from_sums(3461, {"y": 2422.7}, squares={"y": 134698.29})
        >>> result = compare_means(a, b)
        >>> round(result.difference, 2), round(result.p_value, 5)
        (0.29, 0.02016)
    """
    return compare(
        mean_level(control, column),
        mean_level(treatment, column),
        confidence=confidence,
        alternative=alternative,
        lift_method=lift_method,
        method="welch",
    )
