"""What the log holds: events and properties, with volumes, users, first and last seen, types, frequent values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.engines.base import Property, PropertyType, Query
from upswing.events.log import EventLog
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore
from upswing.sql.template import column, q

_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class EventEntry:
    """One kind of event.

    Args:
        name: its name.
        events: how often it occurs.
        users: how many user ids have it (aliases not applied).
        first_time: µs UTC.
        last_time: µs UTC.
        properties: names of the properties that it ever carries.
    """

    name: str
    events: int
    users: int
    first_time: int
    last_time: int
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PropertyEntry:
    """One property.

    Args:
        name: its name.
        type: its type.
        filled: events that carry it.
        share: `filled` as a share of all events, 0…1.
        distinct: number of different values (an estimate, within a few per cent).
        minimum: least value as text, for numbers and times.
        maximum: greatest value as text.
        top: most frequent values with their counts, for text and booleans.
    """

    name: str
    type: PropertyType
    filled: int
    share: float
    distinct: int
    minimum: str | None
    maximum: str | None
    top: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Events, most frequent first, and properties in the order they came."""

    events: tuple[EventEntry, ...]
    properties: tuple[PropertyEntry, ...]

    def event(self, wanted: str) -> EventEntry:
        """The entry of an event.

        Raises:
            UsageError: UP302 no such event, with the nearest names.
        """
        for entry in self.events:
            if entry.name == wanted:
                return entry
        raise UsageError(
            text("no event '{name}' in the log", name=wanted),
            code="UP302",
            hint=did_you_mean(wanted, [e.name for e in self.events]),
        )


def catalogue(store: EventStore, *, top: int = 10) -> Catalogue:
    """Read the catalogue: one scan for the events, one for the properties, one per property with frequent values.

    Args:
        store: the log.
        top: how many frequent values to list.
    """
    properties = store.properties()
    return Catalogue(_events(store, properties), _properties(store, properties, top))


def catalogue_of(log: EventLog, *, top: int = 10) -> Catalogue:
    """The catalogue of a log that is not imported: the same questions, asked of any engine.

    Args:
        log: the log.
        top: how many frequent values to list.
    """
    properties = log.schema.properties
    tree = q(
        "SELECT event, count(*), count(DISTINCT user_key), epoch_us(min(time)), epoch_us(max(time)) FROM events "
        "GROUP BY event ORDER BY 2 DESC, 1"
    )
    assert isinstance(tree, exp.Select)
    for held in properties.values():
        tree = tree.select(q("count($c) > 0", c=column(held.column)))
    events = tuple(_event(row, list(properties)) for row in log.engine.rows(Query(tree)))
    return Catalogue(events, tuple(_property_of(log, held, top) for held in properties.values()))


def _property_of(log: EventLog, held: Property, top: int) -> PropertyEntry:
    value = column(held.column)
    ranged = value if held.type in ("number", "integer", "time", "date") else q("NULL")
    facts = q(
        "SELECT count(*), count($c), count(DISTINCT $c), CAST(min($m) AS VARCHAR), CAST(max($m) AS VARCHAR) FROM events",
        c=value, m=ranged,
    )  # fmt: skip
    events, filled, distinct, least, greatest = log.engine.rows(Query(facts))[0]
    frequent: tuple[tuple[str, int], ...] = ()
    if held.type in ("text", "boolean"):
        listed_ = q(
            "SELECT CAST($c AS VARCHAR), count(*) FROM events WHERE $c IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $top",
            c=value, top=top,
        )  # fmt: skip
        frequent = tuple((str(v)[:_SHOWN], int(str(n))) for v, n in log.engine.rows(Query(listed_)))
    total = int(str(events))
    return PropertyEntry(
        held.name,
        held.type,
        int(str(filled)),
        int(str(filled)) / total if total else 0.0,
        int(str(distinct)),
        None if least is None else str(least),
        None if greatest is None else str(greatest),
        frequent,
    )


def _events(store: EventStore, properties: Mapping[str, Property]) -> tuple[EventEntry, ...]:
    fills = Fragment("".join(statement(", count({c}) > 0", c=name(p.column)) for p in properties.values()))
    rows = store.rows(
        statement(
            "SELECT event, count(*), count(DISTINCT user_key), epoch_us(min(time)), epoch_us(max(time)){fills}"
            " FROM events GROUP BY event ORDER BY 2 DESC, 1",
            fills=fills,
        )
    )
    return tuple(_event(row, list(properties)) for row in rows)


def _event(row: Sequence[object], names: list[str]) -> EventEntry:
    event, events, users, first, last, *filled = row
    carried = tuple(n for n, some in zip(names, filled, strict=True) if some)
    return EventEntry(str(event), int(str(events)), int(str(users)), int(str(first)), int(str(last)), carried)


def _properties(store: EventStore, properties: Mapping[str, Property], top: int) -> tuple[PropertyEntry, ...]:
    if not properties:
        return ()
    asked = listed(
        statement(
            "count({c}), approx_count_distinct({c}), CAST(min({m}) AS VARCHAR), CAST(max({m}) AS VARCHAR)",
            c=name(p.column),
            m=name(p.column) if p.type in ("number", "integer", "time", "date") else literal(None),
        )
        for p in properties.values()
    )
    total, *found = store.row(statement("SELECT count(*), {asked} FROM events", asked=asked))
    events = int(str(total))
    entries = []
    for i, held in enumerate(properties.values()):
        filled, distinct, least, greatest = found[4 * i : 4 * i + 4]
        entries.append(
            PropertyEntry(
                held.name,
                held.type,
                int(str(filled)),
                int(str(filled)) / events if events else 0.0,
                int(str(distinct)),
                None if least is None else str(least),
                None if greatest is None else str(greatest),
                _top(store, held, top) if held.type in ("text", "boolean") else (),
            )
        )
    return tuple(entries)


def _top(store: EventStore, held: Property, top: int) -> tuple[tuple[str, int], ...]:
    rows = store.rows(
        statement(
            "SELECT left(CAST({c} AS VARCHAR), {shown}), count(*) FROM events WHERE {c} IS NOT NULL"
            " GROUP BY {c} ORDER BY 2 DESC, 1 LIMIT {top}",
            c=name(held.column), shown=literal(_SHOWN), top=literal(top),
        )
    )  # fmt: skip
    return tuple((str(value), int(str(n))) for value, n in rows)
