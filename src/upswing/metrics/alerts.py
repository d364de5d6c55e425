"""Alerts: unusual days and weeks, targets that fall short, events that stopped being sent; with a guard against few users.

A day is unusual when it lies outside the interval of a causal seasonal baseline (`upswing.stats.series`), at a level that
is divided by the number of days and metrics looked at; for shares it must also lie outside what chance among so few users
explains. A week is unusual when its days together are off, measured against how far earlier weeks were off.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Column, HowComputed, Result, Table
from upswing.core.units import DAY
from upswing.events.log import EventLog
from upswing.metrics.dimensions import comparable_dimensions
from upswing.metrics.points import Frame, MetricPoint, by_metric, metric_points
from upswing.metrics.quantity import Quantity
from upswing.metrics.standing import standing
from upswing.metrics.tracking import TrackingBreak, tracking_breaks
from upswing.spec.metric import MetricDefinition, in_order
from upswing.stats.series import seasonal_baseline

AlertKind = Literal["day", "week", "target", "tracking"]
_LEVEL: Final = 0.05
_CYCLES: Final = 4
_SEASON: Final = 7
_HISTORY: Final = 20
"""Weeks of days that are read: four for the baseline, the rest to learn how far it usually misses."""
_LEAST_WEEKS: Final = 4


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing out of the ordinary.

    Args:
        kind: ``day`` or ``week`` (unusual), ``target`` (falls short), ``tracking`` (an event stopped being sent).
        metric: its name; the event's for tracking.
        when: day, first day of the week, or days.
        value: what was measured.
        expected: what was to be expected or wanted.
        lower: lower limit of what is usual.
        upper: upper limit.
        worse: True for the worse, False for the better, None unknown.
        sentence: what a person reads.
    """

    kind: AlertKind
    metric: str
    when: str
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    worse: bool | None
    sentence: Text

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsResult(Result):
    """Alerts, gravest first.

    Args:
        alerts: what was found.
        looked_at: metrics that could be judged.
        silent: metrics that could not, and why.
        judged: whether any alert is the answer "no".
    """

    verb: ClassVar[str] = "alerts"
    alerts: tuple[Alert, ...]
    looked_at: tuple[str, ...]
    silent: tuple[Caveat, ...]
    judged: bool = False

    def title(self) -> Text:
        """The question."""
        return text("What is out of the ordinary?")

    def verdict(self) -> Text | str:
        """The gravest alert, or that there is none."""
        if not self.alerts and not self.looked_at:
            return text("No metric could be judged: too few users, or too few days")
        if not self.alerts:
            return text("Nothing out of the ordinary in {n} metrics", n=len(self.looked_at))
        return self.alerts[0].sentence

    def passed(self) -> bool | None:
        """Whether there is no alert, where that was asked."""
        return not self.alerts if self.judged else None

    def data(self) -> dict[str, object]:
        """Alerts, and what was looked at."""
        return {
            "alerts": [a.to_dict() for a in self.alerts],
            "looked_at": list(self.looked_at),
            "silent": [c.to_dict() for c in self.silent],
        }

    def tables(self) -> list[Table]:
        """One row per alert."""
        kinds: dict[AlertKind, Text] = {
            "day": text("unusual day"), "week": text("unusual week"), "target": text("target"), "tracking": text("tracking"),
        }  # fmt: skip
        columns = (
            Column("kind", text("Kind")),
            Column("when", text("When")),
            Column("sentence", text("What happened")),
            Column("worse", text("For the worse")),
        )
        rows: list[tuple[Cell, ...]] = [(kinds[a.kind], a.when, a.sentence, a.worse) for a in self.alerts]
        return [Table("alerts", text("Alerts, gravest first"), columns, rows)]


