"""Paths: what users do after, before or between two events; and which step follows which, wherever it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from operator import add
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat
from upswing.diagnose.groups import Segment, groups_by, place_of, run_grouped, users_of
from upswing.diagnose.paths_result import (
    END,
    OTHER,
    START,
    PathEdge,
    PathNode,
    PathsGroup,
    PathsResult,
    Transition,
    TransitionsResult,
)
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Category, Key, Mark, Number, Query, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences
from upswing.sequences.paths import Cut, EdgeCounts, NodeCounts, PathKernel, TransitionKernel, Walk
from upswing.spec.paths import PathsDefinition
from upswing.spec.predicates import conjunction
from upswing.spec.steps import ANY_EVENT, EventMatch
from upswing.sql.template import q

Moment = str | date | datetime | None

NONE: Final = "(none)"
"""Steps without a value of the property they are called by."""
REST: Final = "(other values)"
"""Values of a property beyond the most frequent ones."""
_MOST_VALUES: Final = 1000


def paths(
    log: EventLog,
    definition: PathsDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> PathsResult:
    """What users do, step by step: forward, backward or between two events.

    Sessions are cut first, over all events; then steps are hidden, grouped and collapsed; then paths are cut. Totals by
    position are exact: what comes into a step goes on, ends, or has arrived, and that is checked before the result is
    given out. Steps at the same instant follow their stored order.

    Args:
        log: the event log.
        definition: the question.
        start: first moment; only events of the range are steps.
        stop: end, exclusive.
        by: property to break down by, at its value on the user's first event in the range that begins (or, looking
            backward, ends) a path, or on their first event at all; a user is in one group with all of their paths.
        limit: most groups with a name of their own; the rest is "(other)", users without a value are "(none)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301, UP302 unknown property or event, UP640 a range that ends before it begins.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    steps = _Steps.of(scan, definition, lo, hi)
    request = steps.request(log, definition, lo, hi, users)
    cut: Cut = "start"
    if definition.after is not None:
        cut = "after" if definition.before is None else "between"
    elif definition.before is not None:
        cut = "before"
    kernel = PathKernel(steps.walk, definition.depth, cut)
    n_nodes = len(steps.names)
    nodes = scan.run(kernel.nodes, request, add)
    if nodes is None:
        nodes = NodeCounts(np.zeros((definition.depth, n_nodes + 1), dtype=np.int64), np.zeros(2, dtype=np.int64))
    slots = _Slots.of(nodes.nodes, steps.names, definition.top)
    anchor = definition.after or definition.before or EventMatch(event=ANY_EVENT)
    groups = groups_by(scan, by, anchor, start=lo, stop=hi, limit=limit, users=users, segment=segment)
    edges, parts = run_grouped(scan, lambda batch: kernel.edges(batch, slots.of_node), request, add, groups)
    layout = _Layout(slots, backward=cut == "before")
    for counts in parts if edges is None else (edges, *parts):
        _assert_reconciles(counts)

    def members(position: int, name: str, target: str | None, group: str | None) -> Keys:
        place = place_of(() if groups is None else groups.names, group)
        near, far = layout.place(position, name, target)

        def choose(batch: Sequences) -> NDArray[np.bool_]:
            return kernel.users_at(batch, slots.of_node, near, far)

        return users_of(scan, request, choose, groups, place)

    how = scan.how(
        definition={
            **definition.model_dump(mode="json", exclude_defaults=True),
            "hash": definition.hash,
            "by": None if groups is None else groups.by,
        },
        window=log.window(lo, hi),
        method=_method(definition),
        caveats=_caveats(nodes, cut),
    )
    total = int(nodes.units[1])
    return PathsResult(
        how=how,
        definition=definition,
        units=int(nodes.units[0]),
        paths=total,
        nodes=() if edges is None else layout.nodes(edges, total),
        edges=() if edges is None else layout.edges(edges),
        by=None if groups is None else groups.label,
        groups=tuple(
            PathsGroup(name, count, layout.nodes(part, count), layout.edges(part))
            for name, part in zip(() if groups is None else groups.names, parts, strict=False)
            if (count := int(part.nodes[0].sum()))
        ),
        members=members,
    )


