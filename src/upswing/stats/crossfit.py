"""Predictions made only by models that have not seen the unit: the ground under CUPAC, uplift learners and AIPW."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import FloatArray, IntArray, Seed, cluster_numbers, floats, generator, vector
from upswing.stats.errors import InvalidInput, ShapeMismatch

Predictor: TypeAlias = Callable[[FloatArray], FloatArray]
Regressor: TypeAlias = Callable[[FloatArray, FloatArray], Predictor]
"""Anything that learns: takes features (n, k) and outcomes (n,), returns a function from features to predictions."""


def ridge(penalty: float = 1.0) -> Regressor:
    """Return a linear learner with standardised features and an L2 penalty.

    Args:
        penalty: strength, in units of one row of data; 0 is least squares.

    Examples:
        >>> predict = ridge(0.0)(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]))
        >>> predict(np.array([[3.0]])).round(6)
        array([7.])
    """

    def fit(features: FloatArray, outcome: FloatArray) -> Predictor:
        centre, scale = features.mean(axis=0), features.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        z = (features - centre) / scale
        level = float(outcome.mean())
        gram = z.T @ z + penalty * np.eye(z.shape[1])
        slope = np.linalg.pinv(gram, hermitian=True) @ (z.T @ (outcome - level))
        return lambda new: np.asarray(level + (new - centre) / scale @ slope)

    return fit


def folds(n: int, k: int, rng: Seed, *, clusters: ArrayLike | None = None) -> IntArray:
    """Return a fold number for each unit; units of one cluster share a fold.

    Raises:
        InvalidInput: fewer than 2 folds or fewer clusters than folds.

    Examples:
        >>> np.bincount(folds(10, 5, 0)).tolist()
        [2, 2, 2, 2, 2]
    """
    labels = cluster_numbers(clusters, n)
    count = int(labels.max()) + 1 if n else 0
    if k < 2 or count < k:
        raise InvalidInput(f"{k} folds need at least {max(k, 2)} units, there are {count}")
    number = generator(rng).permutation(count) % k
    return np.asarray(number[labels], dtype=np.int64)


def out_of_fold(
    features: ArrayLike, outcome: ArrayLike, *, learner: Regressor, k: int = 5, rng: Seed = 0,
    clusters: ArrayLike | None = None,
) -> FloatArray:  # fmt: skip
    """Predict each unit by a model fitted on the other folds (CUPAC's covariate).

    Args:
        features: known before exposure, shape (n, n_features) or (n,).
        outcome: shape (n,).
        learner: any regressor, for example `ridge()`.
        k: number of folds.
        rng: seed or generator.
        clusters: cluster of each unit; clusters are never split over folds.

    References:
        Tang et al. (2020), DoorDash CUPAC; Guo et al. (2021), MLRATE, NeurIPS: cross-fitting keeps the
        adjusted estimate unbiased whatever the learner.

    Examples:
        >>> x = np.arange(10.0)
        >>> float(np.abs(out_of_fold(x, 2 * x, learner=ridge(0.0), k=2) - 2 * x).max()) < 1e-9
        True
    """
    table = matrix("features", features)
    y = vector("outcome", outcome, size=table.shape[0])
    number = folds(y.size, k, rng, clusters=clusters)
    result = np.empty(y.size)
    for fold in range(k):
        held = number == fold
        result[held] = learner(table[~held], y[~held])(table[held])
    return result


def matrix(name: str, value: ArrayLike) -> FloatArray:
    """Return features as shape (n, k).

    Raises:
        ShapeMismatch: more than two dimensions.

    Examples:
        >>> matrix("features", [1.0, 2.0]).shape
        (2, 1)
    """
    array = floats(name, value, finite=True)
    if array.ndim == 1:
        return array[:, None]
    if array.ndim != 2:
        raise ShapeMismatch(f"{name} has shape {array.shape}, it must have shape (n, k)")
    return array
