"""Funnel: how many users get from one step to the next, how long they take, and who they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import add
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat
from upswing.core.units import DAY, Period
from upswing.diagnose.breakdown import NONE, OTHER, Breakdown, breakdown_by
from upswing.diagnose.funnel_measure import measure_curve, measure_histogram, measure_steps, period_rows
from upswing.diagnose.funnel_result import FunnelGroup, FunnelResult, FunnelStep
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Category, Key, Number, SequenceRequest
from upswing.events.log import EventLog, Matcher
from upswing.sequences.batch import Sequences, workers
from upswing.sequences.funnel import Chains, FunnelRules, chains, join, same_time
from upswing.spec.funnel import Attribution, FunnelDefinition
from upswing.spec.predicates import conjunction
from upswing.spec.steps import ANY_EVENT, EventMatch
from upswing.sql.template import q

Moment = str | date | datetime | None
SMALL: Final = 30
"""Fewer users than this at a step make its rate a rough guess."""


def funnel(
    log: EventLog,
    definition: FunnelDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    limit: int = 10,
    attribution: Attribution | None = None,
    trend: Period | None = None,
    users: Keys | None = None,
    segment: tuple[str, Keys] | None = None,
) -> FunnelResult:
    """How many users get from one step to the next within the window, and where they are lost.

    The range limits entries; later steps may lie after it. A user counts at the deepest step that any chain reaches;
    the chosen chain (deepest, then earliest completion, then latest entry) gives times and breakdown values.

    Args:
        log: the event log.
        definition: the question.
        start: first moment of the entry range; default the first event's day.
        stop: its end, exclusive.
        by: property to break down by.
        limit: most groups with a name of their own; the rest is "(other)".
        attribution: step that gives the breakdown value; the definition's by default.
        trend: also one funnel per period of entry.
        users: sorted user keys to keep; None = all.
        segment: name and sorted keys of a segment to compare with everybody else; instead of `by`.

    Raises:
        UsageError: UP301 and UP302 unknown property or event, UP640 a range that ends before it begins, UP643 a limit
            that is not positive, UP647 an attribution to a step that is not there.
    """
    scan = Scan(log)
    asked = _Asked.of(scan, definition, start, stop, by, limit, attribution, users)
    whole, split = asked.passes(scan, segment)
    rows = period_rows(log.calendar, definition, asked.trend(scan, trend), trend) if trend else ()
    with workers() as pool:
        curve = pool.submit(measure_curve, definition, whole, asked.horizon)
        histogram = pool.submit(measure_histogram, definition, whole)
        steps = measure_steps(definition, whole, asked.horizon)
    groups = _groups(definition, split, asked, segment)
    overlap = _overlap(split) if asked.rules.attribution == "all" and by is not None else 0
    lo, hi = asked.range
    how = scan.how(
        definition={
            **definition.model_dump(mode="json", exclude_defaults=True),
            "hash": definition.hash,
            "by": by if segment is None else f"segment:{segment[0]}",
            "attribution": asked.rules.attribution,
        },
        window=log.window(lo, hi, conversion_window=str(definition.window)),
        method=_method(definition),
        caveats=_caveats(definition, whole, steps, groups, overlap),
    )
    return FunnelResult(
        how=how,
        definition=definition,
        steps=steps,
        by=by if segment is None else segment[0],
        groups=groups,
        overlap=overlap,
        trend_period=trend,
        trend=rows,
        histogram=histogram.result(),
        curve=curve.result(),
        removed=len(np.unique(whole.removed)),
        chains=whole,
        split=split,
        names=asked.names(segment),
    )


def users_at(
    log: EventLog,
    definition: FunnelDefinition,
    step: int,
    *,
    dropped: bool = False,
    group: str | None = None,
    by: str | None = None,
    start: Moment = None,
    stop: Moment = None,
    limit: int = 10,
    attribution: Attribution | None = None,
    users: Keys | None = None,
) -> Keys:
    """Sorted keys of the users at a step, from the very pass that counts them.

    Args:
        log: the event log.
        definition: the funnel.
        step: number of the step, from 1.
        dropped: those who came to the step before and not to this one.
        group: only users of this group; needs `by`.
        by: as in `funnel`.
        start: as in `funnel`.
        stop: as in `funnel`.
        limit: as in `funnel`.
        attribution: as in `funnel`.
        users: as in `funnel`.

    Raises:
        UsageError: UP644 no such step or group.
    """
    scan = Scan(log)
    asked = _Asked.of(scan, definition, start, stop, by, limit, attribution, users)
    whole, split = asked.passes(scan, None)
    names = asked.names(None)
    return FunnelResult.choose(definition, whole, split, names, step, dropped=dropped, group=group)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question in terms of kernels: rules, the request to the engine, and what its columns mean."""

    log: EventLog
    definition: FunnelDefinition
    rules: FunnelRules
    request: SequenceRequest
    range: tuple[int, int]
    horizon: int
    breakdown: Breakdown | None

    @classmethod
    def of(
        cls,
        scan: Scan,
        definition: FunnelDefinition,
        start: Moment,
        stop: Moment,
        by: str | None,
        limit: int,
        attribution: Attribution | None,
        users: Keys | None,
    ) -> _Asked:
        log = scan.log
        lo, hi = log.resolve_range(start, stop)
        horizon = log.require_events().horizon
        assert horizon is not None
        chosen = definition.attribution if attribution is None else attribution
        if isinstance(chosen, int) and not 1 <= chosen <= len(definition.steps):
            raise UsageError(
                text("there is no step {n}: the funnel has {k}", n=chosen, k=len(definition.steps)), code="UP647"
            )
        breakdown = None
        if by is not None:
            giving = _giving(definition, chosen)
            until = hi if chosen == "entry" else hi + definition.window.microseconds
            breakdown = breakdown_by(scan, by, giving, start=lo, stop=until, limit=limit, users=users)
        columns: list[Category | Key | Number] = [] if breakdown is None else [breakdown.category]
        rules = _rules(log, definition, (lo, hi), columns, chosen, breakdown is not None)
        request = SequenceRequest(
            marks=tuple(log.mark(m) for m in (*definition.steps, *definition.exclude)),
            columns=tuple(columns),
            where=log.bind(conjunction(definition.where)) if definition.where else None,
            start=lo,
            stop=min(hi + definition.window.microseconds + DAY, horizon + 1),
            users=users,
            unmarked=definition.order == "strict" or definition.count == "sessions",
        )
        return cls(log, definition, rules, request, (lo, hi), horizon, breakdown)

    def passes(self, scan: Scan, segment: tuple[str, Keys] | None) -> tuple[Chains, Chains | None]:
        """All chains, and the same with groups; two passes where the groups change what matches."""
        if self.breakdown is not None and self.rules.attribution == "all":
            return self._pass(scan, replace(self.rules, attribution="entry", group=None)), self._pass(scan, self.rules)
        whole = self._pass(scan, self.rules)
        if segment is not None:
            inside = _member(whole.users, segment[1])
            return whole, replace(whole, group=np.where(inside, 0, 1).astype(np.int32))
        return whole, whole if self.breakdown is not None else None

    def trend(self, scan: Scan, period: Period) -> Chains:
        """The chains of one funnel per period of entry."""
        lo, hi = self.range
        edges = self.log.calendar.edges(period, lo, min(hi, self.horizon + 1))
        edges[0], edges[-1] = lo, max(int(edges[-2]) + 1, min(hi, int(edges[-1])))
        return self._pass(scan, replace(self.rules, edges=edges, group=None, attribution="entry"))

    def names(self, segment: tuple[str, Keys] | None) -> tuple[str, ...]:
        """Name of each group by its code; the last one is for no value."""
        if segment is not None:
            return (segment[0], OTHER)
        return () if self.breakdown is None else self.breakdown.groups

    def _pass(self, scan: Scan, rules: FunnelRules) -> Chains:
        def kernel(batch: Sequences) -> list[Chains]:
            return [chains(batch, rules)]

        parts = scan.run(kernel, self.request, add)
        return join(parts) if parts else chains(_nobody(len(self.request.columns)), rules)


