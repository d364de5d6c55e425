"""Tables with marks in them: funnel bars and cohort triangles are tables first."""

from __future__ import annotations

import math
from collections.abc import Callable

from markupsafe import Markup, escape

from upswing.core.i18n import text
from upswing.core.results import Cell, Chart, Column, Table, show

_LIMIT = 400
HEATS = 20
_SHORT = 24

Links = Callable[[int, str], str | None]
"""Address behind a cell, by the row's number and the column's key; None where there is none."""


def table_html(table: Table, chart: Chart | None = None, *, links: Links | None = None) -> Markup:
    """A table as HTML; a `funnel` chart adds a bar column, a `triangle` chart shades its cells.

    Args:
        table: the numbers.
        chart: the in-table chart, if any. Cells of a triangle may be ratios, or None where the period has not begun;
            a column ``<key>_open`` with True marks a cell that is not complete yet.
        links: where a cell leads to, e.g. the users behind a number.
    """
    if chart is not None and chart.kind == "triangle":
        return _triangle(table, chart, links)
    keys = [c.key for c in table.columns]
    bar = keys.index(chart.y[0]) if chart is not None and chart.y[0] in keys else None
    longest = _longest(table, bar)
    head = Markup("").join(
        _head(c) + (Markup("<td></td>") if i == bar else Markup("")) for i, c in enumerate(table.columns)
    )
    body = []
    for number, row in enumerate(table.rows[:_LIMIT]):
        cells = []
        for i, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            cells.append(_cell(value, column, links and links(number, column.key)))
            if i == bar:
                cells.append(_bar(value, longest))
        body.append(Markup("<tr>") + Markup("").join(cells) + Markup("</tr>"))
    caption = Markup("<caption>{}</caption>").format(table.title) if str(table.title) else Markup("")
    return Markup("<table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}").format(
        caption, head, Markup("").join(body), _more(table)
    )


def _triangle(table: Table, chart: Chart, links: Links | None) -> Markup:
    keys = [c.key for c in table.columns]
    shaded = {key: keys.index(key) for key in chart.y if key in keys}
    hidden = {f"{key}_open" for key in shaded}
    head = Markup("").join(_head(c) for c in table.columns if c.key not in hidden)
    body = []
    for number, row in enumerate(table.rows[:_LIMIT]):
        cells = []
        for i, (value, column) in enumerate(zip(row, table.columns, strict=True)):
            if column.key in hidden:
                continue
            unfinished = f"{column.key}_open" in keys and bool(row[keys.index(f"{column.key}_open")])
            link = links and links(number, column.key)
            cells.append(_heat(value, column, unfinished, link) if i in shaded.values() else _cell(value, column, link))
        body.append(Markup("<tr>") + Markup("").join(cells) + Markup("</tr>"))
    caption = Markup("<caption>{}</caption>").format(table.title) if str(table.title) else Markup("")
    return Markup('<table class="triangle">{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table>{}').format(
        caption, head, Markup("").join(body), _more(table)
    )


def _head(column: Column) -> Markup:
    right = Markup(' class="r"') if _right(column) else Markup("")
    doc = Markup(' title="{}"').format(column.doc) if str(column.doc) else Markup("")
    return Markup('<th scope="col"{}{}>{}</th>').format(right, doc, column.label)


def _cell(value: Cell, column: Column, link: str | None = None) -> Markup:
    shown = show(value, column.unit)
    kind = ' class="r"' if _right(column) else ' class="t"' if len(shown) <= _SHORT else ""
    # written out, since a page has thousands of cells and `Markup.format` takes most of its time
    return Markup(f"<td{kind}>{_linked(shown, link)}</td>")  # noqa: S704 - every part is a constant or escaped


def _linked(shown: str, link: str | None) -> Markup:
    inside = escape(shown)
    return Markup(f'<a href="{escape(link)}">{inside}</a>') if link else inside  # noqa: S704 - escaped


def _heat(value: Cell, column: Column, unfinished: bool, link: str | None) -> Markup:
    if value is None:
        return Markup('<td class="cell"></td>')
    share = min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 0.0
    name = "cell" + (" strong" if share > 0.55 and not unfinished else "") + (" open" if unfinished else "")
    # a class, not a style attribute: the pages' Content-Security-Policy allows no style that is written into the page
    inside = _linked(show(value, column.unit), link)
    return Markup(f'<td class="{name}"><span class="h{round(HEATS * share)}">{inside}</span></td>')  # noqa: S704 - escaped


def _bar(value: Cell, longest: float) -> Markup:
    share = float(value) / longest if isinstance(value, int | float) and longest else 0.0
    return Markup(
        '<td class="bar"><svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="10"></rect><rect class="s0" width="{:.2f}" height="10"></rect></svg></td>'
    ).format(100 * share)


def _longest(table: Table, index: int | None) -> float:
    if index is None:
        return 0.0
    values = [float(r[index]) for r in table.rows if isinstance(r[index], int | float)]  # type: ignore[arg-type]
    return max((v for v in values if math.isfinite(v)), default=0.0)


def _more(table: Table) -> Markup:
    if len(table.rows) <= _LIMIT:
        return Markup("")
    return Markup('<p class="note">{}</p>').format(
        escape(str(text("{n} more rows are in the CSV", n=f"{len(table.rows) - _LIMIT:,}")))
    )


def _right(column: Column) -> bool:
    return column.unit not in ("text", "time", "date")
