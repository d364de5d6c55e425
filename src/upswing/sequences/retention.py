"""Retention in one pass per user: cohorts by the period of the start, returns by lag, at any of four ways of counting.

A period (lag) of a user *counts* when it holds at least `min_count` return events. Lag 0 is the start itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.periods import PeriodGrid, period_at

Entry = Literal["recurring", "first-time", "first-ever"]
At = Literal["on", "on-or-after", "on-or-before", "brackets"]

START: Final = 1
"""Bit of `Sequences.marks`: the event is a start."""
RETURN: Final = 2
"""Bit of `Sequences.marks`: the event is a return."""
START_TYPE: Final = 4
"""Bit of `Sequences.marks`: the event is of the start's type, whatever its properties (first-ever)."""

_ENTRIES: Final = {"recurring": 0, "first-time": START, "first-ever": START_TYPE}
_WAYS: Final = {"on": 0, "on-or-after": 1, "on-or-before": 2, "brackets": 3}


@dataclass(frozen=True, slots=True)
class RetentionCounts:
    """What a pass counts; partial results of different users add up.

    Attributes:
        sizes: users of each cohort, shape (n_groups, n_cohorts).
        retained: users retained, shape (n_groups, n_cohorts, n_cells); a cell is a lag, or a bracket of lags.
        ages: users by the number of whole lags between their start and the horizon, capped at n_lags, shape
            (n_groups, n_cohorts, n_lags + 1); all zero on the calendar clock, where the calendar tells.
        sums: sum of the property over return events by lag, from the start on, shape (n_groups, n_cohorts, n_lags).
    """

    sizes: NDArray[np.int64]
    retained: NDArray[np.int64]
    ages: NDArray[np.int64]
    sums: NDArray[np.float64]

    def __add__(self, other: RetentionCounts) -> RetentionCounts:
        return RetentionCounts(
            self.sizes + other.sizes,
            self.retained + other.retained,
            self.ages + other.ages,
            self.sums + other.sums,
        )


@dataclass(frozen=True, slots=True)
class RetentionKernel:
    """One retention question, ready to be run over batches.

    Args:
        grid: periods; the first `n_cohorts` are cohorts, the rest reaches as far as returns are looked for.
        n_cohorts: number of cohort periods.
        start: first instant of the entry range, µs UTC, inclusive.
        stop: end of the entry range, exclusive.
        n_lags: number of lags, lag 0 included.
        entry: ``recurring``: a user is in every period with a start; ``first-time``: only in that of the earliest
            start; ``first-ever``: of the earliest event of the start's type, if that one is a start.
        at: ``on``: the lag counts; ``on-or-after``: it or any later lag counts; ``on-or-before``: any of 1…lag counts;
            ``brackets``: any lag of the bracket counts.
        brackets: first and last lag of each bracket, shape (n_brackets, 2).
        rolling: length in µs of a lag counted from each user's own start; 0 for the calendar clock.
        horizon: time of the last trusted event, for `RetentionCounts.ages`.
        min_count: fewest return events in a lag for it to count.
        n_groups: number of breakdown groups; codes come from the first column of the batch.
        with_sum: whether the last column of the batch is a property to sum over return events.
    """

    grid: PeriodGrid
    n_cohorts: int
    start: int
    stop: int
    n_lags: int
    horizon: int
    entry: Entry = "recurring"
    at: At = "on"
    brackets: NDArray[np.int64] | None = None
    rolling: int = 0
    min_count: int = 1
    n_groups: int = 1
    with_sum: bool = False

    def __call__(self, batch: Sequences) -> RetentionCounts:
        """Count one batch."""
        return self._pass(batch, (-1, -1, -1), np.zeros(0, dtype=np.uint8))

    def members(self, batch: Sequences, *, cohort: int, cell: int, group: int = -1) -> NDArray[np.uint8]:
        """Where each user of the batch stands: 0 not in the cohort, 1 lost, 2 retained in the cell; any group if -1."""
        standing = np.zeros(batch.n_users, dtype=np.uint8)
        self._pass(batch, (group, cohort, cell), standing)
        return standing

    def _pass(self, batch: Sequences, asked: tuple[int, int, int], standing: NDArray[np.uint8]) -> RetentionCounts:
        brackets = np.zeros((0, 2), dtype=np.int64) if self.brackets is None else self.brackets
        n_cells = len(brackets) if self.at == "brackets" else self.n_lags
        shape = (self.n_groups, self.n_cohorts)
        counts = RetentionCounts(
            np.zeros(shape, dtype=np.int64),
            np.zeros((*shape, n_cells), dtype=np.int64),
            np.zeros((*shape, self.n_lags + 1), dtype=np.int64),
            np.zeros((*shape, self.n_lags), dtype=np.float64),
        )
        codes = batch.columns[0] if self.n_groups > 1 else np.zeros(0, dtype=np.int32)
        amounts = batch.columns[-1] if self.with_sum else np.zeros(0, dtype=np.float64)
        _retention(
            batch.offsets, batch.times, batch.marks.astype(np.uint8, copy=False), codes.astype(np.int32, copy=False),
            amounts.astype(np.float64, copy=False), self.grid.edges, self.grid.step, self.grid.table,
            (self.start, self.stop, self.horizon), (_ENTRIES[self.entry], _WAYS[self.at], self.rolling, self.min_count),
            brackets, counts.sizes, counts.retained, counts.ages, counts.sums, asked, standing,
        )  # fmt: skip
        return counts


