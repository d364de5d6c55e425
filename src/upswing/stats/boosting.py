"""Gradient-boosted trees as a built-in learner, for effects that are not straight lines.

Small on purpose: squared loss, features cut into bins, shallow trees grown level by level, rounds stopped when a part
of the rows held back no longer improves. Any other regressor fits the same place (`crossfit.Regressor`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from upswing.stats._arrays import BoolArray, FloatArray, IntArray, fraction
from upswing.stats.crossfit import Predictor, Regressor
from upswing.stats.errors import InvalidInput

HELD_BACK = 0.2
PATIENCE = 10
MIN_GAIN = 1e-12


@dataclass(frozen=True, slots=True)
class _Tree:
    """A full binary tree: node i has children 2i + 1 and 2i + 2; nodes that do not split send all to the left."""

    feature: IntArray
    cut: IntArray
    value: FloatArray

    def leaves(self, bins: IntArray) -> FloatArray:
        node = np.zeros(bins.shape[0], dtype=np.int64)
        for _ in range(int(np.log2(self.feature.size + 1))):
            right = bins[np.arange(node.size), self.feature[node]] > self.cut[node]
            node = 2 * node + 1 + right
        return np.asarray(self.value[node - self.feature.size])


def boosted_trees(
    *,
    rounds: int = 200,
    depth: int = 3,
    rate: float = 0.1,
    min_leaf: int = 20,
    bins: int = 32,
    penalty: float = 1.0,
) -> Regressor:
    """Return a learner of gradient-boosted regression trees.

    Deterministic: the rows held back to stop by are every fifth.

    Args:
        rounds: trees at most.
        depth: splits from root to leaf.
        rate: share of each tree's answer that is added.
        min_leaf: rows on each side of a split at least.
        bins: values a feature is cut into, at its quantiles.
        penalty: pulls leaves towards 0, in units of one row.

    Raises:
        InvalidInput: fewer than 1 round, depth outside 1 to 8, a rate outside (0, 1), fewer than 2 bins.

    References:
        Friedman (2001), Annals of Statistics 29: Greedy Function Approximation, algorithm 1 with squared loss; leaf
        values and gain with penalty as in Chen, Guestrin (2016), KDD, eq. (5) and (7).

    Examples:
        >>> x = np.linspace(-1, 1, 400)[:, None]
        >>> predict = boosted_trees()(x, np.sign(x[:, 0]))
        >>> predict(np.array([[-0.5], [0.5]])).round(1)
        array([-1.,  1.])
    """
    fraction("rate", rate)
    if rounds < 1 or not 1 <= depth <= 8 or bins < 2 or min_leaf < 1 or penalty < 0:
        raise InvalidInput("rounds and min_leaf must be at least 1, depth 1 to 8, bins at least 2, penalty at least 0")

    def fit(features: FloatArray, outcome: FloatArray) -> Predictor:
        edges = [
            np.unique(np.quantile(column, np.arange(1, bins) / bins, method="inverted_cdf")) for column in features.T
        ]
        level = float(outcome.mean())
        binned = _binned(features, edges)
        held = np.arange(outcome.size) % round(1 / HELD_BACK) == 0
        if outcome.size < 10 * min_leaf:
            held = np.zeros(outcome.size, dtype=np.bool_)
        trees = _boost(binned, outcome - level, held, rounds, depth, rate, min_leaf, bins, penalty)

        def predict(new: FloatArray) -> FloatArray:
            cells = _binned(new, edges)
            return np.asarray(level + rate * sum((tree.leaves(cells) for tree in trees), np.zeros(new.shape[0])))

        return predict

    return fit


def _binned(features: FloatArray, edges: list[FloatArray]) -> IntArray:
    return np.column_stack([np.searchsorted(edge, column) for edge, column in zip(edges, features.T, strict=True)])


def _boost(
    binned: IntArray, target: FloatArray, held: BoolArray, rounds: int, depth: int, rate: float, min_leaf: int,
    bins: int, penalty: float,
) -> list[_Tree]:  # fmt: skip
    """Add trees on the rows not held back until the held-back rows stop improving for a while."""
    trees: list[_Tree] = []
    left = target.copy()
    best, best_count = float((left[held] ** 2).sum()), 0
    for _ in range(rounds):
        tree = _grow(binned[~held], left[~held], depth, min_leaf, bins, penalty)
        if tree is None:
            break
        trees.append(tree)
        left = left - rate * tree.leaves(binned)
        error = float((left[held] ** 2).sum())
        if not held.any() or error < best:
            best, best_count = error, len(trees)
        elif len(trees) - best_count >= PATIENCE:
            break
    return trees[:best_count]


def _grow(binned: IntArray, target: FloatArray, depth: int, min_leaf: int, bins: int, penalty: float) -> _Tree | None:
    """Grow a tree level by level; None when not even the root can be split to any use."""
    n, k = binned.shape
    inner = 2**depth - 1
    feature, cut = np.zeros(inner, dtype=np.int64), np.full(inner, bins, dtype=np.int64)
    node = np.zeros(n, dtype=np.int64)
    for level in range(depth):
        first, width = 2**level - 1, 2**level
        here = node - first
        best_gain = np.full(width, MIN_GAIN)
        for column in range(k):
            slot = here * bins + binned[:, column]
            count = np.bincount(slot, minlength=width * bins).reshape(width, bins)
            total = np.bincount(slot, weights=target, minlength=width * bins).reshape(width, bins)
            gain, at = _best_cut(count, np.asarray(total, np.float64), min_leaf, penalty)
            better = gain > best_gain
            best_gain = np.where(better, gain, best_gain)
            feature[first : first + width][better] = column
            cut[first : first + width][better] = at[better]
        if level == 0 and best_gain[0] <= MIN_GAIN:
            return None
        node = 2 * node + 1 + (binned[np.arange(n), feature[node]] > cut[node])
    leaf = node - inner
    count = np.bincount(leaf, minlength=inner + 1)
    total = np.bincount(leaf, weights=target, minlength=inner + 1)
    return _Tree(feature, cut, np.asarray(total / np.maximum(count + penalty, 1e-300)))


def _best_cut(count: IntArray, total: FloatArray, min_leaf: int, penalty: float) -> tuple[FloatArray, IntArray]:
    """Best gain in the sum of squares per node, and the bin after which to cut."""
    n_left, s_left = count.cumsum(axis=1)[:, :-1], total.cumsum(axis=1)[:, :-1]
    n_all, s_all = count.sum(axis=1, keepdims=True), total.sum(axis=1, keepdims=True)
    n_right, s_right = n_all - n_left, s_all - s_left

    def squares(s: FloatArray, n: IntArray) -> FloatArray:
        return np.asarray(s**2 / np.maximum(n + penalty, 1e-300))

    gain = squares(s_left, n_left) + squares(s_right, n_right) - squares(s_all, n_all)
    gain = np.where((n_left >= min_leaf) & (n_right >= min_leaf), gain, -np.inf)
    at = gain.argmax(axis=1)
    return gain[np.arange(at.size), at], at
