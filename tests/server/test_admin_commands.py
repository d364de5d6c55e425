"""The commands that administer a workspace, beside a server and without one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.events.store import EventStore
from upswing.facts.database import Facts
from upswing.workspace import Workspace
from upswing.workspace.holder import holder_of


def run(root: Path, *words: str, **environment: str) -> Result:
    _register()
    return CliRunner().invoke(cli, [*words, "--workspace", str(root)], env=environment)


def told(root: Path, *words: str, **environment: str) -> dict[str, object]:
    answer = run(root, *words, "--json", **environment)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    found: dict[str, object] = json.loads(answer.stdout)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    file = tmp_path / "events.csv"
    file.write_text("user,time,event\nu1,2026-01-01,open\nu2,2026-01-01,open\n", "utf-8")
    with Workspace.create(tmp_path / "w") as workspace:
        workspace.import_events([file])
    return tmp_path / "w"


def test_people(root: Path) -> None:
    told(root, "people", "add", "lin@example.com", "--role", "admin", UPSWING_PASSWORD="correct horse battery")
    told(root, "people", "add", "bot@example.com", "--no-password")
    told(root, "people", "role", "bot@example.com", "editor")
    token = told(root, "people", "token", "bot@example.com", "--label", "ci", "--lifetime", "90d")
    assert [p["role"] for p in told(root, "people", "list")["people"]] == ["editor", "admin"]  # type: ignore[attr-defined]
    with Facts.open(root) as facts:
        found = facts.tokens.find(str(token["token"]))
        assert found is not None
        assert found.role == "editor"
    told(root, "people", "password", "lin@example.com", UPSWING_PASSWORD="other horse battery")
    refused = run(root, "people", "remove", "lin@example.com")
    assert isinstance(refused.exception, UpswingError)
    assert refused.exception.code == "UP827"
    told(root, "people", "remove", "bot@example.com")
    entries = told(root, "audit")["entries"]
    assert [e["action"] for e in entries][-1] == "people.add"  # type: ignore[attr-defined]
    assert "lin@example.com" in run(root, "people", "list").stdout


def test_keys_and_secrets(root: Path) -> None:
    made = told(root, "keys", "new", "flag", "--label", "web", "--origin", "https://a.example")
    assert str(made["key"]).startswith("upf_")
    told(root, "keys", "rotate", str(made["id"]), "--overlap", "1d")
    told(root, "keys", "revoke", str(made["id"]))
    listed = told(root, "keys", "list")["keys"]
    assert [k["holds"] for k in listed] == [False, True]  # type: ignore[attr-defined]
    assert str(made["key"]) not in run(root, "keys", "list").stdout
    plain = run(root, "keys", "new", "intake", "--label", "app")
    assert plain.stdout.strip().startswith("upi_")
    told(root, "secrets", "put", "ads", UPSWING_SECRET="hunter2")
    assert told(root, "secrets", "list") == {"secrets": [{"name": "ads"}]}
    told(root, "secrets", "remove", "ads")


def test_audit_shows_tampering(root: Path) -> None:
    from sqlalchemy import text

    told(root, "keys", "new", "flag", "--label", "web")
    with Facts.open(root) as facts, facts.writing() as connection:
        connection.execute(text("UPDATE audit SET who = 'somebody' WHERE id = 1"))
    assert run(root, "audit").exit_code == 1


def test_backup_restore_erase_without_a_server(root: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "w.tar", tmp_path / "again"
    assert told(root, "backup", str(file))["events"] == 2
    assert told(root, "erase", "u1", "--yes")["events"] == 1
    told(again, "restore", str(file))
    assert _users(again) == ["u1", "u2"]
    assert _users(root) == ["u2"]
    refused = run(again, "restore", str(file))
    assert isinstance(refused.exception, UpswingError)
    assert refused.exception.code == "UP850"
    told(root, "restore", str(file), "--force")
    assert _users(root) == ["u2"]  # erased since
    assert run(root, "jobs").exit_code == 0
    nowhere = run(root, "notify", "test")
    assert isinstance(nowhere.exception, UpswingError)


@pytest.fixture
def server(root: Path) -> Iterator[Path]:
    """A process of its own that holds the workspace."""
    program = [sys.executable, "-m", "upswing", "serve", "--port", "0", "--workspace", str(root)]
    environment = {**os.environ, "UPSWING_LANG": "en"}
    with subprocess.Popen(program, stderr=subprocess.DEVNULL, env=environment) as process:
        end = time.monotonic() + 60
        while holder_of(root) is None:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield root
        process.terminate()
        process.wait(30)


def test_backup_and_erase_through_the_server(server: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "w.tar", tmp_path / "again"
    assert told(server, "backup", str(file))["events"] == 2
    assert told(server, "erase", "u1", "--yes")["events"] == 1
    refused = run(server, "restore", str(file), "--force")
    assert isinstance(refused.exception, UpswingError)
    assert refused.exception.code == "UP850"
    told(again, "restore", str(file))
    assert _users(again) == ["u1", "u2"]
    told(server, "backup", str(file))
    told(again, "restore", str(file), "--force")
    assert _users(again) == ["u2"]
    assert {job["name"] for job in told(server, "jobs")["jobs"]} >= {"tidy", "alerts"}  # type: ignore[attr-defined]


def _users(root: Path) -> list[str]:
    with EventStore.open(root / "data" / "events.duckdb") as store:
        return [str(u) for (u,) in store.rows("SELECT user_id FROM users ORDER BY 1")]
