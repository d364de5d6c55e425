"""The embedded log in the process that also writes it: every engine is the log as it was at one moment.

A writer only appends rows, so "as it was" is a bound on the row number; questions keep their engine while later ones
get a newer one, and none of them holds a transaction open. What rewrites rows (compaction, erasure) is noticed by the
log's counters, and a question that it overtook is asked again.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.engines.base import LogSchema, Property, Query, SequenceRequest
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.growth import Appended, extended
from upswing.engines.identity import canonical_keys
from upswing.engines.questions import Questions
from upswing.engines.rekeying import changed_ids, rekeyed
from upswing.engines.selection import Answers
from upswing.engines.source import EmbeddedSource
from upswing.engines.spine import Spine
from upswing.sql.template import q

_AT_ONCE: Final = 0.25
"""A refresh that lately took less than this many seconds is waited for."""
_SHARE: Final = 10
"""Refreshes take at most about one part in this many of the time."""
_RARELY: Final = 10.0
"""Seconds after which the log is looked at again, whatever it costs."""
_OLDEST: Final = 15.0
"""Seconds: an answer of an older log is not given, the question waits."""
_LATELY: Final = 3
"""Refreshes to judge by. The first ones compile or read from disk what the next ones have, so the quickest one counts."""
_numbers = count(1)
_as_shown: ContextVar[bool] = ContextVar("upswing_statement_as_shown", default=False)


class LogRewrittenError(EngineError):
    """Rows moved while a question was reading them; asked again, it will be answered."""

    def __init__(self) -> None:
        super().__init__(text("the log was rewritten while the question was answered"), code="UP709")


class LiveLog:
    """Gives engines of the log as it is now, one after the other.

    Args:
        connection: of the instance that has the log attached, for writing, as ``log``.
        path: the log's file.
        fresh_seconds: rows are seen after about this long, or, where growing takes long, within 15 s; rewriting and
            `refresh` are seen at once.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, fresh_seconds: float = 2.0) -> None:
        self._connection = connection
        self._path = path
        self._fresh_seconds = fresh_seconds
        self._engine: LiveEngine | None = None
        self._made = 0.0
        self._costs = deque([0.0] * _LATELY, maxlen=_LATELY)
        self._lock = threading.Lock()
        self._in_background: threading.Thread | None = None

    def engine(self) -> LiveEngine:
        """The log as of now, or as of a moment ago where finding out would keep the question waiting."""
        held = self._engine
        if held is None:
            return self.refresh()
        age, cost = time.monotonic() - self._made, min(self._costs)
        if age < max(self._fresh_seconds, min(_SHARE * cost, _RARELY)):
            return held
        if cost < _AT_ONCE or age > max(self._fresh_seconds, _OLDEST):
            return self.refresh()
        if self._in_background is None or not self._in_background.is_alive():
            self._in_background = threading.Thread(target=self._refresh_quietly, daemon=True)
            self._in_background.start()
        return held

    def column_bytes(self) -> int:
        """Memory of the mapped columns that the latest questions read; 0 before the first one."""
        held = self._engine
        return 0 if held is None else held.column_bytes()

    def refresh(self) -> LiveEngine:
        """The log as of now."""
        with self._lock:
            began = time.monotonic()
            source = LiveSource(
                self._connection, self._path, before=None if self._engine is None else self._engine.source
            )
            if self._engine is None or self._engine.source.version() != source.version():
                opened, self._engine = self._engine, LiveEngine(self._connection, source, before=self._engine)
                if opened is not None:  # opening says nothing about what later looks take
                    self._costs.append(time.monotonic() - began)
            self._made = began
            return self._engine

    def _refresh_quietly(self) -> None:
        with suppress(EngineError, duckdb.Error):  # said to whoever asks next
            self.refresh()


