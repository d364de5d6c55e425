# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""The plain funnel: ordered steps within a window, one pass over each user's events.

For every step it is enough to remember the chain with the latest entry: whatever an older chain can still reach, that
one can reach too, because it has the longer window ahead.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from upswing.sequences.funnel_ties import ONE, match_block, survey

TIE_ANY, TIE_INGEST, TIE_STRICT = 0, 1, 2


@njit(nogil=True, cache=True)
def plain_chains(  # type: ignore[no-untyped-def]
    starts, stops, times, marks, steps, window, tie, edges, periods, unit, depth, rows
):
    """Write the chosen chain of every unit that enters.

    Args:
        starts: first row of each unit, shape (n_units,).
        stops: row after the last of each unit.
        times: µs, ascending inside a unit.
        marks: bit k: the event matches step k.
        steps: number of steps.
        window: longest µs from entry to any step, inclusive.
        tie: one of TIE_ANY, TIE_INGEST, TIE_STRICT.
        edges: entries count in [edges[p], edges[p + 1]) where p is the unit's period.
        periods: period of each unit; empty when there is one period only.
        unit: out: number of the unit of each chain.
        depth: out: deepest step, 1-based.
        rows: out: row within the unit of each step, -1 where it is not reached, shape (n_units, steps).

    Returns:
        Number of chains written.
    """
    entry = np.empty(steps, np.int64)
    chain = np.empty((steps, steps), np.int32)
    row_of = np.full(steps, -1, np.int64)
    queue = np.empty(64, np.int64)
    owner = np.empty(16, np.int64)
    parent = np.empty(16, np.int64)
    no_gaps = np.zeros((steps, 2), np.int64)
    every = (ONE << np.uint64(steps)) - ONE
    written = 0
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        period = periods[u] if len(periods) else 0
        opens, closes = edges[period], edges[period + 1]
        alive = 0  # chains exist at steps 0 .. alive - 1
        best, completed, best_entry = 0, np.int64(0), np.int64(0)
        row = lo
        while row < hi:
            bits = np.uint64(marks[row]) & every
            if bits == 0:
                row += 1
                continue
            time = times[row]
            after = row + 1
            if tie != TIE_INGEST and after < hi and times[after] == time:
                while after < hi and times[after] == time:
                    after += 1
                while row > lo and times[row - 1] == time:
                    row -= 1
            if best == steps and time != completed:
                break
            if time >= closes and (alive == 0 or time - entry[0] > window):
                break
            reached = 0
            if after == row + 1:
                if bits == ONE:
                    if opens <= time < closes:
                        entry[0], chain[0, 0] = time, row - lo
                        alive, reached = max(alive, 1), 1
                else:
                    k = min(alive, steps - 1)
                    while k >= 0:
                        if (bits >> np.uint64(k)) & ONE:
                            if k == 0:
                                if opens <= time < closes:
                                    entry[0], chain[0, 0] = time, row - lo
                                    alive, reached = max(alive, 1), max(reached, 1)
                            elif time - entry[k - 1] <= window:
                                entry[k] = entry[k - 1]
                                for s in range(k):
                                    chain[k, s] = chain[k - 1, s]
                                chain[k, k] = row - lo
                                alive, reached = max(alive, k + 1), max(reached, k + 1)
                        k -= 1
            else:
                present, shared = survey(marks, row, after, steps, row_of)
                if shared and after - row > len(owner):
                    owner = np.empty(2 * (after - row), np.int64)
                    parent = np.empty(2 * (after - row), np.int64)
                before = alive
                m = steps - 1
                while m >= 0:
                    if (present >> np.uint64(m)) & ONE:
                        j = m
                        if tie == TIE_ANY:
                            j = _block_start(
                                m, present, shared, no_gaps, marks, row, after, row_of, owner, parent, queue
                            )
                        # the block may start later, where its own predecessor is out of reach
                        while j <= m:
                            if j == 0:
                                fits = opens <= time < closes
                            else:
                                fits = j <= before and time - entry[j - 1] <= window
                            if fits:
                                break
                            j += 1
                        if j <= m:
                            if shared and j < m:
                                match_block(
                                    j, m, np.uint64(0), no_gaps, marks, row, after, row_of, owner, parent, queue
                                )
                            elif shared:
                                survey(marks, row, after, steps, row_of)
                            entry[m] = time if j == 0 else entry[j - 1]
                            for s in range(j):
                                chain[m, s] = chain[j - 1, s]
                            for s in range(j, m + 1):
                                chain[m, s] = row_of[s] - lo
                            alive = max(alive, m + 1)
                            reached = max(reached, m + 1)
                    m -= 1
            if reached > best or (
                reached == best and reached > 0 and time == completed and entry[best - 1] > best_entry
            ):
                best, completed, best_entry = reached, time, entry[reached - 1]
                for s in range(reached):
                    rows[written, s] = chain[reached - 1, s]
            row = after
        if best:
            unit[written] = u
            depth[written] = best
            for s in range(best, steps):
                rows[written, s] = -1
            written += 1
    return written


@njit(nogil=True, cache=True)
def _block_start(last, present, shared, no_gaps, marks, lo, hi, row_of, owner, parent, queue):  # type: ignore[no-untyped-def]
    """The smallest step from which on steps up to `last` can all be filled from rows lo:hi."""
    first = last
    while first > 0 and (present >> np.uint64(first - 1)) & ONE:
        if shared and not match_block(
            first - 1, last, np.uint64(0), no_gaps, marks, lo, hi, row_of, owner, parent, queue
        ):
            break
        first -= 1
    return first
