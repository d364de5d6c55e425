"""Which behaviour goes with which outcome: two-by-two tables, strata, and a fairer comparison than either.

The search for an aha moment asks thousands of such questions at once. All functions on tables take arrays, one entry
per behaviour, and return p-values adjusted for having asked them all. Association is not effect: `mantel_haenszel`
and `overlap_effect` compare like with like on what was measured, and only an experiment compares on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Labels, Numbers, divide, floats, fraction, plain, plain_labels
from upswing.stats._arrays import statuses as _statuses
from upswing.stats._arrays import together as _together
from upswing.stats.errors import NOT_ENOUGH_DATA, NOT_IDENTIFIED, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch
from upswing.stats.multiplicity import adjust
from upswing.stats.proportions import newcombe_difference, wilson_interval


@dataclass(frozen=True, slots=True)
class Association:
    """How a behaviour goes with an outcome; every field has shape (n_behaviours,).

    Attributes:
        phi: correlation of the two (also called MCC), in [-1, 1].
        phi_lower: lower limit.
        phi_upper: upper limit.
        odds_ratio: odds of the outcome with the behaviour over odds without; may be infinite.
        odds_ratio_lower: lower Woolf limit, half a user added to every cell.
        odds_ratio_upper: upper limit.
        odds_ratio_shrunk: the ratio with one user added to every cell: finite, and modest for small tables.
        difference: outcome rate with the behaviour minus without, in share points.
        difference_lower: lower Newcombe limit.
        difference_upper: upper limit.
        lift: outcome rate with the behaviour over that of everybody.
        ppv: share of those with the behaviour who reach the outcome.
        ppv_lower: lower Wilson limit.
        ppv_upper: upper limit.
        sensitivity: share of those with the outcome who showed the behaviour.
        sensitivity_lower: lower Wilson limit.
        sensitivity_upper: upper limit.
        p_value: two-sided, exact (hypergeometric, twice the smaller tail).
        p_adjusted: Benjamini-Hochberg over all behaviours of the call.
        confidence: nominal coverage of each interval on its own.
        method: "two_by_two".
        status: "ok", "not_enough_data" (nobody) or "zero_variance" (everybody or nobody on one side).
    """

    phi: Numbers
    phi_lower: Numbers
    phi_upper: Numbers
    odds_ratio: Numbers
    odds_ratio_lower: Numbers
    odds_ratio_upper: Numbers
    odds_ratio_shrunk: Numbers
    difference: Numbers
    difference_lower: Numbers
    difference_upper: Numbers
    lift: Numbers
    ppv: Numbers
    ppv_lower: Numbers
    ppv_upper: Numbers
    sensitivity: Numbers
    sensitivity_lower: Numbers
    sensitivity_upper: Numbers
    p_value: Numbers
    p_adjusted: Numbers
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class StratifiedAssociation:
    """Association within strata, pooled; every field has shape (n_behaviours,).

    Attributes:
        odds_ratio: Mantel-Haenszel common odds ratio.
        lower: lower limit (Robins-Breslow-Greenland variance).
        upper: upper limit.
        difference: Mantel-Haenszel common risk difference, in share points.
        difference_lower: lower limit.
        difference_upper: upper limit.
        p_value: Cochran-Mantel-Haenszel, without continuity correction.
        p_adjusted: Benjamini-Hochberg over all behaviours of the call.
        confidence: nominal coverage.
        method: "mantel_haenszel".
        status: "ok" or "not_identified" (no stratum holds both kinds of users and both outcomes).
    """

    odds_ratio: Numbers
    lower: Numbers
    upper: Numbers
    difference: Numbers
    difference_lower: Numbers
    difference_upper: Numbers
    p_value: Numbers
    p_adjusted: Numbers
    confidence: float
    method: str
    status: Labels


@dataclass(frozen=True, slots=True)
class OverlapEffect:
    """Difference of the outcome among users who could as well have shown the behaviour as not.

    Attributes:
        estimate: weighted mean with the behaviour minus without, in the unit of the outcome.
        standard_error: robust, counting that the weights were estimated.
        lower: lower limit.
        upper: upper limit.
        p_value: two-sided.
        effective_users: users the weighted comparison is worth, with and without the behaviour.
        imbalance_before: largest standardised difference of a covariate's mean before weighting.
        imbalance_after: the same after weighting.
        confidence: nominal coverage.
        method: "overlap_weights".
        status: "ok", "not_enough_data" (a group is empty) or "not_identified" (covariates tell the groups apart
            perfectly, or are collinear).
    """

    estimate: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    effective_users: tuple[float, float]
    imbalance_before: float
    imbalance_after: float
    confidence: float
    method: str
    status: str


def associate(
    both: ArrayLike,
    behaviour_only: ArrayLike,
    outcome_only: ArrayLike,
    neither: ArrayLike,
    *,
    confidence: float = 0.95,
) -> Association:
    """Measure how behaviours go with an outcome, from counts of users.

    The window in which the behaviour is counted must end before the window of the outcome begins, and users who
    cannot be observed for the outcome yet must be left out; these counts cannot show whether that was done.

    Args:
        both: users with behaviour and outcome, shape (n_behaviours,).
        behaviour_only: with the behaviour, without the outcome.
        outcome_only: without the behaviour, with the outcome.
        neither: without both.
        confidence: nominal coverage of each interval on its own.

    Raises:
        InvalidInput: negative or fractional counts.
        ShapeMismatch: shapes that do not belong together.

    References:
        Variance of phi: Bishop, Fienberg, Holland (1975), §11.3. Odds ratio: Woolf (1955) with Haldane's half.

    Examples:
        >>> result = associate(5, 1, 2, 10)
        >>> result.odds_ratio, result.odds_ratio_shrunk
        (25.0, 11.0)
        >>> round(result.phi, 3)
        0.645
    """
    fraction("confidence", confidence)
    a, b, c, d = _cells(both, behaviour_only, outcome_only, neither)
    z = float(distributions.norm.ppf((1 + confidence) / 2))
    n, with_, without, reached, missed = a + b + c + d, a + b, c + d, a + c, b + d
    phi = divide(a * d - b * c, np.sqrt(with_ * without * reached * missed))
    reach = z * _phi_error(phi, n, with_, without, reached, missed)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(b * c > 0, a * d / np.where(b * c > 0, b * c, 1.0), np.where(a * d > 0, np.inf, np.nan))
    log_odds = np.log((a + 0.5) * (d + 0.5) / ((b + 0.5) * (c + 0.5)))
    log_reach = z * np.sqrt(1 / (a + 0.5) + 1 / (b + 0.5) + 1 / (c + 0.5) + 1 / (d + 0.5))
    gap = newcombe_difference(a, with_, c, without, confidence)
    ppv, sensitivity = wilson_interval(a, with_, confidence), wilson_interval(a, reached, confidence)
    status = _statuses(n.shape, (n == 0, NOT_ENOUGH_DATA), ((with_ * without * reached * missed) == 0, ZERO_VARIANCE))
    known = np.asarray(status) == OK
    p_value = np.where(known, _hypergeometric_p(a, n, with_, reached), np.nan)
    return Association(
        phi=plain(phi),
        phi_lower=plain(np.maximum(phi - reach, -1)),
        phi_upper=plain(np.minimum(phi + reach, 1)),
        odds_ratio=plain(odds),
        odds_ratio_lower=plain(np.where(known, np.exp(log_odds - log_reach), np.nan)),
        odds_ratio_upper=plain(np.where(known, np.exp(log_odds + log_reach), np.nan)),
        odds_ratio_shrunk=plain((a + 1) * (d + 1) / ((b + 1) * (c + 1))),
        difference=gap.estimate,
        difference_lower=gap.lower,
        difference_upper=gap.upper,
        lift=plain(divide(divide(a, with_), divide(reached, n))),
        ppv=ppv.estimate,
        ppv_lower=ppv.lower,
        ppv_upper=ppv.upper,
        sensitivity=sensitivity.estimate,
        sensitivity_lower=sensitivity.lower,
        sensitivity_upper=sensitivity.upper,
        p_value=plain(p_value),
        p_adjusted=plain(_adjusted(p_value)),
        confidence=confidence,
        method="two_by_two",
        status=plain_labels(status),
    )


def mantel_haenszel(
    both: ArrayLike,
    behaviour_only: ArrayLike,
    outcome_only: ArrayLike,
    neither: ArrayLike,
    *,
    confidence: float = 0.95,
) -> StratifiedAssociation:
    """Pool the association of behaviours with an outcome over strata, so that the strata cannot produce it.

    Args:
        both: users with behaviour and outcome, shape (n_strata,) or (n_behaviours, n_strata).
        behaviour_only: with the behaviour, without the outcome.
        outcome_only: without the behaviour, with the outcome.
        neither: without both.
        confidence: nominal coverage.

    Raises:
        InvalidInput: negative or fractional counts.
        ShapeMismatch: shapes that do not belong together, or no strata axis.

    References:
        Mantel, Haenszel (1959); variance of the log odds ratio: Robins, Breslow, Greenland (1986), eq. (4); risk
        difference: Greenland, Robins (1985), Biometrics 41; Sato's variance is not used.

    Examples:
        >>> result = mantel_haenszel([10, 20], [20, 10], [5, 30], [40, 30])
        >>> round(result.odds_ratio, 3)
        2.571
    """
    fraction("confidence", confidence)
    a, b, c, d = _cells(both, behaviour_only, outcome_only, neither)
    if a.ndim < 1:
        raise ShapeMismatch("strata need an axis: shape (n_strata,) or (n_behaviours, n_strata)")
    z = float(distributions.norm.ppf((1 + confidence) / 2))
    n, with_, without, reached, missed = a + b + c + d, a + b, c + d, a + c, b + d
    safe = np.where(n > 0, n, 1.0)
    up, down = a * d / safe, b * c / safe
    agree, differ = (a + d) / safe, (b + c) / safe
    r, s = up.sum(-1), down.sum(-1)
    odds = np.where(s > 0, divide(r, s), np.where(r > 0, np.inf, np.nan))
    variance = (
        divide((agree * up).sum(-1), 2 * r**2)
        + divide((agree * down + differ * up).sum(-1), 2 * r * s)
        + divide((differ * down).sum(-1), 2 * s**2)
    )
    log_reach = z * np.sqrt(variance)
    weight = with_ * without / safe
    total = weight.sum(-1)
    difference = divide(((a * without - c * with_) / safe).sum(-1), total)
    spread = divide(a * b * without**3 + c * d * with_**3, with_ * without * safe**2)
    gap_reach = z * np.sqrt(divide(np.nansum(spread, axis=-1), total**2))
    excess = (a - with_ * reached / safe).sum(-1)
    null = divide(with_ * without * reached * missed, safe**2 * np.maximum(n - 1, 1)).sum(-1)
    p_value = distributions.chi2.sf(divide(excess**2, null), 1)
    status = _statuses(odds.shape, (~(null > 0), NOT_IDENTIFIED))
    return StratifiedAssociation(
        odds_ratio=plain(odds),
        lower=plain(odds * np.exp(-log_reach)),
        upper=plain(odds * np.exp(log_reach)),
        difference=plain(difference),
        difference_lower=plain(difference - gap_reach),
        difference_upper=plain(difference + gap_reach),
        p_value=plain(p_value),
        p_adjusted=plain(_adjusted(p_value)),
        confidence=confidence,
        method="mantel_haenszel",
        status=plain_labels(status),
    )


def overlap_effect(
    outcome: ArrayLike, behaviour: ArrayLike, covariates: ArrayLike, *, confidence: float = 0.95
) -> OverlapEffect:
    """Compare users with and without a behaviour, weighting each by how likely they were to be in the other group.

    A logistic model predicts the behaviour from covariates measured before it. Users with it weigh 1 - e, users
    without it weigh e: those who were bound to be on one side count for little, and the weighted means of all
    covariates agree exactly.

    Args:
        outcome: per user, shape (n_users,); any unit.
        behaviour: True for users who showed it, shape (n_users,).
        covariates: measured before the behaviour, shape (n_users, n_covariates).
        confidence: nominal coverage.

    Raises:
        InvalidInput: NaN, or behaviour other than true and false.
        ShapeMismatch: shapes that do not belong together.

    References:
        Li, Morgan, Zaslavsky (2018), JASA 113: Balancing covariates via propensity score weighting; variance by the
        stacked estimating equations of Li, Thomas, Li (2019), Am. J. Epidemiology 188.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(4000, 1))
        >>> did = rng.random(4000) < 1 / (1 + np.exp(-x[:, 0]))
        >>> y = 2 * x[:, 0] + 1.0 * did + rng.normal(size=4000)
        >>> result = overlap_effect(y, did, x)
        >>> bool(result.lower < 1.0 < result.upper), result.imbalance_after < 1e-6
        (True, True)
    """
    fraction("confidence", confidence)
    y, t, x = _users(outcome, behaviour, covariates)
    nothing = np.nan, np.nan, np.nan, np.nan, np.nan, (np.nan, np.nan), np.nan, np.nan, confidence, "overlap_weights"
    if not 0 < t.sum() < t.size:
        return OverlapEffect(*nothing, NOT_ENOUGH_DATA)
    x = x[:, np.ptp(x, axis=0) > 0]  # a constant covariate says nothing beside the intercept
    design = np.column_stack([np.ones(t.size), (x - x.mean(axis=0)) / x.std(axis=0)])
    chance = _logistic(design, t)
    if chance is None:
        return OverlapEffect(*nothing, NOT_IDENTIFIED)
    weight = np.where(t == 1, 1 - chance, chance)
    w1, w0 = weight * t, weight * (1 - t)
    mean1, mean0 = w1 @ y / w1.sum(), w0 @ y / w0.sum()
    error = _overlap_error(y, t, design, chance, mean1, mean0)
    estimate = float(mean1 - mean0)
    reach = error * float(distributions.norm.ppf((1 + confidence) / 2))
    p_value = 2 * float(distributions.norm.sf(abs(estimate) / error)) if error > 0 else np.nan
    effective = float(w1.sum() ** 2 / (w1 @ w1)), float(w0.sum() ** 2 / (w0 @ w0))
    before = _imbalance(design, t, 1 - t, t)
    after = _imbalance(design, w1, w0, t)
    return OverlapEffect(
        estimate, error, estimate - reach, estimate + reach, p_value,
        effective, before, after, confidence, "overlap_weights", OK,
    )  # fmt: skip


def _cells(*counts: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    names = ("both", "behaviour_only", "outcome_only", "neither")
    arrays = {name: floats(name, count, at_least=0) for name, count in zip(names, counts, strict=True)}
    for name, array in arrays.items():
        if (array != np.floor(array)).any():
            raise InvalidInput(f"{name} must be whole numbers of users")
    a, b, c, d = _together(**arrays)
    return a, b, c, d


def _phi_error(
    phi: FloatArray, n: FloatArray, with_: FloatArray, without: FloatArray, reached: FloatArray, missed: FloatArray
) -> FloatArray:
    rows, columns = with_ * without, reached * missed
    skew = divide((with_ - without) * (reached - missed), np.sqrt(rows * columns))
    uneven = divide((with_ - without) ** 2, rows) + divide((reached - missed) ** 2, columns)
    variance = divide(1 - phi**2 + phi * (1 + phi**2 / 2) * skew - 0.75 * phi**2 * uneven, n)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _hypergeometric_p(a: FloatArray, n: FloatArray, with_: FloatArray, reached: FloatArray) -> FloatArray:
    table = distributions.hypergeom(np.maximum(n, 1), reached, with_)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(table.cdf(a), table.sf(a - 1))))


def _adjusted(p_value: FloatArray) -> FloatArray:
    flat = np.atleast_1d(np.asarray(p_value, dtype=np.float64)).ravel()
    known = ~np.isnan(flat)
    result = np.full(flat.shape, np.nan)
    if known.any():
        result[known] = adjust(flat[known], method="benjamini_hochberg")
    return result.reshape(np.shape(p_value))


def _users(
    outcome: ArrayLike, behaviour: ArrayLike, covariates: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    y, t, x = floats("outcome", outcome), floats("behaviour", behaviour), floats("covariates", covariates)
    if y.ndim != 1 or t.shape != y.shape or x.ndim != 2 or x.shape[0] != y.size:
        raise ShapeMismatch(f"outcome {y.shape}, behaviour {t.shape} and covariates {x.shape} do not belong together")
    if not np.isin(t, (0, 1)).all():
        raise InvalidInput("behaviour must be true or false (1 or 0)")
    return y, t, x


def _logistic(design: FloatArray, t: FloatArray) -> FloatArray | None:
    """Fitted probabilities of a logistic regression by Newton's method; None when there is no finite optimum."""
    beta = np.zeros(design.shape[1])
    for _ in range(60):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -40, 40)))
        slope = design.T @ (t - chance)
        curve = (design * (chance * (1 - chance))[:, None]).T @ design
        if np.linalg.cond(curve) > 1e12:
            return None
        step = np.linalg.solve(curve, slope)
        # A full step can overshoot where groups are almost apart; half of a huge one is enough.
        beta = beta + step / max(1.0, float(np.abs(step).max()) / 5)
        if np.abs(step).max() < 1e-10:
            return np.asarray(1 / (1 + np.exp(-np.clip(design @ beta, -40, 40))))
    return None


def _overlap_error(
    y: FloatArray, t: FloatArray, design: FloatArray, chance: FloatArray, mean1: float, mean0: float
) -> float:
    """Standard error from the influence of each user on both means, the estimated propensities included."""
    n, slope = t.size, chance * (1 - chance)
    size = slope.mean()
    residual = np.where(t == 1, (1 - chance) * (y - mean1), -chance * (y - mean0))
    pull = -(slope * np.where(t == 1, y - mean1, y - mean0)) @ design / n
    information = (design * slope[:, None]).T @ design / n
    score = (t - chance)[:, None] * design
    influence = (residual + score @ np.linalg.solve(information, pull)) / size
    return float(np.sqrt(influence @ influence) / n)


def _imbalance(design: FloatArray, w1: FloatArray, w0: FloatArray, t: FloatArray) -> float:
    if design.shape[1] == 1:
        return 0.0
    x = design[:, 1:]
    pooled = np.sqrt((x[t == 1].var(axis=0) + x[t == 0].var(axis=0)) / 2)
    gap = np.abs(w1 @ x / w1.sum() - w0 @ x / w0.sum())
    return float(np.max(divide(gap, pooled), initial=0.0, where=pooled > 0))
