"""Sessions: where one visit of a user ends and the next begins."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences


def by_gap(batch: Sequences, gap: int) -> Sequences:
    """The events regrouped into sessions: a new one begins when the time since the event before exceeds `gap`.

    Args:
        batch: whole users; every event counts, marked or not.
        gap: idle time in µs, inclusive.

    Returns:
        A batch whose units are sessions; `users` names the user of each.
    """
    if batch.n_events == 0:
        return batch
    return batch.with_units(_sessions_by_gap(batch.offsets, batch.times, gap))


def by_key(batch: Sequences, keys: NDArray[np.int64]) -> Sequences:
    """The events regrouped by a key, e.g. a session id; events of one user with the same key are one session.

    Sessions may interleave: events are brought together, in order of time inside each. Events without a key (0) are one
    session of their user.

    Args:
        batch: whole users.
        keys: key of each event, shape (n_events,).
    """
    if batch.n_events == 0:
        return batch
    owner = np.repeat(np.arange(batch.n_users, dtype=np.int64), np.diff(batch.offsets))
    order = np.lexsort((keys, owner))  # stable: order of time is kept inside a key
    sorted_keys, sorted_owner = keys[order], owner[order]
    changed = (sorted_keys[1:] != sorted_keys[:-1]) | (sorted_owner[1:] != sorted_owner[:-1])
    units = np.concatenate(([0], np.cumsum(changed))).astype(np.int64)
    moved = Sequences(
        users=batch.users,
        offsets=batch.offsets,
        times=batch.times[order],
        marks=batch.marks[order],
        columns=tuple(column[order] for column in batch.columns),
    )
    return moved.with_units(units)


@njit(cache=True, nogil=True)
def _sessions_by_gap(offsets, times, gap):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    units = np.empty(len(times), dtype=np.int64)
    unit = -1
    for user in range(len(offsets) - 1):
        for row in range(offsets[user], offsets[user + 1]):
            if row == offsets[user] or times[row] - times[row - 1] > gap:
                unit += 1
            units[row] = unit
    return units
