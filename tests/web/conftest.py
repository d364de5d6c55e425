"""One server with pages for all tests of them, and a browser where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.server.workspaces import copied, make_demo, serving
from upswing.web.site import add_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def web_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's workspace at rest."""
    return make_demo(tmp_path_factory.mktemp("web") / "demo")


@pytest.fixture(scope="session")
def site(web_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server over a copy of the demo; tests that share it change nothing."""
    with serving(copied(web_demo, tmp_path_factory.mktemp("web") / "copy"), add=[add_pages]) as client:
        client.headers["accept"] = "text/html"
        yield client


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def looking(
    browser: Browser, base: str, *, lang: str = "en", theme: str = "light", width: int = 1280
) -> BrowserContext:
    """A visitor with a language, a theme and a window."""
    context = browser.new_context(base_url=base, viewport={"width": width, "height": 900})
    for key, value in (("lang", lang), ("theme", theme)):
        context.add_cookies([{"name": f"upswing_{key}", "value": value, "url": base}])
    return context


def until(page: Page, condition: str, *, seconds: float = 20) -> bool:
    """Whether a JavaScript condition comes true; looked at with every frame.

    Playwright's own `wait_for_function` looks again by way of `eval`, which the pages' policy forbids.
    """
    looks = """async ([limit]) => {
        const end = performance.now() + 1000 * limit;
        while (!(CONDITION)) {
            if (performance.now() > end) return false;
            await new Promise((go) => setTimeout(go, 16));
        }
        return true;
    }"""
    return bool(page.evaluate(looks.replace("CONDITION", condition), [seconds]))
