"""Intervals: how long users take from one event to the next, or until they do the same thing again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from operator import add
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, Result, Table, show, with_groups
from upswing.core.units import SECOND, Duration
from upswing.diagnose.groups import Groups, Segment, groups_by, place_of, run_grouped
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.intervals import IntervalKernel, Intervals
from upswing.spec.steps import EventMatch

Moment = str | date | datetime | None

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95)
BOUNDS: Final = tuple(
    Duration.parse(written)
    for written in ("10s", "1m", "5m", "30m", "1h", "6h", "1d", "2d", "3d", "7d", "14d", "30d", "90d")
)
"""Upper ends of the histogram's bands, exclusive."""


@dataclass(frozen=True, slots=True)
class IntervalBand:
    """Gaps of at least `lower` and less than `upper` µs; `upper` None = without end."""

    lower: int
    upper: int | None
    count: int


@dataclass(frozen=True, slots=True)
class IntervalGroup:
    """The gaps of one group of users."""

    value: str
    count: int
    users: int
    open_ends: int
    mean: float | None
    quantiles: tuple[tuple[float, float], ...]
    user_medians: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalResult(Result):
    """Distribution of gaps.

    Attributes:
        first: the first event, in words.
        then: the next one.
        count: gaps.
        users: users with at least one gap.
        open_ends: first events that nothing followed before the next one or before the log ended.
        mean: seconds.
        quantiles: seconds by quantile, over all gaps (linear between neighbours, Hyndman and Fan 1996, type 7).
        user_medians: the same quantiles over users, each counted once with the median of their own gaps.
        bands: histogram.
        groups: the same by group of the breakdown; a user is in one group only.
    """

    verb: ClassVar[str] = "interval"
    first: Text | str
    then: Text | str
    count: int
    users: int
    open_ends: int
    mean: float | None
    quantiles: tuple[tuple[float, float], ...]
    user_medians: tuple[tuple[float, float], ...]
    bands: tuple[IntervalBand, ...]
    by: str | None = None
    groups: tuple[IntervalGroup, ...] = ()
    gaps: Intervals | None = field(default=None, repr=False, compare=False)
    division: Groups | None = field(default=None, repr=False, compare=False)

    def users_in(
        self, *, at_least: Duration | str | None = None, below: Duration | str | None = None, group: str | None = None
    ) -> Keys:
        """Sorted keys of users with a gap of at least so long, and shorter than `below`; in all or in one group.

        Raises:
            UsageError: UP610 not a duration, UP644 no such group, UP649 the result is no longer tied to its log.
        """
        if self.gaps is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        chosen = np.ones(len(self.gaps.gaps), dtype=np.bool_)
        if at_least is not None:
            chosen &= self.gaps.gaps >= Duration.parse(at_least, what="at least", zero=True).microseconds
        if below is not None:
            chosen &= self.gaps.gaps < Duration.parse(below, what="below").microseconds
        keys = np.unique(self.gaps.users[chosen])
        place = place_of(() if self.division is None else self.division.names, group)
        return keys if place is None or self.division is None else keys[self.division.of(keys) == place]

    def title(self) -> Text:
        """The question."""
        if self.first == self.then:
            return text("How long until users do {event} again?", event=self.first)
        return text("How long from {first} to {then}?", first=self.first, then=self.then)

    def verdict(self) -> Text | str:
        """The median and the middle half, or that there is none."""
        if not self.count:
            return text("Nobody did {then} after {first}.", first=self.first, then=self.then)
        found = dict(self.quantiles)
        return text(
            "Half of {n} intervals are shorter than {median}; the middle half lies between {low} and {high}.",
            n=f"{self.count:,}", median=show(found[0.5], "seconds"), low=show(found[0.25], "seconds"),
            high=show(found[0.75], "seconds"),
        )  # fmt: skip

    def data(self) -> dict[str, object]:
        """Counts, quantiles and histogram, in seconds; and the same by group."""
        body: dict[str, object] = {
            "count": self.count,
            "users": self.users,
            "open_ends": self.open_ends,
            "mean_seconds": self.mean,
            "quantiles": {f"p{round(q * 100)}": v for q, v in self.quantiles},
            "user_median_quantiles": {f"p{round(q * 100)}": v for q, v in self.user_medians},
            "histogram": [
                {
                    "from_seconds": b.lower / SECOND,
                    "to_seconds": None if b.upper is None else b.upper / SECOND,
                    "count": b.count,
                }
                for b in self.bands
            ],
        }
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [
                {
                    "value": g.value, "count": g.count, "users": g.users, "open_ends": g.open_ends, "mean_seconds": g.mean,
                    "quantiles": {f"p{round(q * 100)}": v for q, v in g.quantiles},
                    "user_median_quantiles": {f"p{round(q * 100)}": v for q, v in g.user_medians},
                }
                for g in self.groups
            ]  # fmt: skip
        return body

    def tables(self) -> list[Table]:
        """Quantiles, the histogram, and a row per group."""
        quantiles = (
            Column("quantile", text("Shorter than this"), "ratio", text("share of intervals not longer")),
            Column("interval", text("All intervals"), "seconds"),
            Column("user_median", text("Users, by their median"), "seconds", text("each user counts once")),
        )
        bands = (
            Column("band", text("Interval")),
            Column("count", text("Intervals"), "count"),
            Column("share", text("Share"), "ratio"),
        )
        shown: list[tuple[Cell, ...]] = [
            (_band(b), b.count, b.count / self.count if self.count else None) for b in self.bands
        ]
        found = [
            Table("quantiles", text("Quantiles"), quantiles, _quantile_rows(self)),
            Table("histogram", text("Histogram"), bands, shown),
        ]
        if self.by is not None:
            found.append(self._group_table(self.by))
        return found

    def _group_table(self, by: str) -> Table:
        columns = (
            Column("group", by, doc=text("value at the user's first such event")),
            Column("count", text("Intervals"), "count"),
            Column("users", text("Users"), "count"),
            Column("p25", text("A quarter is shorter than"), "seconds"),
            Column("p50", text("Median"), "seconds"),
            Column("p75", text("Three quarters are shorter than"), "seconds"),
            Column("user_median", text("Median of users"), "seconds", text("each user counts once")),
            Column("open_ends", text("Without a second event"), "count"),
        )
        rows: list[tuple[Cell, ...]] = []
        for g in self.groups:
            found, own = dict(g.quantiles), dict(g.user_medians)
            rows.append(
                (g.value, g.count, g.users, found.get(0.25), found.get(0.5), found.get(0.75), own.get(0.5), g.open_ends)
            )
        return Table("groups", text("By group"), columns, rows)

    def export(self) -> Table:
        """Quantiles, for all and for each group."""
        main = self.tables()[0]
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, _quantile_rows(g)) for g in self.groups])

    def charts(self) -> list[Chart]:
        """The histogram."""
        return [Chart("bar", "histogram", text("Intervals"), x="band", y=("count",))]


