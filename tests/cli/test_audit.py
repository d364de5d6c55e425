"""Changes on the command line are in the audit log of a workspace that keeps one."""

import json

import pytest
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.workspace import Workspace

pytest.importorskip("sqlalchemy")


def run(folder, *arguments):
    _register()
    done = CliRunner().invoke(cli, [*map(str, arguments), "-w", str(folder)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def actions(folder):
    return [(e["action"], e["target"]) for e in json.loads(run(folder, "audit", "--json"))["entries"]]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "e.csv").write_text("user,time,event\nu1,2026-01-05 10:00,view\n")
    Workspace.create(tmp_path / "ws").close()
    return tmp_path / "ws"


def test_a_workspace_without_people_keeps_no_audit_log(folder):
    run(folder, "import", folder.parent / "e.csv")
    assert not (folder / "data" / "facts.sqlite").exists()


def test_changes_are_noted_by_the_command_line_itself(folder):
    run(folder, "keys", "new", "intake", "--label", "app")
    file = folder.parent / "e.csv"
    run(folder, "import", file)
    run(folder, "alias", "device", "u1")
    run(folder, "compact")
    assert actions(folder)[:3] == [
        ("workspace.compact", ""), ("workspace.alias", "1 ids"), ("workspace.import_events", str(file)),
    ]  # fmt: skip


def test_what_failed_is_not_noted(folder):
    run(folder, "keys", "new", "intake", "--label", "app")
    before = actions(folder)
    with pytest.raises(Exception, match="UP"):
        run(folder, "import", folder.parent / "missing.csv")
    assert actions(folder) == before
