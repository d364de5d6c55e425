"""One look at a whole log: where is growth lost? Milestones, funnel, retention, lifecycle, slow steps and weak points."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from upswing.core.calendar import period_index
from upswing.core.errors import UpswingError
from upswing.core.i18n import Text, current_locale, text
from upswing.core.numbers import format_seconds
from upswing.core.results import Caveat, Column, HowComputed, Result, Table
from upswing.core.units import DAY, Duration
from upswing.diagnose.funnel import FunnelResult, funnel
from upswing.diagnose.lifecycle import LifecycleResult, lifecycle
from upswing.diagnose.milestones import Milestones, propose_milestones
from upswing.diagnose.retention import retention
from upswing.diagnose.retention_result import RetentionResult
from upswing.diagnose.weak_points import WITHIN, Division, WeakPoint, closed_steps, find_weak_points, weak_points_table
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.steps import EventMatch, Step
from upswing.sql.template import q

Part = TypeVar("Part")

_MOST_VALUES: Final = 30
_MOST_DIMENSIONS: Final = 8
_COVERAGE: Final = 0.8
_PAIRED: Final = 5
_FEW: Final = 6
"""Properties that are also looked at in pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthReview(Result):
    """The review of a log.

    Args:
        milestones: the path it looks at.
        funnel: that path over all users.
        retention: weekly (or daily, for short logs) return of users to anything, by first event.
        lifecycle: new, returning, resurrecting and dormant.
        weak_points: ranked, largest first.
        dimensions: properties that groups were compared by.
        left_out: what could not be computed, and why.
    """

    verb: ClassVar[str] = "report"
    milestones: Milestones
    funnel: FunnelResult
    retention: RetentionResult | None
    lifecycle: LifecycleResult | None
    weak_points: tuple[WeakPoint, ...]
    dimensions: tuple[str, ...]
    left_out: tuple[Caveat, ...] = ()

    def title(self) -> Text:
        """The question."""
        return text("Where is growth lost?")

    def verdict(self) -> Text | str:
        """The largest weak point, or that there is none beyond noise."""
        if self.weak_points:
            return self.weak_points[0].sentence()
        return text(
            "No group or week passes a step less often than the best comparable one, beyond what chance explains"
        )

    def sentences(self) -> list[Text | str]:
        """What a growth manager would say, in order of weight."""
        said: list[Text | str] = [self._path_sentence(), self.funnel.verdict()]
        said += [point.sentence() for point in self.weak_points[:5]]
        if not self.weak_points:
            said.append(self.verdict())
        slowest = self._slowest()
        if slowest is not None:
            said.append(slowest)
        for part in (self.retention, self.lifecycle):
            if part is not None and str(part.verdict()):
                said.append(part.verdict())
        return said

    def data(self) -> dict[str, object]:
        """Everything as plain data."""
        return {
            "milestones": {
                "events": list(self.milestones.events),
                "reach": list(self.milestones.reach),
                "precedence": list(self.milestones.precedence),
                "window_days": self.milestones.window_days,
                "declared": self.milestones.declared,
            },
            "sentences": [str(s) for s in self.sentences()],
            "weak_points": weak_points_table(self.weak_points).records(),
            "dimensions": list(self.dimensions),
            "funnel": self.funnel.data(),
            "retention": None if self.retention is None else self.retention.data(),
            "lifecycle": None if self.lifecycle is None else self.lifecycle.data(),
            "left_out": [c.to_dict() for c in self.left_out],
        }

    def tables(self) -> list[Table]:
        """Weak points and the proposed path."""
        return [weak_points_table(self.weak_points), self._milestones_table()]

    def sections(self) -> list[Result]:
        """The results behind the review, in the order they are shown."""
        return [r for r in (self.funnel, self.retention, self.lifecycle) if r is not None]

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
        timed = [s for s in self.funnel.steps[1:] if s.median_seconds_from_previous]
        if not timed:
            return None
        step = max(timed, key=lambda s: s.median_seconds_from_previous or 0)
        return text(
            "The slowest step is “{step}”: half of those who get there need more than {time} from the step before",
            step=step.name,
            time=_Seconds(step.median_seconds_from_previous or 0),
        )

    def _milestones_table(self) -> Table:
        m = self.milestones
        columns = (
            Column("event", text("Milestone")),
            Column("reach", text("Reach"), "ratio", text("Share of all users who ever did it")),
            Column("precedence", text("In this order"), "ratio", text("Among users with both, those whose step before came first")),
        )  # fmt: skip
        rows = list(zip(m.events, m.reach, (None, *m.precedence), strict=True))
        title = (
            text("The declared path") if m.declared else text("The proposed path: a proposal, to be judged by a person")
        )
        return Table("milestones", title, columns, rows)