def transitions(
    log: EventLog,
    definition: PathsDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    users: Keys | None = None,
) -> TransitionsResult:
    """Which step follows which directly, over whole sessions or histories, with first and last steps.

    The directly-follows graph of process mining (van der Aalst, Process Mining, 2016, section 6.1). The anchors, depth
    and top of the definition do not matter here.

    Args:
        log: the event log.
        definition: which events are steps, and the session rule.
        start: first moment; only events of the range are steps.
        stop: end, exclusive.
        users: sorted user keys to keep; None = all.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    steps = _Steps.of(scan, definition, lo, hi)
    counts = scan.run(TransitionKernel(steps.walk), steps.request(log, definition, lo, hi, users), add)
    how = scan.how(
        definition={**definition.model_dump(mode="json", exclude_defaults=True), "hash": definition.hash},
        window=log.window(lo, hi),
        method=text("Pairs of steps that follow each other directly inside a unit; ties in stored order"),
    )
    if counts is None:
        return TransitionsResult(how=how, definition=definition, units=0, transitions=(), starts=(), ends=())
    found = [
        Transition(
            steps.names[s],
            steps.names[t],
            int(counts.follows[s, t]),
            float((counts.seconds[s, t] + counts.micros[s, t] / 1e6) / counts.follows[s, t]),
        )
        for s, t in zip(*np.nonzero(counts.follows), strict=True)
    ]
    return TransitionsResult(
        how=how,
        definition=definition,
        units=int(counts.starts.sum()),
        transitions=tuple(sorted(found, key=lambda t: (-t.count, t.source, t.target))),
        starts=_ranked(counts.starts, steps.names),
        ends=_ranked(counts.ends, steps.names),
    )


@dataclass(frozen=True, slots=True)
class _Steps:
    """What the steps are called, and how values of the category become them."""

    names: tuple[str, ...]
    category: Category
    walk: Walk

    @classmethod
    def of(cls, scan: Scan, definition: PathsDefinition, start: int, stop: int) -> _Steps:
        values = _values(scan, definition, start, stop)
        called = [definition.node_name(v) for v in values]
        rest = definition.node_name(REST) if definition.node != "event" else None
        none = definition.node_name(NONE) if definition.node != "event" else None
        names = tuple(sorted({n for n in (*called, rest, none) if n is not None}))
        index = {name: i for i, name in enumerate(names)}
        node_of_code = [-1 if n is None else index[n] for n in (*called, rest, none)]
        value = q("CAST($c AS VARCHAR)", c=scan.log.column(definition.node))
        if definition.node == "event":
            value = scan.log.column("event")
        walk = Walk(
            np.array(node_of_code, dtype=np.int32),
            len(names),
            gap=definition.gap,
            keyed=definition.session is not None,
            collapse=definition.collapse,
        )
        return cls(names, Category(value, values), walk)

    def request(
        self, log: EventLog, definition: PathsDefinition, start: int, stop: int, users: Keys | None
    ) -> SequenceRequest:
        if definition.events is not None:
            log.require_known(definition.events)
        member = Mark(
            None if definition.events is None else tuple(definition.events),
            log.bind(conjunction(definition.where)) if definition.where else None,
        )
        never = Mark(where=exp.false())
        after = never if definition.after is None else log.mark(definition.after)
        before = never if definition.before is None else log.mark(definition.before)
        columns: list[Category | Key | Number] = [self.category]
        if definition.session is not None:
            columns.append(Key(log.column(definition.session)))
        marks = (member, after, before) if definition.after or definition.before else (member,)
        # every event counts for the idle gap, whether it is a step or not
        return SequenceRequest(
            marks=marks, columns=tuple(columns), start=start, stop=stop, users=users, unmarked=definition.gap > 0
        )


def _values(scan: Scan, definition: PathsDefinition, start: int, stop: int) -> tuple[str, ...]:
    if definition.node == "event":
        known = sorted(scan.log.schema.events)
        return tuple(known if definition.events is None else [e for e in known if e in definition.events])
    column = scan.log.column(definition.node)
    tree = q(
        "SELECT CAST($c AS VARCHAR) AS value, count(*) AS n FROM events WHERE $c IS NOT NULL "
        "AND epoch_us(time) >= $start AND epoch_us(time) < $stop GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $most",
        c=column, start=start, stop=stop, most=_MOST_VALUES,
    )  # fmt: skip
    return tuple(str(row[0]) for row in scan.rows(Query(tree)))


@dataclass(frozen=True, slots=True)
class _Slots:
    """Which names are shown at each position: the most frequent ones, "(other)", and the marker.

    Attributes:
        of_node: slot of each (position, node), shape (depth, n_nodes + 1).
        names: name of each slot but the last two, by position.
        top: slot of "(other)"; the marker's is the next.
    """

    of_node: NDArray[np.int64]
    names: tuple[tuple[str, ...], ...]
    top: int

    @classmethod
    def of(cls, counts: NDArray[np.int64], names: tuple[str, ...], top: int) -> _Slots:
        depth, width = counts.shape
        of_node = np.full((depth, width), top, dtype=np.int64)
        of_node[:, -1] = top + 1
        shown = []
        for p in range(depth):
            # names are sorted, so the stable order breaks ties by name
            best = [int(v) for v in np.argsort(-counts[p, :-1], kind="stable")[:top] if counts[p, v]]
            of_node[p, best] = np.arange(len(best))
            shown.append(tuple(names[v] for v in best))
        return cls(of_node, tuple(shown), top)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Turns slots into named nodes and edges in the order of time."""

    slots: _Slots
    backward: bool

    def nodes(self, counts: EdgeCounts, total: int) -> tuple[PathNode, ...]:
        found = [
            PathNode(self._position(p), self._name(p, s), int(counts.nodes[p, s]), float(counts.nodes[p, s] / total))
            for p, s in zip(*np.nonzero(counts.nodes), strict=True)
        ]
        return tuple(sorted(found, key=lambda n: (abs(n.position), _rank(n.name), -n.count, n.name)))

    def edges(self, counts: EdgeCounts) -> tuple[PathEdge, ...]:
        mean = counts.mean_seconds
        found = []
        for p, near, far in zip(*np.nonzero(counts.edges), strict=True):
            source, target = ((p + 1, far), (p, near)) if self.backward else ((p, near), (p + 1, far))
            n = int(counts.edges[p, near, far])
            found.append(
                PathEdge(
                    position=self._position(source[0]),
                    source=self._name(*source),
                    target=self._name(*target),
                    count=n,
                    share_of_source=n / int(counts.nodes[source]),
                    mean_seconds=None if far == self.slots.top + 1 else float(mean[p, near, far]),
                )
            )
        return tuple(sorted(found, key=lambda e: (abs(e.position), -e.count, e.source, e.target)))

    def place(self, position: int, name: str, target: str | None) -> tuple[tuple[int, int], tuple[int, int] | None]:
        """(index, slot) of a step, and of the next one in time where it is asked for.

        Raises:
            UsageError: UP644 no such step at the position.
        """
        return self._find(position, name), None if target is None else self._find(position + 1, target)

    def _find(self, position: int, name: str) -> tuple[int, int]:
        p = -position if self.backward else position - 1
        if not 0 <= p < len(self.slots.names):
            message = text("no {what} '{name}' in this result", what=text("position"), name=position)
            raise UsageError(message, code="UP644")
        known = {self._name(p, s): s for s in range(self.slots.top + 2)}
        if name not in known:
            message = text("no {what} '{name}' in this result", what=text("step"), name=name)
            raise UsageError(message, code="UP644", hint=did_you_mean(name, known))
        return p, known[name]

    def _position(self, p: int) -> int:
        return -int(p) if self.backward else int(p) + 1

    def _name(self, p: int, slot: int) -> str:
        if slot == self.slots.top + 1:
            return START if self.backward else END
        return OTHER if slot >= len(self.slots.names[p]) else self.slots.names[p][slot]


