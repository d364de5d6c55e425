"""Who is in a segment: each condition becomes a set of user keys; the sets are combined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import DataError, UsageError
from upswing.core.i18n import text
from upswing.core.units import DAY
from upswing.engines.base import Mark, Number, Query, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences
from upswing.spec.predicates import Did, ExpressionCondition, PropertyCondition, conjunction
from upswing.spec.segment import (
    ActiveDays,
    AllUsers,
    AnyUsers,
    InSegment,
    Listed,
    Rfm,
    SegmentDefinition,
    UserCondition,
)
from upswing.sql.template import q

Keys = NDArray[np.int64]


@dataclass(slots=True)
class SegmentResolver:
    """Evaluates segments on one log.

    Args:
        log: the event log.
        named: definition by name, for segments that refer to others.
        root: folder that ``users_file`` paths are relative to.
    """

    log: EventLog
    named: Callable[[str], SegmentDefinition]
    root: Path
    _open: list[str] = field(default_factory=list)

    def users(self, segment: SegmentDefinition, *, as_of: int | None = None) -> Keys:
        """Sorted keys of the users in a segment.

        Args:
            segment: the definition.
            as_of: reference time in µs UTC, exclusive; only events before it count. Default: the end of the log.

        Raises:
            UsageError: UP203 segments that refer to each other in a circle.
        """
        if segment.name in self._open:
            circle = " → ".join([*self._open, segment.name])
            raise UsageError(text("segments refer to each other: {circle}", circle=circle), code="UP203")
        self._open.append(segment.name)
        try:
            when = self._reference(as_of)
            sets = [self._set(c, when) for c in segment.all]
            if segment.any:
                sets.append(reduce(np.union1d, [self._set(c, when) for c in segment.any]))
            found = reduce(np.intersect1d, sets) if sets else self._everyone(when)
            for condition in segment.exclude:
                found = np.setdiff1d(found, self._set(condition, when), assume_unique=True)
            return found.astype(np.int64)
        finally:
            self._open.pop()

    def _reference(self, as_of: int | None) -> int:
        schema = self.log.require_events()
        assert schema.horizon is not None
        return schema.horizon + 1 if as_of is None else as_of

    def _set(self, condition: UserCondition, when: int) -> Keys:
        if isinstance(condition, Did):
            return self._did(condition, when)
        if isinstance(condition, ActiveDays):
            return self._active_days(condition, when)
        if isinstance(condition, Rfm):
            return self._rfm(condition, when)
        if isinstance(condition, Listed):
            return self._listed(condition)
        if isinstance(condition, InSegment):
            return self.users(self.named(condition.segment), as_of=when)
        if isinstance(condition, AllUsers):
            return reduce(np.intersect1d, [self._set(c, when) for c in condition.all])
        if isinstance(condition, AnyUsers):
            return reduce(np.union1d, [self._set(c, when) for c in condition.any])
        return self._property(condition, when)

    def _everyone(self, when: int) -> Keys:
        return self._keys(q("SELECT DISTINCT user_key FROM events WHERE epoch_us(time) < $stop", stop=when))

    def _property(self, condition: PropertyCondition | ExpressionCondition, when: int) -> Keys:
        """Users whose last known values pass: each property is judged at its own last event that has it."""
        tree = self.log.bind(condition.expression())
        assert tree is not None
        stop = exp.LT(this=exp.func("epoch_us", exp.column("time"), dialect="duckdb"), expression=exp.convert(when))

        def last_known(node: exp.Expression) -> exp.Expression:
            if not isinstance(node, exp.Column):
                return node
            known = exp.Not(this=exp.Is(this=node.copy(), expression=exp.Null()))
            latest = exp.ArgMax(this=node, expression=exp.column("time"))
            return exp.Filter(this=latest, expression=exp.Where(this=exp.and_(known, stop.copy())))

        judged = tree.transform(last_known)
        return self._keys(
            q("SELECT user_key FROM events WHERE $stop GROUP BY user_key HAVING $judged", stop=stop, judged=judged)
        )

    def _did(self, condition: Did, when: int) -> Keys:
        names = [condition.did] if isinstance(condition.did, str) else list(condition.did)
        self.log.require_known([n for n in names if n != "*"])
        low = condition.at_least if condition.at_least is not None else (1 if condition.at_most is None else 0)
        within = None if condition.within is None else condition.within.microseconds
        counted = self._marked(names, when, within, conjunction(condition.where))
        counts = _per_user(counted, lambda batch: np.ones(batch.n_events))
        return self._between(counts, low, condition.at_most, when)

    def _active_days(self, condition: ActiveDays, when: int) -> Keys:
        names = [condition.active_days] if isinstance(condition.active_days, str) else list(condition.active_days)
        start = when - condition.within.microseconds
        edges = self.log.calendar.edges("day", start, when)

        def first_of_day(batch: Sequences) -> NDArray[np.float64]:
            """1 for a user's first marked event of each local day, else 0."""
            day = np.searchsorted(edges, batch.times, side="right")
            day[batch.marks == 0] = -1
            owner = np.repeat(np.arange(batch.n_users), np.diff(batch.offsets))
            kept = np.flatnonzero(day >= 0)
            new = np.ones(len(kept), dtype=bool)
            new[1:] = (day[kept][1:] != day[kept][:-1]) | (owner[kept][1:] != owner[kept][:-1])
            flags = np.zeros(batch.n_events)
            flags[kept[new]] = 1
            return flags

        batches = self._marked(names, when, condition.within.microseconds, None)
        low = condition.at_least if condition.at_least is not None else (1 if condition.at_most is None else 0)
        return self._between(_per_user(batches, first_of_day), low, condition.at_most, when)

    def _rfm(self, condition: Rfm, when: int) -> Keys:
        scores = rfm_scores(self.log, condition, when)
        kept = np.ones(len(scores.users), dtype=bool)
        for wanted, score in (
            (condition.recency, scores.recency),
            (condition.frequency, scores.frequency),
            (condition.monetary, scores.monetary),
        ):
            if wanted is not None and score is not None:
                kept &= np.isin(score, wanted)
        return scores.users[kept]

    def _listed(self, condition: Listed) -> Keys:
        ids = condition.users
        if ids is None:
            path = (self.root / (condition.users_file or "")).resolve()
            if not path.is_relative_to(self.root.resolve()) or not path.is_file():
                raise DataError(text("no file '{file}' in the workspace", file=condition.users_file), code="UP320")
            ids = path.read_text(encoding="utf-8").split("\n")
        return self.log.engine.user_keys([i for i in (line.strip() for line in ids) if i])

    def _between(self, counts: tuple[Keys, NDArray[np.float64]], low: int, high: int | None, when: int) -> Keys:
        users, values = counts
        passed = users[(values >= max(low, 1)) & (values <= (np.inf if high is None else high))]
        if low > 0:
            return passed
        never = np.setdiff1d(self._everyone(when), users[values >= 1])
        return np.union1d(passed, never)

    def _marked(
        self, names: Sequence[str], when: int, within: int | None, where: exp.Expression | None
    ) -> list[Sequences]:
        mark = Mark(events=None if "*" in names else tuple(names), where=self.log.bind(where) if where else None)
        start = None if within is None else when - within
        return list(self.log.engine.sequences(SequenceRequest(marks=(mark,), start=start, stop=when)))

    def _keys(self, tree: exp.Expression) -> Keys:
        column = self.log.engine.arrow(Query(tree)).column(0).to_numpy()
        return np.unique(column.astype(np.int64))


