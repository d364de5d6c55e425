"""Charts over a numeric axis as inline SVG: points with thresholds and a line over them, and outcome by dose."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_compact, format_rate
from upswing.core.results import Cell, Chart, Column, Table, Unit, show

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 40
SERIES = 6

Point = tuple[float, float]


def draw_scatter(chart: Chart, table: Table) -> Markup:
    """A point per row, thresholds as dashed lines, the chart's curve over them; empty where there is nothing to draw."""
    points = _points(chart, table)
    if not points:
        return Markup("")
    plane = _Plane([(x, y) for x, y, *_ in points] + [*chart.curve], chart, zero=False)
    largest = max(size for _, _, size, _, _ in points) or 1.0
    names = list(dict.fromkeys(name for *_, name, _ in points))
    dots = [
        Markup(
            '<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill-opacity="0.6"><title>{}</title></circle>'
        ).format(
            min(names.index(name), SERIES - 1),
            plane.x(x),
            plane.y(y),
            3 + 11 * math.sqrt(max(size, 0.0) / largest),
            label,
        )
        for x, y, size, name, label in points
    ]
    line = [_polyline([(plane.x(x), plane.y(y)) for x, y in chart.curve], 1)] if chart.curve else []
    key = _key(names) if chart.series is not None and len(names) > 1 else Markup("")
    return key + _svg(chart, plane.axes(chart, table) + plane.marks(chart) + Markup("").join(dots + line))


def draw_dose(chart: Chart, table: Table) -> Markup:
    """Lines over a numeric dose, the interval of the first as a band, the suggested threshold as a dashed line."""
    drawn = [key for key in chart.y if key not in ("lower", "upper")]
    columns = {c.key: i for i, c in enumerate(table.columns)}
    rows = [r for r in table.rows if _number(r[columns[chart.x]]) is not None]
    values = {key: [(_number(r[columns[chart.x]]), _number(r[columns[key]])) for r in rows] for key in chart.y}
    known = {key: [(x, y) for x, y in pairs if x is not None and y is not None] for key, pairs in values.items()}
    if not any(known.values()):
        return Markup("")
    plane = _Plane([p for pairs in known.values() for p in pairs], chart, zero=True)
    parts = []
    if known.get("lower") and known.get("upper"):
        rim = [*known["lower"], *reversed(known["upper"])]
        path = " ".join(f"{plane.x(x):.1f},{plane.y(y):.1f}" for x, y in rim)
        parts.append(Markup('<polygon class="band s0" points="{}"></polygon>').format(path))
    parts += [_polyline([(plane.x(x), plane.y(y)) for x, y in known[key]], i) for i, key in enumerate(drawn)]
    labels = [str(table.columns[columns[key]].label) for key in drawn]
    note = Markup('<p class="note">{}</p>').format(text("band: interval at 95 %"))
    return _key(labels) + _svg(chart, plane.axes(chart, table) + plane.marks(chart) + Markup("").join(parts)) + note


class _Plane:
    """Maps a pair of numbers to the drawing area."""

    def __init__(self, points: Sequence[Point], chart: Chart, *, zero: bool) -> None:
        at = {axis: [value for a, value in chart.marks if a == axis] for axis in ("x", "y")}
        xs, ys = [x for x, _ in points] + at["x"], [y for _, y in points] + at["y"]
        self.left, self.right = _padded(min(xs), max(xs))
        self.low, self.high = _padded(min([0.0, *ys] if zero else ys), max(ys))
        self.whole: list[float] = []
        if zero:
            self.low = min(0.0, min(ys))
            self.whole = sorted({x for x, _ in points})[:: max(1, len({x for x, _ in points}) // 12)]

    def x(self, value: float) -> float:
        """Across."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        """Down."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / (self.high - self.low))

    def axes(self, chart: Chart, table: Table) -> Markup:
        """Grid, numbers and the names of both axes."""
        across, up = _column(table, chart.x), _column(table, chart.y[0])
        ticks = self.whole or [self.left + (self.right - self.left) * part / 4 for part in range(5)]
        parts = [_label(self.x(x), HEIGHT - 22, _tick(x, across.unit), "middle") for x in ticks]
        for part in range(5):
            y = self.low + (self.high - self.low) * part / 4
            parts += [
                Markup('<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"></line>').format(
                    LEFT, WIDTH - RIGHT, self.y(y), self.y(y)
                ),
                _label(LEFT - 6, self.y(y) + 4, _tick(y, up.unit), "end"),
            ]
        parts.append(_label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, str(across.label), "middle"))
        parts.append(_label(LEFT + 4, TOP + 10, str(up.label), "start"))
        return Markup("").join(parts)

    def marks(self, chart: Chart) -> Markup:
        """Thresholds."""
        line = Markup(
            '<line stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="5 4" '
            'x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"></line>'
        )
        parts = []
        for axis, value in chart.marks:
            if axis == "x":
                parts.append(line.format(self.x(value), self.x(value), TOP, HEIGHT - BOTTOM))
            else:
                parts.append(line.format(LEFT, WIDTH - RIGHT, self.y(value), self.y(value)))
        return Markup("").join(parts)


def _points(chart: Chart, table: Table) -> list[tuple[float, float, float, str, str]]:
    """Across, up, size, series and what the point is called."""
    keys = [c.key for c in table.columns]
    x, y = keys.index(chart.x), keys.index(chart.y[0])
    size = keys.index(chart.y[1]) if len(chart.y) > 1 else None
    series = keys.index(chart.series) if chart.series is not None else None
    found = []
    for row in table.rows:
        across, up = _number(row[x]), _number(row[y])
        if across is None or up is None:
            continue
        area = 1.0 if size is None else (_number(row[size]) or 0.0)
        name = "" if series is None else show(row[series], "text")
        label = " · ".join(show(value, c.unit) for value, c in zip(row[:6], table.columns, strict=False))
        found.append((across, up, area, name, label))
    return found


def _svg(chart: Chart, body: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, chart.title, body
    )


def _polyline(points: Sequence[Point], number: int) -> Markup:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup('<polyline class="line s{}" points="{}"></polyline>').format(number, path)


def _label(x: float, y: float, words: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, words)


def _key(names: Sequence[str]) -> Markup:
    swatch = Markup(
        '<span class="key"><svg width="12" height="12" aria-hidden="true">'
        '<rect class="s{}" width="12" height="12"></rect></svg>{}</span>'
    )
    return (
        Markup("<p>")
        + Markup("").join(swatch.format(min(i, SERIES - 1), n) for i, n in enumerate(names))
        + Markup("</p>")
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    space = (high - low) * 0.04 or 0.5
    return low - space, high + space


def _tick(value: float, unit: Unit) -> str:
    if unit in ("ratio", "change"):
        return format_rate(value, digits=0 if abs(value) >= 0.1 or value == 0 else 1)
    if abs(value) < 10 and unit != "count":
        return f"{value:.2g}"
    return format_compact(value, locale=current_locale())


def _column(table: Table, key: str) -> Column:
    return next(c for c in table.columns if c.key == key)


def _number(value: Cell) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
