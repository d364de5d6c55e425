# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""Strict order: nothing else between the first and the last step of a chain.

Only chains that ended at the instant just before can go on, and only if that instant left no event over; so the state
is one chain per step, thrown away as soon as an event breaks it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from upswing.sequences.funnel_plain import TIE_ANY, TIE_INGEST
from upswing.sequences.funnel_ties import ONE, fill_block, survey


@njit(nogil=True, cache=True)
def crowding(offsets, times, tie):  # type: ignore[no-untyped-def]
    """For each event the number of its instant within the user, and how many events share it.

    Args:
        offsets: first row of each user, shape (n_users + 1,).
        times: µs, ascending per user.
        tie: under TIE_INGEST every event has an instant of its own.

    Returns:
        ordinals and crowds, int32, shape (n_events,).
    """
    ordinal = np.empty(len(times), np.int32)
    crowd = np.empty(len(times), np.int32)
    for u in range(len(offsets) - 1):
        number, row = 0, offsets[u]
        while row < offsets[u + 1]:
            after = row + 1
            while tie != TIE_INGEST and after < offsets[u + 1] and times[after] == times[row]:
                after += 1
            for event in range(row, after):
                ordinal[event], crowd[event] = number, after - row
            number += 1
            row = after
    return ordinal, crowd


@njit(nogil=True, cache=True)
def strict_chain(  # type: ignore[no-untyped-def]
    lo, hi, entry_stop, opens, closes, times, marks, steps, window, tie, optional, gaps, exclusions, pairs,
    ordinal, crowd, row_of, owner, parent, todo, out,
):  # fmt: skip
    """Find the chosen chain of one unit; arguments as in `funnel_ordered.ordered_chain`.

    Args:
        lo: first row of the unit.
        hi: row after the last.
        entry_stop: entries must be in rows before this one.
        opens: first instant of the entry range.
        closes: end of the entry range, exclusive.
        times: µs, ascending in the unit.
        marks: bits of all events.
        steps: number of steps.
        window: longest µs from entry, inclusive.
        tie: how equal times are ordered.
        optional: bits of the optional steps.
        gaps: shortest and longest µs since the step before, shape (steps, 2).
        exclusions: bit, step a, step b (0-based), shape (n_exclusions, 3).
        pairs: from `successions`.
        ordinal: number of each event's instant, from `crowding`.
        crowd: events at each event's instant, from `crowding`.
        row_of: scratch, shape (64,).
        owner: scratch, as long as the unit.
        parent: scratch, as long as the unit.
        todo: scratch, shape (64,).
        out: out: row of each step, -1 where it is not taken.

    Returns:
        Deepest step (1-based; 0 for none).
    """
    # state of each step: whether a chain ends there and can go on, its entry and the steps it took
    alive, fresh = np.zeros(steps, np.bool_), np.zeros(steps, np.bool_)
    entry, new_entry = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    taken, new_taken = np.zeros(steps, np.int64), np.zeros(steps, np.int64)
    chain, new_chain = np.full((steps, steps), -1, np.int32), np.full((steps, steps), -1, np.int32)
    best, completed, best_entry, best_taken = 0, np.int64(0), np.int64(0), np.int64(0)
    last_ordinal, last_time, any_alive = -2, np.int64(0), False
    out[:] = -1
    row = lo
    while row < hi:
        time = times[row]
        after = row + 1
        if tie != TIE_INGEST:
            while after < hi and times[after] == time:
                after += 1
        if best == steps and time != completed:
            break
        if ordinal[row] != last_ordinal + 1:
            alive[:] = False
            any_alive = False
        if (time >= closes or row >= entry_stop) and not any_alive:
            break
        enters = opens <= time < closes and row < entry_stop
        present, _ = survey(marks, row, after, steps, row_of)
        struck = np.uint64(0)
        for event in range(row, after):
            struck |= np.uint64(marks[event])
        struck >>= np.uint64(steps)
        fresh[:] = False
        any_alive = False
        for m in range(steps if present else 0):
            if not (present >> np.uint64(m)) & ONE:
                continue
            limit = m
            for x in range(len(exclusions)):
                if (struck >> np.uint64(exclusions[x, 0])) & ONE and exclusions[x, 1] <= m < exclusions[x, 2]:
                    limit = min(limit, exclusions[x, 1])
            for first in range(m, -1, -1):
                if first < m and (tie != TIE_ANY or after == row + 1):
                    break
                if not (present >> np.uint64(first)) & ONE:
                    continue
                size = fill_block(first, m, optional, gaps, marks, row, after, row_of, owner, parent, todo)
                if size == 0:
                    continue
                source, from_entry, from_taken, fits = -1, time, 0, first == 0 and enters
                if first > 0:
                    for pair in range(len(pairs)):
                        p = pairs[pair, 0]
                        gap = time - last_time
                        if pairs[pair, 1] != first or not alive[p] or time - entry[p] > window:
                            continue
                        if gap < gaps[first, 0] or gap > gaps[first, 1]:
                            continue
                        if not fits or (entry[p], taken[p]) > (from_entry, from_taken):
                            source, from_entry, from_taken, fits = p, entry[p], taken[p], True
                if not fits:
                    continue
                total = from_taken + size
                deeper = m + 1 > best
                if m + 1 == best and time == completed:
                    deeper = (from_entry, total) >= (best_entry, best_taken)
                if deeper:
                    best, completed, best_entry, best_taken = m + 1, time, from_entry, total
                    _write(out, chain, source, first, m, row_of, lo)
                goes_on = (first == 0 or size == crowd[row]) and first <= limit
                if goes_on and (not fresh[m] or (from_entry, total) >= (new_entry[m], new_taken[m])):
                    fresh[m], new_entry[m], new_taken[m] = True, from_entry, total
                    _write(new_chain[m], chain, source, first, m, row_of, lo)
                    any_alive = True
        alive, fresh = fresh, alive
        entry, new_entry = new_entry, entry
        taken, new_taken = new_taken, taken
        chain, new_chain = new_chain, chain
        last_ordinal, last_time = ordinal[row], time
        row = after
    return best


@njit(nogil=True, cache=True)
def _write(target, chain, source, first, last, row_of, lo):  # type: ignore[no-untyped-def]
    target[:] = -1
    if source >= 0:
        target[:] = chain[source]
    for s in range(first, last + 1):
        target[s] = row_of[s] - lo if row_of[s] >= 0 else -1
