# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""The plain funnel: ordered steps within a window, one pass over each user's events.

For every step it is enough to remember the latest entry from which it was reached: whatever an older chain can still
reach, that one can reach too, because it has the longer window ahead. The rows of the chosen chain follow backwards
from its last event: the nearest event of the step before, and so on. Only units with steps at the very same time need
more care: what such a block of events can be is worked out in `funnel_ties`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.funnel_ties import ONE, match_block, survey

TIE_ANY, TIE_INGEST, TIE_STRICT = 0, 1, 2
_NEVER = -(2**62)
# position of the single bit of a power of two, by multiplication with a de Bruijn sequence
# (Leiserson, Prokop, Randall 1998)
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_SHIFT = np.uint64(58)


def _bit_places() -> NDArray[np.int64]:
    places = np.zeros(64, np.int64)
    for bit in range(64):
        places[((1 << bit) * int(_DE_BRUIJN)) % 2**64 >> 58] = bit
    return places


_PLACES = _bit_places()


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
    latest = np.empty(steps + 1, np.int64)  # latest[k + 1]: the latest entry that reached step k
    work = (
        np.empty(steps, np.int64), np.empty((steps, steps), np.int32), np.full(steps, -1, np.int64),
        np.empty(64, np.int64), np.zeros((steps, 2), np.int64),
    )  # fmt: skip
    every = (ONE << np.uint64(steps)) - ONE
    written = 0
    opens, closes = edges[0], edges[1]
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        if len(periods):
            opens, closes = edges[periods[u]], edges[periods[u] + 1]
        best, last = 0, lo
        for k in range(steps + 1):
            latest[k] = _NEVER
        before = np.int64(_NEVER)
        tied = False
        for row in range(lo, hi):
            bits = np.uint64(marks[row]) & every
            if bits == 0:
                continue
            time = times[row]
            if time == before:
                tied = True
                break
            before = time
            latest[0] = time if opens <= time < closes else _NEVER
            if bits & (bits - ONE) == 0:
                k = _PLACES[(bits * _DE_BRUIJN) >> _SHIFT]
                if time - latest[k] <= window:
                    latest[k + 1] = latest[k]
                    if k >= best:
                        best, last = k + 1, row
            else:
                for k in range(min(best, steps - 1), -1, -1):
                    if (bits >> np.uint64(k)) & ONE and time - latest[k] <= window:
                        latest[k + 1] = latest[k]
                        if k >= best:
                            best, last = k + 1, row
            if best == steps:
                tied = _marked_again(times, marks, row, hi, every)
                break
        if tied:
            best = _with_ties(lo, hi, times, marks, steps, window, tie, opens, closes, every, work, rows[written])
        elif best:
            _trace_back(lo, last, best, times, marks, opens, closes, rows[written])
        if best:
            unit[written] = u
            depth[written] = best
            for s in range(best, steps):
                rows[written, s] = -1
            written += 1
    return written


@njit(nogil=True, cache=True)
def _marked_again(times, marks, row, hi, every):  # type: ignore[no-untyped-def]
    """Whether another event of a step follows at the same time."""
    after = row + 1
    while after < hi and times[after] == times[row]:
        if np.uint64(marks[after]) & every:
            return True
        after += 1
    return False


@njit(nogil=True, cache=True)
def _trace_back(lo, last, best, times, marks, opens, closes, chain):  # type: ignore[no-untyped-def]
    """Rows of the chain that ends at `last`: the nearest event of each step before. No two of them share a time."""
    row = last
    for s in range(best - 1, -1, -1):
        bit = np.uint64(s)
        while not ((np.uint64(marks[row]) >> bit) & ONE and (s > 0 or opens <= times[row] < closes)):
            row -= 1
        chain[s] = row - lo
        row -= 1


@njit(nogil=True, cache=True)
def _with_ties(  # type: ignore[no-untyped-def]
    lo, hi, times, marks, steps, window, tie, opens, closes, every, work, chosen
):
    """Depth of a unit in which steps share a time; its rows are written to `chosen`.

    Rows of one time are a block: the deepest run of steps that the block can fill is found first. The whole chain is
    kept for every step, because inside a block the nearest event is not always the right one.
    """
    entry, chain, row_of, queue, no_gaps = work
    owner, parent = np.empty(16, np.int64), np.empty(16, np.int64)
    row_of[:] = -1
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
                        j = _block_start(m, present, shared, no_gaps, marks, row, after, row_of, owner, parent, queue)
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
                            match_block(j, m, np.uint64(0), no_gaps, marks, row, after, row_of, owner, parent, queue)
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
        if reached > best or (reached == best and reached > 0 and time == completed and entry[best - 1] > best_entry):
            best, completed, best_entry = reached, time, entry[reached - 1]
            for s in range(reached):
                chosen[s] = chain[reached - 1, s]
        row = after
    return best


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
