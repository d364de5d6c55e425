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
        lower: lower limits, symmetric on the log scale.
        upper: upper limits.
        log_likelihood: at the optimum, with no constant left out unless the fitting function says so.
        n: customers (or users) the model was fitted on.
        confidence: nominal coverage.
        log_covariance: covariance of the log parameters, shape (k, k).
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
) -> ModelFit[M]:
    """Maximise a log-likelihood over positive parameters, searching on the log scale from each start.

    The observed information is the central difference of the analytic gradient at the optimum.
    """
    best = _search(log_likelihood, np.log(np.atleast_2d(np.asarray(starts, dtype=np.float64))), n)
    point = np.exp(best)
    value, slope = log_likelihood(point)
    information = _information(log_likelihood, best)
    status = _verdict(best, slope * point / n, information / n)
    k = len(names)
    covariance = np.asarray(np.linalg.inv(information), np.float64) if status == OK else np.full((k, k), np.nan)
    log_error = np.sqrt(np.diag(covariance))
    reach = log_error * float(distributions.norm.ppf((1 + confidence) / 2))
    return ModelFit(
        build(*point.tolist()),
        names,
        point,
        point * log_error,
        point * np.exp(-reach),
        point * np.exp(reach),
        value,
        n,
        confidence,
        covariance,
        method,
        status,
    )


def unfitted(
    build: Callable[..., M], names: tuple[str, ...], *, n: float, confidence: float, method: str
) -> ModelFit[M]:
    """Return the answer to a fit on data that hold nothing to fit: NaN everywhere, "not_enough_data"."""
    k = len(names)
    gap = np.full(k, np.nan)
    model = build(*gap.tolist())
    square = np.full((k, k), np.nan)
    return ModelFit(model, names, gap, gap, gap, gap, np.nan, n, confidence, square, method, NOT_ENOUGH_DATA)


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


def _verdict(log_point: FloatArray, slope: FloatArray, information: FloatArray) -> str:
    at_rim = (np.abs(log_point) > LOG_LIMIT - 0.5).any()
    if at_rim or not np.isfinite(information).all() or np.abs(slope).max() > 1e-4:
        return NOT_IDENTIFIED
    # A flat direction: the log-likelihood per customer hardly changes along it, so the peak is a numerical accident.
    return OK if np.linalg.eigvalsh(information).min() > 1e-8 else NOT_IDENTIFIED
