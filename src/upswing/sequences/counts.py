"""How often, how much, and on how many days: one number per user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.periods import PeriodGrid, period_at


@dataclass(frozen=True, slots=True)
class UserCounts:
    """One row per user with at least one marked event; partial results of different users are appended.

    Attributes:
        users: user keys.
        events: number of marked events.
        days: distinct active days; with a window, the most in any stretch of that many consecutive days.
        sums: sum of the first number column over marked events, nulls left out; 0 without such a column.
        valued: marked events whose number is not null.
    """

    users: NDArray[np.int64]
    events: NDArray[np.int64]
    days: NDArray[np.int64]
    sums: NDArray[np.float64]
    valued: NDArray[np.int64]

    def __add__(self, other: UserCounts) -> UserCounts:
        return UserCounts(
            np.concatenate((self.users, other.users)),
            np.concatenate((self.events, other.events)),
            np.concatenate((self.days, other.days)),
            np.concatenate((self.sums, other.sums)),
            np.concatenate((self.valued, other.valued)),
        )


@dataclass(frozen=True, slots=True)
class CountKernel:
    """Counts per user over the days of a grid.

    Args:
        days: grid of local days; events outside it do not count.
        window: length in days of the busiest stretch asked for; 0 = all days.
    """

    days: PeriodGrid
    window: int = 0

    def __call__(self, batch: Sequences) -> UserCounts:
        """Count one batch."""
        n = batch.n_users
        events, days, valued = (np.zeros(n, dtype=np.int64) for _ in range(3))
        sums = np.zeros(n, dtype=np.float64)
        amounts = batch.columns[0].astype(np.float64, copy=False) if batch.columns else np.zeros(0, dtype=np.float64)
        _counts(
            batch.offsets, batch.times, batch.marks.astype(np.uint8, copy=False), amounts, self.days.edges,
            self.days.step, self.days.table, self.window, events, days, sums, valued,
        )  # fmt: skip
        here = events > 0
        return UserCounts(batch.users[here], events[here], days[here], sums[here], valued[here])


@njit(cache=True, nogil=True)
def _counts(offsets, times, marks, amounts, edges, step, table, window, events, days, sums, valued):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    active = np.empty(len(edges) - 1, dtype=np.int64)  # active days of one user, ascending
    for user in range(len(offsets) - 1):
        n, oldest, until = 0, 0, edges[0]
        for row in range(offsets[user], offsets[user + 1]):
            time = times[row]
            if not marks[row] & 1 or time < edges[0]:
                continue
            if time >= edges[-1]:
                break
            events[user] += 1
            if len(amounts) > 0 and not np.isnan(amounts[row]):
                sums[user] += amounts[row]
                valued[user] += 1
            if time < until:
                continue
            day = period_at(edges, step, table, time)
            until = edges[day + 1]
            active[n] = day
            n += 1
            if window > 0:
                while active[oldest] <= day - window:
                    oldest += 1
            days[user] = max(days[user], n - oldest)