def find_alerts(
    log: EventLog,
    metrics: Sequence[MetricDefinition],
    *,
    known: Mapping[str, MetricDefinition] | None = None,
    days: int = 7,
    stop: str | None = None,
    dimensions: Sequence[str] = (),
    breaks: Sequence[TrackingBreak] | None = None,
    fail: bool = False,
) -> AlertsResult:
    """What is out of the ordinary in the last complete days.

    Args:
        log: the event log.
        metrics: what to watch; those with ``alert: off`` are left out.
        known: all metrics, for derived ones.
        days: how many of the last complete days are judged.
        stop: look as of this moment, exclusive.
        dimensions: properties in whose groups tracking may break; chosen if absent.
        breaks: tracking breaks, if they are known already.
        fail: any alert is the answer "no".

    Raises:
        UsageError: UP660 no day, or more days than the history that they are judged by.
    """
    if not 1 <= days <= _HISTORY * _SEASON:
        raise UsageError(
            text("between 1 and {most} days can be judged, got {n}", most=_HISTORY * _SEASON, n=days), code="UP660"
        )
    begun = clock.perf_counter()
    lo, hi = log.resolve_range(None, stop)
    watched = [m for m in metrics if m.alert != "off"]
    since = max(lo, hi - (_HISTORY * _SEASON + 1) * DAY)
    edges = log.calendar.edges("day", since, hi)
    frame = Frame(log, edges, "day")
    by_name = known or {m.name: m for m in watched}
    needed = in_order(watched, by_name)
    # a trailing window moves too slowly to have unusual days, and one day stays in it for weeks
    daily = in_order([m for m in watched if not any(n.type == "cumulative" for n in in_order([m], by_name))], by_name)
    points, statements = metric_points(frame, daily) if daily else ([], [])
    series = by_metric([p for p in points if p.group is None])
    found: list[Alert] = []
    silent: list[Caveat] = []
    judged: list[str] = []
    for metric in (m for m in watched if m in daily):
        usual = _Usual.of(metric, series.get(metric.name, []))
        if usual is None:
            silent.append(
                Caveat(
                    "too_little", text("{metric}: too little history or too few users to judge", metric=metric.shown)
                )
            )
            continue
        judged.append(metric.name)
        found += usual.unusual(days, len(watched))
    targets, more = _target_alerts(log, watched, needed, hi)
    found += targets
    statements += more
    if breaks is None:
        chosen = dimensions or comparable_dimensions(log, start=since, stop=hi, most=3)
        breaks = tracking_breaks(log, start=max(lo, hi - (days + 1) * DAY), stop=hi, dimensions=chosen)
    found += [_tracking_alert(b) for b in breaks]
    order = {"tracking": 0, "target": 1, "week": 2, "day": 3}
    found.sort(key=lambda a: (a.worse is False, order[a.kind], a.metric, a.when))
    how = HowComputed(
        definition={"metrics": [m.name for m in watched], "days": days},
        window=log.window(since, hi),
        method=text(
            "Each day against a causal seasonal median of the four weeks before; level 5 %, divided by days and metrics looked "
            "at; shares also against the Wilson interval of their users. Weeks: the mean of their days' scores against how far "
            "earlier weeks were off. Metrics below their smallest sample are not judged"
        ),
        sql=tuple(dict.fromkeys(statements)),
        events=log.schema.n_events,
        data_as_of=log.calendar.local(log.schema.horizon or 0),
        engine=log.engine.name,
        caveats=tuple(silent),
        timings={"total": clock.perf_counter() - begun},
    )
    return AlertsResult(how=how, alerts=tuple(found), looked_at=tuple(judged), silent=tuple(silent), judged=fail)


