"""Properties called like something of the engine's own: kept under their names, and in nobody's way."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from upswing.core.calendar import Calendar
from upswing.core.units import DAY
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.external import ExternalEvents
from upswing.engines.layout import RESERVED_COLUMNS
from upswing.events.compact import compact
from upswing.events.erasure import delete_old, erase_user
from upswing.events.identity import add_aliases
from upswing.events.importer import import_arrow, import_files
from upswing.events.quality import check_quality
from upswing.events.store import EventStore
from upswing.workspace import Workspace

UTC = Calendar()
AT = UTC.instant("2026-06-01")
N = 50
USERS = [f"u{i % 5}" for i in range(N)]
TIMES = [f"2026-01-{i % 28 + 1:02d}T{i % 24:02d}:00:00" for i in range(N)]
NUMBERS = [i if i % 5 > 1 else None for i in range(N)]  # some have none


def file_with(folder: Path, *columns: str) -> Path:
    path = folder / "events.csv"
    rows = [
        ",".join([user, time, "ab"[i % 2], *(["" if n is None else str(n)] * len(columns))])
        for i, (user, time, n) in enumerate(zip(USERS, TIMES, NUMBERS, strict=True))
    ]
    path.write_text("\n".join([",".join(["user", "time", "event", *columns]), *rows]) + "\n", encoding="utf-8")
    return path


def people(store: EventStore) -> list[str]:
    return [str(u) for (u,) in store.rows("SELECT user_id FROM events JOIN users USING (user_key) ORDER BY ALL")]


def as_before(path: Path, column: str) -> None:
    """The log as a version made it that did not reserve the name."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(f'ALTER TABLE events RENAME COLUMN "{column}_property" TO "{column}"')
        connection.execute("UPDATE properties SET column_name = ? WHERE name = ?", [column, column])


@pytest.mark.parametrize("named", ["rowid", "RowID", "stored_row"])
@pytest.mark.parametrize("old", [False, True])
def test_nobody_elses_events_go(tmp_path: Path, named: str, old: bool) -> None:
    path = tmp_path / "events.duckdb"
    with EventStore.create(path) as store:
        import_files(store, [file_with(tmp_path, named)], calendar=UTC)
        held = store.properties()[named]
        assert held.column.casefold() not in RESERVED_COLUMNS
    if old:
        as_before(path, named)
    with EventStore.open(path) as store:
        assert store.properties()[named] == held
        assert store.count(f'SELECT count("{held.column}") FROM events') == sum(n is not None for n in NUMBERS)
        found = erase_user(store, "u3", at=AT)
        assert found.events == USERS.count("u3")
        assert people(store) == sorted(u for u in USERS if u != "u3")
        import_arrow(
            store, pa.table({"user": ["u3", "u9"], "time": ["2026-01-01"] * 2, "event": ["a"] * 2}), calendar=UTC
        )
        assert people(store).count("u3") == 0  # what comes again is refused
        left = store.count("SELECT count(*) FROM events")
        compact(store)
        assert store.count("SELECT count(*) FROM events") == left
        gone = delete_old(store, {"*": AT - UTC.instant("2026-01-11")}, at=AT)["*"]
        assert gone == sum(u != "u3" and t < "2026-01-11" for u, t in zip(USERS, TIMES, strict=True)) + 1


@pytest.mark.parametrize("old", [False, True])
def test_questions_are_answered_as_without_it(tmp_path: Path, old: bool) -> None:
    """With aliases and a condition on the user's id, rows are read by their number."""
    answers = []
    for columns in ((), ("rowid", "hour", "day", "n", "e")):
        root = tmp_path / str(len(columns))
        with Workspace.create(root) as workspace:
            workspace.import_events([file_with(tmp_path, *columns)], user="user", time="time", event="event")
        path = root / "data" / "events.duckdb"
        with EventStore.open(path) as store:
            add_aliases(store, [("u1", "u2")], calendar=UTC)
        if columns and old:
            as_before(path, "rowid")
        with Workspace.open(root) as workspace:
            funnel = workspace.funnel(steps=["a", "b"], within="7d", where="user_id <> 'u4'")
            answers.append(repr(funnel.to_dict()["steps"]))
            if columns:
                split = workspace.funnel(steps=["a", "b"], within="7d", where="rowid = 42").to_dict()["steps"]
                assert split[0]["users"] == 1
        with EventStore.open(path) as store:
            found = check_quality(store, now=AT + DAY, calendar=UTC)
            answers.append(sorted({(f.code, f.rows) for f in found}))
    assert answers[:2] == answers[2:]


def test_a_name_beside_it_is_not_taken_twice(tmp_path: Path) -> None:
    with EventStore.create(tmp_path / "events.duckdb") as store:
        import_files(store, [file_with(tmp_path, "rowid_property", "rowid", "RowId")], calendar=UTC)
        columns = [p.column.casefold() for p in store.properties().values()]
        assert len(set(columns)) == len(columns) == 3


def test_parquet_whose_columns_are_called_as_the_reader_calls_its_own(tmp_path: Path) -> None:
    table = pa.table({"user": USERS, "time": TIMES, "event": ["a"] * N, "file_row_number": NUMBERS, "filename": USERS,
                      "rowid": NUMBERS})  # fmt: skip
    pq.write_table(table, tmp_path / "events.parquet")
    with EventStore.create(tmp_path / "events.duckdb") as store:
        assert import_files(store, [tmp_path / "events.parquet"], calendar=UTC).rows_added == N
        held = store.properties()
        for named in ("file_row_number", "rowid"):
            assert store.count(f'SELECT sum("{held[named].column}") FROM events') == sum(n or 0 for n in NUMBERS)


def test_events_that_are_only_read(tmp_path: Path) -> None:
    table = pa.table({"user": USERS, "time": TIMES, "event": ["a"] * N, "rowid": NUMBERS, "rowid_property": USERS})
    pq.write_table(table, tmp_path / "events.parquet")
    events = ExternalEvents(path=tmp_path / "events.parquet", user="user", time="time", event="event")
    engine = DuckDBEngine.external(events, spine_dir=tmp_path / "spine")
    assert engine.schema().n_events == N
    assert {p.name: p.column for p in engine.schema().properties.values()} == {
        "rowid": "rowid_property_2", "rowid_property": "rowid_property",
    }  # fmt: skip
    engine.close()