@dataclass(frozen=True, slots=True)
class RfmScores:
    """Quintiles 1…5 per user who did the event; 5 is best. Users with equal values share a quintile."""

    users: Keys
    recency: NDArray[np.int64]
    frequency: NDArray[np.int64]
    monetary: NDArray[np.int64] | None


def rfm_scores(log: EventLog, condition: Rfm, when: int) -> RfmScores:
    """Score recency, frequency and amount of one event into quintiles by rank (ties share the lower quintile).

    Args:
        log: the event log.
        condition: event, amount property and window.
        when: reference time, µs UTC, exclusive.
    """
    log.require_known([condition.rfm])
    columns = () if condition.amount is None else (Number(log.column(condition.amount)),)
    start = None if condition.within is None else when - condition.within.microseconds
    request = SequenceRequest(marks=(Mark(events=(condition.rfm,)),), columns=columns, start=start, stop=when)
    users: list[Keys] = []
    last: list[NDArray[np.float64]] = []
    count: list[NDArray[np.float64]] = []
    amount: list[NDArray[np.float64]] = []
    for batch in log.engine.sequences(request):
        hit = batch.marks != 0
        owner = np.repeat(np.arange(batch.n_users), np.diff(batch.offsets))[hit]
        present, index = np.unique(owner, return_inverse=True)
        users.append(batch.users[present])
        if len(index):
            last.append(np.maximum.reduceat(batch.times[hit], np.flatnonzero(np.diff(index, prepend=-1))).astype(float))
        count.append(np.bincount(index, minlength=len(present)).astype(float))
        if columns:
            amounts = np.nan_to_num(batch.columns[0][hit])
            amount.append(np.bincount(index, weights=amounts, minlength=len(present)).astype(float))
    keys = np.concatenate([np.zeros(0, np.int64), *users])
    order = np.argsort(keys)
    joined = [np.concatenate([np.zeros(0), *part])[order] for part in (last, count)]
    sums = np.concatenate([np.zeros(0), *amount])[order] if columns else None
    return RfmScores(keys[order], quintiles(joined[0]), quintiles(joined[1]), None if sums is None else quintiles(sums))


def quintiles(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Quintile 1…5 of each value by rank; equal values get the same, lower one.

    Examples:
        >>> quintiles(np.array([10.0, 20, 30, 40, 50])).tolist()
        [1, 2, 3, 4, 5]
    """
    below = np.searchsorted(np.sort(values), values, side="left")
    return np.minimum(5, 1 + below * 5 // max(1, len(values))).astype(np.int64)


def active_day_bands(low: int = 7, high: int = 30) -> dict[str, ActiveDays]:
    """The usual frequency bands over the last 30 days: low up to `low` days, mid up to `high - 1`, high from `high`."""
    month = {"within": f"{30 * DAY // DAY}d", "active_days": "*"}
    return {
        "low": ActiveDays.model_validate({**month, "at_least": 1, "at_most": low}),
        "mid": ActiveDays.model_validate({**month, "at_least": low + 1, "at_most": high - 1}),
        "high": ActiveDays.model_validate({**month, "at_least": high}),
    }


def _per_user(
    batches: Sequence[Sequences], weigh: Callable[[Sequences], NDArray[np.float64]]
) -> tuple[Keys, NDArray[np.float64]]:
    users, sums = [np.zeros(0, np.int64)], [np.zeros(0)]
    for batch in batches:
        weights = np.where(batch.marks != 0, weigh(batch), 0.0)
        total = np.concatenate(([0.0], np.cumsum(weights)))
        users.append(batch.users)
        sums.append(total[batch.offsets[1:]] - total[batch.offsets[:-1]])
    return np.concatenate(users), np.concatenate(sums)
