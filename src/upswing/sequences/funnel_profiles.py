# ruff: noqa: ANN001, ANN202 - numba infers the types of compiled functions
"""Other products' funnel rules, to reproduce their numbers. They change what a chain is and nothing else.

- posthog: chains keep the latest entry; an exclusion taints the chain and removes the user unless a later entry comes
  as deep; in one instant with different events steps are replayed in their order and exclusions are ignored; entry and
  conversion lie in the range (funnel-udf/src/steps.rs of PostHog/posthog, 0c640984).
- clickhouse: `windowFunnel` in its default mode; one event may fill several steps (AggregateFunctionWindowFunnel).
- mixpanel: only the first entry, two seconds of grace in the order, users drop at an exclusion (its docs, "Funnels").
- amplitude: whole seconds, order free inside one, the same event twice in a second counts once (its docs).
- growingio: natural days, order free inside one; a window of n days ends with the n-th day, the entry's included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.funnel_plain import TIE_ANY, plain_chains
from upswing.sequences.funnel_ties import ONE, survey

if TYPE_CHECKING:
    from upswing.sequences.funnel import FunnelRules

SECOND = 1_000_000
GRACE = 2 * SECOND
DAY = 86_400 * SECOND

Ints = NDArray[np.int64]


def profile_chains(
    rules: FunnelRules,
    batch: Sequences,
    starts: Ints,
    stops: Ints,
    periods: Ints,
    unit: Ints,
    depth: NDArray[np.uint8],
    rows: NDArray[np.int32],
    removed: NDArray[np.bool_],
) -> int:
    """Write the chains of a profile; arguments as in `funnel_plain.plain_chains`.

    Args:
        rules: the question, with its profile.
        batch: events by unit.
        starts: first row of each unit.
        stops: row after the last.
        periods: period of each unit; empty when there is one only.
        unit: out: unit of each chain.
        depth: out: deepest step.
        rows: out: row within the unit of each step.
        removed: out: units that an exclusion takes out (posthog).

    Returns:
        Number of chains written.
    """
    times, marks = batch.times, batch.marks.astype(np.uint64)
    edges = np.asarray(rules.edges, np.int64)
    exclusions = np.array([(mark, a - 1, b - 1) for mark, a, b in rules.exclusions], np.int64).reshape(-1, 3)
    where = (starts, stops)
    out = (unit, depth, rows)
    if rules.profile == "posthog":
        strict = rules.order == "strict"
        asked = (rules.steps, rules.window, edges, periods, exclusions, strict)
        return int(_posthog(*where, times, marks, *asked, *out, removed))
    if rules.profile == "mixpanel":
        return int(_mixpanel(*where, times, marks, rules.steps, rules.window, edges, periods, exclusions, *out))
    if rules.profile == "clickhouse":
        return int(_clickhouse(*where, times, marks, rules.steps, rules.window, edges, periods, *out))
    window = rules.window
    if rules.profile == "amplitude":
        times = times // SECOND * SECOND
        marks = _once_per_instant(batch.offsets, times, marks)
    else:
        assert rules.days is not None
        marks = np.where((times >= edges[0]) & (times < edges[-1]), marks, marks & ~np.uint64(1))
        times = np.searchsorted(rules.days, times, side="right").astype(np.int64)
        inner = np.searchsorted(rules.days, edges[:-1], side="right")
        edges = np.append(inner, np.searchsorted(rules.days, edges[-1] - 1, side="right") + 1).astype(np.int64)
        window = max(0, -(-rules.window // DAY) - 1)
    return int(plain_chains(*where, times, marks, rules.steps, window, TIE_ANY, edges, periods, *out))


@njit(nogil=True, cache=True)
def _once_per_instant(offsets, times, marks):  # type: ignore[no-untyped-def]
    """Marks in which an event that repeats another of its user's at the same instant matches nothing."""
    found = marks.copy()
    for u in range(len(offsets) - 1):
        for row in range(offsets[u], offsets[u + 1]):
            before = row - 1
            while before >= offsets[u] and times[before] == times[row]:
                if marks[before] == marks[row]:
                    found[row] = 0
                    break
                before -= 1
    return found


@njit(nogil=True, cache=True)
def _clickhouse(starts, stops, times, marks, steps, window, edges, periods, unit, depth, rows):  # type: ignore[no-untyped-def]
    entry = np.empty(steps, np.int64)
    chain = np.full((steps, steps), -1, np.int32)
    row_of = np.full(64, -1, np.int64)
    written = 0
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        period = periods[u] if len(periods) else 0
        alive, best = 0, 0
        row = lo
        while row < hi and best < steps:
            time, after = times[row], row + 1
            while after < hi and times[after] == time:
                after += 1
            present, _ = survey(marks, row, after, steps, row_of)
            for k in range(steps if present else 0):
                if not (present >> np.uint64(k)) & ONE:
                    continue
                if k == 0:
                    if not edges[period] <= time < edges[period + 1]:
                        continue
                    entry[0] = time
                elif k > alive or time - entry[k - 1] > window:
                    continue
                else:
                    entry[k] = entry[k - 1]
                    chain[k, :k] = chain[k - 1, :k]
                chain[k, k] = row_of[k] - lo
                alive = max(alive, k + 1)
                if k + 1 > best:
                    best = k + 1
                    rows[written] = -1
                    rows[written, :best] = chain[k, :best]
            row = after
        if best:
            unit[written], depth[written] = u, best
            written += 1
    return written


