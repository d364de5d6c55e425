"""Lifecycle in one pass per user: new, returning, resurrecting and dormant, period by period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.periods import PeriodGrid, period_at

State = Literal["new", "returning", "resurrecting", "dormant"]
STATES: Final[tuple[State, ...]] = ("new", "returning", "resurrecting", "dormant")


@dataclass(frozen=True, slots=True)
class LifecycleCounts:
    """Users by period; partial results of different users add up.

    Attributes:
        active: users with an event in the period, shape (n_periods,).
        states: users by state, shape (4, n_periods), in the order of `STATES`. The first period has no states:
            what came before it is not laid out in periods.
    """

    active: NDArray[np.int64]
    states: NDArray[np.int64]

    def __add__(self, other: LifecycleCounts) -> LifecycleCounts:
        return LifecycleCounts(self.active + other.active, self.states + other.states)


@dataclass(frozen=True, slots=True)
class LifecycleKernel:
    """Lifecycle over the periods of a grid. Every event of a batch with a mark counts as activity.

    New is the first event ever: batches must hold events from before the grid, too. A user active in one period and not
    in the next is dormant there, once.

    Args:
        grid: periods; the first is the one before the range, for comparison.
    """

    grid: PeriodGrid

    def __call__(self, batch: Sequences) -> LifecycleCounts:
        """Count one batch."""
        return self._pass(batch, -1, np.zeros(0, dtype=np.int8))

    def states(self, batch: Sequences, period: int) -> NDArray[np.int8]:
        """State of each user of the batch in a period (index of the grid): index into `STATES`, -1 for none."""
        found = np.full(batch.n_users, -1, dtype=np.int8)
        self._pass(batch, period, found)
        return found

    def _pass(self, batch: Sequences, asked: int, found: NDArray[np.int8]) -> LifecycleCounts:
        n = self.grid.n_periods
        counts = LifecycleCounts(np.zeros(n, dtype=np.int64), np.zeros((4, n), dtype=np.int64))
        _lifecycle(
            batch.offsets, batch.times, batch.marks.astype(np.uint8, copy=False), self.grid.edges, self.grid.step,
            self.grid.table, counts.active, counts.states, asked, found,
        )  # fmt: skip
        return counts


@njit(cache=True, nogil=True)
def _lifecycle(offsets, times, marks, edges, step, table, active, states, asked, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_periods = len(active)
    for user in range(len(offsets) - 1):
        seen, last, until = False, -1, edges[0]
        for row in range(offsets[user], offsets[user + 1]):
            time = times[row]
            if not marks[row] & 1:
                continue
            if time < until:
                seen = True
                continue
            if time >= edges[-1]:
                break
            period = period_at(edges, step, table, time)
            until = edges[period + 1]
            active[period] += 1
            state = 0 if not seen else (1 if last == period - 1 and last >= 0 else 2)
            if period > 0:
                states[state, period] += 1
                if period == asked:
                    found[user] = state
            if last >= 0 and last < period - 1:
                states[3, last + 1] += 1
                if last + 1 == asked:
                    found[user] = 3
            seen, last = True, period
        if last >= 0 and last + 1 < n_periods:
            states[3, last + 1] += 1
            if last + 1 == asked:
                found[user] = 3
