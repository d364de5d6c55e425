"""The tables of the embedded log: one DuckDB file, written by `upswing.events`, read by `upswing.engines.duckdb`.

``events`` is clustered: rows are inserted ordered by (user_key, time, ingest order), one run per import; compaction
makes one run of all. Inside equal (user_key, time) the physical row order is the ingest order.
"""

from __future__ import annotations

from typing import Final

SYSTEM_COLUMNS: Final = ("user_key", "user_id", "time", "event", "event_id", "import_id")
"""The columns that every event has."""

RESERVED_COLUMNS: Final = (*SYSTEM_COLUMNS, "rowid", "stored_row")
"""Names a property column cannot have, however written; such a property gets the suffix ``_property`` in its physical
column. ``rowid`` is DuckDB's own number of a row, which a column of that name hides; ``stored_row`` carries it."""

TABLES: Final = {
    # Properties are added as further columns of events, each listed in `properties`.
    "events": """
        user_key BIGINT NOT NULL,       -- dense, from users
        time TIMESTAMP NOT NULL,        -- UTC, µs
        event VARCHAR NOT NULL,
        event_id VARCHAR,               -- null where the source has none
        import_id INTEGER NOT NULL
    """,
    "users": "user_key BIGINT NOT NULL, user_id VARCHAR NOT NULL",
    "properties": "name VARCHAR PRIMARY KEY, type VARCHAR NOT NULL, column_name VARCHAR NOT NULL UNIQUE",
    "imports": """
        import_id INTEGER PRIMARY KEY, source VARCHAR NOT NULL, digest VARCHAR, mapping VARCHAR,
        finished_at TIMESTAMP NOT NULL, rows_read BIGINT NOT NULL, rows_added BIGINT NOT NULL,
        rows_duplicate BIGINT NOT NULL, rows_quarantined BIGINT NOT NULL
    """,
    "aliases": """
        alias VARCHAR NOT NULL, canonical VARCHAR NOT NULL, valid_from TIMESTAMP, source VARCHAR NOT NULL,
        added_at TIMESTAMP NOT NULL
    """,
    "quarantine": """
        import_id INTEGER NOT NULL, source VARCHAR NOT NULL, line BIGINT, reason VARCHAR NOT NULL,
        message VARCHAR NOT NULL, raw VARCHAR
    """,
    # keys: format (of this layout), data_version (+1 per change of events), identity_version (+1 per change of
    # aliases), runs (number of clustered runs in events; 1 after compaction)
    "log_meta": "key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL",
}

FORMAT: Final = "1"
