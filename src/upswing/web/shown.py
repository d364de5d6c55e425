"""A result as the pages show it: the answer first, numbers second, the method last.

Everything is read from the result's tables and charts; nothing here knows a verb's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date

from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count, format_date
from upswing.core.results import Chart, Column, Result, Table, Unit, plain, show
from upswing.report.charts import draw, labels_of, series_of
from upswing.report.scatter import plane_of
from upswing.report.sections import Numbers, caveats_of, definition_of, how_of, numbers_of, seconds
from upswing.report.tables import Links
from upswing.web.host import Annotation

_SHORT = 40
_INTERACTIVE = frozenset({"line", "interval", "bar", "stacked", "flow", "scatter", "dose"})


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart over its table.

    Args:
        title: what it shows.
        svg: the drawing, complete without any script.
        data: the same numbers for the interactive drawing.
        table: the numbers as a table.
    """

    title: str
    svg: Markup
    data: dict[str, object]
    table: Markup
    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the templates read of a result."""

    title: str
    verdict: str
    caveats: tuple[tuple[str, str], ...]
    main: tuple[Figure | Numbers, ...]
    more: tuple[Numbers, ...]
    how: tuple[tuple[str, str], ...]
    definition: str
    sql: tuple[str, ...]
    window: str
    timezone: str
    cost: str
    names: tuple[tuple[str, str], ...] = field(default=())


def shown(
    result: Result,
    *,
    links: Callable[[str], Links | None] | None = None,
    annotations: Sequence[Annotation] = (),
    only: Collection[str] | None = None,
    before: Result | None = None,
) -> Shown:
    """Lay a result out.

    Args:
        result: the answer of any verb.
        links: for the name of a table, where its cells lead to.
        annotations: marked on charts over time.
        only: names of the tables that are laid out; all if absent.
        before: the answer about the period before; drawn dashed under lines and bars.
    """
    earlier = {table.name: table for table in before.tables()} if before is not None else {}
    tables = {table.name: table for table in result.tables() if only is None or table.name in only}
    charts = [chart for chart in result.charts() if chart.table in tables]
    in_table = {chart.table: chart for chart in charts if chart.kind in ("funnel", "triangle")}
    drawn = {chart.table for chart in charts if chart.kind not in ("funnel", "triangle")}
    main: list[Figure | Numbers] = []
    more: list[Numbers] = []
    for position, (name, table) in enumerate(tables.items()):
        found = links(name) if links is not None else None
        numbers = numbers_of(table, [c for c in charts if c.table == name], links=found)
        pictures = [
            figure(c, table, numbers.html, annotations, before=earlier.get(name))
            for c in charts
            if c.table == name and name in drawn
        ]
        main += [f for f in pictures if f.svg]
        if name not in drawn and (position == 0 or name in in_table or len(table.rows) <= _SHORT):
            main.append(numbers)
        elif name not in drawn or not any(f.svg for f in pictures):
            more.append(numbers)
    how = result.how
    return Shown(
        title=str(result.title()),
        verdict=str(result.verdict()),
        caveats=caveats_of(result),
        main=tuple(main),
        more=tuple(more),
        how=how_of(result),
        definition=definition_of(result),
        sql=how.sql,
        window=f"{_day(how.window.start)} – {_day(how.window.stop)}",
        timezone=how.window.timezone,
        cost=_cost(result),
        names=tuple((name, str(table.title)) for name, table in tables.items()),
    )


def figure(
    chart: Chart,
    table: Table,
    html: Markup,
    annotations: Sequence[Annotation] = (),
    *,
    before: Table | None = None,
) -> Figure:
    """One chart with everything a page needs of it; `before` is its table of the period before."""
    data = chart_data(chart, table, annotations) if chart.kind in _INTERACTIVE and table.rows else {}
    if data and before is not None and before.rows and chart.kind == "line" and chart.series is None:
        data["before"] = [{"name": name, "values": values} for name, values in series_of(chart, before)]
        data["before_name"] = str(text("the period before"))
    return Figure(str(chart.title), draw(chart, table), data, html, table.name)


def chart_data(chart: Chart, table: Table, annotations: Sequence[Annotation] = ()) -> dict[str, object]:
    """The numbers of a chart as the script `charts.js` reads them; full precision, the same as the table's."""
    keys = [column.key for column in table.columns]
    unit: Unit = _column(table, chart.y[0]).unit
    if chart.kind in ("scatter", "dose"):
        plane = plane_of(chart, table)
        return {} if plane is None else plane.data(chart)
    if chart.kind == "flow":
        target = keys.index(chart.series or "target")
        step = keys.index("position") if "position" in keys else None
        flows = [
            [show(row[keys.index(chart.x)], "text"), show(row[target], "text"), plain(row[keys.index(chart.y[0])])]
            + ([] if step is None else [plain(row[step])])
            for row in table.rows
        ]
        other = str(text("(other)"))
        return {"kind": "flow", "title": str(chart.title), "unit": unit, "flows": flows, "other": other}
    band = "lower" in chart.y and "upper" in chart.y
    plainly = Chart(
        chart.kind, chart.table, chart.title, chart.x, tuple(k for k in chart.y if k not in ("lower", "upper")) if band else chart.y,
        chart.series,
    )  # fmt: skip
    limits = (
        Chart(chart.kind, chart.table, chart.title, chart.x, ("lower", "upper")) if band and not chart.series else None
    )
    labels = labels_of(chart, table)
    marks = [[held, a.text] for a in annotations if (held := _period_of(a.day, labels))]
    return {
        "kind": "line" if chart.kind == "interval" else chart.kind,
        "title": str(chart.title),
        "unit": unit,
        "x": str(_column(table, chart.x).label),
        "labels": labels,
        "series": [{"name": name, "values": values} for name, values in series_of(plainly, table)],
        "band": [values for _, values in series_of(limits, table)] if limits else [],
        "open": _open(table, keys),
        "marks": marks,
    }


def _period_of(day: date, labels: Sequence[str]) -> str:
    """The label of the period that a day is in, of an axis over time; empty where there is none."""
    try:
        starts = [date.fromisoformat(str(label)[:10]) for label in labels]
    except ValueError:
        return ""
    if len(starts) < 2 or sorted(starts) != starts:
        return starts[0].isoformat() if starts == [day] else ""
    ends = [*starts[1:], starts[-1] + (starts[-1] - starts[-2])]
    return next((s.isoformat() for s, e in zip(starts, ends, strict=True) if s <= day < e), "")


def _open(table: Table, keys: Sequence[str]) -> list[int]:
    """Positions whose period is not over, where the table says so."""
    if "complete" not in keys:
        return []
    return [i for i, row in enumerate(table.rows) if row[keys.index("complete")] is False]


def _column(table: Table, key: str) -> Column:
    return next(c for c in table.columns if c.key == key)


def _cost(result: Result) -> str:
    parts = [] if result.how.events is None else [str(text("{n} events", n=format_count(result.how.events)))]
    if result.how.timings:
        parts.append(seconds(sum(result.how.timings.values())))
    return " · ".join(parts)


def _day(value: object) -> str:
    return format_date(value.date() if hasattr(value, "date") else value, locale=current_locale())  # type: ignore[arg-type]
