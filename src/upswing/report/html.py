"""Results as HTML: a fragment for notebooks, a self-contained page for sharing. No script, no outside request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count, format_date
from upswing.core.results import Result, plain
from upswing.report.charts import draw
from upswing.report.tables import table_html

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class _Figure:
    title: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class _ShownTable:
    title: str
    html: Markup
    note: str
    folded: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """What the template `result.html` reads."""

    anchor: str
    title: str
    verdict: str
    caveats: list[str]
    figures: list[_Figure]
    tables: list[_ShownTable]
    how: list[tuple[str, str]]
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
            words={"how": str(text("How computed"))},
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
        words={"how": str(text("How computed"))},
    )


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
            str(t.title),
            table_html(t, drawn_in_table.get(t.name)),
            str(t.note),
            folded=i > 0 and name not in drawn_in_table,
        )
        for i, (name, t) in enumerate(tables.items())
    ]
    how = result.how
    return _Block(
        anchor=anchor,
        title=str(result.title()),
        verdict=str(result.verdict()),
        caveats=[str(c.message) for c in how.caveats],
        figures=[f for f in figures if f.svg],
        tables=shown,
        how=_how(result),
        definition=json.dumps({k: plain(v) for k, v in how.definition.items()}, ensure_ascii=False, indent=1),
        sql=how.sql,
    )


def _how(result: Result) -> list[tuple[str, str]]:
    how = result.how
    rows = [
        (text("Method"), how.method),
        (text("Range"), f"{_moment(how.window.start)} – {_moment(how.window.stop)} ({how.window.timezone})"),
        (text("Events read"), "" if how.events is None else format_count(how.events)),
        (text("Users looked at"), "" if how.users is None else format_count(how.users)),
        (text("Data as of"), "" if how.data_as_of is None else _moment(how.data_as_of)),
        (text("Engine"), how.engine),
        (text("Time taken"), f"{sum(how.timings.values()):.2f} s" if how.timings else ""),
    ]
    return [(str(k), str(v)) for k, v in rows if str(v)]


def _moment(value: datetime) -> str:
    return format_date(value, locale=current_locale())


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
