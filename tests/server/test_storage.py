"""One instance for questions and writers; workspaces whose events are elsewhere are served, too."""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.server.workspaces import copied, serving
from upswing.core.errors import EngineError, UsageError
from upswing.events.compact import compact
from upswing.events.store import engine_errors
from upswing.server.app import create_app
from upswing.server.settings import ServerSettings
from upswing.server.storage import Storage
from upswing.workspace import Workspace


def test_events_that_are_elsewhere_are_served(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    Workspace.create(root).close()
    table = pa.table({
        "who": ["a", "a", "b"], "at": ["2026-01-01", "2026-01-02", "2026-01-01"], "what": ["open", "pay", "open"],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "events.parquet")
    with (root / "upswing.yml").open("a") as file:
        file.write(f"source: {{path: {tmp_path / 'events.parquet'}, columns: {{user: who, time: at, event: what}}}}\n")
    with serving(root) as client:
        body = client.get("/api/v1/funnel", params={"step": ["open", "pay"]}).json()
        assert [s["users"] for s in body["steps"]] == [2, 1]
        assert client.post("/v1/events", json={"user": "c", "event": "open"}).status_code == 404  # nowhere to write
        assert client.get("/readyz").status_code == 200
    storage = Storage.open(root)
    with pytest.raises(EngineError) as refused, storage.writing():
        pass
    assert refused.value.code == "UP708"
    storage.close()


def test_one_writer_at_a_time(demo: Path, tmp_path: Path) -> None:
    storage = Storage.open(copied(demo, tmp_path / "ws"))
    inside, order = threading.Event(), []

    def second() -> None:
        inside.wait()
        with storage.writing():
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with storage.writing():
        inside.set()
        thread.join(0.2)
        order.append("first")
    thread.join()
    storage.close()
    assert order == ["first", "second"]


def test_a_question_is_asked_again_when_the_log_was_rewritten(demo: Path, tmp_path: Path) -> None:
    storage = Storage.open(copied(demo, tmp_path / "ws"), fresh_seconds=1e9)
    expected = storage.answer(lambda workspace: workspace.funnel("activation"))
    with storage.writing() as store:
        store.set_meta("runs", "2")  # as after a second import
        store.bump("data_version")
    storage.refresh()
    before = storage.moment()
    with storage.writing() as store:
        compact(store)
    assert storage.moment().stamp == before.stamp  # nobody has looked since
    answered = storage.answer(lambda workspace: workspace.funnel("activation", where="platform <> 'x'"), before)
    assert answered.steps[0].users == expected.steps[0].users
    storage.close()


def test_a_server_that_does_not_start_lets_go_of_everything(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with pytest.raises(UsageError):
        create_app(root, ServerSettings(host="0.0.0.0"))
    with Workspace.open(root) as workspace:
        assert workspace.funnel("activation").steps
    with pytest.raises(UsageError):
        create_app(tmp_path)


def test_definitions_are_read_again_when_a_file_changes(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    storage = Storage.open(root)
    first = storage.moment()
    assert storage.moment().definitions is first.definitions
    steps = "[{event: app_installed}, {event: app_opened}]"
    (root / "funnels" / "more.yml").write_text(f"kind: funnel\nname: more\nwindow: 7d\nsteps: {steps}\n")
    second = storage.moment()
    assert "more" in second.definitions.by_kind["funnel"]
    assert "more" not in first.definitions.by_kind["funnel"]
    assert second.stamp != first.stamp
    storage.close()


def _given_up(storage: Storage) -> None:
    """As after a full disk at a bad moment: writing the log's file fails while the engine puts its journal into it."""
    noise = [uuid4().hex for _ in range(30_000)]
    with storage.writing() as store:
        store.run("CREATE TABLE noise (value VARCHAR)")
        with engine_errors():
            store.connection.register("some_noise", pa.table({"value": noise}))
        store.run("INSERT INTO noise SELECT * FROM some_noise")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (storage.log_path.stat().st_size, hard))
        try:
            with pytest.raises(EngineError, match="invalidated"):
                store.run("CHECKPOINT")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
@pytest.mark.parametrize("first", ["question", "writing"])
def test_a_log_that_the_engine_gave_up_is_opened_again(demo: Path, tmp_path: Path, first: str) -> None:
    storage = Storage.open(copied(demo, tmp_path / "ws"), fresh_seconds=0)
    before = storage.answer(lambda w: w.funnel(steps=["account_created", "entry_created"])).to_dict()
    _given_up(storage)
    if first == "writing":
        with storage.writing() as store:
            assert store.count("SELECT count(*) FROM noise") == 30_000  # what was committed is there
    after = storage.answer(lambda w: w.funnel(steps=["account_created", "entry_created"], where="true")).to_dict()
    assert after["steps"] == before["steps"]
    assert storage.problem() is None
    storage.close()


def test_an_engine_that_takes_no_statements_is_replaced(demo: Path, tmp_path: Path) -> None:
    storage = Storage.open(copied(demo, tmp_path / "ws"), fresh_seconds=0)
    before = storage.moment().engine.schema().n_events
    assert storage._instance is not None
    storage._instance.close()
    assert storage.moment().engine.schema().n_events == before
    with storage.writing() as store:
        assert store.count("SELECT count(*) FROM events") == before
    storage.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_intake_goes_on_after_the_log_was_given_up(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    Workspace.create(root).close()
    with serving(root) as client:
        state = client.app.state.upswing  # type: ignore[attr-defined]
        assert client.post("/v1/events", json=[{"user": "a", "event": "open", "id": "1"}]).status_code == 200
        assert state.intake.writer.drain()
        _given_up(state.storage)
        sent = [{"user": f"u{i}", "event": "open", "id": f"later-{i}"} for i in range(20)]
        assert client.post("/v1/events", json=sent).status_code == 200
        assert state.intake.writer.drain()
        found = client.get("/api/v1/events").json()
        assert [(e["name"], e["events"]) for e in found["events"]] == [("open", 21)]
        assert client.get("/readyz").status_code == 200
