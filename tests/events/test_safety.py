"""Whatever happens while the log is written, it is afterwards as it was before or as it should be."""

import os
import signal
import subprocess
import sys
import threading
import time
from _thread import interrupt_main

import pytest

from tests.events.conftest import rows_of
from upswing.core.calendar import Calendar
from upswing.core.errors import EngineError, UsageError
from upswing.events.compact import compact
from upswing.events.importer import import_files
from upswing.events.store import EventStore, spill_folder

FIRST = "user,time,event,p\n" + "".join(f"u{i},2026-01-01 00:00:{i % 60:02d},x,{i}\n" for i in range(1000))


@pytest.fixture
def log(tmp_path):
    (tmp_path / "first.csv").write_text(FIRST)
    path = tmp_path / "log" / "events.duckdb"
    with EventStore.create(path, memory="1GB") as store:
        import_files(store, [tmp_path / "first.csv"], calendar=Calendar())
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.csv"
    with path.open("w") as out:
        out.write("user,time,event,p\n")
        for i in range(1_000_000):
            out.write(f"v{(i * 7919) % 50021},2026-02-{i % 28 + 1:02d} 00:{i % 60:02d}:{i // 60 % 60:02d},y,{i}\n")
    return path


def state(path):
    with EventStore.open(path, memory="1GB") as store:
        return (
            rows_of(store, "p"),
            store.rows("FROM log_meta ORDER BY key"),
            store.rows("SELECT import_id FROM imports"),
        )


def child(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


IMPORT = """
import sys
from upswing.core.calendar import Calendar
from upswing.events.importer import import_files
from upswing.events.store import EventStore
def progress(phase, share, rate):
    print(str(phase), share, flush=True)
with EventStore.open(sys.argv[1], memory="1GB") as store:
    import_files(store, [sys.argv[2]], calendar=Calendar(), progress=progress)
"""


@pytest.mark.parametrize("phase", ["reading", "recognising", "users", "sorting"])
def test_killed_in_the_middle(log, large, phase):
    before = state(log)
    process = child(IMPORT, log, large)
    for line in process.stdout:
        if line.startswith(phase):
            time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert state(log) == before
    with EventStore.open(log, memory="1GB") as store:
        assert import_files(store, [large], calendar=Calendar()).rows_added == 1_000_000
    assert not spill_folder(log).exists()


@pytest.fixture
def interruptible():
    """Ctrl-C as in a terminal, also where the tests run in the background of a shell, which ignores it there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_by_the_user(log, large):
    before = state(log)
    with EventStore.open(log, memory="1GB") as store:

        def progress(phase, share, rate):
            if str(phase) == "sorting" and share == 0.0:
                threading.Thread(target=interrupt_main).start()

        with pytest.raises(KeyboardInterrupt):
            import_files(store, [large], calendar=Calendar(), progress=progress)
        assert store.count("SELECT count(*) FROM events") == 1000
        assert store.rows("SELECT table_name FROM duckdb_tables() WHERE temporary") == []
    assert state(log) == before


HOLD = """
import sys, time
from upswing.events.store import EventStore
store = EventStore.open(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


def test_two_processes_writing(log):
    process = child(HOLD, log)
    assert process.stdout.readline() == "open\n"
    try:
        with pytest.raises(EngineError, match=str(process.pid)) as caught:
            EventStore.open(log)
        assert caught.value.code == "UP701"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert len(state(log)[0]) == 1000


def test_spill_disk_full(log, large):
    before = state(log)
    with EventStore.open(log, memory="60MB") as store:
        store.run("SET max_temp_directory_size = '1MB'")
        with pytest.raises(EngineError) as caught:
            import_files(store, [large], calendar=Calendar())
        assert caught.value.code == "UP705"
    assert state(log) == before


LIMITED = """
import resource, sys
from upswing.core.errors import EngineError
from upswing.events.compact import compact
from upswing.core.calendar import Calendar
from upswing.events.importer import import_files
from upswing.events.store import EventStore
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
store = EventStore.open(sys.argv[1], memory="2GB")
try:
    compact(store) if sys.argv[2] == "compact" else import_files(store, [sys.argv[2]], calendar=Calendar())
except EngineError as error:
    print(error.code, flush=True)
"""


def test_log_disk_full(log, large):
    before = state(log)
    process = child(LIMITED, log, large, os.path.getsize(log) + 1_000_000)
    out, err = process.communicate(timeout=100)
    assert out == "UP705\n", err
    assert state(log) == before


def test_compact_makes_one_run_and_keeps_everything(log, tmp_path):
    (tmp_path / "late.csv").write_text("user,time,event,q\nu1,2025-12-31,late,t\nu1,2026-01-01 00:00:01,tie,\n")
    with EventStore.open(log, memory="1GB") as store:
        import_files(store, [tmp_path / "late.csv"], calendar=Calendar())
        before = rows_of(store, "p", "q")
        assert compact(store) == 2
        assert rows_of(store, "p", "q") == before
        assert store.meta("runs") == "1"
        assert store.rows("SELECT user_key, time FROM events ORDER BY rowid") == store.rows(
            "SELECT user_key, time FROM events ORDER BY user_key, time, rowid"
        )
        assert compact(store) == 1
        (tmp_path / "more.csv").write_text("user,time,event,q\nu1,2026-01-09,more,t\n")
        assert import_files(store, [tmp_path / "more.csv"], calendar=Calendar()).rows_added == 1
        with pytest.raises(EngineError):
            store.run("INSERT INTO events (user_key) VALUES (1)")


def test_compact_with_a_full_disk(log, large):
    with EventStore.open(log, memory="1GB") as store:
        import_files(store, [large], calendar=Calendar())
    before = state(log)
    process = child(LIMITED, log, "compact", os.path.getsize(log) + 1_000_000)
    out, err = process.communicate(timeout=100)
    assert out == "UP705\n", err
    assert state(log) == before


def test_create_and_open(tmp_path):
    path = tmp_path / "a" / "events.duckdb"
    with pytest.raises(EngineError) as caught:
        EventStore.open(path)
    assert caught.value.code == "UP702"
    EventStore.create(path).close()
    with pytest.raises(UsageError) as exists:
        EventStore.create(path)
    assert exists.value.code == "UP601"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(EngineError) as unreadable:
        EventStore.open(path)
    assert unreadable.value.code == "UP702"
