"""The weekly growth review: what moved and why, what is worth fixing, what is out of the ordinary, and what runs."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeVar

from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, current_locale, text
from upswing.core.numbers import format_seconds
from upswing.core.results import Caveat, Column, HowComputed, Result, Table
from upswing.core.units import DAY, Period
from upswing.diagnose.funnel import FunnelResult
from upswing.diagnose.lifecycle import LifecycleResult, lifecycle
from upswing.diagnose.milestones import Milestones, activity
from upswing.diagnose.retention import retention
from upswing.diagnose.retention_result import RetentionResult
from upswing.diagnose.weak_points import closed_steps
from upswing.events.log import EventLog
from upswing.metrics.alerts import AlertsResult, find_alerts
from upswing.metrics.candidate import Candidate, Evidence
from upswing.metrics.explain_tree import TreeChangeResult, explain_tree
from upswing.metrics.series import MetricsResult, metric_series
from upswing.metrics.windows import resolve_windows
from upswing.review.points import GrowthPointsResult, growth_points
from upswing.review.proposal import proposed_tree
from upswing.review.setting import NorthStar, Setting, build_setting, default_north_star, usable_horizon
from upswing.review.sources import BUILT_IN, Source, missed_targets
from upswing.review.strategy import StrategyDefinition, strategy_points
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.metric import Measure, MetricDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.tree import TreeDefinition

Part = TypeVar("Part")

_SHOWN: Final = 13
"""Periods of the tree's metrics that are shown: a quarter of weeks."""
PERIODS: Final = 4
"""Complete periods that are held against as many before: one week alone is mostly noise."""


