"""Paths: the sequence of every user (or session), written out, cut, and counted edge by edge."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.oracles.event import Event, by_user

END, START, OTHER = "(end)", "(start)", "(other)"
Node = tuple[str, int | None]  # name and time; the markers have none


class PathTruth(NamedTuple):
    """Counts of nodes by (position, name); counts and mean µs of edges by (position of source, source, target)."""

    nodes: dict[tuple[int, str], int]
    edges: dict[tuple[int, str, str], tuple[int, float | None]]


def paths(
    events: Iterable[Event],
    *,
    depth: int,
    idle: int | None = None,
    session: Callable[[Event], object] | None = None,
    hide: Iterable[str] = (),
    group: Callable[[str], str] = lambda name: name,
    collapse: bool = False,
    after: str | None = None,
    before: str | None = None,
    top: int | None = None,
) -> PathTruth:
    """Judge paths of ``depth`` nodes.

    Sessions are cut first (longer gap than ``idle``, or by a property), then names are hidden, grouped, collapsed.
    ``after``: from the first such node on, position 1. ``before``: back from the last such node, positions 0, −1, ….
    Both: from the first ``after`` to the first ``before`` that follows it. A path that stops short of ``depth`` ends
    in a marker; edges into markers carry no time.
    """
    walks: list[list[tuple[int, Node]]] = []
    for log in by_user(events).values():
        for part in _parts(log, idle, session):
            steps: list[Node] = [(group(e.name), e.time) for e in part if e.name not in set(hide)]
            if collapse:
                steps = [s for i, s in enumerate(steps) if i == 0 or s[0] != steps[i - 1][0]]
            walks.append(_cut(steps, depth, after, before))
    return _count(_fold(walks, top) if top is not None else walks)


def _parts(log: Sequence[Event], idle: int | None, session: Callable[[Event], object] | None) -> list[list[Event]]:
    if session is not None:
        keyed: dict[object, list[Event]] = {}
        for event in log:
            keyed.setdefault(session(event), []).append(event)
        return list(keyed.values())
    parts: list[list[Event]] = []
    for i, event in enumerate(log):
        if i == 0 or (idle is not None and event.time - log[i - 1].time > idle):
            parts.append([])
        parts[-1].append(event)
    return parts


def _cut(steps: list[Node], depth: int, after: str | None, before: str | None) -> list[tuple[int, Node]]:
    names = [name for name, _ in steps]
    if before is not None and after is None:
        if before not in names:
            return []
        last = len(names) - 1 - names[::-1].index(before)
        back = steps[: last + 1][::-1]
        shown = back[:depth] + ([(START, None)] if len(back) < depth else [])
        return [(-i, node) for i, node in enumerate(shown)][::-1]
    if after is not None:
        if after not in names:
            return []
        steps = steps[names.index(after) :]
        names = names[names.index(after) :]
        if before is not None:
            if before not in names[1:]:
                return []
            steps = steps[: names.index(before, 1) + 1]
            return list(enumerate(steps[:depth], start=1))
    if not steps:
        return []
    shown = steps[:depth] + ([(END, None)] if len(steps) < depth else [])
    return list(enumerate(shown, start=1))


def _fold(walks: list[list[tuple[int, Node]]], top: int) -> list[list[tuple[int, Node]]]:
    """Names beyond the ``top`` of their position (ties by name) become "(other)"; markers always stay."""
    counts: dict[int, Counter[str]] = {}
    for walk in walks:
        for position, (name, _) in walk:
            if name not in (END, START):
                counts.setdefault(position, Counter())[name] += 1
    kept = {p: {n for n, _ in sorted(c.items(), key=lambda kv: (-kv[1], kv[0]))[:top]} for p, c in counts.items()}
    return [[(p, (n if n in (END, START) or n in kept[p] else OTHER, t)) for p, (n, t) in walk] for walk in walks]


def _count(walks: list[list[tuple[int, Node]]]) -> PathTruth:
    nodes: Counter[tuple[int, str]] = Counter()
    gaps: dict[tuple[int, str, str], list[int | None]] = {}
    for walk in walks:
        for i, (position, (name, time)) in enumerate(walk):
            nodes[position, name] += 1
            if i:
                p, (source, since) = walk[i - 1]
                gap = time - since if time is not None and since is not None else None
                gaps.setdefault((p, source, name), []).append(gap)
    edges = {}
    for edge, times in gaps.items():
        known = [t for t in times if t is not None]
        edges[edge] = (len(times), sum(known) / len(known) if known else None)
    return PathTruth(dict(nodes), edges)


def directly_follows(events: Iterable[Event]) -> dict[tuple[str, str], int]:
    """How often one event comes directly after another, over all users, positions forgotten."""
    return dict(Counter((a.name, b.name) for log in by_user(events).values() for a, b in pairwise(log)))
