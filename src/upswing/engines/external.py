"""Events that exist already, in Parquet files or a table of a DuckDB file: read where they are, never imported.

Users get a 64-bit key by hashing their id, so that no dictionary has to be joined; two ids with one key are refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

import duckdb
from sqlglot import exp

from upswing.core.errors import DataError, EngineError, did_you_mean
from upswing.core.i18n import text
from upswing.engines.base import Property, PropertyType
from upswing.engines.reserved import free_column
from upswing.engines.source import NO_INTERVALS, Intervals, attach
from upswing.sql.template import column, q

_DUCKDB: Final = (".duckdb", ".db", ".ddb")
_TYPES: Final[dict[str, PropertyType]] = {
    "VARCHAR": "text", "UUID": "text", "BOOLEAN": "boolean", "DATE": "date", "FLOAT": "number", "DOUBLE": "number",
    "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer", "BIGINT": "integer", "HUGEINT": "integer",
    "UTINYINT": "integer", "USMALLINT": "integer", "UINTEGER": "integer", "UBIGINT": "integer", "JSON": "json",
}  # fmt: skip
_EPOCH_UNITS: Final = ((10**11, 1_000_000), (10**14, 1_000), (10**17, 1))
"""Whole numbers as times: below 1e11 seconds, below 1e14 milliseconds, else microseconds."""


@dataclass(frozen=True, slots=True)
class ExternalEvents:
    """Where events are and which columns mean what.

    Args:
        path: Parquet file, glob or folder (searched through), or a DuckDB file.
        time: column with the time: a time, a date, ISO text, or whole seconds, milliseconds or microseconds.
        user: column with the user's id.
        event: column with the event's name; None when `event_name` says it.
        event_name: name of all events.
        event_id: column that identifies the event.
        table: table inside a DuckDB file.
        timezone: zone of naive times.
    """

    path: Path
    time: str
    user: str
    event: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    table: str | None = None
    timezone: str = "UTC"


class ExternalSource:
    """One relation over what is there; rows without user, time or event are left out."""

    row_number: str | None = None
    intervals: Intervals = NO_INTERVALS

    def __init__(self, connection: duckdb.DuckDBPyConnection, events: ExternalEvents) -> None:
        self._connection = connection
        self._events = events
        connection.execute("SET GLOBAL TimeZone = " + exp.Literal.string(events.timezone).sql("duckdb"))
        self._files: tuple[Path, ...] = ()
        self._properties: dict[str, Property] = {}
        self._seen = ""
        self._lock = Lock()
        if events.path.suffix in _DUCKDB:
            _files(events)
            attach(connection, events.path)
        self.version()

    def version(self) -> str:
        """From the files' paths, sizes and times of change; the relation is made anew when they change."""
        files = _files(self._events)
        stamps = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
        facts = repr((stamps, self._events, duckdb.__version__))
        seen = hashlib.sha256(facts.encode()).hexdigest()[:16]
        with self._lock:
            if seen != self._seen:
                self._files = files
                self._relate()
                self._seen = seen
        return seen

    def properties(self) -> dict[str, Property]:
        """Every column that is not the user, time, event or event id."""
        return self._properties

    def stored(self) -> exp.Expression:
        """The rows in the order of files and of rows in them."""
        return q("SELECT * FROM memory.main.upswing_events")

    def events(self, *, user_id: bool) -> exp.Expression:  # noqa: ARG002 - the id is in every row here
        """The same rows: they carry the id, and there are no aliases."""
        return self.stored()

    def users(self) -> exp.Expression:
        """Distinct users of the rows."""
        return q("SELECT DISTINCT user_key, user_id FROM memory.main.upswing_events")

    def horizon(self) -> int | None:
        """The last event."""
        last = self._first(q("SELECT epoch_us(max(time)) FROM $s AS e", s=self._sub()))
        return None if last is None or last[0] is None else int(str(last[0]))

    def check(self) -> None:
        """Refuse two users with one key.

        Raises:
            DataError: UP314, naming them.
        """
        shared = "SELECT min(user_id), max(user_id) FROM $s AS e GROUP BY user_key"
        tree = q(shared + " HAVING min(user_id) <> max(user_id) LIMIT 1", s=self._sub())
        pair = self._first(tree)
        if pair is not None:
            message = text("users '{one}' and '{other}' cannot be told apart by key", one=pair[0], other=pair[1])
            raise DataError(message, code="UP314", hint=text("import the events instead: upswing import"))

    def _first(self, tree: exp.Expression) -> tuple[object, ...] | None:
        with self._connection.cursor() as cursor:  # a connection serves one thread at a time
            found: tuple[object, ...] | None = cursor.execute(tree.sql("duckdb")).fetchone()
            return found

    def _sub(self) -> exp.Expression:
        return exp.Subquery(this=self.stored())

    def _relate(self) -> None:
        scan = self._scan()
        types = self._types(scan)
        given = self._events
        for name in (given.time, given.user, given.event, given.event_id):
            if name is not None and name not in types:
                message = text("no column '{name}' in '{path}'", name=name, path=given.path)
                raise DataError(message, code="UP313", hint=did_you_mean(name, types))
        self._require_times(types[given.time], scan)
        taken = {given.time, given.user, given.event, given.event_id}
        others = {n: kind for n, kind in types.items() if n not in taken}
        used = {n.casefold() for n in others}
        self._properties = {n: _property(n, kind, used) for n, kind in others.items()}
        name_column = column(given.event) if given.event else exp.Literal.string(given.event_name or "event")
        tree = q(
            "SELECT CAST($user AS VARCHAR) AS user_id, $time AS time, CAST($event AS VARCHAR) AS event, $id AS event_id "
            "FROM $s AS s",
            user=column(given.user), time=self._time(types[given.time], scan), event=name_column,
            id=column(given.event_id) if given.event_id else None, s=scan,
        )  # fmt: skip
        if isinstance(tree, exp.Select):
            for found in self._properties.values():
                value = column(found.name)
                kept = value if found.type != "json" else q("CAST($x AS VARCHAR)", x=value)
                tree = tree.select(exp.Alias(this=kept, alias=exp.to_identifier(found.column, quoted=True)))
        keyed = q(
            "SELECT CAST(hash(user_id) >> 1 AS BIGINT) AS user_key, * FROM $s AS s "
            "WHERE user_id IS NOT NULL AND time IS NOT NULL AND event IS NOT NULL",
            s=exp.Subquery(this=tree),
        )
        view = exp.Create(
            this=exp.table_("upswing_events", "main", "memory"), kind="VIEW", replace=True, expression=keyed
        )
        with self._connection.cursor() as cursor:
            cursor.execute(view.sql("duckdb"))

    def _types(self, scan: exp.Expression) -> dict[str, str]:
        """Column → type of what is there."""
        try:
            with self._connection.cursor() as cursor:
                described = cursor.execute(q("SELECT * FROM $s AS e LIMIT 0", s=scan).sql("duckdb")).description
        except duckdb.CatalogException:
            raise self._no_table() from None
        except duckdb.Error as error:
            cause = str(error).strip().split("\n", 1)[0]
            raise DataError(
                text("{source} is truncated or damaged: {cause}", source=self._events.path, cause=cause),
                code="UP325",
                hint=text("copy it again from where it came"),
            ) from None
        return {str(name): str(kind) for name, kind, *_ in described}

    def _no_table(self) -> DataError:
        listed = q("SELECT table_name FROM duckdb_tables() WHERE database_name = 'log'")
        with self._connection.cursor() as cursor:
            names = [str(row[0]) for row in cursor.execute(listed.sql("duckdb")).fetchall()]
        message = text("no table '{table}' in '{path}'", table=self._events.table, path=self._events.path)
        return DataError(message, code="UP317", hint=did_you_mean(str(self._events.table), names))

    def _require_times(self, kind: str, scan: exp.Expression) -> None:
        """Text that is no time would leave every row out, and look like an empty log."""
        if kind != "VARCHAR":
            return
        tree = q(
            "SELECT count(*), count(TRY_CAST(t AS TIMESTAMPTZ)), min(t) FROM (SELECT $v AS t FROM $s AS e "
            "WHERE $v IS NOT NULL LIMIT 10000)",
            v=column(self._events.time), s=scan,
        )  # fmt: skip
        found = self._first(tree)
        if found is not None and int(str(found[0])) and not int(str(found[1])):
            raise DataError(
                text("the column '{column}' of {source} holds no times, e.g. '{value}'", column=self._events.time,
                     source=self._events.path, value=found[2]),
                code="UP330",
                hint=text("name another column under source.columns.time in upswing.yml"),
            )  # fmt: skip

    def _scan(self) -> exp.Expression:
        if self._events.path.suffix in _DUCKDB:
            if self._events.table is None:
                raise DataError(
                    text("'{path}' is a DuckDB file: say which table", path=self._events.path),
                    code="UP316",
                    hint=text("set source.table in upswing.yml"),
                )
            parts = self._events.table.split(".")
            place = exp.table_(parts[-1], parts[-2] if len(parts) > 1 else "main", "log", quoted=True)
            return exp.Subquery(this=exp.select("*").from_(place))
        listed = exp.Array(expressions=[exp.Literal.string(str(f)) for f in self._files])
        return exp.Subquery(this=q("SELECT * FROM read_parquet($files, union_by_name = TRUE)", files=listed))

    def _time(self, kind: str, scan: exp.Expression) -> exp.Expression:
        """The column as UTC time; naive times and dates are in the source's zone."""
        value = column(self._events.time)
        if kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UINTEGER", "UBIGINT", "HUGEINT"):
            found = self._connection.execute(
                q("SELECT max(abs($v)) FROM $s AS s", v=value, s=scan).sql("duckdb")
            ).fetchone()
            largest = int(found[0] or 0) if found else 0
            unit = next((unit for below, unit in _EPOCH_UNITS if largest < below), 1)
            return q("make_timestamp(CAST($v AS BIGINT) * $unit)", v=value, unit=unit)
        return q("make_timestamp(epoch_us(TRY_CAST($v AS TIMESTAMPTZ)))", v=value)


def _property(name: str, kind: str, used: set[str]) -> Property:
    found = _TYPES.get(kind)
    if found is None:
        found = "number" if kind.startswith("DECIMAL") else "time" if kind.startswith("TIMESTAMP") else "json"
    if kind.startswith("ENUM"):
        found = "text"
    return Property(name, found, free_column(name, used - {name.casefold()}))


def _files(events: ExternalEvents) -> tuple[Path, ...]:
    path = events.path
    if path.is_file():
        return (path,)
    if path.is_dir():
        found = sorted(path.rglob("*.parquet"))
    else:
        found = sorted(path.parent.glob(path.name))
    if not found:
        raise EngineError(
            text("there is nothing to read at '{path}'", path=path),
            code="UP702",
            hint=text("give a Parquet file, a folder of them, or a DuckDB file"),
        )
    return tuple(found)
