"""What DuckDB reads: the embedded log's tables, or events that exist already, as one relation ``events``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Protocol

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.core.private import keep_private
from upswing.engines.base import Property, PropertyType
from upswing.engines.identity import Alias, resolve
from upswing.engines.layout import FORMAT, TABLES
from upswing.engines.reserved import release_reserved, reserved_columns
from upswing.sql.template import q

Intervals = Mapping[str, NDArray[np.int64]]
NO_INTERVALS: Final[Intervals] = {name: np.zeros(0, np.int64) for name in ("user_key", "start", "stop", "canonical")}
_LOCKED: Final = ("lock on file", "different configuration", "handle conflict", "already attached")
_STAMPED: Final = (-(2**62), 2**62)
"""Bounds in µs that a TIMESTAMP can hold, for intervals without beginning or end."""


class Source(Protocol):
    """Where rows come from."""

    intervals: Intervals
    row_number: str | None

    def version(self) -> str:
        """Changes whenever the data, or who it belongs to, changes."""
        ...

    def properties(self) -> dict[str, Property]:
        """Properties by name."""
        ...

    def stored(self) -> exp.Expression:
        """The rows as stored, in stored order: own user_key, time, event, properties."""
        ...

    def events(self, *, user_id: bool) -> exp.Expression:
        """The relation ``events``: canonical user_key, and user_id if asked for."""
        ...

    def users(self) -> exp.Expression:
        """The relation ``users``: user_key, user_id."""
        ...

    def horizon(self) -> int | None:
        """Last trusted event time, µs UTC."""
        ...

    def check(self) -> None:
        """Look for what would make answers wrong; called once per version."""
        ...


def attach(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = True) -> None:
    """Attach a DuckDB file as catalog ``log``.

    Raises:
        EngineError: UP701 another process (or a writer in this one) holds the file; UP702 it cannot be opened.
    """
    if not path.is_file():
        raise EngineError(
            text("there is no event log at '{path}'", path=path),
            code="UP702",
            hint=text("make a workspace: upswing init DIR"),
        )
    where = exp.Literal.string(str(path)).sql("duckdb")
    mode = "(READ_ONLY)" if read_only else "(READ_WRITE)"
    try:
        connection.execute(" ".join(("ATTACH", where, "AS log", mode)))
    except duckdb.Error as error:
        raise open_error(error, path) from None


def attach_log(connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = True) -> None:
    """Attach an embedded log as catalog ``log``, sound to read: columns that hide the engine's own are renamed first.

    Raises:
        EngineError: UP701 another process (or a writer in this one) holds the file; UP702 it cannot be opened.
    """
    if not read_only:
        keep_private(path, path.with_name(path.name + ".wal"))
    attach(connection, path, read_only=read_only)
    if not reserved_columns(connection, "log"):
        return
    if read_only:
        connection.execute("DETACH log")
        attach(connection, path, read_only=False)
    release_reserved(connection, "log")
    if read_only:
        connection.execute("DETACH log")
        attach(connection, path)


def open_error(error: Exception, path: Path) -> EngineError:
    """The EngineError for a file that DuckDB would not open."""
    said = str(error)
    if (
        "Conflicting lock" in said
        or "different configuration" in said
        or "handle conflict" in said
        or "already attached" in said
    ):
        holder = said.partition("(PID ")[2].partition(")")[0]
        known = text("process {pid} has it open", pid=holder) if holder else text("another program has it open")
        return EngineError(
            text("the event log '{path}' is locked: {who}", path=path, who=known),
            code="UP701",
            hint=text("wait for the import to finish, or close the other program"),
        )
    return EngineError(text("the event log '{path}' cannot be opened: {reason}", path=path, reason=said), code="UP702")


class EmbeddedSource:
    """The tables of `upswing.engines.layout`, attached as catalog ``log``."""

    row_number: str | None = "rowid"

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool = False) -> None:
        self._connection = connection
        self.path = path
        self._unchanging = read_only  # DuckDB lets nobody write to a file that is attached for reading
        present = {
            str(r[0]) for r in self._rows(q("SELECT table_name FROM duckdb_tables() WHERE database_name = 'log'"))
        }
        missing = sorted(set(TABLES) - present)
        if missing:
            raise EngineError(
                text("'{path}' is not an event log: no table {tables}", path=path, tables=", ".join(missing)),
                code="UP702",
            )
        self._read_version = ""
        self._lock = Lock()
        self.intervals: Intervals = NO_INTERVALS
        self._refresh()

    def version(self) -> str:
        """From the log's own counters, its imports and its size."""
        if not self._unchanging:
            self._refresh()
        return self._read_version

    def properties(self) -> dict[str, Property]:
        """As listed in the log."""
        rows = self._rows(q("SELECT name, type, column_name FROM log.main.properties ORDER BY name"))
        return {str(name): Property(str(name), _type(kind), str(column)) for name, kind, column in rows}

    def stored(self) -> exp.Expression:
        """The table itself."""
        return self._bounded(q("SELECT * FROM log.main.events AS e"))

    def events(self, *, user_id: bool) -> exp.Expression:
        """Joined with aliases only if there are any, with ids only if asked for."""
        aliased = len(self.intervals["user_key"]) > 0
        if not aliased and not user_id:
            return self.stored()
        if not aliased:
            return self._bounded(
                q(
                    "SELECT e.*, u.user_id, e.rowid AS stored_row FROM log.main.events AS e "
                    "JOIN log.main.users AS u ON u.user_key = e.user_key"
                )
            )
        tree = self._bounded(
            q(
                "SELECT COALESCE(i.canonical, e.user_key) AS user_key, e.* EXCLUDE (user_key), e.rowid AS stored_row "
                "FROM log.main.events AS e LEFT JOIN $identity AS i "
                "ON i.user_key = e.user_key AND e.time >= i.start AND e.time < i.stop",
                identity=self._kept("identity"),
            )
        )
        if not user_id:
            return tree
        return q("SELECT e.*, u.user_id FROM $e AS e JOIN $u AS u ON u.user_key = e.user_key",
                 e=exp.Subquery(this=tree), u=exp.Subquery(this=self.users()))  # fmt: skip

    def users(self) -> exp.Expression:
        """The log's users, and canonical ids that have no events of their own."""
        if not len(self.intervals["user_key"]):
            return q("SELECT user_key, user_id FROM log.main.users")
        return q(
            "SELECT user_key, user_id FROM log.main.users UNION ALL SELECT user_key, user_id FROM $further",
            further=self._kept("further_users"),
        )

    def horizon(self) -> int | None:
        """Events dated after their own import are not trusted, unless there are no others."""
        rows = self._rows(
            q(
                "SELECT e.import_id, epoch_us(e.latest), epoch_us(i.finished_at) FROM "
                "(SELECT import_id, max(time) AS latest FROM log.main.events GROUP BY import_id) AS e "
                "LEFT JOIN log.main.imports AS i ON i.import_id = e.import_id"
            )
        )
        latest = [int(str(last)) for _, last, _ in rows]
        trusted = [int(str(last)) for _, last, done in rows if done is None or int(str(last)) <= int(str(done))]
        for number, last, done in rows:
            if done is not None and int(str(last)) > int(str(done)):
                tree = q(
                    "SELECT epoch_us(max(time)) FROM log.main.events WHERE import_id = $n AND epoch_us(time) <= $done",
                    n=int(str(number)), done=int(str(done)),
                )  # fmt: skip
                found = self._rows(tree)[0][0]
                trusted += [] if found is None else [int(str(found))]
        return max(trusted or latest, default=None)

    def check(self) -> None:
        """Nothing to look for: the log's own writer keeps it sound."""

    def _refresh(self) -> None:
        facts = self._rows(
            q(
                "SELECT (SELECT count(*) FROM log.main.events), "
                "(SELECT string_agg(key || '=' || value, ',' ORDER BY key) FROM log.main.log_meta), "
                "(SELECT count(*) || ':' || coalesce(CAST(max(finished_at) AS VARCHAR), '') FROM log.main.imports), "
                "(SELECT count(*) || ':' || coalesce(CAST(max(added_at) AS VARCHAR), '') FROM log.main.aliases), "
                "(SELECT string_agg(name || type, ',' ORDER BY name) FROM log.main.properties)"
            )
        )[0]
        version = hashlib.sha256(repr((FORMAT, facts)).encode()).hexdigest()[:16]
        with self._lock:
            if version != self._read_version:
                self._load_identity()
                self._read_version = version

    def _load_identity(self) -> None:
        rows = self._rows(
            q(
                "SELECT alias, canonical, epoch_us(valid_from) FROM log.main.aliases "
                "ORDER BY valid_from NULLS FIRST, added_at, alias"
            )
        )
        intervals = resolve(Alias(str(a), str(c), None if t is None else int(str(t))) for a, c, t in rows)
        if not intervals:
            self.intervals = NO_INTERVALS
            return
        names = sorted({i.user_id for i in intervals} | {i.canonical for i in intervals})
        keys, further = self._keys_of(names)
        table = {
            "user_key": np.array([keys[i.user_id] for i in intervals], np.int64),
            "start": np.array([i.start for i in intervals], np.int64),
            "stop": np.array([i.stop for i in intervals], np.int64),
            "canonical": np.array([keys[i.canonical] for i in intervals], np.int64),
        }
        order = np.lexsort((table["start"], table["user_key"]))
        self.intervals = {name: values[order] for name, values in table.items()}
        self._write("further_users", {"user_key": list(further.values()), "user_id": list(further)})
        stamped = {
            name: pa.array(np.clip(v, *_STAMPED) if name in ("start", "stop") else v)
            for name, v in self.intervals.items()
        }
        for name in ("start", "stop"):
            stamped[name] = stamped[name].cast(pa.timestamp("us"))
        self._write("identity", stamped)

    def _keys_of(self, names: list[str]) -> tuple[dict[str, int], dict[str, int]]:
        tree = q(
            "SELECT n.user_id, u.user_key FROM upswing_names AS n JOIN log.main.users AS u ON u.user_id = n.user_id"
        )
        with self._cursor() as cursor:
            cursor.register("upswing_names", pa.table({"user_id": pa.array(names, pa.string())}))
            rows = cursor.execute(tree.sql("duckdb")).fetchall()
        keys = {str(name): int(str(key)) for name, key in rows}
        last = int(str(self._rows(q("SELECT coalesce(max(user_key), -1) FROM log.main.users"))[0][0]))
        further = {name: last + 1 + i for i, name in enumerate(n for n in names if n not in keys)}
        return keys | further, further

    def _kept(self, name: str) -> exp.Table:
        """A table of who is whom, in memory."""
        return exp.table_(f"upswing_{name}", db="main", catalog="memory")

    def _bounded(self, rows: exp.Expression) -> exp.Expression:
        """The rows ``e`` of the log that are looked at: all of them."""
        return rows

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connection.cursor() as cursor:  # a connection serves one thread at a time
            yield cursor

    def _write(self, name: str, columns: Mapping[str, object]) -> None:
        schema = {"user_id": pa.string(), "user_key": pa.int64()}
        table = pa.table({k: pa.array(v, schema.get(k)) if isinstance(v, list) else v for k, v in columns.items()})
        created = exp.Create(
            this=self._kept(name), kind="TABLE", replace=True, expression=q("SELECT * FROM upswing_written")
        )
        with self._cursor() as cursor:
            cursor.register("upswing_written", table)
            cursor.execute(created.sql("duckdb"))

    def _rows(self, tree: exp.Expression) -> list[tuple[object, ...]]:
        with self._cursor() as cursor:
            found: list[tuple[object, ...]] = cursor.execute(tree.sql("duckdb")).fetchall()
            return found


def _type(kind: object) -> PropertyType:
    known: dict[str, PropertyType] = {
        "text": "text", "number": "number", "integer": "integer", "boolean": "boolean", "time": "time", "date": "date",
        "json": "json",
    }  # fmt: skip
    return known.get(str(kind), "text")
