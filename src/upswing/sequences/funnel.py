"""Funnels over batches of whole users: rules in, the chosen chain of every unit that enters out.

The rules are those of ``docs/guide/semantics.md``. Three kernels share the work: `funnel_plain` (ordered steps within a
window), `funnel_walk` (everything else, canonical) and `funnel_profiles` (other products' rules).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.sequences import funnel_units as units
from upswing.sequences.batch import Sequences, workers
from upswing.sequences.funnel_plain import TIE_ANY, TIE_INGEST, TIE_STRICT, plain_chains
from upswing.sequences.funnel_strict import crowding
from upswing.sequences.funnel_times import chain_times, ties, times_at
from upswing.sequences.funnel_units import Units
from upswing.sequences.funnel_walk import ANY, ORDERED, STRICT, walk_chains

Order = Literal["ordered", "strict", "any"]
Tie = Literal["any", "ingest", "strict"]
Count = Literal["users", "sessions", "totals", "pairs"]
Profile = Literal["posthog", "mixpanel", "amplitude", "clickhouse", "growingio"]

FOREVER: Final = 2**62
"""A gap without a limit, µs."""
NO_GROUP: Final = -1
"""Group of a chain whose value is missing, or that does not reach the step that gives the value."""
_TIES: Final = {"any": TIE_ANY, "ingest": TIE_INGEST, "strict": TIE_STRICT}
_ORDERS: Final = {"ordered": ORDERED, "strict": STRICT, "any": ANY}


@dataclass(frozen=True, slots=True)
class FunnelRules:
    """A funnel question in terms of marks and columns.

    Args:
        steps: number of steps, 1 to 63; bit k of the marks is step k + 1.
        window: longest time from entry to the last step in µs, inclusive.
        edges: entries count in [edges[p], edges[p + 1]), one funnel per period p; µs, shape (n_periods + 1,).
        order: ``ordered``; ``strict``: no other event between; ``any``.
        tie: events at the same time: ``any`` order is right; ``ingest`` order is; ``strict``: none follows the other.
        count: what is a unit: ``users``, ``sessions``, ``totals`` (attempts), ``pairs`` of user and held value.
        optional: steps (1-based) that may be skipped.
        min_gap: step (1-based) → shortest µs since the step before, inclusive.
        max_gap: step (1-based) → longest µs since the step before, inclusive.
        exclusions: (mark, a, b): no event with that mark between steps a and b (1-based). Marks follow the steps' ones.
        remove: an exclusion takes the unit out of the funnel altogether.
        hold: index of the column (keys, 0 = null) held equal at each step; empty: nothing is held.
        session_gap: longest pause inside a session in µs (count sessions).
        session_key: index of the column of session keys, instead of the pause.
        group: index of the column of group codes (-1 null).
        attribution: which event gives the group: ``entry``, ``last``, ``all``, or a step number.
        profile: rules of another product.
        days: edges of the calendar's days, µs (profile growingio).
    """

    steps: int
    window: int
    edges: NDArray[np.int64]
    order: Order = "ordered"
    tie: Tie = "any"
    count: Count = "users"
    optional: tuple[int, ...] = ()
    min_gap: tuple[tuple[int, int], ...] = ()
    max_gap: tuple[tuple[int, int], ...] = ()
    exclusions: tuple[tuple[int, int, int], ...] = ()
    remove: bool = False
    hold: tuple[int, ...] = ()
    session_gap: int = 30 * 60 * 1_000_000
    session_key: int | None = None
    group: int | None = None
    attribution: str | int = "entry"
    profile: Profile | None = None
    days: NDArray[np.int64] | None = None

    @property
    def plain(self) -> bool:
        """Whether the one-pass kernel answers it."""
        asks = self.optional or self.min_gap or self.max_gap or self.exclusions or self.profile
        return self.order == "ordered" and self.count != "totals" and not asks

    @property
    def trend(self) -> bool:
        """Whether there are several periods of entry."""
        return len(self.edges) > 2

    def __call__(self, batch: Sequences) -> Chains:
        """The chosen chains of a batch; see `chains`."""
        return chains(batch, self)


@dataclass(frozen=True, slots=True)
class Chains:
    """The chosen chain of each unit that entered. Partial results of different users are joined by ``+``.

    Attributes:
        users: user of each chain, shape (n,).
        depth: deepest step, 1-based.
        entry: time of the entry, µs.
        elapsed: µs from entry to each step; -1 where the step was not taken, shape (n, steps).
        group: code of the breakdown value, NO_GROUP where there is none.
        period: period of entry.
        removed: users (one per unit) taken out by an exclusion.
        units: number of units looked at.
        events: number of events looked at.
    """

    users: NDArray[np.int64]
    depth: NDArray[np.uint8]
    entry: NDArray[np.int64]
    elapsed: NDArray[np.int64]
    group: NDArray[np.int32]
    period: NDArray[np.int32]
    removed: NDArray[np.int64]
    units: int = 0
    events: int = 0

    def __len__(self) -> int:
        return len(self.users)

    def __add__(self, other: Chains) -> Chains:
        return join([self, other])

    def pick(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Chains:
        """Some of the chains."""
        return Chains(
            self.users[chosen], self.depth[chosen], self.entry[chosen], self.elapsed.T[:, chosen].T, self.group[chosen],
            self.period[chosen], self.removed, self.units, self.events,
        )  # fmt: skip


def join(parts: Sequence[Chains]) -> Chains:
    """All chains of several partial results, in order."""
    columns = ("users", "depth", "entry", "group", "period", "removed")
    with workers() as pool:
        elapsed = pool.submit(lambda: np.concatenate([p.elapsed.T for p in parts], axis=1).T)
        joined = {name: pool.submit(_joined, [getattr(p, name) for p in parts]) for name in columns}
    return Chains(
        **{name: column.result() for name, column in joined.items()}, elapsed=elapsed.result(),
        units=sum(p.units for p in parts), events=sum(p.events for p in parts),
    )  # fmt: skip


def chains(batch: Sequences, rules: FunnelRules) -> Chains:
    """The chosen chain of every unit that enters.

    Examples:
        >>> batch = Sequences(
        ...     users=np.array([7]), offsets=np.array([0, 3]), times=np.array([10, 20, 30]), marks=np.array([1, 1, 2])
        ... )
        >>> found = chains(batch, FunnelRules(steps=2, window=15, edges=np.array([0, 100])))
        >>> found.depth.tolist(), found.entry.tolist(), found.elapsed.tolist()
        ([2], [20], [[0, 10]])
    """
    laid = _lay_out(batch, rules)
    starts, stops = laid.batch.offsets[:-1], laid.batch.offsets[1:]
    owner: NDArray[np.int64] | None = None  # unit behind each start; None: one start each
    periods = np.empty(0, np.int64)
    if rules.trend:
        leading = np.uint64((1 << rules.steps) - 1 if rules.order == "any" else 1)
        owner, periods, starts = units.entry_periods(
            starts, stops, laid.batch.times, laid.batch.marks, leading, rules.edges
        )
        stops = laid.batch.offsets[owner + 1]
    unit, depth, rows, removed = _follow(batch, laid, owner, starts, stops, periods, rules)
    if len(removed):
        gone = np.zeros(len(starts), np.bool_)
        gone[removed] = True
        kept = ~gone[unit]
        unit, depth, rows = unit[kept], depth[kept], rows[kept]
    found = _gather(laid, rules, owner, periods, starts, unit, depth, rows)
    if rules.hold and rules.count in ("users", "sessions"):
        found = _best_per_parent(found, laid.parent_of(_behind(owner, unit)), rules)
        removed = removed[np.unique(laid.parent_of(_behind(owner, removed)), return_index=True)[1]]
    looked_at = batch.n_users if rules.count == "users" else laid.batch.n_users
    return replace(found, removed=laid.batch.users[_behind(owner, removed)], units=looked_at, events=batch.n_events)


def step_times(found: Chains, reached: NDArray[np.bool_], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """µs from the entry, and from the last step taken before, to a step (0-based) of the chains that reached it."""
    since, previous = times_at(_frozen(found.elapsed.T), _frozen(reached), step, int(np.count_nonzero(reached)))
    return since, previous


def same_time(found: Chains) -> int:
    """Number of chains with two steps in a row, both taken, at the very same time."""
    return int(ties(_frozen(found.elapsed.T)))


def _lay_out(batch: Sequences, rules: FunnelRules) -> Units:
    laid = units.users(batch)
    if rules.count == "sessions":
        if rules.session_key is None:
            laid = units.sessions_by_gap(batch, rules.session_gap)
        else:
            laid = units.sessions_by_key(batch, batch.columns[rules.session_key])
    keys = [laid.batch.columns[column] for column in rules.hold]
    if rules.attribution == "all" and rules.group is not None:
        codes = laid.batch.columns[rules.group].astype(np.int64) + 2  # a missing value is a group of its own: 1
        distinct = {id(k): np.where(k == 0, 0, _mix(k, codes)) for k in keys}
        keys = [distinct[id(k)] for k in keys] or [codes] * rules.steps
    return units.by_held_value(laid, keys, steps=rules.steps) if keys else laid


def _mix(key: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
    mixed = (key.astype(np.uint64) ^ (code.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(
        0xBF58476D1CE4E5B9
    )
    return (mixed | np.uint64(1)).astype(np.int64)


_Found = tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]]


def _follow(
    batch: Sequences,
    laid: Units,
    owner: NDArray[np.int64] | None,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    periods: NDArray[np.int64],
    rules: FunnelRules,
) -> _Found:
    """Unit, depth and rows of every chain, and the units that an exclusion takes out."""
    here = laid.batch
    room = len(starts)
    if rules.count == "totals":
        leading = (1 << rules.steps) - 1 if rules.order == "any" else 1
        room = int(np.count_nonzero(here.marks & here.marks.dtype.type(leading)))
    unit, depth = np.empty(room, np.int64), np.empty(room, np.uint8)
    rows = np.empty((room, rules.steps), np.int32)
    gone = np.empty(0, np.int64)
    edges = _frozen(np.asarray(rules.edges, np.int64))
    shared = (_frozen(starts), _frozen(stops), _frozen(here.times))
    if rules.plain:
        count = plain_chains(
            *shared, _frozen(here.marks), rules.steps, rules.window, _TIES[rules.tie], edges, _frozen(periods),
            unit, depth, rows,
        )  # fmt: skip
    elif rules.profile is not None and rules.order != "any":
        from upswing.sequences.funnel_profiles import profile_chains  # compiled only when asked for

        removed = np.zeros(len(starts), np.bool_)
        count = profile_chains(rules, here, starts, stops, periods, unit, depth, rows, removed)
        gone = np.flatnonzero(removed)
    else:
        ordinal = crowd = np.empty(0, np.int32)
        if rules.order == "strict":
            ordinal, crowd = crowding(batch.offsets, batch.times, _TIES[rules.tie])
            if laid.source is not None:
                ordinal, crowd = ordinal[laid.source], crowd[laid.source]
        remove = rules.remove and bool(rules.exclusions) and rules.order == "ordered"
        stopped = np.full((len(starts) if remove else 0, 2, rules.steps), np.iinfo(np.int64).min, np.int64)
        count = walk_chains(
            *shared, _frozen(here.marks.astype(np.uint64)), rules.steps, rules.window, _TIES[rules.tie], edges,
            _frozen(periods), _ORDERS[rules.order], rules.count == "totals", remove, *_limits(rules),
            ordinal, crowd, unit, depth, rows, stopped,
        )  # fmt: skip
        if remove:
            if rules.tie == "ingest" and laid.source is not None:  # rows of one unit mean nothing to another
                stopped = np.where(stopped < 0, stopped, laid.source[np.maximum(stopped, 0)])
            complete = np.zeros(len(starts), np.bool_)
            complete[unit[:count][depth[:count] == rules.steps]] = True
            every = _behind(owner, np.arange(len(starts)))
            parent = laid.parent_of(every) if rules.count != "pairs" else every
            period = periods if len(periods) else np.zeros(len(starts), np.int64)
            gone = units.spoilt_parents(parent, period, stopped, complete, again=rules.tie == "any")
    return unit[:count], depth[:count], rows[:count], gone


def _limits(rules: FunnelRules) -> tuple[np.uint64, NDArray[np.int64], NDArray[np.int64]]:
    optional = np.uint64(sum(1 << (step - 1) for step in rules.optional))
    gaps = np.tile(np.array([0, FOREVER], np.int64), (rules.steps, 1))
    for step, gap in rules.min_gap:
        gaps[step - 1, 0] = gap
    for step, gap in rules.max_gap:
        gaps[step - 1, 1] = gap
    exclusions = np.array([(mark - rules.steps, a - 1, b - 1) for mark, a, b in rules.exclusions], np.int64)
    return optional, gaps, exclusions.reshape(-1, 3)


def _gather(
    laid: Units,
    rules: FunnelRules,
    owner: NDArray[np.int64] | None,
    periods: NDArray[np.int64],
    starts: NDArray[np.int64],
    unit: NDArray[np.int64],
    depth: NDArray[np.uint8],
    rows: NDArray[np.int32],
) -> Chains:
    here = laid.batch
    entry = np.empty(len(unit), np.int64)
    elapsed = np.empty((rules.steps, len(unit)), np.int64)  # read step by step
    chain_times(_frozen(starts), _frozen(here.times), unit, rows, entry, elapsed)
    group = _same(NO_GROUP, len(unit))
    if rules.group is not None:
        group = np.full(len(unit), NO_GROUP, np.int32)
        at = _attributed(rules.attribution, rows, depth)
        codes = here.columns[rules.group]
        known = at >= 0
        group[known] = codes[starts[unit[known]] + at[known]]
    period = periods[unit].astype(np.int32) if len(periods) else _same(0, len(unit))
    return Chains(here.users[_behind(owner, unit)], depth, entry, elapsed.T, group, period, np.empty(0, np.int64))


def _behind(owner: NDArray[np.int64] | None, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Units behind some starts."""
    return starts if owner is None else owner[starts]


