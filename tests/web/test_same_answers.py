"""A page says what the Python verb answers: its verdict and the cells of its main table, in both languages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.web.test_words import Words
from upswing.core.i18n import use_locale
from upswing.core.results import Result, Table, show
from upswing.verbs import verb
from upswing.web.forms import arguments
from upswing.web.rooms import asked_verbs, page_of

QUESTIONS = (
    "/funnel?name=activation",
    "/funnel?step=app_installed&step=order_paid&within=7d&by=platform",
    "/retention?start=app_installed&return=*&period=week&periods=3",
    "/lifecycle?period=week",
    "/stickiness?period=week",
    "/paths?depth=4",
    "/interval?event=entry_created",
    "/distribution?event=entry_created",
    "/ask/metrics?name=activation_rate",
    "/explain-change?name=activation_rate",
    "/alerts?name=verification_rate",
    "/growth-points?closed=0.4",
    "/aha?name=first_entries",
    "/hook?name=bookkeeping",
    "/quadrants?name=new_users",
    "/behaviour?name=opening",
    "/hypotheses?by=rice",
    "/initiatives?stage=test",
)


def test_every_verb_with_a_page_is_asked() -> None:
    asked = {urlsplit(q).path for q in QUESTIONS}
    assert {page_of(v).path for v in asked_verbs()} - asked <= {"/events", "/segments"}  # pages of their own make


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_page_and_python_say_the_same(site: httpx.Client, question: str, lang: str) -> None:
    path, query = urlsplit(question).path, parse_qsl(urlsplit(question).query)
    asked = next(v for v in asked_verbs() if page_of(v).path == path)
    given = arguments(verb(asked.name), query)
    state = site.app.state.upswing  # type: ignore[attr-defined]
    with use_locale(lang):
        answer: Result = state.storage.answer(lambda workspace: getattr(workspace, asked.method)(**given))
        page = site.get(f"{question}&lang={lang}")
        while "data-waiting" in page.text:
            page = site.get(f"{question}&lang={lang}")
        said = Words(page.text).said
        words = " ".join(said)
        if verdict := " ".join(str(answer.verdict()).split()):
            assert verdict in words
        table = next((t for t in answer.tables() if t.rows), Table("", "", (), []))
        missing = [
            told
            for row in table.rows[:5]
            for cell, column in zip(row, table.columns, strict=True)
            if column.key not in ("lower", "upper")  # an interval is one cell
            and (told := " ".join(show(cell, column.unit).split()))
            and told not in words
        ]
    assert missing == []