class LiveSource(EmbeddedSource):
    """The log's tables up to one row, with properties and who is whom as at that moment.

    Args:
        connection: as for `LiveLog`.
        path: the log's file.
        before: the source that this one follows, to read only what is new.
    """

    rows: int
    epoch: int
    latest: int | None
    trusted: int | None
    _identity: _Identity

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, before: LiveSource | None = None) -> None:
        self._before = before
        self._identity = before._identity if before is not None else _Identity(connection)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")  # everything that is read here is of one moment
            self._pinned: duckdb.DuckDBPyConnection | None = cursor
            try:
                super().__init__(connection, path, read_only=True)
                self._read_extent()
                cursor.execute("COMMIT")
            finally:
                self._pinned = self._before = None

    def follows(self, before: LiveSource) -> bool:
        """Whether this log's rows are that one's with others appended; who is whom may have changed."""
        return self.epoch == before.epoch and self.rows >= before.rows

    def properties(self) -> dict[str, Property]:
        """As listed at that moment."""
        return self._properties

    def horizon(self) -> int | None:
        """Events dated after their own import are not trusted, unless there are no others."""
        return self.trusted if self.trusted is not None else self.latest

    def rewritten(self) -> bool:
        """Whether rows have moved or gone since."""
        return self._epoch_now() != self.epoch

    def tail(self, before: int) -> tuple[exp.Expression, ...]:
        """Condition that selects the rows from `before` up to the bound."""
        return (q("e.rowid >= $before", before=before), q("e.rowid < $rows", rows=self.rows))

    def _read_extent(self) -> None:
        before = self._before
        self.epoch = self._epoch_now()
        self._properties = super().properties()
        known = before is not None and before.epoch == self.epoch and before.trusted == before.latest
        since = before.rows if known and before is not None else 0
        row = self._rows(
            q(
                "SELECT max(e.rowid) + 1, epoch_us(max(e.time)), "
                "epoch_us(max(e.time) FILTER (i.finished_at IS NULL OR e.time <= i.finished_at)) "
                "FROM log.main.events AS e LEFT JOIN log.main.imports AS i ON i.import_id = e.import_id "
                "WHERE e.rowid >= $since",
                since=since,
            )
        )[0]
        rows, latest, trusted = (None if value is None else int(str(value)) for value in row)
        self.rows = since if rows is None else rows
        earlier = (before.latest, before.trusted) if known and before is not None else (None, None)
        self.latest = max((t for t in (latest, earlier[0]) if t is not None), default=None)
        self.trusted = max((t for t in (trusted, earlier[1]) if t is not None), default=None)

    def _epoch_now(self) -> int:
        """Rows that come in add one to both counters; whatever else changes rows moves them apart."""
        meta = {str(key): str(value) for key, value in self._rows(q("SELECT key, value FROM log.main.log_meta"))}
        return int(meta["data_version"]) - int(meta["runs"])

    def _load_identity(self) -> None:
        found = self._rows(q("SELECT * FROM log.main.aliases ORDER BY ALL"))
        known = int(str(self._rows(q("SELECT coalesce(max(user_key), -1) FROM log.main.users"))[0][0]))
        if self._before is not None and self._before._identity.holds(found, known):
            self.intervals = self._before.intervals
            return
        self._identity = _Identity(self._connection)
        self._identity.aliases, self._identity.known = found, known
        super()._load_identity()

    def _keys_of(self, names: list[str]) -> tuple[dict[str, int], dict[str, int]]:
        keys, further = super()._keys_of(names)
        self._identity.provisional = bool(further)
        return keys, further

    def _kept(self, name: str) -> exp.Table:
        return super()._kept(name) if _as_shown.get() else self._identity.table(name)

    def _bounded(self, rows: exp.Expression) -> exp.Expression:
        if _as_shown.get() or not isinstance(rows, exp.Select):
            return rows
        return rows.where(q("e.rowid < $rows", rows=self.rows))

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._pinned is not None:
            yield self._pinned
            return
        with super()._cursor() as cursor:
            yield cursor


