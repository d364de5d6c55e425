"""A result's parts as every template reads them: tables that fit, caveats, and how it was computed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from upswing.core.i18n import Text, current_locale, text
from upswing.core.numbers import format_count, format_date, format_seconds
from upswing.core.results import Chart, Result, Table, plain
from upswing.report.columns import fitting
from upswing.report.tables import Links, table_html

PHASES: Final[dict[str, Text]] = {
    "query": text("reading"), "sequences": text("counting"), "total": text("in all"),
}  # fmt: skip
"""Words of the phases that are timed; one that is not here shows itself."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A table that stands for itself.

    Args:
        title: what it shows.
        html: the table with the columns that are read first.
        note: a remark below it.
        name: of the table.
        full: the table with all columns, where some are left out above; empty otherwise.
    """

    title: str
    html: Markup
    note: str
    name: str
    full: Markup | str = ""


def numbers_of(table: Table, charts: Sequence[Chart], *, links: Links | None = None) -> Numbers:
    """A table with the marks of a chart that is drawn inside it.

    Args:
        table: all of it.
        charts: those of this table.
        links: where its cells lead to.
    """
    inside = next((c for c in charts if c.kind in ("funnel", "triangle")), None)
    short = _fitted(table, charts)
    full = table_html(table, links=links) if short is not table and table.rows else ""
    note = str(table.note) if table.rows else str(text("No rows: there is nothing of this kind."))
    return Numbers(str(table.title), table_html(short, inside, links=links), note, table.name, full)


def caveats_of(result: Result) -> tuple[tuple[str, str], ...]:
    """Code and words of each caveat."""
    return tuple((c.code, str(c.message)) for c in result.how.caveats)


def definition_of(result: Result) -> str:
    """What was asked, as JSON."""
    return json.dumps({k: plain(v) for k, v in result.how.definition.items()}, ensure_ascii=False, indent=1)


def how_of(result: Result) -> tuple[tuple[str, str], ...]:
    """Method, range, what was read, engine and time, as label and words; what is not known is left out."""
    how = result.how
    rows = [
        (text("Method"), how.method),
        (text("Range"), f"{moment(how.window.start)} – {moment(how.window.stop)} ({how.window.timezone})"),
        (text("Events read"), "" if how.events is None else format_count(how.events)),
        (text("Users looked at"), "" if how.users is None else format_count(how.users)),
        (text("Data as of"), "" if how.data_as_of is None else moment(how.data_as_of)),
        (text("Engine"), how.engine),
        (text("Time taken"), ", ".join(f"{PHASES.get(k, k)} {seconds(s)}" for k, s in how.timings.items())),
    ]
    return tuple((str(k), str(v)) for k, v in rows if str(v))


def moment(value: datetime) -> str:
    """A moment in the language in force."""
    return format_date(value, locale=current_locale())


def seconds(value: float) -> str:
    """A length of time in the language in force."""
    return format_seconds(value, locale=current_locale())


def _fitted(table: Table, charts: Sequence[Chart]) -> Table:
    """The table as it fits a page; what is drawn of it stays, and so does a triangle, which is as wide as its periods."""
    if any(chart.kind == "triangle" for chart in charts):
        return table
    keep = {key for chart in charts for key in (chart.x, *chart.y, chart.series) if key}
    return fitting(table, keep)
