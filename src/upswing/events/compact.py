"""Rewrite the log in one run, ordered by user and time, so that questions read it straight through."""

from __future__ import annotations

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.events.rewriting import rewrite_events
from upswing.events.statements import listed, name, statement
from upswing.events.store import EventStore, Progress


def compact(store: EventStore, *, progress: Progress | None = None) -> int:
    """Rewrite the events as one clustered run.

    The order inside a user and an instant, which is the order they came in, stays. All or nothing: when the disk fills
    up or the process is stopped, the log is as it was. Needs room for a second copy of the events until it is done.

    Returns:
        Number of runs before; 0 or 1 means that there was nothing to do.

    Raises:
        EngineError: UP705 out of disk or memory; UP707 the rewritten log is not the old one.
    """
    runs = int(store.meta("runs"))
    if runs <= 1:
        return runs
    rows = store.count("SELECT count(*) FROM events")
    with store.transaction():
        with store.watched(progress, text("rewriting"), rows):
            rewrite_events(store, "ORDER BY e.user_key, e.time, e.import_id, e.rowid")
        _check_nothing_lost(store, rows)
        store.run("DROP TABLE events_before")
        store.set_meta("runs", "1")
        store.bump("data_version")
    store.run("CHECKPOINT")
    return runs


def _check_nothing_lost(store: EventStore, rows: int) -> None:
    """Equal counts and sums of hashes before the old rows go."""
    columns = [str(c) for (c,) in store.rows("SELECT column_name FROM duckdb_columns() WHERE table_name = 'events'")]
    content = listed(name(c) for c in columns)
    sums = [
        store.row(statement("SELECT count(*), sum(hash({c})) FROM {t}", c=content, t=name(table)))
        for table in ("events_before", "events")
    ]
    if sums[0] != sums[1] or sums[1][0] != rows:
        raise EngineError(text("the rewritten log differs from the old one; nothing was changed"), code="UP707")
