"""What every inline chart shares: round ticks and their words, keys of series, and the frame of the drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from upswing.core.i18n import current_locale
from upswing.core.numbers import MINUS, format_compact, format_points, format_seconds
from upswing.core.results import Cell, Chart, Unit

WIDTH: Final = 960
SERIES: Final = 6
"""Most series that are drawn: more colours cannot be told apart."""
_PARTS: Final = 4
_LENGTHS: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float]


def round_ticks(low: float, high: float, unit: Unit = "number") -> list[float]:
    """Round numbers in equal steps, the first at or below `low`, the last at or above `high`.

    Args:
        low: least value that is drawn.
        high: largest; may equal `low`.
        unit: counts have whole steps, lengths of time steps that are round in days, hours, minutes or seconds.

    Examples:
        >>> round_ticks(-1100, 3890, "count"), round_ticks(0, 0.52, "ratio")
        ([-2000, 0, 2000, 4000], [0.0, 0.2, 0.4, 0.6])
        >>> round_ticks(0, 200_000, "seconds")
        [0.0, 86400.0, 172800.0, 259200.0]
    """
    if not high > low:
        low, high = (min(0.0, low), max(0.0, low)) if low else (0.0, 1.0)
    scale = 1.0
    if unit == "seconds":
        scale = next((length for length in _LENGTHS if high - low >= 2 * length), 0.001)
    step = _step((high - low) / scale / _PARTS, whole=unit == "count")
    first, last = math.floor(low / scale / step + 1e-9), math.ceil(high / scale / step - 1e-9)
    if unit == "count":
        return [round(i * step) for i in range(first, last + 1)]
    return [float(f"{i * step * scale:.12g}") for i in range(first, last + 1)]


def tick_words(ticks: Sequence[float], unit: Unit) -> list[str]:
    """What stands at the ticks: as many decimals as tell them apart, and no more.

    Examples:
        >>> tick_words([0.975, 0.98, 0.985], "number"), tick_words([0, 0.25, 0.5], "ratio")
        (['0.975', '0.980', '0.985'], ['0%', '25%', '50%'])
    """
    locale = current_locale()
    if unit == "seconds":
        return [format_seconds(tick, locale=locale) for tick in ticks]
    if unit in ("ratio", "change"):
        return [f"{words}%" for words in _plain([100 * tick for tick in ticks])]
    if unit == "difference":
        places = _places([100 * tick for tick in ticks])
        return [format_points(tick, locale=locale, digits=places) for tick in ticks]
    if max(abs(tick) for tick in ticks) < 1000:
        return _plain(ticks)
    short = [format_compact(tick, locale=locale) for tick in ticks]
    return short if len(set(short)) == len(ticks) else _plain(ticks)


def legend(names: Sequence[str]) -> Markup:
    """Which colour is which series."""
    swatch = Markup(
        '<span class="key"><svg width="12" height="12" aria-hidden="true">'
        '<rect class="s{}" width="12" height="12"></rect></svg>{}</span>'
    )
    return (
        Markup("<p>")
        + Markup("").join(swatch.format(min(i, SERIES - 1), n) for i, n in enumerate(names))
        + Markup("</p>")
    )


def drawing(chart: Chart, body: Markup, height: int) -> Markup:
    """The picture, named after its chart."""
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, chart.title, body
    )


def grid(heights: Sequence[float], words: Sequence[str], left: float, right: float) -> Markup:
    """Level lines with their numbers to the left."""
    line = Markup(
        '<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"></line>'
        '<text x="{}" y="{:.1f}" text-anchor="end">{}</text>'
    )
    return Markup("").join(
        line.format(left, WIDTH - right, y, y, left - 6, y + 4, said)
        for y, said in zip(heights, words, strict=True)
    )  # fmt: skip


def number(value: Cell) -> float | None:
    """A cell as something that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _step(least: float, *, whole: bool) -> float:
    """The smallest round step that is not below `least`."""
    size = 10.0 ** math.floor(math.log10(least))
    step = next(size * by for by in _STEPS if size * by >= least * (1 - 1e-9))
    return max(1.0, math.ceil(step)) if whole else step


def _places(ticks: Sequence[float]) -> int:
    """Decimals that the ticks have."""
    return next((p for p in range(10) if all(abs(t - round(t, p)) <= 1e-9 * max(1.0, abs(t)) for t in ticks)), 10)


def _plain(ticks: Sequence[float]) -> list[str]:
    places = _places(ticks)
    shown = [f"{abs(tick):,.{places}f}" for tick in ticks]
    return [
        MINUS + words if tick < 0 and words.strip("0.,") else words for tick, words in zip(ticks, shown, strict=True)
    ]
