"""Every vector runs on every engine: the embedded log and ClickHouse in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.logs import embedded_log
from tests.oracles.event import Event
from upswing.core.calendar import Calendar
from upswing.engines.clickhouse import ClickHouseEngine
from upswing.events.log import EventLog

MakeLog = Callable[..., EventLog]


@pytest.fixture(scope="session")
def clickhouse() -> Any:
    """ClickHouse in this process."""
    pytest.importorskip("chdb", reason="the ClickHouse engine in process is not installed")
    engine = ClickHouseEngine.open("chdb://")
    yield engine
    engine.close()


@pytest.fixture(params=["duckdb", "chdb"])
def log_on(request: pytest.FixtureRequest, tmp_path: Path) -> MakeLog:
    """Makes a log of events (in stored order) on the engine."""
    if request.param == "duckdb":
        return lambda events, zone="UTC", week_start="monday": embedded_log(
            tmp_path, events, zone=zone, week_start=week_start
        )
    engine = request.getfixturevalue("clickhouse")

    def make(events: Iterable[Event], zone: str = "UTC", week_start: Any = "monday") -> EventLog:
        engine.load(table(list(events)))
        return EventLog(engine, Calendar(zone, week_start))

    return make


def table(events: list[Event]) -> pa.Table:
    """Events in stored order, properties as columns."""
    rows = sorted(events, key=lambda e: e.row)
    columns: dict[str, Any] = {
        "user_id": pa.array([e.user for e in rows], pa.string()),
        "time": pa.array([e.time for e in rows], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "event": pa.array([e.name for e in rows], pa.string()),
    }
    for name in sorted({p for e in rows for p in e.props}):
        values = [e.props.get(name) for e in rows]
        numbers = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)
        columns[name] = (
            pa.array([None if v is None else float(v) for v in values], pa.float64())
            if numbers
            else pa.array([None if v is None else str(v) for v in values], pa.string())
        )
    return pa.table(columns)
