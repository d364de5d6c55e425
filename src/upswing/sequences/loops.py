"""Loops: a chain of steps that leads back to its first one, walked again and again; each arc's rate and time by loop."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Loops:
    """Attempts, loops and users; partial results of different users add up, times are appended.

    An arc leads from a step to the next one, the last arc from the last step back to the first.

    Attributes:
        entered: attempts that reached the beginning of the arc so early that its window is over, by group, loops closed
            before (the last index holds all larger numbers) and arc, shape (n_groups, most, n_arcs).
        passed: of these, those that reached its end inside its window.
        pending: attempts at the beginning of the arc whose window is not over yet, gone on or not.
        users: users with a first step, by group and number of loops closed, shape (n_groups, most + 1).
        observed: users that had closed j loops (for j = 0: had their first step) long enough ago to be seen closing
            another one, shape (n_groups, most).
        followed: of these, those who closed another one in time.
        times: duration of each passed arc, µs, shape (n,).
        arcs: arc of each duration.
    """

    entered: Ints
    passed: Ints
    pending: Ints
    users: Ints
    observed: Ints
    followed: Ints
    times: Ints
    arcs: Ints

    def __add__(self, other: Loops) -> Loops:
        return Loops(
            self.entered + other.entered,
            self.passed + other.passed,
            self.pending + other.pending,
            self.users + other.users,
            self.observed + other.observed,
            self.followed + other.followed,
            np.concatenate((self.times, other.times)),
            np.concatenate((self.arcs, other.arcs)),
        )


@dataclass(frozen=True, slots=True)
class LoopKernel:
    """Attempts of one batch of whole users.

    An attempt begins with a first step (mark 0) while no other attempt is open. It goes on with the earliest later event
    that is the next step (mark i) and comes less than the arc's window after the step before; one event is one step. If
    none comes in time the attempt is over, and the next first step at or after that moment begins a new one; first
    steps before belong to the attempt they fell into. With its last step an attempt closes a loop.

    Args:
        windows: window of each arc, µs, shape (n_arcs,); the last arc leads back to a first step.
        again: time within which another loop is to follow, µs.
        start: first instant at which an attempt may begin, µs UTC.
        stop: end of that range, exclusive.
        horizon: time of the last trusted event; a window is over when it ends at or before it.
        most: loops told apart; more are counted with the last.
        n_groups: number of groups.
        grouped: whether the first column holds each event's group (null -1 is the last group); the value at the user's
            first attempt counts.
        members: sorted keys of the users of group 0, all others being group 1; None = no such split.
    """

    windows: Ints
    again: int
    start: int
    stop: int
    horizon: int
    most: int = 8
    n_groups: int = 1
    grouped: bool = False
    members: Ints | None = field(default=None)

    def __call__(self, batch: Sequences) -> Loops:
        """Walk one batch."""
        n_arcs = len(self.windows)
        by_arc = (self.n_groups, self.most, n_arcs)
        entered, passed, pending = (np.zeros(by_arc, np.int64) for _ in range(3))
        users = np.zeros((self.n_groups, self.most + 1), np.int64)
        observed, followed = (np.zeros((self.n_groups, self.most), np.int64) for _ in range(2))
        times, arcs = (np.empty(2 * batch.n_events, np.int64) for _ in range(2))
        fixed = np.full(batch.n_users, -1, np.int64)
        if self.members is not None:
            fixed = np.where(np.isin(batch.users, self.members), 0, 1).astype(np.int64)
        groups = batch.columns[0].astype(np.int64) if self.grouped else np.zeros(0, np.int64)
        n = _loops(
            batch.offsets, batch.times, batch.marks, groups, fixed, self.windows, self.again, self.start, self.stop,
            self.horizon, entered, passed, pending, users, observed, followed, times, arcs,
        )  # fmt: skip
        return Loops(entered, passed, pending, users, observed, followed, times[:n].copy(), arcs[:n].copy())


@njit(cache=True, nogil=True)
def _loops(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, groups, fixed, windows, again, start, stop, horizon, entered, passed, pending, users,  # noqa: ANN001
    observed, followed, durations, arcs,  # noqa: ANN001
):  # fmt: skip
    last, most = len(windows) - 1, observed.shape[1]
    n = 0
    for user in range(len(offsets) - 1):
        group, closed, step, since = -1, 0, -1, 0  # step: the last one done of the open attempt, -1 when none is open
        returning, closed_at, reference = False, 0, 0
        for row in range(offsets[user], offsets[user + 1]):
            time, mark = times[row], marks[row]
            level = min(closed, most - 1)
            if step >= 0 and time - since >= windows[step]:
                step = -1
            if step >= 0:
                if (mark >> (step + 1)) & 1:
                    if since + windows[step] <= horizon:
                        passed[group, level, step] += 1
                        durations[n], arcs[n] = time - since, step
                        n += 1
                    step += 1
                    since = time
                    if time + windows[step] <= horizon:
                        entered[group, level, step] += 1
                    else:
                        pending[group, level, step] += 1
                    if step == last:
                        if reference + again <= horizon:
                            observed[group, level] += 1
                            followed[group, level] += time - reference < again
                        closed += 1
                        step, returning, closed_at, reference = -1, True, time, time
            elif mark & 1:
                if returning:
                    if time - closed_at < windows[last] and closed_at + windows[last] <= horizon:
                        passed[group, min(closed - 1, most - 1), last] += 1
                        durations[n], arcs[n] = time - closed_at, last
                        n += 1
                    returning = False
                if not start <= time < stop:
                    continue
                if group < 0:
                    group, reference = fixed[user], time
                    if len(groups) > 0:
                        group = groups[row]
                        if group < 0:
                            group = entered.shape[0] - 1
                    group = max(group, 0)
                if time + windows[0] <= horizon:
                    entered[group, level, 0] += 1
                else:
                    pending[group, level, 0] += 1
                step, since = 0, time
        if group >= 0:
            level = min(closed, most - 1)
            if reference + again <= horizon:
                observed[group, level] += 1
            users[group, min(closed, most)] += 1
    return n
