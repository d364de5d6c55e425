"""Aha search: how often users showed each behaviour soon after their start, against what they did later, in one pass.

Every behaviour × count × window is judged in the same visit of an event. The exposure windows end before the outcome
window begins, users whose outcome window is not over are counted apart, and each user falls into one of two halves by
a hash, so that what is discovered on one half can be confirmed on the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences

START, OUTCOME, ACTIVITY = 1, 2, 4
"""Bits of the marks; behaviours that are marks take the bits from `FIRST_BEHAVIOUR` on."""
FIRST_BEHAVIOUR = 3

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AhaTables:
    """Users by half, behaviour, window, count and stratum; partial results add up.

    Attributes:
        users: observable users, shape (2, n_windows, n_strata).
        reached: those of them with the outcome, same shape.
        shown: users with at least the count, shape (2, n_behaviours, n_windows, n_counts, n_strata).
        shown_reached: those of them with the outcome, same shape.
        started: users with a start in the range.
        waiting: of these, users whose outcome window is not over yet.
        overlapping: of these, users whose exposure window reaches into their outcome window (short calendar days).
    """

    users: Ints
    reached: Ints
    shown: Ints
    shown_reached: Ints
    started: int
    waiting: int
    overlapping: int

    def __add__(self, other: AhaTables) -> AhaTables:
        return AhaTables(
            self.users + other.users,
            self.reached + other.reached,
            self.shown + other.shown,
            self.shown_reached + other.shown_reached,
            self.started + other.started,
            self.waiting + other.waiting,
            self.overlapping + other.overlapping,
        )


@dataclass(frozen=True, slots=True)
class AhaRows:
    """One row per observable user for one behaviour and window; partial results are appended.

    Attributes:
        users: user keys, shape (n,).
        half: 0 discovery, 1 confirmation.
        dose: times the behaviour was shown in the window.
        reached: whether the outcome happened.
        activity: sessions, or marked activity, in the window.
        group: index of the user's combination of confounder values.
    """

    users: Ints
    half: Ints
    dose: Ints
    reached: NDArray[np.bool_]
    activity: Ints
    group: Ints

    def __add__(self, other: AhaRows) -> AhaRows:
        names = ("users", "half", "dose", "reached", "activity", "group")
        return AhaRows(*(np.concatenate((getattr(self, n), getattr(other, n))) for n in names))


@dataclass(frozen=True, slots=True)
class AhaKernel:
    """The search over one batch of whole users.

    A behaviour is a code of the first column, a bit of the marks, or several of both. The start itself is never counted
    as a behaviour; other events at its very instant are.

    Args:
        n_behaviours: number of behaviours.
        windows: lengths of the exposure windows from the start on, µs, ascending, shape (n_windows,).
        counts: thresholds, ascending, each at least 1, shape (n_counts,).
        after: beginning of the outcome window after the start: µs, or periods of `edges`.
        until: its end, exclusive.
        start: first instant at which a start counts, µs UTC.
        stop: end of that range, exclusive.
        horizon: time of the last trusted event; an outcome window is over when it ends at or before it.
        times: fewest outcome events.
        code_offsets: behaviours of code ``c`` are ``code_behaviours[code_offsets[c]:code_offsets[c + 1]]``; empty when no
            column holds codes.
        code_behaviours: see `code_offsets`.
        bit_behaviours: behaviour of each mark bit from `FIRST_BEHAVIOUR` on.
        edges: period edges for an outcome window in calendar periods; empty for one counted from the start.
        gap: idle time that ends a session, µs: activity is the number of sessions that the start and the events with the
            `ACTIVITY` bit make; 0 = activity is the number of those events, the start left out.
        cuts: lower bounds of the activity bins above the lowest, ascending; empty = activity is no stratum.
        radices: number of groups of each further column (one more than its values for others, one for null).
        seed: of the split into halves.
    """

    n_behaviours: int
    windows: Ints
    counts: Ints
    after: int
    until: int
    start: int
    stop: int
    horizon: int
    times: int = 1
    code_offsets: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    code_behaviours: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    bit_behaviours: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    edges: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    gap: int = 0
    cuts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    radices: tuple[int, ...] = ()
    seed: int = 0

    @property
    def n_strata(self) -> int:
        """Groups of the confounder columns times activity bins."""
        return int(np.prod(self.radices, dtype=np.int64)) * (len(self.cuts) + 1)

    def __call__(self, batch: Sequences) -> AhaTables:
        """Count one batch."""
        members = self._members(batch)
        shape = (2, self.n_behaviours, len(self.windows), len(self.counts), self.n_strata)
        users, reached = (np.zeros((2, len(self.windows), self.n_strata), np.int64) for _ in range(2))
        shown, shown_reached = (np.zeros(shape, np.int64) for _ in range(2))
        _tables(
            batch.offsets, batch.times, batch.marks, self._codes(batch), self.code_offsets, self.code_behaviours,
            self.bit_behaviours, members.rows, members.group, members.half, members.lower, members.upper,
            members.observed, self.windows, self.counts, self.times, self.gap, self.cuts, users, reached, shown,
            shown_reached,
        )  # fmt: skip
        for table in (shown, shown_reached):  # from exactly this threshold to at least this threshold
            table[...] = table[:, :, :, ::-1].cumsum(axis=3)[:, :, :, ::-1]
        return AhaTables(users, reached, shown, shown_reached, members.started, members.waiting, members.overlapping)

    def rows(self, batch: Sequences, behaviour: int, window: int) -> AhaRows:
        """Users of one batch one by one, for one behaviour and one window (its index)."""
        members = self._members(batch)
        dose, activity = (np.zeros(batch.n_users, np.int64) for _ in range(2))
        reached = np.zeros(batch.n_users, np.bool_)
        _rows(
            batch.offsets, batch.times, batch.marks, self._codes(batch), self.code_offsets, self.code_behaviours,
            self.bit_behaviours, members.rows, members.lower, members.upper, members.observed, behaviour,
            self.windows[window], self.times, self.gap, dose, reached, activity,
        )  # fmt: skip
        seen = members.observed
        return AhaRows(
            batch.users[seen], members.half[seen], dose[seen], reached[seen], activity[seen], members.group[seen]
        )

    def _codes(self, batch: Sequences) -> NDArray[np.int32]:
        if len(self.code_offsets) == 0:
            return np.zeros(0, np.int32)
        return batch.columns[0].astype(np.int32, copy=False)

    def _members(self, batch: Sequences) -> _Members:
        rows = _first_marked(batch.offsets, batch.times, batch.marks, START, self.start, self.stop)
        started = rows >= 0
        begins = np.where(started, batch.times[np.maximum(rows, 0)], 0) if batch.n_events else np.zeros(0, np.int64)
        if len(self.edges):
            last = len(self.edges) - 1
            period = np.searchsorted(self.edges, begins, side="right") - 1
            lower = self.edges[np.clip(period + self.after, 0, last)]
            upper = np.where(period + self.until > last, np.iinfo(np.int64).max,
                             self.edges[np.clip(period + self.until, 0, last)])  # fmt: skip
        else:
            lower, upper = begins + self.after, begins + self.until
        over = upper <= self.horizon
        clear = begins + self.windows[-1] <= lower
        columns = batch.columns[1 if len(self.code_offsets) else 0 :]
        group = np.zeros(batch.n_users, np.int64)
        for column, radix in zip(columns, self.radices, strict=True):
            known = _known_at(batch.offsets, rows, column)
            group = group * radix + np.where(known < 0, radix - 1, np.minimum(known, radix - 1))
        return _Members(
            rows, group, halves(batch.users, self.seed), lower, upper, started & over & clear,
            int(started.sum()), int((started & ~over).sum()), int((started & over & ~clear).sum()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Members:
    """Per user of a batch: row of the start (-1 none), confounder group, half, outcome window, whether observable."""

    rows: Ints
    group: Ints
    half: Ints
    lower: Ints
    upper: Ints
    observed: NDArray[np.bool_]
    started: int
    waiting: int
    overlapping: int


def halves(users: Ints, seed: int) -> Ints:
    """Which half each user belongs to: 0 or 1 by a hash of key and seed, whatever batch the user is in.

    Examples:
        >>> halves(np.arange(1000, dtype=np.int64), 7).mean().round(1)
        np.float64(0.5)
    """
    mixed = users.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # finaliser of splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(63)).astype(np.int64)


@njit(cache=True, nogil=True)
def _first_marked(offsets, times, marks, bit, start, stop):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Row of each user's first marked event if it lies in the range, else -1."""
    found = np.full(len(offsets) - 1, -1, np.int64)
    for user in range(len(offsets) - 1):
        for row in range(offsets[user], offsets[user + 1]):
            if marks[row] & bit:
                if start <= times[row] < stop:
                    found[user] = row
                break
    return found