@njit(nogil=True, cache=True)
def _mixpanel(starts, stops, times, marks, steps, window, edges, periods, exclusions, unit, depth, rows):  # type: ignore[no-untyped-def]
    written = 0
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        period = periods[u] if len(periods) else 0
        first = lo
        while first < hi and not (np.uint64(marks[first]) & ONE and edges[period] <= times[first] < edges[period + 1]):
            first += 1
        if first == hi:
            continue
        rows[written] = -1
        rows[written, 0] = first - lo
        reached = 1
        last = first
        while reached < steps:
            row = last
            while row > lo and times[row - 1] >= times[last] - GRACE:
                row -= 1
            found = -1
            while row < hi and times[row] - times[first] <= window:
                if (np.uint64(marks[row]) >> np.uint64(reached)) & ONE and not _used(rows[written], reached, row - lo):
                    found = row
                    break
                row += 1
            if found < 0 or _blocked(rows[written], reached, found, lo, times, marks, exclusions):
                break
            rows[written, reached] = found - lo
            reached += 1
            last = found
        unit[written], depth[written] = u, reached
        written += 1
    return written


@njit(nogil=True, cache=True)
def _used(chain, reached, row):  # type: ignore[no-untyped-def]
    for s in range(reached):
        if chain[s] == row:
            return True
    return False


@njit(nogil=True, cache=True)
def _blocked(chain, reached, found, lo, times, marks, exclusions):  # type: ignore[no-untyped-def]
    """Whether an exclusion lies before the step that would be taken now; two seconds to either side are forgiven."""
    for x in range(len(exclusions)):
        if not exclusions[x, 1] < reached <= exclusions[x, 2]:
            continue
        opening = lo + chain[exclusions[x, 1]]
        for row in range(opening + 1, found):
            struck = (np.uint64(marks[row]) >> np.uint64(exclusions[x, 0])) & ONE
            if struck and times[opening] + GRACE < times[row] < times[found] - GRACE:
                return True
    return False


@njit(nogil=True, cache=True)
def _posthog(  # type: ignore[no-untyped-def]
    starts, stops, times, marks, steps, window, edges, periods, exclusions, strict, unit, depth, rows, removed
):
    entry = np.empty(steps + 1, np.int64)  # entry[k]: of the chain at step k, 1-based
    present = np.empty(steps + 1, np.bool_)
    tainted = np.empty(steps + 1, np.bool_)
    chain = np.full((steps + 1, steps), -1, np.int32)
    written = 0
    for u in range(len(starts)):
        lo, hi = starts[u], stops[u]
        period = periods[u] if len(periods) else 0
        present[:], tainted[:] = False, False
        best, best_entry, best_tainted = 0, np.int64(0), False
        row = lo
        while row < hi and times[row] < edges[-1] and not present[steps]:
            time, after = times[row], row + 1
            alike = True
            while after < hi and times[after] == time:
                alike &= marks[after] == marks[row]
                after += 1
            # one instant with different events: replayed step by step, without exclusions
            for turn in range(after - row if alike else steps):
                event_from, event_to = (row + turn, row + turn + 1) if alike else (row, after)
                for event in range(event_from, event_to):
                    bits = np.uint64(marks[event])
                    for x in range(len(exclusions) if alike else 0):
                        if not (bits >> np.uint64(exclusions[x, 0])) & ONE:
                            continue
                        for k in range(exclusions[x, 2], exclusions[x, 1], -1):
                            if not present[k] or time - entry[k] > window or tainted[k]:
                                continue
                            if present[k + 1] and entry[k + 1] == entry[k]:
                                continue
                            tainted[k] = True
                            if best == k and time - best_entry <= window:
                                best_tainted = True
                    top, bottom = (steps - 1, 0) if alike else (turn, turn)
                    for k in range(top, bottom - 1, -1):
                        if not (bits >> np.uint64(k)) & ONE:
                            continue
                        if k == 0:
                            if not edges[period] <= time < edges[period + 1] or (present[1] and entry[1] == time):
                                continue
                            came, spoiled = time, False
                        else:
                            if not present[k] or time - entry[k] > window:
                                continue
                            if present[k + 1] and entry[k + 1] == entry[k]:
                                continue
                            if not alike and _used(chain[k], k, event - lo):
                                continue
                            came, spoiled = entry[k], tainted[k]
                        if not spoiled:
                            present[k + 1], entry[k + 1], tainted[k + 1] = True, came, False
                            chain[k + 1, :k] = chain[k, :k]
                            chain[k + 1, k] = event - lo
                        if k + 1 > best or (k + 1 == best and best_tainted):
                            best, best_entry, best_tainted = k + 1, came, spoiled
                            if not spoiled:
                                rows[written] = -1
                                rows[written, :best] = chain[best, :best]
                    for k in range(steps if strict and alike else 0):
                        if not (bits >> np.uint64(k)) & ONE:
                            present[k + 1] = False
            row = after
        if best and best_tainted:
            removed[u] = True
        elif best:
            unit[written], depth[written] = u, best
            written += 1
    return written