class _Identity:
    """Who is whom at one moment: tables in memory under names of their own, dropped when no source uses them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._number = next(_numbers)
        self.aliases: list[tuple[object, ...]] = []
        self.known = -1
        self.provisional = False
        drops = [
            q("DROP TABLE IF EXISTS $t", t=self.table(name)).sql("duckdb") for name in ("identity", "further_users")
        ]
        weakref.finalize(self, _drop, connection, drops).atexit = False  # memory goes with the process

    def holds(self, aliases: list[tuple[object, ...]], known: int) -> bool:
        """Whether it still says who is whom.

        Ids without events have keys from beyond those of the users, which the next users get: then it is made anew.

        Args:
            aliases: the log's aliases now.
            known: the last user's key now.
        """
        return self.aliases == aliases and (not self.provisional or self.known == known)

    def table(self, name: str) -> exp.Table:
        """One of the tables."""
        return exp.table_(f"upswing_{name}_{self._number}", db="main", catalog="memory")


def _drop(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    with suppress(duckdb.Error), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


class LiveEngine(DuckDBEngine):
    """The log as it was at one moment; made from the engine before by adding what came since and by giving the rows of
    new aliases to whom they belong.

    Args:
        connection: as for `LiveLog`.
        source: that moment.
        before: the engine before, if any.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, source: LiveSource, *, before: LiveEngine | None = None
    ) -> None:
        super().__init__(connection, source, spine_dir=source.path.with_suffix(".spine"))
        self.source = source
        self.grown = before is not None and source.follows(before.source)
        counts: Counter[str] = Counter()
        if before is not None and self.grown:
            known = self._rekeyed(before)
            tail = self._tail(before.source.rows)
            counts.update(before.schema().events)
            counts.update(
                dict(zip(tail.names, np.bincount(tail.codes, minlength=len(tail.names)).tolist(), strict=True))
            )
            self._spine = extended(known, tail, version=source.version())
        else:
            spine = self.spine()
            for code, number in enumerate(np.bincount(spine.codes, minlength=len(spine.events)).tolist()):
                counts[spine.events[code]] += number
        self._schema = self._described(self.spine(), counts)

    def column_bytes(self) -> int:
        """Memory of the mapped columns."""
        spine = self._spine
        if spine is None:
            return 0
        columns = (spine.users, spine.offsets, spine.times, spine.codes, spine.order, spine.parity)
        return sum(column.nbytes for column in columns if column is not None)

    def close(self) -> None:
        """Let go of what was read; the instance stays."""
        self._spine = None

    def render(self, query: Query) -> str:
        """The statement as it would be run on the log at rest."""
        with _shown():
            return super().render(query)

    def sequence_sql(self, request: SequenceRequest) -> list[str]:
        """As for the log at rest."""
        with _shown():
            return super().sequence_sql(request)

    def _described(self, spine: Spine, counts: Counter[str]) -> LogSchema:
        return LogSchema(
            events={name: counts[name] for name in sorted(counts) if counts[name]},
            properties=self.source.properties(),
            n_events=spine.n_events,
            n_users=spine.n_users,
            first_time=spine.first_time if spine.n_events else None,
            horizon=self.source.horizon(),
            version=self.source.version(),
        )

    def _rekeyed(self, before: LiveEngine) -> Spine:
        """The rows that were there before, as they belong to users now."""
        spine, was, now = before.spine(), before.source.intervals, self.source.intervals
        ids = np.zeros(0, np.int64) if was is now else changed_ids(was, now)
        if not len(ids):
            return spine
        tree = q("SELECT e.rowid, e.user_key, epoch_us(e.time) FROM log.main.events AS e "
                 "SEMI JOIN upswing_changed AS c ON c.user_key = e.user_key WHERE e.rowid < $rows",
                 rows=before.source.rows)  # fmt: skip
        with self._connection.cursor() as cursor:
            cursor.register("upswing_changed", pa.table({"user_key": ids}))
            table = cursor.sql(tree.sql("duckdb")).to_arrow_table()
        rows, own, times = (np.asarray(table.column(i).to_numpy(), np.int64) for i in range(3))
        old, new = (canonical_keys(own, times, intervals) for intervals in (was, now))
        moved = old != new
        if not moved.any():
            return spine
        return rekeyed(spine, rows[moved], new[moved], old[moved], version=self.source.version())

    def _tail(self, since: int) -> Appended:
        tree = q("SELECT e.user_key, epoch_us(e.time) AS time, e.event FROM log.main.events AS e ORDER BY e.rowid")
        assert isinstance(tree, exp.Select)
        table = self._arrow(tree.where(*self.source.tail(since)))
        own, times = (np.asarray(table.column(i).to_numpy(), np.int64) for i in (0, 1))
        names = pc.dictionary_encode(table.column(2).combine_chunks())
        return Appended(
            canonical_keys(own, times, self.source.intervals), (own & 1).astype(np.uint8), times,
            names.dictionary.to_pylist(), names.indices.to_numpy(),
        )  # fmt: skip

    def _answers(self, asked: Questions, spine: Spine) -> Answers | None:
        """Checked after the rows were read: what was read before the log was rewritten is as it was."""
        found = super()._answers(asked, spine)
        if self.source.rewritten():
            raise LogRewrittenError
        return found


@contextmanager
def _shown() -> Iterator[None]:
    token = _as_shown.set(True)
    try:
        yield
    finally:
        _as_shown.reset(token)
