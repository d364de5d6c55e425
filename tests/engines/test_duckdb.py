"""Opening, contents, locks, and events that stay where they are."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engines.logs import COMMIT, actual, as_arrow, write_log
from tests.oracles.event import Event
from tests.strategies import EPOCH, NAMES
from upswing.core.errors import DataError, EngineError
from upswing.engines import spine as spines
from upswing.engines.base import Mark, Query, SequenceRequest
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.external import ExternalEvents
from upswing.engines.open import open_engine
from upswing.engines.source import open_error
from upswing.spec.project import WorkspaceSpec
from upswing.sql.template import q

LOG = [Event(f"u{i % 7}", EPOCH + (i * 37 % 91) * 1_000_000, i, NAMES[i % 5], {"n": i}) for i in range(500)]
ALL = SequenceRequest(marks=(Mark(),))


@pytest.fixture
def log(tmp_path: Path):
    write_log(tmp_path / "log.duckdb", LOG)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    yield engine
    engine.close()


def test_contents(log: DuckDBEngine) -> None:
    schema = log.schema()
    assert schema.events == dict.fromkeys(NAMES, 100)
    assert (schema.n_events, schema.n_users) == (500, 7)
    assert schema.first_time == min(e.time for e in LOG)
    assert schema.horizon == max(e.time for e in LOG)
    assert [(p.name, p.type) for p in schema.properties.values()] == [("n", "number"), ("p", "text"), ("q", "text")]


def test_events_later_than_their_import_are_not_trusted(tmp_path: Path) -> None:
    late = [*LOG, Event("u1", COMMIT + 5, 501, "A", {})]
    write_log(tmp_path / "log.duckdb", late)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert engine.schema().horizon == max(e.time for e in LOG)
    engine.close()


def test_an_empty_log(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", [])
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    schema = engine.schema()
    assert (schema.n_events, schema.n_users, schema.first_time, schema.horizon) == (0, 0, None, None)
    assert list(engine.sequences(ALL)) == []
    engine.close()


def test_the_version_follows_the_data(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    write_log(path, LOG)
    engine = DuckDBEngine.open(path)
    before, spine = engine.schema().version, engine.spine()
    engine.close()
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO aliases VALUES ('u1', 'u2', NULL, 'test', make_timestamp(1))")
        con.execute("UPDATE log_meta SET value = '2' WHERE key = 'identity_version'")
    engine = DuckDBEngine.open(path)
    assert engine.schema().version != before
    assert engine.schema().n_users == 6
    assert len(engine.spine().users) == 6
    assert not (tmp_path / "log.spine" / before).exists()  # old ones go
    assert len(spine.times) == 500  # who has it open keeps it
    engine.close()


HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print('held', flush=True); time.sleep(60)"


def test_a_log_that_another_program_writes_is_locked(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    write_log(path, LOG)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline().strip() == "held"
            with pytest.raises(EngineError, match="UP701") as raised:
                DuckDBEngine.open(path)
            assert str(other.pid) in str(raised.value)
        finally:
            other.kill()


def test_the_holder_is_named() -> None:
    said = 'IO Error: Could not set lock on file "x": Conflicting lock is held in python (PID 4711) by user me.'
    error = open_error(duckdb.IOException(said), Path("x"))
    assert error.code == "UP701"
    assert "4711" in str(error)


def test_a_writer_in_this_process_locks_too(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", LOG)
    with duckdb.connect(str(tmp_path / "log.duckdb")), pytest.raises(EngineError, match="UP701"):
        DuckDBEngine.open(tmp_path / "log.duckdb")


def test_two_readers_at_once(tmp_path: Path, log: DuckDBEngine) -> None:
    other = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert actual(other, ALL) == actual(log, ALL)
    other.close()


def test_what_is_not_a_log(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="UP702"):
        DuckDBEngine.open(tmp_path / "none.duckdb")
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(EngineError, match="UP702"):
        DuckDBEngine.open(tmp_path / "other.duckdb")
    (tmp_path / "text.duckdb").write_text("hello" * 3000)
    with pytest.raises(EngineError, match="UP702"):
        DuckDBEngine.open(tmp_path / "text.duckdb")


def test_users(log: DuckDBEngine) -> None:
    keys = log.user_keys(["u3", "nobody", "u1", "u3"])
    assert sorted(log.user_ids(keys)) == ["u1", "u3"]
    assert log.user_ids(np.array([keys[1], keys[0], keys[1]]))[0] == log.user_ids(keys)[1]
    assert len(log.user_keys([])) == 0
    with pytest.raises(DataError, match="UP311"):
        log.user_ids(np.array([99]))


def test_a_common_table_expression_may_hide_a_relation(log: DuckDBEngine) -> None:
    assert log.rows(Query(q("WITH users AS (SELECT 1 AS one) SELECT one FROM users"))) == [(1,)]


def test_division_by_zero_is_null(log: DuckDBEngine) -> None:
    assert log.rows(Query(q("SELECT count(*) FROM events WHERE n // 0 > 1 OR n % 0 = 1"))) == [(0,)]


def test_many_threads_ask_at_once(log: DuckDBEngine) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: actual(log, ALL), range(8)))
    assert all(a == answers[0] for a in answers)


def _build(path: str) -> int:
    engine = DuckDBEngine.open(path)
    found = sum(len(rows) for rows in actual(engine, ALL).values())
    engine.close()
    return found


def test_two_builders_at_once(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", LOG)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_build, [str(tmp_path / "log.duckdb")] * 2) == [500, 500]
    kept = [p for p in (tmp_path / "log.spine").iterdir() if p.is_dir()]
    assert len(kept) == 1


def test_half_a_spine_is_no_spine(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", LOG)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    version = engine.schema().version
    place = tmp_path / "log.spine" / version
    place.mkdir(parents=True)
    (place / "times.npy").write_bytes(b"half")
    assert spines.load(tmp_path / "log.spine", version) is None
    assert sum(len(rows) for rows in actual(engine, ALL).values()) == 500
    engine.close()


# events that stay where they are


def external(tmp_path: Path, path: Path, **given) -> DuckDBEngine:
    mapping = {"time": "time", "user": "user_id", "event": "event", **given}
    return DuckDBEngine.external(ExternalEvents(path, **mapping), spine_dir=tmp_path / "spine")


def test_a_table_of_a_duckdb_file(tmp_path: Path) -> None:
    table = as_arrow(LOG)
    con = duckdb.connect(str(tmp_path / "other.duckdb"))
    con.register("t", table)
    con.execute("CREATE TABLE clicks AS SELECT * FROM t")
    con.close()
    engine = external(tmp_path, tmp_path / "other.duckdb", table="clicks")
    assert engine.schema().n_users == 7
    assert sum(len(rows) for rows in actual(engine, ALL).values()) == 500
    assert engine.rows(Query(q("SELECT count(DISTINCT user_id), count(*) FROM events"))) == [(7, 500)]
    assert sorted(engine.user_ids(engine.user_keys(["u1", "x", "u2"]))) == ["u1", "u2"]
    engine.close()


@pytest.mark.parametrize(
    ("values", "zone"),
    [
        (pa.array([1_735_689_600], pa.int64()), "UTC"),
        (pa.array([1_735_689_600_000], pa.int64()), "UTC"),
        (pa.array([1_735_689_600_000_000], pa.int64()), "UTC"),
        (pa.array(["2025-01-01T08:00:00"]), "Asia/Shanghai"),
        (pa.array(["2025-01-01T00:00:00Z"]), "Asia/Shanghai"),
        (pa.array([datetime(2025, 1, 1, 8)], pa.timestamp("us")), "Asia/Shanghai"),
        (pa.array([datetime(2025, 1, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")), "Asia/Shanghai"),
        (pa.array([datetime(2025, 1, 1).date()], pa.date32()), "UTC"),
    ],
)
def test_every_way_of_writing_time(tmp_path: Path, values: pa.Array, zone: str) -> None:
    pq.write_table(pa.table({"ts": values, "uid": [5]}), tmp_path / "e.parquet")
    engine = external(
        tmp_path, tmp_path / "e.parquet", time="ts", user="uid", event=None, event_name="visit", timezone=zone
    )
    found = engine.rows(Query(q("SELECT user_id, epoch_us(time), event FROM events")))
    assert found == [("5", 1_735_689_600_000_000, "visit")]
    engine.close()


def test_rows_without_user_or_time_are_left_out(tmp_path: Path) -> None:
    table = pa.table(
        {"time": ["2025-01-01", None, "2025-01-01", "soon"], "user_id": ["a", "b", None, "c"], "event": ["x"] * 4}
    )
    pq.write_table(table, tmp_path / "e.parquet")
    engine = external(tmp_path, tmp_path / "e.parquet")
    assert engine.schema().n_events == 1
    assert sum(len(rows) for rows in actual(engine, ALL).values()) == 1
    engine.close()


def test_files_that_change_make_a_new_version(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(as_arrow(LOG[:100]), folder / "1.parquet")
    engine = external(tmp_path, folder)
    before = engine.schema()
    pq.write_table(as_arrow(LOG[100:]), folder / "2.parquet")
    assert engine.schema().version != before.version
    assert engine.schema().n_events == 500
    assert sum(len(rows) for rows in actual(engine, ALL).values()) == 500
    engine.close()


def test_wrong_columns_are_told(tmp_path: Path) -> None:
    pq.write_table(as_arrow(LOG), tmp_path / "e.parquet")
    with pytest.raises(DataError, match="user_id") as raised:
        external(tmp_path, tmp_path / "e.parquet", user="userid")
    assert raised.value.code == "UP313"
    with pytest.raises(EngineError, match="UP702"):
        external(tmp_path, tmp_path / "nothing")


def test_properties_keep_clear_of_our_own_names(tmp_path: Path) -> None:
    table = as_arrow(LOG).rename_columns(["uid", "ts", "name", "event", "time", "n"])
    pq.write_table(table, tmp_path / "e.parquet")
    engine = external(tmp_path, tmp_path / "e.parquet", time="ts", user="uid", event="name")
    assert {p.name: p.column for p in engine.schema().properties.values()} == {
        "event": "event_property", "time": "time_property", "n": "n",
    }  # fmt: skip
    assert engine.schema().events == dict.fromkeys(NAMES, 100)
    engine.close()


# which engine


def test_open_by_settings(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_log(tmp_path / "data" / "events.duckdb", LOG)
    engine = open_engine(tmp_path, WorkspaceSpec())
    assert engine.schema().n_events == 500
    engine.close()
    pq.write_table(as_arrow(LOG), tmp_path / "e.parquet")
    columns = {"time": "time", "user": "user_id", "event": "event"}
    project = WorkspaceSpec.model_validate({"source": {"path": "e.parquet", "columns": columns}})
    engine = open_engine(tmp_path, project)
    assert engine.schema().n_events == 500
    engine.close()
    with pytest.raises(EngineError, match="UP706"):
        open_engine("mysql://x")
    with pytest.raises(EngineError, match="UP706"):
        open_engine(tmp_path, WorkspaceSpec.model_validate({"engine": {"type": "clickhouse"}}))
