"""The event log as analyses see it: an engine, its schema, and the workspace's calendar."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.results import Window
from upswing.engines.base import Engine, LogSchema, Mark
from upswing.sql.expressions import bind, parse_predicate


class Matcher(Protocol):
    """Anything that says which events count, e.g. `upswing.spec.steps.EventMatch`."""

    @property
    def events(self) -> tuple[str, ...] | None:
        """Event names; None = any."""
        ...

    def condition(self) -> exp.Expression | None:
        """An unbound predicate."""
        ...


@dataclass(frozen=True, slots=True)
class EventLog:
    """What an analysis works on.

    Args:
        engine: where the events are.
        calendar: time zone and week start for periods.
    """

    engine: Engine
    calendar: Calendar

    @property
    def schema(self) -> LogSchema:
        """Events, properties, size, span and version of the log."""
        return self.engine.schema()

    def require_events(self) -> LogSchema:
        """The schema, or a clear error when there is nothing to analyse."""
        schema = self.schema
        if schema.n_events == 0 or schema.horizon is None:
            raise DataError(
                text("the log has no events yet"),
                code="UP310",
                hint=text("import some: upswing import FILE --workspace DIR"),
            )
        return schema

    def bind(self, predicate: exp.Expression | str | None) -> exp.Expression | None:
        """A predicate bound to the log's columns; text is parsed first. Unknown names raise with the nearest ones."""
        if predicate is None:
            return None
        tree = parse_predicate(predicate) if isinstance(predicate, str) else predicate
        return bind(tree, self.schema.properties, calendar_zone=self.calendar.timezone)

    def column(self, name: str) -> exp.Expression:
        """A property (or ``event``, ``user_id``) as a bound column, for breakdowns and held values.

        Raises:
            UsageError: UP301 unknown property, with the nearest ones.
        """
        if name in ("event", "user_id"):
            return exp.column(exp.to_identifier(name, quoted=True))
        found = self.schema.properties.get(name)
        if found is None:
            raise UsageError(
                text("no property '{name}'", name=name),
                code="UP301",
                hint=did_you_mean(name, self.schema.properties),
            )
        return exp.column(exp.to_identifier(found.column, quoted=True))

    def mark(self, match: Matcher) -> Mark:
        """A bound mark for sequences.

        Raises:
            UsageError: UP302 an event that never occurs in the log, with the nearest names.
        """
        self.require_known(match.events or ())
        return Mark(events=match.events, where=self.bind(match.condition()))

    def require_known(self, events: Collection[str]) -> None:
        """Every name must occur in the log."""
        known = self.schema.events
        for name in events:
            if name not in known:
                raise UsageError(
                    text("no event '{name}' in the log", name=name), code="UP302", hint=did_you_mean(name, known)
                )

    def resolve_range(
        self, start: str | date | datetime | None = None, stop: str | date | datetime | None = None
    ) -> tuple[int, int]:
        """The entry range [start, stop) in µs UTC. Defaults: the first event's local midnight; just after the last event.

        Raises:
            UsageError: UP640 the end is not after the start.
        """
        schema = self.require_events()
        assert schema.first_time is not None
        assert schema.horizon is not None
        lo = self.calendar.floor(schema.first_time, "day") if start is None else self.calendar.instant(start)
        hi = schema.horizon + 1 if stop is None else self.calendar.instant(stop)
        if hi <= lo:
            raise UsageError(
                text("the range ends ({stop}) before it begins ({start})", start=self._iso(lo), stop=self._iso(hi)),
                code="UP640",
                hint=text("the end is exclusive: for one day give the next day as the end"),
            )
        return lo, hi

    def window(self, start: int, stop: int, **notes: object) -> Window:
        """The resolved range for a result."""
        return Window(self.calendar.local(start), self.calendar.local(stop), self.calendar.timezone, notes)

    def user_ids(self, keys: NDArray[np.int64]) -> list[str]:
        """User ids by key."""
        return self.engine.user_ids(keys)

    def _iso(self, micros: int) -> str:
        return self.calendar.local(micros).isoformat(timespec="minutes")
