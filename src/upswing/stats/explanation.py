"""The smallest set of segments that explains why a total moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from upswing.stats._arrays import FloatArray, fraction, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, InvalidInput, ShapeMismatch

INCOMPLETE = "incomplete"
SCREENED = 24
"""Segments kept by the lasso's path for the exhaustive search."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The fewest segments that carry a change.

    Attributes:
        segments: chosen conditions, strongest first, each a mapping of dimension to value; the empty mapping stands
            for everybody ("it moved everywhere alike").
        effect: relative change that belongs to each segment, on top of the others it overlaps with, against the mean
            of before and after; shape (n_chosen,).
        contribution: the same in the unit of the change, shape (n_chosen,).
        explained: sum of the contributions as a share of the change; above 1 where what is left moved the other way.
        remainder: change - sum of the contributions: chance, and what no small set of segments can say.
        change: the whole change.
        method: "lasso_best_subset".
        status: "ok", "incomplete" (no such set reaches the target: the best is given) or "not_enough_data" (nothing
            changed).
    """

    segments: tuple[dict[str, object], ...]
    effect: FloatArray
    contribution: FloatArray
    explained: float
    remainder: float
    change: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class _Candidates:
    conditions: list[dict[str, object]]
    columns: FloatArray  # shape (n_cells, n_conditions), weighted indicators
    size: FloatArray  # total of each condition's cells
    seen: FloatArray  # weighted change per cell


def explain_change(
    dimensions: Mapping[str, Sequence[object]],
    before: ArrayLike,
    after: ArrayLike,
    *,
    target: float = 0.8,
    max_segments: int = 3,
    max_depth: int = 2,
) -> Explanation:
    """Find the smallest set of segments whose own movements make up a change in a total.

    The relative change of every cell is modelled as a sum of effects of the segments it lies in, cells weighted by
    size (a count's variance grows with its size). The path of the lasso keeps the 24 segments of all conditions on up
    to `max_depth` dimensions, and "everybody", that explain best beside each other; among those every subset is
    tried. The answer is the smallest number of segments that explains the target, and of the sets of that size the
    one that fits closest. A further segment must fit better than chance would let it.

    Args:
        dimensions: dimension to the value in each cell, all of length n_cells.
        before: total per cell before, at least 0.
        after: total per cell after, at least 0.
        target: how much of the change should be explained: contributions within 1 ± (1 - target) of it.
        max_segments: at most this many.
        max_depth: at most this many dimensions in one condition.

    Raises:
        InvalidInput: negative totals, no dimension, or a target outside (0, 1). ShapeMismatch: lengths differ.

    References:
        Efron, Hastie, Johnstone, Tibshirani (2004), Annals of Statistics 32: Least Angle Regression, section 2, for
        the path; the bar for a further segment is the universal threshold of Donoho, Johnstone (1994), Biometrika 81.

    Examples:
        >>> cells = {"country": ["CN", "CN", "US", "US"], "os": ["a", "i", "a", "i"]}
        >>> result = explain_change(cells, [100, 100, 100, 100], [100, 40, 99, 101])
        >>> result.segments, result.remainder
        (({'country': 'CN', 'os': 'i'},), 0.0)
        >>> explain_change(cells, [100, 100, 100, 100], [80, 81, 79, 80]).segments
        ({},)
    """
    fraction("target", target)
    old, new = vector("before", before), vector("after", after)
    if old.shape != new.shape or any(len(values) != old.size for values in dimensions.values()):
        raise ShapeMismatch("before, after and every dimension must have one length")
    if (old < 0).any() or (new < 0).any() or not dimensions or max_segments < 1:
        raise InvalidInput("totals must be at least 0, and there must be a dimension and room for a segment")
    change = float((new - old).sum())
    if change == 0:
        nothing = np.empty(0)
        return Explanation((), nothing, nothing, np.nan, 0.0, 0.0, "lasso_best_subset", NOT_ENOUGH_DATA)
    candidates = _candidates(dimensions, old, new, max_depth)
    chosen, effect = _smallest(candidates, change, target, max_segments)
    contribution = effect * candidates.size[list(chosen)]
    order = np.argsort(-np.abs(contribution), kind="stable")
    explained = float(contribution.sum()) / change
    return Explanation(
        tuple(candidates.conditions[chosen[index]] for index in order),
        effect[order],
        contribution[order],
        explained,
        change - float(contribution.sum()),
        change,
        "lasso_best_subset",
        OK if abs(1 - explained) <= 1 - target else INCOMPLETE,
    )


def _candidates(
    dimensions: Mapping[str, Sequence[object]], old: FloatArray, new: FloatArray, max_depth: int
) -> _Candidates:
    """All conditions, shallow ones first; of conditions that hold the same cells only the first."""
    size = (old + new) / 2
    root = np.sqrt(size)
    seen = np.divide(new - old, root, out=np.zeros(size.size), where=root > 0)
    values = {name: list(column) for name, column in dimensions.items()}
    found: dict[bytes, tuple[dict[str, object], FloatArray]] = {}
    for depth in range(max_depth + 1):
        for names in combinations(values, depth):
            groups: dict[tuple[object, ...], list[int]] = {}
            for cell in np.flatnonzero(size > 0).tolist():
                groups.setdefault(tuple(values[name][cell] for name in names), []).append(cell)
            for key, members in groups.items():
                column = np.zeros(size.size)
                column[members] = root[members]
                found.setdefault((column > 0).tobytes(), (dict(zip(names, key, strict=True)), column))
    columns = np.column_stack([column for _, column in found.values()])
    return _Candidates([condition for condition, _ in found.values()], columns, (columns**2).sum(axis=0), seen)


def _smallest(
    candidates: _Candidates, change: float, target: float, max_segments: int
) -> tuple[tuple[int, ...], FloatArray]:
    """The closest fit of the fewest segments that reach the target, or of as many as chance does not explain."""
    few = len(candidates.conditions) <= SCREENED
    screened = list(range(len(candidates.conditions))) if few else _path(candidates, SCREENED)
    chosen, effect, left = _best_subset(candidates, screened, 1)
    for count in range(2, min(max_segments, len(screened)) + 1):
        if abs(1 - float(effect @ candidates.size[list(chosen)]) / change) <= 1 - target:
            break
        better, its_effect, its_left = _best_subset(candidates, screened, count)
        if not better or left - its_left <= _chance(candidates, better, its_effect):
            break
        chosen, effect, left = better, its_effect, its_left
    return chosen, effect


def _path(candidates: _Candidates, most: int) -> list[int]:
    """Segments in the order in which they enter as the lasso's penalty falls (least angle regression)."""
    unit = candidates.columns / np.sqrt(candidates.size)
    left, entered = candidates.seen.copy(), list[int]()
    free = np.ones(unit.shape[1], dtype=np.bool_)
    while len(entered) < most and free.any():
        pull = unit.T @ left
        strongest = float(np.abs(pull[free]).max())
        if strongest < 1e-9 * float(np.linalg.norm(candidates.seen)):
            break
        # of equals the first: the condition with fewer dimensions
        entered.append(int(np.flatnonzero(free & (np.abs(pull) >= strongest * (1 - 1e-9)))[0]))
        free[entered[-1]] = False
        basis = np.linalg.qr(unit[:, entered])[0]
        free &= 1 - ((basis.T @ unit) ** 2).sum(axis=0) > 1e-9  # a sum of those that entered says nothing new
        left = _equiangular_step(unit, entered, free, left)
    return entered


def _equiangular_step(unit: FloatArray, entered: list[int], free: np.ndarray, left: FloatArray) -> FloatArray:
    """Move along the direction that all entered segments share until another one pulls as strongly."""
    pull = unit.T @ left
    top = float(np.abs(pull[entered]).max())
    active = unit[:, entered] * np.sign(pull[entered])
    direction = np.linalg.lstsq(active.T, np.ones(len(entered)), rcond=None)[0]
    towards = unit.T @ direction
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.concatenate([((top - pull) / (1 - towards))[free], ((top + pull) / (1 + towards))[free]])
    ahead = steps[(steps > 1e-12) & (steps < top)]
    return np.asarray(left - direction * float(ahead.min(initial=top)))


def _best_subset(candidates: _Candidates, screened: list[int], count: int) -> tuple[tuple[int, ...], FloatArray, float]:
    """The closest fit by `count` segments; fewer dimensions win a tie."""
    best: tuple[int, ...] = ()
    best_effect, best_left, best_depth = np.empty(0), np.inf, 0
    whole = float(candidates.seen @ candidates.seen)
    for subset in combinations(sorted(screened), count):
        columns = candidates.columns[:, subset]
        effect, _, rank, _ = np.linalg.lstsq(columns, candidates.seen, rcond=None)
        left = float(((candidates.seen - columns @ effect) ** 2).sum())
        depth = sum(len(candidates.conditions[index]) for index in subset)
        closer = left < best_left - 1e-9 * whole
        if rank == count and (closer or (left <= best_left + 1e-9 * whole and depth < best_depth)):
            best, best_effect, best_left, best_depth = subset, np.asarray(effect), left, depth
    return best, best_effect, best_left


def _chance(candidates: _Candidates, subset: tuple[int, ...], effect: FloatArray) -> float:
    """By how much the best of all segments would improve the fit if only chance were left."""
    off = np.abs(candidates.seen - candidates.columns[:, list(subset)] @ effect)
    freedom = max(off.size - len(subset), 1)
    noise = float(np.median(off) / 0.6745) ** 2 * off.size / freedom
    return 2 * float(np.log(len(candidates.conditions))) * noise
