"""While a server holds a workspace, command line and Python are answered by it, with the same words and numbers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.workspaces import copied
from upswing.cli.main import main
from upswing.core.errors import DataError, EngineError, UsageError
from upswing.core.i18n import use_locale
from upswing.facts.database import Facts
from upswing.workspace import Workspace
from upswing.workspace.holder import FOLDER, NOTE, Holder, holder_of, locked, write_note
from upswing.workspace.remote import call

COMMANDS = (
    ("funnel", "activation", "--by", "platform"),
    ("funnel", "activation", "--json"),
    ("funnel", "nosuch", "--json"),
    ("lifecycle", "--csv"),
    ("events", "--lang", "zh-CN"),
    ("schema",),
    ("import", "/nowhere/none.csv"),
    ("paths", "--after", "app_installed[platform ="),
)


def run(root: Path, *words: str) -> tuple[int, str, str]:
    """A command on the workspace, as the ``upswing`` program runs it; seconds are left out of what it says."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    environment = {"UPSWING_LANG": "en", "UPSWING_WORKSPACE": str(root)}
    with (
        pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
        use_locale("en"),
    ):  # fmt: skip
        patch.setattr(sys, "argv", ["upswing", *words])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, untimed(out.getvalue()), untimed(err.getvalue())


def untimed(said: str) -> str:
    said = re.sub(r" · [\d.]+ s$", "", said, flags=re.MULTILINE)
    return re.sub(r'"timings": \{[^}]*\}', "", said)


@contextmanager
def served(root: Path) -> Iterator[subprocess.Popen[str]]:
    """``upswing serve`` as a process of its own, stopped after the block."""
    server = subprocess.Popen(
        [sys.executable, "-m", "upswing", "serve", "--port", "0", "--workspace", str(root)],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "UPSWING_LANG": "en"},
    )  # fmt: skip
    try:
        assert server.stderr is not None
        first = server.stderr.readline()
        assert "serving" in first, first
        yield server
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)


