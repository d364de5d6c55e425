"""Desire and friction as scores, the cut into quadrants, and whether the quadrants hold on users the model never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.spec.quadrants import QUADRANTS
from upswing.stats.association import mantel_haenszel
from upswing.stats.crossfit import folds
from upswing.strategy.signed_models import fit_logistic

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class Scores:
    """Per user, from models fitted without the user's fold.

    Attributes:
        desire: what the signals of desire add to the log odds, shape (n,).
        friction: what the signals of friction take away.
        chance: calibrated chance of the outcome.
        slope: calibration slope: 1 when chances spread as they should, below 1 when they spread too far, about 0 when
            the signals say nothing.
        brier: mean squared error of the calibrated chances.
        area: chance that a user with the outcome is ranked before one without (AUC).
    """

    desire: Floats
    friction: Floats
    chance: Floats
    slope: float
    brier: float
    area: float


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference in activation with its interval at 95 %."""

    estimate: float
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, slots=True)
class Ordering:
    """Whether quadrants order activation on users that their scores were not fitted on.

    Attributes:
        desire: activation of high desire minus low, within each side of friction, pooled.
        friction: activation of low friction minus high, within each side of desire, pooled.
        rates: activation by quadrant, in the order of `QUADRANTS`; NaN of nobody.
        passed: both effects are above 0 with their whole interval, the first quadrant is the highest and the last the
            lowest.
    """

    desire: Effect
    friction: Effect
    rates: tuple[float, ...]
    passed: bool


def cross_scored(desire: Floats, friction: Floats, reached: Floats, outcome: Flags, *, seed: int) -> Scores:
    """Score every user by a model of the other folds, then calibrate on all.

    Args:
        desire: standardised signals, shape (n, k).
        friction: the same, more is more friction.
        reached: flags of having come where signals can be left; accounted for, in no score.
        outcome: activation.
        seed: of the folds.
    """
    y = outcome.astype(np.float64)
    k = desire.shape[1]
    signed = np.column_stack([desire, -friction])
    number = folds(len(y), FOLDS, seed)
    wish, hindrance, eta = np.zeros(len(y)), np.zeros(len(y)), np.zeros(len(y))
    for fold in range(FOLDS):
        held = number == fold
        fit = fit_logistic(signed[~held], reached[~held], y[~held])
        wish[held] = desire[held] @ fit.weights[:k]
        hindrance[held] = friction[held] @ fit.weights[k:]
        eta[held] = fit.intercept + signed[held] @ fit.weights + reached[held] @ fit.others
    slope, chance = _calibrated(eta, y)
    return Scores(wish, hindrance, chance, slope, float(np.mean((chance - y) ** 2)), _area(eta, outcome))


def cut_at(score: Floats, share: float) -> float:
    """The gap between two scores that leaves about this share of users below it.

    With few distinct scores no cut is exact; the nearest one with users on both sides is taken.

    Examples:
        >>> cut_at(np.array([0.0, 0.0, 0.0, 1.0]), 0.5)
        0.5
    """
    values, counts = np.unique(score, return_counts=True)
    if len(values) < 2:
        return float(values[0]) if len(values) else 0.0
    below = np.cumsum(counts)[:-1] / len(score)
    at = int(np.argmin(np.abs(below - share)))
    return float((values[at] + values[at + 1]) / 2)


def quadrant_of(desire: Floats, friction: Floats, cuts: tuple[float, float]) -> NDArray[np.int64]:
    """Index into `QUADRANTS` of each user."""
    return 2 * (desire <= cuts[0]).astype(np.int64) + (friction > cuts[1]).astype(np.int64)


def check_order(quadrant: NDArray[np.int64], outcome: Flags) -> Ordering:
    """Compare activation across quadrants; the scores must not have seen the outcome of the users they are given for."""
    n = np.bincount(quadrant, minlength=len(QUADRANTS)).reshape(2, 2)  # desire high, low × friction low, high
    reached = np.bincount(quadrant[outcome], minlength=len(QUADRANTS)).reshape(2, 2)
    missed = n - reached
    desire = _pooled(reached[0], missed[0], reached[1], missed[1])
    friction = _pooled(reached[:, 0], missed[:, 0], reached[:, 1], missed[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = tuple((reached / n).ravel().tolist())
    ordered = bool(rates[0] == np.max(rates) and rates[-1] == np.min(rates))
    return Ordering(desire, friction, rates, bool(desire.lower > 0 and friction.lower > 0 and ordered))


def _pooled(*cells: NDArray[np.int64]) -> Effect:
    found = mantel_haenszel(*cells)
    return Effect(float(found.difference), float(found.difference_lower), float(found.difference_upper))


def _calibrated(eta: Floats, y: Floats) -> tuple[float, Floats]:
    """Slope of the outcome's log odds on the predicted ones, and chances by it."""
    spread = float(eta.std())
    if not spread > 0:
        return 0.0, np.full(len(y), y.mean())
    column = ((eta - eta.mean()) / spread)[:, None]
    fit = fit_logistic(np.zeros((len(y), 0)), column, y)
    chance = 1 / (1 + np.exp(-(fit.intercept + column[:, 0] * fit.others[0])))
    return float(fit.others[0] / spread), chance


def _area(score: Floats, outcome: Flags) -> float:
    n1, n0 = int(outcome.sum()), int((~outcome).sum())
    if not n1 or not n0:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[outcome].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))