@njit(cache=True, nogil=True)
def _retention(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, codes, amounts, edges, step, table, span, rules, brackets,  # noqa: ANN001
    sizes, retained, ages, sums, asked, standing,  # noqa: ANN001
):  # fmt: skip
    horizon = span[2]
    entry, way, rolling, min_count = rules
    n_groups, n_cohorts, n_lags = sums.shape
    first_rows = np.empty(n_cohorts, dtype=np.int64)  # row of the user's start in each cohort it is in
    cohorts = np.empty(n_cohorts, dtype=np.int64)
    longest = 0
    for user in range(len(offsets) - 1):
        longest = max(longest, offsets[user + 1] - offsets[user])
    # Lags of a start (or calendar periods of a user) that hold returns, with how many: never more than events.
    found = np.empty(longest + 1, dtype=np.int64)
    counts = np.empty(longest + 1, dtype=np.int64)
    lags = np.empty(longest + 1, dtype=np.int64)
    start_rows = np.empty(longest + 1, dtype=np.int64)  # row of the start in each of the user's calendar periods
    for user in range(len(offsets) - 1):
        lo, hi = offsets[user], offsets[user + 1]
        n_found = 0
        if rolling == 0:
            n_found = _periods(lo, hi, times, marks, edges, step, table, span, n_cohorts, found, counts, start_rows)
            if n_found and entry != 0:
                start_rows[:n_found] = -1
        if rolling != 0 or entry != 0:
            n_starts = _starts(lo, hi, times, marks, edges, step, table, span, entry, n_cohorts, first_rows, cohorts)
            if n_starts == 0:
                continue
            if rolling == 0:
                for i in range(n_found):
                    if found[i] == cohorts[0]:
                        start_rows[i] = first_rows[0]
        for s in range(n_found if rolling == 0 else n_starts):
            row, cohort = (start_rows[s], found[s]) if rolling == 0 else (first_rows[s], cohorts[s])
            if row < 0:
                continue
            group = 0 if n_groups == 1 else (codes[row] if codes[row] >= 0 else n_groups - 1)
            n = 0
            if rolling == 0:
                for i in range(s + 1, n_found):
                    lag = found[i] - cohort
                    if lag >= n_lags and way != 1:
                        break
                    lags[n] = lag
                    n += counts[i] >= min_count
            else:
                origin = times[row]
                n = _rolling_lags(row, hi, times, marks, origin, rolling, min_count, n_lags, way, lags)
                ages[group, cohort, max(0, min(n_lags, (horizon - origin) // rolling))] += 1
            sizes[group, cohort] += 1
            watched = asked[1] == cohort and (asked[0] == -1 or asked[0] == group)
            before = retained[group, cohort, asked[2]] if watched else 0
            if way == 0:
                retained[group, cohort, 0] += 1
                for i in range(n):
                    retained[group, cohort, lags[i]] += 1
            else:
                _credit(way, lags, n, n_lags, brackets, retained[group, cohort])
            if watched:
                standing[user] = 2 if retained[group, cohort, asked[2]] > before else 1
            if len(amounts) > 0:
                _add_amounts(row, lo, hi, times, marks, amounts, edges, step, table, cohort, rolling,
                             sums[group, cohort])  # fmt: skip


@njit(cache=True, nogil=True)
def _starts(lo, hi, times, marks, edges, step, table, span, entry, n_cohorts, first_rows, cohorts):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows at which the user starts, one per cohort, ascending; returns how many."""
    start, stop = max(span[0], edges[0]), min(span[1], edges[n_cohorts])
    if entry == 0:
        n, until = 0, start  # everything before `until` is in a cohort already entered, or before the range
        for row in range(lo, hi):
            time = times[row]
            if time >= stop:
                break
            if time >= until and marks[row] & 1:
                cohort = period_at(edges, step, table, time)
                first_rows[n], cohorts[n] = row, cohort
                until = edges[cohort + 1]
                n += 1
        return n
    # The earliest event of the kind; of several at that instant, one that is a start is enough.
    row = lo
    while row < hi and not marks[row] & entry:
        row += 1
    if row == hi or not start <= times[row] < stop:
        return 0
    origin = times[row]
    while row < hi and times[row] == origin:
        if marks[row] & 1 and marks[row] & entry:
            first_rows[0], cohorts[0] = row, period_at(edges, step, table, origin)
            return 1
        row += 1
    return 0


@njit(cache=True, nogil=True)
def _periods(lo, hi, times, marks, edges, step, table, span, n_cohorts, found, counts, start_rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Calendar periods with events, ascending: each one's number of returns and first start (-1 none); how many."""
    start, stop = max(span[0], edges[0]), min(span[1], edges[n_cohorts])
    last = edges[-1]
    n, until = 0, edges[0]
    for i in range(lo, hi):
        time = times[i]
        if time >= until:
            if time >= last:
                break
            period = period_at(edges, step, table, time)
            found[n], counts[n], start_rows[n] = period, 0, -1
            until = edges[period + 1]
            n += 1
        elif n == 0:
            continue
        counts[n - 1] += (marks[i] >> 1) & 1
        if marks[i] & 1 and start_rows[n - 1] < 0 and start <= time < stop:
            start_rows[n - 1] = i
    return n


@njit(cache=True, nogil=True)
def _rolling_lags(row, hi, times, marks, origin, length, min_count, n_lags, way, lags):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Lags after 0, counted from the user's own start, that hold enough returns, ascending; returns how many."""
    n, current, held = 0, 0, 0
    until = origin + length
    for i in range(row, hi):
        if not marks[i] & 2:
            continue
        time = times[i]
        if time >= until:
            current = (time - origin) // length
            if current >= n_lags and way != 1:
                break
            until = origin + (current + 1) * length
            held = 0
        held += 1
        if held == min_count and current > 0:
            lags[n] = current
            n += 1
    return n


@njit(cache=True, nogil=True)
def _credit(way, lags, n, n_lags, brackets, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add one user to the cells it is retained in, given the lags (ascending, all after 0) that count."""
    if way == 3:
        for b in range(len(brackets)):
            if brackets[b, 0] == 0:
                cells[b] += 1
                continue
            for i in range(n):
                if brackets[b, 0] <= lags[i] <= brackets[b, 1]:
                    cells[b] += 1
                    break
        return
    cells[0] += 1
    if n == 0:
        return
    if way == 1:
        for lag in range(1, min(lags[n - 1], n_lags - 1) + 1):
            cells[lag] += 1
    else:
        for lag in range(lags[0], n_lags):
            cells[lag] += 1


@njit(cache=True, nogil=True)
def _add_amounts(row, lo, hi, times, marks, amounts, edges, step, table, cohort, rolling, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the amounts of return events from the start's instant on to their lags; null amounts add nothing."""
    origin = times[row]
    while row > lo and times[row - 1] == origin:
        row -= 1
    for i in range(row, hi):
        if not marks[i] & 2 or np.isnan(amounts[i]):
            continue
        if rolling == 0:
            if times[i] >= edges[-1]:
                break
            lag = period_at(edges, step, table, times[i]) - cohort
        else:
            lag = (times[i] - origin) // rolling
        if lag >= len(sums):
            break
        sums[lag] += amounts[i]
