"""Which period an instant falls in, without a search: a table of equal steps, then at most one step on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PeriodGrid:
    """Periods between ascending edges, with a table that finds the period of an instant in constant time.

    Args:
        edges: edges in µs UTC, shape (n_periods + 1,), as `Calendar.edges` gives them.
        step: length of the shortest period; no step of the table touches more than two periods.
        table: period that contains the instant ``edges[0] + i * step``.
    """

    edges: NDArray[np.int64]
    step: int
    table: NDArray[np.int64]

    @classmethod
    def of(cls, edges: NDArray[np.int64]) -> PeriodGrid:
        """The grid over `edges`.

        Examples:
            >>> grid = PeriodGrid.of(np.array([0, 10, 30, 40], dtype=np.int64))
            >>> [int(period_at(grid.edges, grid.step, grid.table, t)) for t in (0, 9, 10, 29, 39)]
            [0, 0, 1, 1, 2]
        """
        edges = np.ascontiguousarray(edges, dtype=np.int64)
        step = int(np.diff(edges).min())
        marks = np.arange(edges[0], edges[-1], step, dtype=np.int64)
        return cls(edges, step, np.searchsorted(edges, marks, side="right").astype(np.int64) - 1)

    @property
    def n_periods(self) -> int:
        """Number of periods."""
        return len(self.edges) - 1


@njit(cache=True, nogil=True, inline="always")
def period_at(edges: NDArray[np.int64], step: int, table: NDArray[np.int64], time: int) -> int:
    """Period of an instant with ``edges[0] <= time < edges[-1]``; the caller has checked that."""
    found: int = table[(time - edges[0]) // step]
    while time >= edges[found + 1]:
        found += 1
    return found
