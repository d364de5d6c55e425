"""Paths and transitions: the steps of each unit (a user or a session), written out, cut, and counted exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from upswing.sequences.batch import Sequences
from upswing.sequences.sessions import by_gap, by_key

Cut = Literal["start", "after", "before", "between"]

MEMBER: Final = 1
"""Bit of `Sequences.marks`: the event can be a step."""
AFTER: Final = 2
"""Bit: a path begins here."""
BEFORE: Final = 4
"""Bit: a path ends here."""

_CUTS: Final[dict[Cut, int]] = {"start": 0, "after": 1, "before": 2, "between": 3}
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Walk:
    """How the events of a batch become steps.

    Args:
        node_of_code: node of each category code of the first column; the last two entries are for any other value and
            for null. -1 leaves the event out.
        n_nodes: number of nodes.
        gap: idle time in µs that ends a session; 0 = none.
        keyed: the second column holds session keys.
        collapse: consecutive steps of the same node (and the same marks) count as one, at the time of the first.
    """

    node_of_code: NDArray[np.int32]
    n_nodes: int
    gap: int = 0
    keyed: bool = False
    collapse: bool = True

    def units(self, batch: Sequences) -> Sequences:
        """The batch regrouped into the units whose paths are counted."""
        if self.keyed:
            return by_key(batch, batch.columns[1])
        return by_gap(batch, self.gap) if self.gap else batch


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """Paths by (position, node); partial results add up.

    Attributes:
        nodes: shape (depth, n_nodes + 1); the last column counts paths that stop short there.
        units: units with at least one step; units with a path.
    """

    nodes: NDArray[np.int64]
    units: NDArray[np.int64]

    def __add__(self, other: NodeCounts) -> NodeCounts:
        return NodeCounts(self.nodes + other.nodes, self.units + other.units)


@dataclass(frozen=True, slots=True)
class EdgeCounts:
    """Steps from one slot of a position to one of the next; partial results add up, to the microsecond.

    Attributes:
        nodes: paths by (position, slot), shape (depth, n_slots).
        finished: of them, those that reached their goal there, before the last position.
        edges: shape (depth - 1, n_slots, n_slots): from the position to the next.
        seconds: whole seconds spent, same shape.
        micros: the rest, in µs.
    """

    nodes: NDArray[np.int64]
    finished: NDArray[np.int64]
    edges: NDArray[np.int64]
    seconds: NDArray[np.int64]
    micros: NDArray[np.int64]

    def __add__(self, other: EdgeCounts) -> EdgeCounts:
        return EdgeCounts(
            self.nodes + other.nodes,
            self.finished + other.finished,
            self.edges + other.edges,
            self.seconds + other.seconds,
            self.micros + other.micros,
        )

    @property
    def mean_seconds(self) -> NDArray[np.float64]:
        """Mean time per edge; nan where there is none."""
        with np.errstate(invalid="ignore"):
            mean: NDArray[np.float64] = (self.seconds + self.micros / _SECOND) / self.edges
        return mean


@dataclass(frozen=True, slots=True)
class PathKernel:
    """Paths of at most `depth` steps from where they are cut.

    Position 0 is the first step, or the anchor; ``before`` counts backwards from it. A unit that stops short of the
    depth ends in a marker, the last node (or slot); a path between two anchors ends at its goal, without a marker.

    Args:
        walk: how events become steps.
        depth: most steps.
        cut: ``start``: from the first step; ``after``: from the first step marked AFTER; ``before``: back from the last
            one marked BEFORE; ``between``: from the first AFTER to the first BEFORE that follows it.
    """

    walk: Walk
    depth: int
    cut: Cut = "start"

    def nodes(self, batch: Sequences) -> NodeCounts:
        """Count nodes by position."""
        slots = np.tile(np.arange(self.walk.n_nodes + 1, dtype=np.int64), (self.depth, 1))
        counts = self._empty(self.walk.n_nodes + 1, edges=False)
        units = self._pass(batch, slots, counts)
        return NodeCounts(counts.nodes, units)

    def edges(self, batch: Sequences, slots: NDArray[np.int64]) -> EdgeCounts:
        """Count edges between slots.

        Args:
            batch: whole users.
            slots: slot of each (position, node), shape (depth, n_nodes + 1); the last column is the marker's.
        """
        counts = self._empty(int(slots.max()) + 1, edges=True)
        self._pass(batch, slots, counts)
        return counts

    def users_at(
        self, batch: Sequences, slots: NDArray[np.int64], near: tuple[int, int], far: tuple[int, int] | None = None
    ) -> NDArray[np.bool_]:
        """Which users of the batch have a path through a slot, or through two.

        Args:
            batch: whole users.
            slots: as for `edges`.
            near: index of a position and slot there.
            far: another one that the same path goes through.
        """
        cut = self.walk.units(batch)
        here = np.zeros(cut.n_users, dtype=np.bool_)
        wanted = np.array([near, near if far is None else far], dtype=np.int64)
        _through(
            cut.offsets, cut.marks.astype(np.uint8, copy=False), cut.columns[0].astype(np.int32, copy=False),
            self.walk.node_of_code, self.walk.collapse, _CUTS[self.cut], slots, wanted, here,
        )  # fmt: skip
        found: NDArray[np.bool_] = np.isin(batch.users, cut.users[here])
        return found

    def _empty(self, n_slots: int, *, edges: bool) -> EdgeCounts:
        flat = (self.depth, n_slots)
        shape = (self.depth - 1, n_slots, n_slots) if edges else (0, 0, 0)
        return EdgeCounts(
            np.zeros(flat, dtype=np.int64),
            np.zeros(flat, dtype=np.int64),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=np.int64),
            np.zeros(shape, dtype=np.int64),
        )

    def _pass(self, batch: Sequences, slots: NDArray[np.int64], counts: EdgeCounts) -> NDArray[np.int64]:
        cut = self.walk.units(batch)
        units = np.zeros(2, dtype=np.int64)
        _paths(
            cut.offsets, cut.times, cut.marks.astype(np.uint8, copy=False), cut.columns[0].astype(np.int32, copy=False),
            self.walk.node_of_code, self.walk.collapse, _CUTS[self.cut], slots, counts.nodes, counts.finished,
            counts.edges, counts.seconds, counts.micros, units,
        )  # fmt: skip
        return units


@dataclass(frozen=True, slots=True)
class TransitionCounts:
    """Directly-follows counts over whole units; partial results add up.

    Attributes:
        follows: how often a node comes directly after another, shape (n_nodes, n_nodes), [source, target].
        seconds: whole seconds between them.
        micros: the rest, in µs.
        starts: units by first node.
        ends: units by last node.
    """

    follows: NDArray[np.int64]
    seconds: NDArray[np.int64]
    micros: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __add__(self, other: TransitionCounts) -> TransitionCounts:
        return TransitionCounts(
            self.follows + other.follows,
            self.seconds + other.seconds,
            self.micros + other.micros,
            self.starts + other.starts,
            self.ends + other.ends,
        )


@dataclass(frozen=True, slots=True)
class TransitionKernel:
    """Which step follows which directly, wherever in the unit (the directly-follows graph of process mining).

    Args:
        walk: how events become steps.
    """

    walk: Walk

    def __call__(self, batch: Sequences) -> TransitionCounts:
        """Count one batch."""
        n = self.walk.n_nodes
        follows, seconds, micros = (np.zeros((n, n), dtype=np.int64) for _ in range(3))
        starts, ends = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        cut = self.walk.units(batch)
        _transitions(
            cut.offsets, cut.times, cut.marks.astype(np.uint8, copy=False), cut.columns[0].astype(np.int32, copy=False),
            self.walk.node_of_code, self.walk.collapse, follows, seconds, micros, starts, ends,
        )  # fmt: skip
        return TransitionCounts(follows, seconds, micros, starts, ends)


@njit(cache=True, nogil=True)
def _longest(offsets):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    most = 0
    for unit in range(len(offsets) - 1):
        most = max(most, offsets[unit + 1] - offsets[unit])
    return most


@njit(cache=True, nogil=True)
def _steps(lo, hi, marks, codes, node_of_code, collapse, nodes, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Nodes of a unit and the rows they begin at; returns how many."""
    n = 0
    for row in range(lo, hi):
        if not marks[row] & 1:
            continue
        node = node_of_code[codes[row]]  # code -1 (null) is the last entry
        if node < 0:
            continue
        if collapse and n > 0 and nodes[n - 1] == node and marks[rows[n - 1]] == marks[row]:
            continue
        nodes[n], rows[n] = node, row
        n += 1
    return n


