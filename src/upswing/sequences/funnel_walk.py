# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""Walk over units with the exact kernels: one chain per unit, or one attempt after another."""

from __future__ import annotations

import numpy as np
from numba import njit

from upswing.sequences.funnel_any import any_chain
from upswing.sequences.funnel_ordered import NODE_WIDTH, ordered_chain, successions
from upswing.sequences.funnel_plain import TIE_INGEST
from upswing.sequences.funnel_strict import strict_chain
from upswing.sequences.funnel_ties import ONE

ORDERED, STRICT, ANY = 0, 1, 2


@njit(nogil=True, cache=True)
def walk_chains(  # type: ignore[no-untyped-def]
    starts, stops, times, marks, steps, window, tie, edges, periods, order, totals, remove, optional, gaps, exclusions,
    ordinal, crowd, unit, depth, rows, stopped,
):  # fmt: skip
    """Write the chosen chain of every unit that enters, or each of its attempts.

    Args:
        starts: first row of each unit, shape (n_units,).
        stops: row after the last of each unit.
        times: µs, ascending in a unit.
        marks: bits: step k at bit k, exclusions above; uint64.
        steps: number of steps.
        window: longest µs from entry, inclusive.
        tie: how equal times are ordered.
        edges: entries count in [edges[p], edges[p + 1]), p the unit's period.
        periods: period of each unit; empty when there is one only.
        order: ORDERED, STRICT or ANY.
        totals: count attempts.
        remove: note which chains an exclusion stopped.
        optional: bits of the optional steps.
        gaps: shortest and longest µs since the step before, shape (steps, 2).
        exclusions: bit above the steps, step a, step b (0-based), shape (n_exclusions, 3).
        ordinal: number of each event's instant (STRICT).
        crowd: events at each event's instant (STRICT).
        unit: out: unit of each chain.
        depth: out: deepest step, 1-based.
        rows: out: row within the unit of each step, -1 where it is not taken.
        stopped: out, where `remove`: see `stops` of `ordered_chain`, shape (n_units, 2, steps).

    Returns:
        Number of chains written.
    """
    pairs = successions(steps, optional)
    nodes = np.empty((64, NODE_WIDTH), np.int64)
    queues = np.empty((len(pairs), 64), np.int32)
    heads, tails, fed = np.zeros((3, len(pairs)), np.int64)
    row_of, todo = np.full(64, -1, np.int64), np.empty(64, np.int64)
    owner, parent = np.empty(64, np.int64), np.empty(64, np.int64)
    struck = np.empty((2, steps), np.int64)
    out = np.empty(steps, np.int32)
    every = (ONE << np.uint64(steps)) - ONE
    leading = every if order == ANY else ONE
    written = 0
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        period = periods[u] if len(periods) else 0
        opens, closes = edges[period], edges[period + 1]
        if hi - lo > len(owner):
            owner, parent = np.empty(2 * (hi - lo), np.int64), np.empty(2 * (hi - lo), np.int64)
        if order == ORDERED:
            need = 2
            for row in range(lo, hi):
                bits = np.uint64(marks[row]) & every
                while bits:
                    need += 2
                    bits &= bits - ONE
            if need > len(nodes):
                nodes = np.empty((2 * need, NODE_WIDTH), np.int64)
                queues = np.empty((len(pairs), 2 * need), np.int32)
        first = lo
        while first < hi:
            entry_stop = hi
            if totals:
                first = _next_entry(first, hi, times, marks, leading, opens, closes)
                if first == hi:
                    break
                entry_stop = first + 1
                if tie != TIE_INGEST:
                    while first > lo and times[first - 1] == times[first]:
                        first -= 1
                    while entry_stop < hi and times[entry_stop] == times[first]:
                        entry_stop += 1
            if order == ORDERED:
                reached = ordered_chain(
                    first, hi, entry_stop, opens, closes, times, marks, steps, window, tie, optional, gaps, exclusions,
                    pairs, nodes, queues, heads, tails, fed, row_of, owner, parent, todo, out, struck,
                )  # fmt: skip
                if remove:
                    stopped[u] = struck
            elif order == STRICT:
                reached = strict_chain(
                    first, hi, entry_stop, opens, closes, times, marks, steps, window, tie, optional, gaps, exclusions,
                    pairs, ordinal, crowd, row_of, owner, parent, todo, out,
                )  # fmt: skip
            else:
                reached = any_chain(first, hi, entry_stop, opens, closes, times, marks, steps, window, out)
            if reached == 0:
                break
            unit[written], depth[written] = u, reached
            for s in range(steps):
                rows[written, s] = out[s] + (first - lo) if out[s] >= 0 else -1
            written += 1
            if not totals:
                break
            first = _attempt_end(first, hi, reached, out, times, marks, steps, window, tie, exclusions)
    return written


@njit(nogil=True, cache=True)
def _next_entry(row, hi, times, marks, leading, opens, closes):  # type: ignore[no-untyped-def]
    while row < hi:
        if times[row] >= closes:
            return hi
        if np.uint64(marks[row]) & leading and times[row] >= opens:
            return row
        row += 1
    return hi


@njit(nogil=True, cache=True)
def _attempt_end(first, hi, reached, out, times, marks, steps, window, tie, exclusions):  # type: ignore[no-untyped-def]
    """First row after the attempt: after its completion, the end of its window, or the exclusion that stopped it."""
    entry, last = -1, -1
    for s in range(steps):
        if out[s] >= 0:
            last = first + out[s]
            entry = last if entry < 0 else entry
    rowed = tie == TIE_INGEST
    if reached == steps:
        end_time, end_row = times[last], last
    else:
        end_time, end_row = times[entry] + window, hi
        for x in range(len(exclusions)):
            a, b = exclusions[x, 1], exclusions[x, 2]
            if not a < reached <= b:
                continue
            opening = last
            for s in range(a + 1):
                if out[s] >= 0:
                    opening = first + out[s]
            bit = np.uint64(steps + exclusions[x, 0])
            row = last + 1
            if not rowed:
                while row > first and times[row - 1] >= times[last]:
                    row -= 1
            while row < hi:
                if (np.uint64(marks[row]) >> bit) & ONE and (rowed or times[row] > times[opening]):
                    if times[row] < end_time or (times[row] == end_time and row < end_row):
                        end_time, end_row = times[row], row
                    break
                row += 1
    row = first
    while row < hi and (times[row] < end_time or (times[row] == end_time and (not rowed or row <= end_row))):
        row += 1
    return row
