"""What each user did around one moment of theirs: several questions, each with its own window, in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ANY, COUNT, SUM, LARGEST, TIME = range(5)
"""What is measured: whether, how often, the sum or the largest of a number, or µs from the moment to the first event."""
FIRST_QUESTION: Final = 1
"""Bit of the marks of the first question; bit 0 is the event that chooses users and, without a fixed moment, the moment."""


@dataclass(frozen=True, slots=True)
class SignalRows:
    """One row per chosen user; partial results are appended.

    Attributes:
        users: user keys, shape (n,).
        moments: each user's moment, µs UTC, shape (n,).
        values: answers, shape (n, n_questions); `LARGEST` and `TIME` of nothing are NaN, all else of nothing is 0.
        group: code of the group column last known at the moment, -1 for none, shape (n,).
    """

    users: Ints
    moments: Ints
    values: Floats
    group: Ints

    def __add__(self, other: SignalRows) -> SignalRows:
        return SignalRows(
            np.concatenate((self.users, other.users)),
            np.concatenate((self.moments, other.moments)),
            np.concatenate((self.values, other.values)),
            np.concatenate((self.group, other.group)),
        )


@dataclass(frozen=True, slots=True)
class SignalKernel:
    """Answers for one batch of whole users.

    Args:
        measures: of each question, shape (n_questions,).
        lower: beginning of each question's window, µs from the moment, negative for before it.
        upper: its end, exclusive.
        numbers: column that holds each question's number, -1 for none; columns of numbers come first.
        start: first instant at which a moment may lie, µs UTC; with a fixed moment: earliest event that chooses a user.
        stop: end of that range, exclusive.
        moment: the same moment for everybody; None = each user's first event of bit 0, which must lie in the range.
        grouped: whether the last column holds group codes.
    """

    measures: Ints
    lower: Ints
    upper: Ints
    numbers: Ints
    start: int
    stop: int
    moment: int | None = None
    grouped: bool = False

    def __call__(self, batch: Sequences) -> SignalRows:
        """Answer for one batch."""
        n_numbers = len(batch.columns) - self.grouped
        numbers = np.empty((n_numbers, batch.n_events), np.float64)
        for i in range(n_numbers):
            numbers[i] = batch.columns[i]
        groups = batch.columns[-1].astype(np.int64) if self.grouped else np.zeros(0, np.int64)
        fixed = np.int64(-(2**63) if self.moment is None else self.moment)
        moments, chosen = _moments(
            batch.offsets, batch.times, batch.marks, self.start, self.stop, fixed, self.moment is not None
        )
        values = np.zeros((batch.n_users, len(self.measures)), np.float64)
        group = np.full(batch.n_users, -1, np.int64)
        _answers(
            batch.offsets, batch.times, batch.marks, numbers, groups, moments, chosen, self.measures, self.lower,
            self.upper, self.numbers, values, group,
        )  # fmt: skip
        return SignalRows(batch.users[chosen], moments[chosen], values[chosen], group[chosen])


@njit(cache=True, nogil=True)
def _moments(offsets, times, marks, start, stop, fixed, is_fixed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    moments = np.zeros(len(offsets) - 1, np.int64)
    chosen = np.zeros(len(offsets) - 1, np.bool_)
    for user in range(len(moments)):
        for row in range(offsets[user], offsets[user + 1]):
            if not marks[row] & 1:
                continue
            if start <= times[row] < stop:
                moments[user] = fixed if is_fixed else times[row]
                chosen[user] = True
                break
            if not is_fixed:
                break
    return moments, chosen


@njit(cache=True, nogil=True)
def _answers(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, numbers, groups, moments, chosen, measures, lower, upper, columns, values, group,  # noqa: ANN001
):  # fmt: skip
    earliest, latest = np.int64(0), np.int64(1)
    for j in range(len(measures)):
        earliest, latest = min(earliest, lower[j]), max(latest, upper[j])
    for user in range(len(moments)):
        if not chosen[user]:
            continue
        for j in range(len(measures)):
            if measures[j] >= LARGEST:
                values[user, j] = np.nan
        for row in range(offsets[user], offsets[user + 1]):
            past = times[row] - moments[user]
            if past >= latest:
                break
            if len(groups) > 0 and past <= 0 and groups[row] >= 0:
                group[user] = groups[row]
            if past < earliest:
                continue
            mark = marks[row] >> FIRST_QUESTION
            j = 0
            while mark:
                if mark & 1 and lower[j] <= past < upper[j]:
                    number = np.nan if columns[j] < 0 else numbers[columns[j], row]
                    if measures[j] == ANY:
                        values[user, j] = 1
                    elif measures[j] == COUNT:
                        values[user, j] += 1
                    elif measures[j] == TIME:
                        if np.isnan(values[user, j]):
                            values[user, j] = past
                    elif not np.isnan(number):
                        if measures[j] == SUM:
                            values[user, j] += number
                        elif np.isnan(values[user, j]) or number > values[user, j]:
                            values[user, j] = number
                mark >>= 1
                j += 1
