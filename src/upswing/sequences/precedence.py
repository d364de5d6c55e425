# ruff: noqa: ANN001, ANN202 - numba infers the types of compiled functions
"""When users first do each of several things, and which of two they do first, for all pairs in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences


@dataclass(frozen=True, slots=True)
class Precedence:
    """Counts of users for every pair (a, b) of things, each of shape (k, k).

    Args:
        earlier: users with both whose first `a` is before their first `b`.
        tied: users with both, first done at the same moment; on the diagonal all who did it.
        soon: users with both whose first `b` follows their first `a` at once or within the limit.
    """

    earlier: NDArray[np.int64]
    tied: NDArray[np.int64]
    soon: NDArray[np.int64]

    def pick(self, things: list[int]) -> Precedence:
        """The counts among some of the things."""
        chosen = np.ix_(things, things)
        return Precedence(self.earlier[chosen], self.tied[chosen], self.soon[chosen])

    @property
    def reach(self) -> NDArray[np.int64]:
        """Users who ever did each thing, shape (k,)."""
        return np.diagonal(self.tied)

    @property
    def both(self) -> NDArray[np.int64]:
        """Users who did both."""
        return self.earlier + self.earlier.T + self.tied

    @property
    def order(self) -> NDArray[np.float64]:
        """Among users with both, the share whose first `a` is before their first `b`, a tie counting half; ½ where nobody is."""
        both = self.both
        return np.where(both > 0, (self.earlier + 0.5 * self.tied) / np.maximum(both, 1), 0.5)


def first_times(batch: Sequences, things: int) -> NDArray[np.float64]:
    """First time of each mark per user, µs, shape (users, things); inf where never.

    Args:
        batch: whole users.
        things: number of marks, at most 64.

    Examples:
        >>> batch = Sequences(
        ...     users=np.array([7]), offsets=np.array([0, 3]), times=np.array([10, 20, 30]), marks=np.array([2, 1, 3])
        ... )
        >>> first_times(batch, 3).tolist()
        [[20.0, 10.0, inf]]
    """
    first = np.full((batch.n_users, things), np.inf)
    _note_first(batch.offsets, batch.times, batch.marks.astype(np.uint64, copy=False), first)
    return first


def precedence(first: NDArray[np.float64], limit: float) -> Precedence:
    """Count every pair.

    Args:
        first: first time of each thing per user, shape (users, k); inf where never.
        limit: longest time that is soon, in the unit of `first`.

    Examples:
        >>> counted = precedence(np.array([[1.0, 2.0], [5.0, np.inf], [3.0, 3.0]]), limit=10.0)
        >>> counted.reach.tolist(), counted.earlier[0, 1], counted.tied[0, 1], counted.soon[0, 1]
        ([3, 2], np.int64(1), np.int64(1), np.int64(2))
    """
    return Precedence(*_count(np.ascontiguousarray(first, np.float64), float(limit)))


@njit(nogil=True, cache=True)
def _note_first(offsets, times, marks, first):  # type: ignore[no-untyped-def]
    things = first.shape[1]
    for u in range(len(offsets) - 1):
        for row in range(offsets[u], offsets[u + 1]):
            bits = marks[row]
            thing = 0
            while bits and thing < things:
                if bits & np.uint64(1) and first[u, thing] == np.inf:
                    first[u, thing] = times[row]
                bits >>= np.uint64(1)
                thing += 1


@njit(nogil=True, cache=True)
def _count(first, limit):  # type: ignore[no-untyped-def]
    k = first.shape[1]
    earlier, tied, soon = np.zeros((k, k), np.int64), np.zeros((k, k), np.int64), np.zeros((k, k), np.int64)
    did = np.empty(k, np.int64)
    for u in range(first.shape[0]):
        n = 0
        for a in range(k):
            did[n] = a
            n += first[u, a] < np.inf
        for i in range(n):
            a = did[i]
            for j in range(n):
                b = did[j]
                gap = first[u, b] - first[u, a]
                earlier[a, b] += gap > 0
                tied[a, b] += gap == 0
                soon[a, b] += (gap >= 0) & (gap <= limit)
    return earlier, tied, soon
