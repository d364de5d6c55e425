"""A posterior on a grid of one or two parameters, and many such grids leaning on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp, ndtr

from upswing.stats._arrays import FloatArray

MEANS, SPREADS = 25, 14
MIN_POOLED = 3
"""With fewer units the spread between them is not known at all."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What one unit's data say about its parameters.

    Attributes:
        cells: centres, shape (n_cells, k).
        edges: of the cells along each axis.
        width: of a cell along each axis, shape (k,).
        log_likelihood: per cell, everything but the k parameters integrated out.
        weight: posterior probability per cell.
        level: best log scale per cell.
        squares: residual sum of squares per cell.
        points: data points.
        middle: log spend from which the parameters are measured.
    """

    cells: FloatArray
    edges: tuple[FloatArray, ...]
    width: FloatArray
    log_likelihood: FloatArray
    weight: FloatArray
    level: FloatArray
    squares: FloatArray
    points: int
    middle: float


def pool(grids: Sequence[Grid], bounds: Sequence[tuple[float, float]]) -> tuple[tuple[Grid, ...], FloatArray, float]:
    """Return each unit's posterior given all units, the mean spread between units, and the log evidence.

    Along each axis the true parameters are normal over units, cut off at `bounds`. Mean and spread have flat priors:
    the mean over `bounds`, the spread up to half their width. Both are summed over a grid, so the uncertainty of the
    spread, which a single estimate would hide, is part of every answer. With fewer than three units each stands alone.
    """
    k = len(bounds)
    if len(grids) < MIN_POOLED:
        alone = sum((_evidence_alone(grid, bounds) for grid in grids), 0.0)
        return tuple(grids), np.full(k, np.nan), alone
    axes = [_hyper_axis(grids, axis, bounds[axis]) for axis in range(k)]
    # Prior probability of each cell of each unit for each (mean, spread), per axis: shape (n_hyper, n_cells_on_axis).
    priors = [
        [_cell_mass(grid.edges[axis], means, spreads, bounds[axis]) for axis, (means, spreads, _) in enumerate(axes)]
        for grid in grids
    ]
    peaks = [grid.log_likelihood.max() for grid in grids]
    likelihoods = [
        np.exp(g.log_likelihood - top).reshape([e.size - 1 for e in g.edges])
        for g, top in zip(grids, peaks, strict=True)
    ]
    marginals = [_through(likelihood, prior) for likelihood, prior in zip(likelihoods, priors, strict=True)]
    log_prior = sum(np.meshgrid(*[log_weight for _, _, log_weight in axes], indexing="ij"), np.zeros(1))
    with np.errstate(divide="ignore"):
        joint = log_prior + sum((np.log(marginal) for marginal in marginals), np.zeros(1))
    evidence = float(logsumexp(joint))
    hyper = np.exp(joint - evidence)
    pooled = []
    for grid, likelihood, prior, marginal in zip(grids, likelihoods, priors, marginals, strict=True):
        share = np.divide(hyper, marginal, out=np.zeros_like(hyper), where=marginal > 0)
        weight = (likelihood * _through(share, [matrix.T for matrix in prior])).ravel()
        pooled.append(replace(grid, weight=weight / weight.sum()))
    between = np.array([
        float(hyper.sum(axis=tuple(other for other in range(k) if other != axis)) @ axes[axis][1]) for axis in range(k)
    ])  # fmt: skip
    return tuple(pooled), between, evidence + float(sum(peaks))


def quantiles(grid: Grid, confidence: float, bounds: Sequence[tuple[float, float]]) -> FloatArray:
    """Return median, lower and upper limit per parameter, shape (3, k).

    A limit that falls into the last cell before the end of the prior range is infinite (or minus infinite): there the
    range and not the data ended the posterior.
    """
    shape = [edge.size - 1 for edge in grid.edges]
    answer = np.empty((3, len(shape)))
    for axis, (edge, (low, high)) in enumerate(zip(grid.edges, bounds, strict=True)):
        mass = grid.weight.reshape(shape).sum(axis=tuple(o for o in range(len(shape)) if o != axis))
        total = np.concatenate([[0.0], mass.cumsum()])
        level = np.array([0.5, (1 - confidence) / 2, (1 + confidence) / 2])
        answer[:, axis] = np.interp(level, total / total[-1], edge)
        step = (high - low) / 240
        if answer[1, axis] < low + step and low != 0:
            answer[1, axis] = -np.inf
        if answer[2, axis] > high - step:
            answer[2, axis] = np.inf
    return answer


def _evidence_alone(grid: Grid, bounds: Sequence[tuple[float, float]]) -> float:
    volume = sum(np.log(high - low) for low, high in bounds)
    return float(logsumexp(grid.log_likelihood) + np.log(grid.width).sum() - volume)


def _hyper_axis(
    grids: Sequence[Grid], axis: int, bounds: tuple[float, float]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means and spreads to try along one axis, all pairs, and the log prior probability of each pair."""
    low = min(grid.edges[axis][0] for grid in grids)
    high = max(grid.edges[axis][-1] for grid in grids)
    reach, whole = high - low, bounds[1] - bounds[0]
    # Spreads far below what the most precise unit can tell make no difference: start there, in equal ratios.
    narrowest = min(float(np.sqrt(_variance(grid, axis))) for grid in grids)
    finest = max(min(narrowest / 4, reach / 20), reach / 400)
    spread = np.geomspace(finest, max(reach / 2, 2 * finest), SPREADS)
    step = np.gradient(spread)
    step[0] += spread[0]
    mean = np.linspace(low, high, MEANS * (2 if len(grids[0].edges) == 1 else 1))
    pairs = np.stack(np.meshgrid(mean, spread, indexing="ij"), axis=-1).reshape(-1, 2)
    share = (reach / whole / mean.size) * np.minimum(step / (whole / 2), 1.0)
    return pairs[:, 0], pairs[:, 1], np.log(np.tile(share, mean.size))


def _variance(grid: Grid, axis: int) -> float:
    centre = grid.cells[:, axis]
    return max(float(grid.weight @ centre**2 - (grid.weight @ centre) ** 2), float(grid.width[axis]) ** 2 / 12)


def _cell_mass(edges: FloatArray, means: FloatArray, spreads: FloatArray, bounds: tuple[float, float]) -> FloatArray:
    below = ndtr((edges - means[:, None]) / spreads[:, None])
    allowed = ndtr((bounds[1] - means) / spreads) - ndtr((bounds[0] - means) / spreads)
    return np.asarray(np.diff(below, axis=1) / allowed[:, None])


def _through(block: FloatArray, matrices: Sequence[FloatArray]) -> FloatArray:
    """Multiply each axis of the block by its matrix."""
    for axis, matrix in enumerate(matrices):
        block = np.moveaxis(np.tensordot(matrix, block, axes=(1, axis)), 0, axis)
    return block
