"""What the demo's people wrote holds together: every file opens, names what exists, and fills its page."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from upswing.core.i18n import use_locale
from upswing.demo.fill import settle
from upswing.demo.papers import notes, papers
from upswing.workspace import Workspace

TODAY = date(2026, 6, 28)
HAN = re.compile(r"[一-鿿]")


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_every_paper_opens_and_names_what_exists(tmp_path: Path, locale: str) -> None:
    Workspace.create(tmp_path, locale=locale).close()
    with use_locale(locale):
        settle(tmp_path, seed=3, users=2000)
    with Workspace.open(tmp_path) as workspace:
        assert list(workspace.check()) == []
        assert len(workspace.hypotheses().data()["hypotheses"]) == 3
        assert len(workspace.initiatives().data()["initiatives"]) == 3


def test_both_languages_say_the_same_things() -> None:
    en, zh = papers("en", users=2000, today=TODAY), papers("zh-CN", users=2000, today=TODAY)
    assert _shape(en) == _shape(zh)
    assert not HAN.search(str([v for k, v in _texts(en) if k != "zh"]).replace("验证码", "").replace("报表", ""))
    assert all(HAN.search(v) for k, v in _texts(zh) if k in {"state", "trace", "lever", "next_step", "because", "zh"})
    assert notes("en", seed=1)[1].count("\n") == notes("zh-CN", seed=1)[1].count("\n")


def _shape(part: object) -> object:
    if isinstance(part, dict):
        return {key: _shape(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_shape(value) for value in part]
    return None if isinstance(part, str) else part


def _texts(part: object, key: str = "") -> list[tuple[str, str]]:
    if isinstance(part, str):
        return [(key, part)]
    inner = part.items() if isinstance(part, dict) else ((key, p) for p in part) if isinstance(part, list) else ()
    return [found for k, p in inner for found in _texts(p, k)]