@dataclass(frozen=True, slots=True)
class _Usual:
    """A metric's days with what was to be expected of each."""

    metric: MetricDefinition
    points: tuple[MetricPoint, ...]
    values: NDArray[np.float64]
    expected: NDArray[np.float64]
    score: NDArray[np.float64]

    @classmethod
    def of(cls, metric: MetricDefinition, points: Sequence[MetricPoint]) -> _Usual | None:
        """None where no day can be judged."""
        done = [p for p in points if p.complete]
        values = np.array([_judgeable(metric, p) for p in done])
        if len(values) <= _SEASON * _CYCLES or np.isnan(values).mean() > 0.5:
            return None
        baseline = seasonal_baseline(values, period=_SEASON, cycles=_CYCLES)
        if not np.isfinite(baseline.score).any():
            return None
        return cls(metric, tuple(done), values, baseline.expected, baseline.score)

    def unusual(self, days: int, metrics: int) -> list[Alert]:
        """The last days that stand out alone, and the last week where its days stand out together."""
        level = _LEVEL / max(1, days * metrics)
        reach = float(distributions.t.isf(level / 2, 10))
        spread = np.divide(self.values - self.expected, self.score, out=np.full_like(self.values, np.nan),
                           where=(self.score != 0) & np.isfinite(self.score))  # fmt: skip
        found = []
        for i in range(max(0, len(self.values) - days), len(self.values)):
            off = np.isfinite(self.score[i]) and abs(self.score[i]) > reach
            if off and not self._chance(i) and self._wanted(i):
                found.append(self._alert("day", i, self.values[i], self.expected[i], reach * float(spread[i])))
        week = self._week(metrics)
        return found + ([week] if week is not None else [])

    def _week(self, metrics: int) -> Alert | None:
        """The last seven days together against the same sum of earlier weeks."""
        known = self.score[np.isfinite(self.score)]
        blocks = len(known) // _SEASON
        if blocks < _LEAST_WEEKS or not np.isfinite(self.score[-_SEASON:]).all():
            return None
        means = known[len(known) - blocks * _SEASON :].reshape(blocks, _SEASON).mean(axis=1)
        usual = max(1 / math.sqrt(_SEASON), float(np.sqrt(np.mean(means[:-1] ** 2))))
        reach = float(distributions.t.isf(_LEVEL / max(1, metrics) / 2, max(2, blocks - 1)))
        if abs(means[-1]) <= reach * usual:
            return None
        days = slice(len(self.values) - _SEASON, len(self.values))
        value, expected = float(np.mean(self.values[days])), float(np.mean(self.expected[days]))
        if not self._direction(value, expected):
            return None
        size = abs((value - expected) / means[-1]) * reach * usual
        return self._alert("week", len(self.values) - _SEASON, value, expected, size)

    def _chance(self, index: int) -> bool:
        """Whether a share's users are so few that chance explains the day."""
        point = self.points[index]
        if not self.metric.is_share or not point.denominator:
            return False
        p = min(max(float(self.expected[index]), 0.0), 1.0)
        error = math.sqrt(max(p * (1 - p), 1e-12) / point.denominator)
        return abs(float(self.values[index]) - p) <= 3 * error

    def _wanted(self, index: int) -> bool:
        return self._direction(float(self.values[index]), float(self.expected[index]))

    def _direction(self, value: float, expected: float) -> bool:
        return self.metric.alert == "both" or self._worse(value, expected) is not False

    def _worse(self, value: float, expected: float) -> bool | None:
        return None if self.metric.better is None else (value < expected) == (self.metric.better == "up")

    def _alert(self, kind: AlertKind, index: int, value: float, expected: float, reach: float) -> Alert:
        unit, when = self.metric.shown_unit, self.points[index].period
        reach = abs(reach)
        words = {
            "metric": self.metric.shown, "when": when, "value": Quantity(float(value), unit),
            "low": Quantity(float(expected - reach), unit), "high": Quantity(float(expected + reach), unit),
        }  # fmt: skip
        sentence = (
            text("“{metric}” was {value} on {when}; {low} to {high} was to be expected", **words)
            if kind == "day"
            else text(
                "“{metric}” was {value} a day in the seven days from {when}; {low} to {high} was to be expected",
                **words,
            )
        )
        worse = self._worse(float(value), float(expected))
        return Alert(
            kind, self.metric.name, when, float(value), float(expected), float(expected - reach), float(expected + reach),
            worse, sentence,
        )  # fmt: skip


def _judgeable(metric: MetricDefinition, point: MetricPoint) -> float:
    """The value, or NaN where too few stand behind it."""
    sample = point.sample(metric)
    if point.value is None or (metric.is_share and sample is not None and sample < metric.min_sample):
        return math.nan
    return point.value


def _target_alerts(
    log: EventLog, watched: Sequence[MetricDefinition], needed: Sequence[MetricDefinition], stop: int
) -> tuple[list[Alert], list[str]]:
    """Targets that the last complete week falls short of, beyond chance."""
    with_targets = [m for m in watched if m.targets]
    if not with_targets:
        return [], []
    edges = log.calendar.edges("week", max(log.schema.first_time or 0, stop - 60 * DAY), stop)
    points, statements = metric_points(Frame(log, edges, "week"), needed)
    found = []
    for metric in with_targets:
        now = standing(metric, [p for p in points if p.metric == metric.name], period="week")
        if now.target != "missed" or now.period is None:
            continue
        sentence = text(
            "“{metric}” was {value} in the week of {when}; its target is {wanted}",
            metric=metric.shown, value=Quantity(now.value, metric.shown_unit), when=now.period,
            wanted=Quantity(now.wanted, metric.shown_unit),
        )  # fmt: skip
        found.append(Alert("target", metric.name, now.period, now.value, now.wanted, None, None, True, sentence))
    return found, statements


def _tracking_alert(found: TrackingBreak) -> Alert:
    when = found.first if found.first == found.last else f"{found.first} – {found.last}"
    return Alert("tracking", found.event, when, float(found.seen), found.expected, None, None, True, found.sentence())
