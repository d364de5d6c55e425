"""Distribution: users by how often, on how many days, or with what total they did something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from operator import add
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, Result, Table, Unit, show, with_groups
from upswing.core.units import DAY, Duration
from upswing.diagnose.groups import Groups, Segment, groups_by, place_of
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Number, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.counts import CountKernel, UserCounts
from upswing.sequences.periods import PeriodGrid
from upswing.spec.steps import EventMatch

Moment = str | date | datetime | None
Measure = Literal["count", "sum", "active_days"]
MEASURES: Final[tuple[Measure, ...]] = ("count", "sum", "active_days")
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
COUNT_BANDS: Final = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Lower bounds of the bands of counts and days when none are given."""
_UNIT: Final[Unit] = "number"


@dataclass(frozen=True, slots=True)
class Band:
    """Users with a value of at least `lower` and less than `upper`; None = without end."""

    lower: float | None
    upper: float | None
    users: int
    total: float


@dataclass(frozen=True, slots=True)
class DistributionGroup:
    """The same of one group of users; a user is in one group only, so groups add up to the whole."""

    value: str
    users: int
    total: float
    mean: float | None
    quantiles: tuple[tuple[float, float], ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionResult(Result):
    """Users by band.

    Attributes:
        event: what was measured, in words.
        measure: count, sum or active_days.
        property: what was summed.
        users: users with a value; without any such event a user has none.
        total: sum of the values.
        mean: value per user.
        quantiles: value by quantile over users (linear between neighbours, Hyndman and Fan 1996, type 7).
        bands: users by band; the first has no lower end when values lie below the bounds.
        groups: the same by group of the breakdown, in the same bands.
    """

    verb: ClassVar[str] = "distribution"
    event: Text | str
    measure: Measure
    property: str | None
    users: int
    total: float
    mean: float | None
    quantiles: tuple[tuple[float, float], ...]
    bands: tuple[Band, ...]
    by: str | None = None
    groups: tuple[DistributionGroup, ...] = ()
    keys: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)
    values: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    division: Groups | None = field(default=None, repr=False, compare=False)

    def users_in(self, *, at_least: float = -np.inf, below: float = np.inf, group: str | None = None) -> Keys:
        """Sorted keys of the users with a value of at least so much, and less than `below`; in all or in one group.

        Raises:
            UsageError: UP644 no such group in this result; UP649 it is no longer tied to its log.
        """
        if self.keys is None or self.values is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        keys = np.sort(self.keys[(self.values >= at_least) & (self.values < below)])
        place = place_of(() if self.division is None else self.division.names, group)
        return keys if place is None or self.division is None else keys[self.division.of(keys) == place]

    def title(self) -> Text:
        """The question."""
        if self.measure == "sum":
            return text("How much {property} do users have? ({event})", property=self.property, event=self.event)
        if self.measure == "active_days":
            return text("On how many days do users do {event}?", event=self.event)
        return text("How often do users do {event}?", event=self.event)

    def verdict(self) -> Text | str:
        """The median, and what the upper tenth holds."""
        if not self.users:
            return text("Nobody did {event}.", event=self.event)
        found = dict(self.quantiles)
        return text(
            "The median of {n} users is {median}; one in ten has {upper} or more.",
            n=f"{self.users:,}", median=show(found[0.5], _UNIT), upper=show(found[0.9], _UNIT),
        )  # fmt: skip

    def data(self) -> dict[str, object]:
        """Counts, quantiles and bands; and the same by group."""
        body: dict[str, object] = {"measure": self.measure, "property": self.property, **_data(self)}
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [{"value": g.value, **_data(g)} for g in self.groups]
        return body

    def tables(self) -> list[Table]:
        """Users by band, the quantiles, and the bands by group."""
        bands = (
            Column("band", text("Band")),
            Column("users", text("Users"), "count"),
            Column("share", text("Share of users"), "ratio"),
            Column("total", text("Total"), "number"),
            Column("share_of_total", text("Share of the total"), "ratio"),
        )
        quantiles = (
            Column("quantile", text("Users with less"), "ratio", text("share of users with no more than this")),
            Column("value", text("Value"), _UNIT),
        )
        found = [
            Table("bands", text("Users by band"), bands, self._rows(self)),
            Table("quantiles", text("Quantiles"), quantiles, list(self.quantiles)),
        ]
        if self.by is not None:
            head = Column("group", self.by, doc=text("value at the user's first such event"))
            rows: list[tuple[Cell, ...]] = [(g.value, *row) for g in self.groups for row in self._rows(g)]
            found.append(Table("groups", text("By group"), (head, *bands), rows))
        return found

    def export(self) -> Table:
        """Users by band, for all and for each group."""
        main = self.tables()[0]
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, self._rows(g)) for g in self.groups])

    def charts(self) -> list[Chart]:
        """Users by band; shares by band and group."""
        found = [Chart("bar", "bands", text("Users by band"), x="band", y=("users",))]
        if self.groups:
            found.append(Chart("line", "groups", text("By group"), x="band", y=("share",), series="group"))
        return found

    def _rows(self, part: DistributionResult | DistributionGroup) -> list[tuple[Cell, ...]]:
        return [
            (
                self._band(b), b.users, b.users / part.users if part.users else None, b.total,
                b.total / part.total if part.total else None,
            )
            for b in part.bands
        ]  # fmt: skip

    def _band(self, band: Band) -> Text | str:
        if band.lower is None:
            return text("under {b}", b=show(band.upper, _UNIT))
        lower = show(band.lower, _UNIT)
        if band.upper is None:
            return text("{a} or more", a=lower)
        if self.measure != "sum":  # whole numbers: 3 up to, not including, 5 is 3–4
            last = band.upper - 1
            return lower if last == band.lower else text("{a}–{b}", a=lower, b=show(last, _UNIT))
        return text("{a} to under {b}", a=lower, b=show(band.upper, _UNIT))


