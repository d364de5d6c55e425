"""The embedded log opened for writing: one process at a time, every change in one transaction."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, cast, get_args

import duckdb

from upswing.core.errors import EngineError, UpswingError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.private import keep_private, private_folder
from upswing.engines.base import Property, PropertyType
from upswing.engines.layout import FORMAT, TABLES
from upswing.engines.memory import usual_limit
from upswing.engines.reserved import release_reserved
from upswing.events.statements import Fragment, literal, name, statement

Progress = Callable[[Text, float, float | None], None]
"""Called with the phase, the fraction of it that is done (0…1) and rows per second, where known."""

Parameters = Sequence[object] | Mapping[str, object]
_FIRST_META: Final = {"format": FORMAT, "data_version": "0", "identity_version": "0", "runs": "0"}
_LOCKED = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_POLL_SECONDS: Final = 0.2


class EventStore:
    """The event log's file, open for writing.

    Examples:
        >>> import tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> with EventStore.create(pathlib.Path(folder.name) / "events.duckdb") as store:
        ...     store.value("SELECT count(*) FROM events")
        0
        >>> folder.cleanup()
    """

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.path = path
        self.connection = connection

    @classmethod
    def create(cls, path: str | Path, *, memory: str | None = None) -> EventStore:
        """Make an empty log.

        Args:
            path: the file; its folder is made if missing.
            memory: most memory the engine may hold, e.g. ``"4GB"``; half of the machine's by default. Beyond it, the
                engine spills into the folder of the file.

        Raises:
            UsageError: UP601 the file exists.
            EngineError: UP701 another process has it, UP702 the folder cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise UsageError(text("'{path}' exists already", path=path), code="UP601")
        if not path.parent.exists():
            private_folder(path.parent)
        store = cls(path, _connect(path, memory))
        keep_private(path)  # still without an event; the engine makes files that everybody can read
        with store.transaction():
            for table, columns in TABLES.items():
                body = Fragment(columns)  # a constant of the layout
                store.run(statement("CREATE TABLE {table} ({body})", table=name(table), body=body))
            for key, value in _FIRST_META.items():
                store.run("INSERT INTO log_meta VALUES (?, ?)", [key, value])
        return store

    @classmethod
    def open(cls, path: str | Path, *, memory: str | None = None) -> EventStore:
        """Open a log for writing; no other process can have it open meanwhile.

        A log of an earlier version is put right: its file is private to this account, and no property's column has a name
        that is the engine's own.

        Raises:
            EngineError: UP701 another process has it; UP702 there is no log, it is not a log of this format, or it cannot
                be read.
        """
        path = Path(path)
        keep_private(path, path.with_name(path.name + ".wal"))
        if not path.exists():
            raise EngineError(
                text("there is no event log at '{path}'", path=path),
                code="UP702",
                hint=text("make a workspace first: upswing init DIR"),
            )
        store = cls(path, _connect(path, memory))
        try:
            found = store.value("SELECT value FROM log_meta WHERE key = 'format'")
        except UpswingError:
            found = None
        if found != FORMAT:
            store.close()
            raise EngineError(
                text("'{path}' is not an event log of format {format}", path=path, format=FORMAT), code="UP702"
            )
        try:
            with engine_errors():
                release_reserved(store.connection, str(store.value("SELECT current_database()")))
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let go of the file, and remove what the engine spilled."""
        self.connection.close()
        shutil.rmtree(spill_folder(self.path), ignore_errors=True)

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- statements -----------------------------------------------------------------------------------------------

    def run(self, sql: str, parameters: Parameters = ()) -> None:
        """Run a statement for its effect. Engine failures come out as EngineError."""
        with engine_errors():
            self.connection.execute(sql, parameters or None)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[object, ...]]:
        """Run a statement with a small answer."""
        with engine_errors():
            found = self.connection.execute(sql, parameters or None).fetchall()
        return cast("list[tuple[object, ...]]", found)

    def row(self, sql: str, parameters: Parameters = ()) -> tuple[object, ...]:
        """The only row of an answer."""
        return self.rows(sql, parameters)[0]

    def value(self, sql: str, parameters: Parameters = ()) -> object:
        """The first value of an answer; None where it has no row."""
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    def count(self, sql: str, parameters: Parameters = ()) -> int:
        """A whole number; none and null are 0."""
        return int(cast("int | None", self.value(sql, parameters)) or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: an exception of any kind, an interruption or a lost process leaves the log as it was."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(duckdb.Error):  # the engine may have ended the transaction itself when the statement failed
                self.connection.execute("ROLLBACK")
            raise

    @contextmanager
    def watched(self, progress: Progress | None, phase: Text, rows: int | None = None) -> Iterator[None]:
        """Report how far the engine is while the statements inside run."""
        if progress is None:
            yield
            return
        watch = _Watch(self.connection, progress, phase, rows)
        try:
            watch.start()  # inside: Ctrl-C may come while the thread begins, and it must be stopped all the same
            yield
        finally:
            watch.stop()

    # -- what the log knows of itself -----------------------------------------------------------------------------

    def meta(self, key: str) -> str:
        """A value of ``log_meta``."""
        return str(self.value("SELECT value FROM log_meta WHERE key = ?", [key]))

    def set_meta(self, key: str, value: str) -> None:
        """Write a value of ``log_meta``; inside a transaction."""
        self.run("UPDATE log_meta SET value = ? WHERE key = ?", [value, key])

    def bump(self, key: str) -> None:
        """Add one to a version or counter of ``log_meta``; inside a transaction."""
        self.set_meta(key, str(int(self.meta(key)) + 1))

    def properties(self) -> dict[str, Property]:
        """The properties by name, in the order they came."""
        found = self.rows("SELECT name, type, column_name FROM properties ORDER BY rowid")
        return {str(n): Property(str(n), _property_type(str(t)), str(c)) for n, t, c in found}


def spill_folder(path: Path) -> Path:
    """Where the engine and the importer put temporary data: beside the log, so that it is on the same disk."""
    return path.parent / f"{path.name}.spill"


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the engine's exceptions into EngineError: UP705 out of disk or memory, UP700 otherwise.

    Ctrl-C comes out as KeyboardInterrupt, whatever the engine makes of it.
    """
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise _translated(error) from error
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from None
        raise


