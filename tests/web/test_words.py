"""No English is left on a Chinese page, but the names that data and people bring."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from babel.messages.pofile import read_po

import upswing
from tests.web.pages import PAGES
from upswing.demo import papers

PO = Path(upswing.__file__).parent / "locale" / "zh_CN" / "LC_MESSAGES" / "upswing.po"
WRITTEN = {"script", "style", "code", "pre", "textarea", "kbd"}
"""Elements that hold what is written in a language of machines."""
VOID = {"input", "br", "img", "link", "meta", "hr", "col", "source", "wbr"}
SPOKEN = ("title", "placeholder", "aria-label", "alt")
PROSE = re.compile(r"(?<![\w/.-])[A-Za-z][a-z']*(?: [a-z']+){2,}(?![\w/.-])")
"""Three English words in a row."""


class Words(HTMLParser):
    """What a page says: its texts, and attributes that are shown or read out."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self.said: set[str] = set()
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append(tag)
        self.said |= {value for key, value in attrs if key in SPOKEN and value}

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not WRITTEN & set(self._open):
            self.said.add(" ".join(data.split()))


@cache
def english() -> frozenset[str]:
    """Messages that Chinese says in other words; single lower-case words are also names of values."""
    with PO.open("rb") as file:
        found = {str(m.id): str(m.string) for m in read_po(file, locale="zh_CN") if m.id}
    return frozenset(m for m, said in found.items() if m != said and (" " in m or m[:1].isupper()))


@cache
def written() -> frozenset[str]:
    """What the people of the demo wrote, in the one language they write in."""
    notes = papers.notes("en", seed=0)[1]
    said = {row["text"] for row in csv.DictReader(io.StringIO(notes))}
    return frozenset(
        said | {s for paper in papers.papers("en", users=100, today=date(2026, 6, 28)).values() for s in _texts(paper)}
    )


def _texts(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict | list | tuple):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _texts(inner)


def left(body: str) -> list[str]:
    """English on a page that is meant to be Chinese."""
    return sorted(s for s in Words(body).said - written() if s in english() or PROSE.search(_ours(s)))


def _ours(said: str) -> str:
    """A sentence without what people wrote inside it."""
    for theirs in written():
        said = said.replace(theirs, "…") if " " in theirs else said
    return said


@pytest.mark.parametrize("path", PAGES)
def test_no_english_on_a_chinese_page(site: httpx.Client, path: str) -> None:
    body = site.get(f"{path}{'&' if '?' in path else '?'}lang=zh-CN").text
    assert len(Words(body).said) > 5
    assert left(body) == []


def test_english_would_be_found(site: httpx.Client) -> None:
    body = site.get("/funnel?lang=en").text
    assert len(left(body)) > 30
    assert left("<p title='Search'>还有 a few words left</p><code>a few words left</code>") == [
        "Search",
        "还有 a few words left",
    ]
