"""Answers that take longer than a page waits: the page is there at once, comes for them, and may give them up."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.server.workspaces import copied, serving
from tests.web.conftest import looking
from upswing.engines.base import Query
from upswing.sql.template import q
from upswing.web.site import add_pages
from upswing.workspace import Workspace

ENDLESS = "SELECT sum(a.range * b.range) FROM range(100_000_000) AS a, range(100_000_000) AS b"
FUNNEL = "/funnel?step=app_installed&step=order_paid&within=7d"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that wait for nothing that is not in memory."""
    monkeypatch.setattr("upswing.web.view.PATIENCE", 0.0)


def waiting(page: str) -> tuple[str, str]:
    found = re.search(r'data-waiting="([^"]+)" hx-get="([^"]+)"', page)
    assert found is not None, page[:2000]
    return found[1], found[2].replace("&amp;", "&")


@pytest.mark.usefixtures("hasty")
def test_a_page_comes_before_its_answer(web_demo: Path, tmp_path: Path) -> None:
    with serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client:
        client.headers["accept"] = "text/html"
        early = client.get(f"{FUNNEL}&within=3d")
        assert early.status_code == 200
        assert 'data-name="steps"' not in early.text
        assert 'http-equiv="refresh"' in early.text  # without scripts it asks again
        mark, href = waiting(early.text)
        part = client.get(href, headers={"hx-request": "true", "x-ask": mark})
        assert 'data-name="steps"' in part.text
        assert "data-waiting" not in part.text
        again = client.get(f"{FUNNEL}&within=3d")
        assert 'data-name="steps"' in again.text  # from memory at once


@pytest.mark.usefixtures("hasty")
def test_the_overview_comes_in_parts(web_demo: Path, tmp_path: Path) -> None:
    with serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client:
        client.headers["accept"] = "text/html"
        for _ in range(100):  # without scripts, as the page asks again
            page = client.get("/").text
            if 'class="kpis"' in page:
                break
            time.sleep(0.1)
        names = re.findall(r'id="brief-([a-z-]+)"', page)
        assert names == ["north-star", "growth-points", "alerts"]
        for name in names:
            part = client.get(f"/-/overview/{name}", headers={"hx-request": "true"}).text
            assert f'id="brief-{name}"' in part
            assert "data-waiting" not in part
            assert 'class="lead"' in part
        assert client.get("/-/overview/nothing").status_code == 404


def test_an_overview_without_a_tree_says_what_to_declare(web_demo: Path, tmp_path: Path) -> None:
    root = copied(web_demo, tmp_path / "w")
    for path in [*root.glob("metrics/*.yml"), *root.glob("strategy/*.yml")]:
        path.unlink()
    with serving(root, add=[add_pages]) as client:
        client.headers["accept"] = "text/html"
        page = client.get("/").text
        star = page.partition('id="brief-north-star"')[2].partition("</section>")[0]
        assert "/definitions/new?kind=tree" in star
        assert "data-waiting" not in star
        assert "/definitions/new?kind=metric" in page.partition('id="brief-alerts"')[2]


def test_a_page_that_waits_is_given_up(
    web_demo: Path, tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(self: Workspace, **_: object) -> object:
        return self.log.engine.rows(Query(q(ENDLESS)))

    monkeypatch.setattr(Workspace, "stickiness", endless)
    with serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client:
        with looking(browser, str(client.base_url).rstrip("/")) as context:
            page = context.new_page()
            page.goto("/stickiness?event=app_opened")
            expect(page.locator("#answer .progress output")).to_contain_text("s")
            page.click("#answer [data-cancel]")
            expect(page.locator("#answer .state.bad")).to_be_visible()
        assert client.app.state.upswing.questions.waiting == 0  # type: ignore[attr-defined]


@pytest.mark.usefixtures("hasty")
def test_a_page_that_waits_gets_its_answer(web_demo: Path, tmp_path: Path, browser: Browser) -> None:
    with (
        serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client,
        looking(browser, str(client.base_url).rstrip("/")) as context,
    ):
        page = context.new_page()
        page.goto(f"{FUNNEL}&within=5d")
        expect(page.locator("#answer [data-name=steps]")).to_be_visible()
        page.goto("/")
        expect(page.locator("#brief-north-star .lead")).to_be_visible()
        page.locator("#brief-growth-points").scroll_into_view_if_needed()
        expect(page.locator("#brief-growth-points .lead")).to_be_visible(timeout=20_000)


def test_marks_do_not_mix_questions(web_demo: Path, tmp_path: Path) -> None:
    """A mark that is asked again with another question gets the answer to that question."""
    with serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client:
        client.headers.update({"accept": "text/html", "hx-request": "true", "x-ask": "one"})
        first = client.get("/funnel?step=app_installed&step=order_paid").text
        second = client.get("/interval?event=app_installed&then=order_paid").text
        assert 'data-name="steps"' in first
        assert 'data-name="steps"' not in second
