"""Pages without scripts, and on paper: whatever is to be read is there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import looking
from tests.web.pages import PAGES

VISIBLE = "(found) => found.filter((e) => e.checkVisibility()).length"


@pytest.fixture(scope="module")
def scriptless(browser: Browser, site: httpx.Client) -> Iterator[Page]:
    """A visitor whose browser runs no scripts."""
    context = browser.new_context(
        base_url=str(site.base_url), java_script_enabled=False, viewport={"width": 1280, "height": 900}
    )
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_reads_without_scripts(scriptless: Page, path: str) -> None:
    page = scriptless
    page.goto(path)
    expect(page.locator("h1").first).to_be_visible()
    answer = page.locator("#answer")
    if answer.count():  # a question that takes longer comes by itself
        expect(answer.locator(".verdict, .empty, .failed").first).to_be_visible(timeout=30_000)
    for gone in (".skeleton", ".progress", "[data-png]"):
        assert page.locator(gone).evaluate_all(VISIBLE) == 0, gone
    charts = page.locator("upswing-chart")
    assert charts.locator(".still svg[role=img]").evaluate_all(VISIBLE) == charts.count()


def test_a_question_is_asked_and_its_users_are_seen_without_scripts(scriptless: Page) -> None:
    page = scriptless
    page.goto("/funnel?step=app_installed&step=order_paid&within=7d")
    page.fill("input[name=by]", "platform")
    page.click(".go button")
    expect(page.locator("#answer")).to_contain_text("android")
    page.click("#answer table a >> nth=0")
    expect(page.locator("h1")).to_be_visible()
    assert page.url.partition("?")[0].endswith("/users")
    assert page.locator("main table tbody tr").count() > 3


def test_parts_that_are_known_come_with_the_overview(site: httpx.Client, scriptless: Page) -> None:
    page = scriptless
    for path in ("/growth-points", "/alerts"):
        page.goto(path)
        expect(page.locator("#answer .verdict")).to_be_visible(timeout=30_000)
    page.goto("/")
    expect(page.locator("#brief-growth-points table")).to_be_visible()
    expect(page.locator("#brief-alerts .lead")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/funnel", "/retention", "/journey", "/growth-points"])
def test_paper_is_white_and_holds_the_answer_alone(browser: Browser, site: httpx.Client, path: str) -> None:
    with looking(browser, str(site.base_url), theme="dark") as context:
        page = context.new_page()
        page.goto(path)
        expect(page.locator(".verdict, .lead").first).to_be_visible(timeout=30_000)
        page.emulate_media(media="print")
        for gone in ("#rooms", ".top", ".question", ".acts", "details:not([open]) > summary"):
            assert page.locator(gone).evaluate_all(VISIBLE) == 0, gone
        ink, paper, kept = page.evaluate(
            "() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor, s.printColorAdjust]; }"
        )
        assert (ink, paper, kept) == ("rgb(26, 28, 31)", "rgb(255, 255, 255)", "exact")
        assert page.locator("main").inner_text().strip()
        assert page.pdf().startswith(b"%PDF")