class _Seconds:
    """A length of time that is formatted in the language in force when shown."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __str__(self) -> str:
        return format_seconds(self._seconds, locale=current_locale())


def review(
    log: EventLog,
    *,
    milestones: Sequence[str] = (),
    dimensions: Sequence[str] = (),
    within: str | None = None,
    start: str | None = None,
    stop: str | None = None,
    progress: Callable[[object], None] | None = None,
) -> GrowthReview:
    """Answer *where is growth lost?* for a whole log.

    Args:
        log: the event log.
        milestones: events of the main path, in order; proposed from the events if absent.
        dimensions: properties to compare groups by; chosen if absent (2 to 30 values, known for most users at entry).
        within: conversion window; covers nine in ten of those who go all the way if absent.
        start: first moment.
        stop: end, exclusive.
        progress: told the name of each part as it begins.

    Raises:
        DataError: UP310 no events, UP315 no path to be found.
    """
    begun = clock.perf_counter()
    tell = progress or (lambda _: None)
    lo, hi = log.resolve_range(start, stop)
    log.require_known(milestones)
    tell(text("milestones"))
    path = propose_milestones(log, start=lo, stop=hi, declared=tuple(milestones))
    window = Duration.parse(within, what="within") if within else Duration(path.window_days * DAY)
    definition = FunnelDefinition(name="milestones", steps=[Step(event=e) for e in path.events], window=window)
    tell(text("funnel"))
    whole = funnel(log, definition, start=start, stop=stop, trend="week")
    chosen = tuple(dimensions) or _dimensions(log, path.events[0], lo, hi)
    _, depth, divisions = _divide(log, definition, whole, chosen, start, stop, window, tell)
    names = [s.name for s in whole.steps]
    points = find_weak_points(depth, divisions, names, weeks=max((hi - lo) / (7 * DAY), 1 / 7))
    missing = [
        Caveat("closed_step", text("Nobody with {dimension} = {group} gets to “{step}”: the step is not open to them", dimension=d,
                                   group=g, step=s))
        for d, g, s in closed_steps(depth, divisions, names)
    ]  # fmt: skip
    tell(text("retention"))
    returning = _try(lambda: _retention(log, path, lo, hi, start, stop), "retention", missing)
    tell(text("lifecycle"))
    cycle = _try(
        lambda: lifecycle(
            log, EventMatch(event="*"), period="week" if hi - lo > 28 * DAY else "day", start=start, stop=stop
        ),
        "lifecycle",
        missing,
    )
    schema = log.schema
    how = HowComputed(
        definition={"milestones": list(path.events), "dimensions": list(chosen), "within": str(window)},
        window=log.window(lo, hi),
        method=text(
            "Funnel over the milestones; every step × group (of a property or a pair) and step × weeks of entry against its best "
            "comparable, over users "
            "whose window has closed; Newcombe intervals corrected for choosing the reference; false discovery rate of 5 % "
            "(Benjamini–Yekutieli)"
        ),
        sql=whole.how.sql,
        events=schema.n_events,
        users=schema.n_users,
        data_as_of=log.calendar.local(schema.horizon or lo),
        engine=log.engine.name,
        caveats=whole.how.caveats,
        timings={"total": clock.perf_counter() - begun},
    )
    return GrowthReview(
        how=how,
        milestones=path,
        funnel=whole,
        retention=returning,
        lifecycle=cycle,
        weak_points=tuple(points),
        dimensions=chosen,
        left_out=tuple(missing),
    )


def _dimensions(log: EventLog, event: str, start: int, stop: int) -> tuple[str, ...]:
    """Properties that most entry events have, with a number of values that can be compared."""
    found = []
    for name, prop in log.schema.properties.items():
        if prop.type not in ("text", "boolean", "integer"):
            continue
        column = log.column(name)
        tree = q(
            "SELECT count(*), count($c), count(DISTINCT $c) FROM events WHERE event = $event AND epoch_us(time) >= $start "
            "AND epoch_us(time) < $stop",
            c=column, event=event, start=start, stop=stop,
        )  # fmt: skip
        rows, known, values = (int(str(v)) for v in log.engine.rows(Query(tree))[0])
        if rows and known / rows >= _COVERAGE and 2 <= values <= _MOST_VALUES:
            found.append((values, name))
    return tuple(name for _, name in sorted(found)[:_MOST_DIMENSIONS])


def _divide(
    log: EventLog, definition: FunnelDefinition, whole: FunnelResult, dimensions: Sequence[str], start: str | None,
    stop: str | None, window: Duration, tell: Callable[[object], None],
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Division]]:  # fmt: skip
    """Mature users of the funnel with their depth, and every way of dividing them: properties, pairs, weeks of entry."""
    assert whole.chains is not None
    horizon = log.schema.horizon or 0
    order = np.argsort(whole.chains.users, kind="stable")
    mature = (whole.chains.entry[order] + window.microseconds) <= horizon
    users, depth = whole.chains.users[order][mature], whole.chains.depth[order][mature].astype(np.int64)
    single = []
    for dimension in dimensions:
        tell(text("groups of {property}", property=dimension))
        single.append(
            _by_property(
                funnel(log, definition, start=start, stop=stop, by=dimension, limit=_MOST_VALUES), dimension, users
            )
        )
    pairs = [_pair(a, b) for i, a in enumerate(single[:_PAIRED]) for b in single[i + 1 : _PAIRED]]
    weeks = _weeks(log, whole.chains.entry[order][mature])
    within = [_weeks_within(d, i, weeks) for d in single[:_PAIRED] for i in range(min(len(d.groups), _FEW))]
    return users, depth, [*single, *pairs, weeks, *within]


def _by_property(result: FunnelResult, dimension: str, users: NDArray[np.int64]) -> Division:
    assert result.split is not None
    named = [i for i, name in enumerate(result.names) if name not in ("(other)", "(none)")]
    place = np.full(max(len(result.names), 1) + 1, -1, dtype=np.int64)
    place[named] = np.arange(len(named))
    order = np.argsort(result.split.users, kind="stable")
    at = np.searchsorted(result.split.users[order], users)
    group = result.split.group[order][at]
    codes = np.where(group >= 0, place[np.clip(group, 0, len(place) - 1)], -1)
    return Division(dimension, tuple(result.names[i] for i in named), codes)


def _pair(a: Division, b: Division) -> Division:
    codes = np.where((a.codes >= 0) & (b.codes >= 0), a.codes * len(b.groups) + b.codes, -1)
    names = tuple(f"{x} × {y}" for x in a.groups for y in b.groups)
    return Division(f"{a.dimension} × {b.dimension}", names, codes)


def _weeks_within(division: Division, index: int, weeks: Division) -> Division:
    """Weeks of entry of one group: a change that hits only some users shows here, not in the sum."""
    name = f"{division.dimension} = {division.groups[index]}{WITHIN}"
    return Division(name, weeks.groups, np.where(division.codes == index, weeks.codes, -1))


def _weeks(log: EventLog, entry: NDArray[np.int64]) -> Division:
    """Weeks of entry; the first and last one are left out where they are not whole."""
    if not len(entry):
        return Division("week", (), np.zeros(0, dtype=np.int64))
    edges = log.calendar.edges("week", int(entry.min()), int(entry.max()) + 1)
    codes = period_index(entry, edges)
    return Division("week", tuple(log.calendar.label(int(e), "week") for e in edges[:-1]), codes)


def _retention(
    log: EventLog, path: Milestones, lo: int, hi: int, start: str | None, stop: str | None
) -> RetentionResult:
    weekly = hi - lo > 28 * DAY
    definition = RetentionDefinition.model_validate(
        {
            "name": "review",
            "start": EventMatch(event=path.events[0]),
            "return": EventMatch(event="*"),
            "period": "week" if weekly else "day",
            "periods": max(1, min(8 if weekly else 14, (hi - lo) // ((7 if weekly else 1) * DAY))),
            "entry": "first-ever",
        }
    )
    return retention(log, definition, start=start, stop=stop)


def _try(compute: Callable[[], Part], name: str, missing: list[Caveat]) -> Part | None:
    try:
        return compute()
    except UpswingError as error:
        missing.append(Caveat(name, text("{part} could not be computed: {reason}", part=name, reason=error.message)))
        return None
