# ruff: noqa: ANN001, ANN201 - numba infers the types of compiled functions
"""Times along chains: entry and time to each step, and what the tables of a funnel need of them."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def chain_times(starts, times, unit, rows, entry, elapsed):  # type: ignore[no-untyped-def]
    """Write the entry of every chain, and the µs from it to each step (-1 where the step was not taken).

    Args:
        starts: first row of each unit.
        times: µs of every row.
        unit: number of the unit of each chain, shape (n,).
        rows: row within the unit of each step, -1 where it is not reached, shape (n, steps).
        entry: out: shape (n,).
        elapsed: out: shape (steps, n).
    """
    steps = rows.shape[1]
    for c in range(len(unit)):
        base = starts[unit[c]]
        first = times[base + rows[c, 0]]
        entry[c] = first
        elapsed[0, c] = 0
        for s in range(1, steps):
            # profiles may take steps a moment out of order
            elapsed[s, c] = max(0, times[base + rows[c, s]] - first) if rows[c, s] >= 0 else -1


@njit(nogil=True, cache=True)
def times_at(elapsed, reached, step, count):  # type: ignore[no-untyped-def]
    """µs from the entry, and from the last step taken before, to a step.

    Args:
        elapsed: as `chain_times` writes it, shape (steps, n).
        reached: chains that count at the step, shape (n,).
        step: 0-based, at least 1.
        count: number of True in `reached`.

    Returns:
        Two arrays, shape (count,).
    """
    since, previous = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
    at = 0
    for c in range(len(reached)):
        before = elapsed[step - 1, c]
        if before < 0:
            for s in range(step - 2, -1, -1):
                if elapsed[s, c] >= 0:
                    before = elapsed[s, c]
                    break
        since[at] = elapsed[step, c]  # written always and kept when reached: no branch to guess
        previous[at] = elapsed[step, c] - before
        at += reached[c]
    return since[:count], previous[:count]


@njit(nogil=True, cache=True)
def ties(elapsed):  # type: ignore[no-untyped-def]
    """Number of chains with two consecutive steps, both taken, at the same time."""
    steps, n = elapsed.shape
    tied = np.zeros(n, np.bool_)
    for s in range(1, steps):
        for c in range(n):
            tied[c] |= (elapsed[s, c] >= 0) & (elapsed[s, c] == elapsed[s - 1, c])
    return tied.sum()
