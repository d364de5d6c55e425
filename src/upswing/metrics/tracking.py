"""Tracking breaks: an event that stopped being sent while its users went on with everything else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count
from upswing.core.units import DAY
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.metrics.compile import period_index_sql
from upswing.sql.template import q

EVERYBODY: Final = ""
_PAST: Final = 28
"""Days that say what is usual."""
_LEAST_PAST: Final = 14
_EXPECTED: Final = 20.0
"""Fewest events expected on a day: below it, none may be chance."""
_GONE: Final = 0.1
"""Less than this share of what is expected is a break."""
_ALIVE: Final = 0.5
"""The group's other events must be at least this share of usual."""
_MOST_EVENTS: Final = 60
_MOST_VALUES: Final = 12


@dataclass(frozen=True, slots=True)
class TrackingBreak:
    """An event that was hardly sent on some days.

    Args:
        event: its name.
        dimension: property of the group that stopped sending; empty for everybody.
        group: its value.
        first: first day, ISO.
        last: last day, ISO.
        start: first moment, µs UTC.
        stop: first moment after it.
        expected: events to be expected on those days by what else the group did.
        seen: events that came.
        open: it has not ended.
    """

    event: str
    dimension: str
    group: str
    first: str
    last: str
    start: int
    stop: int
    expected: float
    seen: int
    open: bool

    def sentence(self) -> Text:
        """What happened, and why it is not the users."""
        words = {
            "event": self.event, "first": self.first, "last": self.last, "seen": format_count(self.seen),
            "expected": format_count(round(self.expected)),
        }  # fmt: skip
        if self.dimension:
            return text(
                "“{event}” was hardly sent for {dimension} = {group} from {first} to {last} ({seen} events, about {expected} "
                "expected) while the same users' other events went on: tracking, not behaviour",
                dimension=self.dimension, group=self.group, **words,
            )  # fmt: skip
        return text(
            "“{event}” was hardly sent from {first} to {last} ({seen} events, about {expected} expected) while the other "
            "events went on: tracking, not behaviour",
            **words,
        )

    def touches(self, events: Collection[str] | None, start: int, stop: int) -> bool:
        """Whether it lies in [start, stop) and concerns one of these events (None = any)."""
        return self.start < stop and self.stop > start and (events is None or self.event in events)


def tracking_breaks(log: EventLog, *, start: int, stop: int, dimensions: Sequence[str] = ()) -> list[TrackingBreak]:
    """Find events that stopped being sent, over everybody or within one group.

    For every event, group and complete day, the expectation is what the group's other events of that day lead one to
    expect, by the median share of the 28 days before. A break is a day with less than a tenth of at least 20 expected,
    while the group's other events are at least half of usual. Breaks of everybody hide those of groups.

    Args:
        log: the event log.
        start: first moment that breaks are looked for, µs UTC; earlier days say what is usual.
        stop: end, exclusive.
        dimensions: properties with few values, e.g. the platform; those with more than twelve are left out.
    """
    schema = log.require_events()
    first = max(schema.first_time or 0, start - (_PAST + 1) * DAY)
    edges = log.calendar.edges("day", first, min(stop, (schema.horizon or 0) + 1))
    days = int(np.sum(edges[1:] <= (schema.horizon or 0)))
    if days <= _LEAST_PAST:
        return []
    found = _breaks(log, edges, days, None, start)
    general = {(b.event, b.first) for b in found}
    for dimension in dimensions:
        inside = _breaks(log, edges, days, dimension, start)
        found += [b for b in inside if not any(b.event == e and _near(b, f) for e, f in general)]
    return sorted(found, key=lambda b: (-b.start, b.event, b.dimension, b.group))


def _near(found: TrackingBreak, first: str) -> bool:
    return found.first <= first <= found.last or found.first == first