_SLOW: Final = 600
"""Seconds below which nobody would call a step slow."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a workspace declares that the review uses; everything may be absent.

    Args:
        metrics: by name.
        tree: the metric tree.
        funnels: with targets.
        strategy: questions whose answers are growth points too: aha, quadrants, behaviours, hook loops.
    """

    metrics: Mapping[str, MetricDefinition] = field(default_factory=dict)
    tree: TreeDefinition | None = None
    funnels: Sequence[FunnelDefinition] = ()
    strategy: Sequence[StrategyDefinition] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Everything that finds growth points in this workspace."""
        return (*BUILT_IN, missed_targets(self.funnels), *strategy_points(self.strategy))


@dataclass(frozen=True, slots=True)
class Plugged:
    """What other rooms hand over.

    Args:
        sections: results of other rooms (experiments that run, channels, the backlog), shown as they are.
        candidates: growth points that they found.
        notes: what people said, by event or stage.
    """

    sections: tuple[Result, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    notes: Mapping[str, tuple[Evidence, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthReview(Result):
    """The review of a log.

    Args:
        standing: every metric of the tree over the last periods; None where nothing could be measured.
        north_star: name of the metric at the top, in `standing`.
        moved: the tree: what moved and why; None where two periods are not complete yet.
        points: growth points.
        alerts: what is out of the ordinary; None where nothing could be watched.
        plugged: results of other rooms.
        milestones: the path it looks at.
        funnel: that path over all users.
        retention: weekly (or daily, for short logs) return of users, by first event.
        lifecycle: new, returning, resurrecting and dormant.
        dimensions: properties that groups were compared by.
        left_out: what could not be computed, and why.
    """

    verb: ClassVar[str] = "report"
    standing: MetricsResult | None
    north_star: str
    moved: TreeChangeResult | None
    points: GrowthPointsResult
    alerts: AlertsResult | None
    plugged: tuple[Result, ...]
    milestones: Milestones
    funnel: FunnelResult
    retention: RetentionResult | None
    lifecycle: LifecycleResult | None
    dimensions: tuple[str, ...]
    left_out: tuple[Caveat, ...] = ()

    def title(self) -> Text:
        """The question."""
        return text("Growth review: what moved, and what is worth fixing?")

    def verdict(self) -> Text | str:
        """The first growth point with its size, or that there is none beyond noise."""
        return self.points.verdict()

    def sentences(self) -> list[Text | str]:
        """What a growth manager would say, in order of weight."""
        said: list[Text | str] = [self._path_sentence()]
        if self.moved is not None:
            said.append(self.moved.verdict())
            said += [detail.verdict() for detail in self.moved.details[:2]]
        said += [self.points.sentence(p) for p in self.points.points[:3] if p.sound and p.gain > 0]
        if not any(p.sound and p.gain > 0 for p in self.points.points):
            said.append(self.points.verdict())
        if self.alerts is not None:
            said.append(self.alerts.verdict())
        said.append(self.funnel.verdict())
        slowest = self._slowest()
        if slowest is not None:
            said.append(slowest)
        for part in (self.retention, self.lifecycle):
            if part is not None and str(part.verdict()):
                said.append(part.verdict())
        return [s for s in said if str(s)]

    def data(self) -> dict[str, object]:
        """Everything as plain data."""
        m = self.milestones
        return {
            "milestones": {
                "events": list(m.events), "reach": list(m.reach), "precedence": list(m.precedence),
                "window_days": m.window_days, "declared": m.declared,
            },
            "sentences": [str(s) for s in self.sentences()],
            "standing": None if self.standing is None else self.standing.data(),
            "north_star": self.north_star,
            "moved": None if self.moved is None else self.moved.data(),
            "growth_points": self.points.data(),
            "alerts": None if self.alerts is None else self.alerts.data(),
            "dimensions": list(self.dimensions),
            "funnel": self.funnel.data(),
            "retention": None if self.retention is None else self.retention.data(),
            "lifecycle": None if self.lifecycle is None else self.lifecycle.data(),
            "plugged": {r.verb: r.data() for r in self.plugged},
            "left_out": [c.to_dict() for c in self.left_out],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """Growth points, the tree, alerts and the path."""
        moved = [] if self.moved is None else self.moved.tables()[:1]
        alerts = [] if self.alerts is None else self.alerts.tables()
        return [*self.points.tables()[:1], *moved, *alerts, self.path_table()]

    def sections(self) -> list[Result]:
        """The results behind the review, in the order they are shown."""
        first = [r for r in (self.moved, self.points, self.alerts) if r is not None]
        return [*first, *self.plugged, *(r for r in (self.funnel, self.retention, self.lifecycle) if r is not None)]

    def path_table(self) -> Table:
        """The path, declared or proposed."""
        m = self.milestones
        columns = (
            Column("event", text("Milestone")),
            Column("reach", text("Reach"), "ratio", text("Share of all users who ever did it")),
            Column(
                "precedence",
                text("In this order"),
                "ratio",
                text("Among users with both, those whose step before came first"),
            ),
        )
        rows = list(zip(m.events, m.reach, (None, *m.precedence), strict=True))
        title = (
            text("The declared path") if m.declared else text("The proposed path: a proposal, to be judged by a person")
        )
        return Table("milestones", title, columns, rows)

    def _path_sentence(self) -> Text:
        path = " → ".join(self.milestones.events)
        if self.milestones.declared:
            return text("The path: {path}, within {n}", path=path, n=self.funnel.definition.window)
        return text(
            "A path proposed from the events (declare your own with milestones: in upswing.yml): {path}, within {n}",
            path=path,
            n=self.funnel.definition.window,
        )

    def _slowest(self) -> Text | None:
        timed = [s for s in self.funnel.steps[1:] if (s.median_seconds_from_previous or 0) >= _SLOW]
        if not timed:
            return None
        step = max(timed, key=lambda s: s.median_seconds_from_previous or 0)
        return text(
            "The slowest step is “{step}”: half of those who get there need more than {time} from the step before",
            step=step.name,
            time=_Seconds(step.median_seconds_from_previous or 0),
        )


class _Seconds(Text):
    """A length of time that is formatted in the language in force when shown."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        super().__init__("", {})
        self.seconds = seconds

    def __str__(self) -> str:
        return format_seconds(self.seconds, locale=current_locale())


