"""Charts as inline SVG, drawn from a result's table; the table beside them is the twin for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_compact, format_rate, format_seconds
from upswing.core.results import Cell, Chart, Table, Unit, show
from upswing.report.scatter import draw_dose, draw_scatter

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 10, 26
SERIES = 6

Point = tuple[float, float]


def draw(chart: Chart, table: Table) -> Markup:
    """A chart as SVG, except those drawn inside tables; empty where there is nothing to draw."""
    if not table.rows:
        return Markup("")
    if chart.kind == "flow":
        return _flow(chart, table)
    if chart.kind == "scatter":
        return draw_scatter(chart, table)
    if chart.kind == "dose":
        return draw_dose(chart, table)
    band = [key for key in ("lower", "upper") if key in chart.y]
    if chart.kind in ("line", "interval") and len(band) == 2 and chart.series is None:
        return _with_band(chart, table)
    series = series_of(chart, table)
    if not series or not any(values for _, values in series):
        return Markup("")
    labels = labels_of(chart, table)
    unit = next(c.unit for c in table.columns if c.key == chart.y[0])
    stacked = chart.kind == "stacked"
    low, high = _extent(series, stacked=stacked)
    frame = _Frame(len(labels), low, high)
    if chart.kind in ("bar", "stacked"):
        marks = _bars(series, frame, stacked=stacked)
    else:
        marks = _lines(series, frame)
    body = _axes(frame, labels, unit) + marks
    key = _key([name for name, _ in series]) if len(series) > 1 else Markup("")
    return key + Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, chart.title, body
    )


def _with_band(chart: Chart, table: Table) -> Markup:
    """Lines with their interval as a band."""
    plain = replace(chart, y=tuple(key for key in chart.y if key not in ("lower", "upper")))
    series, limits = series_of(plain, table), series_of(replace(chart, y=("lower", "upper")), table)
    labels, unit = labels_of(chart, table), next(c.unit for c in table.columns if c.key == chart.y[0])
    frame = _Frame(len(labels), *_extent([*series, *limits], stacked=False))
    parts = []
    both = [None if a is None or b is None else (a, b) for a, b in zip(limits[0][1], limits[1][1], strict=True)]
    run: list[tuple[int, tuple[float, float]]] = []
    for i, pair in enumerate([*both, None]):
        if pair is not None:
            run.append((i, pair))
        elif len(run) > 1:
            there = [f"{frame.x(j):.1f},{frame.y(low):.1f}" for j, (low, _) in run]
            back = [f"{frame.x(j):.1f},{frame.y(high):.1f}" for j, (_, high) in reversed(run)]
            parts.append(Markup('<polygon class="band s0" points="{}"></polygon>').format(" ".join(there + back)))
            run = []
        else:
            run = []
    body = _axes(frame, labels, unit) + Markup("").join(parts) + _lines(series, frame)
    note = Markup('<p class="note">{}</p>').format(text("band: interval at 95 %"))
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>{}').format(
        WIDTH, HEIGHT, chart.title, body, note
    )


class _Frame:
    """Maps positions and values to the drawing area."""

    def __init__(self, n: int, low: float, high: float) -> None:
        self.n = max(1, n)
        self.low, self.high = low, high if high > low else low + 1

    def x(self, index: float) -> float:
        """Centre of the slot at `index`."""
        return LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / self.n

    def y(self, value: float) -> float:
        """Height of a value."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / (self.high - self.low))

    @property
    def slot(self) -> float:
        """Width of one slot."""
        return (WIDTH - LEFT - RIGHT) / self.n


def series_of(chart: Chart, table: Table) -> list[tuple[str, list[float | None]]]:
    """The drawn series, at most six: name and values, None where there is none."""
    keys = [c.key for c in table.columns]
    if chart.series is None:
        found = []
        for key in chart.y[:SERIES]:
            column = table.columns[keys.index(key)]
            found.append((str(column.label), [_number(row[keys.index(key)]) for row in table.rows]))
        return found
    positions = {str(x): i for i, x in enumerate(_positions(chart, table))}
    by_name: dict[str, list[float | None]] = {}
    for row in table.rows:
        name = show(row[keys.index(chart.series)], "text")
        values = by_name.setdefault(name, [None] * len(positions))
        values[positions[str(row[keys.index(chart.x)])]] = _number(row[keys.index(chart.y[0])])
    return list(by_name.items())[:SERIES]


def _positions(chart: Chart, table: Table) -> list[Cell]:
    index = [c.key for c in table.columns].index(chart.x)
    return list(dict.fromkeys(row[index] for row in table.rows)) if chart.series else [row[index] for row in table.rows]


def labels_of(chart: Chart, table: Table) -> list[str]:
    """Positions along the axis as text."""
    unit: Unit = next(c.unit for c in table.columns if c.key == chart.x)
    return [x.isoformat()[:10] if isinstance(x, datetime | date) else show(x, unit) for x in _positions(chart, table)]


