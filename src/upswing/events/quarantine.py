"""Rows that were set aside at import: counted, listed, exported, tried again under another mapping, or cleared."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.core.i18n import Text, text
from upswing.events.importer import import_staged
from upswing.events.mapping import ColumnMapping
from upswing.events.readers import stage_texts
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore, engine_errors
from upswing.events.summary import REASONS, ImportSummary


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that was set aside.

    Args:
        import_id: the import that met it.
        source: its file.
        line: the line on which it begins there; None where unknown.
        reason: code, a key of `summary.REASONS`.
        detail: what exactly, e.g. the value that could not be read.
        raw: the row: a JSON object by column, or the line itself where it did not split into columns.
    """

    import_id: int
    source: str
    line: int | None
    reason: str
    detail: str
    raw: str | None

    @property
    def message(self) -> Text:
        """The reason in words."""
        return REASONS[self.reason]


def quarantined(
    store: EventStore, *, reason: str | None = None, source: str | None = None, limit: int | None = 100
) -> list[QuarantinedRow]:
    """Rows set aside, by import and line.

    Args:
        store: the log.
        reason: only this reason.
        source: only this file.
        limit: at most so many; None = all.
    """
    found = store.rows(
        "SELECT import_id, source, line, reason, message, raw FROM quarantine"
        " WHERE ($reason IS NULL OR reason = $reason) AND ($source IS NULL OR source = $source)"
        " ORDER BY import_id, line, rowid LIMIT $limit",
        {"reason": reason, "source": source, "limit": 2**62 if limit is None else max(0, limit)},
    )
    return [
        QuarantinedRow(
            int(str(i)), str(s), None if n is None else int(str(n)), str(r), str(m), None if raw is None else str(raw)
        )
        for i, s, n, r, m, raw in found
    ]


def count_by_reason(store: EventStore) -> dict[str, int]:
    """Rows set aside, by reason, most first."""
    found = store.rows("SELECT reason, count(*) AS n FROM quarantine GROUP BY reason ORDER BY n DESC, reason")
    return {str(reason): int(str(n)) for reason, n in found}


def export_quarantine(store: EventStore, path: str | Path) -> int:
    """Write all rows set aside to a CSV file: source, line, reason, detail, raw.

    Returns:
        Number of rows.
    """
    rows = quarantined(store, limit=None)
    with Path(path).open("w", encoding="utf-8-sig", newline="") as out:  # the mark lets spreadsheets read Chinese
        writer = csv.writer(out)
        writer.writerow(["source", "line", "reason", "detail", "raw"])
        writer.writerows([r.source, r.line, r.reason, r.detail, r.raw] for r in rows)
    return len(rows)


def clear_quarantine(store: EventStore, *, reason: str | None = None) -> int:
    """Forget rows set aside: all, or those with one reason.

    Returns:
        Number of rows.
    """
    with store.transaction():
        count = store.count("SELECT count(*) FROM quarantine WHERE $r IS NULL OR reason = $r", {"r": reason})
        store.run("DELETE FROM quarantine WHERE $r IS NULL OR reason = $r", {"r": reason})
    return count


def retry_quarantine(
    store: EventStore, *, mapping: ColumnMapping, calendar: Calendar, source: str | None = None
) -> ImportSummary:
    """Try the rows again that were split into columns, under another mapping or time format.

    What is still bad goes back with its reason, file and line; the rest joins the log. Rows that did not split into columns
    stay where they are: mend the file and import it again.

    Args:
        store: the log.
        mapping: what differs from the mapping that the latest of them was imported with.
        calendar: the zone of times that carry none.
        source: only rows of this file; needed when rows of files with different columns are set aside.

    Raises:
        DataError: UP345 nothing to try again; UP334 still not one row is usable.
    """
    where = Fragment("json_valid(raw) AND json_type(raw) = 'OBJECT' AND ($source IS NULL OR source = $source)")
    taken = store.rows(
        statement("SELECT rowid, raw, source, line FROM quarantine WHERE {w} ORDER BY rowid", w=where),
        {"source": source},
    )
    if not taken:
        raise DataError(text("no rows to try again are set aside"), code="UP345")
    records = [json.loads(str(raw)) for _, raw, _, _ in taken]
    columns = list(dict.fromkeys(key for record in records for key in record))
    table = pa.table({f"c{i}": [_as_text(r.get(c)) for r in records] for i, c in enumerate(columns)})
    with engine_errors():
        store.connection.register("upswing_retried", table)
    try:
        moment = datetime.now(tz=UTC).isoformat(timespec="seconds")
        picked = listed(name(f"c{i}") for i in range(len(columns)))
        staged = stage_texts(
            store,
            f"quarantine {moment}",
            columns,
            statement("SELECT {picked} FROM upswing_retried", picked=picked),
            [(str(file), None if line is None else int(str(line))) for _, _, file, line in taken],
        )
    finally:
        store.connection.unregister("upswing_retried")
    ids = listed(literal(int(str(at))) for at, *_ in taken)
    return import_staged(
        store,
        staged,
        mapping=_combined(store, taken[-1][0], mapping),
        calendar=calendar,
        inside=lambda: store.run(statement("DELETE FROM quarantine WHERE rowid IN ({ids})", ids=ids)),
    )


def _combined(store: EventStore, row: object, changes: ColumnMapping) -> ColumnMapping:
    """The mapping of a row's import with changes; what the changes set anew is recognised anew."""
    before = store.value(
        "SELECT mapping FROM imports JOIN quarantine USING (import_id) WHERE quarantine.rowid = ?", [row]
    )
    return ColumnMapping(**{**json.loads(str(before)), **changes.to_dict()})


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
