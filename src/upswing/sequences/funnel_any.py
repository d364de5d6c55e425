# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""Steps in any order: how many different steps happen within one window, one event for one step.

Taking events from the latest back and keeping each that lets one more step be filled gives, of all largest sets, the
one whose earliest event is as late as possible (transversal matroid, greedy; Edmonds, Fulkerson 1965).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from upswing.sequences.funnel_ties import ONE


@njit(nogil=True, cache=True)
def any_chain(lo, hi, entry_stop, opens, closes, times, marks, steps, window, out):  # type: ignore[no-untyped-def]
    """Find the chosen set of events of one unit.

    Args:
        lo: first row of the unit.
        hi: row after the last.
        entry_stop: entries must be in rows before this one.
        opens: first instant of the entry range.
        closes: end of the entry range, exclusive.
        times: µs, ascending in the unit.
        marks: bits of all events.
        steps: number of steps.
        window: longest µs from the first to the last event, inclusive.
        out: out: row of the first, second … event, -1 beyond, shape (steps,).

    Returns:
        Most different steps within a window (0 for none).
    """
    every = (ONE << np.uint64(steps)) - ONE
    holder = np.empty(steps, np.int64)  # row that fills each step
    picked = np.empty(steps, np.int64)
    seen = np.empty(steps, np.bool_)
    todo = np.empty(steps + 1, np.int64)
    via = np.empty(steps, np.int64)
    best = 0
    out[:] = -1
    first_entry, last_entry = -1, -1  # rows that can be an entry, earliest and latest so far
    row = lo
    while row < hi:
        time = times[row]
        after = row
        useful = False
        while after < hi and times[after] == time:
            bits = np.uint64(marks[after]) & every
            if bits:
                useful = True
                if opens <= time < closes and after < entry_stop:
                    last_entry = after
                    if first_entry < 0:
                        first_entry = after
            after += 1
        if best == steps or (last_entry < 0 and time >= closes):
            break
        if last_entry >= 0 and time - times[last_entry] > window and (time >= closes or row >= entry_stop):
            break
        if useful and last_entry >= 0 and time - times[last_entry] <= window:
            while time - times[first_entry] > window or not np.uint64(marks[first_entry]) & every:
                first_entry += 1
            if after - first_entry > best:
                size = _latest_set(first_entry, last_entry, after, marks, every, steps, holder, picked, seen, todo, via)
                if size > best:
                    best = size
                    chosen = np.sort(picked[:size])
                    for s in range(size):
                        out[s] = chosen[s] - lo
        row = after
    return best


@njit(nogil=True, cache=True)
def _latest_set(first, entry, after, marks, every, steps, holder, picked, seen, todo, via):  # type: ignore[no-untyped-def]
    """The largest set of events of rows first..after-1 that fill different steps, with an entry, as late as may be."""
    holder[:] = -1
    size = 0
    row = after - 1
    while row >= first and size < steps:
        if np.uint64(marks[row]) & every and _admit(row, marks, every, steps, holder, seen, todo, via):
            picked[size] = row
            size += 1
        row -= 1
    if size == 0:
        return 0
    if picked[size - 1] > entry:  # all lie after the last possible entry: begin with that one, then the latest again
        holder[:] = -1
        _admit(entry, marks, every, steps, holder, seen, todo, via)
        picked[0], size = entry, 1
        row = after - 1
        while row > entry and size < steps:
            if np.uint64(marks[row]) & every and _admit(row, marks, every, steps, holder, seen, todo, via):
                picked[size] = row
                size += 1
            row -= 1
    return size


@njit(nogil=True, cache=True)
def _admit(row, marks, every, steps, holder, seen, todo, via):  # type: ignore[no-untyped-def]
    """Fill one more step with this event, moving others where that helps; whether it worked."""
    seen[:] = False
    head, tail = 0, 0
    asking = row
    came = -1
    while True:
        bits = np.uint64(marks[asking]) & every
        for s in range(steps):
            if (bits >> np.uint64(s)) & ONE and not seen[s]:
                seen[s] = True
                via[s] = came
                if holder[s] < 0:
                    while s >= 0:
                        back = via[s]
                        holder[s] = holder[back] if back >= 0 else row
                        s = back
                    return True
                todo[tail] = s
                tail += 1
        if head == tail:
            return False
        came = todo[head]
        asking = holder[came]
        head += 1
