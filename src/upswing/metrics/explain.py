"""Why one metric moved between two windows: volume, mix and rate by segment, adding up; what matters; what cannot be said."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count
from upswing.core.results import Caveat, Cell, Chart, Column, HowComputed, Result, Table, Unit
from upswing.events.log import EventLog
from upswing.metrics.dimensions import comparable_dimensions
from upswing.metrics.people import Parts, user_dimensions, window_parts
from upswing.metrics.quantity import Quantity
from upswing.metrics.split import Z95, Cells, Finding, Moments, Split, find_segments, split_change
from upswing.metrics.tracking import TrackingBreak, tracking_breaks
from upswing.metrics.windows import Windows
from upswing.spec.metric import MetricDefinition
from upswing.stats.multiplicity import adjust

DIMENSIONS: Final = 4
"""Properties looked at where none is named."""
_MOST_GROUPS: Final = 12
_LEVEL: Final = 0.05
_SHOWN_SHARE: Final = 0.05
_MOSTLY: Final = 0.6
_LITTLE: Final = 0.3
_PART, _GONE = 0.1, 0.01
OTHER: Final = "(other)"


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment of one property.

    Args:
        dimension: the property.
        segment: its value.
        users_before: users (or denominator) before.
        users_after: after.
        value_before: the metric in the segment; per user for a sum. None where nobody was there.
        value_after: the same later.
        rate: effect of its own rate.
        mix: effect of its share.
        volume: effect of its size.
        total: their sum.
        lower: lower limit of the total at 95 %.
        upper: upper limit.
        p_value: of what sets it apart (rate beyond the others', and mix), Holm over all segments of the property.
        matters: that is beyond chance, and at least 5 % of all such movement.
    """

    dimension: str
    segment: str
    users_before: float
    users_after: float
    value_before: float | None
    value_after: float | None
    rate: float
    mix: float
    volume: float
    total: float
    lower: float
    upper: float
    p_value: float
    matters: bool

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@dataclass(frozen=True, slots=True)
class DimensionSplit:
    """The change shared among the values of one property; totals sum to the change."""

    dimension: str
    rows: tuple[SegmentRow, ...]
    rate: float
    mix: float
    volume: float
    warning: Literal["", "simpson", "mix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult(Result):
    """Why one metric moved.

    Args:
        metric: the definition.
        before: value in the earlier window; None where it has none.
        after: value in the later window.
        lower: lower limit of the change at 95 %, by how much users differ.
        upper: upper limit.
        splits: the change by the values of each property.
        findings: disjoint segments that carry it beyond chance, sharpest first.
        remainder: what all other users carry; findings and remainder sum to the change.
        unexplained: reasons why part of the change may not be what it seems.
        spans: first and last day of the earlier and of the later window.
    """

    verb: ClassVar[str] = "explain-change"
    metric: MetricDefinition
    before: float | None
    after: float | None
    lower: float | None
    upper: float | None
    splits: tuple[DimensionSplit, ...]
    findings: tuple[Finding, ...]
    remainder: float | None
    unexplained: tuple[Caveat, ...]
    spans: tuple[str, str]

    @property
    def change(self) -> float | None:
        """after − before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval of the change leaves out zero."""
        return self.lower is not None and self.upper is not None and (self.lower > 0 or self.upper < 0)

    def title(self) -> Text:
        """The question."""
        before, after = self.spans
        return text(
            "Why did “{metric}” move? {after} against {before}", metric=self.metric.shown, after=after, before=before
        )

    def verdict(self) -> Text | str:
        """How much, beyond chance or not, and the first reasons."""
        reasons = self.reasons()[:2]
        if not reasons:
            return self.head()
        return text("{sentence}. {reason}", sentence=self.head(), reason=_Joined(reasons))

    def head(self) -> Text:
        """How much it moved, and whether beyond chance."""
        unit = self.metric.shown_unit
        if self.change is None:
            return text("“{metric}” has no value in one of the windows", metric=self.metric.shown)
        words = {
            "metric": self.metric.shown, "before": Quantity(self.before, unit), "after": Quantity(self.after, unit),
            "change": Quantity(self.change, unit, change=True), "low": Quantity(self.lower, unit, change=True),
            "high": Quantity(self.upper, unit, change=True),
        }  # fmt: skip
        if self.lower is None:
            return text("“{metric}”: {before} → {after} ({change})", **words)
        if not self.beyond_chance:
            return text(
                "“{metric}”: {before} → {after} ({change} [{low} to {high}]): within what chance among users explains",
                **words,
            )
        return text("“{metric}”: {before} → {after} ({change} [{low} to {high}])", **words)

    def reasons(self) -> list[Text | str]:
        """The sentences that explain it, most important first."""
        unit = self.metric.shown_unit
        said: list[Text | str] = [_warning_sentence(s, self.metric) for s in self.splits if s.warning]
        said += [
            text(
                "{segment} carries {total} of it (rate {rate}, mix {mix}, volume {volume})",
                segment=found.name,
                total=Quantity(found.total, unit, change=True),
                rate=Quantity(found.rate, unit, change=True),
                mix=Quantity(found.mix, unit, change=True),
                volume=Quantity(found.volume, unit, change=True),
            )
            for found in self.findings
        ]
        if self.beyond_chance and not self.findings and self.splits:
            looked = ", ".join(dict.fromkeys(split.dimension for split in self.splits))
            said.append(text("No single segment stands out beyond chance; looked at: {dimensions}", dimensions=looked))
        return said

    def data(self) -> dict[str, object]:
        """Values, splits and findings."""
        return {
            "metric": self.metric.name,
            "unit": self.metric.shown_unit,
            "before": self.before,
            "after": self.after,
            "change": self.change,
            "lower": self.lower,
            "upper": self.upper,
            "beyond_chance": self.beyond_chance,
            "windows": {"before": self.spans[0], "after": self.spans[1]},
            "reasons": [str(r) for r in self.reasons()],
            "findings": [
                {"segment": dict(f.condition), "total": f.total, "lower": f.lower, "upper": f.upper, "rate": f.rate,
                 "mix": f.mix, "volume": f.volume, "users_before": f.users_before, "users_after": f.users_after}
                for f in self.findings
            ],
            "remainder": self.remainder,
            "splits": [
                {"dimension": s.dimension, "rate": s.rate, "mix": s.mix, "volume": s.volume, "warning": s.warning or None,
                 "segments": [r.to_dict() for r in s.rows]}
                for s in self.splits
            ],
            "unexplained": [c.to_dict() for c in self.unexplained],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """What carries the change; then one table per property."""
        return [self._findings_table(), *(_split_table(s, self.metric) for s in self.splits)]

    def charts(self) -> list[Chart]:
        """None: the tables are short."""
        return []

    def _findings_table(self) -> Table:
        unit = _change_unit(self.metric)
        columns = (
            Column("segment", text("Segment")),
            Column("users_before", text("Users before"), "count"),
            Column("users_after", text("Users after"), "count"),
            Column("rate", text("Rate"), unit, text("its own rate moved")),
            Column("mix", text("Mix"), unit, text("its share of all users moved")),
            Column("volume", text("Volume"), unit, text("the number of users moved")),
            Column("total", text("Together"), unit),
            Column("lower", text("from"), unit, text("lower limit at 95 %, corrected for all segments looked at")),
            Column("upper", text("to"), unit, text("upper limit")),
        )
        rows: list[tuple[Cell, ...]] = [
            (f.name, f.users_before, f.users_after, f.rate, f.mix, f.volume, f.total, f.lower, f.upper)
            for f in self.findings
        ]
        if self.remainder is not None:
            rows.append((text("all others"), None, None, None, None, None, self.remainder, None, None))
            rows.append((text("the whole change"), None, None, None, None, None, self.change, self.lower, self.upper))
        title = text("What carries the change: segments beyond chance, each user once")
        return Table("findings", title, columns, rows)


def explain_metric(
    log: EventLog,
    metric: MetricDefinition,
    windows: Windows,
    *,
    known: Mapping[str, MetricDefinition] | None = None,
    dimensions: Sequence[str] = (),
    breaks: Sequence[TrackingBreak] | None = None,
    successive: bool | None = None,
) -> Result:
    """Share the change of a metric between two windows among segments and effects; shares sum to the change.

    A derived metric is explained along its formula (see `explain_tree`).

    Args:
        log: the event log.
        metric: the definition.
        windows: the two windows.
        known: all metrics, for derived ones.
        dimensions: properties to look in; up to four are chosen if absent.
        breaks: tracking breaks, if they are known already.
        successive: look also in properties whose values follow each other, as app versions do; only where `dimensions` are
            named, if absent.

    Raises:
        UsageError: UP661 a metric that is no sum and no ratio of sums, UP301 an unknown property.
    """
    if metric.type == "derived":
        from upswing.metrics.explain_tree import explain_tree, tree_of_formula

        return explain_tree(log, tree_of_formula(metric), known or {}, windows, dimensions=dimensions, breaks=breaks,
                            successive=successive)  # fmt: skip
    begun = clock.perf_counter()
    before, after = (window_parts(log, metric, *w) for w in (windows.before, windows.after))
    chosen = tuple(dimensions) or comparable_dimensions(
        log, start=windows.before[0], stop=windows.after[1], most=DIMENSIONS
    )
    coded = _codes(log, windows, before, after, chosen)
    if not (bool(dimensions) if successive is None else successive):
        coded = {name: groups for name, groups in coded.items() if not _successive(*groups, before, after)}
        chosen = tuple(coded)
    splits = [s for s in (_dimension_split(name, *coded[name], before, after) for name in chosen) if s is not None]
    splits.sort(key=lambda s: (not s.warning, min((r.p_value for r in s.rows), default=1.0)))
    cells = _cells(coded, before, after)
    whole = split_change(
        *(Moments.of(p, np.zeros(len(p.users), np.int64), 1) for p in (before, after)), is_sum=before.is_sum
    )
    found, remainder = find_segments(cells, is_sum=before.is_sum) if cells and whole.known else ([], None)
    if breaks is None:
        breaks = tracking_breaks(log, start=windows.before[0], stop=windows.after[1], dimensions=chosen[:2])
    caveats = _unexplained(log, metric, windows, before, after, breaks)
    how = HowComputed(
        definition={
            "metric": metric.model_dump(mode="json", exclude_defaults=True), "by": list(chosen), "hash": metric.hash,
        },
        window=log.window(windows.before[0], windows.after[1]),
        method=text(
            "Both windows user by user; a user belongs to the first value of a property. Rates: midpoint form of Kitagawa "
            "(1955), mix measured against the whole; totals: Shapley value of volume × mix × rate. Intervals by the delta "
            "method over users; segments corrected by Holm within a property and by Bonferroni in the search"
        ),
        events=log.schema.n_events,
        users=len(np.union1d(before.users, after.users)),
        data_as_of=log.calendar.local(log.schema.horizon or 0),
        engine=log.engine.name,
        caveats=caveats,
        timings={"total": clock.perf_counter() - begun},
    )  # fmt: skip
    reach = Z95 * whole.change_error if whole.known else None
    return ChangeResult(
        how=how, metric=metric, before=before.value, after=after.value,
        lower=None if reach is None else whole.change - reach, upper=None if reach is None else whole.change + reach,
        splits=tuple(splits), findings=tuple(found), remainder=remainder if found else None,
        unexplained=caveats, spans=windows.spans(log.calendar),
    )  # fmt: skip


def events_of(metric: MetricDefinition) -> set[str] | None:
    """Events that a metric reads; None = any."""
    matches = [m for m in (metric.numerator, metric.denominator, metric.start, metric.target) if m is not None]
    if any(m.events is None for m in matches):
        named = {e for m in matches for e in m.events or ()}
        return named or None
    return {e for m in matches for e in m.events or ()}


Coded = dict[str, tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]]
"""Property → names of its groups, and the group of each user before and after."""


def _codes(log: EventLog, windows: Windows, before: Parts, after: Parts, dimensions: Sequence[str]) -> Coded:
    """The group of each user in both windows; groups beyond the largest twelve are ``(other)``."""
    first, second = (
        user_dimensions(log, dimensions, *window, parts.users)
        for window, parts in ((windows.before, before), (windows.after, after))
    )
    found: Coded = {}
    for name in dimensions:
        (names0, codes0), (names1, codes1) = first[name], second[name]
        every = sorted({*names0, *names1})
        place = {n: i for i, n in enumerate(every)}
        mine = [
            np.array([place[n] for n in names], np.int64)[codes]
            for names, codes in ((names0, codes0), (names1, codes1))
        ]
        size = np.bincount(mine[0], before.denominator, len(every)) + np.bincount(
            mine[1], after.denominator, len(every)
        )
        kept = sorted(np.argsort(-size, kind="stable")[:_MOST_GROUPS].tolist())
        short = np.full(len(every), len(kept), np.int64)
        short[kept] = np.arange(len(kept))
        groups = [every[i] for i in kept] + ([OTHER] if len(every) > len(kept) else [])
        found[name] = _without_lone((*groups,), short[mine[0]], short[mine[1]], before, after)
    return found


def _successive(
    names: tuple[str, ...], codes0: NDArray[np.int64], codes1: NDArray[np.int64], before: Parts, after: Parts
) -> bool:
    """Whether values follow each other, as app versions do: that one took the other's place is no reason.

    Told by a value of a tenth or more that is gone while the whole lost less than half of what was its.
    """
    sizes = [np.bincount(c, p.denominator, len(names)) for c, p in ((codes0, before), (codes1, after))]
    old, new = float(sizes[0].sum()), float(sizes[1].sum())
    if not (old and new):
        return False
    gone = (sizes[0] >= _PART * old) & (sizes[1] < _GONE * new)
    return bool(gone.any() and old - new < float(sizes[0][gone].sum()) / 2)


def _without_lone(
    names: tuple[str, ...], codes0: NDArray[np.int64], codes1: NDArray[np.int64], before: Parts, after: Parts
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Groups with a numerator and no denominator are put together with the largest: alone they have no rate."""
    n = len(names)
    lone = np.zeros(n, dtype=bool)
    size = np.zeros(n)
    for codes, parts in ((codes0, before), (codes1, after)):
        top, bottom = np.bincount(codes, parts.numerator, n), np.bincount(codes, parts.denominator, n)
        lone |= (bottom == 0) & (top != 0)
        size += bottom
    if not lone.any():
        return names, codes0, codes1
    into = np.arange(n)
    into[lone] = int(np.argmax(np.where(lone, -1, size)))
    return names, into[codes0], into[codes1]


def _dimension_split(
    name: str,
    groups: tuple[str, ...],
    codes0: NDArray[np.int64],
    codes1: NDArray[np.int64],
    before: Parts,
    after: Parts,
) -> DimensionSplit | None:
    n = len(groups)
    first, second = Moments.of(before, codes0, n), Moments.of(after, codes1, n)
    split = split_change(first, second, is_sum=before.is_sum)
    if not split.known:
        return None
    p_values = _p_values(split)
    movement = float(np.abs(split.excess).sum()) or 1.0
    rows = [
        SegmentRow(
            dimension=name,
            segment=groups[i],
            users_before=float(first.denominator[i]),
            users_after=float(second.denominator[i]),
            value_before=_ratio(first.numerator[i], first.denominator[i]),
            value_after=_ratio(second.numerator[i], second.denominator[i]),
            rate=float(split.rate[i]),
            mix=float(split.mix[i]),
            volume=float(split.volume[i]),
            total=float(split.total[i]),
            lower=float(split.total[i] - Z95 * split.error[i]),
            upper=float(split.total[i] + Z95 * split.error[i]),
            p_value=float(p_values[i]),
            matters=bool(p_values[i] <= _LEVEL and abs(split.excess[i]) >= _SHOWN_SHARE * movement),
        )
        for i in range(n)
        if first.users[i] or second.users[i]
    ]
    rows.sort(key=lambda r: (-abs(r.total), r.segment))
    rate, mix, volume = split.effects
    return DimensionSplit(name, tuple(rows), rate, mix, volume, _warning(split, first, second, before.is_sum))


def _warning(split: Split, before: Moments, after: Moments, is_sum: bool) -> Literal["", "simpson", "mix"]:
    """Whether the total tells another story than its parts."""
    if is_sum or not split.beyond_chance:
        return ""
    seen = (before.denominator >= 30) & (after.denominator >= 30)
    seen &= (before.denominator / before.denominator.sum() + after.denominator / after.denominator.sum()) >= 0.02
    if seen.sum() < 2:
        return ""
    own = after.numerator[seen] / after.denominator[seen] - before.numerator[seen] / before.denominator[seen]
    if np.all(np.sign(own) == -np.sign(split.change)):
        return "simpson"
    rate, mix, _ = split.effects
    rate_error, mix_error, _ = split.effect_errors
    little = abs(rate) < Z95 * rate_error or abs(rate) < _LITTLE * abs(split.change)
    mostly = mix / split.change >= _MOSTLY and abs(mix) > Z95 * mix_error
    return "mix" if little and mostly else ""


def _warning_sentence(split: DimensionSplit, metric: MetricDefinition) -> Text:
    unit = metric.shown_unit
    words = {"dimension": split.dimension, "mix": Quantity(split.mix, unit, change=True),
             "rate": Quantity(split.rate, unit, change=True)}  # fmt: skip
    if split.warning == "simpson":
        return text(
            "Simpson's paradox: the total moved one way and every {dimension} the other; only who came changed (mix {mix}, "
            "rate {rate})",
            **words,
        )
    return text(
        "It is mix, not behaviour: by {dimension}, who came accounts for {mix} and the groups' own rates for {rate}",
        **words,
    )


def _cells(coded: Coded, before: Parts, after: Parts) -> Cells | None:
    """Users of both windows by the combination of all properties."""
    if not coded:
        return None
    n0 = len(before.users)
    joint = np.zeros(n0 + len(after.users), dtype=np.int64)
    for groups, codes0, codes1 in coded.values():
        joint = joint * (len(groups) + 1) + np.concatenate((codes0, codes1))
    _, first, cell = np.unique(joint, return_index=True, return_inverse=True)
    names = {
        name: tuple(groups[c] for c in np.concatenate((codes0, codes1))[first])
        for name, (groups, codes0, codes1) in coded.items()
    }
    n = len(first)
    return Cells(names, Moments.of(before, cell[:n0], n), Moments.of(after, cell[n0:], n))


def _p_values(split: Split) -> NDArray[np.float64]:
    from scipy.stats import norm

    z = np.divide(
        np.abs(split.excess), split.excess_error, out=np.zeros_like(split.excess), where=split.excess_error > 0
    )
    return np.atleast_1d(adjust(2 * norm.sf(z), method="holm"))


def _unexplained(
    log: EventLog,
    metric: MetricDefinition,
    windows: Windows,
    before: Parts,
    after: Parts,
    breaks: Sequence[TrackingBreak],
) -> tuple[Caveat, ...]:
    """What may make the change other than it seems."""
    found = []
    if after.immature or before.immature:
        found.append(
            Caveat(
                "immature",
                text(
                    "{n} starts are left out: their window has not closed yet",
                    n=format_count(before.immature + after.immature),
                ),
            )
        )
    read, both = events_of(metric), (windows.before, windows.after)
    found += [Caveat("tracking_break", b.sentence()) for b in breaks if any(b.touches(read, *w) for w in both)]
    if before.value is None or after.value is None:
        found.append(Caveat("no_value", text("nothing to divide by in one of the windows")))
    small = min(len(before.users), len(after.users))
    if small < metric.min_sample:
        found.append(Caveat("small_sample", text("only {n} users in one of the windows: too few to judge", n=small)))
    if not windows.equal_length and before.is_sum:
        found.append(Caveat("unequal", text("the windows are not equally long: a sum grows with its window")))
    if (windows.after[0] - windows.before[0]) % (7 * 86_400_000_000):
        found.append(Caveat("weekdays", text("the windows begin on different weekdays")))
    if windows.after[1] > (log.schema.horizon or 0) + 1:
        found.append(Caveat("incomplete", text("the later window is not over yet")))
    return tuple(found)


class _Joined(Text):
    """Sentences one after the other, each in the language in force when shown."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Text | str]) -> None:
        super().__init__("", {})
        self.parts = tuple(parts)

    def __str__(self) -> str:
        return ". ".join(str(part) for part in self.parts)


def _split_table(split: DimensionSplit, metric: MetricDefinition) -> Table:
    unit = _change_unit(metric)
    level: Unit = metric.shown_unit if metric.shown_unit != "count" else "number"
    columns = (
        Column("segment", split.dimension),
        Column("users_before", text("Before, n"), "count"),
        Column("users_after", text("After, n"), "count"),
        Column("value_before", text("Before"), level),
        Column("value_after", text("After"), level),
        Column("rate", text("Rate"), unit),
        Column("mix", text("Mix"), unit),
        Column("volume", text("Volume"), unit, text("as if all had grown alike")),
        Column("total", text("Together"), unit),
        Column("lower", text("from"), unit),
        Column("upper", text("to"), unit),
        Column(
            "matters",
            text("Stands out"),
            doc=text("its rate beyond the others' and its mix are beyond chance, and no trifle"),
        ),
    )
    rows: list[tuple[Cell, ...]] = [
        (r.segment, r.users_before, r.users_after, r.value_before, r.value_after, r.rate, r.mix, r.volume, r.total,
         r.lower, r.upper, r.matters)
        for r in split.rows
    ]  # fmt: skip
    together = split.rate + split.mix + split.volume
    rows.append(
        (
            text("the whole change"),
            None,
            None,
            None,
            None,
            split.rate,
            split.mix,
            split.volume,
            together,
            None,
            None,
            None,
        )
    )
    return Table(f"by_{split.dimension}", text("By {dimension}", dimension=split.dimension), columns, rows)


def _change_unit(metric: MetricDefinition) -> Unit:
    return (
        "difference"
        if metric.shown_unit == "ratio"
        else ("number" if metric.shown_unit == "count" else metric.shown_unit)
    )


def _ratio(top: float, bottom: float) -> float | None:
    return float(top / bottom) if bottom else None
