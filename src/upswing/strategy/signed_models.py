"""Regressions whose coefficients may not turn against what their signals were declared to mean.

A signal of desire may raise the chance or do nothing; it may not lower it. That keeps scores readable, and it is the
price of few users: a signal that points the other way is left without weight, and the result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]
PENALTY: Final = 1.0
"""Strength of the ridge on coefficients of standardised columns, as if one user spoke for no effect: enough to keep
separation finite, too little to matter for hundreds of users."""


@dataclass(frozen=True, slots=True)
class SignedFit:
    """A fitted model.

    Attributes:
        intercept: constant.
        weights: coefficients of the signed columns, none below 0.
        others: coefficients of the free columns.
        covariance: of (intercept, weights, others) by the sandwich formula, weights at the bound held there, their rows
            and columns 0; None where it was not asked for.
        status: "ok", or "not_converged".
    """

    intercept: float
    weights: Floats
    others: Floats
    covariance: Floats | None
    status: str


def fit_logistic(signed: Floats, free: Floats, outcome: Floats) -> SignedFit:
    """Fit chance = 1 / (1 + exp(-(intercept + signed @ weights + free @ others))), weights at least 0.

    Args:
        signed: standardised columns that may only raise the chance, shape (n, k).
        free: standardised columns of either sign, shape (n, m).
        outcome: 0 or 1, shape (n,).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(5000, 2))
        >>> y = (rng.random(5000) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
        >>> fit_logistic(x, np.zeros((5000, 0)), y).weights.round(1)[0]
        np.float64(1.0)
    """

    def loss(eta: Floats) -> tuple[float, Floats]:
        return float(np.logaddexp(0, eta).sum() - outcome @ eta), _chance(eta) - outcome

    start = float(np.log((outcome.sum() + 0.5) / (len(outcome) - outcome.sum() + 0.5)))
    return _fit(signed, free, loss, start, None)


def fit_rate(signed: Floats, free: Floats, counts: Floats) -> SignedFit:
    """Fit mean = exp(intercept + signed @ weights + free @ others), weights at least 0, by Poisson's likelihood.

    Only the mean must be right, not Poisson's variance: standard errors are robust (quasi-likelihood).

    Args:
        signed: standardised columns that may only raise the mean, shape (n, k).
        free: columns of either sign, shape (n, m).
        counts: not negative, shape (n,).

    References:
        Gourieroux, Monfort, Trognon (1984), Econometrica 52: pseudo maximum likelihood with Poisson's family.
    """

    def loss(eta: Floats) -> tuple[float, Floats]:
        mean = np.exp(np.minimum(eta, 30.0))
        return float(mean.sum() - counts @ eta), mean - counts

    start = float(np.log(max(counts.mean(), 1e-6)))
    return _fit(signed, free, loss, start, lambda eta: np.exp(np.minimum(eta, 30.0)))


def _chance(eta: Floats) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(eta, -40, 40)))
    return chance


def _fit(
    signed: Floats, free: Floats, loss: Callable[[Floats], tuple[float, Floats]], start: float,
    curvature: Callable[[Floats], Floats] | None,
) -> SignedFit:  # fmt: skip
    n, k = signed.shape
    design = np.column_stack([np.ones(n), signed, free])
    ridge = np.concatenate([[0.0], np.full(design.shape[1] - 1, PENALTY)])

    def objective(beta: Floats) -> tuple[float, Floats]:
        value, slope = loss(design @ beta)
        return (value + 0.5 * float(ridge @ beta**2)) / n, (design.T @ slope + ridge * beta) / n

    first = np.zeros(design.shape[1])
    first[0] = start
    bounds = [(None, None)] + [(0.0, None)] * k + [(None, None)] * free.shape[1]
    solve: Callable[..., optimize.OptimizeResult] = optimize.minimize
    found = solve(objective, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12})
    beta = np.asarray(found.x, np.float64)
    covariance = None if curvature is None else _sandwich(design, beta, ridge, k, loss, curvature)
    return SignedFit(
        float(beta[0]), beta[1 : k + 1], beta[k + 1 :], covariance, "ok" if found.success else "not_converged"
    )


def _sandwich(
    design: Floats, beta: Floats, ridge: Floats, k: int, loss: Callable[[Floats], tuple[float, Floats]],
    curvature: Callable[[Floats], Floats],
) -> Floats:  # fmt: skip
    eta = design @ beta
    _, residual = loss(eta)
    loose = np.ones(len(beta), np.bool_)
    loose[1 : k + 1] = beta[1 : k + 1] > 0
    x = design[:, loose]
    bread = np.linalg.pinv((x * curvature(eta)[:, None]).T @ x + np.diag(ridge[loose]), hermitian=True)
    scores = x * residual[:, None]
    covariance = np.zeros((len(beta), len(beta)))
    covariance[np.ix_(loose, loose)] = bread @ (scores.T @ scores) @ bread
    return covariance
