# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""Ordered chains with gaps, optional steps and exclusions: exact, in time linear in the events of a unit.

With gaps the chain with the latest entry no longer dominates: where its last step lies matters too. So the state is
(instant, step) → best chain that ends there, and the best predecessor within a gap is a sliding-window maximum.
One queue per pair of steps that can follow each other keeps it (Lemire 2006, monotone deque).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from upswing.sequences.funnel_plain import TIE_ANY, TIE_INGEST
from upswing.sequences.funnel_ties import ONE, fill_block, survey

# Columns of a node, the best chain that ends at one step at one instant.
TIME, ENTRY, STEP, PREVIOUS, FIRST, LO, HI, TAKEN, ENTRY_ROW = range(9)
NODE_WIDTH = 9


@njit(nogil=True, cache=True)
def successions(steps, optional):  # type: ignore[no-untyped-def]
    """Pairs (before, after) of steps that can follow each other, given the bits of the optional ones."""
    pairs = np.empty((steps * (steps + 1) // 2, 2), np.int64)
    found = 0
    for after in range(1, steps):
        before = after - 1
        while before >= 0:
            pairs[found, 0], pairs[found, 1] = before, after
            found += 1
            if not (optional >> np.uint64(before)) & ONE:
                break
            before -= 1
    return pairs[:found]


@njit(nogil=True, cache=True)
def ordered_chain(  # type: ignore[no-untyped-def]
    lo, hi, entry_stop, opens, closes, times, marks, steps, window, tie, optional, gaps, exclusions, pairs,
    nodes, queues, heads, tails, fed, row_of, owner, parent, todo, out, stops,
):  # fmt: skip
    """Find the chosen chain of one unit.

    Args:
        lo: first row of the unit.
        hi: row after the last.
        entry_stop: entries must be in rows before this one.
        opens: first instant of the entry range.
        closes: end of the entry range, exclusive.
        times: µs, ascending in the unit.
        marks: bits of all events; bit k: step k; the exclusions' bits are above.
        steps: number of steps.
        window: longest µs from entry, inclusive.
        tie: how equal times are ordered.
        optional: bits of the optional steps.
        gaps: shortest and longest µs since the step before, shape (steps, 2).
        exclusions: bit, step a, step b (0-based), shape (n_exclusions, 3).
        pairs: from `successions`.
        nodes: scratch, at least two rows for each (event, step) match.
        queues: scratch, shape (n_pairs, len(nodes)).
        heads: scratch, shape (n_pairs,).
        tails: scratch, shape (n_pairs,).
        fed: scratch, shape (n_pairs,).
        row_of: scratch, shape (64,).
        owner: scratch, as long as the unit.
        parent: scratch, as long as the unit.
        todo: scratch, shape (64,).
        out: out: row of each step, -1 where it is not taken, shape (steps,).
        stops: out: latest time (under TIE_INGEST row) at which an exclusion stopped a chain at each step, and latest
            entry that came as deep; shape (2, steps).

    Returns:
        Deepest step (1-based; 0 for none).
    """
    heads[:], tails[:], fed[:] = 0, 0, 0
    stops[:] = np.iinfo(np.int64).min
    count, latest = 0, np.int64(-1)
    best, completed, winner = 0, np.int64(0), -1
    segment = np.zeros(len(exclusions), np.int64)  # first node since each exclusion last struck
    row = lo
    while row < hi:
        time = times[row]
        after = row + 1
        if tie != TIE_INGEST:
            while after < hi and times[after] == time:
                after += 1
        if best == steps and time != completed:
            break
        if (time >= closes or row >= entry_stop) and (latest < 0 or time - times[latest] > window):
            break
        present, _ = survey(marks, row, after, steps, row_of)
        struck = np.uint64(0)
        if len(exclusions):
            for event in range(row, after):
                struck |= np.uint64(marks[event])
            struck >>= np.uint64(steps)
        before = count
        if present:
            enters = opens <= time < closes and row < entry_stop
            if enters and present & ONE:
                latest = row
            _feed(pairs, gaps, nodes, queues, heads, tails, fed, before, time)
            for m in range(steps):
                if (present >> np.uint64(m)) & ONE:
                    count = _reach(
                        m, row, after, time, enters, present, struck, marks, window, tie, optional,
                        gaps, exclusions, pairs, nodes, queues, heads, tails, row_of, owner, parent, todo, count,
                    )  # fmt: skip
            for n in range(before, count):
                m = nodes[n, STEP]
                for k in range(m + 1):
                    stops[1, k] = max(stops[1, k], nodes[n, ENTRY_ROW if tie == TIE_INGEST else ENTRY])
                deeper = m + 1 > best
                if m + 1 == best and time == completed and n != winner:
                    deeper = (nodes[n, ENTRY], abs(nodes[n, TAKEN])) > (nodes[winner, ENTRY], abs(nodes[winner, TAKEN]))
                if deeper:
                    best, completed, winner = m + 1, time, n
        if struck:
            for x in range(len(exclusions)):
                if (struck >> np.uint64(exclusions[x, 0])) & ONE:
                    _strike(
                        x, exclusions, time, count, segment[x], after, times, marks, steps, window, tie, gaps, pairs,
                        nodes, row_of, stops,
                    )  # fmt: skip
                    segment[x] = before
                    for pair in range(len(pairs)):
                        if pairs[pair, 0] < exclusions[x, 2] and pairs[pair, 1] > exclusions[x, 1]:
                            heads[pair] = tails[pair]
                            fed[pair] = max(fed[pair], before)
        row = after
    out[:] = -1
    node = winner
    while node >= 0:
        first, last = nodes[node, FIRST], nodes[node, STEP]
        fill_block(first, last, optional, gaps, marks, nodes[node, LO], nodes[node, HI], row_of, owner, parent, todo)
        for s in range(first, last + 1):
            out[s] = row_of[s] - lo if row_of[s] >= 0 else -1
        node = nodes[node, PREVIOUS]
    return best


@njit(nogil=True, cache=True)
def _feed(pairs, gaps, nodes, queues, heads, tails, fed, before, time):  # type: ignore[no-untyped-def]
    """Let nodes that have become old enough into the queues, and those too old out."""
    for pair in range(len(pairs)):
        source, target = pairs[pair, 0], pairs[pair, 1]
        shortest, longest = gaps[target, 0], gaps[target, 1]
        while fed[pair] < before and time - nodes[fed[pair], TIME] >= shortest:
            node = fed[pair]
            fed[pair] += 1
            if nodes[node, STEP] != source or nodes[node, TAKEN] < 0:
                continue
            while tails[pair] > heads[pair]:
                last = queues[pair, tails[pair] - 1]
                worse = nodes[last, ENTRY] < nodes[node, ENTRY] or (
                    nodes[last, ENTRY] == nodes[node, ENTRY] and nodes[last, TAKEN] <= nodes[node, TAKEN]
                )
                if not worse:
                    break
                tails[pair] -= 1
            queues[pair, tails[pair]] = node
            tails[pair] += 1
        while tails[pair] > heads[pair] and time - nodes[queues[pair, heads[pair]], TIME] > longest:
            heads[pair] += 1


@njit(nogil=True, cache=True)
def _reach(  # type: ignore[no-untyped-def]
    m, row, after, time, enters, present, struck, marks, window, tie, optional, gaps, exclusions, pairs,
    nodes, queues, heads, tails, row_of, owner, parent, todo, count,
):  # fmt: skip
    """Add the best node that ends at step m at this instant; a second, lesser one where an exclusion spoils it."""
    limit = m  # chains must have come to this step at this very instant to outlive the exclusions that strike now
    for x in range(len(exclusions)):
        if (struck >> np.uint64(exclusions[x, 0])) & ONE and exclusions[x, 1] <= m < exclusions[x, 2]:
            limit = min(limit, exclusions[x, 1])
    size = np.int64(1)
    found, kept = False, False
    for first in range(m, -1, -1):
        if first < m:
            if tie != TIE_ANY or after == row + 1:
                break
            if not (present >> np.uint64(first)) & ONE:
                continue
            size = fill_block(first, m, optional, gaps, marks, row, after, row_of, owner, parent, todo)
            if size == 0:
                continue
        entry, taken, previous, came = np.int64(0), np.int64(0), np.int64(-1), row
        fits = False
        if first == 0:
            fits, entry = enters, time
        else:
            for pair in range(len(pairs)):
                if pairs[pair, 1] != first or tails[pair] == heads[pair]:
                    continue
                node = queues[pair, heads[pair]]
                if time - nodes[node, ENTRY] > window:
                    continue
                better = not fits or (nodes[node, ENTRY], nodes[node, TAKEN], nodes[node, TIME]) > (
                    entry, taken, nodes[previous, TIME],
                )  # fmt: skip
                if better:
                    fits, previous = True, node
                    entry, taken, came = nodes[node, ENTRY], nodes[node, TAKEN], nodes[node, ENTRY_ROW]
        if not fits:
            continue
        taken += size
        for keep in range(2):
            if keep and (limit == m or first > limit):
                continue
            slot = count + keep
            if (kept if keep else found) and (entry, taken) < (nodes[slot, ENTRY], abs(nodes[slot, TAKEN])):
                continue
            nodes[slot, TIME], nodes[slot, ENTRY], nodes[slot, STEP] = time, entry, m
            nodes[slot, PREVIOUS], nodes[slot, FIRST], nodes[slot, LO], nodes[slot, HI] = previous, first, row, after
            nodes[slot, ENTRY_ROW] = came
            nodes[slot, TAKEN] = taken
            if keep:
                kept = True
            else:
                found = True
    if not found:
        return count
    if limit < m and nodes[count, FIRST] > limit:
        nodes[count, TAKEN] = -nodes[count, TAKEN]  # counts as reached, but nothing can follow
        return count + 1 + kept
    return count + 1


@njit(nogil=True, cache=True)
def _strike(  # type: ignore[no-untyped-def]
    x, exclusions, time, count, since, after, times, marks, steps, window, tie, gaps, pairs, nodes, row_of, stops
):  # fmt: skip
    """Note the chains that this exclusion stops: at a step in [a, b), and never able to take b until now.

    From the strike back to the one before, `ways` collects the instants at which each step can be taken so that b is
    still reached; a chain is stopped when none of them lies within its gap.
    """
    a, b = exclusions[x, 1], exclusions[x, 2]
    if since == count:
        return
    ways = np.empty((steps, after - nodes[since, LO]), np.int64)
    many = np.zeros(steps, np.int64)
    row = after
    for node in range(count - 1, since - 1, -1):
        m, instant, first_row = nodes[node, STEP], nodes[node, TIME], nodes[node, LO]
        while row > first_row:
            end = row
            row -= 1
            if tie != TIE_INGEST:
                while row > first_row and times[row - 1] == times[row]:
                    row -= 1
            present, _ = survey(marks, row, end, steps, row_of)
            for s in range(steps - 1, a, -1):
                here = (present >> np.uint64(s)) & ONE
                if here and (s >= b or _leads(s, times[row], row, pairs, gaps, ways, many, times, marks, tie)):
                    ways[s, many[s]] = row
                    many[s] += 1
        if a <= m < b and time - nodes[node, ENTRY] <= window:
            opened_now = nodes[node, HI] == after and nodes[node, FIRST] <= a
            if not opened_now and not _leads(m, instant, first_row, pairs, gaps, ways, many, times, marks, tie):
                stops[0, m] = max(stops[0, m], after - 1 if tie == TIE_INGEST else time)


@njit(nogil=True, cache=True)
def _leads(step, instant, row, pairs, gaps, ways, many, times, marks, tie):  # type: ignore[no-untyped-def]
    """Whether from `step` at this instant some further step can be taken on a way to b."""
    for pair in range(len(pairs)):
        if pairs[pair, 0] != step:
            continue
        after = pairs[pair, 1]
        for way in range(many[after] - 1, -1, -1):  # the latest found lies nearest
            at = ways[after, way]
            gap = times[at] - instant
            if gap > gaps[after, 1]:
                break
            follows = gap > 0 or (tie == TIE_INGEST and at > row)
            if gap == 0 and tie == TIE_ANY:
                follows = _two_events(at, step, after, times, marks)
            if follows and gap >= gaps[after, 0]:
                return True
    return False


@njit(nogil=True, cache=True)
def _two_events(row, first, second, times, marks):  # type: ignore[no-untyped-def]
    """Whether the instant that begins at `row` holds an event for each of two steps, and not one for both alone."""
    a = b = either = np.uint64(0)
    at = row
    while at < len(times) and times[at] == times[row]:
        bits = np.uint64(marks[at])
        is_a, is_b = (bits >> np.uint64(first)) & ONE, (bits >> np.uint64(second)) & ONE
        a += is_a
        b += is_b
        either += is_a | is_b
        at += 1
    return a > np.uint64(0) and b > np.uint64(0) and either > ONE
