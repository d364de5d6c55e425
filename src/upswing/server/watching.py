"""Statements of a question can be interrupted: whoever runs one registers its cursor with the question in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Final

import duckdb

from upswing.core.i18n import text
from upswing.server.errors import ConflictError

_AGAIN: Final = 0.05
"""Seconds between interrupts of what has not ended."""


class CancelledError(ConflictError):
    """The question was cancelled while it was answered."""

    default_code = "UP861"

    def __init__(self) -> None:
        super().__init__(text("the question was cancelled"))


class Watch:
    """The statements of one question under way."""

    def __init__(self) -> None:
        self.cancelled = False
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Interrupt what runs and refuse what would follow."""
        self.cancelled = True
        if self._interrupt():
            threading.Thread(target=self._insist, name="cancel", daemon=True).start()

    def _insist(self) -> None:
        """Go on until nothing runs: an interrupt that comes just before a statement begins is lost on the engine."""
        while self._interrupt():
            time.sleep(_AGAIN)

    def _interrupt(self) -> bool:
        """Interrupt every statement; whether there was any."""
        with self._lock:
            for cursor in self._cursors:
                with suppress(duckdb.Error):
                    cursor.interrupt()
            return bool(self._cursors)

    def progress(self) -> float | None:
        """Share of the running statement that is done, 0…1; None where nobody knows."""
        with self._lock:
            shares = [c.query_progress() for c in self._cursors]
        known = [share / 100 for share in shares if share >= 0]
        return min(known) if known else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Statements of this thread belong to this question."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def statement(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The cursor is in use inside the block."""
        with self._lock:
            if self.cancelled:
                raise CancelledError
            self._cursors.add(cursor)
        try:
            yield
        finally:
            with self._lock:
                self._cursors.discard(cursor)


_current: ContextVar[Watch | None] = ContextVar("upswing_question", default=None)


class Watched:
    """A connection whose cursors register with the question in hand; all that engines use of a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A further connection to the same instance."""
        watch = _current.get()
        with self._connection.cursor() as cursor:
            if watch is None:
                yield cursor
                return
            cursor.execute("SET enable_progress_bar = true")
            cursor.execute("SET enable_progress_bar_print = false")
            with watch.statement(cursor):
                yield cursor

    def close(self) -> None:
        """The instance is not ours to close."""
