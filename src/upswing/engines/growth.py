"""From the spine of a log to the spine of the same log with rows appended: copied once, only the new rows are sorted.

Every row that a log gets later has a higher stored row, so of two events of a user at the same time the appended one
comes second, and a merge by time alone gives the order that a whole build would give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from upswing.engines.spine import Spine

Ints = NDArray[np.int64]
_PIECES: Final = 64
"""Ranges of users that threads take turns at."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Rows that came after those of a spine, in stored order.

    Args:
        keys: canonical user keys, shape (n,).
        own: lowest bit of each row's own user key, shape (n,).
        times: µs UTC, shape (n,).
        names: the event names that occur.
        codes: index into `names`, shape (n,).
    """

    keys: Ints
    own: NDArray[np.uint8]
    times: Ints
    names: list[str]
    codes: NDArray[Any]


def extended(spine: Spine, tail: Appended, *, version: str) -> Spine:
    """The spine with rows appended, in memory; the old one stays as it is.

    Args:
        spine: of the rows before.
        tail: the rows after.
        version: of the data with them.

    Examples:
        >>> old = Spine("1", ("open",), np.array([1, 2]), np.array([0, 1, 2]), np.array([5, 6]),
        ...             np.array([0, 0], np.uint8), None, np.packbits([1, 0]), 5, 6)
        >>> new = extended(old, Appended(np.array([1]), np.array([1], np.uint8), np.array([4]), ["pay"],
        ...                              np.array([0])), version="2")
        >>> new.times.tolist(), new.codes.tolist(), new.order.tolist(), new.events
        ([4, 5, 6], [1, 0, 0], [2, 0, 1], ('open', 'pay'))
    """
    if not len(tail.keys):
        return _renamed(spine, version)
    events, codes = _coded(spine, tail)
    by_user = np.lexsort((tail.times, tail.keys))  # stable: equal times stay in stored order
    keys, moments, kinds = tail.keys[by_user], tail.times[by_user], codes[by_user]
    total = spine.n_events + len(keys)
    rows = (by_user + spine.n_events).astype(np.int32 if total < 2**31 else np.int64)
    users, old, new = _joined_users(spine, keys)
    offsets = np.concatenate(([0], np.cumsum(np.diff(old) + np.diff(new)))).astype(np.int64)
    times = np.empty(total, np.int64)
    merged = np.empty(total, np.promote_types(spine.codes.dtype, kinds.dtype))
    order = np.empty(total, rows.dtype)
    held = np.zeros(0, rows.dtype) if spine.order is None else spine.order
    cuts = np.searchsorted(offsets, np.linspace(0, total, _PIECES + 1)).astype(np.int64)
    cuts[0], cuts[-1] = 0, len(users)
    _merge(cuts, offsets, old, new, spine.times, spine.codes, held, spine.order is None, moments, kinds, rows,
           times, merged, order)  # fmt: skip
    return Spine(
        version, events, users, offsets, times, merged, order, _parity(spine, tail.own),
        min(spine.first_time, int(moments.min())) if spine.n_events else int(moments.min()),
        max(spine.last_time, int(moments.max())) if spine.n_events else int(moments.max()),
    )  # fmt: skip


def _renamed(spine: Spine, version: str) -> Spine:
    return Spine(
        version, spine.events, spine.users, spine.offsets, spine.times, spine.codes, spine.order, spine.parity,
        spine.first_time, spine.last_time,
    )  # fmt: skip


def _coded(spine: Spine, tail: Appended) -> tuple[tuple[str, ...], NDArray[Any]]:
    """All event names, those of the spine first, and the codes of the new rows among them."""
    place = {name: code for code, name in enumerate(spine.events)}
    for name in tail.names:
        place.setdefault(name, len(place))
    kind = np.min_scalar_type(max(1, len(place)) - 1)
    return tuple(place), np.array([place[name] for name in tail.names], kind)[tail.codes]


def _joined_users(spine: Spine, keys: Ints) -> tuple[Ints, Ints, Ints]:
    """All users ascending, and where the old and the new events of each begin."""
    starts = np.flatnonzero(np.concatenate((np.ones(1, bool), keys[1:] != keys[:-1])))
    with_new = keys[starts]
    places = np.searchsorted(spine.users, with_new)
    known = np.zeros(len(with_new), bool)
    inside = places < spine.n_users
    known[inside] = spine.users[places[inside]] == with_new[inside]
    users = np.insert(spine.users, places[~known], with_new[~known])
    old_counts = np.insert(np.diff(spine.offsets), places[~known], 0)
    new_counts = np.zeros(len(users), np.int64)
    new_counts[np.searchsorted(users, with_new)] = np.diff(np.append(starts, len(keys)))
    return users, _running(old_counts), _running(new_counts)


def _running(counts: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


def _parity(spine: Spine, own: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The bits of all rows; only the last byte of the old ones may have room."""
    whole = spine.n_events // 8
    open_bits = np.unpackbits(spine.parity[whole:], bitorder="little")[: spine.n_events - 8 * whole]
    last = np.packbits(np.concatenate((open_bits, own & 1)), bitorder="little")
    return np.concatenate((spine.parity[:whole], last))


@numba.njit(cache=True, nogil=True, parallel=True)
def _merge(
    cuts: Ints, offsets: Ints, old: Ints, new: Ints, old_times: Ints, old_codes: NDArray[Any], old_order: NDArray[Any],
    in_place: bool, new_times: Ints, new_codes: NDArray[Any], new_rows: NDArray[Any], times: Ints,
    codes: NDArray[Any], order: NDArray[Any],
) -> None:  # fmt: skip
    """Old and new events of each user, by time; at equal times the old ones first."""
    for piece in numba.prange(len(cuts) - 1):
        u = cuts[piece]
        while u < cuts[piece + 1]:
            if new[u] == new[u + 1]:  # a stretch of users without new events moves as it is
                last = u
                while last < cuts[piece + 1] and new[last] == new[last + 1]:
                    last += 1
                shift = offsets[u] - old[u]
                for i in range(old[u], old[last]):
                    times[i + shift] = old_times[i]
                for i in range(old[u], old[last]):
                    codes[i + shift] = old_codes[i]
                for i in range(old[u], old[last]):
                    order[i + shift] = i if in_place else old_order[i]
                u = last
                continue
            at, i, j = offsets[u], old[u], new[u]
            while i < old[u + 1] or j < new[u + 1]:
                if j == new[u + 1] or (i < old[u + 1] and old_times[i] <= new_times[j]):
                    times[at], codes[at] = old_times[i], old_codes[i]
                    order[at] = i if in_place else old_order[i]
                    i += 1
                else:
                    times[at], codes[at], order[at] = new_times[j], new_codes[j], new_rows[j]
                    j += 1
                at += 1
            u += 1
