# ruff: noqa: ANN001, ANN201, ANN202 - numba infers the types of compiled functions
"""Finer units than users: sessions, values held equal, periods of entry; and back to one chain per user."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Units:
    """Events laid out by unit.

    Args:
        batch: the events; `batch.users` has the user of each unit.
        source: row of the first batch behind each event; None where they are the same.
        parent: unit that each unit is a part of (a user, or a session), shape (n_units,); None where each is its own.
        value: key that all matched events of the unit share; None where nothing is held.
    """

    batch: Sequences
    source: Ints | None
    parent: Ints | None
    value: Ints | None = None

    def parent_of(self, units: Ints) -> Ints:
        """What each of some units is a part of."""
        return units if self.parent is None else self.parent[units]


def users(batch: Sequences) -> Units:
    """Every user is a unit."""
    return Units(batch, None, None)


def sessions_by_gap(batch: Sequences, gap: int) -> Units:
    """A new session begins when more than `gap` µs have passed since the user's last event."""
    if batch.n_events == 0:
        return users(batch)
    fresh = np.empty(batch.n_events, dtype=np.bool_)
    fresh[1:] = np.diff(batch.times) > gap
    fresh[batch.offsets[:-1][np.diff(batch.offsets) > 0]] = True
    return users(batch.with_units(np.cumsum(fresh)))


def sessions_by_key(batch: Sequences, key: Ints) -> Units:
    """Events with the same key are one session; events without (0) are in none."""
    rows = np.flatnonzero(key)
    owner = _owner(batch)[rows]
    order = np.lexsort((rows, key[rows], owner))
    rows, owner = rows[order], owner[order]
    starts = _starts(owner, key[rows])
    regrouped = _take(batch, rows, starts, owner)
    return Units(regrouped, rows, np.arange(len(starts), dtype=np.int64))


