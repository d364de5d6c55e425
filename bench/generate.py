"""Generated events for the benchmarks: like a product's log, made by DuckDB's own deterministic functions in seconds."""

from __future__ import annotations

from pathlib import Path

import duckdb

EVENTS = ("view", "search", "cart", "pay", "open", "share", "like", "comment")


def write_events(path: Path, millions: float, *, events_per_user: int = 10) -> int:
    """Write about `millions` million events to a Parquet file in time order; returns the number written.

    Users have geometric-like numbers of events over 90 days. `amount` stands on payments only, `channel` on every event.
    """
    rows = int(millions * 1_000_000)
    if path.exists():
        return rows
    users = max(1, rows // events_per_user)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    con = duckdb.connect()
    con.execute("SET preserve_insertion_order = true")
    # h: one 64-bit hash per row gives user, event and time of day; squaring the share skews activity towards some users
    con.execute(
        f"""
        COPY (
            WITH raw AS (
                SELECT i, hash(i) AS h, hash(i + 7777777777) AS g FROM range({rows}) t(i)
            )
            SELECT
                'u' || CAST(floor(pow((h % 1000003) / 1000003.0, 1.4) * {users}) + (g % 3) AS BIGINT) AS user,
                make_timestamp(1767225600000000 + CAST(i * (90 * 86400000000.0 / {rows}) AS BIGINT) + CAST(g % 1000 AS BIGINT))
                    AS time,
                CASE WHEN h % 97 < 40 THEN 'view' WHEN h % 97 < 58 THEN 'search' WHEN h % 97 < 66 THEN 'cart'
                     WHEN h % 97 < 70 THEN 'pay' WHEN h % 97 < 85 THEN 'open' WHEN h % 97 < 90 THEN 'share'
                     WHEN h % 97 < 94 THEN 'like' ELSE 'comment' END AS event,
                CASE WHEN h % 97 BETWEEN 66 AND 69 THEN (g % 20000) / 100.0 END AS amount,
                'channel_' || (h % 5) AS channel
            FROM raw
        ) TO '{temporary}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 1000000)
        """
    )
    con.close()
    temporary.rename(path)
    return rows
