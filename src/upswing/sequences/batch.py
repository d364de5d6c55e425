"""The unit of work of every kernel: whole users, their events in time order, as flat arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

Partial = TypeVar("Partial")
THREADS: Final = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Sequences:
    """A batch of whole users. Events of user ``i`` are rows ``offsets[i]:offsets[i+1]``, sorted by (time, ingest order).

    Args:
        users: user keys, shape (n_users,), int64; each user is in one batch only.
        offsets: shape (n_users + 1,), int64, ascending.
        times: µs since the epoch, UTC, shape (n_events,), int64.
        marks: bit ``j`` is set when the event matches mark ``j`` of the request; uint8/16/32/64, shape (n_events,).
        columns: further columns asked for, each shape (n_events,): category codes int16/int32 (-1 null), hashed keys
            int64 (0 null), or float64 numbers (nan null).
    """

    users: NDArray[np.int64]
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    marks: NDArray[Any]
    columns: tuple[NDArray[Any], ...] = ()

    @property
    def n_users(self) -> int:
        """Number of users in the batch."""
        return len(self.users)

    @property
    def n_events(self) -> int:
        """Number of events in the batch."""
        return len(self.times)

    def slice_users(self, start: int, stop: int) -> Sequences:
        """Users ``start:stop`` as a batch of its own, without copying events."""
        lo, hi = int(self.offsets[start]), int(self.offsets[stop])
        return Sequences(
            users=self.users[start:stop],
            offsets=self.offsets[start : stop + 1] - lo,
            times=self.times[lo:hi],
            marks=self.marks[lo:hi],
            columns=tuple(c[lo:hi] for c in self.columns),
        )

    def split(self, parts: int) -> Iterator[Sequences]:
        """About `parts` batches of whole users with like numbers of events."""
        if self.n_users == 0:
            return
        bounds = np.searchsorted(self.offsets, np.linspace(0, self.offsets[-1], parts + 1)[1:-1])
        edges = np.unique(np.concatenate(([0], bounds, [self.n_users])))
        for lo, hi in pairwise(edges):
            yield self.slice_users(int(lo), int(hi))

    def with_units(self, unit_of_event: NDArray[np.int64]) -> Sequences:
        """The same events regrouped into finer units, e.g. sessions.

        Args:
            unit_of_event: ascending unit number of each event (never spanning two users), shape (n_events,).
        """
        starts = np.flatnonzero(np.concatenate(([True], unit_of_event[1:] != unit_of_event[:-1])))[: self.n_events]
        owner = np.searchsorted(self.offsets, starts, side="right") - 1
        return replace(self, users=self.users[owner], offsets=np.append(starts, self.n_events).astype(np.int64))


def run(
    kernel: Callable[[Sequences], Partial],
    batches: Iterable[Sequences],
    merge: Callable[[Partial, Partial], Partial],
    *,
    threads: int | None = None,
) -> Partial | None:
    """Run a mergeable kernel over batches on threads and merge the partial results in order of the batches.

    Law (tested): any split of the users gives the same merged result. Kernels release the GIL.

    Returns:
        The merged partial, or None when there was no batch at all.
    """
    merged: Partial | None = None
    with workers(threads) as pool:
        for batch in batches:
            for partial in pool.map(kernel, batch.split((threads or THREADS) * 2)):
                merged = partial if merged is None else merge(merged, partial)
    return merged


def workers(threads: int | None = None) -> ThreadPoolExecutor:
    """Threads for independent jobs that release the GIL; leave them by ``with``.

    Examples:
        >>> with workers() as pool:
        ...     lengths = [pool.submit(len, word) for word in ("a", "bc")]
        >>> [length.result() for length in lengths]
        [1, 2]
    """
    return ThreadPoolExecutor(threads or THREADS)
