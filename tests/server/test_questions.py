"""Questions run a few at a time, the same one once; answers are kept within bounds; any of them can be given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.server.workspaces import QUIET, copied, serving
from upswing.core.i18n import use_locale
from upswing.events.importer import import_arrow
from upswing.server.errors import NotFoundError, TooManyError
from upswing.server.observe import Observations
from upswing.server.questions import Questions
from upswing.server.settings import ServerSettings
from upswing.server.storage import Storage
from upswing.server.watching import CancelledError
from upswing.sql.template import q
from upswing.verbs import Verb, verb
from upswing.workspace import Workspace

SLOW = "SELECT count(*) FROM range(40000000) AS a (i), range(100) AS b (j) WHERE a.i % 7 + b.j = 5"
FUNNEL = verb("funnel")
ASKED = {"name": "activation"}


@contextmanager
def questions(root: Path, **settings: Any) -> Iterator[Questions]:
    storage = Storage.open(root, fresh_seconds=0)
    made = Questions(storage, ServerSettings(**settings), Observations())
    try:
        yield made
    finally:
        made.close()
        storage.close()


@pytest.fixture
def root(demo: Path, tmp_path: Path) -> Path:
    return copied(demo, tmp_path / "ws")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Verb:
    """A verb whose statement takes for ever."""

    def method(self: Workspace, **_: object) -> Any:
        from upswing.engines.base import Query

        self.log.engine.rows(Query(q(SLOW)))
        return self.segments()

    monkeypatch.setattr(Workspace, "slow", method, raising=False)
    return Verb("slow", FUNNEL.help, (), FUNNEL.group)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[Verb, threading.Event, list[int]]:
    """A verb that waits for us, and counts how often it was computed."""
    gate, calls = threading.Event(), []

    def method(self: Workspace, **_: object) -> Any:
        calls.append(1)
        gate.wait(30)
        return self.segments()

    monkeypatch.setattr(Workspace, "held", method, raising=False)
    return Verb("held", FUNNEL.help, (), FUNNEL.group), gate, calls


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_same_question_is_computed_once(root: Path, held: tuple[Verb, threading.Event, list[int]]) -> None:
    waited, gate, calls = held
    with questions(root) as asked:
        jobs = [asked.ask(waited, {}) for _ in range(3)]
        until(lambda: jobs[0].state == "running")
        gate.set()
        answers = [job.future.result(30) for job in jobs]
        assert answers[0] is answers[1] is answers[2] is asked.ask(waited, {}).future.result(30)
        assert len(calls) == 1
        asked.ask(waited, {"other": 1}).future.result(30)
        with use_locale("zh-CN"):
            asked.ask(waited, {}).future.result(30)
        assert len(calls) == 3


def test_asking_for_what_is_kept_takes_no_memory_without_end(root: Path) -> None:
    with questions(root) as asked:
        most = 10 * asked._settings.kept_jobs
        first = asked.ask(FUNNEL, ASKED)
        first.future.result(60)
        for _ in range(most + 50):
            last = asked.ask(FUNNEL, ASKED)
        assert len(asked._jobs) == len(first.run.jobs) == most
        assert asked.job(last.id) is last
        with pytest.raises(NotFoundError, match="UP862"):
            asked.job(first.id)


def test_answers_change_with_data_and_definitions(root: Path) -> None:
    import pyarrow as pa

    with questions(root) as asked:
        first = asked.ask(FUNNEL, ASKED).future.result(60)
        assert asked.ask(FUNNEL, ASKED).future.result(60) is first
        with asked._storage.writing() as store:
            table = pa.table({"user": ["n1"], "time": ["2026-06-01 10:00:00"], "event": ["app_installed"]})
            import_arrow(store, table, calendar=asked._storage.project.calendar)
        second = asked.ask(FUNNEL, ASKED, fresh=True).future.result(60)
        assert second.steps[0].users == first.steps[0].users + 1  # type: ignore[attr-defined]
        file = root / "funnels" / "activation.yml"
        file.write_text(file.read_text().replace("steps:", "# told anew\nsteps:", 1))
        assert asked.ask(FUNNEL, ASKED).future.result(60) is not second


def test_too_many_are_turned_away(root: Path, held: tuple[Verb, threading.Event, list[int]]) -> None:
    waited, gate, _ = held
    with questions(root, question_threads=1, question_queue=1) as asked:
        asked.ask(waited, {"n": 1})
        asked.ask(waited, {"n": 2})
        with pytest.raises(TooManyError) as refused:
            asked.ask(waited, {"n": 3})
        assert refused.value.headers == {"Retry-After": "2"}
        asked.ask(waited, {"n": 2})  # the same as one that waits: no further work
        gate.set()


def test_memory_for_answers_is_bounded(root: Path) -> None:
    with questions(root, cache_bytes=60_000) as asked:
        for limit in range(1, 15):
            asked.ask(verb("users"), {"segment": "habit", "limit": limit * 100}).future.result(60)
            assert asked.kept_bytes <= 60_000 or len(asked._finished) == 1
        first = asked.ask(FUNNEL, ASKED)
        first.future.result(60)
        for limit in range(20, 60):
            asked.ask(verb("users"), {"segment": "habit", "limit": limit * 100}).future.result(60)
        with pytest.raises(NotFoundError):
            asked.job(first.id)


def test_a_running_statement_is_interrupted(root: Path, slow: Verb) -> None:
    with questions(root) as asked:
        job = asked.ask(slow, {})
        until(lambda: bool(job.run.watch._cursors))
        began = time.process_time()
        asked.cancel(job)
        with pytest.raises(CancelledError):
            job.future.result(30)
        assert job.state == "cancelled"
        assert time.process_time() - began < 20  # interrupted, not finished
        assert asked.ask(FUNNEL, ASKED).future.result(60).how.events


def test_giving_up_does_not_disturb_others(root: Path, held: tuple[Verb, threading.Event, list[int]]) -> None:
    waited, gate, _ = held
    with questions(root) as asked:
        mine, theirs = asked.ask(waited, {}), asked.ask(waited, {})
        asked.cancel(mine)
        gate.set()
        assert theirs.future.result(30) is not None


def test_jobs_over_http(root: Path, held: tuple[Verb, threading.Event, list[int]]) -> None:
    with serving(root) as client:
        begun = client.post("/api/v1/funnel", json={"name": "activation"})
        assert begun.status_code == 202
        address = begun.headers["location"]
        assert address == f"/api/v1/jobs/{begun.json()['job']['id']}"
        until(lambda: client.get(address).json()["job"]["state"] == "done")
        body = client.get(address).json()
        assert body["result"]["steps"] == client.get("/api/v1/funnel/activation").json()["steps"]
        failed = client.post("/api/v1/funnel", json={"name": "nosuch"}).headers["location"]
        until(lambda: client.get(failed).json()["job"]["state"] == "failed")
        assert client.get(failed).json()["failure"]["code"] == "UP201"
        assert client.delete(failed).json()["job"]["state"] == "cancelled"


def test_a_job_is_cancelled_over_http(root: Path, slow: Verb) -> None:
    with serving(root, QUIET) as client:
        asked = client.app.state.upswing.questions  # type: ignore[attr-defined]
        job = asked.ask(slow, {})
        until(lambda: bool(job.run.watch._cursors))
        assert client.get(f"/api/v1/jobs/{job.id}").json()["job"]["state"] == "running"
        assert client.delete(f"/api/v1/jobs/{job.id}").status_code == 200
        with pytest.raises(CancelledError):
            job.future.result(30)


def test_questions_go_on_while_a_writer_is_in_its_transaction(root: Path) -> None:
    with questions(root) as asked, asked._storage.writing() as store, store.transaction():
        before = asked.ask(FUNNEL, ASKED).future.result(60)
        store.run("INSERT INTO events SELECT * FROM events")
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda n: asked.ask(FUNNEL, {**ASKED, "limit": n}).future.result(60), (3, 4)))
        assert all(f.steps == before.steps for f in found)  # type: ignore[attr-defined]
        store.run("DELETE FROM events WHERE rowid < 0")


def test_what_was_under_way_when_answers_were_forgotten_is_not_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def method(self: Workspace, **_: object) -> Any:
        begun.set()
        assert go_on.wait(30)
        return self.segments()

    monkeypatch.setattr(Workspace, "waiting", method, raising=False)
    waiting = Verb("waiting", FUNNEL.help, (), FUNNEL.group)
    with questions(root) as asked:
        job = asked.ask(waiting, {})
        assert begun.wait(30)
        asked.forget()
        again = asked.ask(waiting, {})
        assert again.run is not job.run
        go_on.set()
        assert job.future.result(30).to_dict() == again.future.result(30).to_dict()  # who waits for it now has it
        until(lambda: asked.waiting == 0)
        with pytest.raises(NotFoundError):
            asked.job(job.id)
        assert asked.job(again.id) == again
        assert asked.known(waiting, {}) is again.future.result(0)


def test_closing_interrupts_what_nobody_waits_for(root: Path, slow: Verb) -> None:
    with questions(root, question_threads=1) as asked:
        running, waiting = asked.ask(slow, {"n": 1}), asked.ask(slow, {"n": 2})
        until(lambda: bool(running.run.watch._cursors))
    for job in (running, waiting):
        with pytest.raises(CancelledError):
            job.future.result(0)
