"""A real embedded log from the oracles' events: what the analyses' tests run on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from tests.oracles.event import Event
from upswing.core.calendar import Calendar
from upswing.engines.duckdb import DuckDBEngine
from upswing.events.log import EventLog
from upswing.events.store import EventStore

_TYPES = {
    str: ("VARCHAR", "text"),
    float: ("DOUBLE", "number"),
    int: ("BIGINT", "integer"),
    bool: ("BOOLEAN", "boolean"),
}


def embedded_log(folder: Path, events: Iterable[Event], *, zone: str = "UTC", week_start: str = "monday") -> EventLog:
    """Write `events` (in stored order) as one clustered run and open the log for questions."""
    rows = sorted(events, key=lambda e: (e.user, e.time, e.row))
    names = sorted({key for e in rows for key in e.props})
    kinds = {n: _kind([e.props[n] for e in rows if e.props.get(n) is not None]) for n in names}
    users = sorted({e.user for e in rows})
    columns = {
        "user_key": pa.array([users.index(e.user) for e in rows], pa.int64()),
        "time": pa.array([e.time for e in rows], pa.int64()).cast(pa.timestamp("us")),
        "event": pa.array([e.name for e in rows], pa.string()),
        "event_id": pa.nulls(len(rows), pa.string()),
        "import_id": pa.array([1] * len(rows), pa.int32()),
        **{n: pa.array([_cast(e.props.get(n), kinds[n]) for e in rows]) for n in names},
    }
    path = folder / "events.duckdb"
    path.unlink(missing_ok=True)
    with EventStore.create(path) as store:
        con = store.connection
        for name in names:
            con.execute(f'ALTER TABLE events ADD COLUMN "{name}" {_TYPES[kinds[name]][0]}')
            con.execute("INSERT INTO properties VALUES (?, ?, ?)", [name, _TYPES[kinds[name]][1], name])
        for key, user in enumerate(users):
            con.execute("INSERT INTO users VALUES (?, ?)", [key, user])
        con.register("given", pa.table(columns))
        con.execute("INSERT INTO events BY NAME SELECT * FROM given")
        con.execute("INSERT INTO imports VALUES (1, 'test', NULL, NULL, '2100-01-01', ?, ?, 0, 0)", [len(rows)] * 2)
        store.bump("data_version")
    return EventLog(DuckDBEngine.open(path), Calendar(zone, week_start))


def _kind(values: list[object]) -> type:
    found = {type(v) for v in values} or {str}
    if found <= {int, float}:
        return float if float in found else int
    return found.pop() if len(found) == 1 else str


def _cast(value: object, kind: type) -> object:
    return None if value is None else kind(value)
