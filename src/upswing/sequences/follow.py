"""Starts and what follows them: the kernel behind conversion and retention metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences

START, TARGET = 1, 2
"""Bits of the marks this kernel reads."""


@dataclass(frozen=True, slots=True)
class Followed:
    """One row per user and period with a start.

    Args:
        users: user key, shape (n,).
        period: index of the period, shape (n,).
        followed: whether the target followed the first start of that period inside the window, shape (n,).
        mature: whether the window had closed by the horizon, shape (n,).
    """

    users: NDArray[np.int64]
    period: NDArray[np.int64]
    followed: NDArray[np.bool_]
    mature: NDArray[np.bool_]

    def merge(self, other: Followed) -> Followed:
        """The rows of two disjoint sets of users."""
        return Followed(
            np.concatenate((self.users, other.users)),
            np.concatenate((self.period, other.period)),
            np.concatenate((self.followed, other.followed)),
            np.concatenate((self.mature, other.mature)),
        )


def follow(batch: Sequences, edges: NDArray[np.int64], after: int, until: int, horizon: int) -> Followed:
    """For each user and period: the first start, and whether a target lies in [start + after, start + until).

    With ``after == 0`` the target must come strictly later in the order of the user's events, or at the same time from
    another event; the start itself never counts as its own target.

    Args:
        batch: marks have bit 1 for starts and bit 2 for targets.
        edges: ascending period edges in µs UTC; starts outside are ignored.
        after: earliest time after the start, µs, inclusive.
        until: end of the window after the start, µs, exclusive.
        horizon: time of the last trusted event; a window is mature when it ends at or before it.
    """
    users, period, followed, mature = _follow(
        batch.users, batch.offsets, batch.times, batch.marks, np.asarray(edges, np.int64), after, until, horizon
    )
    return Followed(users, period, followed, mature)


@numba.njit(cache=True, nogil=True)
def _follow(users, offsets, times, marks, edges, after, until, horizon):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    n_periods = len(edges) - 1
    out_user, out_period = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    out_followed, out_mature = [False for _ in range(0)], [False for _ in range(0)]
    for u in range(len(users)):
        period = 0
        last = -1
        reach = offsets[u]
        for i in range(offsets[u], offsets[u + 1]):
            if not marks[i] & 1:
                continue
            t = times[i]
            if t < edges[0] or t >= edges[n_periods]:
                continue
            while t >= edges[period + 1]:
                period += 1
            if period == last:
                continue
            last = period
            # first event at or after the window's beginning; events are sorted, so the pointer only moves on
            while reach < offsets[u + 1] and times[reach] < t + after:
                reach += 1
            found = False
            for j in range(reach, offsets[u + 1]):
                if times[j] >= t + until:
                    break
                if marks[j] & 2 and j != i:
                    found = True
                    break
            out_user.append(users[u])
            out_period.append(np.int64(period))
            out_followed.append(found)
            out_mature.append(t + until <= horizon)
    n = len(out_user)
    a, b = np.empty(n, np.int64), np.empty(n, np.int64)
    c, d = np.empty(n, np.bool_), np.empty(n, np.bool_)
    for k in range(n):
        a[k], b[k], c[k], d[k] = out_user[k], out_period[k], out_followed[k], out_mature[k]
    return a, b, c, d