def distribution(
    log: EventLog,
    match: EventMatch,
    *,
    measure: Measure = "count",
    property: str | None = None,  # noqa: A002 - the field's word
    bands: Sequence[float] | None = None,
    window: Duration | str | None = None,
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    users: Keys | None = None,
    segment: Segment | None = None,
) -> DistributionResult:
    """Users by how often, on how many days, or with what total they did something in the range.

    Only users with at least one matching event are counted; for sums, at least one with a value.

    Args:
        log: the event log.
        match: the events.
        measure: ``count`` of events, ``sum`` of a property, or ``active_days``: distinct local days.
        property: what is summed.
        bands: ascending lower bounds; default 1, 2, 3, 5, 10 … for counts and days, the quantiles for sums.
        window: only for active_days: the most days in any stretch of so many consecutive days, e.g. 7d.
        start: first moment; days are cut at it.
        stop: end, exclusive.
        by: another property to break down by, at its value on the user's first such event in the range; a user is in one
            group.
        limit: most groups with a name of their own; the rest is "(other)", users without a value are "(none)".
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301, UP302 unknown property or event, UP640 a range that ends before it begins, UP642 bands that
            do not ascend, UP648 a measure that lacks what it needs, UP646 a sum over text.
    """
    days = _window_days(measure, property, window)
    if bands is not None and (not len(bands) or any(b <= a for a, b in pairwise(bands))):
        raise UsageError(text("bands must ascend"), code="UP642", hint=text("e.g. 1,2,5,10"))
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    horizon = log.require_events().horizon or 0
    columns = () if property is None else (_number(log, property),)
    until = min(hi, horizon + 1)
    request = SequenceRequest(marks=(log.mark(match),), columns=columns, start=lo, stop=until, users=users)
    kernel = CountKernel(PeriodGrid.of(log.calendar.edges("day", lo, hi)), days)
    found = scan.run(kernel, request, add)
    keys, values = _values(found, measure)
    groups = groups_by(scan, by, match, start=lo, stop=until, limit=limit, users=users, segment=segment)
    how = scan.how(
        definition={
            "event": match.model_dump(mode="json", exclude_defaults=True),
            "measure": measure,
            "property": property,
            "window_days": days or None,
            "by": None if groups is None else groups.by,
        },
        window=log.window(lo, hi),
        method=text(
            "One value per user over the range; quantiles by linear interpolation (Hyndman and Fan 1996, type 7)"
        ),
        caveats=_caveats(found, measure),
    )
    bounds = np.array(bands if bands is not None else _bounds(values, measure), dtype=np.float64)
    return DistributionResult(
        how=how,
        event=match.words,
        measure=measure,
        property=property,
        users=len(values),
        total=float(values.sum()),
        mean=float(values.mean()) if len(values) else None,
        quantiles=_quantiles(values),
        bands=_bands(values, bounds),
        by=None if groups is None else groups.label,
        groups=_split(groups, keys, values, bounds),
        keys=keys,
        values=values,
        division=groups,
    )


