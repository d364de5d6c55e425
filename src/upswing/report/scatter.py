"""Charts over a numeric axis: points with thresholds and a line over them, and outcome by dose.

`plane_of` reads a table once; the inline SVG and the script that makes it interactive draw the same `Plane`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from upswing.core.i18n import text
from upswing.core.results import Chart, Column, Table, show
from upswing.report.axes import SERIES, WIDTH, Point, drawing, grid, legend, number, round_ticks, tick_words

HEIGHT: Final = 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 40


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter chart.

    Args:
        x: across.
        y: up.
        radius: in pixels; the area goes with the chart's size column.
        label: what it is called and its numbers.
    """

    x: float
    y: float
    radius: float
    label: str


@dataclass(frozen=True, slots=True)
class Plane:
    """What is drawn over two numeric axes.

    Args:
        across: column of the horizontal axis.
        up: column of the vertical axis.
        dots: points by series, at most `SERIES`.
        lines: lines by name.
        band: lower and upper line of an interval; empty without one.
    """

    across: Column
    up: Column
    dots: dict[str, list[Dot]]
    lines: dict[str, list[Point]]
    band: tuple[tuple[Point, Point], ...] = ()

    def data(self, chart: Chart) -> dict[str, object]:
        """The same for the script `charts.js`; full precision."""
        return {
            "kind": chart.kind, "title": str(chart.title), "unit": self.up.unit, "x_unit": self.across.unit,
            "x": str(self.across.label), "y": str(self.up.label) if self.dots else "",
            "dots": [{"name": n, "points": [[d.x, d.y, d.radius, d.label] for d in ds]} for n, ds in self.dots.items()],
            "series": [{"name": name, "points": [list(p) for p in points]} for name, points in self.lines.items()],
            "band": [[*low, high[1]] for low, high in self.band], "marks": [list(mark) for mark in chart.marks],
        }  # fmt: skip


def plane_of(chart: Chart, table: Table) -> Plane | None:
    """What a scatter or dose chart draws; None where there is nothing to draw."""
    found = _scatter(chart, table) if chart.kind == "scatter" else _dose(chart, table)
    return found if any(found.dots.values()) or any(found.lines.values()) else None


def draw_plane(chart: Chart, table: Table) -> Markup:
    """A scatter or dose chart as SVG; thresholds are dashed. Empty where there is nothing to draw."""
    plane = plane_of(chart, table)
    if plane is None:
        return Markup("")
    frame = _Frame(plane, chart)
    parts = [frame.axes(), frame.marks(chart)]
    if plane.band:
        rim = [low for low, _ in plane.band] + [high for _, high in reversed(plane.band)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in rim)
        parts.append(Markup('<polygon class="band s0" points="{}"></polygon>').format(path))
    dot = Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill-opacity="0.6"><title>{}</title></circle>')
    for place, dots in enumerate(plane.dots.values()):
        parts += [dot.format(place, frame.x(d.x), frame.y(d.y), d.radius, d.label) for d in dots]
    line = Markup('<polyline class="line s{}" points="{}"></polyline>')
    for place, points in enumerate(plane.lines.values()):
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        parts.append(line.format(1 if plane.dots else place, path))
    names = list(plane.dots if plane.dots else plane.lines)
    named = legend(names) if not plane.dots or len(names) > 1 else Markup("")
    note = Markup('<p class="note">{}</p>').format(text("band: interval at 95 %")) if plane.band else Markup("")
    return named + drawing(chart, Markup("").join(parts), HEIGHT) + note


class _Frame:
    """Maps a pair of numbers to the drawing area."""

    def __init__(self, plane: Plane, chart: Chart) -> None:
        self._plane = plane
        points = [(d.x, d.y) for dots in plane.dots.values() for d in dots]
        points += [p for line in (*plane.lines.values(), *plane.band) for p in line]
        xs = [x for x, _ in points] + [value for axis, value in chart.marks if axis == "x"]
        ys = [y for _, y in points] + [value for axis, value in chart.marks if axis == "y"]
        if plane.dots:  # room around the dots
            self._across = round_ticks(*_padded(xs), plane.across.unit)
            self._up = round_ticks(*_padded(ys), plane.up.unit)
            self._left, self._right = self._across[0], self._across[-1]
        else:
            self._across = sorted(set(xs))[:: max(1, len(set(xs)) // 12)]
            self._up = round_ticks(min(0.0, *ys), max(ys), plane.up.unit)
            self._left, self._right = _spaced(min(xs), max(xs))

    def x(self, value: float) -> float:
        """Across."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self._left) / (self._right - self._left)

    def y(self, value: float) -> float:
        """Down."""
        low, high = self._up[0], self._up[-1]
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    def axes(self) -> Markup:
        """Grid, numbers and the names of both axes."""
        across, up = self._plane.across, self._plane.up
        parts = [grid([self.y(y) for y in self._up], tick_words(self._up, up.unit), LEFT, RIGHT)]
        words = zip(self._across, tick_words(self._across, across.unit), strict=True)
        parts += [_label(self.x(x), HEIGHT - 22, said, "middle") for x, said in words]
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


def _scatter(chart: Chart, table: Table) -> Plane:
    """A dot per row, the chart's curve over them."""
    keys = [c.key for c in table.columns]
    x, y = keys.index(chart.x), keys.index(chart.y[0])
    size = keys.index(chart.y[1]) if len(chart.y) > 1 else None
    series = keys.index(chart.series) if chart.series is not None else None
    largest = max((number(row[size]) or 0.0 for row in table.rows), default=0.0) if size is not None else 0.0
    dots: dict[str, list[Dot]] = {}
    for row in table.rows:
        across, up = number(row[x]), number(row[y])
        if across is None or up is None:
            continue
        share = 1.0 if size is None or not largest else max(number(row[size]) or 0.0, 0.0) / largest
        name = "" if series is None else show(row[series], "text")
        label = " · ".join(show(value, c.unit) for value, c in zip(row[:6], table.columns, strict=False))
        place = (
            name if name in dots or len(dots) < SERIES else next(reversed(dots))
        )  # what has no colour shares the last
        dots.setdefault(place, []).append(Dot(across, up, 3 + 11 * math.sqrt(share), label))
    lines = {"": list(chart.curve)} if chart.curve and dots else {}
    return Plane(table.columns[x], table.columns[y], dots, lines)


def _dose(chart: Chart, table: Table) -> Plane:
    """Lines over a numeric dose, the interval of the first as a band."""
    columns = {c.key: i for i, c in enumerate(table.columns)}
    known: dict[str, dict[float, float]] = {key: {} for key in chart.y}
    for row in table.rows:
        dose = number(row[columns[chart.x]])
        for key in chart.y if dose is not None else ():
            value = number(row[columns[key]])
            if dose is not None and value is not None:
                known[key][dose] = value
    lines = {
        str(table.columns[columns[key]].label): list(values.items())
        for key, values in known.items()
        if key not in ("lower", "upper")
    }
    lower, upper = known.get("lower", {}), known.get("upper", {})
    band = tuple(((x, lower[x]), (x, upper[x])) for x in lower if x in upper)
    return Plane(table.columns[columns[chart.x]], table.columns[columns[chart.y[0]]], {}, lines, band)


def _label(x: float, y: float, words: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, words)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """A little room on both sides, not beyond 0 where no value is."""
    low, high = _spaced(min(values), max(values))
    return (max(low, 0.0) if min(values) >= 0 else low), (min(high, 0.0) if max(values) <= 0 else high)


def _spaced(low: float, high: float) -> tuple[float, float]:
    space = (high - low) * 0.04 or 0.5
    return low - space, high + space
