"""A working day in a real browser, in both languages: from a file to a shared answer, a definition mended, people and keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.server.serving import PASSWORD, Served, served
from tests.server.workspaces import copied, serving
from tests.web.conftest import looking
from upswing.core.i18n import Text, use_locale
from upswing.web.site import add_pages
from upswing.workspace import Workspace

Say = Callable[..., str]


@pytest.fixture(params=["en", "zh-CN"])
def lang(request: pytest.FixtureRequest) -> str:
    """Both languages."""
    return str(request.param)


@pytest.fixture
def say(lang: str) -> Say:
    """A message as the page shows it."""

    def said(message: str, **values: object) -> str:
        with use_locale(lang):
            return str(Text(message, values))

    return said


def base_of(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def press(page: Page, name: str, *, within: str = "main") -> None:
    page.locator(within).get_by_role("button", name=name, exact=True).first.click()


@pytest.fixture
def empty(tmp_path: Path, browser: Browser, lang: str) -> Iterator[BrowserContext]:
    """A workspace without events, served."""
    Workspace.create(tmp_path / "w").close()
    with serving(tmp_path / "w", add=[add_pages]) as client, looking(browser, base_of(client), lang=lang) as context:
        yield context


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


def test_from_a_file_to_a_shared_answer(empty: BrowserContext, tmp_path: Path, lang: str, say: Say) -> None:
    page = empty.new_page()
    page.goto("/")
    expect(page.locator("h1")).to_have_text(say("No events yet"))
    page.click("a[href='/import'] >> visible=true >> nth=-1")
    page.set_input_files("#file", events_csv(tmp_path / "events.csv"))
    press(page, say("Look at it"))
    expect(page.locator("#role-user")).to_have_value("uid")
    expect(page.locator("#role-time")).to_have_value("ts")
    page.select_option("#role-event", "what")
    press(page, say("Import"))
    expect(page.locator("#run .verdict")).to_contain_text(
        {"en": "1 set aside", "zh-CN": "1条被隔离"}[lang], timeout=60_000
    )
    page.click(f"text={say('See the rows set aside')}")
    expect(page.locator("main")).to_contain_text("yesterday")

    page.goto("/funnel?step=view&step=sign_up")
    expect(page.locator("#answer [data-name=steps] tbody tr >> nth=1")).to_contain_text("30")
    page.fill("input[name=by]", "platform")
    page.locator("input[name=by]").press("Tab")
    page.wait_for_url("**by=platform**")
    expect(page.locator("#answer [data-name=groups]")).to_contain_text("ios")
    page.click("#answer [data-name=steps] tbody tr >> nth=1 >> td.r:nth-of-type(4) a")  # those who did not come
    expect(page.locator(".verdict").first).to_have_text(say("{n} users", n=30))
    page.fill("input[name=save]", "no_sign_up")
    press(page, say("Save"))
    page.wait_for_url("**/segments/no_sign_up")
    expect(page.locator("main")).to_contain_text("30")

    page.click("main a[href*='/retention?segment=no_sign_up']")
    page.wait_for_url("**/retention?segment=no_sign_up")
    expect(page.locator("#answer table.triangle").first).to_be_visible()
    page.click(f"#answer summary:has-text('{say('Share it')}')")
    with page.expect_download() as download:
        page.click(f"text={say('One HTML file')}")
    body = Path(download.value.path()).read_text(encoding="utf-8")
    assert "triangle" in body
    assert "<script" not in body


@pytest.fixture
def own(tmp_path: Path, web_demo: Path, browser: Browser, lang: str) -> Iterator[BrowserContext]:
    """A copy of the demo that may be changed, served; it lies in the folder ``w``."""
    root = copied(web_demo, tmp_path / "w")
    with serving(root, add=[add_pages]) as client, looking(browser, base_of(client), lang=lang) as context:
        yield context


def test_a_definition_is_broken_mended_and_kept(own: BrowserContext, tmp_path: Path, lang: str, say: Say) -> None:
    page = own.new_page()
    page.goto("/definitions/edit?file=funnels/activation.yml")
    good = page.input_value("#yaml")
    page.fill("#yaml", good.replace("signup_started", "signup_startd"))
    press(page, say("Save"))
    expect(page.locator("#problems")).to_contain_text("signup_started")  # the nearest name
    expect(page.locator(".listing .wrong")).to_contain_text("signup_startd")
    page.fill("#yaml", good.replace("window: 7d", "window: 3d"))
    press(page, say("Check and compare"))
    expect(page.locator(".diff .added")).to_contain_text("window: 3d")
    (tmp_path / "w" / "funnels" / "activation.yml").write_text(good + "# by somebody else\n", encoding="utf-8")
    press(page, say("Save"), within="form.editor")
    expect(page.locator("[role=alert]")).to_contain_text(say("compare below and save again to replace it with yours"))
    page.goto("/definitions/edit?file=funnels/activation.yml")
    page.fill("#yaml", good.replace("window: 7d", "window: 3d"))
    press(page, say("Save"), within="form.editor")
    expect(page.locator("main")).to_contain_text(say("Saved."))
    page.goto("/funnel?name=activation")
    expect(page.locator("#answer h2").first).to_contain_text({"en": "3d", "zh-CN": "3天"}[lang])
    page.goto("/definitions/edit?file=funnels/activation.yml")
    page.click(f"text={say('Earlier texts')}")
    page.click("details.more li a >> nth=0")
    expect(page.locator("#yaml")).to_have_value(re.compile("by somebody else"))


def test_a_form_sets_a_value_and_a_list_and_shows_what_is_wrong_at_its_field(own: BrowserContext, say: Say) -> None:
    page = own.new_page()
    page.goto("/definitions/edit?file=strategy/aha.yml")
    page.click(f"summary:has-text('{say('As a form')}')")
    page.locator("[data-key=adjust] li.blank input").fill("platform")
    page.fill("#set-until", "29 bananas")
    press(page, say("Check and compare"), within="details.more")
    expect(page.locator("[data-key=until]")).to_have_class(re.compile("wrong"))
    expect(page.locator("[data-key=until] .bad")).to_contain_text("29 bananas")
    expect(page.locator("[data-key=after]")).not_to_have_class(re.compile("wrong"))
    expect(page.locator(".diff .added >> nth=0")).to_contain_text("29 bananas")
    page.fill("#set-until", "29d")
    page.locator("[data-key=exclude] [data-remove] >> nth=0").click()
    press(page, say("Check and compare"), within="details.more")
    expect(page.locator("#yaml")).to_have_value(re.compile(r"until: 29d[\s\S]*adjust: \[channel, platform\]"))
    expect(page.locator("#yaml")).to_have_value(re.compile(r"exclude: \[reminder_opened\]"))
    press(page, say("Save"), within="form.editor")
    expect(page.locator("main")).to_contain_text(say("Saved."))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("people") / "w", pages=True) as found:
        yield found


def sign_in(page: Page, name: str, say: Say, *, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    page.fill("input[name=email]", f"{name}@example.com")
    page.fill("input[name=password]", password)
    press(page, say("Sign in"))


def test_signing_in_and_what_each_role_may_do(signed: Served, browser: Browser, lang: str, say: Say) -> None:
    base = base_of(signed.client())
    with looking(browser, base, lang=lang) as context:
        page = context.new_page()
        page.goto("/settings")
        page.wait_for_url("**/sign-in?next=**")
        sign_in(page, "viewer", say, password="wrong one entirely")
        expect(page.locator("[role=alert]")).to_have_text(say("Address or password is wrong."))
        sign_in(page, "viewer", say)
        page.goto("/settings")
        expect(page.locator("h1")).to_have_text(say("Settings"))
        assert page.locator("#people, #keys, #audit").count() == 0
        page.goto("/definitions/new?kind=funnel")
        assert page.get_by_role("button", name=say("Save"), exact=True).count() == 0
    with looking(browser, base, lang=lang) as context:
        page = context.new_page()
        sign_in(page, "editor", say)
        page.goto("/definitions/new?kind=segment")
        expect(page.get_by_role("button", name=say("Save"), exact=True).first).to_be_visible()
        page.goto("/settings")
        assert page.locator("#people, #keys, #audit").count() == 0


def test_an_administrator_lets_people_in_and_makes_keys(signed: Served, browser: Browser, lang: str, say: Say) -> None:
    newcomer = f"new.{lang.lower()}"
    with looking(browser, base_of(signed.client()), lang=lang) as context:
        page = context.new_page()
        sign_in(page, "admin", say)
        page.goto("/settings")
        added = page.locator("#people > form")
        added.locator("[name=email]").fill(f"{newcomer}@example.com")
        added.locator("[name=password]").fill(PASSWORD)
        added.locator("[name=role]").select_option("editor")
        added.locator("button").click()
        expect(page.locator("#people table")).to_contain_text(f"{newcomer}@example.com")
        made = page.locator("#keys > form")
        made.locator("[name=label]").fill(f"app {lang}")
        made.locator("button").click()
        secret = page.locator(".secret").inner_text()
        assert secret.startswith("upi_")
        page.goto("/settings")
        assert secret not in page.content()  # shown once
        row = page.locator("#keys tr", has_text=f"app {lang}")
        row.get_by_role("button", name=say("Revoke"), exact=True).click()
        row = page.locator("#keys tr", has_text=f"app {lang}")
        expect(row.get_by_role("button", name=say("Revoke"), exact=True)).to_have_count(0)
        expect(page.locator("#audit")).to_contain_text("keys.revoke")
    with looking(browser, base_of(signed.client()), lang=lang) as context:
        page = context.new_page()
        sign_in(page, newcomer, say)
        page.goto("/account")
        expect(page.locator("main")).to_contain_text(f"{newcomer}@example.com")