class _Watch(threading.Thread):
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, progress: Progress, phase: Text, rows: int | None
    ) -> None:
        super().__init__(daemon=True)
        self._connection, self._progress, self._phase, self._rows = connection, progress, phase, rows
        self._done = threading.Event()
        self._seconds = 0.0

    def run(self) -> None:
        self._progress(self._phase, 0.0, None)
        while not self._done.wait(_POLL_SECONDS):
            self._seconds += _POLL_SECONDS
            try:
                share = max(0.0, self._connection.query_progress()) / 100
            except duckdb.Error:  # closed under the watch: a second Ctrl-C while the first was being answered
                return
            self._progress(self._phase, min(share, 1.0), self._rate(share))

    def stop(self) -> None:
        self._done.set()
        if self.is_alive():
            self.join()
        self._progress(self._phase, 1.0, self._rate(1.0))

    def _rate(self, share: float) -> float | None:
        return self._rows * share / self._seconds if self._rows and self._seconds else None


def _connect(path: Path, memory: str | None) -> duckdb.DuckDBPyConnection:
    spill = spill_folder(path)
    shutil.rmtree(spill, ignore_errors=True)  # left by a process that was killed; the file's lock guards a live one
    try:
        connection = duckdb.connect(str(path))
    except duckdb.Error as error:
        raise _locked_or_unreadable(path, error) from error
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute(statement("SET temp_directory = {folder}", folder=literal(str(spill))))
    connection.execute(statement("SET memory_limit = {memory}", memory=literal(memory or usual_limit())))
    return connection


def _locked_or_unreadable(path: Path, error: duckdb.Error) -> EngineError:
    holder = _LOCKED.search(str(error))
    if "lock" in str(error).lower():
        other = f"{holder['program']} (PID {holder['pid']})" if holder else "?"
        return EngineError(
            text("the event log is being written by another process: {other}", other=other),
            code="UP701",
            hint=text("wait until it ends, or stop it, and try again"),
        )
    return EngineError(text("cannot open '{path}': {cause}", path=path, cause=_first_line(error)), code="UP702")


def _translated(error: duckdb.Error) -> EngineError:
    cause = _first_line(error)
    full = ("no space", "file too large", "max_temp_directory_size", "failed to allocate", "could not write")
    if isinstance(error, duckdb.OutOfMemoryException) or any(sign in str(error).lower() for sign in full):
        return EngineError(
            text("out of disk or memory: {cause}", cause=cause),
            code="UP705",
            hint=text("the log is as it was; make room and try again"),
        )
    return EngineError(text("the engine failed: {cause}", cause=cause), code="UP700")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _property_type(found: str) -> PropertyType:
    assert found in get_args(PropertyType), found
    return cast("PropertyType", found)
