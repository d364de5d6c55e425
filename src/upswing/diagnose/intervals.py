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
from upswing.core.results import Caveat, Cell, Chart, Column, Result, Table, show
from upswing.core.units import SECOND, Duration
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
    """

    verb: ClassVar[str] = "interval"
    first: str
    then: str
    count: int
    users: int
    open_ends: int
    mean: float | None
    quantiles: tuple[tuple[float, float], ...]
    user_medians: tuple[tuple[float, float], ...]
    bands: tuple[IntervalBand, ...]
    gaps: Intervals | None = field(default=None, repr=False, compare=False)

    def users_in(self, *, at_least: Duration | str = "1us", below: Duration | str | None = None) -> Keys:
        """Sorted keys of users with a gap of at least so long, and shorter than `below`."""
        if self.gaps is None:
            return np.zeros(0, dtype=np.int64)
        chosen = self.gaps.gaps >= Duration.parse(at_least).microseconds
        if below is not None:
            chosen &= self.gaps.gaps < Duration.parse(below).microseconds
        return np.unique(self.gaps.users[chosen])

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
        """Counts, quantiles and histogram, in seconds."""
        return {
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

    def tables(self) -> list[Table]:
        """Quantiles, and the histogram."""
        quantiles = (
            Column("quantile", text("Shorter than this"), "ratio", text("share of intervals not longer")),
            Column("interval", text("All intervals"), "seconds"),
            Column("user_median", text("Users, by their median"), "seconds", text("each user counts once")),
        )
        rows: list[tuple[Cell, ...]] = [
            (q, v, m) for (q, v), (_, m) in zip(self.quantiles, self.user_medians, strict=True)
        ]
        bands = (
            Column("band", text("Interval")),
            Column("count", text("Intervals"), "count"),
            Column("share", text("Share"), "ratio"),
        )
        shown: list[tuple[Cell, ...]] = [
            (_band(b), b.count, b.count / self.count if self.count else None) for b in self.bands
        ]
        return [
            Table("quantiles", text("Quantiles"), quantiles, rows),
            Table("histogram", text("Histogram"), bands, shown),
        ]

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
    users: Keys | None = None,
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
        users: sorted user keys to keep; None = all.

    Raises:
        UsageError: UP302 no such event, UP640 a range that ends before it begins, UP642 bands that do not ascend.
    """
    if any(b <= a for a, b in pairwise(bands)):
        raise UsageError(text("bands must ascend"), code="UP642")
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    horizon = log.require_events().horizon or 0
    request = SequenceRequest(marks=(log.mark(first), log.mark(then)), start=lo, stop=horizon + 1, users=users)
    none = np.zeros(0, dtype=np.int64)
    found = scan.run(IntervalKernel(lo, hi), request, add) or Intervals(none, none, 0, 0)
    how = scan.how(
        definition={
            "first": first.model_dump(mode="json", exclude_defaults=True),
            "then": then.model_dump(mode="json", exclude_defaults=True),
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
        first=first.described,
        then=then.described,
        count=len(found.gaps),
        users=len(np.unique(found.users)),
        open_ends=found.open_ends,
        mean=float(found.gaps.mean()) / SECOND if len(found.gaps) else None,
        quantiles=_quantiles(found.gaps / SECOND),
        user_medians=_quantiles(medians / SECOND),
        bands=_bands(found.gaps, bands),
        gaps=found,
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
