from __future__ import annotations

from pathlib import Path

import pytest

from upswing.core.errors import Problems
from upswing.spec.definitions import Definitions
from upswing.spec.files import parse_document, read_documents
from upswing.spec.starters import FOLDERS, STARTERS, starter


@pytest.mark.parametrize("kind", STARTERS)
def test_a_starter_is_valid_as_it_stands(kind: str, tmp_path: Path) -> None:
    file = tmp_path / FOLDERS[kind] / "first.yml"
    file.parent.mkdir()
    file.write_text(starter(kind, "first"), encoding="utf-8")
    assert "first" in Definitions.load(tmp_path).by_kind[kind]


@pytest.mark.parametrize("kind", ["hypothesis", "initiative", "funnel"])
def test_its_commented_keys_are_valid_too(kind: str, tmp_path: Path) -> None:
    from upswing.spec.definitions import model_of

    file = tmp_path / "first.yml"
    lines = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line
        for line in starter(kind, "first").splitlines()
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    problems = Problems()
    (document,) = read_documents(file, problems, root=tmp_path)
    assert parse_document(document, model_of(kind), problems) is not None, list(problems)
