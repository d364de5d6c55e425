"""A staged file made ready to insert: which rows are good, and an expression for every column of the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.engines.base import Property, PropertyType
from upswing.events.mapping import ROLES, ColumnMapping, Proposal, resolve_mapping
from upswing.events.staged import SourceColumn, Staged
from upswing.events.statements import Fragment, listed, literal, statement
from upswing.events.store import EventStore
from upswing.events.times import (
    EARLIEST,
    LATEST,
    TimeFormat,
    detect_time_format,
    parse_time_format,
    to_utc,
    wall_micros,
)
from upswing.events.types import EXACT, Profile, profile_columns, read_as, unreadable
from upswing.events.widening import SchemaPlan

OnProposal = Callable[[Proposal], None]
_HEAD: Final = 1000


@dataclass(frozen=True, slots=True)
class Flaw:
    """A reason to set rows aside.

    Args:
        reason: code, a key of `summary.REASONS`.
        rows: how many rows have it (a row may have several; the first in the list counts).
        condition: which rows.
        detail: expression for what is wrong with the row.
    """

    reason: str
    rows: int
    condition: Fragment
    detail: Fragment


@dataclass(frozen=True, slots=True)
class Prepared:
    """A file ready to insert.

    Args:
        staged: its rows.
        mapping: what its columns mean.
        user: expression of the user's id; likewise `time` (µs UTC), `event`, `event_id`.
        values: expression by property.
        flaws: reasons to set rows aside that occur in it.
        span: no row is outside it, µs UTC; None without readable times.
    """

    staged: Staged
    mapping: ColumnMapping
    user: Fragment
    time: Fragment
    event: Fragment
    event_id: Fragment
    values: dict[str, Fragment]
    flaws: tuple[Flaw, ...]
    span: tuple[int, int] | None

    @property
    def good(self) -> Fragment:
        """Condition: the row has no flaw."""
        if not self.flaws:
            return literal(True)
        return statement("NOT ({any})", any=listed((flaw.condition for flaw in self.flaws), " OR "))


def prepare(
    store: EventStore,
    staged: Staged,
    *,
    given: ColumnMapping | None,
    calendar: Calendar,
    plan: SchemaPlan,
    on_proposal: OnProposal | None = None,
) -> Prepared:
    """Decide what the columns of a staged file mean and which type each has, over all of its rows.

    Raises:
        UsageError: UP321 a named column is not there; UP633 the time format is none.
        DataError: UP322 a role without a column; UP330 the time column holds no times; UP333 an ambiguous date.
    """
    by_name = {c.name: c for c in staged.columns}
    sure = given is not None and (given.time is not None or given.time_format is not None)
    looks = {} if sure else _looks(store, staged)
    mapping, guessed = resolve_mapping(list(by_name), given, source=staged.source, looks=looks)
    assert mapping.user is not None
    assert mapping.time is not None
    fmt = _time_format(store, staged, by_name[mapping.time], mapping.time_format)
    roles = {mapping.column(role) for role in ROLES if role != "channel"}
    others = [c for c in staged.columns if c.name not in roles]
    if on_proposal is not None:
        named = tuple("channel" if c.name == mapping.channel else c.name for c in others)
        on_proposal(Proposal(staged.source, mapping, guessed, named, str(fmt), calendar.timezone))
    time_column = by_name[mapping.time]
    known = time_column.iso if fmt.form == "iso" else None
    wall = known or wall_micros(time_column.column, fmt)
    user = _as_id(by_name[mapping.user])
    event = literal(mapping.event_name) if mapping.event is None else _as_id(by_name[mapping.event])
    flaws, wall_span = _role_flaws(
        store, staged, mapping, user, event, time_column.column, wall, time_column.type in (None, "text")
    )
    values, value_flaws = _values(store, staged, others, mapping, calendar, plan)
    time, span = to_utc(store, staged.relation, time_column.column, fmt, calendar, wall_span, wall=wall)
    return Prepared(
        staged=staged,
        mapping=mapping,
        user=user,
        time=time,
        event=event,
        event_id=literal(None) if mapping.event_id is None else _as_id(by_name[mapping.event_id]),
        values=values,
        flaws=(*flaws, *value_flaws),
        span=span,
    )


def _looks(store: EventStore, staged: Staged) -> dict[str, frozenset[str]]:
    """What the beginning of each column looks like, to guard guesses by name."""
    head = statement("(SELECT * FROM {r} LIMIT {n})", r=staged.relation, n=literal(_HEAD))
    found: dict[str, frozenset[str]] = {}
    for column in staged.columns:
        if column.type in ("time", "date"):
            found[column.name] = frozenset(["time"])
        elif column.type in ("boolean", "json"):
            found[column.name] = frozenset(["other"])
        else:
            found[column.name] = _look_of_text(store, head, _as_id(column))
    return found


def _look_of_text(store: EventStore, head: Fragment, column: Fragment) -> frozenset[str]:
    total, numbers = store.row(
        statement("SELECT count({x}), count(try_cast({x} AS DOUBLE)) FROM {head}", x=column, head=head)
    )
    looks = {"number"} if total and numbers == total else {"text"}
    try:
        if detect_time_format(store, head, column) is not None:
            looks.add("time")
    except DataError:  # day or month first: a time either way
        looks.add("time")
    return frozenset(looks - {"text"} if "time" in looks else looks)


def _time_format(store: EventStore, staged: Staged, column: SourceColumn, given: str | None) -> TimeFormat:
    if column.type == "time":
        return TimeFormat("timestamp" if column.naive else "timestamptz")
    if column.type == "date":
        return TimeFormat("date")
    if given is not None:
        return parse_time_format(given)
    found = detect_time_format(store, staged.relation, _as_id(column))
    if found is None:
        example = store.value(statement("SELECT any_value({x}) FROM {r}", x=_as_id(column), r=staged.relation))
        raise DataError(
            text("the column '{column}' of {source} holds no times, e.g. '{value}'",
                 column=column.name, source=staged.source, value=example),
            code="UP330",
            hint=text("name another column with --time, or its format with --time-format"),
        )  # fmt: skip
    return found


def _as_id(column: SourceColumn) -> Fragment:
    """A column as text: whole floats without their ``.0``, as ids come out of data frames."""
    if column.type is None or column.type in ("text", "json"):
        return column.column
    if column.type == "number":
        return statement(
            "CASE WHEN {x} = floor({x}) AND abs({x}) < 1e15 THEN CAST(CAST({x} AS BIGINT) AS VARCHAR)"
            " ELSE CAST({x} AS VARCHAR) END",
            x=column.column,
        )
    return statement("CAST({x} AS VARCHAR)", x=column.column)


def _role_flaws(
    store: EventStore,
    staged: Staged,
    mapping: ColumnMapping,
    user: Fragment,
    event: Fragment,
    raw: Fragment,
    wall: Fragment,
    is_text: bool,
) -> tuple[list[Flaw], tuple[int, int] | None]:
    """Rows without user, time or event; and the span of the readable times (as wall-clock readings)."""
    raw_text = statement("CAST({x} AS VARCHAR)", x=raw)
    no_time = _blank(raw) if is_text else statement("({x} IS NULL)", x=raw)
    flaws = [
        ("missing_user", _blank(user), literal(mapping.user)),
        ("missing_time", no_time, literal(mapping.time)),
        ("bad_time", statement("({x} IS NOT NULL AND {w} IS NULL)", x=raw, w=wall), raw_text),
        ("time_out_of_range", _outside(wall), raw_text),
    ]
    if mapping.event is not None:
        flaws.append(("missing_event", _blank(event), literal(mapping.event)))
    found = store.row(
        statement(
            # The reading is computed once per row, inside.
            "SELECT min(inside), max(inside), count(*) FILTER ({user}),"
            " count(*) FILTER ({no_time}), count(*) FILTER (w IS NULL AND NOT {no_time}), count(*) FILTER ({outside}),"
            " count(*) FILTER ({event}) FROM (SELECT CASE WHEN NOT {outside} THEN w END AS inside, *"
            " FROM (SELECT {w} AS w, * FROM {r}))",
            outside=_outside(Fragment("w")), user=flaws[0][1], no_time=flaws[1][1], w=wall, r=staged.relation,
            event=literal(False) if mapping.event is None else flaws[4][1],
        )
    )  # fmt: skip
    lo, hi, *rows = found
    occurring = [
        Flaw(reason, int(str(n)), condition, detail)
        for (reason, condition, detail), n in zip(flaws, rows, strict=False)
        if n
    ]
    return occurring, None if lo is None else (int(str(lo)), int(str(hi)))


def _outside(micros: Fragment) -> Fragment:
    return statement(
        "(({w} IS NOT NULL) AND ({w} < {lo} OR {w} >= {hi}))", w=micros, lo=literal(EARLIEST), hi=literal(LATEST)
    )


def _blank(x: Fragment) -> Fragment:
    # Blanks sort before '!', so few texts are trimmed at all.
    return statement("({x} IS NULL OR (CASE WHEN {x} < '!' THEN trim({x}) = '' ELSE false END))", x=x)


def _values(
    store: EventStore,
    staged: Staged,
    others: list[SourceColumn],
    mapping: ColumnMapping,
    calendar: Calendar,
    plan: SchemaPlan,
) -> tuple[dict[str, Fragment], list[Flaw]]:
    """Expression by property, and the rows whose numbers cannot be read."""
    loose = [c for c in others if c.type is None]
    profiles = dict(
        zip((c.name for c in loose), profile_columns(store, staged.relation, [c.column for c in loose]), strict=True)
    )
    values: dict[str, Fragment] = {}
    flaws: list[Flaw] = []
    for column in others:
        kind = column.type or _settle(store, staged, column, profiles[column.name])
        if kind is None or not _any_value(store, staged, column):
            continue
        wanted = "channel" if column.name == mapping.channel else column.name
        target = plan.place(store, wanted, kind, exact=partial(_exact, store, staged, column))
        values[target.name] = _expression(store, staged, column, kind, target, calendar)
        profile = profiles.get(column.name)
        if profile is not None and kind in ("integer", "number") and profile.unreadable:
            detail = statement("concat({n}, '=', {x})", n=literal(column.name), x=column.column)
            flaws.append(Flaw("bad_number", profile.unreadable, unreadable(column.column, kind), detail))
    return values, flaws


def _settle(store: EventStore, staged: Staged, column: SourceColumn, profile: Profile) -> PropertyType | None:
    """The type of a text column; for JSON, a number in quotes is text."""
    if column.strings is None or profile.type not in ("integer", "number", "boolean"):
        return profile.type
    strings = store.count(statement("SELECT count(*) FILTER ({s}) FROM {r}", s=column.strings, r=staged.relation))
    return replace(profile, strings=strings).type


def _any_value(store: EventStore, staged: Staged, column: SourceColumn) -> bool:
    if column.type is None:
        return True  # its profile has no type without a value
    return bool(
        store.rows(statement("SELECT 1 FROM {r} WHERE {x} IS NOT NULL LIMIT 1", r=staged.relation, x=column.column))
    )


def _exact(store: EventStore, staged: Staged, column: SourceColumn) -> bool:
    most = literal(EXACT)
    return not store.value(
        statement(
            "SELECT bool_or(abs(try_cast({x} AS DOUBLE)) > {most}) FROM {r}",
            x=column.column, most=most, r=staged.relation,
        )
    )  # fmt: skip


def _expression(
    store: EventStore, staged: Staged, column: SourceColumn, kind: PropertyType, target: Property, calendar: Calendar
) -> Fragment:
    """A column's values as the type of the property they go to."""
    if kind == "time" and target.type == "time":
        fmt = TimeFormat("iso") if column.type is None else TimeFormat("timestamp" if column.naive else "timestamptz")
        wall = wall_micros(column.column, fmt)
        lo, hi = store.row(statement("SELECT min({w}), max({w}) FROM {r}", w=wall, r=staged.relation))
        micros, _ = to_utc(store, staged.relation, column.column, fmt, calendar, (int(str(lo)), int(str(hi))))
        return statement("make_timestamp({t})", t=micros)
    if target.type == "text":
        return column.column if column.type is None else statement("CAST({x} AS VARCHAR)", x=column.column)
    if column.type is not None:
        return column.column
    return read_as(column.column, target.type)
