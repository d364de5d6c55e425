"""Behaviour as a product of factors: levels, what raising each to a good level is worth, and how sure that is.

The mean number of target events is ``exp(c) · M · A · T``, each factor the exponential of a sum of its signals with
weights that may not be negative. What the data can tell is limited, and by this:

* only the product is measured, so a factor's level is relative: 1 is the geometric mean of all users;
* raising any factor by a tenth is worth a tenth, by construction; what differs is how far users are from a good level;
* a signal that tells of two factors cannot be split between them, and factors whose signals go together cannot be told
  apart: their gains trade against each other;
* levels are read from behaviour, not set by chance: a gain is what users at a good level do more, not what moving users
  there would cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from upswing.strategy.signed_models import SignedFit, fit_rate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
DRAWS: Final = 200
_MOST_DRAWN: Final = 20_000
_N_FACTORS: Final = 3


@dataclass(frozen=True, slots=True)
class Gain:
    """Target events more, over the time counted, if a factor came up to its good level; interval at 95 %.

    `certainty` is the share of draws in which this factor has the largest gain of the three.
    """

    estimate: float
    lower: float
    upper: float
    certainty: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper, "certainty": self.certainty}


@dataclass(frozen=True, slots=True)
class FactorModel:
    """The fitted product.

    Attributes:
        fit: intercept and weights.
        owner: factor (0 motivation, 1 ability, 2 trigger) of each column.
        levels: log level of each user and factor, mean 0, shape (n, 3).
        good: good log level of each factor.
        mean: expected target events of each user.
        interaction: p-value of "the factors multiply": joint test of their three pairwise products; NaN where it cannot be
            done.
        correlation: of the log levels, shape (3, 3); NaN for a factor that does not vary.
    """

    fit: SignedFit
    owner: NDArray[np.int64]
    levels: Floats
    good: Floats
    mean: Floats
    interaction: float
    correlation: Floats

    @property
    def told(self) -> tuple[bool, ...]:
        """Whether each factor has any signal with weight."""
        return tuple(bool((self.fit.weights[self.owner == f] > 0).any()) for f in range(_N_FACTORS))

    def gains(self) -> Floats:
        """Target events more per user if each factor came up to its good level, shape (n, 3)."""
        return _gains(self.levels, self.good, self.mean)

    def limiting(self) -> NDArray[np.int64]:
        """The factor with the largest gain of each user; -1 where none would gain a hundredth."""
        gains = self.gains()
        best = gains.argmax(axis=1)
        return np.where(gains.max(axis=1) > 0.01 * self.mean, best, -1)


def fit_factors(columns: Floats, owner: NDArray[np.int64], free: Floats, counts: Floats, *, good: float) -> FactorModel:
    """Fit the product of factors.

    Args:
        columns: standardised signals, more of the factor is more, shape (n, k).
        owner: factor of each column, shape (k,).
        free: flags that are accounted for and belong to no factor.
        counts: target events per user.
        good: quantile that is a good level.
    """
    fit = fit_rate(columns, free, counts)
    levels = _levels(columns, owner, fit.weights)
    mean = np.exp(fit.intercept + columns @ fit.weights + free @ fit.others)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: Floats = np.asarray(np.corrcoef(levels.T), np.float64)
    return FactorModel(
        fit, owner, levels, np.quantile(levels, good, axis=0), mean, _interaction(levels, free, counts), correlation
    )


def gains_with_intervals(
    model: FactorModel, columns: Floats, free: Floats, groups: list[Flags], *, good: float, seed: int
) -> list[tuple[Gain, ...]]:
    """Total gain of each factor for each group of users, with what the uncertainty of the weights makes of it.

    Args:
        model: the fit.
        columns: as fitted.
        free: as fitted.
        groups: users of each group, shape (n,) each.
        good: quantile that is a good level.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    n = len(columns)
    sample = np.arange(n) if n <= _MOST_DRAWN else np.sort(rng.choice(n, _MOST_DRAWN, replace=False))
    x, z = columns[sample], free[sample]
    beta = np.concatenate([[model.fit.intercept], model.fit.weights, model.fit.others])
    assert model.fit.covariance is not None
    draws = rng.multivariate_normal(beta, model.fit.covariance, DRAWS, method="eigh")
    k = columns.shape[1]
    totals = np.zeros((DRAWS, len(groups), _N_FACTORS))
    for d, draw in enumerate(draws):
        weights = np.maximum(draw[1 : k + 1], 0.0)
        levels = _levels(x, model.owner, weights)
        mean = np.exp(np.minimum(draw[0] + x @ weights + z @ draw[k + 1 :], 30.0))
        gains = _gains(levels, np.quantile(levels, good, axis=0), mean)
        for g, members in enumerate(groups):
            totals[d, g] = gains[members[sample]].sum(axis=0) * (n / len(sample))
    points = model.gains()
    return [_summary(points[members].sum(axis=0), totals[:, g]) for g, members in enumerate(groups)]


def _summary(point: Floats, draws: Floats) -> tuple[Gain, ...]:
    lower, upper = np.quantile(draws, [0.025, 0.975], axis=0)
    first = draws.argmax(axis=1)
    moved = draws.max(axis=1) > 0
    return tuple(
        Gain(float(point[f]), float(lower[f]), float(upper[f]), float(((first == f) & moved).mean()))
        for f in range(_N_FACTORS)
    )


def _levels(columns: Floats, owner: NDArray[np.int64], weights: Floats) -> Floats:
    levels = np.column_stack([columns[:, owner == f] @ weights[owner == f] for f in range(_N_FACTORS)])
    centred: Floats = levels - levels.mean(axis=0)
    return centred


def _gains(levels: Floats, good: Floats, mean: Floats) -> Floats:
    gains: Floats = mean[:, None] * np.expm1(np.maximum(good - levels, 0.0))
    return gains


def _interaction(levels: Floats, free: Floats, counts: Floats) -> float:
    """Wald test of the pairwise products of levels beside the levels, robust."""
    spread = levels.std(axis=0)
    told = [f for f in range(_N_FACTORS) if spread[f] > 1e-9]
    pairs = [(a, b) for i, a in enumerate(told) for b in told[i + 1 :]]
    if not pairs:
        return float("nan")
    z = levels[:, told] / spread[told]
    products = np.column_stack([levels[:, a] * levels[:, b] / (spread[a] * spread[b]) for a, b in pairs])
    products = np.clip(products, *np.quantile(products, [0.01, 0.99], axis=0))
    fit = fit_rate(np.zeros((len(counts), 0)), np.column_stack([products, z, free]), counts)
    assert fit.covariance is not None
    m = len(pairs)
    effect, covariance = fit.others[:m], fit.covariance[1 : 1 + m, 1 : 1 + m]
    statistic = float(effect @ np.linalg.pinv(covariance, hermitian=True) @ effect)
    return float(distributions.chi2.sf(statistic, m))
