"""A working day in a real browser: keys and the address, and the way from a file to a shared answer."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.server.workspaces import serving
from tests.web.conftest import looking, until
from tests.web.pages import FUNNEL
from upswing.core.numbers import format_compact, format_seconds
from upswing.web.site import add_pages
from upswing.workspace import Workspace

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


@pytest.fixture
def empty(tmp_path: Path, browser: Browser) -> object:
    """A workspace without events, served."""
    Workspace.create(tmp_path / "w").close()
    with serving(tmp_path / "w", add=[add_pages]) as client:
        yield browser.new_context(base_url=base_of(client), accept_downloads=True)


def events_csv(path: Path) -> Path:
    """Sixty users: all view, half of them sign up, a third pays, some come back a week later; one row has no time."""
    rows = ["uid,ts,what,platform"]
    for i in range(60):
        platform = "ios" if i % 2 else "android"
        rows.append(f"u{i},2026-03-0{1 + i % 7}T10:00:00,view,{platform}")
        if i % 2:
            rows.append(f"u{i},2026-03-0{1 + i % 7}T10:05:00,sign_up,{platform}")
        if i % 3 == 0:
            rows.append(f"u{i},2026-03-0{1 + i % 7}T11:00:00,pay,{platform}")
        if i % 4 == 0:
            rows.append(f"u{i},2026-03-{8 + i % 7:02d}T10:00:00,view,{platform}")
    rows.append("u1,yesterday,view,ios")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_from_a_file_to_a_shared_answer(empty: BrowserContext, tmp_path: Path) -> None:
    page = empty.new_page()
    page.goto("/")
    expect(page.locator("h1")).to_have_text("No events yet")
    page.click("a[href='/import'] >> visible=true >> nth=-1")
    page.set_input_files("#file", events_csv(tmp_path / "events.csv"))
    page.click("text=Look at it")
    expect(page.locator("#role-user")).to_have_value("uid")
    expect(page.locator("#role-time")).to_have_value("ts")
    page.select_option("#role-event", "what")
    page.click("main form button:has-text('Import')")
    expect(page.locator("#run .verdict")).to_contain_text("1 set aside", timeout=60_000)
    page.click("text=See the rows set aside")
    expect(page.locator("main")).to_contain_text("yesterday")

    page.goto("/funnel?step=view&step=sign_up")
    expect(page.locator("#answer [data-name=steps] tbody tr >> nth=1")).to_contain_text("30")
    page.fill("input[name=by]", "platform")
    page.locator("input[name=by]").press("Tab")
    page.wait_for_url("**by=platform**")
    expect(page.locator("#answer [data-name=groups]")).to_contain_text("ios")
    page.click("#answer [data-name=steps] tbody tr >> nth=1 >> td.r:nth-of-type(4) a")  # those who did not come
    expect(page.locator("h1")).to_contain_text("did not reach")
    expect(page.locator(".verdict").first).to_have_text("30 users")
    page.fill("input[name=save]", "no_sign_up")
    page.click("main form button:has-text('Save')")
    page.wait_for_url("**/segments/no_sign_up")
    expect(page.locator("main")).to_contain_text("30")

    page.click("main >> text=Who comes back")
    page.wait_for_url("**/retention?segment=no_sign_up")
    expect(page.locator("#answer table.triangle").first).to_be_visible()
    page.click("#answer summary:has-text('Share')")
    with page.expect_download() as download:
        page.click("text=One HTML file")
    body = Path(download.value.path()).read_text(encoding="utf-8")
    assert "triangle" in body
    assert "<script" not in body


def test_a_definition_is_broken_mended_and_kept(browser: Browser, web_demo: Path, tmp_path: Path) -> None:
    from tests.server.workspaces import copied

    with (
        serving(copied(web_demo, tmp_path / "w"), add=[add_pages]) as client,
        looking(browser, base_of(client)) as context,
    ):
        page = context.new_page()
        page.goto("/definitions/edit?file=funnels/activation.yml")
        good = page.input_value("#yaml")
        page.fill("#yaml", good.replace("signup_started", "signup_startd"))
        page.click("text=Save")
        expect(page.locator("#problems")).to_contain_text("signup_started")  # the nearest name
        expect(page.locator(".listing .wrong")).to_contain_text("signup_startd")
        page.fill("#yaml", good.replace("window: 7d", "window: 3d"))
        page.click("text=Check and compare")
        expect(page.locator(".diff .added")).to_contain_text("window: 3d")
        (tmp_path / "w" / "funnels" / "activation.yml").write_text(good + "# by somebody else\n", encoding="utf-8")
        page.click("main form.editor button:has-text('Save')")
        expect(page.locator("[role=alert]")).to_contain_text("somebody else")
        page.goto("/definitions/edit?file=funnels/activation.yml")
        page.fill("#yaml", good.replace("window: 7d", "window: 3d"))
        page.click("main form.editor button:has-text('Save')")
        expect(page.locator("main")).to_contain_text("Saved.")
        page.goto("/funnel?name=activation")
        expect(page.locator("#answer h2").first).to_contain_text("3d")
        page.goto("/definitions/edit?file=funnels/activation.yml")
        page.click("text=Earlier texts")
        page.click("details.more li a >> nth=0")
        expect(page.locator("#yaml")).to_have_value(re.compile("by somebody else"))