def _same(value: int, n: int) -> NDArray[np.int32]:
    """One value for all chains, in the room of one: most questions have no groups and one period."""
    return np.broadcast_to(np.int32(value), (n,))


def _joined(columns: list[NDArray[Any]]) -> NDArray[Any]:
    values = {int(c[0]) if len(c) else None for c in columns if c.strides == (0,)} - {None}
    if len(values) == 1 and all(c.strides == (0,) for c in columns):
        return np.broadcast_to(columns[0].dtype.type(values.pop()), (sum(len(c) for c in columns),))
    return np.concatenate(columns)


def _attributed(attribution: str | int, rows: NDArray[np.int32], depth: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Row of the event that gives each chain its group."""
    if attribution in ("entry", "all"):
        return rows[:, 0]
    if attribution == "last":
        return rows[np.arange(len(rows)), depth.astype(np.int64) - 1]
    return rows[:, int(attribution) - 1]


def _best_per_parent(found: Chains, parent: NDArray[np.int64], rules: FunnelRules) -> Chains:
    """One chain per user (or session): the best over its held values."""
    group = found.group.astype(np.int64) if rules.attribution == "all" else np.zeros(len(found), np.int64)
    cell = found.period.astype(np.int64) * 2**32 + group  # under `all` a user may be in several groups
    last = found.elapsed.max(axis=1) if len(found) else found.entry
    best = units.best_of_parent(parent, cell, found.depth.astype(np.int64), found.entry, found.entry + last)
    return found.pick(best)


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """A read-only view, so that mapped and owned arrays are one type to the compiler."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


__all__ = ["FOREVER", "NO_GROUP", "Chains", "FunnelRules", "chains", "join", "same_time", "step_times"]