@njit(cache=True, nogil=True)
def _known_at(offsets, rows, column):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The last value that is not null at or before each row of `rows`; -1 for none."""
    found = np.full(len(rows), -1, np.int64)
    for user in range(len(rows)):
        row = rows[user]
        while row >= offsets[user]:
            if column[row] >= 0:
                found[user] = column[row]
                break
            row -= 1
    return found


@njit(cache=True, nogil=True)
def _tables(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, codes, code_offsets, code_behaviours, bit_behaviours, rows, group, half, lower, upper,  # noqa: ANN001
    observed, windows, counts, need, gap, cuts, users, reached, shown, shown_reached,  # noqa: ANN001
):  # fmt: skip
    n_windows, n_counts, n_bins = len(windows), len(counts), len(cuts) + 1
    seen = np.zeros((shown.shape[1], n_windows), np.int64)  # events by behaviour and ring between two windows
    touched = np.empty(shown.shape[1], np.int64)
    active = np.empty(n_windows, np.int64)
    stratum = np.empty(n_windows, np.int64)
    for user in range(len(rows)):
        if not observed[user]:
            continue
        anchor, end = rows[user], offsets[user + 1]
        begin = times[anchor]
        row = anchor
        while row > offsets[user] and times[row - 1] == begin:
            row -= 1
        n_touched, outcomes = 0, 0
        active[:] = 0
        active[0] = gap > 0
        before = begin
        while row < end and times[row] < upper[user]:
            time, mark = times[row], marks[row]
            past = time - begin
            if past < windows[n_windows - 1]:
                if row != anchor:
                    ring = 0
                    while past >= windows[ring]:
                        ring += 1
                    if mark & ACTIVITY:
                        active[ring] += gap == 0 or time - before > gap
                        before = time
                    if len(codes) > 0 and 0 <= codes[row] < len(code_offsets) - 1:
                        for at in range(code_offsets[codes[row]], code_offsets[codes[row] + 1]):
                            b = code_behaviours[at]
                            n_touched = _note(seen, touched, n_touched, b, ring)
                    for bit in range(len(bit_behaviours)):
                        if (mark >> (FIRST_BEHAVIOUR + bit)) & 1:
                            n_touched = _note(seen, touched, n_touched, bit_behaviours[bit], ring)
            elif time >= lower[user] and mark & OUTCOME:
                outcomes += 1
                if outcomes >= need:
                    break
            row += 1
        y, h, total = outcomes >= need, half[user], 0
        for w in range(n_windows):
            total += active[w]
            level = 0
            while level < n_bins - 1 and total >= cuts[level]:
                level += 1
            stratum[w] = group[user] * n_bins + level
            users[h, w, stratum[w]] += 1
            reached[h, w, stratum[w]] += y
        for i in range(n_touched):
            b, total = touched[i], 0
            for w in range(n_windows):
                total += seen[b, w]
                seen[b, w] = 0
                level = 0
                while level < n_counts and total >= counts[level]:
                    level += 1
                if level > 0:
                    shown[h, b, w, level - 1, stratum[w]] += 1
                    shown_reached[h, b, w, level - 1, stratum[w]] += y


@njit(cache=True, nogil=True, inline="always")
def _note(seen, touched, n_touched, behaviour, ring):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    fresh = True
    for w in range(seen.shape[1]):
        if seen[behaviour, w] > 0:
            fresh = False
    if fresh:
        touched[n_touched] = behaviour
        n_touched += 1
    seen[behaviour, ring] += 1
    return n_touched


@njit(cache=True, nogil=True)
def _rows(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, codes, code_offsets, code_behaviours, bit_behaviours, rows, lower, upper, observed,  # noqa: ANN001
    behaviour, window, need, gap, dose, reached, activity,  # noqa: ANN001
):  # fmt: skip
    for user in range(len(rows)):
        if not observed[user]:
            continue
        anchor, outcomes = rows[user], 0
        begin = times[anchor]
        row, before = anchor, begin
        while row > offsets[user] and times[row - 1] == begin:
            row -= 1
        activity[user] = gap > 0
        while row < offsets[user + 1] and times[row] < upper[user]:
            time, mark = times[row], marks[row]
            if time - begin < window:
                if row != anchor:
                    if mark & ACTIVITY:
                        activity[user] += gap == 0 or time - before > gap
                        before = time
                    if len(codes) > 0 and 0 <= codes[row] < len(code_offsets) - 1:
                        for at in range(code_offsets[codes[row]], code_offsets[codes[row] + 1]):
                            dose[user] += code_behaviours[at] == behaviour
                    for bit in range(len(bit_behaviours)):
                        dose[user] += ((mark >> (FIRST_BEHAVIOUR + bit)) & 1) * (bit_behaviours[bit] == behaviour)
            elif time >= lower[user] and mark & OUTCOME:
                outcomes += 1
                if outcomes >= need:
                    break
            row += 1
        reached[user] = outcomes >= need
