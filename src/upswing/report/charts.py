"""Charts as inline SVG, drawn from a result's table; the table beside them is the twin for those who cannot see them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from markupsafe import Markup

from upswing.core.i18n import text
from upswing.core.results import Cell, Chart, Table, Unit, show
from upswing.report.axes import SERIES, WIDTH, drawing, grid, legend, number, round_ticks, tick_words
from upswing.report.scatter import draw_plane

HEIGHT = 220
_PERIOD = re.compile(r"\d{4}-\d{2}")
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 10, 26


def draw(chart: Chart, table: Table) -> Markup:
    """A chart as SVG, except those drawn inside tables; empty where there is nothing to draw."""
    if not table.rows:
        return Markup("")
    if chart.kind == "flow":
        return _flow(chart, table)
    if chart.kind in ("scatter", "dose"):
        return draw_plane(chart, table)
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
    frame = _Frame(len(labels), low, high, unit)
    if chart.kind in ("bar", "stacked"):
        marks = _bars(series, frame, stacked=stacked)
    else:
        marks = _lines(series, frame)
    body = _axes(frame, labels) + marks
    named = legend([name for name, _ in series]) if len(series) > 1 else Markup("")
    return named + drawing(chart, body, HEIGHT)


def _with_band(chart: Chart, table: Table) -> Markup:
    """Lines with their interval as a band."""
    plain = replace(chart, y=tuple(key for key in chart.y if key not in ("lower", "upper")))
    series, limits = series_of(plain, table), series_of(replace(chart, y=("lower", "upper")), table)
    labels, unit = labels_of(chart, table), next(c.unit for c in table.columns if c.key == chart.y[0])
    frame = _Frame(len(labels), *_extent([*series, *limits], stacked=False), unit)
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
    body = _axes(frame, labels) + Markup("").join(parts) + _lines(series, frame)
    return drawing(chart, body, HEIGHT) + Markup('<p class="note">{}</p>').format(text("band: interval at 95 %"))


class _Frame:
    """Maps positions and values to the drawing area."""

    def __init__(self, n: int, low: float, high: float, unit: Unit) -> None:
        self.n = max(1, n)
        self.ticks = round_ticks(low, high, unit)
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.words = tick_words(self.ticks, unit)

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
            found.append((str(column.label), [number(row[keys.index(key)]) for row in table.rows]))
        return found
    positions = {str(x): i for i, x in enumerate(_positions(chart, table))}
    by_name: dict[str, list[float | None]] = {}
    for row in table.rows:
        name = show(row[keys.index(chart.series)], "text")
        values = by_name.setdefault(name, [None] * len(positions))
        values[positions[str(row[keys.index(chart.x)])]] = number(row[keys.index(chart.y[0])])
    over_time = all(_PERIOD.match(name) for name in by_name)  # of periods the latest say most
    return list(by_name.items())[-SERIES:] if over_time else list(by_name.items())[:SERIES]


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
    return min(0.0, *values, 0.0), max(0.0, *values, 0.0)


def _axes(frame: _Frame, labels: Sequence[str]) -> Markup:
    step = max(1, math.ceil(len(labels) / 9))
    tick = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
    below = [tick.format(frame.x(i), HEIGHT - 8, labels[i][:18]) for i in range(0, len(labels), step)]
    return grid([frame.y(tick) for tick in frame.ticks], frame.words, LEFT, RIGHT) + Markup("").join(below)


def _lines(series: Sequence[tuple[str, list[float | None]]], frame: _Frame) -> Markup:
    parts = []
    for place, (_, values) in enumerate(series):
        for run in _runs(values):
            points = " ".join(f"{frame.x(i):.1f},{frame.y(v):.1f}" for i, v in run)
            if len(run) == 1:
                i, v = run[0]
                parts.append(
                    Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="2.5"></circle>').format(
                        place, frame.x(i), frame.y(v)
                    )
                )
            else:
                parts.append(
                    Markup('<polyline class="line s{}" fill="none" points="{}"></polyline>').format(place, points)
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
    for place, (_, values) in enumerate(series):
        for index, value in enumerate(values):
            if not value:
                continue
            base = 0.0
            if stacked:
                base = up[index] if value > 0 else down[index]
                (up if value > 0 else down)[index] += value
            top, bottom = frame.y(max(base, base + value)), frame.y(min(base, base + value))
            x = frame.x(index) - frame.slot * 0.4 + (0 if stacked else place * width)
            parts.append(
                Markup('<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"></rect>').format(
                    place, x, top, max(width - 0.5, 0.5), bottom - top
                )
            )
    return Markup("").join(parts)


def _flow(chart: Chart, table: Table) -> Markup:
    """Flows as bars in order of size: source → target and how many."""
    keys = [c.key for c in table.columns]
    source, target, count = keys.index(chart.x), keys.index(chart.series or "target"), keys.index(chart.y[0])
    rows = sorted(table.rows, key=lambda r: -(number(r[count]) or 0))[:15]
    longest = max((number(r[count]) or 0) for r in rows) or 1
    height = 22 * len(rows) + 8
    parts = []
    for i, row in enumerate(rows):
        value = number(row[count]) or 0
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
    return drawing(chart, Markup("").join(parts), height)