def _split(
    groups: Groups | None, keys: Keys, values: NDArray[np.float64], bounds: NDArray[np.float64]
) -> tuple[DistributionGroup, ...]:
    if groups is None:
        return ()
    codes = groups.of(keys)
    return tuple(
        DistributionGroup(
            name, len(mine), float(mine.sum()), float(mine.mean()), _quantiles(mine), _bands(mine, bounds)
        )
        for name, mine in ((name, values[codes == i]) for i, name in enumerate(groups.names))
        if len(mine)
    )


def _quantiles(values: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    if not len(values):
        return ()
    return tuple((q, float(v)) for q, v in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True))


def _data(part: DistributionResult | DistributionGroup) -> dict[str, object]:
    return {
        "users": part.users,
        "total": part.total,
        "mean": part.mean,
        "quantiles": {f"p{round(q * 100)}": v for q, v in part.quantiles},
        "bands": [{"from": b.lower, "to": b.upper, "users": b.users, "total": b.total} for b in part.bands],
    }


def _window_days(measure: Measure, name: str | None, window: Duration | str | None) -> int:
    if measure not in MEASURES:
        hint = did_you_mean(str(measure), MEASURES)
        raise UsageError(text("no measure '{measure}'", measure=measure), code="UP648", hint=hint)
    if (measure == "sum") != (name is not None):
        message = text("measure 'sum' and a property go together")
        raise UsageError(message, code="UP648", hint=text("--measure sum --property amount"))
    if window is None:
        return 0
    micros = Duration.parse(window, what="window").microseconds
    if measure != "active_days" or micros % DAY:
        raise UsageError(text("a window is a number of days, for active days only"), code="UP648")
    return micros // DAY


def _number(log: EventLog, name: str) -> Number:
    column = log.column(name)
    known = log.schema.properties.get(name)
    if known is None or known.type not in ("number", "integer"):
        kind = "text" if known is None else known.type
        raise UsageError(text("'{name}' cannot be summed: it holds {type}", name=name, type=kind), code="UP646")
    return Number(column)


def _values(found: UserCounts | None, measure: Measure) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    if found is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float64)
    if measure == "sum":
        valued = found.valued > 0
        return found.users[valued], found.sums[valued]
    return found.users, (found.events if measure == "count" else found.days).astype(np.float64)


def _bounds(values: NDArray[np.float64], measure: Measure) -> Sequence[float]:
    if measure != "sum":
        return COUNT_BANDS
    if not len(values):
        return (0.0,)
    spread = np.unique(np.quantile(values, (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)))
    return tuple(float(v) for v in spread)


def _bands(values: NDArray[np.float64], bounds: NDArray[np.float64]) -> tuple[Band, ...]:
    place = np.searchsorted(bounds, values, side="right")
    counts = np.bincount(place, minlength=len(bounds) + 1)
    totals = np.bincount(place, weights=values, minlength=len(bounds) + 1)
    lowers, uppers = [None, *bounds.tolist()], [*bounds.tolist(), None]
    found = [Band(a, b, int(n), float(t)) for a, b, n, t in zip(lowers, uppers, counts, totals, strict=True)]
    return tuple(found if counts[0] else found[1:])


def _caveats(found: UserCounts | None, measure: Measure) -> list[Caveat]:
    if found is None or measure != "sum":
        return []
    without = int((found.valued == 0).sum())
    if not without:
        return []
    return [
        Caveat("no_value", text("{n} users did it without ever giving a value; they are left out", n=f"{without:,}"))
    ]
