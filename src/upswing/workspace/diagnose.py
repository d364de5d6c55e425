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
            by: property to break down by, at its value at the start; ``segment:NAME`` compares a segment with everybody else.
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
        by, compared = self._comparison(by, stop)
        return retention(
            self.log,
            definition,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
        )

    def lifecycle(
        self,
        *,
        event: str = "*",
        period: Period = "week",
        start: Moment = None,
        stop: Moment = None,
        by: str | None = None,
        limit: int = 10,
        segment: str | None = None,
    ) -> LifecycleResult:
        """New, returning, resurrecting and dormant users by period; the four add up.

        Args:
            event: what counts as active.
            period: length of a period.
            start: first moment.
            stop: end, exclusive.
            by: property to break down by, at its value on the user's first such event ever; ``segment:NAME`` compares a
                segment with everybody else.
            limit: most groups.
            segment: only users of this segment.
        """
        from upswing.diagnose.lifecycle import lifecycle

        match = self._match(event, "event")
        by, compared = self._comparison(by, stop)
        return lifecycle(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
        )

    def stickiness(
        self,
        *,
        event: str = "*",
        period: Literal["week", "month"] = "week",
        start: Moment = None,
        stop: Moment = None,
        by: str | None = None,
        limit: int = 10,
        segment: str | None = None,
    ) -> StickinessResult:
        """On how many days of a period users are active, with DAU/WAU and DAU/MAU beside it.

        Args:
            event: what counts as active.
            period: week or month.
            start: first moment.
            stop: end, exclusive.
            by: property to break down by, at its value on the user's first such event in the range; ``segment:NAME``
                compares a segment with everybody else.
            limit: most groups.
            segment: only users of this segment.
        """
        from upswing.diagnose.stickiness import stickiness

        match = self._match(event, "event")
        by, compared = self._comparison(by, stop)
        return stickiness(
            self.log,
            match,
            period=period,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
        )

    def paths(self, name: str | None = None, *, by: str | None = None, **question: Any) -> PathsResult:
        """What users do after, before, or between two events.

        Args:
            name: paths of the workspace.
            by: property to break down by, at its value on the user's first event that begins (or ends) a path;
                ``segment:NAME`` compares a segment with everybody else.
            question: after, before, depth, top, session_gap, hide, group, repeats, start, stop, limit, segment; see
                ``upswing paths --help``.
        """
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
        limit = options.take("limit", 10)
        definition = self._definition("paths", PathsDefinition, name, options, needed=None)
        by, compared = self._comparison(by, stop)
        return paths(
            self.log,
            definition,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
        )

    def interval(
        self,
        *,
        event: str,
        then: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        by: str | None = None,
        limit: int = 10,
        segment: str | None = None,
    ) -> IntervalResult:
        """How long users take from one event to the next (or to the same one again).

        Args:
            event: the first event.
            then: the next one; the same if absent.
            start: first moment.
            stop: end, exclusive.
            by: property to break down by, at its value on the user's earliest first event; ``segment:NAME`` compares a
                segment with everybody else.
            limit: most groups.
            segment: only users of this segment.
        """
        from upswing.diagnose.intervals import interval

        first = self._match(event, "event")
        second = first if then is None else self._match(then, "then")
        by, compared = self._comparison(by, stop)
        return interval(
            self.log,
            first,
            second,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
        )

    def distribution(
        self,
        *,
        event: str,
        measure: str = "count",
        property: str | None = None,  # noqa: A002 - the field's word
        bands: str | Sequence[float] | None = None,
        window: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        by: str | None = None,
        limit: int = 10,
        segment: str | None = None,
    ) -> DistributionResult:
        """Users by how often they did something, on how many days, or how much.

        Args:
            event: what is counted.
            measure: count, sum or active-days.
            property: what is summed.
            bands: lower bounds, as a list or as ``1,2,5,10``.
            window: for active days: the most in any stretch of so many consecutive days, e.g. ``7d``.
            start: first moment.
            stop: end, exclusive.
            by: property to break down by, at its value on the user's first such event; ``segment:NAME`` compares a segment
                with everybody else.
            limit: most groups.
            segment: only users of this segment.
        """
        from upswing.diagnose.distribution import distribution

        bounds = _numbers(bands) if isinstance(bands, str) else bands
        by, compared = self._comparison(by, stop)
        return distribution(
            self.log,
            self._match(event, "event"),
            measure=measure.replace("-", "_"),  # type: ignore[arg-type]
            property=property,
            bands=bounds,
            window=window,
            start=start,
            stop=stop,
            by=by,
            limit=limit,
            users=self._users(segment, stop),
            segment=compared,
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
