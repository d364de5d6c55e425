"""The same questions put to ClickHouse (in process, table ordered by user) and to plain DuckDB SQL."""

from __future__ import annotations

import time
from pathlib import Path

import duckdb
from chdb.session import Session

from upswing.engines.memory import usual_limit

STEPS = ("view", "search", "cart", "pay")
WEEK = 7 * 86_400_000_000


class ClickHouse:
    """chdb over a MergeTree table ordered by (user_key, time), 64-bit keys, dictionary event names."""

    def __init__(self, parquet: Path, folder: Path) -> None:
        self.session = Session(str(folder))
        self.session.query("DROP TABLE IF EXISTS events")
        self.session.query(
            "CREATE TABLE events (user_key UInt64, time DateTime64(6), event LowCardinality(String), amount Nullable(Float64),"
            " channel LowCardinality(String)) ENGINE = MergeTree ORDER BY (user_key, time)"
        )
        self.session.query(
            "INSERT INTO events SELECT cityHash64(user), time, event, amount, channel "
            f"FROM file('{parquet}', Parquet, 'user String, time DateTime64(6), event String, "
            "amount Nullable(Float64), channel String')"
        )
        self.session.query("OPTIMIZE TABLE events FINAL")

    def funnel(self, *, predicate: bool = False) -> list[int]:
        last = "event = 'pay' AND amount > 50" if predicate else "event = 'pay'"
        conditions = ", ".join([f"event = '{s}'" for s in STEPS[:3]] + [last])
        rows = self._rows(
            f"SELECT level, count() FROM (SELECT user_key, windowFunnel({WEEK}, 'strict_once')"
            f"(toUInt64(toUnixTimestamp64Micro(time)), {conditions}) AS level FROM events "
            "WHERE event IN ('view', 'search', 'cart', 'pay') GROUP BY user_key) GROUP BY level"
        )
        reached = {int(a): int(b) for a, b in rows}
        return [sum(n for level, n in reached.items() if level >= k) for k in range(1, 5)]

    def retention(self) -> int:
        rows = self._rows(
            "SELECT s, r - s, uniqExact(user_key) FROM "
            "(SELECT DISTINCT user_key, toDate(time) AS s FROM events WHERE event = 'open') a "
            "INNER JOIN (SELECT DISTINCT user_key, toDate(time) AS r FROM events WHERE event = 'open') b USING user_key "
            "WHERE r >= s AND r <= s + 7 GROUP BY 1, 2"
        )
        return sum(int(c) for *_, c in rows)

    def _rows(self, sql: str) -> list[list[str]]:
        body = str(self.session.query(sql, "TabSeparated")).strip()
        return [line.split("\t") for line in body.split("\n")] if body else []


def write_csv(parquet: Path, path: Path) -> None:
    """The file as text with a header."""
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT * FROM read_parquet('{parquet}')) TO '{path}' (HEADER)")


def create_ordered(file: Path, path: Path) -> float:
    """Seconds to make a table of the file's own columns, ordered by user and time, with the memory Upswing has."""
    begun = time.perf_counter()
    with duckdb.connect(str(path), config={"memory_limit": usual_limit()}) as con:
        con.execute(f"CREATE TABLE events AS SELECT * FROM '{file}' ORDER BY \"user\", time")
    return time.perf_counter() - begun


class PlainDuckDB:
    """Window-function SQL over a table clustered by (user, time)."""

    def __init__(self, parquet: Path, path: Path) -> None:
        self.con = duckdb.connect(str(path), config={"memory_limit": "6GB"})
        self.con.execute(
            'CREATE OR REPLACE TABLE events AS SELECT hash("user") AS user_key, time, event, amount, channel '
            f"FROM read_parquet('{parquet}') ORDER BY user_key, time"
        )

    @classmethod
    def reopen(cls, path: Path) -> PlainDuckDB:
        """The same table again."""
        made = cls.__new__(cls)
        made.con = duckdb.connect(str(path), read_only=True)
        return made

    def funnel(self, *, predicate: bool = False) -> list[int]:
        """Latest entry carried forward by window functions, one level per step (exact without ties)."""
        last = "event = 'pay' AND amount > 50" if predicate else "event = 'pay'"
        levels, previous = [], "t0"
        conditions = [f"event = '{s}'" for s in STEPS[1:3]] + [last]
        for i, condition in enumerate(conditions, 1):
            levels.append(
                f"s{i} AS (SELECT *, CASE WHEN {condition} AND t - max({previous}) OVER w <= {WEEK} THEN "
                f"max({previous}) OVER w END AS t{i} FROM s{i - 1} "
                "WINDOW w AS (PARTITION BY user_key ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))"
            )
            previous = f"t{i}"
        row = self.con.execute(
            "WITH s0 AS (SELECT user_key, epoch_us(time) AS t, event, amount, CASE WHEN event = 'view' THEN epoch_us(time) END AS t0 "
            f"FROM events WHERE event IN ('view', 'search', 'cart', 'pay')), {', '.join(levels)} "
            "SELECT count(DISTINCT user_key) FILTER (t0 IS NOT NULL), count(DISTINCT user_key) FILTER (t1 IS NOT NULL), "
            "count(DISTINCT user_key) FILTER (t2 IS NOT NULL), count(DISTINCT user_key) FILTER (t3 IS NOT NULL) FROM s3"
        ).fetchone()
        return [int(x) for x in row or ()]

    def retention(self) -> int:
        row = self.con.execute(
            "WITH d AS (SELECT DISTINCT user_key, time::DATE AS day FROM events WHERE event = 'open') "
            "SELECT sum(n) FROM (SELECT a.day, b.day - a.day AS lag, count(*) AS n FROM d a JOIN d b USING (user_key) "
            "WHERE b.day >= a.day AND b.day <= a.day + 7 GROUP BY 1, 2)"
        ).fetchone()
        return int(row[0]) if row else 0
