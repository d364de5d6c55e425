"""Writing a large log anew: enough rows that the engine writes them with several threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from upswing.core.calendar import Calendar
from upswing.events.compact import compact
from upswing.events.erasure import delete_old, erase_user
from upswing.events.importer import import_arrow
from upswing.events.store import EventStore

ROWS = 400_000
BEGIN = 1_760_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    made = EventStore.create(tmp_path / "events.duckdb")
    random = np.random.default_rng(1)
    for part in range(2):
        count = ROWS // 2
        table = pa.table({
            "user": pa.array(random.integers(0, 1000, count)).cast(pa.string()),
            "time": pa.array(BEGIN + random.integers(0, 10**12, count)).cast(pa.timestamp("us", "UTC")),
            "event": ["open", "pay"] * (count // 2), "event_id": [f"{part}-{i}" for i in range(count)],
        })  # fmt: skip
        import_arrow(made, table, calendar=Calendar(), source=f"part {part}")
    return made


def facts(store: EventStore, where: str = "true") -> tuple[object, ...]:
    return store.row(
        f"SELECT count(*), count(DISTINCT event_id), sum(epoch_us(time)), sum(hash(user_key, event)) FROM events WHERE {where}"
    )


def test_compaction_keeps_every_row(store: EventStore) -> None:
    before = facts(store)
    assert before[0] == ROWS
    assert compact(store) == 2
    assert facts(store) == before
    wrong = (
        "SELECT count(*) FROM (SELECT user_key < lag(user_key) OVER (ORDER BY rowid) AS back FROM events) WHERE back"
    )
    assert store.count(wrong) == 0
    store.close()


def test_erasure_keeps_everybody_else(store: EventStore) -> None:
    key = store.count("SELECT user_key FROM users WHERE user_id = '7'")
    others = facts(store, f"user_key <> {key}")
    report = erase_user(store, "7", at=BEGIN + 10**13)
    assert report.events == ROWS - int(str(others[0])) > 0
    assert facts(store) == others
    store.close()


def test_old_events_alone_go(store: EventStore) -> None:
    middle = BEGIN + 5 * 10**11
    left = facts(store, f"epoch_us(time) >= {middle}")
    delete_old(store, {"*": 5 * 10**11}, at=BEGIN + 10**12)
    assert facts(store) == left
    store.close()
