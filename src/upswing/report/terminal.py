"""A result in the terminal: the answer first, numbers second, what may be wrong last."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from upswing.core.i18n import text
from upswing.core.numbers import MISSING
from upswing.core.results import Chart, Result, Table

_ROWS = 60
_PIPED_WIDTH = 180
_ESTIMATES = 30
"""Rows beyond this number are points of a curve, whose numbers are for the page, --json and --csv."""


def print_result(result: Result, *, console: Console | None = None) -> None:
    """Print title, verdict, tables and caveats to stdout."""
    piped = not sys.stdout.isatty()
    out = console or Console(file=sys.stdout, highlight=False, width=_PIPED_WIDTH if piped else None)
    out.print(RichText(str(result.title()), style="bold"))
    if str(result.verdict()):
        out.print(RichText(str(result.verdict())))
    charts = result.charts()
    drawn = [chart for chart in charts if chart.kind in ("line", "bar", "stacked", "interval")]
    curves = {chart.table for chart in drawn if len(_rows(result, chart)) > _ESTIMATES}
    for index, table in enumerate(result.tables()):
        if index and (table.name in curves or len(table.rows) > _ROWS):
            continue
        out.print()
        out.print(_table(table))
        if str(table.note):
            out.print(RichText(str(table.note), style="dim"))
    _print_how(result, out)


def _rows(result: Result, chart: Chart) -> Sequence[object]:
    return next((t.rows for t in result.tables() if t.name == chart.table), ())


def _table(table: Table) -> RichTable:
    shown = RichTable(
        title=str(table.title) or None, title_justify="left", box=None, pad_edge=False, header_style="dim"
    )
    marks = {c.key: i for i, c in enumerate(table.columns) if c.key.endswith("_open")}
    visible = [i for i, c in enumerate(table.columns) if c.key not in marks]
    for column in (table.columns[i] for i in visible):
        right = column.unit not in ("text", "time", "date")
        shown.add_column(str(column.label), justify="right" if right else "left", overflow="fold")
    rows = table.formatted()
    for values, row in zip(table.rows[:_ROWS], rows[:_ROWS], strict=True):
        # a star marks a cell whose period is not over
        cells = []
        for i in visible:
            mark = marks.get(f"{table.columns[i].key}_open")
            cells.append(row[i] + ("*" if mark is not None and values[mark] and row[i] != MISSING else ""))
        shown.add_row(*(RichText(cell) for cell in cells))
    if len(rows) > _ROWS:
        shown.add_row(RichText(str(text("… {n} more rows; see --csv or --json", n=len(rows) - _ROWS)), style="dim"))
    return shown


def _print_how(result: Result, out: Console) -> None:
    how = result.how
    out.print()
    for caveat in how.caveats:
        out.print(RichText("! " + str(caveat.message), style="yellow"))
    window = f"{how.window.start:%Y-%m-%d %H:%M} – {how.window.stop:%Y-%m-%d %H:%M} {how.window.timezone}"
    parts = [window]
    if how.events is not None:
        parts.append(str(text("{n} events", n=f"{how.events:,}")))
    if how.timings:
        parts.append(f"{sum(how.timings.values()):.2f} s")
    out.print(RichText(" · ".join(parts), style="dim"))
