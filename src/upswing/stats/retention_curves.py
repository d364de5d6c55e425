"""From the retention seen so far to the retention still to come, and to a lifetime.

Two kinds of curve, not to be mixed:

- *survival*: the share of a cohort that has never left (subscriptions, contracts). It can only fall.
  `fit_shifted_beta_geometric`, `fit_beta_discrete_weibull`.
- *activity*: the share of a cohort seen on day t (apps, sites). People come and go. `fit_power_law`.

Lifetime conventions differ by more than ten per cent on the same data; every lifetime here names the one it used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as distributions
from scipy.special import betaln, hyp2f1, psi

from upswing.stats._arrays import FloatArray, Numbers, Seed, floats, fraction, generator, one_of, plain, vector
from upswing.stats._optimise import ModelFit, fit_positive, unfitted
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch

Convention: TypeAlias = Literal["actual_then_model", "model", "integral"]
M = TypeVar("M")
CurveName: TypeAlias = Literal["shifted_beta_geometric", "beta_discrete_weibull", "power_law"]
CURVES: tuple[CurveName, ...] = ("shifted_beta_geometric", "beta_discrete_weibull", "power_law")
CONVENTIONS: tuple[Convention, ...] = ("actual_then_model", "model", "integral")


@dataclass(frozen=True, slots=True)
class ShiftedBetaGeometric:
    """Survival when each customer leaves with a constant chance per period that is Beta over customers.

    Attributes:
        alpha: first parameter of the chance to leave.
        beta: second parameter of the chance to leave.

    References:
        Fader, Hardie (2007), J. Interactive Marketing 21: How to Project Customer Retention.

    Examples:
        >>> model = ShiftedBetaGeometric(0.704, 1.182)
        >>> model.survival([0, 1, 8]).round(3)
        array([1.   , 0.627, 0.22 ])
    """

    alpha: float
    beta: float

    def survival(self, t: ArrayLike) -> Numbers:
        """Return the share still there after `t` periods (eq. 6)."""
        return plain(_survival(np.array([self.alpha, self.beta, 1.0]), floats("t", t, at_least=0)))

    def expected_lifetime(self, discount: float = 0.0, *, renewals: int = 0) -> float:
        """Return the discounted expected remaining periods (DERL) of a customer with `renewals` renewals behind.

        The period at hand counts 0 for a customer about to renew: the sum starts with the renewal that is due. With
        `renewals` = 0 and one period added in front this is the lifetime of a new customer, see
        `new_customer_lifetime`. Infinite without discount when alpha is 1 or less.

        Args:
            discount: per period, 0.1 for 10 %.
            renewals: renewals so far, n - 1 in the paper.

        References:
            Fader, Hardie (2010), Marketing Science 29: Customer-Base Valuation in a Contractual Setting, eq. (6).

        Examples:
            >>> round(ShiftedBetaGeometric(0.764, 1.296).expected_lifetime(0.1, renewals=1), 3)
            3.939
        """
        _check_discount(discount)
        a, b, n = self.alpha, self.beta, renewals
        if discount == 0:
            return (b + n) / (a - 1) if a > 1 else np.inf
        value = (b + n) / (a + b + n) * hyp2f1(1, b + n + 1, a + b + n + 1, 1 / (1 + discount))
        return float(value)

    def new_customer_lifetime(self, discount: float = 0.0) -> float:
        """Return the discounted expected periods of a new customer, the first period counted whole (DEL).

        Examples:
            >>> round(ShiftedBetaGeometric(0.764, 1.296).new_customer_lifetime(0.1), 3)
            3.62
        """
        return 1 + self.expected_lifetime(discount, renewals=0) / (1 + discount)


@dataclass(frozen=True, slots=True)
class BetaDiscreteWeibull:
    """Survival when each customer's chance to leave changes with tenure: discrete Weibull, Beta over customers.

    Attributes:
        alpha: first parameter of the chance to leave.
        beta: second parameter of the chance to leave.
        c: below 1 a customer's own chance to leave falls with tenure, above 1 it rises, at 1 this is sBG.

    References:
        Fader, Hardie, Liu, Davin, Steenburgh (2018), J. Interactive Marketing 43: How to Project Customer Retention
        Revisited: The Role of Duration Dependence.

    Examples:
        >>> BetaDiscreteWeibull(0.704, 1.182, 1.0).survival(8) == ShiftedBetaGeometric(0.704, 1.182).survival(8)
        True
    """

    alpha: float
    beta: float
    c: float

    def survival(self, t: ArrayLike) -> Numbers:
        """Return the share still there after `t` periods."""
        return plain(_survival(np.array([self.alpha, self.beta, self.c]), floats("t", t, at_least=0)))


@dataclass(frozen=True, slots=True)
class BackTest:
    """A curve fitted on the first periods, held against the rest.

    Attributes:
        train_periods: periods the curve saw.
        actual: what came after, shape (n_held_out,).
        predicted: what the curve said would come.
        mean_error: mean of predicted - actual, in share points of the cohort.
        mean_absolute_percentage_error: mean of |predicted - actual| / actual.
        method: the model.
        status: of the fit.
    """

    train_periods: int
    actual: FloatArray
    predicted: FloatArray
    mean_error: float
    mean_absolute_percentage_error: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Expected active days (or periods) per user within a horizon.

    Attributes:
        estimate: in periods per user.
        lower: lower limit.
        upper: upper limit.
        confidence: nominal coverage.
        horizon: last period counted.
        convention: "actual_then_model" sums what was seen and the model after it; "model" sums the model from period
            1; "integral" takes the area under the model from 0 to the horizon.
        counts_period_zero: whether 1 was added for the period of arrival.
        method: "power_law".
        status: "ok" or that of the fit.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    horizon: int
    convention: Convention
    counts_period_zero: bool
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class PowerLawFit:
    """Activity falling as a * t^b.

    Attributes:
        a: share active in period 1, by the curve.
        b: exponent, negative for a falling curve.
        periods: periods the curve was fitted on, those with activity above 0.
        retention: share active in each.
        residual_error: standard deviation of the log residuals.
        covariance: of (log a, b), shape (2, 2).
        confidence: nominal coverage of intervals.
        method: "power_law".
        status: "ok", "not_enough_data" (fewer than 3 periods above 0) or "zero_variance" (all in one period).
    """

    a: float
    b: float
    periods: FloatArray
    retention: FloatArray
    residual_error: float
    covariance: FloatArray
    confidence: float
    method: str
    status: str

    def retention_at(self, t: ArrayLike) -> Numbers:
        """Return the curve at period `t`, above 0."""
        return plain(self.a * floats("t", t, at_least=0) ** self.b)

    def lifetime(
        self,
        horizon: int,
        *,
        convention: Convention = "actual_then_model",
        counts_period_zero: bool = False,
        draws: int = 2000,
        rng: Seed = 0,
    ) -> Lifetime:
        """Return the expected active periods per user up to `horizon`.

        The interval carries the uncertainty of the curve and of its exponent, from draws of (log a, b); what was
        already seen is taken as known.

        Args:
            horizon: last period counted.
            convention: see `Lifetime`.
            counts_period_zero: add 1 for the period of arrival.
            draws: number of draws.
            rng: generator or seed.

        Examples:
            >>> fit = fit_power_law([1, 2, 3, 4], [0.4, 0.3, 0.25, 0.22])
            >>> round(fit.lifetime(30).estimate, 2)
            4.44
        """
        one_of("convention", convention, CONVENTIONS)
        extra = 1.0 if counts_period_zero else 0.0
        if self.status != OK:
            nan = np.nan
            return Lifetime(
                nan, nan, nan, self.confidence, horizon, convention, counts_period_zero, "power_law", self.status
            )
        estimate = self._total(np.array([[self.a, self.b]]), horizon, convention)[0] + extra
        log_a_b = generator(rng).multivariate_normal([np.log(self.a), self.b], self.covariance, draws)
        totals = self._total(np.column_stack([np.exp(log_a_b[:, 0]), log_a_b[:, 1]]), horizon, convention) + extra
        lower, upper = np.quantile(totals, [(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        return Lifetime(
            float(estimate), float(lower), float(upper),
            self.confidence, horizon, convention, counts_period_zero, "power_law", OK,
        )  # fmt: skip

    def _total(self, curves: FloatArray, horizon: int, convention: Convention) -> FloatArray:
        a, b = curves[:, :1], curves[:, 1:]
        if convention == "integral":
            return np.array(
                [
                    a_ * horizon ** (b_ + 1) / (b_ + 1) if b_ > -1 else np.inf
                    for a_, b_ in zip(a[:, 0], b[:, 0], strict=True)
                ]
            )
        every = np.arange(1, horizon + 1, dtype=np.float64)
        if convention == "model":
            return np.asarray((a * every**b).sum(axis=1))
        seen = self.periods <= horizon
        rest = np.setdiff1d(every, self.periods)
        return np.asarray(self.retention[seen].sum() + (a * rest**b).sum(axis=1))


def fit_power_law(periods: ArrayLike, retention: ArrayLike, *, confidence: float = 0.95) -> PowerLawFit:
    """Fit activity = a * t^b by least squares on logs, the practice of spreadsheets.

    Args:
        periods: 1, 2, 3, … (period 0 is 1 by definition and not part of the curve), shape (n_periods,).
        retention: share of the cohort active in each, in [0, 1]; zeros have no logarithm and are left out.
        confidence: nominal coverage of intervals.

    Raises:
        InvalidInput: a period below 1, a share outside [0, 1].
        ShapeMismatch: different lengths.

    Examples:
        >>> fit = fit_power_law([1, 2, 4, 8], [0.4, 0.2, 0.1, 0.05])
        >>> round(fit.a, 3), round(fit.b, 3)
        (0.4, -1.0)
    """
    fraction("confidence", confidence)
    t, y = vector("periods", periods), vector("retention", retention)
    if t.shape != y.shape:
        raise ShapeMismatch(f"periods {t.shape} and retention {y.shape} must have one shape")
    if (t < 1).any() or (y < 0).any() or (y > 1).any():
        raise InvalidInput("periods must be at least 1 and retention within [0, 1]", hint="write 0.35, not 35")
    keep = y > 0
    t, y = t[keep], y[keep]
    nan = np.nan
    if t.size < 3 or np.ptp(t) == 0:
        status = NOT_ENOUGH_DATA if t.size < 3 else ZERO_VARIANCE
        return PowerLawFit(nan, nan, t, y, nan, np.full((2, 2), nan), confidence, "power_law", status)
    design = np.column_stack([np.ones(t.size), np.log(t)])
    inverse = np.linalg.inv(design.T @ design)
    log_a, b = inverse @ design.T @ np.log(y)
    residual = np.log(y) - log_a - b * np.log(t)
    df = t.size - 2
    variance = float(residual @ residual) / df
    # A t quantile in normal clothes: with few periods the variance itself is uncertain.
    widen = float(distributions.t.ppf((1 + confidence) / 2, df) / distributions.norm.ppf((1 + confidence) / 2)) ** 2
    covariance = np.asarray(inverse * variance * widen)
    return PowerLawFit(
        float(np.exp(log_a)), float(b), t, y, float(np.sqrt(variance)), covariance, confidence, "power_law", OK
    )


def fit_shifted_beta_geometric(survivors: ArrayLike, *, confidence: float = 0.95) -> ModelFit[ShiftedBetaGeometric]:
    """Fit sBG by maximum likelihood to one cohort or many.

    Args:
        survivors: customers still there after 0, 1, 2, … periods, shape (n_periods + 1,) for one cohort or
            (n_cohorts, n_periods + 1) for many, NaN where a cohort is too young. Counts, not percentages: they carry
            how sure the curve is.
        confidence: nominal coverage of the parameters' intervals.

    Raises:
        InvalidInput: counts that rise, are negative, or a gap within a cohort.

    References:
        Fader, Hardie (2007), appendix B.

    Examples:
        >>> fit = fit_shifted_beta_geometric([1000, 631, 468, 382, 326, 289, 262, 241])
        >>> fit.estimates.round(3)
        array([0.704, 1.182])
    """
    return _fit_survival(ShiftedBetaGeometric, ("alpha", "beta"), "shifted_beta_geometric", survivors, confidence)


def fit_beta_discrete_weibull(survivors: ArrayLike, *, confidence: float = 0.95) -> ModelFit[BetaDiscreteWeibull]:
    """Fit the beta-discrete-Weibull by maximum likelihood; arguments as in `fit_shifted_beta_geometric`.

    References:
        Fader, Hardie, Liu, Davin, Steenburgh (2018), eq. (8).

    Examples:
        >>> fit = fit_beta_discrete_weibull([1000, 869, 743, 653, 593, 551, 517, 491])
        >>> fit.names
        ('alpha', 'beta', 'c')
    """
    return _fit_survival(BetaDiscreteWeibull, ("alpha", "beta", "c"), "beta_discrete_weibull", survivors, confidence)


def discounted_lifetime(
    model: ShiftedBetaGeometric | BetaDiscreteWeibull, discount: float, *, renewals: int = 0, periods: int | None = None
) -> float:
    """Return the discounted expected remaining periods (DERL) of either survival model, by adding them up.

    Args:
        model: a survival model.
        discount: per period; 0 needs `periods`.
        renewals: renewals so far.
        periods: how many periods ahead to count; until the discount leaves less than 1e-12 if missing.

    Raises:
        InvalidInput: no discount and no end.

    Examples:
        >>> round(discounted_lifetime(ShiftedBetaGeometric(0.764, 1.296), 0.1), 3)
        2.882
    """
    _check_discount(discount)
    if periods is None:
        if discount == 0:
            raise InvalidInput("without a discount the sum may not end: give periods")
        periods = int(np.ceil(12 * np.log(10) / np.log1p(discount)))
    ahead = np.arange(periods)
    staying = np.asarray(model.survival(renewals + 1 + ahead)) / np.asarray(model.survival(renewals))
    return float((staying / (1 + discount) ** ahead).sum())


def back_test(survivors: ArrayLike, *, train_periods: int, model: CurveName) -> BackTest:
    """Fit on the first `train_periods` periods of one cohort and compare with what came after.

    Args:
        survivors: customers still there (for "power_law": active) after 0, 1, 2, … periods, shape (n_periods + 1,).
        train_periods: how many periods after the start the model may see.
        model: which curve: "shifted_beta_geometric", "beta_discrete_weibull" or "power_law".

    Raises:
        InvalidInput: nothing left to compare with, or counts the model does not take.

    Examples:
        >>> test = back_test([1000, 631, 468, 382, 326, 289, 262, 241], train_periods=4, model="shifted_beta_geometric")
        >>> test.mean_absolute_percentage_error < 0.05
        True
        >>> test = back_test([1000, 450, 350, 300, 270, 260, 250], train_periods=4, model="power_law")
        >>> test.predicted.round(2)
        array([0.25, 0.23])
    """
    one_of("model", model, CURVES)
    counts = vector("survivors", survivors)
    if not 1 <= train_periods < counts.size - 1:
        raise InvalidInput(f"train_periods is {train_periods}, it must leave at least one of {counts.size - 1} periods")
    status, curve = _trained(counts[: train_periods + 1], model)
    actual = counts[train_periods + 1 :] / counts[0] if counts[0] else np.full(counts.size - train_periods - 1, np.nan)
    nothing = np.full(actual.size, np.nan)
    predicted = np.asarray(curve(np.arange(train_periods + 1, counts.size))) if status == OK else nothing
    relative = np.divide(np.abs(predicted - actual), actual, out=nothing.copy(), where=actual > 0)
    return BackTest(
        train_periods, actual, predicted, float((predicted - actual).mean()), float(relative.mean()), model, status
    )


def _trained(seen: FloatArray, model: CurveName) -> tuple[str, Callable[[ArrayLike], Numbers]]:
    if model == "shifted_beta_geometric":
        sbg = fit_shifted_beta_geometric(seen)
        return sbg.status, sbg.model.survival
    if model == "beta_discrete_weibull":
        bdw = fit_beta_discrete_weibull(seen)
        return bdw.status, bdw.model.survival
    if not seen[0] > 0:
        return NOT_ENOUGH_DATA, np.asarray
    law = fit_power_law(np.arange(1, seen.size), seen[1:] / seen[0])
    return law.status, law.retention_at


def _fit_survival(
    build: Callable[..., M], names: tuple[str, ...], method: str, survivors: ArrayLike, confidence: float
) -> ModelFit[M]:
    fraction("confidence", confidence)
    lost, stayed, n = _outcomes(survivors)
    periods = np.arange(lost.size + 1, dtype=np.float64)
    if not (lost.sum() > 0 and np.count_nonzero(lost + stayed[1:]) >= len(names)):
        return unfitted(build, names, n=n, confidence=confidence, method=method)
    k = len(names)

    def log_likelihood(point: FloatArray) -> tuple[float, FloatArray]:
        full = np.append(point, 1.0)[:3]
        survival, slopes = _survival_slopes(full, periods)
        leaving = np.maximum(survival[:-1] - survival[1:], 1e-300)
        value = lost @ np.log(leaving) + stayed @ np.log(np.maximum(survival, 1e-300))
        pull = lost / leaving
        gradient = (slopes[:, :-1] - slopes[:, 1:]) @ pull + slopes @ (stayed / np.maximum(survival, 1e-300))
        return float(value), gradient[:k]

    starts = [[1.0, 1.0, 1.0][:k], [0.5, 3.0, 1.3][:k]]
    return fit_positive(log_likelihood, build, names, starts=starts, n=n, confidence=confidence, method=method)


def _outcomes(survivors: ArrayLike) -> tuple[FloatArray, FloatArray, float]:
    """Customers lost in each period, customers last seen staying after each period, and all customers."""
    table = np.atleast_2d(floats("survivors", survivors, at_least=0, nan=True))
    if table.ndim != 2 or table.shape[1] < 2:
        raise ShapeMismatch(f"survivors has shape {table.shape}, it must have at least periods 0 and 1")
    known = ~np.isnan(table)
    if not known[:, 0].all() or (np.diff(known.astype(int), axis=1) > 0).any():
        raise InvalidInput("survivors has a gap: NaN may only stand at the end of a cohort")
    if (np.diff(table, axis=1) > 0).any():
        raise InvalidInput("survivors rises", hint="this is activity, not survival: use fit_power_law")
    lost = np.nansum(-np.diff(table, axis=1), axis=0)
    last = known.sum(axis=1) - 1
    stayed = np.zeros(table.shape[1])
    np.add.at(stayed, last, table[np.arange(table.shape[0]), last])
    return np.asarray(lost), stayed, float(table[:, 0].sum())


def _survival_slopes(point: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Survival after each period, and its slopes in (alpha, beta, c), shape (3, n_periods)."""
    alpha, beta, c = point
    tau = t**c
    survival = _survival(point, t)
    shared = psi(alpha + beta + tau)
    towards_tau = psi(beta + tau) - shared
    log_t = np.log(np.maximum(t, 1.0))
    slopes = np.stack(
        [psi(alpha + beta) - shared, towards_tau - psi(beta) + psi(alpha + beta), towards_tau * tau * log_t]
    )
    return survival, slopes * survival


def _survival(point: FloatArray, t: FloatArray) -> FloatArray:
    alpha, beta, c = point
    return np.asarray(np.exp(betaln(alpha, beta + t**c) - betaln(alpha, beta)))


def _check_discount(discount: float) -> None:
    if not (np.isfinite(discount) and discount >= 0):
        raise InvalidInput(f"discount is {discount:g}, it must be at least 0", hint="write 0.1 for 10 %")