def review(
    log: EventLog,
    *,
    declared: Declared | None = None,
    plugged: Plugged | None = None,
    milestones: Sequence[str] = (),
    dimensions: Sequence[str] = (),
    within: str | None = None,
    start: str | None = None,
    stop: str | None = None,
    closed: float = 0.5,
    progress: Callable[[object], None] | None = None,
) -> GrowthReview:
    """Answer *what moved, why, and what is worth fixing?* for a whole log, with or without definitions.

    Args:
        log: the event log.
        declared: metrics, tree and funnels of the workspace.
        plugged: results, candidates and notes of other rooms.
        milestones: events of the main path, in order; proposed from the events if absent.
        dimensions: properties to compare groups by; chosen if absent.
        within: conversion window; covers nine in ten of those who go all the way if absent.
        start: first moment.
        stop: end, exclusive.
        closed: share of each gap that is taken to close.
        progress: told the name of each part as it begins.

    Raises:
        DataError: UP310 no events, UP315 no path to be found.
    """
    begun = clock.perf_counter()
    tell = progress or (lambda _: None)
    known, other = declared or Declared(), plugged or Plugged()
    setting = build_setting(
        log, milestones=milestones, dimensions=dimensions, within=within, start=start, stop=stop, notes=dict(other.notes),
        north_star=lambda path, weeks: choose_north_star(known, path, weeks), tell=tell,
    )  # fmt: skip
    missing: list[Caveat] = _closed(setting)
    tell(text("what moved"))
    tree, metrics = _tree(setting, known)
    standing = _try(lambda: _standing(setting, tree, metrics, stop), "metrics", missing)
    moved = _try(lambda: _moved(setting, tree, metrics, stop), "tree", missing)
    points = growth_points(setting, sources=known.sources, extra=other.candidates, closed=closed, tell=tell)
    tell(text("alerts"))
    alerts = _try(lambda: _alerts(setting, known, stop), "alerts", missing)
    tell(text("retention"))
    returning = _try(lambda: _retention(setting, start, stop), "retention", missing)
    tell(text("lifecycle"))
    cycle = _try(lambda: _lifecycle(setting, start, stop), "lifecycle", missing)
    how = HowComputed(
        definition={"milestones": list(setting.path.events), "dimensions": list(setting.dimensions),
                    "within": str(setting.window), "closed": closed},
        window=log.window(setting.start, setting.stop),
        method=text(
            "Each section carries its own account. What moved: the last {n} complete periods against as many before", n=PERIODS
        ),
        sql=setting.whole.how.sql,
        events=log.schema.n_events,
        users=log.schema.n_users,
        data_as_of=log.calendar.local(setting.horizon),
        engine=log.engine.name,
        caveats=setting.whole.how.caveats,
        timings={"total": clock.perf_counter() - begun},
    )  # fmt: skip
    return GrowthReview(
        how=how,
        standing=standing,
        north_star=tree.north_star,
        moved=moved,
        points=points,
        alerts=alerts,
        plugged=other.sections,
        milestones=setting.path,
        funnel=setting.whole,
        retention=returning,
        lifecycle=cycle,
        dimensions=setting.dimensions,
        left_out=tuple(missing),
    )


def choose_north_star(declared: Declared, path: Milestones, complete_weeks: int) -> NorthStar:
    """The tree's north star as a sum over users; what it is made of where it is none itself; the path's end otherwise."""
    if declared.tree is None:
        return default_north_star(path, complete_weeks)
    horizon = usable_horizon(declared.tree.horizon, complete_weeks)
    metric = declared.metrics.get(declared.tree.north_star)
    if metric is None:
        found = default_north_star(path, complete_weeks)
        note = text(
            "“{star}” is made by a formula: growth is sized in users of the path's last step",
            star=declared.tree.north_star,
        )
        return NorthStar(found.metric, False, horizon, note)
    if metric.type == "simple" and metric.numerator is not None and metric.numerator.agg in ("count", "users", "sum"):
        return NorthStar(metric, True, horizon)
    top = metric.numerator if metric.numerator is not None else _target_users(metric)
    if top is None or top.agg not in ("count", "users", "sum"):
        found = default_north_star(path, complete_weeks)
        note = text(
            "“{star}” is no sum over users: growth is sized in users of the path's last step", star=metric.shown
        )
        return NorthStar(found.metric, False, horizon, note)
    unit = "count" if top.agg in ("count", "users") else metric.unit
    summed = MetricDefinition(
        name=metric.name,
        label=metric.label,
        type="simple",
        numerator=top,
        where=metric.where,
        better=metric.better,
        unit=unit,
    )
    note = text("“{star}” is no sum over users: growth is sized in what stands above its line", star=metric.shown)
    return NorthStar(summed, True, horizon, note)


