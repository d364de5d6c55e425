"""Every example of the guide to metrics runs: definitions are valid, commands answer."""

import re
import shlex
from pathlib import Path

import pytest
from bench.growth_points import world

from upswing.cli.main import main
from upswing.demo.model import MODEL

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "metrics.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guide")
    world(folder, seed=1, users=2_000, model=MODEL).close()
    for number, body in enumerate(blocks("yaml")):
        (folder / "metrics" / f"guide_{number}.yml").write_text(body, encoding="utf-8")
    return folder


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


def status(monkeypatch, words):
    """Exit status of a command."""
    monkeypatch.setattr("sys.argv", ["upswing", *words])
    try:
        main()
    except SystemExit as ended:
        return ended.code
    return 0


def test_the_definitions_of_the_guide_are_sound(folder, monkeypatch, capsys):
    assert status(monkeypatch, ["check", "--workspace", str(folder)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_guide_answer(folder, command, monkeypatch, capsys):
    name, *words = shlex.split(command)
    assert name == "upswing"
    no = 1 if "--check-targets" in words else 0  # the answer "no" of a question that has one
    assert status(monkeypatch, [*words, "--workspace", str(folder)]) in (0, no), capsys.readouterr().err