def test_same_words_with_and_without_a_server(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    before = [run(root, *words) for words in COMMANDS]
    with served(root):
        assert holder_of(root) is not None
        during = [run(root, *words) for words in COMMANDS]
    assert holder_of(root) is None
    for words, was, became in zip(COMMANDS, before, during, strict=True):
        assert became == was, words


def test_whoever_is_told_the_address_is_let_in(demo: Path, tmp_path: Path) -> None:
    """The address is announced before the server takes calls; one that comes at once waits, and is not refused."""
    asked = """
import json, os, pathlib, signal, socket, sys
from urllib.parse import urlsplit
from upswing.server.run import run
from upswing.server.settings import ServerSettings
from upswing.workspace import holder

root = pathlib.Path(sys.argv[1])

def say(said):
    if "serving" in str(said):
        note = (root / holder.FOLDER / holder.NOTE).read_text()
        where = urlsplit(json.loads(note)["address"])
        socket.create_connection((where.hostname, where.port), timeout=5).close()
        print("let in")
        os.kill(os.getpid(), signal.SIGINT)

run(root, ServerSettings(port=0), say=say)
"""
    root = copied(demo, tmp_path / "ws")
    environment = {**os.environ, "UPSWING_LANG": "en"}
    done = subprocess.run([sys.executable, "-c", asked, str(root)], capture_output=True, text=True, env=environment)
    assert done.stdout.split("\n")[0] == "let in", done.stderr


def test_python_results_keep_their_types(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with Workspace.open(root) as alone:
        expected = [alone.funnel("activation"), alone.lifecycle(), alone.events(), alone.report()]
    with served(root), Workspace.open(root) as workspace:
        found = [workspace.funnel("activation"), workspace.lifecycle(), workspace.events(), workspace.report()]
        for mine, theirs in zip(found, expected, strict=True):
            assert type(mine) is type(theirs)
            assert mine.tables() == theirs.tables()
        assert found[0].steps == expected[0].steps  # type: ignore[attr-defined]
        with pytest.raises(UsageError) as lost:
            found[0].users_at(1)  # type: ignore[attr-defined]
        assert lost.value.code == "UP649"
        with pytest.raises(EngineError) as held:
            _ = workspace.log
        assert held.value.code == "UP710"


def test_changes_go_through_the_server(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    more = tmp_path / "more.csv"
    more.write_text("user,time,event\nnew1,2026-06-01 10:00:00,app_opened\nnew2,2026-06-01 11:00:00,app_opened\n")
    with served(root), Workspace.open(root) as workspace:
        before = sum(e.events for e in workspace.events().catalogue.events)  # type: ignore[attr-defined]
        assert workspace.import_events([more]).rows_added == 2
        after = sum(e.events for e in workspace.events().catalogue.events)  # type: ignore[attr-defined]
        assert after == before + 2
        assert workspace.alias("new2", "new1") == 1
        with pytest.raises(DataError) as missing:
            workspace.import_events(["nothing-here.csv"])
        assert missing.value.code == "UP320"
        workspace.compact()
        assert sum(e.events for e in workspace.events().catalogue.events) == after  # type: ignore[attr-defined]
    with Workspace.open(root) as alone:  # and all of it is in the file
        assert sum(e.events for e in alone.events().catalogue.events) == after  # type: ignore[attr-defined]


def test_a_killed_server_leaves_nothing_in_the_way(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with served(root) as server:
        server.kill()
        server.wait()
        assert (root / FOLDER / NOTE).exists()
        assert run(root, "events", "--csv")[0] == 0
        assert not (root / FOLDER / NOTE).exists()


def test_one_server_per_workspace(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with served(root):
        code, _, said = run(root, "serve", "--port", "0")
    assert code == 4
    assert "UP701" in said


def test_the_token_is_this_accounts_own(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with served(root):
        note = root / FOLDER / NOTE
        assert note.stat().st_mode & 0o777 == 0o600
        facts = json.loads(note.read_text())
        with pytest.raises(EngineError) as refused:
            call(Holder(facts["pid"], facts["address"], "guessed"), "events", {})
        assert refused.value.code == "UP711"
        genuine = Holder(facts["pid"], facts["address"], facts["token"])
        for method in ("close", "_reading", "__init__", "create", "log"):
            with pytest.raises(EngineError):
                call(genuine, method, {})


def test_a_note_without_a_lock_is_stale(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    parent = os.getppid()  # alive, and no server
    write_note(tmp_path, Holder(parent, "http://127.0.0.1:1", "t"))
    assert holder_of(tmp_path) is None
    assert not (tmp_path / FOLDER / NOTE).exists()
    write_note(tmp_path, Holder(parent, "http://127.0.0.1:1", "t"))
    with locked(tmp_path) as free:
        assert free
        assert holder_of(tmp_path) == Holder(parent, "http://127.0.0.1:1", "t")
    (tmp_path / FOLDER / NOTE).write_text("not json")
    assert holder_of(tmp_path) is None


@pytest.mark.parametrize(
    "options",
    [["--host", "0.0.0.0"], ["--host", "::"], ["--allow-host", "localhost", "--allow-host", "growth.example.com"]],
)
def test_beyond_this_machine_nobody_serves_without_sign_in(demo: Path, tmp_path: Path, options: list[str]) -> None:
    root = copied(demo, tmp_path / "ws")
    code, _, said = run(root, "serve", "--port", "0", *options)
    assert code == 2
    assert "UP650" in said


def test_a_question_under_way_is_answered_before_the_server_stops(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with served(root) as server:
        asking = subprocess.Popen(
            [sys.executable, "-m", "upswing", "growth-points", "--json", "--workspace", str(root)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(4.0)  # the command has to start and ask
        server.send_signal(signal.SIGINT)
        said, _ = asking.communicate(timeout=100)
        assert server.wait(timeout=60) == 0
    assert asking.returncode == 0
    assert json.loads(said)["definition"] is not None


def test_changes_through_a_server_are_in_its_audit_log(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    with served(root), Workspace.open(root) as workspace:
        workspace.funnel("activation")
        workspace.alias("phone", "somebody")
        with pytest.raises(UsageError):
            workspace.users("nosuch")
    with Facts.open(root) as facts:
        assert [(e.who, e.action) for e in facts.audit.entries(action="workspace")] == [("local", "workspace.alias")]