def _breaks(
    log: EventLog, edges: NDArray[np.int64], days: int, dimension: str | None, since: int
) -> list[TrackingBreak]:
    events, groups, counts = _daily(log, edges, days, dimension)
    found = []
    for g, group in enumerate(groups):
        total = counts[:, g, :].sum(axis=0)
        for e, event in enumerate(events):
            seen = counts[e, g]
            others = total - seen
            expected = _expected(seen, others)
            gone = (expected >= _EXPECTED) & (seen < _GONE * expected)
            found += [
                TrackingBreak(
                    event, dimension or "", group, log.calendar.label(int(edges[a]), "day"),
                    log.calendar.label(int(edges[b]), "day"), int(edges[a]), int(edges[b + 1]),
                    float(expected[a : b + 1].sum()), int(seen[a : b + 1].sum()), b == days - 1,
                )
                for a, b in _runs(gone)
                if int(edges[b + 1]) > since
            ]  # fmt: skip
    return found


def _expected(seen: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a day's other events lead one to expect; 0 where nothing can be said. Days of a break do not teach.

    All days at once, as if there were no break; from the first break on again without it, until there is no further one.
    """
    share = np.divide(seen, others, out=np.full(len(seen), np.nan), where=others > 0)
    usual, _, _ = _of_the_past(others.astype(float))
    alive = others >= _ALIVE * usual
    alive[:_LEAST_PAST] = False
    expected = np.zeros(len(seen))
    begin = 0
    while True:
        level, known, least = _of_the_past(share)
        # an event that skips whole days by itself says nothing by skipping one
        regular = (known >= _LEAST_PAST) & (least > 0)
        expected[begin:] = np.where(alive & regular, level * others, 0.0)[begin:]
        gone = np.flatnonzero((seen < _GONE * expected)[begin:] & (expected[begin:] >= _EXPECTED))
        if not len(gone):
            return expected
        begin += int(gone[0]) + 1
        share[begin - 1] = np.nan


def _of_the_past(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """For each day the median, number and least of the values known in the days before it."""
    padded = np.concatenate((np.full(_PAST, np.nan), values))
    past = np.sort(np.lib.stride_tricks.sliding_window_view(padded, _PAST)[: len(values)], axis=1)  # unknown ones last
    known = np.count_nonzero(~np.isnan(past), axis=1)
    days = np.arange(len(values))
    return (past[days, (known - 1) // 2] + past[days, known // 2]) / 2, known, past[:, 0]


def _daily(
    log: EventLog, edges: NDArray[np.int64], days: int, dimension: str | None
) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Counts by event, group and day, shape (events, groups, days)."""
    day = period_index_sql(edges[: days + 1])
    names = [n for n, _ in sorted(log.schema.events.items(), key=lambda kv: (-kv[1], kv[0]))[:_MOST_EVENTS]]
    group = exp.Literal.string(EVERYBODY) if dimension is None else q("CAST($c AS VARCHAR)", c=log.column(dimension))
    tree = q(
        "SELECT $day AS day, event, $grp AS grp, count(*) AS n FROM events WHERE event IN $names AND "
        "epoch_us(time) >= $start AND epoch_us(time) < $stop GROUP BY 1, 2, 3",
        day=day, grp=group, names=names, start=int(edges[0]), stop=int(edges[days]),
    )  # fmt: skip
    table = log.engine.arrow(Query(tree))
    found = table.column("grp").combine_chunks().dictionary_encode()
    groups = [str(g) for g in found.dictionary.to_pylist()]
    if len(groups) > _MOST_VALUES:
        return [], [], np.zeros((0, 0, days))
    code = found.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    event = table.column("event").combine_chunks().dictionary_encode()
    order = np.array([names.index(n) for n in event.dictionary.to_pylist()], dtype=np.int64)
    counts = np.zeros((len(names), len(groups), days))
    kept = code >= 0
    at = (order[event.indices.to_numpy()][kept], code[kept], table.column("day").to_numpy()[kept].astype(np.int64))
    np.add.at(counts, at, table.column("n").to_numpy()[kept].astype(float))
    return names, groups, counts


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
