"""Pages in a real browser: without scripts, by keyboard, while an answer is on its way."""

from __future__ import annotations

import httpx
from playwright.sync_api import Browser, Page, Route, expect

from tests.web.conftest import looking, until
from tests.web.pages import FUNNEL
from upswing.core.numbers import format_compact, format_seconds

LANGUAGES = ("en", "zh-CN")


def base_of(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def settled(page: Page, path: str) -> None:
    page.goto(path, wait_until="networkidle")
    assert until(page, "document.fonts.status === 'loaded'")


def test_works_without_script(browser: Browser, site: httpx.Client) -> None:
    context = browser.new_context(base_url=base_of(site), java_script_enabled=False)
    with context:
        page = context.new_page()
        page.goto("/funnel?step=app_installed&step=order_paid")
        page.fill("input[name=within]", "3d")
        page.click("#question .go button")
        expect(page.locator("#answer h2").first).to_contain_text("3d")
        assert page.locator(".still svg").count() > 0
        page.click("summary:has-text('View as table') >> nth=0")
        expect(page.locator(".twin table").first).to_be_visible()


def test_numbers_in_charts_are_written_like_all_others(browser: Browser, site: httpx.Client) -> None:
    values = [0, 1, 12, 999, 1000, 1284.5, 9999, 99_999, 999_999, 1_284_500, 12_345_678, 1e9, -43_210, 0.1234, 7.5]
    with looking(browser, base_of(site)) as context:
        page = context.new_page()
        settled(page, "/")
        for locale in LANGUAGES:
            told = page.evaluate(
                """async ([values, locale]) => {
                    const { compact, seconds } = await import('/static/numbers.js');
                    return values.map((v) => [compact(v, locale), seconds(Math.abs(v), locale)]);
                }""",
                [values, locale],
            )
            for value, (short, length) in zip(values, told, strict=True):
                assert short == format_compact(value, locale=locale), value
                assert length == format_seconds(abs(value), locale=locale), value


def test_keys_and_address(browser: Browser, site: httpx.Client) -> None:
    with looking(browser, base_of(site)) as context:
        page = context.new_page()
        settled(page, "/")
        page.keyboard.press("g")
        page.keyboard.press("f")
        page.wait_for_url("**/funnel")
        settled(page, FUNNEL)
        page.keyboard.press("/")
        expect(page.locator("#q")).to_be_focused()
        page.keyboard.press("Escape")
        page.locator("main").focus()
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press(".")
        expect(page.locator("#range form")).to_be_visible()
        page.keyboard.press("Escape")
        page.select_option("select[name=trend]", "week")
        page.wait_for_url("**trend=week**")  # a change asks at once and the address keeps it
        expect(page.locator("#answer figure[data-name=trend]")).to_be_visible()
        assert "=&" not in page.url
        page.go_back()
        page.wait_for_url(lambda url: "trend" not in url)


def test_the_previous_answer_stays_until_the_next_and_waiting_can_be_stopped(
    browser: Browser, site: httpx.Client
) -> None:
    with looking(browser, base_of(site)) as context:
        page = context.new_page()
        settled(page, FUNNEL)
        before = page.locator("#answer h2").first.inner_text()
        held: list[Route] = []
        page.route(lambda url: "trend=week" in url, lambda route: held.append(route))
        page.select_option("select[name=trend]", "week")
        expect(page.locator("#progress")).to_be_visible()
        expect(page.locator("#progress output")).to_contain_text("s")
        assert page.locator("#answer h2").first.inner_text() == before
        assert held[0].request.headers["x-ask"]
        page.click("[data-cancel]")
        expect(page.locator("#progress")).to_be_hidden()
        assert page.locator("#answer h2").first.inner_text() == before


def test_suggestions_are_taken_by_keyboard(browser: Browser, site: httpx.Client) -> None:
    with looking(browser, base_of(site)) as context:
        page = context.new_page()
        settled(page, FUNNEL)
        blank = page.locator(".steps li.blank input")
        blank.focus()
        blank.press_sequentially("entry_cr")
        expect(page.locator(".suggestions li").first).to_contain_text("entry_created")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**step=entry_created**")
        expect(page.locator(".steps li")).to_have_count(5)
