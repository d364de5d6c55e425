"""Tables fit a laptop's width: nothing that is open scrolls sideways, and what is folded away is all there."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser

from tests.web.conftest import looking, until
from upswing.core.results import Cell, Column, Table
from upswing.report.columns import fitting
from upswing.web.rooms import rooms

WIDE = """[...document.querySelectorAll('.scroll')]
    .filter((s) => s.checkVisibility({ contentVisibilityAuto: true }) && s.scrollWidth > s.clientWidth + 1)
    .map((s) => `${s.closest('[data-name]')?.dataset.name ?? s.getAttribute('aria-label')} ${s.scrollWidth}`)"""
FUNNEL = "/funnel?step=app_installed&step=signup_started&step=order_paid&within=7d&by=platform"


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_no_open_table_scrolls_sideways(browser: Browser, site: httpx.Client, lang: str) -> None:
    paths = [page.path for room in rooms() for page in room.pages]
    found = {}
    with looking(browser, str(site.base_url).rstrip("/"), lang=lang) as context:
        page = context.new_page()
        for path in [*paths, FUNNEL]:
            page.goto(path)
            page.wait_for_selector("#answer[data-waiting], #overview[data-waiting]", state="detached")
            assert until(page, "document.fonts.status === 'loaded'")
            wide = page.evaluate(WIDE)
            if wide:
                found[path] = wide
    assert found == {}


def test_what_is_left_out_stands_below(site: httpx.Client) -> None:
    page = site.get(FUNNEL).text
    first, _, all_of_it = page.partition('data-name="steps"')[2].partition("</section>")[0].partition("<details")
    assert "95 % interval" in first
    assert "Lower" not in first
    assert "Mature" not in first
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", all_of_it)
    assert {"Lower", "Upper", "Mature"} <= set(heads)


def test_a_table_that_is_drawn_keeps_what_is_drawn() -> None:
    columns = tuple(Column(k, k, "ratio") for k in ("x", "rate", "lower", "upper", "empty"))
    rows: list[tuple[Cell, ...]] = [("a", 0.5, 0.4, 0.6, None)]
    table = Table("t", "", columns, rows)
    assert [c.key for c in fitting(table, ("x", "rate", "lower", "upper")).columns] == ["x", "rate", "lower", "upper"]
    assert [c.key for c in fitting(table).columns] == ["x", "rate", "interval"]
    plain = Table("t", "", columns[:2], [("a", 0.5)])
    assert fitting(plain) is plain
