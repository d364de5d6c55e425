# ruff: noqa: ANN001, ANN201 - numba infers the types of compiled functions
"""Events at the same instant have no order of their own: which steps can they fill, each event one step?

A bipartite matching of steps (at most 63) to the events of one instant, by augmenting paths (Kuhn 1955). Shared by
every funnel kernel; the common case, no event that matches two steps, needs no search.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ONE = np.uint64(1)


@njit(nogil=True, cache=True)
def augment(step, marks, lo, hi, row_of, owner, parent, queue):  # type: ignore[no-untyped-def]
    """Give `step` an event of rows lo:hi, moving other steps to other events where that helps.

    Args:
        step: the step that needs an event.
        marks: bits of all events.
        lo: first row of the instant.
        hi: row after the last.
        row_of: row given to each step, -1 for none; changed in place.
        owner: step that holds each event of the instant (by row - lo), -1 for none; changed in place.
        parent: scratch, at least hi - lo long.
        queue: scratch, at least 64 long.

    Returns:
        Whether it worked; if not, nothing has changed.
    """
    for e in range(hi - lo):
        parent[e] = -1
    head, tail = 0, 1
    queue[0] = step
    while head < tail:
        asking = queue[head]
        head += 1
        for e in range(hi - lo):
            if parent[e] >= 0 or not (np.uint64(marks[lo + e]) >> np.uint64(asking)) & ONE:
                continue
            parent[e] = asking
            if owner[e] >= 0:
                queue[tail] = owner[e]
                tail += 1
                continue
            free = e
            while True:
                taker = parent[free]
                before = row_of[taker] - lo if row_of[taker] >= 0 else -1
                owner[free] = taker
                row_of[taker] = lo + free
                if taker == step:
                    return True
                free = before
    return False


@njit(nogil=True, cache=True)
def match_block(first, last, optional, gaps, marks, lo, hi, row_of, owner, parent, queue):  # type: ignore[no-untyped-def]
    """Fill the steps first..last from rows lo:hi, one event each; optional steps between are filled where possible.

    Args:
        first: first step of the block; must be filled.
        last: last step of the block; must be filled.
        optional: bits of the steps that may be left out when they lie between.
        gaps: shortest and longest µs since the step before, shape (steps, 2); an optional step that needs time is
            left out.
        marks: bits of all events.
        lo: first row of the instant.
        hi: row after the last.
        row_of: out: row of each step of the block, -1 for one left out.
        owner: scratch, at least hi - lo long.
        parent: scratch, at least hi - lo long.
        queue: scratch, at least 64 long.

    Returns:
        Whether every step that must be filled is.
    """
    for e in range(hi - lo):
        owner[e] = -1
    for step in range(first, last + 1):
        row_of[step] = -1
    for step in range(first, last + 1):
        inner = step != first and step != last
        if inner and (optional >> np.uint64(step)) & ONE:
            continue
        if not augment(step, marks, lo, hi, row_of, owner, parent, queue):
            return False
    for step in range(first + 1, last):
        if (optional >> np.uint64(step)) & ONE and gaps[step, 0] <= 0:
            augment(step, marks, lo, hi, row_of, owner, parent, queue)
    return True


@njit(nogil=True, cache=True)
def fill_block(first, last, optional, gaps, marks, lo, hi, row_of, owner, parent, todo):  # type: ignore[no-untyped-def]
    """Fill steps first..last at one instant; the number filled, or 0 when a needed one stays empty."""
    for s in range(first + 1, last + 1):
        if gaps[s, 0] > 0 and (s == last or not (optional >> np.uint64(s)) & ONE):
            return 0
    if not match_block(first, last, optional, gaps, marks, lo, hi, row_of, owner, parent, todo):
        return 0
    size = 0
    for s in range(first, last + 1):
        size += row_of[s] >= 0
    return size


@njit(nogil=True, cache=True)
def survey(marks, lo, hi, steps, row_of):  # type: ignore[no-untyped-def]
    """Look at the events of one instant.

    Args:
        marks: bits of all events.
        lo: first row of the instant.
        hi: row after the last.
        steps: number of steps; higher bits are left aside.
        row_of: out: the first row that matches each present step.

    Returns:
        Bits of the steps present, and whether some event matches two steps.
    """
    every = (ONE << np.uint64(steps)) - ONE
    present = np.uint64(0)
    shared = False
    for row in range(lo, hi):
        bits = np.uint64(marks[row]) & every
        shared |= (bits & (bits - ONE)) != 0
        fresh = bits & ~present
        present |= bits
        step = 0
        while fresh:
            if fresh & ONE:
                row_of[step] = row
            fresh >>= ONE
            step += 1
    return present, shared
