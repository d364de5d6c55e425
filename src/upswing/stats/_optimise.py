"""Maximum likelihood on positive parameters, with an honest answer when the data cannot tell them apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, Numbers, Seed, generator, plain
from upswing.stats.errors import NOT_ENOUGH_DATA, NOT_IDENTIFIED, OK

M = TypeVar("M")
LogLikelihood: TypeAlias = Callable[[FloatArray], tuple[float, FloatArray]]
"""Parameters, shape (k,), to the log-likelihood and its gradient, shape (k,)."""

LOG_LIMIT = 14.0
"""Parameters are searched within exp(±14), about 1e-6 to 1e6; an optimum at the rim means they are not identified."""
PROFILED = 20_000
"""Customers up to which limits come from the profile likelihood; beyond, the likelihood is quadratic where it counts."""


@dataclass(frozen=True, slots=True)
class FittedNumber:
    """A number that follows from a fitted model, with the interval the parameters' uncertainty gives it.

    Attributes:
        estimate: at the fitted parameters.
        lower: lower limit.
        upper: upper limit.
        confidence: nominal coverage.
        method: "laplace".
        status: of the fit.
    """

    estimate: Numbers
    lower: Numbers
    upper: Numbers
    confidence: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class ModelFit(Generic[M]):
    """A model with its fitted parameters and how well they are known.

    Attributes:
        model: the model at its maximum-likelihood parameters; it answers the questions.
        names: parameter names, in the order of the arrays below.
        estimates: parameters, shape (k,).
        standard_errors: of the parameters, from the observed information; NaN when not identified.
        lower: lower limits; 0 where the data set none.
        upper: upper limits; infinite where the data set none.
        log_likelihood: at the optimum, with no constant left out unless the fitting function says so.
        n: customers (or users) the model was fitted on.
        confidence: nominal coverage.
        log_covariance: covariance of the log parameters, shape (k, k).
        limits: how the limits were found: "profile" (likelihood ratio with the other parameters at their best) or
            "wald" (symmetric on the log scale; for more than 20,000 customers, where the two agree).
        method: name of the model.
        status: "ok", "not_identified" (the likelihood has no clear peak: the estimates are where the search stopped
            and must not be used) or "not_enough_data".
    """

    model: M
    names: tuple[str, ...]
    estimates: FloatArray
    standard_errors: FloatArray
    lower: FloatArray
    upper: FloatArray
    log_likelihood: float
    n: float
    confidence: float
    log_covariance: FloatArray
    limits: str
    method: str
    status: str

    def draws(self, size: int, *, rng: Seed) -> FloatArray:
        """Draw parameters from the Laplace approximation (normal on the log scale), shape (size, k).

        All NaN when the model is not identified.
        """
        if self.status != OK:
            return np.full((size, len(self.names)), np.nan)
        normal = generator(rng).multivariate_normal(np.log(self.estimates), self.log_covariance, size)
        return np.asarray(np.exp(normal))

    def interval(
        self, question: Callable[[M], ArrayLike], *, size: int = 400, rng: Seed = 0, confidence: float | None = None
    ) -> FittedNumber:
        """Answer a question to the model with an interval, by asking it at `size` parameter draws.

        The interval holds the uncertainty of the parameters only, not the chance in one customer's behaviour.

        Args:
            question: takes a model, returns a number or an array.
            size: number of draws.
            rng: generator or seed.
            confidence: nominal coverage; that of the fit if missing.
        """
        level = self.confidence if confidence is None else confidence
        if self.status != OK:
            nan = plain(np.full(np.shape(question(self.model)), np.nan))
            return FittedNumber(nan, nan, nan, level, "laplace", self.status)
        estimate = np.asarray(question(self.model), dtype=np.float64)
        build: Callable[..., M] = type(self.model)
        answers = np.stack([np.asarray(question(build(*row.tolist()))) for row in self.draws(size, rng=rng)])
        lower, upper = np.quantile(answers, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return FittedNumber(plain(estimate), plain(lower), plain(upper), level, "laplace", self.status)


def fit_positive(
    log_likelihood: LogLikelihood,
    build: Callable[..., M],
    names: tuple[str, ...],
    *,
    starts: ArrayLike,
    n: float,
    confidence: float,
    method: str,
    sketch: LogLikelihood | None = None,
) -> ModelFit[M]:
    """Maximise a log-likelihood over positive parameters, searching on the log scale from each start.

    With a `sketch`, the log-likelihood of a part of the data, the starts lead to its peak first and the search on all
    data sets out from there.

    The observed information is the central difference of the analytic gradient at the optimum. Limits are those of the
    profile likelihood: with a few hundred customers the likelihood is too skewed for symmetric ones, which in
    simulations of MBG/NBD held the truth in 89 % instead of 95 %.
    """
    log_starts = np.log(np.atleast_2d(np.asarray(starts, dtype=np.float64)))
    if sketch is not None:
        log_starts = np.clip(_search(sketch, log_starts, n), 1 - LOG_LIMIT, LOG_LIMIT - 1)[None, :]
    best = _search(log_likelihood, log_starts, n)
    point = np.exp(best)
    value, slope = log_likelihood(point)
    information = _information(log_likelihood, best)
    status = _verdict(best, slope * point / n, information / n)
    k = len(names)
    covariance = np.asarray(np.linalg.inv(information), np.float64) if status == OK else np.full((k, k), np.nan)
    log_error = np.sqrt(np.diag(covariance))
    reach = float(distributions.norm.ppf((1 + confidence) / 2))
    limits = "profile" if status == OK and n <= PROFILED else "wald"
    ends = np.stack([best - reach * log_error, best + reach * log_error])
    if limits == "profile":
        ends = _profile_limits(log_likelihood, best, value, information, covariance, reach)
    lower, upper = np.exp(ends)
    model = build(*point.tolist())
    return ModelFit(
        model, names, point, point * log_error, lower, upper, value, n, confidence, covariance, limits, method, status
    )


def unfitted(
    build: Callable[..., M], names: tuple[str, ...], *, n: float, confidence: float, method: str
) -> ModelFit[M]:
    """Return the answer to a fit on data that hold nothing to fit: NaN everywhere, "not_enough_data"."""
    k = len(names)
    gap = np.full(k, np.nan)
    model = build(*gap.tolist())
    square = np.full((k, k), np.nan)
    return ModelFit(model, names, gap, gap, gap, gap, np.nan, n, confidence, square, "wald", method, NOT_ENOUGH_DATA)


def _search(log_likelihood: LogLikelihood, starts: FloatArray, n: float) -> FloatArray:
    def objective(log_point: FloatArray) -> tuple[float, FloatArray]:
        point = np.exp(log_point)
        value, slope = log_likelihood(point)
        return -value / n, -slope * point / n

    bounds = [(-LOG_LIMIT, LOG_LIMIT)] * starts.shape[1]
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-9, "maxls": 60}
    solve: Callable[..., optimize.OptimizeResult] = optimize.minimize
    found = [solve(objective, row, jac=True, method="L-BFGS-B", bounds=bounds, options=options) for row in starts]
    best = min(found, key=lambda result: float(result.fun))
    return np.asarray(best.x, dtype=np.float64)


def _information(log_likelihood: LogLikelihood, log_point: FloatArray) -> FloatArray:
    k, step = log_point.size, 1e-4

    def slope(at: FloatArray) -> FloatArray:
        point = np.exp(at)
        return log_likelihood(point)[1] * point

    rows = [(slope(log_point - step * axis) - slope(log_point + step * axis)) / (2 * step) for axis in np.eye(k)]
    matrix = np.stack(rows)
    return np.asarray((matrix + matrix.T) / 2)


def _profile_limits(
    log_likelihood: LogLikelihood,
    best: FloatArray,
    top: float,
    information: FloatArray,
    covariance: FloatArray,
    reach: float,
) -> FloatArray:
    """Log limits, shape (2, k): where the best log-likelihood with one parameter held fixed has fallen by reach^2 / 2.

    The signed root of that fall is nearly linear in the parameter, so a few secant steps find each limit.
    """
    k = best.size
    ends = np.empty((2, k))
    for index in range(k):
        others = np.arange(k) != index
        drift = covariance[others, index] / covariance[index, index]
        whiten = np.linalg.inv(np.linalg.cholesky(information[np.ix_(others, others)])).T

        def root(at: float, index: int = index, drift: FloatArray = drift, whiten: FloatArray = whiten) -> float:
            return _fall(log_likelihood, best, top, index, at, drift, whiten)

        for side, sign in enumerate((-1.0, 1.0)):
            step = sign * reach * float(np.sqrt(covariance[index, index]))
            near, near_root = 0.0, 0.0
            for _ in range(12):
                if abs(best[index] + step) > LOG_LIMIT:
                    step = sign * np.inf
                    break
                fallen = root(float(best[index] + step))
                if abs(fallen - reach) < 1e-3:
                    break
                slope = (fallen - near_root) / (step - near)
                near, near_root = step, fallen
                grown = step + (reach - fallen) / slope if slope * sign > 0 else 2 * step
                step = float(np.clip(grown / step, 0.3, 3.0)) * step
            ends[side, index] = best[index] + step
    return ends


def _fall(
    log_likelihood: LogLikelihood,
    best: FloatArray,
    top: float,
    index: int,
    at: float,
    drift: FloatArray,
    whiten: FloatArray,
) -> float:
    """Root of twice the fall of the log-likelihood when one log parameter is held at `at`, the others at their best."""
    others = np.arange(best.size) != index
    start = best.copy()
    start[index] = at
    start[others] += drift * (at - best[index])

    def objective(moves: FloatArray) -> tuple[float, FloatArray]:
        log_point = start.copy()
        log_point[others] = np.clip(start[others] + whiten @ moves, -2 * LOG_LIMIT, 2 * LOG_LIMIT)
        point = np.exp(log_point)
        value, slope = log_likelihood(point)
        return top - value, -whiten.T @ (slope * point)[others]

    solve: Callable[..., optimize.OptimizeResult] = optimize.minimize
    found = solve(objective, np.zeros(best.size - 1), jac=True, method="L-BFGS-B", options={"gtol": 1e-3})
    return float(np.sqrt(max(2 * float(found.fun), 0.0)))


def _verdict(log_point: FloatArray, slope: FloatArray, information: FloatArray) -> str:
    at_rim = (np.abs(log_point) > LOG_LIMIT - 0.5).any()
    if at_rim or not np.isfinite(information).all() or np.abs(slope).max() > 1e-4:
        return NOT_IDENTIFIED
    # A flat direction: the log-likelihood per customer hardly changes along it, so the peak is a numerical accident.
    return OK if np.linalg.eigvalsh(information).min() > 1e-8 else NOT_IDENTIFIED
