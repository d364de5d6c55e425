"""Active days: how many of them in each period, and users active on any of the last k days, day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.periods import PeriodGrid, period_at


@dataclass(frozen=True, slots=True)
class ActiveDaysKernel:
    """Users by the number of distinct active units (days, say) in each period. Every marked event is activity.

    Args:
        units: grid of the units.
        period_of_unit: period that holds each unit, ascending, shape (n_units,).
        n_periods: number of periods.
    """

    units: PeriodGrid
    period_of_unit: NDArray[np.int64]
    n_periods: int

    def __call__(self, batch: Sequences) -> NDArray[np.int64]:
        """Histogram of one batch: users by (period, number of units), shape (n_periods, most units + 1); adds up."""
        return self._pass(batch, -1, np.zeros(0, dtype=np.int64))

    def days(self, batch: Sequences, period: int) -> NDArray[np.int64]:
        """Number of active units of each user of the batch in one period."""
        found = np.zeros(batch.n_users, dtype=np.int64)
        self._pass(batch, period, found)
        return found

    def _pass(self, batch: Sequences, asked: int, found: NDArray[np.int64]) -> NDArray[np.int64]:
        most = int(np.bincount(self.period_of_unit).max())
        histogram = np.zeros((self.n_periods, most + 1), dtype=np.int64)
        _active_days(
            batch.offsets, batch.times, batch.marks.astype(np.uint8, copy=False), self.units.edges, self.units.step,
            self.units.table, self.period_of_unit, histogram, asked, found,
        )  # fmt: skip
        return histogram


@dataclass(frozen=True, slots=True)
class TrailingKernel:
    """Users active on any of the last k days, for every day: k = 1 is DAU, 7 WAU, 30 MAU.

    Args:
        days: grid of days; it begins at least max(lengths) - 1 days before the first day wanted.
        lengths: the k, shape (n_lengths,).
    """

    days: PeriodGrid
    lengths: NDArray[np.int64]

    def __call__(self, batch: Sequences) -> NDArray[np.int64]:
        """Users of one batch by (length, day), shape (n_lengths, n_days); adds up."""
        changes = np.zeros((len(self.lengths), self.days.n_periods + 1), dtype=np.int64)
        _trailing(
            batch.offsets, batch.times, batch.marks.astype(np.uint8, copy=False), self.days.edges, self.days.step,
            self.days.table, self.lengths, changes,
        )  # fmt: skip
        return changes.cumsum(axis=1)[:, :-1]


@njit(cache=True, nogil=True)
def _active_days(offsets, times, marks, edges, step, table, period_of_unit, histogram, asked, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for user in range(len(offsets) - 1):
        until, period, held = edges[0], -1, 0
        for row in range(offsets[user], offsets[user + 1]):
            time = times[row]
            if time < until or not marks[row] & 1:
                continue
            if time >= edges[-1]:
                break
            unit = period_at(edges, step, table, time)
            until = edges[unit + 1]
            if period_of_unit[unit] != period:
                if held:
                    histogram[period, held] += 1
                period, held = period_of_unit[unit], 0
            held += 1
            if period == asked:
                found[user] = held
        if held:
            histogram[period, held] += 1


@njit(cache=True, nogil=True)
def _trailing(offsets, times, marks, edges, step, table, lengths, changes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_days = changes.shape[1] - 1
    covered = np.empty(len(lengths), dtype=np.int64)  # first day that this user does not count for yet
    for user in range(len(offsets) - 1):
        until = edges[0]
        covered[:] = 0
        for row in range(offsets[user], offsets[user + 1]):
            time = times[row]
            if time < until or not marks[row] & 1:
                continue
            if time >= edges[-1]:
                break
            day = period_at(edges, step, table, time)
            until = edges[day + 1]
            for i in range(len(lengths)):
                first, end = max(day, covered[i]), min(day + lengths[i], n_days)
                if first < end:
                    changes[i, first] += 1
                    changes[i, end] -= 1
                    covered[i] = end