def interval(
    log: EventLog,
    first: EventMatch,
    then: EventMatch,
    *,
    start: Moment = None,
    stop: Moment = None,
    bands: Sequence[Duration] = BOUNDS,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> IntervalResult:
    """Time from each first event to the nearest later second event, with no other first event between.

    With the same event twice these are the gaps between neighbours: how often users naturally come back to it. Events
    at one instant follow their stored order.

    Args:
        log: the event log.
        first: where a gap begins; it must lie in the range.
        then: where it ends; it may lie after the range.
        start: first moment of the range.
        stop: its end, exclusive.
        bands: ascending ends of the histogram's bands.
        by: property to break down by, at its value on the first such event of the user in the range; a user is in one
            group.
        limit: most groups with a name of their own; the rest is "(other)", users without a value are "(none)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301 no such property, UP302 no such event, UP640 a range that ends before it begins,
            UP642 bands that do not ascend.
    """
    if any(b <= a for a, b in pairwise(bands)):
        raise UsageError(text("bands must ascend"), code="UP642")
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    horizon = log.require_events().horizon or 0
    request = SequenceRequest(marks=(log.mark(first), log.mark(then)), start=lo, stop=horizon + 1, users=users)
    none = np.zeros(0, dtype=np.int64)
    groups = groups_by(scan, by, first, start=lo, stop=hi, limit=limit, users=users, segment=segment)
    whole, parts = run_grouped(scan, IntervalKernel(lo, hi), request, add, groups)
    found = whole or Intervals(none, none, 0, 0)
    how = scan.how(
        definition={
            "first": first.model_dump(mode="json", exclude_defaults=True),
            "then": then.model_dump(mode="json", exclude_defaults=True),
            "by": None if groups is None else groups.by,
        },
        window=log.window(lo, hi),
        method=text(
            "From each first event to the nearest later second one with no first one between, ties in stored order; "
            "quantiles by linear interpolation (Hyndman and Fan 1996, type 7)"
        ),
        caveats=_caveats(found),
    )
    medians = _medians(found)
    return IntervalResult(
        how=how,
        first=first.words,
        then=then.words,
        count=len(found.gaps),
        users=len(np.unique(found.users)),
        open_ends=found.open_ends,
        mean=float(found.gaps.mean()) / SECOND if len(found.gaps) else None,
        quantiles=_quantiles(found.gaps / SECOND),
        user_medians=_quantiles(medians / SECOND),
        bands=_bands(found.gaps, bands),
        by=None if groups is None else groups.label,
        groups=tuple(
            _group(name, part)
            for name, part in zip(() if groups is None else groups.names, parts, strict=False)
            if part.openers
        ),
        gaps=found,
        division=groups,
    )


def _group(name: str, found: Intervals) -> IntervalGroup:
    return IntervalGroup(
        value=name,
        count=len(found.gaps),
        users=len(np.unique(found.users)),
        open_ends=found.open_ends,
        mean=float(found.gaps.mean()) / SECOND if len(found.gaps) else None,
        quantiles=_quantiles(found.gaps / SECOND),
        user_medians=_quantiles(_medians(found) / SECOND),
    )


def _quantiles(values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    if not len(values):
        return ()
    return tuple((q, float(v)) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True))


def _medians(found: Intervals) -> NDArray[np.float64]:
    """Each user's median gap, in µs."""
    order = np.lexsort((found.gaps, found.users))
    gaps, users = found.gaps[order], found.users[order]
    _, starts, sizes = np.unique(users, return_index=True, return_counts=True)
    low, high = gaps[starts + (sizes - 1) // 2], gaps[starts + sizes // 2]
    middle: NDArray[np.float64] = (low + high) / 2
    return middle


def _bands(gaps: NDArray[np.int64], bounds: Sequence[Duration]) -> tuple[IntervalBand, ...]:
    edges = np.array([b.microseconds for b in bounds], dtype=np.int64)
    counts = np.bincount(np.searchsorted(edges, gaps, side="right"), minlength=len(edges) + 1)
    lowers, uppers = [0, *edges.tolist()], [*edges.tolist(), None]
    return tuple(IntervalBand(a, b, int(n)) for a, b, n in zip(lowers, uppers, counts, strict=True))


def _quantile_rows(part: IntervalResult | IntervalGroup) -> list[tuple[Cell, ...]]:
    return [(q, v, m) for (q, v), (_, m) in zip(part.quantiles, part.user_medians, strict=True)]


def _band(band: IntervalBand) -> Text:
    lower = show(band.lower / SECOND, "seconds")
    if band.upper is None:
        return text("{lower} or more", lower=lower)
    upper = show(band.upper / SECOND, "seconds")
    return text("under {upper}", upper=upper) if band.lower == 0 else text("{a} to {b}", a=lower, b=upper)


def _caveats(found: Intervals) -> list[Caveat]:
    if not found.open_ends:
        return []
    message = text(
        "{n} first events have no second one (yet): long intervals are missing more often than short ones",
        n=f"{found.open_ends:,}",
    )
    return [Caveat("open_ends", message)]
