"""Time from one event to the next of another kind, or of the same kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences


@dataclass(frozen=True, slots=True)
class Intervals:
    """Gaps with their users; partial results of different users are appended.

    Attributes:
        gaps: µs, shape (n,), in order of user and time.
        users: whose gap it is, shape (n,).
        open_ends: first events that nothing followed.
        openers: users with at least one first event.
    """

    gaps: NDArray[np.int64]
    users: NDArray[np.int64]
    open_ends: int
    openers: int

    def __add__(self, other: Intervals) -> Intervals:
        return Intervals(
            np.concatenate((self.gaps, other.gaps)),
            np.concatenate((self.users, other.users)),
            self.open_ends + other.open_ends,
            self.openers + other.openers,
        )


@dataclass(frozen=True, slots=True)
class IntervalKernel:
    """From each first event (mark 0) to the nearest later second event (mark 1) with no other first event between.

    With the same question for both marks these are the gaps between neighbours. Events at one instant follow their
    stored order; a second event is never the first event itself.

    Args:
        start: first instant at which a first event counts, µs UTC.
        stop: end of that range, exclusive; second events may come later.
    """

    start: int
    stop: int

    def __call__(self, batch: Sequences) -> Intervals:
        """The gaps of one batch."""
        gaps = np.empty(batch.n_events, dtype=np.int64)
        owners = np.empty(batch.n_events, dtype=np.int64)
        marks = batch.marks.astype(np.uint8, copy=False)
        n, open_ends, openers = _intervals(batch.offsets, batch.times, marks, self.start, self.stop, gaps, owners)
        return Intervals(gaps[:n].copy(), batch.users[owners[:n]], open_ends, openers)


@njit(cache=True, nogil=True)
def _intervals(offsets, times, marks, start, stop, gaps, owners):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n = open_ends = openers = 0
    for user in range(len(offsets) - 1):
        opened, began, any_first = -1, False, False
        for row in range(offsets[user], offsets[user + 1]):
            if began and marks[row] & 2:
                gaps[n], owners[n] = times[row] - opened, user
                n += 1
                began = False
            if marks[row] & 1 and start <= times[row] < stop:
                open_ends += began
                opened, began, any_first = times[row], True, True
        open_ends += began
        openers += any_first
    return n, open_ends, openers