def _target_users(metric: MetricDefinition) -> Measure | None:
    if metric.target is None:
        return None
    return Measure(event=metric.target.event, any_of=metric.target.any_of, where=metric.target.where, agg="users")


def _tree(setting: Setting, declared: Declared) -> tuple[TreeDefinition, Mapping[str, MetricDefinition]]:
    """The declared tree, or the one that follows from the path."""
    if declared.tree is not None:
        return declared.tree, declared.metrics
    tree, proposed = proposed_tree(setting.path)
    return tree, {**declared.metrics, **proposed}


def _standing(
    setting: Setting, tree: TreeDefinition, metrics: Mapping[str, MetricDefinition], stop: str | None
) -> MetricsResult:
    """The tree's metrics over the last quarter."""
    drivers = [d for node in tree.nodes.values() for d in node.drivers]
    named = [metrics[n] for n in dict.fromkeys((*tree.order, *drivers)) if n in metrics]
    edges = setting.log.calendar.edges(tree.period, setting.start, setting.stop)
    since = setting.log.calendar.local(int(edges[max(0, len(edges) - 2 - _SHOWN)])).isoformat()
    return metric_series(setting.log, named, known=metrics, period=tree.period, start=since, stop=stop)


def _moved(
    setting: Setting, tree: TreeDefinition, metrics: Mapping[str, MetricDefinition], stop: str | None
) -> TreeChangeResult:
    windows = resolve_windows(setting.log, stop=stop, period=tree.period, periods=_span(setting, tree.period))
    return explain_tree(
        setting.log, tree, metrics, windows, dimensions=setting.dimensions[:5], breaks=setting.breaks, successive=False
    )


def _span(setting: Setting, period: Period) -> int:
    """Four periods against four, fewer where there are not eight."""
    edges = setting.log.calendar.edges(period, setting.start, setting.stop)
    done = int((edges[1:] <= setting.horizon).sum())
    return max(1, min(PERIODS, done // 2))


def _alerts(setting: Setting, declared: Declared, stop: str | None) -> AlertsResult:
    metrics = dict(declared.metrics) or dict(proposed_tree(setting.path)[1])
    since = setting.horizon - 8 * DAY
    recent = [b for b in setting.breaks if b.stop > since]
    return find_alerts(setting.log, list(metrics.values()), known=metrics, stop=stop, breaks=recent)


def _closed(setting: Setting) -> list[Caveat]:
    return [
        Caveat(
            "closed_step",
            text(
                "Nobody with {dimension} = {group} gets to “{step}”: the step is not open to them",
                dimension=d,
                group=g,
                step=s,
            ),
        )
        for d, g, s in closed_steps(setting.depth, setting.divisions, setting.steps)
    ]


def _retention(setting: Setting, start: str | None, stop: str | None) -> RetentionResult:
    span = setting.stop - setting.start
    weekly = span > 28 * DAY
    definition = RetentionDefinition.model_validate(
        {
            "name": "review",
            "start": {"event": setting.path.events[0]},
            "return": activity(setting.log),
            "period": "week" if weekly else "day",
            "periods": max(1, min(8 if weekly else 14, span // ((7 if weekly else 1) * DAY))),
            "entry": "first-ever",
        }
    )
    return retention(setting.log, definition, start=start, stop=stop)


def _lifecycle(setting: Setting, start: str | None, stop: str | None) -> LifecycleResult:
    period: Period = "week" if setting.stop - setting.start > 28 * DAY else "day"
    return lifecycle(setting.log, activity(setting.log), period=period, start=start, stop=stop)


def _try(compute: Callable[[], Part], name: str, missing: list[Caveat]) -> Part | None:
    try:
        return compute()
    except UpswingError as error:
        missing.append(Caveat(name, text("{part} could not be computed: {reason}", part=name, reason=error.message)))
        return None
