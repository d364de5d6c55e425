"""The aha search against one SQL statement per behaviour: ``python -m bench.aha [millions] [behaviours]``.

500 behaviours × 5 counts × 3 windows over a log of `millions` million events in process, warm. DuckDB answers the very
same question, users with and without the outcome by behaviour, count and window, by one statement for each behaviour over
a table in time order and over one ordered by user; since 500 statements take long, a sample of them is timed and the mean
is taken 500 times. The counts of the sample are compared before the times are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np

from bench.generate import write_events
from upswing.diagnose.aha import _plan
from upswing.diagnose.scan import Scan
from upswing.spec.aha import AhaDefinition
from upswing.spec.validation import validated
from upswing.workspace import Workspace

DATA = Path(__file__).parent / "data"
COUNTS, WINDOWS, SAMPLE = (1, 2, 3, 5, 10), (1, 3, 7), 6


def main(millions: float, behaviours: int) -> None:
    source = DATA / f"events_{millions:g}m.parquet"
    write_events(source, millions)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        named = Path(folder) / "named.parquet"
        rename(source, named, behaviours)
        ours, tables, names = upswing(Path(folder), named, behaviours)
        for order in ("time", '"user", time'):
            theirs = peer(named, names, tables, order)
            print(f"DuckDB, table ordered by {order}: {theirs:.3f} s a behaviour, {theirs * behaviours:.0f} s in all; "
                  f"Upswing {ours:.3f} s: {ours / (theirs * behaviours):.5f} of it")  # fmt: skip


def rename(source: Path, target: Path, behaviours: int) -> None:
    """The generated log with `behaviours` names, unevenly frequent, beside a start and an outcome."""
    duckdb.execute(
        f"""COPY (SELECT "user", time, CASE WHEN event = 'open' THEN 'open'
             ELSE 'b' || CAST(floor(pow((hash(time, "user") % 1000003) / 1000003.0, 2) * $n) AS INTEGER) END AS event
           FROM read_parquet($source)) TO '{target}' (FORMAT parquet)""",  # a path of our own
        {"n": behaviours, "source": str(source)},
    )


def upswing(folder: Path, named: Path, behaviours: int) -> tuple[float, np.ndarray, list[str]]:
    workspace = Workspace.create(folder / "ws")
    workspace.import_events([named], user="user", time="time", event="event")
    definition = validated(
        AhaDefinition,
        {"name": "bench", "start": {"event": "open"}, "outcome": {"event": "open"}, "after": "14d", "until": "28d",
         "counts": list(COUNTS), "windows": [f"{w}d" for w in WINDOWS], "activity": "none",
         "behaviours": [{"event": e} for e in workspace.log.schema.events if e != "open"][:behaviours]},
        what="bench",
    )  # fmt: skip
    scan = Scan(workspace.log)
    best = np.inf
    for _ in range(4):
        begun, cpu = time.perf_counter(), time.process_time()
        plan = _plan(scan, definition, None, None, None)
        found = scan.run(plan.kernel, plan.request, lambda a, b: a + b)
        best = min(best, time.perf_counter() - begun)
        print(f"Upswing: {time.perf_counter() - begun:.3f} s ({time.process_time() - cpu:.3f} s of CPU), "
              f"{len(plan.behaviours)} behaviours", flush=True)  # fmt: skip
    tables = np.stack([found.shown.sum(axis=(0, 4)), found.shown_reached.sum(axis=(0, 4))])
    return best, tables, [b.shown for b in plan.behaviours]


def peer(named: Path, names: list[str], tables: np.ndarray, order: str) -> float:
    """Mean seconds of one statement of the sample, after its answer has been compared."""
    con = duckdb.connect()
    con.execute(
        f"CREATE TABLE e AS SELECT \"user\" AS u, time AS t, event FROM read_parquet('{named}') ORDER BY {order}"
    )
    cells = ", ".join(
        f"count(*) FILTER (w{w} >= {c}), count(*) FILTER (w{w} >= {c} AND y)" for w in WINDOWS for c in COUNTS
    )
    counted = ", ".join(f"count(*) FILTER (event = $b AND t < t0 + INTERVAL {w} DAY) AS w{w}" for w in WINDOWS)
    statement = f"""
        WITH s AS (SELECT u, min(t) AS t0 FROM e WHERE event = 'open' GROUP BY u),
        x AS (SELECT u, {counted}, bool_or(event = 'open' AND t >= t0 + INTERVAL 14 DAY) AS y
              FROM s JOIN e USING (u) WHERE t >= t0 AND t < t0 + INTERVAL 28 DAY
                AND t0 + INTERVAL 28 DAY <= (SELECT max(t) FROM e) AND event IN ('open', $b) GROUP BY u, t0)
        SELECT {cells} FROM x"""
    seconds = []
    for i in np.linspace(0, len(names) - 1, SAMPLE).astype(int):
        begun = time.perf_counter()
        row = con.execute(statement, {"b": names[i]}).fetchone()
        seconds.append(time.perf_counter() - begun)
        answer = np.array(row).reshape(len(WINDOWS), len(COUNTS), 2)
        np.testing.assert_array_equal(np.moveaxis(answer, -1, 0), tables[:, i], names[i])
    return float(np.mean(seconds))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, int(sys.argv[2]) if len(sys.argv) > 2 else 500)
