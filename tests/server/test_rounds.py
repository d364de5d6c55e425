"""What a server does by itself: by a clock of the test's own, on a served log, without waiting."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.server.workspaces import QUIET, copied
from upswing.core.calendar import Calendar
from upswing.core.errors import DefinitionError
from upswing.core.units import DAY, HOUR, MINUTE
from upswing.engines.source import EmbeddedSource
from upswing.events.importer import import_arrow
from upswing.events.store import EventStore
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server.app import create_app
from upswing.server.rounds import compaction
from upswing.server.rounds.compaction import shorten_book, worth_compacting
from upswing.server.schedule import Schedule
from upswing.server.state import ServerState
from upswing.verbs import verb
from upswing.workspace import Workspace

CHANNEL = "notify:\n  channels:\n    - {name: ops, type: webhook, url: 'https://hooks.example.com/x'}\n"
GUARDED = """kind: experiment
name: new_cart
hypothesis: a shorter cart
status: running
variants: {old: 0.5, new: 0.5}
control: old
primary: {metric: orders}
guardrails:
  - {metric: orders, max_harm_rel: 0.02}
"""


class Server:
    """A server that has been made but does not run: its jobs run when the test says so."""

    def __init__(self, root: Path) -> None:
        app = create_app(root, QUIET)
        self.state: ServerState = app.state.upswing
        self.schedule: Schedule = app.state.schedule
        self.facts = self.state.facts
        assert isinstance(self.facts, Facts)

    def after(self, micros: int) -> list[str]:
        """Let time pass and run what is due; the names of what ran."""
        assert isinstance(self.facts, Facts)
        moment, before = now() + micros, {job.name: job.last_at for job in self.facts.jobs}
        while self.schedule.run_due(at=moment):
            pass
        failed = [job.last_error for job in self.facts.jobs if job.last_error]
        assert not failed
        return sorted(job.name for job in self.facts.jobs if job.last_at != before[job.name])

    def told(self) -> set[tuple[str, str]]:
        assert isinstance(self.facts, Facts)
        return {(alert.key, alert.period) for alert in self.facts.alerts.recent()}


@contextmanager
def server(root: Path) -> Iterator[Server]:
    made = Server(root)
    try:
        yield made
    finally:
        for end in reversed(made.state.on_stop):
            end()
        made.state.questions.close()
        made.state.storage.close()


def configure(root: Path, more: str) -> None:
    file = root / "upswing.yml"
    file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")


@pytest.fixture
def falling(tmp_path: Path) -> Path:
    """Sixty days of orders, and three without while everybody goes on looking."""
    root = tmp_path / "falling"
    Workspace.create(root).close()
    (root / "metrics").mkdir(exist_ok=True)
    (root / "metrics" / "orders.yml").write_text(
        "kind: metric\nname: orders\ntype: simple\nbetter: up\nnumerator: {event: order}\n", encoding="utf-8"
    )
    rows = [
        (f"u{i}", datetime(2026, 1, 1, 10, i, tzinfo=UTC) + timedelta(days=day), event)
        for day in range(63)
        for i in range(50)
        for event in ("look", "order")
        if event == "look" or (day < 60 and i < 30 + day * 7 % 11)
    ]
    with EventStore.open(root / "data" / "events.duckdb") as store:
        columns = dict(zip(("user", "time", "event"), map(list, zip(*rows, strict=True)), strict=True))
        import_arrow(store, pa.table(columns), calendar=Calendar(), source="test")
    configure(root, CHANNEL)
    return root


def test_how_often_is_a_setting_and_off_is_never(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    Workspace.create(root).close()
    with server(root) as made:
        assert "tidy" in made.after(0)
        assert made.after(14 * MINUTE) == ["alerts"]
        assert made.after(16 * MINUTE) == ["alerts", "guardrails", "refresh"]
        assert made.after(DAY + MINUTE) == ["alerts", "compact", "guardrails", "refresh", "tidy", "watch"]
    configure(root, "jobs: {watch: 'off', refresh: 2h}\n")
    with server(root) as made:
        assert not made.facts.jobs.get("watch").enabled
        assert made.facts.jobs.get("refresh").every == 2 * HOUR
        assert "watch" not in made.after(2 * DAY)
    (root / "upswing.yml").write_text("schema: 1\n", encoding="utf-8")
    with server(root) as made:
        assert "watch" in made.after(4 * DAY)
    configure(root, "jobs: {watch: 5s}\n")
    with pytest.raises(DefinitionError, match="once a minute"):
        create_app(root, QUIET)


def test_after_new_data_the_answers_are_there_before_anybody_asks(demo: Path, tmp_path: Path) -> None:
    with server(copied(demo, tmp_path / "ws")) as made:
        questions = made.state.questions
        asked = verb("funnel"), {"steps": ["account_created", "entry_created"], "within": "1d"}
        seen = questions.ask(*asked).future.result().to_dict()
        with made.state.storage.writing() as store:
            table = pa.table(
                {"user": ["new"], "time": [datetime(2026, 1, 1, tzinfo=UTC)], "event": ["account_created"]}
            )
            import_arrow(store, table, calendar=Calendar(), source="later")
        assert "refresh" in made.after(16 * MINUTE)
        again = questions.ask(*asked)
        assert again.future.done()
        assert again.future.result().to_dict() != seen
        saved = next(iter(made.state.storage.moment().definitions.by_kind["funnel"]))
        assert questions.ask(verb("funnel"), {"name": saved}).future.done()
        assert questions.ask(verb("lifecycle"), {"period": "week"}).future.done()
        assert not questions.ask(verb("lifecycle"), {"period": "day"}).future.done()
        assert len(questions.lately(60)) == 4  # what people asked; the job's own questions are not among them


def test_what_is_unusual_is_told_once(falling: Path) -> None:
    with server(falling) as made:
        assert "watch" in made.after(2 * HOUR)
        told = made.told()
        assert ("tracking:order", "week of 2026-03-02") in told
        assert any(key == "day:orders" for key, _ in told)
        assert "watch" in made.after(4 * HOUR)
        assert made.told() == told
    with server(falling) as made:  # nor again by the next server
        made.after(6 * HOUR)
        assert made.told() == told


def test_guardrails_of_running_experiments_are_critical(falling: Path) -> None:
    (falling / "experiments").mkdir(exist_ok=True)
    file = falling / "experiments" / "new_cart.yml"
    file.write_text(GUARDED.replace("running", "draft"), encoding="utf-8")
    with server(falling) as made:
        made.after(16 * MINUTE)
        assert made.told() == set()
        file.write_text(GUARDED, encoding="utf-8")
        made.after(40 * MINUTE)
        assert isinstance(made.facts, Facts)
        alerts = made.facts.alerts.recent()
        assert {a.severity for a in alerts} == {"critical"}
        assert {a.key for a in alerts} >= {"guardrail:new_cart:day:orders"}
        assert all(a.key.startswith("guardrail:new_cart:") for a in alerts)


def test_nothing_is_asked_where_nobody_is_to_be_told(demo: Path, tmp_path: Path) -> None:
    with server(copied(demo, tmp_path / "ws")) as made:
        made.after(2 * HOUR)
        assert made.told() == set()


def in_batches(root: Path, batches: int) -> None:
    """Events as intake brings them: batch after batch, an entry in the book for each, on several days."""
    with EventStore.open(root / "data" / "events.duckdb") as store:
        for number in range(batches):
            when = [datetime(2026, 1, 1, number % 24, i, tzinfo=UTC) for i in range(4)]
            table = pa.table({"user": ["a", "b", "c", "d"], "time": when, "event": [f"e{number}"] * 4})
            import_arrow(store, table, calendar=Calendar(), source="intake")
            store.run("UPDATE imports SET finished_at = make_timestamp($at) WHERE import_id = $i",
                      {"at": now() - (10 - number * 8 // batches) * DAY, "i": number + 1})  # fmt: skip


def test_compaction_changes_no_answer_and_is_not_done_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_FEWEST", 40)
    root = tmp_path / "ws"
    Workspace.create(root).close()
    in_batches(root, 20)

    def runs() -> str:
        with made.state.storage.writing() as store:
            return store.meta("runs")

    with server(root) as made:
        asked = verb("funnel"), {"steps": ["e1", "e5", "e19"], "within": "1d"}
        before = made.state.questions.ask(*asked).future.result().to_dict()
        assert "compact" in made.after(DAY + HOUR)
        assert runs() == "1"
        assert isinstance(made.facts, Facts)
        assert [(e.who, e.action) for e in made.facts.audit.entries()] == [("upswing", "log.compact")]
        after = made.state.questions.ask(*asked).future.result().to_dict()
        assert after["steps"] == before["steps"]
        with made.state.storage.writing() as store:
            import_arrow(store, pa.table({"user": ["z"], "time": [datetime(2026, 2, 1, tzinfo=UTC)], "event": ["e1"]}),
                         calendar=Calendar(), source="one more")  # fmt: skip
            assert not worth_compacting(store)
        made.after(3 * DAY)
        assert runs() == "2"


def test_no_room_for_a_second_copy_is_said_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_FEWEST", 1)
    full = type(shutil.disk_usage("/"))(100, 100, 0)
    monkeypatch.setattr("upswing.server.rounds.compaction.shutil.disk_usage", lambda _: full)
    root = tmp_path / "ws"
    Workspace.create(root).close()
    in_batches(root, 3)
    with server(root) as made:
        while made.schedule.run_due(at=now() + DAY + HOUR):
            pass
        assert isinstance(made.facts, Facts)
        assert "out of disk" in str(made.facts.jobs.get("compact").last_error)
        with made.state.storage.writing() as store:
            assert store.meta("runs") == "3"


def test_the_book_of_batches_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry for each past day, sums kept, and everything else that is told from entries as before."""
    monkeypatch.setattr(compaction, "_FEWEST_ENTRIES", 3)
    root = tmp_path / "ws"
    Workspace.create(root).close()
    in_batches(root, 40)
    sums = "SELECT sum(rows_read), sum(rows_added), sum(rows_duplicate), max(import_id) FROM imports"
    with EventStore.open(root / "data" / "events.duckdb") as store:
        store.run("INSERT INTO quarantine VALUES (7, 'intake', 1, 'unreadable', 'x', 'y')")
        # events dated after they came, which are not to be trusted: here, all of the 9th batch
        store.run("UPDATE events SET time = make_timestamp($at) WHERE import_id = 9", {"at": now() + DAY})
        before = store.row(sums)
        days = store.count("SELECT count(DISTINCT CAST(finished_at AS DATE)) FROM imports")
        horizon = _horizon(root, store)
        gone = shorten_book(store)
        assert gone == 40 - days - 2 - 1  # the two above, and the latest
        assert store.row(sums) == before
        assert store.count("SELECT count(*) FROM imports WHERE import_id IN (7, 9, 40)") == 3
        assert shorten_book(store) == 0
        assert _horizon(root, store) == horizon


def _horizon(root: Path, store: EventStore) -> int | None:
    """By a reader of its own, of the file."""
    store.run("CHECKPOINT")
    copy = root / "copy.duckdb"
    shutil.copy(root / "data" / "events.duckdb", copy)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{copy}' AS log (READ_ONLY)")
        return EmbeddedSource(connection, copy, read_only=True).horizon()