@njit(cache=True, nogil=True)
def _cut(cut, n, depth, marks, rows):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """(first step, direction, number of steps, whether a marker follows, whether the goal ends it); 0 = no path."""
    if cut == 2:
        last = n - 1
        while last >= 0 and not marks[rows[last]] & 4:
            last -= 1
        return last, -1, min(depth, last + 1), last + 1 < depth, False
    first = 0
    if cut != 0:
        while first < n and not marks[rows[first]] & 2:
            first += 1
    if cut != 3:
        return first, 1, min(depth, n - first), n - first < depth, False
    goal = first + 1
    while goal < n and not marks[rows[goal]] & 4:
        goal += 1
    if goal >= n:
        return first, 1, 0, False, False
    length = goal - first + 1
    return first, 1, min(depth, length), False, length <= depth


@njit(cache=True, nogil=True)
def _paths(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, codes, node_of_code, collapse, cut, slots,  # noqa: ANN001
    counts, finished, edges, seconds, micros, units,  # noqa: ANN001
):  # fmt: skip
    depth, marker = slots.shape[0], slots.shape[1] - 1
    longest = _longest(offsets)
    nodes, rows = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    for unit in range(len(offsets) - 1):
        n = _steps(offsets[unit], offsets[unit + 1], marks, codes, node_of_code, collapse, nodes, rows)
        if n == 0:
            continue
        units[0] += 1
        first, way, length, marked, goal = _cut(cut, n, depth, marks, rows)
        if length <= 0:
            continue
        units[1] += 1
        before = -1
        for i in range(length + marked):
            slot = slots[i, marker] if i == length else slots[i, nodes[first + way * i]]
            counts[i, slot] += 1
            if goal and i == length - 1 and i < depth - 1:
                finished[i, slot] += 1
            if i > 0 and len(edges) > 0:
                edges[i - 1, before, slot] += 1
                if i < length:
                    gap = abs(times[rows[first + way * i]] - times[rows[first + way * (i - 1)]])
                    seconds[i - 1, before, slot] += gap // 1_000_000
                    micros[i - 1, before, slot] += gap % 1_000_000
            before = slot


