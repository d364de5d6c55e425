"""The table of events written anew: some rows left out, or in another order."""

from __future__ import annotations

from upswing.events.statements import Fragment, name, statement
from upswing.events.store import EventStore

_NEVER_NULL = ("user_key", "time", "event", "import_id")


def rewrite_events(store: EventStore, which: str) -> None:
    """Replace the events by a selection of them; inside a transaction. The rows as they were are ``events_before``, to be
    dropped by the caller when nothing is missed.

    The table is made with its rows: DuckDB 2.0 finds no rows in one that is made empty and filled in the same transaction
    by several threads, until the file is opened again.

    Args:
        store: the log.
        which: what follows ``SELECT * FROM events_before AS e``: a condition and an order.
    """
    store.run("ALTER TABLE events RENAME TO events_before")
    store.run(statement("CREATE TABLE events AS SELECT * FROM events_before AS e {which}", which=Fragment(which)))
    for column in _NEVER_NULL:
        store.run(statement("ALTER TABLE events ALTER {c} SET NOT NULL", c=name(column)))