def by_held_value(units: Units, keys: list[Ints], *, steps: int) -> Units:
    """One unit per value: a step is matched only by events whose key for that step is the value; 0 matches none.

    Args:
        units: sessions or users.
        keys: key of each event of `units` for each step, one array per step.
        steps: number of steps; marks above belong to exclusions, which strike whatever the value.
    """
    batch = units.batch
    every = np.uint64((1 << steps) - 1)
    marks = batch.marks.astype(np.uint64)
    owner = _owner(batch)
    found: list[tuple[Ints, Ints, NDArray[np.uint64]]] = []
    for key in {id(k): k for k in keys}.values():
        bits = np.uint64(sum(1 << s for s, k in enumerate(keys) if k is key))
        rows = np.flatnonzero((marks & bits).astype(np.bool_) & (key != 0))
        found.append((rows, key[rows], marks[rows] & bits))
    rows, value, bits_of = (np.concatenate([f[i] for f in found]) for i in range(3))
    order = np.lexsort((rows, value, owner[rows]))
    rows, value, bits_of = rows[order], value[order], bits_of[order]
    starts = _starts(owner[rows], value)
    unit = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    unit_owner, unit_value = owner[rows[starts]], value[starts]
    struck_rows = np.flatnonzero(marks & ~every)
    if len(struck_rows):
        first = np.searchsorted(struck_rows, batch.offsets[unit_owner])
        many = np.searchsorted(struck_rows, batch.offsets[unit_owner + 1]) - first
        also = np.repeat(np.arange(len(starts)), many)
        inside = np.arange(len(also)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
        unit = np.concatenate([unit, also])
        rows = np.concatenate([rows, struck_rows[inside]])
        bits_of = np.concatenate([bits_of, marks[struck_rows[inside]] & ~every])
        order = np.lexsort((rows, unit))
        unit, rows, bits_of = unit[order], rows[order], bits_of[order]
    firsts = _starts(unit, rows)
    merged = np.bitwise_or.reduceat(bits_of, firsts) if len(firsts) else bits_of
    unit, rows = unit[firsts], rows[firsts]
    bounds = np.searchsorted(unit, np.arange(len(starts))) if len(starts) else np.empty(0, np.int64)
    regrouped = replace(_take(batch, rows, bounds, owner[rows]), marks=merged)
    source = rows if units.source is None else units.source[rows]
    return Units(regrouped, source, units.parent_of(unit_owner), unit_value)


@njit(nogil=True, cache=True)
def entry_periods(starts, stops, times, marks, leading, edges):  # type: ignore[no-untyped-def]
    """The periods in which each unit has an entry event.

    Args:
        starts: first row of each unit.
        stops: row after the last of each unit.
        times: µs, ascending in a unit.
        marks: bits of all events.
        leading: bits of the steps that can be an entry.
        edges: period p is [edges[p], edges[p + 1]).

    Returns:
        unit, period and first row (the first of its instant) of each pair; int64.
    """
    room = 64
    unit, period, first = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    count = 0
    for u in range(len(starts)):
        p = -1
        for row in range(starts[u], stops[u]):
            time = times[row]
            if not np.uint64(marks[row]) & leading or time < edges[0] or (p >= 0 and time < edges[p + 1]):
                continue
            if time >= edges[-1]:
                break
            p = np.searchsorted(edges, time, side="right") - 1
            if count == room:
                room *= 2
                unit, period, first = _grow(unit, room), _grow(period, room), _grow(first, room)
            at = row
            while at > starts[u] and times[at - 1] == time:
                at -= 1
            unit[count], period[count], first[count] = u, p, at
            count += 1
    return unit[:count], period[:count], first[:count]


@njit(nogil=True, cache=True)
def _grow(array, room):  # type: ignore[no-untyped-def]
    larger = np.empty(room, np.int64)
    larger[: len(array)] = array
    return larger


def spoilt_parents(parent: Ints, period: Ints, stopped: Ints, complete: NDArray[np.bool_], *, again: bool) -> Ints:
    """Which parents an exclusion takes out: none of their chains completes, one was stopped, none came as deep again.

    Args:
        parent: of each unit.
        period: of each unit.
        stopped: latest time a chain was stopped at each step, and latest entry that came as deep; (n, 2, steps).
        complete: whether the unit's chain completes.
        again: whether an entry at the very time of the stop counts as after it.

    Returns:
        Indices of all units of those parents.
    """
    order = np.lexsort((period, parent))
    starts = _starts(parent[order], period[order])
    if len(starts) == 0:
        return np.empty(0, np.int64)
    latest = np.maximum.reduceat(stopped[order], starts, axis=0)
    stop, entry = latest[:, 0], latest[:, 1]
    lost = (stop != np.iinfo(np.int64).min) & ((entry < stop) if again else (entry <= stop))
    spoilt = lost.any(axis=1) & ~np.logical_or.reduceat(complete[order], starts)
    return np.sort(order[np.repeat(spoilt, np.diff(np.append(starts, len(order))))])


def best_of_parent(parent: Ints, period: Ints, depth: Ints, entry: Ints, completion: Ints) -> Ints:
    """Indices of the best chain per (parent, period): deepest, then earliest completion, then latest entry."""
    order = np.lexsort((-entry, completion, -depth, period, parent))
    return np.sort(order[_starts(parent[order], period[order])])


def _owner(batch: Sequences) -> Ints:
    return np.repeat(np.arange(batch.n_users, dtype=np.int64), np.diff(batch.offsets))


def _starts(first: Ints, second: Ints) -> Ints:
    if len(first) == 0:
        return np.empty(0, np.int64)
    changed = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return np.flatnonzero(np.concatenate(([True], changed)))


def _take(batch: Sequences, rows: Ints, starts: Ints, owner: Ints) -> Sequences:
    return Sequences(
        users=batch.users[owner[starts]] if len(starts) else batch.users[:0],
        offsets=np.append(starts, len(rows)).astype(np.int64),
        times=batch.times[rows],
        marks=batch.marks[rows],
        columns=tuple(c[rows] for c in batch.columns),
    )
