"""fmt and explain on the command line."""

import pytest
from click.testing import CliRunner

from upswing.cli.main import _register, cli
from upswing.core.errors import UpswingError
from upswing.core.i18n import use_locale


def run(*arguments):
    _register()
    return CliRunner().invoke(cli, list(map(str, arguments)), standalone_mode=False)


def test_files_come_into_one_form(tmp_path):
    run("init", tmp_path / "ws")
    (tmp_path / "ws" / "segments").mkdir()
    file = tmp_path / "ws" / "segments" / "payers.yml"
    file.write_text("all: [{did: pay}]\nname: payers # who pay\nkind: segment\n")
    checked = run("fmt", "--check", "-w", tmp_path / "ws")
    assert checked.return_value == 1
    assert "payers.yml" in checked.output
    assert file.read_text().startswith("all")
    run("fmt", "-w", tmp_path / "ws")
    assert file.read_text() == "kind: segment\nname: payers # who pay\nall: [{did: pay}]\n"
    assert run("fmt", "--check", "-w", tmp_path / "ws").return_value is None


def test_codes_are_explained():
    with use_locale("en"):
        shown = run("explain", "up302").output
        assert shown.startswith("UP302: no such event")
        assert "Way out: " in shown
    missing = run("explain", "UP999").exception
    assert isinstance(missing, UpswingError)
    assert missing.code == "UP615"


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "a.yml").write_bytes(content)
    broken = run("fmt", tmp_path / "a.yml").exception
    assert isinstance(broken, UpswingError)
    assert broken.code == "UP616"