@njit(cache=True, nogil=True)
def _through(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, marks, codes, node_of_code, collapse, cut, slots, wanted, here,  # noqa: ANN001
):  # fmt: skip
    """Whether a unit's path goes through both wanted (index, slot) pairs, by the same rules as `_paths`."""
    depth, marker = slots.shape[0], slots.shape[1] - 1
    longest = _longest(offsets)
    nodes, rows = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    for unit in range(len(offsets) - 1):
        n = _steps(offsets[unit], offsets[unit + 1], marks, codes, node_of_code, collapse, nodes, rows)
        first, way, length, marked, _ = _cut(cut, n, depth, marks, rows)
        if n == 0 or length <= 0:
            continue
        through = True
        for k in range(len(wanted)):
            i = wanted[k, 0]
            if i < length:
                through &= slots[i, nodes[first + way * i]] == wanted[k, 1]
            else:
                through &= marked and i == length and slots[i, marker] == wanted[k, 1]
        here[unit] = through


@njit(cache=True, nogil=True)
def _transitions(  # type: ignore[no-untyped-def]  # noqa: ANN202
    offsets, times, marks, codes, node_of_code, collapse, follows, seconds, micros, starts, ends,  # noqa: ANN001
):  # fmt: skip
    longest = _longest(offsets)
    nodes, rows = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    for unit in range(len(offsets) - 1):
        n = _steps(offsets[unit], offsets[unit + 1], marks, codes, node_of_code, collapse, nodes, rows)
        if n == 0:
            continue
        starts[nodes[0]] += 1
        ends[nodes[n - 1]] += 1
        for i in range(1, n):
            source, target = nodes[i - 1], nodes[i]
            gap = times[rows[i]] - times[rows[i - 1]]
            follows[source, target] += 1
            seconds[source, target] += gap // 1_000_000
            micros[source, target] += gap % 1_000_000
