"""The size of a growth point: gain in the north star per week if part of its gap closes, with an interval, each user once.

gain = share closed × gap × users per week at the place × worth of one more who passes.

The interval recovers the variance of each part from its own limits and joins them side by side (MOVER; Zou and Donner
2008, Statistics in Medicine 27: 1693, eq. 3 and 4, for a product by the delta method): the gap's Newcombe limits are not
symmetric, and they carry the correction for having been chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.metrics.candidate import Candidate

Z95: Final = 1.959963984540054
Keys = NDArray[np.int64]
_SAME: Final = 0.6
"""Two points that share this much of all users they lose are one."""
CLOSED: Final = 0.5
"""Share of a gap that is taken to close where nothing else is declared."""


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """A sized candidate.

    Args:
        candidate: what it is.
        gain: north star per week.
        lower: lower limit at 95 %.
        upper: upper limit.
        own: part of `gain` that no point ranked above it counts already.
        overlap: share of its lost users that points ranked above it count already.
        sound: it is neither over, nor made by tracking, nor explained by another property.
        also: other names of the same lost users, folded into this point.
    """

    candidate: Candidate
    gain: float
    lower: float
    upper: float
    own: float
    overlap: float
    sound: bool
    also: tuple[str, ...] = ()


def size(candidate: Candidate, *, closed: float = CLOSED) -> tuple[float, float, float]:
    """Gain per week and its limits.

    Args:
        candidate: the weakness.
        closed: share of the gap that closes, 0 to 1.

    Examples:
        >>> from upswing.core.i18n import text
        >>> from upswing.metrics.candidate import Draft, Worth
        >>> found = Candidate("hand", "pay", "all", text("x"), 0.4, 1000, 0.5, "target", None, 0.07, 0.13, None, 200, 0.0,
        ...                   Worth(3.0, 0.0, 400, 600), Draft("", "", ""))
        >>> [round(v, 6) for v in size(found, closed=0.5)]
        [30.0, 21.0, 39.0]
    """
    gap, flow, worth = candidate.gap, candidate.per_week, candidate.worth.value
    gain = closed * gap * flow * worth
    by_flow = closed * gap * worth * Z95 * candidate.per_week_error
    by_worth = closed * gap * flow * Z95 * candidate.worth.error
    slope = closed * flow * worth
    down, up = slope * (gap - candidate.gap_lower), slope * (candidate.gap_upper - gap)
    if slope < 0:
        down, up = -up, -down
    return gain, gain - math.hypot(down, by_flow, by_worth), gain + math.hypot(up, by_flow, by_worth)


def rank(candidates: Sequence[Candidate], *, closed: float = CLOSED) -> list[GrowthPoint]:
    """Size and rank: sound ones first, by gain; a lost user counts under the first point that names it, at any place.

    A candidate whose lost users are mostly those of a point above at the same place, and the other way round, is that
    point under another name and is folded into it. Where lost users are not known one by one, a point at a place that a
    point above names already counts nothing of its own: that is the cautious side.
    """
    sized = [(c, *size(c, closed=closed)) for c in candidates]
    sized.sort(key=lambda row: (not _sound(row[0]), -row[1], row[0].place, row[0].who))
    at_place: dict[str, list[int]] = {}
    counted = np.zeros(0, np.int64)
    found: list[GrowthPoint] = []
    for candidate, gain, lower, upper in sized:
        above = at_place.setdefault(candidate.place, [])
        twin = next((i for i in above if _alike(candidate, found[i].candidate) >= _SAME), None)
        if twin is not None:
            found[twin] = replace(found[twin], also=(*found[twin].also, candidate.who))
            continue
        overlap = _overlap(candidate, [found[i].candidate for i in above], counted)
        above.append(len(found))
        if candidate.lost is not None:
            counted = np.union1d(counted, candidate.lost)
        found.append(GrowthPoint(candidate, gain, lower, upper, gain * (1 - overlap), overlap, _sound(candidate)))
    return found


def total(points: Sequence[GrowthPoint]) -> tuple[float, float, float]:
    """All sound points together, each lost user once, with limits that take the points as independent."""
    sound = [p for p in points if p.sound and p.gain > 0]
    gain = sum(p.own for p in sound)
    down = math.hypot(*((p.gain - p.lower) * (1 - p.overlap) for p in sound), 0.0)
    up = math.hypot(*((p.upper - p.gain) * (1 - p.overlap) for p in sound), 0.0)
    return gain, gain - down, gain + up


def _sound(candidate: Candidate) -> bool:
    return not candidate.doubts("tracking", "ended", "explained")


def _alike(one: Candidate, other: Candidate) -> float:
    """Lost users that both name, as a share of all that either names (Jaccard)."""
    if one.lost is None or other.lost is None or not len(one.lost) or not len(other.lost):
        return 0.0
    both = len(np.intersect1d(one.lost, other.lost, assume_unique=True))
    return both / (len(one.lost) + len(other.lost) - both)


def _overlap(candidate: Candidate, above: Sequence[Candidate], counted: Keys) -> float:
    """Share of its lost users that points above count; `above` are those at the same place."""
    if any(candidate.lost is None or other.lost is None for other in above):
        return 1.0
    if candidate.lost is None or not len(candidate.lost):
        return 0.0
    return float(np.isin(candidate.lost, counted, assume_unique=True).mean())
