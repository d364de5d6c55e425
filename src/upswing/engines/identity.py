"""Who an event belongs to: dated aliases, followed to their end, as intervals of time per user key.

An event of id X at time t belongs to the canonical id of X's alias with the latest ``valid_from <= t``; before the
first alias, to the first one's canonical id. Aliases of aliases are followed at the same t.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text

ALWAYS: Final = -(2**63) + 1
"""Start of an interval that has no beginning, µs."""
FOREVER: Final = 2**63 - 1
"""End of an interval that has no end, µs."""

Steps = list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Alias:
    """One row of the identity table; `valid_from` in µs UTC, None = since ever."""

    alias: str
    canonical: str
    valid_from: int | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Events of `user_id` with ``start <= time < stop`` (µs UTC) belong to `canonical`."""

    user_id: str
    start: int
    stop: int
    canonical: str


def resolve(aliases: Iterable[Alias]) -> list[Interval]:
    """Intervals for every aliased id, each id's covering all of time without overlap.

    Args:
        aliases: in order of their making; of two for one id with the same `valid_from` the later wins.

    Raises:
        DataError: UP342 aliases that lead in a circle; the circle is named.

    Examples:
        >>> [(i.start == ALWAYS, i.canonical) for i in resolve([Alias("d", "u1", 10), Alias("d", "u2", 20)])]
        [(True, 'u1'), (False, 'u2')]
    """
    own = _own_steps(aliases)
    done: dict[str, Steps] = {}
    for name in own:
        _follow(name, own, done)
    found = []
    for name, steps in done.items():
        stops = [start for start, _ in steps[1:]] + [FOREVER]
        found += [Interval(name, start, stop, end) for (start, end), stop in zip(steps, stops, strict=True)]
    return found


def canonical_keys(
    keys: NDArray[np.int64], times: NDArray[np.int64], intervals: Mapping[str, NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The canonical user key of each event.

    Args:
        keys: own user keys, shape (n,).
        times: µs UTC, shape (n,).
        intervals: arrays ``user_key``, ``start``, ``canonical``, sorted by (user_key, start).
    """
    aliased, first = np.unique(intervals["user_key"], return_index=True)
    if not len(aliased):
        return keys
    slot = np.searchsorted(aliased, keys)
    slot[slot == len(aliased)] = 0
    hit = np.flatnonzero(aliased[slot] == keys)
    last = np.append(first[1:], len(intervals["user_key"]))
    found = keys.copy()
    place, end = first[slot[hit]], last[slot[hit]]
    while True:
        ahead = place + 1 < end
        ahead[ahead] = intervals["start"][place[ahead] + 1] <= times[hit[ahead]]
        if not ahead.any():
            break
        place[ahead] += 1
    found[hit] = intervals["canonical"][place]
    return found


def _own_steps(aliases: Iterable[Alias]) -> dict[str, Steps]:
    dated: dict[str, dict[int, str]] = {}
    for row in aliases:
        dated.setdefault(row.alias, {})[ALWAYS if row.valid_from is None else row.valid_from] = row.canonical
    own = {}
    for name, steps in dated.items():
        ordered = sorted(steps.items())
        own[name] = [(ALWAYS, ordered[0][1]), *ordered[1:]]  # retroactive before the first
    return own


def _follow(name: str, own: Mapping[str, Steps], done: dict[str, Steps]) -> None:
    """Fill `done[name]`: at each start the final id. Depth first without recursion, so that chains may be long."""
    waiting = [name]
    while waiting:
        current = waiting[-1]
        if current in done:
            waiting.pop()
            continue
        needed = [to for _, to in own[current] if to in own and to != current and to not in done]
        if not needed:
            done[current] = _composed(current, own[current], done)
            waiting.pop()
        elif needed[0] in waiting:
            done.update(_through_time(waiting[waiting.index(needed[0]) :], own))
        else:
            waiting.append(needed[0])


def _composed(name: str, steps: Steps, done: Mapping[str, Steps]) -> Steps:
    found: Steps = []
    for position, (start, to) in enumerate(steps):
        stop = steps[position + 1][0] if position + 1 < len(steps) else FOREVER
        inner = [(ALWAYS, to)] if to == name or to not in done else done[to]
        for place, (begins, end) in enumerate(inner):
            ends = inner[place + 1][0] if place + 1 < len(inner) else FOREVER
            if begins < stop and ends > start:
                found.append((max(start, begins), end))
    return [step for i, step in enumerate(found) if i == 0 or step[1] != found[i - 1][1]]


def _through_time(names: list[str], own: Mapping[str, Steps]) -> dict[str, Steps]:
    """Ids that point at each other at different times: resolve instant by instant; a true circle raises."""
    reached, queue = set(names), list(names)
    while queue:
        for _, to in own[queue.pop()]:
            if to in own and to not in reached:
                reached.add(to)
                queue.append(to)
    instants = sorted({start for name in reached for start, _ in own[name]})
    found: dict[str, Steps] = {}
    for name in reached:
        steps = [(instant, _end(name, instant, own)) for instant in instants]
        found[name] = [step for i, step in enumerate(steps) if i == 0 or step[1] != steps[i - 1][1]]
    return found


def _end(name: str, instant: int, own: Mapping[str, Steps]) -> str:
    path = [name]
    while path[-1] in own:
        to = [to for start, to in own[path[-1]] if start <= instant][-1]
        if to == path[-1]:
            break
        if to in path:
            circle = " → ".join([*path[path.index(to) :], to])
            raise DataError(
                text("the aliases run in a circle: {circle}", circle=circle),
                code="UP342",
                hint=text("remove one of them: upswing alias --remove ALIAS CANONICAL"),
            )
        path.append(to)
    return path[-1]
