"""Small logs in every engine, and what sequences of them must be, worked out the slow way."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from tests.oracles.event import Event, by_user
from upswing.engines.base import Engine, SequenceRequest
from upswing.engines.layout import TABLES

COLUMNS = {"p": "VARCHAR", "q": "VARCHAR", "n": "DOUBLE"}
TYPES = {"p": "text", "q": "text", "n": "number"}
COMMIT = 4_000_000_000_000_000  # every event is older than its import


def write_log(path: Path, events: list[Event], *, aliases: Iterable[tuple] = (), cuts: Iterable[int] = ()) -> None:
    """The embedded layout: one run per part of the stored rows between `cuts`, each sorted by user and time."""
    con = duckdb.connect(str(path))
    for name, columns in TABLES.items():
        con.execute(f"CREATE TABLE {name} ({columns})")
    for name, kind in COLUMNS.items():
        con.execute(f"ALTER TABLE events ADD COLUMN {name} {kind}")
        con.execute("INSERT INTO properties VALUES (?, ?, ?)", [name, TYPES[name], name])
    ids = sorted({e.user for e in events}, key=lambda u: u[::-1])
    keys = {user: number for number, user in enumerate(ids)}
    if keys:
        con.executemany("INSERT INTO users VALUES (?, ?)", [(k, u) for u, k in keys.items()])
    edges = [0, *sorted(cuts), len(events)]
    for number, (lo, hi) in enumerate(pairwise(edges)):
        con.execute("INSERT INTO imports VALUES (?, 'x', NULL, NULL, make_timestamp(?), 0, 0, 0, 0)", [number, COMMIT])
        run = sorted(events[lo:hi], key=lambda e: (keys[e.user], e.time, e.row))
        rows = [
            (keys[e.user], e.time, e.name, None, number, e.props.get("p"), e.props.get("q"), e.props.get("n"))
            for e in run
        ]
        if rows:
            con.executemany("INSERT INTO events VALUES (?, make_timestamp(?), ?, ?, ?, ?, ?, ?)", rows)
    for alias, canonical, valid_from in aliases:
        con.execute(
            "INSERT INTO aliases VALUES (?, ?, make_timestamp(?), 'test', make_timestamp(0))",
            [alias, canonical, valid_from],
        )
    for key, value in {"format": "1", "data_version": "1", "identity_version": "1", "runs": "1"}.items():
        con.execute("INSERT INTO log_meta VALUES (?, ?)", [key, value])
    con.close()


def as_arrow(events: list[Event]) -> pa.Table:
    """The log as one table in stored order."""
    return pa.table(
        {
            "user_id": pa.array([e.user for e in events], pa.string()),
            "time": pa.array([e.time for e in events], pa.timestamp("us")),
            "event": pa.array([e.name for e in events], pa.string()),
            "p": pa.array([e.props.get("p") for e in events], pa.string()),
            "q": pa.array([e.props.get("q") for e in events], pa.string()),
            "n": pa.array([None if e.props.get("n") is None else float(e.props["n"]) for e in events], pa.float64()),
        }
    )


class Asked(NamedTuple):
    """A request beside what it means, in Python."""

    request: SequenceRequest
    marks: list[Callable[[Event], bool]]
    where: Callable[[Event], bool]
    columns: list[Callable[[Event], Any]]


def expected(events: list[Event], asked: Asked, *, users: set[str] | None = None) -> dict[str, list[tuple]]:
    """Per user id: (time, marks, columns…) of every event that must be there."""
    found = {}
    for user, own in by_user(events).items():
        rows = []
        for e in own:
            marks = sum(1 << i for i, test in enumerate(asked.marks) if test(e))
            r = asked.request
            inside = (r.start is None or e.time >= r.start) and (r.stop is None or e.time < r.stop)
            if inside and asked.where(e) and (users is None or user in users) and (marks or r.unmarked):
                rows.append((e.time, marks, *(c(e) for c in asked.columns)))
        if rows:
            found[user] = rows
    return found


def actual(engine: Engine, request: SequenceRequest) -> dict[str, list[tuple]]:
    """The same from an engine; unmarked events that it may leave in are left out."""
    found: dict[str, list[tuple]] = {}
    for batch in engine.sequences(request):
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == batch.n_events == len(batch.marks)
        for number, user in enumerate(engine.user_ids(batch.users)):
            rows = []
            for i in range(int(batch.offsets[number]), int(batch.offsets[number + 1])):
                if batch.marks[i] or request.unmarked:
                    rows.append((int(batch.times[i]), int(batch.marks[i]), *(c[i].item() for c in batch.columns)))
            if rows:
                assert user not in found
                found[user] = rows
    return found


def with_group_of_keys(rows: dict[str, list[tuple]], column: int) -> dict[str, list[tuple]]:
    """Keys replaced by the order of their first appearance, null by None: what may be compared between engines."""
    seen: dict[Any, int] = {}
    made = {}
    for user in sorted(rows):
        made[user] = []
        for row in rows[user]:
            key = row[column]
            label = None if key in (0, None) else seen.setdefault(key, len(seen))
            made[user].append((*row[:column], label, *row[column + 1 :]))
    return made


def no_nan(rows: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    """nan as None, so that equality works."""
    return {
        u: [tuple(None if isinstance(v, float) and np.isnan(v) else v for v in r) for r in rs] for u, rs in rows.items()
    }
