"""Files into the log: staged, typed, de-duplicated, sorted, and committed in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.core.i18n import Text, text
from upswing.engines.base import Property
from upswing.events.duplicates import SKIPPED, mark_duplicates
from upswing.events.erasure import refuse_erased
from upswing.events.files import InputFile, expand
from upswing.events.mapping import ColumnMapping
from upswing.events.prepare import OnProposal, Prepared, prepare
from upswing.events.readers import drop, places, stage, stage_table
from upswing.events.staged import ROW, Staged
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore, Progress, spill_folder
from upswing.events.summary import REASONS, ImportSummary
from upswing.events.widening import SchemaPlan

Stager = Callable[[], Staged]


def import_files(
    store: EventStore,
    paths: Sequence[str | Path],
    *,
    mapping: ColumnMapping | None = None,
    calendar: Calendar,
    progress: Progress | None = None,
    on_proposal: OnProposal | None = None,
) -> ImportSummary:
    """Import CSV, TSV, JSON lines, JSON arrays and Parquet, plain or packed (.gz, .zst).

    All files are one transaction: an error or an interruption at any moment leaves the log as it was. A file that was
    imported before, with the same mapping, is skipped; rows that the log has already are not added again (see
    `duplicates.mark_duplicates`).

    Args:
        store: the log.
        paths: files, globs, folders, or ``-`` for standard input.
        mapping: what the columns mean; what it leaves open is proposed from each file.
        calendar: the zone of times that carry none.
        progress: called with phase, fraction done, rows per second.
        on_proposal: called with the mapping of each file before it is used; raise in it to stop.

    Returns:
        What was read, added, found twice and set aside.

    Raises:
        DataError: UP320–UP334, a file that cannot be read or understood.
        UsageError: UP321 a named column is not there, UP633 an unknown time format.
        EngineError: UP705 out of disk or memory.
    """
    files = expand(paths, spill_folder(store.path))
    run = _Import(store, calendar, mapping, progress, on_proposal)
    for file in files:
        if not run.known(file):
            run.read(file.source, partial(stage, store, file, given=mapping))
    return run.finish()


def import_arrow(
    store: EventStore,
    table: pa.Table,
    *,
    mapping: ColumnMapping | None = None,
    calendar: Calendar,
    source: str = "table",
    progress: Progress | None = None,
    on_proposal: OnProposal | None = None,
) -> ImportSummary:
    """Import an Arrow table, by the same rules as `import_files`.

    Examples:
        >>> import tempfile, pathlib, pyarrow as pa
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = EventStore.create(pathlib.Path(folder.name) / "events.duckdb")
        >>> table = pa.table({"user": ["a", "a"], "time": ["2026-01-01", "2026-01-02"], "event": ["open", "pay"]})
        >>> import_arrow(store, table, calendar=Calendar()).rows_added
        2
        >>> import_arrow(store, table, calendar=Calendar()).rows_added
        0
        >>> store.close(); folder.cleanup()
    """
    run = _Import(store, calendar, mapping, progress, on_proposal)
    run.read(source, lambda: stage_table(store, table, source=source))
    return run.finish()


def import_staged(
    store: EventStore,
    staged: Staged,
    *,
    mapping: ColumnMapping | None,
    calendar: Calendar,
    inside: Callable[[], None],
) -> ImportSummary:
    """Import rows that are staged already, with a further change in the same transaction."""
    run = _Import(store, calendar, mapping, None, None)
    run.read(staged.source, lambda: staged)
    return run.finish(inside)


@dataclass(slots=True)
class _Import:
    """One import under way."""

    store: EventStore
    calendar: Calendar
    given: ColumnMapping | None
    progress: Progress | None
    on_proposal: OnProposal | None
    files: dict[int, Prepared] = field(default_factory=dict)
    known_rows: int = 0
    known_files: int = 0
    messages: list[Text] = field(default_factory=list)
    plan: SchemaPlan = field(init=False)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.plan = SchemaPlan.of(self.store)

    def known(self, file: InputFile) -> bool:
        """Whether the file was imported before with the same mapping; its rows then count as duplicates."""
        for stored, rows in self.store.rows("SELECT mapping, rows_read FROM imports WHERE digest = ?", [file.digest]):
            before: dict[str, str] = json.loads(str(stored))
            now = {} if self.given is None else self.given.to_dict()
            if all(before.get(key) == value for key, value in now.items()):
                self.known_rows += int(str(rows))
                self.known_files += 1
                return True
        return False

    def read(self, source: str, stager: Stager) -> None:
        """Stage one file and decide what its columns mean."""
        staged: Staged | None = None
        try:
            with self.store.watched(self.progress, text("reading {source}", source=source)):
                staged = stager()
            with self.store.watched(self.progress, text("recognising types"), staged.rows):
                prepared = prepare(
                    self.store,
                    staged,
                    given=self.given,
                    calendar=self.calendar,
                    plan=self.plan,
                    on_proposal=self.on_proposal,
                )
        except BaseException:
            self._drop([*(p.staged for p in self.files.values()), *([staged] if staged else [])])
            raise
        first = self.store.count("SELECT max(import_id) FROM imports") + 1
        self.files[first + len(self.files)] = prepared
        self.messages += staged.messages

    def finish(self, inside: Callable[[], None] | None = None) -> ImportSummary:
        """Put everything into the log, or nothing."""
        try:
            with self.store.transaction():
                summary = self._commit()
                if inside is not None:
                    inside()
        finally:
            self._drop([p.staged for p in self.files.values()])
        return summary

    def _commit(self) -> ImportSummary:
        store = self.store
        rows = sum(p.staged.rows for p in self.files.values())
        self.plan.apply(store)
        with store.watched(self.progress, text("users"), rows):
            new_users = self._insert_users()
        with store.watched(self.progress, text("known rows"), rows):
            skipping = bool(self.files) and mark_duplicates(store, self.files, self.plan.properties)
        with store.watched(self.progress, text("sorting"), rows):
            added = self._insert_events(skipping)
            refused = refuse_erased(store, list(self.files))
            added -= refused
        if refused:
            self.messages.append(
                text(
                    "{n} of those known already were of users who have been erased, and were refused", n=f"{refused:,}"
                )
            )
        quarantined: dict[str, int] = {}
        for import_id, file in self.files.items():
            self._record(import_id, file, quarantined)
        if rows and not added and sum(quarantined.values()) >= rows:
            raise self._nothing_readable(quarantined)
        repeated = self._repeated()
        if added or self.plan.added or self.plan.widened:
            store.bump("data_version")
        if added:
            store.bump("runs")
        return self._summary(rows, added, new_users, quarantined, repeated)

    def _insert_users(self) -> int:
        ids = self._union(lambda _, p: statement(
            "SELECT {user} AS user_id FROM {r} WHERE {good}", user=p.user, r=p.staged.relation, good=p.good
        ))  # fmt: skip
        if ids is None:
            return 0
        before = self.store.count("SELECT count(*) FROM users")
        self.store.run(
            statement(
                "INSERT INTO users SELECT (SELECT coalesce(max(user_key), 0) FROM users)"
                " + row_number() OVER (), user_id"  # numbered as they stream by in order: cheaper than a window's own order
                " FROM (SELECT DISTINCT user_id FROM ({ids}) {new} ORDER BY user_id)",
                ids=ids,
                new=statement("ANTI JOIN users USING (user_id)" if before else ""),
            )
        )
        return self.store.count("SELECT count(*) FROM users") - before

    def _insert_events(self, skipping: bool) -> int:
        kept = list(self.plan.properties.values())
        select = self._union(
            lambda i, p: _row(i, p, [p.values.get(held.name, literal(None)) for held in kept], skipping)
        )
        if select is None:
            return 0
        before = self.store.count("SELECT count(*) FROM events")
        order = Fragment(
            "u.user_key, s.time, s.import_id, s.row" if len(self.files) > 1 else "u.user_key, s.time, s.row"
        )
        columns = listed(name(held.column) for held in kept)
        comma = Fragment(", " if kept else "")
        self.store.run(
            statement(
                "INSERT INTO events (user_key, time, event, event_id, import_id{comma}{columns})"
                " SELECT u.user_key, s.time, s.event, s.event_id, s.import_id{comma}{values}"
                " FROM ({select}) AS s JOIN users AS u ON u.user_id = s.user_id ORDER BY {order}",
                comma=comma, columns=columns, values=listed(Fragment(f"s.p{i}") for i in range(len(kept))),
                select=select, order=order,
            )
        )  # fmt: skip
        return self.store.count("SELECT count(*) FROM events") - before

    def _union(self, select: Callable[[int, Prepared], Fragment]) -> Fragment | None:
        if not self.files:
            return None
        return listed((select(i, p) for i, p in self.files.items()), " UNION ALL ")

    def _record(self, import_id: int, file: Prepared, quarantined: dict[str, int]) -> None:
        """One row in imports, and the rows set aside with their reasons."""
        store, staged = self.store, file.staged
        flawed = self._flawed(file) if file.flaws else []
        found: list[list[object]] = []
        if flawed or staged.rejects:
            where = places(store, staged)
            found = [
                [import_id, staged.source, where.of_reject(r), r.reason, str(r.message), r.raw] for r in staged.rejects
            ]
            found += [[import_id, *where.of_row(row), why, what, raw] for row, why, what, raw in flawed]
        for row in found:
            quarantined[str(row[3])] = quarantined.get(str(row[3]), 0) + 1
        insert_quarantine(store, found)
        added = store.count("SELECT count(*) FROM events WHERE import_id = ?", [import_id])
        read = staged.rows + len(staged.rejects)
        store.run(
            "INSERT INTO imports VALUES (?, ?, ?, ?, make_timestamp(?), ?, ?, ?, ?)",
            [
                import_id, staged.source, staged.digest, json.dumps(file.mapping.to_dict(), ensure_ascii=False),
                time.time_ns() // 1000, read, added, read - added - len(found), len(found),
            ],
        )  # fmt: skip

    def _flawed(self, file: Prepared) -> list[tuple[int, object, object, object]]:
        """Rows that were split into columns and cannot be used: row, reason, detail, the row as JSON."""
        staged = file.staged
        reason = listed((statement("WHEN {c} THEN {r}", c=f.condition, r=literal(f.reason)) for f in file.flaws), " ")
        detail = listed((statement("WHEN {c} THEN {d}", c=f.condition, d=f.detail) for f in file.flaws), " ")
        pairs = listed(statement("{n}: {c}", n=name(c.name), c=c.column) for c in staged.columns)
        found = self.store.rows(
            statement(
                "SELECT {row}, CASE {reason} END, CASE {detail} END, CAST(to_json({{{pairs}}}) AS VARCHAR) FROM {r}"
                " WHERE NOT ({good}) ORDER BY 1",
                row=ROW, reason=reason, detail=detail, pairs=pairs, r=staged.relation, good=file.good,
            )
        )  # fmt: skip
        return [(int(str(row)), why, what or "", raw) for row, why, what, raw in found]

    def _repeated(self) -> int:
        """Rows added that equal another row of their file; looked for among rows of one user and time only."""
        total = 0
        values = listed(name(c) for c in ("event", *(p.column for p in self.plan.properties.values())))
        for import_id, file in self.files.items():
            if file.mapping.event_id is not None:
                continue
            total += self.store.count(
                statement(
                    "WITH tied AS (SELECT rowid AS place FROM events WHERE import_id = $i QUALIFY"
                    " (lag(user_key) OVER () = user_key AND lag(time) OVER () = time)"
                    " OR (lead(user_key) OVER () = user_key AND lead(time) OVER () = time))"
                    " SELECT sum(n - 1) FROM (SELECT count(*) AS n FROM events"
                    " WHERE rowid IN (SELECT place FROM tied) GROUP BY user_key, time, hash({values}))",
                    values=values,
                ),
                {"i": import_id},
            )
        return total

    def _nothing_readable(self, quarantined: dict[str, int]) -> DataError:
        reason = max(quarantined, key=lambda r: quarantined[r])
        return DataError(
            text(
                "not one row of {source} can be used; most often: {reason}",
                source=", ".join(p.staged.source for p in self.files.values()),
                reason=REASONS[reason],
            ),
            code="UP334",
            hint=text("check which column was taken for what; name them with --user, --time and --event"),
        )

    def _summary(
        self, rows: int, added: int, new_users: int, quarantined: dict[str, int], repeated: int
    ) -> ImportSummary:
        read = rows + sum(len(p.staged.rejects) for p in self.files.values())
        first, last = self.store.row(
            "SELECT epoch_us(min(time)), epoch_us(max(time)) FROM events WHERE import_id >= ?",
            [min(self.files, default=0) if added else 2**31 - 1],
        )
        return ImportSummary(
            rows_read=read + self.known_rows,
            rows_added=added,
            rows_duplicate=read - added - sum(quarantined.values()) + self.known_rows,
            quarantined=quarantined,
            rows_repeated=repeated,
            files=len(self.files),
            files_known=self.known_files,
            mapping={p.staged.source: p.mapping for p in self.files.values()},
            new_properties={n: self.plan.properties[n].type for n in self.plan.added},
            widened=tuple(self.plan.notes),
            users=self.store.count("SELECT count(*) FROM users"),
            new_users=new_users,
            events=self.store.count("SELECT count(*) FROM events"),
            first_time=None if first is None else int(str(first)),
            last_time=None if last is None else int(str(last)),
            seconds=time.monotonic() - self.started,
            messages=tuple(self.messages),
        )

    def _drop(self, staged: Sequence[Staged]) -> None:
        for one in staged:
            with suppress(Exception):  # a broken connection must not hide the error that broke it
                drop(self.store, one)


_QUARANTINE_SCHEMA: Final = pa.schema(
    [("import_id", pa.int32()), ("source", pa.string()), ("line", pa.int64()), ("reason", pa.string()),
     ("message", pa.string()), ("raw", pa.string())]
)  # fmt: skip


def insert_quarantine(store: EventStore, rows: Sequence[Sequence[object]]) -> None:
    """Set rows aside: (import id, source, line, reason, detail, raw); inside a transaction."""
    if not rows:
        return
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), _QUARANTINE_SCHEMA, strict=True)
    ]
    store.connection.register("upswing_quarantined", pa.table(columns, schema=_QUARANTINE_SCHEMA))
    try:
        store.run("INSERT INTO quarantine SELECT * FROM upswing_quarantined")
    finally:
        store.connection.unregister("upswing_quarantined")


def _values(file: Prepared, kept: Sequence[Property]) -> list[Fragment]:
    return [file.values.get(held.name, literal(None)) for held in kept]


def _row(import_id: int, file: Prepared, values: list[Fragment], skipping: bool) -> Fragment:
    picked = listed((statement(", {v} AS {c}", v=v, c=Fragment(f"p{i}")) for i, v in enumerate(values)), "")
    skip = Fragment("")
    if skipping:
        skip = statement(
            " AND {row} NOT IN (SELECT row FROM {skipped} WHERE import_id = {i})",
            row=ROW, skipped=SKIPPED, i=literal(import_id),
        )  # fmt: skip
    return statement(
        "SELECT {user} AS user_id, make_timestamp({time}) AS time, {event} AS event, {event_id} AS event_id,"
        " {i} AS import_id, {row} AS row{picked} FROM {r} WHERE {good}{skip}",
        user=file.user, time=file.time, event=file.event, event_id=file.event_id, i=literal(import_id), row=ROW,
        picked=picked, r=file.staged.relation, good=file.good, skip=skip,
    )  # fmt: skip