def _assert_reconciles(counts: EdgeCounts) -> None:
    going = (counts.nodes - counts.finished)[:-1]
    going[:, -1] = 0  # nothing leaves a marker
    if not np.array_equal(counts.edges.sum(axis=1), counts.nodes[1:]):
        raise AssertionError("paths: what comes into a step is not what is there")
    if not np.array_equal(counts.edges.sum(axis=2), going):
        raise AssertionError("paths: what leaves a step is not what was there")


def _rank(name: str) -> int:
    return {OTHER: 1, END: 2, START: 2}.get(name, 0)


def _ranked(counts: NDArray[np.int64], names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    found = [(names[i], int(n)) for i, n in enumerate(counts) if n]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0])))


def _method(definition: PathsDefinition) -> Text:
    if definition.session is not None:
        unit: Text = text("sessions named by {property}", property=definition.session)
    elif definition.gap:
        unit = text("sessions that end after {gap} without an event", gap=str(definition.session_gap))
    else:
        unit = text("whole histories of users")
    return text(
        "Steps of {unit}, in order of time, ties in stored order; hidden, grouped and collapsed before paths are cut. "
        "Totals by position are exact; in and out are checked against each other",
        unit=unit,
    )


def _caveats(nodes: NodeCounts, cut: Cut) -> list[Caveat]:
    without = int(nodes.units[0] - nodes.units[1])
    if cut == "start" or not without:
        return []
    message = text(
        "{n} of {total} units have no such path and are left out", n=f"{without:,}", total=f"{nodes.units[0]:,}"
    )
    return [Caveat("no_path", message)]
