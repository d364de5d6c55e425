"""What is in the log: events, properties, findings about their quality, and the rows that were set aside."""

from __future__ import annotations

import time as clock
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import ClassVar, Final

from upswing.core.calendar import Calendar
from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Chart, Column, HowComputed, Result, Table, Window
from upswing.core.units import DAY
from upswing.events.catalogue import Catalogue, catalogue, catalogue_of
from upswing.events.log import EventLog
from upswing.events.quality import Finding, check_quality
from upswing.events.quarantine import QuarantinedRow, count_by_reason, quarantined
from upswing.events.store import EventStore
from upswing.events.summary import REASONS

_TYPES: Final[dict[str, Text]] = {
    "text": text("text"), "number": text("number"), "integer": text("whole number"), "boolean": text("yes or no"),
    "time": text("moment"), "date": text("day"),
}  # fmt: skip
"""Words of the types of properties; one that is not here shows itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsResult(Result):
    """The catalogue with what should be known before trusting numbers."""

    verb: ClassVar[str] = "events"
    catalogue: Catalogue
    findings: tuple[Finding, ...]
    calendar: Calendar
    event: str | None = None

    def title(self) -> Text:
        """The question."""
        return text("What is in the log?") if self.event is None else text("What is “{event}”?", event=self.event)

    def verdict(self) -> Text:
        """Size, and the number of findings."""
        severe = sum(f.severity == "high" for f in self.findings)
        total = sum(e.events for e in self.catalogue.events)
        return text(
            "{events} events of {kinds} kinds with {properties} properties; {findings} findings about their quality, {severe} of "
            "them severe",
            events=f"{total:,}", kinds=len(self.catalogue.events), properties=len(self.catalogue.properties),
            findings=len(self.findings), severe=severe,
        )  # fmt: skip

    def data(self) -> dict[str, object]:
        """Events, properties, findings."""
        return {
            "events": [
                {**asdict(e), "first_time": self._iso(e.first_time), "last_time": self._iso(e.last_time)}
                for e in self.catalogue.events
            ],
            "properties": [{**asdict(p), "top": [list(v) for v in p.top]} for p in self.catalogue.properties],
            "findings": [{**asdict(f), "message": str(f.message)} for f in self.findings],
        }

    def tables(self) -> list[Table]:
        """Events, properties, findings."""
        return [self._events(), self._properties(), self._findings()]

    def charts(self) -> list[Chart]:
        """Bars in the table of events."""
        return [Chart("funnel", "events", text("Events"), x="name", y=("events",))]

    def _events(self) -> Table:
        columns = (
            Column("name", text("Event")),
            Column("events", text("Events"), "count"),
            Column("users", text("User ids"), "count", text("Ids as recorded; aliases are not applied here")),
            Column("first", text("First seen"), "time"),
            Column("last", text("Last seen"), "time"),
            Column("properties", text("Properties")),
        )
        rows: list[tuple[Cell, ...]] = [
            (e.name, e.events, e.users, self._local(e.first_time), self._local(e.last_time), ", ".join(e.properties))
            for e in self.catalogue.events
        ]
        return Table("events", text("Events"), columns, rows)

    def _properties(self) -> Table:
        columns = (
            Column("name", text("Property")),
            Column("type", text("Type")),
            Column("share", text("Filled"), "ratio"),
            Column("distinct", text("Values"), "count", text("Different values, estimated within a few per cent")),
            Column("range", text("Range")),
            Column("top", text("Most frequent")),
        )
        rows: list[tuple[Cell, ...]] = [
            (
                p.name,
                _TYPES.get(p.type, p.type),
                p.share,
                p.distinct,
                "" if p.minimum is None else f"{p.minimum} … {p.maximum}",
                ", ".join(f"{value} ({count:,})" for value, count in p.top[:4]),
            )
            for p in self.catalogue.properties
        ]
        return Table("properties", text("Properties"), columns, rows)

    def _findings(self) -> Table:
        severities = {"high": text("severe"), "medium": text("medium"), "low": text("slight")}
        columns = (
            Column("severity", text("Severity")),
            Column("message", text("Finding")),
            Column("rows", text("Events"), "count"),
        )
        rows: list[tuple[Cell, ...]] = [(severities[f.severity], f.message, f.rows) for f in self.findings]
        return Table("findings", text("Quality"), columns, rows, "" if rows else text("nothing found"))

    def _local(self, micros: int) -> datetime:
        return self.calendar.local(micros)

    def _iso(self, micros: int) -> str:
        return self._local(micros).isoformat()


def describe_events(store: EventStore, calendar: Calendar, event: str | None = None) -> EventsResult:
    """Catalogue and quality of a log, or of one event with its properties.

    Args:
        store: the log, open for reading.
        calendar: the workspace's zone.
        event: only this one.

    Raises:
        UsageError: UP302 no such event.
    """
    begun = clock.perf_counter()
    found = catalogue(store)
    if event is not None:
        entry = found.event(event)
        carried = tuple(p for p in found.properties if p.name in entry.properties)
        found = Catalogue((entry,), carried)
    findings = tuple(f for f in check_quality(store, calendar) if event is None or f.event == event)
    span = (min(e.first_time for e in found.events), max(e.last_time for e in found.events)) if found.events else None
    how = _how(store, calendar, span, begun, events=sum(e.events for e in found.events))
    return EventsResult(how=how, catalogue=found, findings=findings, calendar=calendar, event=event)


def describe_log(log: EventLog, event: str | None = None) -> EventsResult:
    """Catalogue of a log that is read where it is; its quality is looked at when events are imported.

    Args:
        log: the log.
        event: only this one.

    Raises:
        UsageError: UP302 no such event.
    """
    begun = clock.perf_counter()
    log.require_events()
    found = catalogue_of(log)
    if event is not None:
        entry = found.event(event)
        found = Catalogue((entry,), tuple(p for p in found.properties if p.name in entry.properties))
    lo, hi = log.resolve_range()
    how = HowComputed(
        definition={"event": event},
        window=log.window(lo, hi),
        method=text("Counts over the whole log, as recorded"),
        events=log.schema.n_events,
        users=log.schema.n_users,
        data_as_of=log.calendar.local(hi - 1),
        engine=log.engine.name,
        caveats=(
            Caveat("not_checked", text("events that are read where they are were not checked for their quality")),
        ),
        timings={"total": clock.perf_counter() - begun},
    )
    return EventsResult(how=how, catalogue=found, findings=(), calendar=log.calendar, event=event)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineResult(Result):
    """Rows that were set aside."""

    verb: ClassVar[str] = "quarantine"
    rows: tuple[QuarantinedRow, ...]
    counts: dict[str, int]

    def title(self) -> Text:
        """The question."""
        return text("Which rows could not be imported, and why?")

    def verdict(self) -> Text:
        """How many."""
        total = sum(self.counts.values())
        return text("{n} rows are set aside", n=f"{total:,}") if total else text("no row is set aside")

    def data(self) -> dict[str, object]:
        """Counts by reason and the listed rows."""
        return {"counts": self.counts, "rows": [asdict(r) for r in self.rows]}

    def tables(self) -> list[Table]:
        """Counts, then rows."""
        reasons = Table(
            "reasons",
            text("By reason"),
            (Column("reason", text("Reason")), Column("rows", text("Rows"), "count")),
            [(REASONS.get(reason, reason), n) for reason, n in self.counts.items()],
        )
        columns = (
            Column("source", text("File")),
            Column("line", text("Line"), "count"),
            Column("reason", text("Reason")),
            Column("detail", text("Detail")),
            Column("raw", text("Row")),
        )
        rows: list[tuple[Cell, ...]] = [
            (r.source, r.line, REASONS.get(r.reason, r.reason), r.detail, (r.raw or "")[:200]) for r in self.rows
        ]
        return [reasons, Table("rows", text("Rows"), columns, rows)]


def describe_quarantine(
    store: EventStore, calendar: Calendar, *, reason: str | None = None, limit: int = 50
) -> QuarantineResult:
    """Rows set aside by the imports.

    Args:
        store: the log, open for reading.
        calendar: the workspace's zone.
        reason: only this reason.
        limit: most rows listed.
    """
    begun = clock.perf_counter()
    rows = tuple(quarantined(store, reason=reason, limit=limit))
    how = replace(_how(store, calendar, _span(store), begun), caveats=())
    return QuarantineResult(how=how, rows=rows, counts=count_by_reason(store))


def _span(store: EventStore) -> tuple[int, int] | None:
    first, last = store.row("SELECT epoch_us(min(time)), epoch_us(max(time)) FROM events")
    return None if first is None else (int(str(first)), int(str(last)))


def _how(
    store: EventStore, calendar: Calendar, span: tuple[int, int] | None, begun: float, *, events: int | None = None
) -> HowComputed:
    first, last = span or (0, DAY)
    caveats = () if span else (Caveat("empty", text("the log has no events yet")),)
    return HowComputed(
        definition={"log": store.path.name},
        window=Window(calendar.local(first), calendar.local(last), calendar.timezone),
        method=text("Counts over the whole log, as recorded"),
        events=events,
        data_as_of=calendar.local(last),
        engine="duckdb",
        caveats=caveats,
        timings={"total": clock.perf_counter() - begun},
    )
