"""Dividing users, so that every kernel can be run on each part: by a segment, or by a value at their first such event.

Every user is in exactly one group, so the parts add up to the whole: the total is the merged parts, never an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.diagnose.breakdown import NONE, OTHER, breakdown_by
from upswing.diagnose.scan import Keys, Scan, chosen_users
from upswing.engines.base import SequenceRequest
from upswing.events.log import Matcher
from upswing.sequences.batch import Sequences

Partial = TypeVar("Partial")
Segment = tuple[str, Keys]
"""Name and sorted user keys of a segment that is compared with everybody else."""


@dataclass(frozen=True, slots=True)
class Groups:
    """A division of the users.

    Args:
        by: the property, or ``segment:NAME``.
        names: names of the groups.
        keys: sorted keys of the users whose group is known.
        codes: their groups, as places in `names`.
        rest: group of all other users.
    """

    by: str
    names: tuple[str, ...]
    keys: Keys
    codes: NDArray[np.int64]
    rest: int

    @property
    def label(self) -> str:
        """Head of a table's column: the property, or the segment's name."""
        return self.by.removeprefix("segment:")

    def of(self, users: Keys) -> NDArray[np.int64]:
        """Group of each user."""
        if not len(self.keys):
            return np.full(len(users), self.rest, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, users), len(self.keys) - 1)
        return np.where(self.keys[at] == users, self.codes[at], self.rest)

    def parts(self, batch: Sequences) -> list[Sequences]:
        """The batch divided into one for each group, in the order of `names`."""
        codes = self.of(batch.users)
        order = np.argsort(codes, kind="stable")
        sizes = np.diff(batch.offsets)[order]
        offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        rows = np.repeat(batch.offsets[:-1][order] - offsets[:-1], sizes) + np.arange(offsets[-1])
        sorted_ = Sequences(
            batch.users[order], offsets, batch.times[rows], batch.marks[rows], tuple(c[rows] for c in batch.columns)
        )
        edges = np.searchsorted(codes[order], np.arange(len(self.names) + 1))
        return [sorted_.slice_users(int(a), int(b)) for a, b in pairwise(edges)]


def groups_by(
    scan: Scan,
    by: str | None,
    match: Matcher,
    *,
    start: int,
    stop: int,
    limit: int,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> Groups | None:
    """Groups by a segment, or by the value of a property on each user's first matching event in [start, stop).

    The values that most users have get groups of their own; the rest is "(other)"; a user whose first such event lacks
    the property, or who has none, is in "(none)".

    Args:
        scan: where statements are run and noted.
        by: the property; None = no groups, unless there is a segment.
        match: the events that carry the value.
        start: µs UTC.
        stop: µs UTC, exclusive.
        limit: most values with a group of their own.
        users: sorted user keys; None = all.
        segment: compare these users with everybody else, who are in "(other)".

    Raises:
        UsageError: UP301 no such property, UP643 the limit is not positive.
    """
    if segment is not None:
        name, keys = segment
        return Groups(f"segment:{name}", (name, OTHER), keys, np.zeros(len(keys), dtype=np.int64), 1)
    if by is None:
        return None
    found = breakdown_by(scan, by, match, start=start, stop=stop, limit=limit, users=users)
    request = SequenceRequest(
        marks=(scan.log.mark(match),), columns=(found.category,), start=start, stop=stop, users=users
    )
    none = len(found.groups) - 1
    first = scan.run(_first_values, request, _joined)
    if first is None:
        return Groups(by, found.groups, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), none)
    order = np.argsort(first[0])
    codes = first[1][order].astype(np.int64)
    return Groups(by, found.groups, first[0][order], np.where(codes < 0, none, codes), none)


def run_grouped(
    scan: Scan,
    kernel: Callable[[Sequences], Partial],
    request: SequenceRequest,
    merge: Callable[[Partial, Partial], Partial],
    groups: Groups | None,
) -> tuple[Partial | None, list[Partial]]:
    """Run a kernel over everybody and over each group, in one pass; (None, []) when there is no event to run it on."""
    if groups is None:
        return scan.run(kernel, request, merge), []

    def each(batch: Sequences) -> list[Partial]:
        return [kernel(part) for part in groups.parts(batch)]

    def together(first: list[Partial], second: list[Partial]) -> list[Partial]:
        return [merge(a, b) for a, b in zip(first, second, strict=True)]

    found = scan.run(each, request, together)
    return (None, []) if found is None else (reduce(merge, found), found)


def users_of(
    scan: Scan,
    request: SequenceRequest,
    choose: Callable[[Sequences], NDArray[np.bool_]],
    groups: Groups | None,
    group: int | None,
) -> Keys:
    """Sorted keys of the users for whom `choose` holds, in one group or in any."""
    keys = chosen_users(scan.log, request, choose)
    return keys if groups is None or group is None else keys[groups.of(keys) == group]


def place_of(names: tuple[str, ...], group: str | None) -> int | None:
    """Place of a group's name; None for no group.

    Raises:
        UsageError: UP644 no such group in this result.
    """
    if group is None:
        return None
    if group not in names:
        raise UsageError(text("no group '{group}'", group=group), code="UP644", hint=did_you_mean(group, names))
    return names.index(group)


def _first_values(batch: Sequences) -> tuple[Keys, NDArray[np.int64]]:
    """Each user's first marked event: its category."""
    rows = np.flatnonzero(batch.marks)
    owner = np.searchsorted(batch.offsets, rows, side="right") - 1
    users, first = np.unique(owner, return_index=True)
    return batch.users[users], batch.columns[0][rows[first]].astype(np.int64)


def _joined(
    first: tuple[Keys, NDArray[np.int64]], second: tuple[Keys, NDArray[np.int64]]
) -> tuple[Keys, NDArray[np.int64]]:
    return np.concatenate((first[0], second[0])), np.concatenate((first[1], second[1]))


__all__ = ["NONE", "OTHER", "Groups", "Segment", "groups_by", "place_of", "run_grouped", "users_of"]