def _giving(definition: FunnelDefinition, attribution: Attribution) -> Matcher:
    """The events whose values get groups of their own: the step's that gives the value, or any step's."""
    if attribution == "entry" and definition.order != "any":
        return definition.steps[0]
    if isinstance(attribution, int) and definition.order != "any":
        return definition.steps[attribution - 1]
    names = [n for step in definition.steps for n in step.events or (ANY_EVENT,)]
    return EventMatch(any_of=list(dict.fromkeys(names)))


def _rules(
    log: EventLog,
    definition: FunnelDefinition,
    span: tuple[int, int],
    columns: list[Category | Key | Number],
    attribution: Attribution,
    grouped: bool,
) -> FunnelRules:
    """The definition as rules; adds the columns it needs."""
    hold: list[int] = []
    known: dict[tuple[str, ...], int] = {}
    for names in definition.held:
        if names not in known:
            known[names] = len(columns)
            columns.append(Key(_held(log, names)))
        hold.append(known[names])
    session_key = None
    if definition.count == "sessions" and definition.session is not None:
        session_key = len(columns)
        columns.append(Key(log.column(definition.session)))
    k = len(definition.steps)
    numbered = list(enumerate(definition.steps, start=1))
    return FunnelRules(
        steps=k,
        window=definition.window.microseconds,
        edges=np.array(span, dtype=np.int64),
        order=definition.order,
        tie=definition.tie,
        count=definition.count,
        optional=tuple(n for n, s in numbered if s.optional),
        min_gap=tuple((n, s.min_gap.microseconds) for n, s in numbered if s.min_gap is not None),
        max_gap=tuple((n, s.max_gap.microseconds) for n, s in numbered if s.max_gap is not None),
        exclusions=tuple((k + i, *e.between) for i, e in enumerate(definition.exclude)),
        remove=definition.exclusion_policy == "remove",
        hold=tuple(hold),
        session_gap=definition.session_gap.microseconds,
        session_key=session_key,
        group=0 if grouped else None,
        attribution=attribution,
        profile=definition.profile,
        days=_days(log, span, definition) if definition.profile == "growingio" else None,
    )