def _extent(series: Sequence[tuple[str, list[float | None]]], *, stacked: bool) -> tuple[float, float]:
    values = [v for _, row in series for v in row if v is not None]
    if stacked:
        columns = list(zip(*[row for _, row in series], strict=True))
        up = [sum(v for v in column if v is not None and v > 0) for column in columns]
        down = [sum(v for v in column if v is not None and v < 0) for column in columns]
        values = [*up, *down]
    return min(0.0, *values, 0.0), _nice(max(0.0, *values, 0.0))


def _nice(value: float) -> float:
    """The next round number, so that the top of the axis is readable."""
    if value <= 0:
        return 0.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(size * step for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if size * step >= value * 0.999999)


def _axes(frame: _Frame, labels: Sequence[str], unit: Unit) -> Markup:
    parts = []
    for part in range(5):
        value = frame.low + (frame.high - frame.low) * part / 4
        y = frame.y(value)
        parts.append(
            Markup('<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"></line>').format(
                LEFT, WIDTH - RIGHT, y, y
            )
        )
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(LEFT - 6, y + 4, _tick(value, unit))
        )
    step = max(1, math.ceil(len(labels) / 9))
    tick = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
    parts += [tick.format(frame.x(i), HEIGHT - 8, labels[i][:18]) for i in range(0, len(labels), step)]
    return Markup("").join(parts)


def _tick(value: float, unit: Unit) -> str:
    if unit in ("ratio", "change"):
        return format_rate(value, digits=0 if abs(value) >= 0.1 or value == 0 else 1)
    if unit == "seconds":
        return format_seconds(value, locale=current_locale())
    return format_compact(value, locale=current_locale())


def _lines(series: Sequence[tuple[str, list[float | None]]], frame: _Frame) -> Markup:
    parts = []
    for number, (_, values) in enumerate(series):
        for run in _runs(values):
            points = " ".join(f"{frame.x(i):.1f},{frame.y(v):.1f}" for i, v in run)
            if len(run) == 1:
                i, v = run[0]
                parts.append(
                    Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="2.5"></circle>').format(
                        number, frame.x(i), frame.y(v)
                    )
                )
            else:
                parts.append(
                    Markup('<polyline class="line s{}" fill="none" points="{}"></polyline>').format(number, points)
                )
    return Markup("").join(parts)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches without gaps: a line is never drawn over a missing value."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _bars(series: Sequence[tuple[str, list[float | None]]], frame: _Frame, *, stacked: bool) -> Markup:
    parts = []
    shown = 1 if stacked else len(series)
    width = max(1.0, frame.slot * 0.8 / shown)
    up, down = [0.0] * frame.n, [0.0] * frame.n
    for number, (_, values) in enumerate(series):
        for index, value in enumerate(values):
            if not value:
                continue
            base = 0.0
            if stacked:
                base = up[index] if value > 0 else down[index]
                (up if value > 0 else down)[index] += value
            top, bottom = frame.y(max(base, base + value)), frame.y(min(base, base + value))
            x = frame.x(index) - frame.slot * 0.4 + (0 if stacked else number * width)
            parts.append(
                Markup('<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"></rect>').format(
                    number, x, top, max(width - 0.5, 0.5), bottom - top
                )
            )
    return Markup("").join(parts)


def _flow(chart: Chart, table: Table) -> Markup:
    """Flows as bars in order of size: source → target and how many."""
    keys = [c.key for c in table.columns]
    source, target, count = keys.index(chart.x), keys.index(chart.series or "target"), keys.index(chart.y[0])
    rows = sorted(table.rows, key=lambda r: -(_number(r[count]) or 0))[:15]
    longest = max((_number(r[count]) or 0) for r in rows) or 1
    height = 22 * len(rows) + 8
    parts = []
    for i, row in enumerate(rows):
        value = _number(row[count]) or 0
        y = 4 + 22 * i
        parts.append(
            Markup(
                '<text x="300" y="{}" text-anchor="end">{} → {}</text>'
                '<rect class="s0" x="310" y="{}" width="{:.1f}" height="14"></rect><text x="{:.1f}" y="{}">{}</text>'
            ).format(
                y + 12, show(row[source], "text")[:26], show(row[target], "text")[:26], y, 520 * value / longest,
                316 + 520 * value / longest, y + 12, show(row[count], table.columns[count].unit),
            )
        )  # fmt: skip
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, chart.title, Markup("").join(parts)
    )


def _key(names: Sequence[str]) -> Markup:
    swatch = Markup(
        '<span class="key"><svg width="12" height="12" aria-hidden="true">'
        '<rect class="s{}" width="12" height="12"></rect></svg>{}</span>'
    )
    return Markup("<p>") + Markup("").join(swatch.format(i, n) for i, n in enumerate(names)) + Markup("</p>")


def _number(value: Cell) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
