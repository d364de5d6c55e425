"""Every page in both languages and both themes: nothing overflows, nobody is shut out, drawings tell what tables tell.

Each page is loaded once and everything is looked at there. Its picture is kept below the folder that UPSWING_SHOTS
names, ``build/screens`` otherwise.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.web.conftest import looking, until
from tests.web.pages import PAGES
from upswing.core.i18n import use_locale
from upswing.core.results import show

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = Path(os.environ.get("UPSWING_SHOTS") or "build/screens")
WIDTHS = (360, 768, 1280)

SETTLED = """document.fonts.status === 'loaded'
    && !document.querySelector('#answer[data-waiting], #overview[data-waiting]')
    && [...document.querySelectorAll('upswing-chart')].every((c) => c.querySelector('.live svg'))"""
FITS = "document.documentElement.scrollWidth <= innerWidth"
VIOLATIONS = "axe.run({resultTypes: ['violations']}).then((told) => told.violations)"
SIGNS = """() => ['漏', '斗', '留'].map((sign) => {
    const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
    pen.font = `32px ${getComputedStyle(document.body).fontFamily}`;
    pen.fillText(sign, 0, 40);
    return canvas.toDataURL();
})"""
FIGURES = """() => [...document.querySelectorAll('figure.chart')].filter((f) => f.querySelector('script')).map((f) => ({
    name: f.dataset.name,
    data: JSON.parse(f.querySelector('script').textContent),
    heads: [...f.querySelectorAll('.twin thead th')].map((h) => h.textContent.trim()),
    rows: [...f.querySelectorAll('.twin tbody tr')].map((r) => [...r.cells].map((c) => c.textContent.trim())),
}))"""


def untold(figure: dict[str, Any]) -> list[str]:
    """What a drawing shows that its table does not: by column where a series is one, else in the rows that name it."""
    data, heads, rows = figure["data"], figure["heads"], figure["rows"]
    if data["kind"] == "flow":
        flows = [([str(source), str(target)], value) for source, target, value, *_ in data["flows"]]
        return [
            f"{names}: {show(value, data['unit'])}"
            for names, value in flows
            if not any({*names, show(value, data["unit"])} <= set(row) for row in rows)
        ]
    if data["kind"] in ("scatter", "dose"):
        points = [(x, y) for one in (*data["dots"], *data["series"]) for x, y, *_ in one["points"] if one["name"]]
        return [
            f"{x}, {y}"
            for x, y in ((show(x, data["x_unit"]), show(y, data["unit"])) for x, y in points)
            if not any({x, y} <= set(row) for row in rows)
        ]
    missing = []
    for series in data["series"]:
        values = ["" if v is None else show(v, data["unit"]) for v in series["values"]]
        columns = [[row[i] for row in rows] for i, head in enumerate(heads) if head == series["name"]]
        if columns:  # two columns may bear one name: one of them is the series, row by row
            wrong = [[f"{v} not {w}" for v, w in zip(values, told, strict=False) if v and v != w] for told in columns]
            missing += [f"{series['name']}: {line}" for line in min(wrong, key=len)]
        else:
            named = {cell for row in rows if series["name"] in row for cell in row}
            missing += [f"{series['name']}: {value}" for value in values if value and value not in named]
    return missing


def violations(page: Page) -> list[str]:
    """What axe-core holds against a page."""
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in page.evaluate(VIOLATIONS)
        for node in rule["nodes"][:2]
    ]


def picture(path: str, lang: str, theme: str) -> Path:
    """Where a page's picture is kept."""
    name = re.sub(r"\W+", "_", path)[:80].strip("_") or "overview"
    return SHOTS / lang / theme / f"{name}.jpg"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_every_page(browser: Browser, site: httpx.Client, lang: str, theme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm install --prefix tests/web")
    axe, base = AXE.read_text(encoding="utf-8"), str(site.base_url).rstrip("/")
    wrong: dict[str, list[str]] = {}
    drawn = 0
    with looking(browser, base, lang=lang, theme=theme) as context, use_locale(lang):
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((base, "data:")) else said.append(f"asks for {r.url}"))
        for path in PAGES:
            page.goto(path)
            found = [] if until(page, SETTLED) else ["never settles"]
            figures = page.evaluate(FIGURES)
            drawn += len(figures)
            found += [f"{f['name']} is not in its table: {line}" for f in figures for line in untold(f)]
            if lang == "zh-CN" and len(set(page.evaluate(SIGNS))) != 3:  # a face that lacks signs draws them alike
                found.append("no Chinese face")
            page.evaluate(axe)
            found += violations(page)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                if not until(page, FITS):
                    found.append(f"overflows at {width}")
            picture(path, lang, theme).parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=picture(path, lang, theme), full_page=True, type="jpeg", quality=60)
            found += said
            said.clear()
            if found:
                wrong[path] = found
    assert drawn > 5
    assert not wrong, "\n".join(f"{path}: {line}" for path, found in wrong.items() for line in found)
