"""Whatever stands in a page's address: an answer or a page that says what is wrong, never a failure of the server."""

from __future__ import annotations

import httpx
import pytest

from upswing.web.rooms import asked_verbs, page_of

BAD = ("x'\"<b>;--", "a" * 3000, "-1", "nan", "漏\x00", "99999999999999999999")
SHARED = ("from", "to", "segment", "compare", "name", "at", "of", "lang", "theme")
ADDRESSES = {page_of(v).path: [p.flag for p in v.params if not p.writes] for v in asked_verbs()}
ADDRESSES["/"] = []


@pytest.mark.parametrize("path", sorted(ADDRESSES))
def test_nothing_in_an_address_breaks_a_page(site: httpx.Client, path: str) -> None:
    asked = dict.fromkeys([*ADDRESSES[path], *SHARED])
    for at, key in enumerate(asked):
        for value in (BAD[at % len(BAD)], BAD[(at + 3) % len(BAD)]):
            answer = site.get(path, params={key: value}, headers={"accept": "text/html"})
            assert answer.status_code < 500, (path, key, value[:20], answer.text[:300])
            assert "<html" in answer.text or answer.is_redirect, (path, key, value[:20])


@pytest.mark.parametrize("periods", ["-1", "0", "99999999999999999999"])
def test_numbers_of_periods_that_cannot_be(site: httpx.Client, periods: str) -> None:
    answer = site.get("/explain-change", params={"periods": periods})
    assert answer.status_code in (200, 422)
    assert "<html" in answer.text


def test_a_mistake_of_the_server_is_a_page_with_its_number(site: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("upswing.web.routes.definitions.render", broken)
    answer = site.get("/definitions")
    assert answer.status_code == 500
    assert "<html" in answer.text
    assert "UP800" in answer.text
    assert "a mistake of ours" not in answer.text
