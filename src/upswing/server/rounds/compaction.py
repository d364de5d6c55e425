"""``compact``: intake adds one small batch after the other; the log is put into one order again, and its book kept short."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.events.compact import compact
from upswing.events.store import EventStore
from upswing.server.audit import ITSELF
from upswing.server.intake.staging import SOURCE
from upswing.server.schedule import Run

if TYPE_CHECKING:
    from upswing.facts.database import Facts
    from upswing.server.state import ServerState

_FEWEST: Final = 100_000
"""Events out of order that are worth writing the log anew."""
_SHARE: Final = 0.25
"""Of all events: so each event is rewritten a handful of times however long the log grows."""
_FEWEST_ENTRIES: Final = 500
_TABLE: Final = "CREATE TABLE IF NOT EXISTS compacted (events BIGINT NOT NULL)"
"""How many events were there after the last time; beside the log's own tables, as it is no part of the data."""


def compact_when_worth_it(state: ServerState, facts: Facts, run: Run) -> None:
    """Shorten the book of batches, and compact the log if a quarter of it, at least 100,000 events, is out of order.

    Meanwhile intake goes on into the spool, and questions are answered from the log as it was.

    Raises:
        EngineError: UP705 no room for a second copy of the log.
    """
    run.check()
    with state.storage.writing() as store:
        shorten_book(store)
        if worth_compacting(store):
            _check_room(store)
            _compact(store)
            facts.audit.record(ITSELF, "log.compact")
    state.storage.refresh()


def worth_compacting(store: EventStore) -> bool:
    """Whether so much came since the last compaction that questions read the log back and forth."""
    if int(store.meta("runs")) <= 1:
        return False
    store.run(_TABLE)
    events = store.count("SELECT count(*) FROM events")
    loose = events - store.count("SELECT max(events) FROM compacted")
    return loose >= max(_FEWEST, _SHARE * events)


def shorten_book(store: EventStore) -> int:
    """Let one entry of the imports stand for each past day of intake, with the sums of the day.

    Entries stay where rows in quarantine belong to them, or events dated after they came, which are told by them; so does
    the latest one, whose number the next one follows.

    Returns:
        Entries that went.
    """
    with store.transaction():
        store.run("CREATE OR REPLACE TEMP TABLE upswing_past AS " + _PAST, {"source": SOURCE})
        gone = store.count("SELECT count(*) FROM upswing_past WHERE import_id <> stays")
        if gone >= _FEWEST_ENTRIES:
            store.run(_SUMS)
            store.run(
                "DELETE FROM imports WHERE import_id IN (SELECT import_id FROM upswing_past WHERE import_id <> stays)"
            )
        store.run("DROP TABLE upswing_past")
    return gone if gone >= _FEWEST_ENTRIES else 0


_PAST: Final = (
    "SELECT import_id, max(import_id) OVER (PARTITION BY CAST(finished_at AS DATE)) AS stays FROM imports AS i "
    "WHERE source = $source AND digest IS NULL AND CAST(finished_at AS DATE) < CAST(now()::TIMESTAMP AS DATE) "
    "AND rows_quarantined = 0 AND import_id < (SELECT max(import_id) FROM imports) "
    "AND import_id NOT IN (SELECT import_id FROM quarantine) AND import_id NOT IN "
    "(SELECT e.import_id FROM events AS e JOIN imports AS j ON j.import_id = e.import_id WHERE e.time > j.finished_at)"
)
_SUMS: Final = (
    "UPDATE imports SET rows_read = s.read, rows_added = s.added, rows_duplicate = s.duplicate FROM "
    "(SELECT p.stays, CAST(sum(i.rows_read) AS BIGINT) AS read, CAST(sum(i.rows_added) AS BIGINT) AS added, "
    "CAST(sum(i.rows_duplicate) AS BIGINT) AS duplicate FROM upswing_past AS p "
    "JOIN imports AS i ON i.import_id = p.import_id GROUP BY p.stays) AS s WHERE imports.import_id = s.stays"
)


def _check_room(store: EventStore) -> None:
    needed, free = 2 * store.path.stat().st_size, shutil.disk_usage(store.path.parent).free
    if free < needed:
        raise EngineError(text("out of disk or memory: {cause}", cause=f"{free:,} B < {needed:,} B"), code="UP705")


def _compact(store: EventStore) -> None:
    try:
        compact(store)
    except EngineError:
        if int(store.meta("runs")) > 1:
            raise
        # it is done; only giving the space back has to wait until nobody reads
    with store.transaction():
        store.run("DELETE FROM compacted")
        store.run("INSERT INTO compacted SELECT count(*) FROM events")
