"""Verbs that diagnose: each a thin call into `upswing.diagnose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.workspace.base import Moment, OpenWorkspace, Options

if TYPE_CHECKING:
    from upswing.core.units import Period
    from upswing.diagnose.distribution import DistributionResult
    from upswing.diagnose.funnel import FunnelResult
    from upswing.diagnose.intervals import IntervalResult
    from upswing.diagnose.lifecycle import LifecycleResult
    from upswing.diagnose.paths_result import PathsResult
    from upswing.diagnose.retention_result import RetentionResult
    from upswing.diagnose.stickiness import StickinessResult


class DiagnoseVerbs(OpenWorkspace):
    """Where users are lost: funnel, retention, lifecycle, stickiness, paths, intervals, distributions."""

    def funnel(self, name: str | None = None, *, by: str | None = None, **question: Any) -> FunnelResult:
        """How many users get from one step to the next, and where they are lost.

        Args:
            name: a funnel of the workspace; or give `steps`.
            by: property to break down by; ``segment:NAME`` compares a segment with everybody else.
            question: steps, within, order, count, exclude, exclusion_policy, hold, tie, profile, where, attribution,
                trend, start, stop, limit, segment; see ``upswing funnel --help``.
        """
        from upswing.diagnose.funnel import funnel

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        trend, limit = options.take("trend"), options.take("limit", 10)
        definition = self._funnel_definition(name, options)
        by, compared = self._comparison(by, stop)
        return funnel(
            self.log,
            definition,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            trend=trend,
            users=self._users(segment, stop),
            segment=compared,
        )

    def retention(self, name: str | None = None, *, by: str | None = None, **question: Any) -> RetentionResult:
        """How many users come back, by the period in which they began.

        Args:
            name: a retention of the workspace; or give `start_event` and `return_event`.
            by: property to break down by, at its value at the start.
            question: start_event, return_event, period, periods, at, clock, entry, first_ever, min_count, sum, start, stop,
                limit, segment; see ``upswing retention --help``.
        """
        from upswing.diagnose.retention import retention
        from upswing.spec.retention import RetentionDefinition

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        limit = options.take("limit", 10)
        if options.take("first_ever", False):
            options.set("entry", "first-ever")
        first, back = options.take("start_event"), options.take("return_event")
        if first is not None:
            options.set("start", self._match(first, "start"))
            options.set("returning", self._match(back or first, "return"))
        definition = self._definition("retention", RetentionDefinition, name, options, needed="--start EVENT")
        return retention(
            self.log, definition, start=start, stop=stop, by=by, limit=limit, users=self._users(segment, stop)
        )

    def lifecycle(
        self,
        *,
        event: str = "*",
        period: Period = "week",
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> LifecycleResult:
        """New, returning, resurrecting and dormant users by period; the four add up."""
        from upswing.diagnose.lifecycle import lifecycle

        match = self._match(event, "event")
        return lifecycle(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )

    def stickiness(
        self,
        *,
        event: str = "*",
        period: Literal["week", "month"] = "week",
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> StickinessResult:
        """On how many days of a period users are active, with DAU/WAU and DAU/MAU beside it."""
        from upswing.diagnose.stickiness import stickiness

        match = self._match(event, "event")
        return stickiness(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )

    def paths(self, name: str | None = None, **question: Any) -> PathsResult:
        """What users do after, before, or between two events."""
        from upswing.diagnose.paths import paths
        from upswing.spec.paths import PathsDefinition

        options = Options(question)
        segment, start, stop = options.take("segment"), options.take("start"), options.take("stop")
        for key in ("after", "before"):
            if options.get(key) is not None:
                options.set(key, self._match(options.take(key), key))
        if options.take("repeats", False):
            options.set("collapse", False)
        groups = options.take("group", [])
        if groups:
            options.set("group", dict(_pair(g) for g in groups))
        definition = self._definition("paths", PathsDefinition, name, options, needed=None)
        return paths(self.log, definition, start=start, stop=stop, users=self._users(segment, stop))

    def interval(
        self,
        *,
        event: str,
        then: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> IntervalResult:
        """How long users take from one event to the next (or to the same one again)."""
        from upswing.diagnose.intervals import interval

        first = self._match(event, "event")
        second = first if then is None else self._match(then, "then")
        return interval(self.log, first, second, start=start, stop=stop, users=self._users(segment, stop))

    def distribution(
        self,
        *,
        event: str,
        measure: str = "count",
        property: str | None = None,  # noqa: A002 - the field's word
        bands: str | Sequence[float] | None = None,
        start: Moment = None,
        stop: Moment = None,
        segment: str | None = None,
    ) -> DistributionResult:
        """Users by how often they did something, or how much."""
        from upswing.diagnose.distribution import distribution

        bounds = _numbers(bands) if isinstance(bands, str) else bands
        return distribution(
            self.log,
            self._match(event, "event"),
            measure=measure.replace("-", "_"),  # type: ignore[arg-type]
            property=property,
            bands=bounds,
            start=start,
            stop=stop,
            users=self._users(segment, stop),
        )


def _numbers(written: str) -> list[float]:
    try:
        return [float(part) for part in written.split(",")]
    except ValueError:
        raise UsageError(
            text("bands are numbers, got '{written}'", written=written), code="UP642", hint=text("e.g. 1,2,5,10")
        ) from None


def _pair(written: str) -> tuple[str, str]:
    name, sign, pattern = written.partition("=")
    if not sign or not name or not pattern:
        raise UsageError(
            text("group '{written}' is not readable", written=written), code="UP632", hint=text("write NAME=pattern*")
        )
    return name, pattern
