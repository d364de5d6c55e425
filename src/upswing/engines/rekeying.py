"""From the spine of a log to the spine of the same rows where some of them belong to other users: what aliases do.

Only the groups that lose or gain rows are sorted again; everybody else's events are copied in stretches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from upswing.engines.source import Intervals
from upswing.engines.spine import Spine

Ints = NDArray[np.int64]


def rekeyed(spine: Spine, rows: Ints, keys: Ints, before: Ints, *, version: str) -> Spine:
    """The spine with some rows given to other users, in memory; the old one stays as it is.

    Args:
        spine: of the rows as they were given before.
        rows: stored rows that change hands, shape (n,), each once.
        keys: canonical user key of each now, shape (n,).
        before: canonical user key of each in `spine`, shape (n,).
        version: of the data with them.

    Raises:
        ValueError: a row that the spine does not have under the key before.

    Examples:
        >>> old = Spine("1", ("open", "pay"), np.array([1, 2]), np.array([0, 1, 3]), np.array([5, 4, 6]),
        ...             np.array([0, 1, 0], np.uint8), None, np.packbits([1, 0, 0]), 4, 6)
        >>> new = rekeyed(old, np.array([0]), np.array([2]), np.array([1]), version="2")
        >>> new.users.tolist(), new.times.tolist(), new.order.tolist()
        ([2], [4, 5, 6], [1, 0, 2])
    """
    places = _places(spine.users, np.union1d(before, keys))
    taken = _spans(spine.offsets[places], spine.offsets[places + 1])
    stored = taken if spine.order is None else spine.order[taken].astype(np.int64)
    owners = np.repeat(spine.users[places], np.diff(spine.offsets)[places])
    owners = _given(owners, stored, rows, keys)
    by_user = np.lexsort((stored, spine.times[taken], owners))
    owners = owners[by_user]
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(owners)), bool), owners[1:] != owners[:-1])))
    own_counts = np.diff(np.append(starts, len(owners)))
    kept = np.ones(spine.n_users, bool)
    kept[places] = False
    users = np.concatenate((spine.users[kept], owners[starts]))
    by_key = np.argsort(users)
    counts = np.concatenate((np.diff(spine.offsets)[kept], own_counts))[by_key]
    users, offsets = users[by_key], np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    stretches = _stretches(spine.offsets, kept, offsets, users, spine.users[kept])
    begins = offsets[np.searchsorted(users, owners[starts])]
    goal = _spans(begins, begins + own_counts)
    kind = np.int32 if spine.n_events < 2**31 else np.int64
    order = np.empty(spine.n_events, kind)
    for source, target, length in stretches:
        moved = slice(source, source + length)
        order[target : target + length] = (
            np.arange(source, source + length) if spine.order is None else spine.order[moved]
        )
    order[goal] = stored[by_user]
    return Spine(
        version, spine.events, users, offsets, _spliced(spine.times, stretches, goal, taken[by_user]),
        _spliced(spine.codes, stretches, goal, taken[by_user]), order, spine.parity, spine.first_time, spine.last_time,
    )  # fmt: skip


def changed_ids(before: Intervals, now: Intervals) -> Ints:
    """Own user keys whose events may belong to somebody else than before, ascending."""
    parts = ("user_key", "start", "stop", "canonical")
    old, new = (set(zip(*(found[part].tolist() for part in parts), strict=True)) for found in (before, now))
    return np.array(sorted({row[0] for row in old ^ new}), np.int64)


def _places(users: Ints, wanted: Ints) -> Ints:
    """Where those of the wanted users that there are stand."""
    found = np.searchsorted(users, wanted)
    inside = found < len(users)
    found, wanted = found[inside], wanted[inside]
    there: Ints = found[users[found] == wanted]
    return there


def _spans(begins: Ints, ends: Ints) -> Ints:
    """The numbers of several ranges, one range after the other."""
    lengths = ends - begins
    firsts = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)[: len(lengths)]
    return np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(begins - firsts, lengths)


def _given(owners: Ints, stored: Ints, rows: Ints, keys: Ints) -> Ints:
    """Owners of stored rows, with some rows given away."""
    by_row = np.argsort(rows)
    ascending, place = rows[by_row], np.searchsorted(rows[by_row], stored)
    place[place == len(rows)] = 0
    hit = ascending[place] == stored
    if int(hit.sum()) != len(rows):
        raise ValueError("a row is not where it was")
    return np.where(hit, keys[by_row][place], owners)


def _stretches(
    old: Ints, kept: NDArray[np.bool_], offsets: Ints, users: Ints, stayed: Ints
) -> list[tuple[int, int, int]]:
    """Runs of events of users who stay as they are, as (from, to, length).

    Two of them join where as much was put between them as was taken away; what lies between is written afterwards.
    """
    begins, ends = old[:-1][kept], old[1:][kept]
    if not len(begins):
        return []
    shift = offsets[np.searchsorted(users, stayed)] - begins
    firsts = np.flatnonzero(np.concatenate((np.ones(1, bool), shift[1:] != shift[:-1])))
    lasts = np.append(firsts[1:], len(begins)) - 1
    return [
        (int(begins[a]), int(begins[a] + shift[a]), int(ends[b] - begins[a]))
        for a, b in zip(firsts, lasts, strict=True)
    ]


def _spliced(column: NDArray[Any], stretches: list[tuple[int, int, int]], goal: Ints, source: Ints) -> NDArray[Any]:
    found = np.empty(len(column), column.dtype)
    for begin, target, length in stretches:
        found[target : target + length] = column[begin : begin + length]
    found[goal] = column[source]
    return found
