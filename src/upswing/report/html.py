"""Results as HTML: a fragment for notebooks, a self-contained page for sharing. No script, no outside request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.results import Result
from upswing.report.charts import draw
from upswing.report.sections import Numbers, caveats_of, definition_of, how_of, numbers_of

_HERE = Path(__file__).parent
TEMPLATES = _HERE / "templates"
"""Of which pages of the web share `section.html`."""


@dataclass(frozen=True, slots=True)
class _Figure:
    title: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class _ShownTable:
    numbers: Numbers
    folded: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """What the template `result.html` reads."""

    anchor: str
    title: str
    verdict: str
    caveats: tuple[tuple[str, str], ...]
    figures: list[_Figure]
    tables: list[_ShownTable]
    how: tuple[tuple[str, str], ...]
    definition: str
    sql: tuple[str, ...]


def page(results: Sequence[Result], *, title: object = None, subtitle: object = "", lead: Markup | str = "") -> str:
    """A page that needs nothing else: style inside, pictures as SVG, no script.

    Args:
        results: one section each, in order.
        title: heading; the first result's question if absent.
        subtitle: line below it.
        lead: HTML put before the sections (already safe).
    """
    heading = str(title if title is not None else (results[0].title() if results else text("Report")))
    return (
        _environment()
        .get_template("page.html")
        .render(
            lang=current_locale(),
            title=heading,
            subtitle=str(subtitle),
            lead=Markup(lead),  # noqa: S704 - made by this package from escaped parts
            blocks=[_block(result, f"s{i}") for i, result in enumerate(results)],
            style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            footer=str(text("Made by Upswing. This file is complete in itself and asks the network for nothing.")),
        )
    )


def fragment(result: Result) -> str:
    """One result as HTML for a notebook cell."""
    template = _environment().from_string(
        '{% from "result.html" import result_section with context %}'
        '<style>{{ style }}</style><div class="upswing" lang="{{ lang }}">{{ result_section(block) }}</div>'
    )
    return template.render(
        lang=current_locale(),
        block=_block(result, ""),
        style=Markup((_HERE / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
    )


def how_computed(result: Result) -> Markup:
    """The folded account of how a result was made, for numbers that stand outside a section of their own."""
    template = _environment().from_string('{% from "section.html" import how with context %}{{ how(block) }}')
    return Markup(template.render(block=_block(result, "")))  # noqa: S704 - escaped by the template


def _block(result: Result, anchor: str) -> _Block:
    tables = {table.name: table for table in result.tables()}
    drawn_in_table = {c.table: c for c in result.charts() if c.kind in ("funnel", "triangle") and c.table in tables}
    figures = [
        _Figure(str(c.title), draw(c, tables[c.table]))
        for c in result.charts()
        if c.table in tables and c.kind not in ("funnel", "triangle")
    ]
    shown = [
        _ShownTable(
            numbers_of(table, [c for c in result.charts() if c.table == name]),
            folded=i > 0 and name not in drawn_in_table,
        )
        for i, (name, table) in enumerate(tables.items())
    ]
    return _Block(
        anchor=anchor,
        title=str(result.title()),
        verdict=str(result.verdict()),
        caveats=caveats_of(result),
        figures=[f for f in figures if f.svg],
        tables=shown,
        how=how_of(result),
        definition=definition_of(result),
        sql=result.how.sql,
    )


@cache
def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.globals["text"] = lambda message, **values: str(text(message, **values))
    return made