def _held(log: EventLog, names: tuple[str, ...]) -> exp.Expression:
    if len(names) == 1:
        return log.column(names[0])
    written: exp.Expression = q("CAST($c AS VARCHAR)", c=log.column(names[0]))
    for name in names[1:]:
        written = q("$a || chr(31) || CAST($c AS VARCHAR)", a=written, c=log.column(name))
    return written


def _days(log: EventLog, span: tuple[int, int], definition: FunnelDefinition) -> NDArray[np.int64]:
    return log.calendar.edges("day", span[0], span[1] + definition.window.microseconds + DAY)


def _nobody(columns: int) -> Sequences:
    none = np.zeros(0, dtype=np.int64)
    return Sequences(none, np.zeros(1, dtype=np.int64), none, none.astype(np.uint8), (none,) * columns)


def _member(keys: Keys, chosen: Keys) -> NDArray[np.bool_]:
    if len(chosen) == 0:
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(chosen, keys), len(chosen) - 1)
    found: NDArray[np.bool_] = chosen[at] == keys
    return found


def _groups(
    definition: FunnelDefinition, split: Chains | None, asked: _Asked, segment: tuple[str, Keys] | None
) -> tuple[FunnelGroup, ...]:
    if split is None:
        return ()
    names = asked.names(segment)
    found = []
    for code, name in enumerate(names):
        mine = split.pick(FunnelResult.in_group(split, code, names))
        if len(mine):
            found.append(FunnelGroup(name, measure_steps(definition, mine, asked.horizon)))
    return tuple(found)


def _overlap(split: Chains | None) -> int:
    """Units that are in more than one group."""
    return 0 if split is None else max(0, len(split) - len(np.unique(split.users)))


def _method(definition: FunnelDefinition) -> Text:
    if definition.profile:
        return text(
            "Chains by the rules of {profile}, for comparison with its numbers; intervals: Wilson score (Wilson 1927)",
            profile=definition.profile,
        )
    return text(
        "Deepest chain over all entries in the range, steps at most {window} after the entry; the chosen chain is the "
        "deepest, then the earliest completed, then the latest entered; intervals: Wilson score (Wilson 1927); "
        "conversion curve: Kaplan–Meier, users without the last step counted until their window or the log ends",
        window=definition.window,
    )


def _caveats(
    definition: FunnelDefinition,
    whole: Chains,
    steps: Sequence[FunnelStep],
    groups: Sequence[FunnelGroup],
    overlap: int,
) -> list[Caveat]:
    found = []
    entered = steps[0].users
    young = entered - steps[0].mature_users
    if young:
        message = text(
            "{n} of {all} entries are younger than the window of {window}: their later steps may be still to come",
            n=f"{young:,}", all=f"{entered:,}", window=definition.window,
        )  # fmt: skip
        found.append(Caveat("immature", message))
    if definition.tie == "any" and len(whole):
        tied = same_time(whole)
        many = int(np.count_nonzero(whole.depth > 1))
        if tied:
            message = text(
                "{n} of {all} chains have two steps at the same time, whose order is not known",
                n=f"{tied:,}", all=f"{many:,}",
            )  # fmt: skip
            found.append(Caveat("ties", message))
    small = [s.name for s in steps[:-1] if 0 < s.users < SMALL]
    thin = [g.value for g in groups if 0 < g.steps[0].users < SMALL]
    if small or thin:
        where = ", ".join([*small, *thin][:5])
        found.append(Caveat("small_sample", text("fewer than {n} users at: {where}", n=SMALL, where=where)))
    if overlap:
        found.append(
            Caveat("overlap", text("{n} users are in more than one group, so groups add up to more", n=f"{overlap:,}"))
        )
    if entered == 0:
        found.append(Caveat("nobody", text("nobody did the first step in the range")))
    return found


__all__ = ["NONE", "OTHER", "FunnelResult", "funnel", "users_at"]
