"""Headline numbers: the last period that is over, how it moved against the one before, and the way there as a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from upswing.core.i18n import Text, current_locale, text
from upswing.core.numbers import MISSING, format_compact, format_rate
from upswing.core.results import Cell, Table
from upswing.web.compared import Change, Direction, Limits, change

SPARK = 12
_WIDTH, _HEIGHT = 96, 24


@dataclass(frozen=True, slots=True)
class Headline:
    """One number of the strip.

    Args:
        label: what it is.
        value: as a headline, three significant digits.
        exact: the full number.
        period: the period it is of.
        moved: against the period before.
        spark: the last periods as a line.
        href: the page that knows more.
        doc: what it means.
        people: the users it counts; empty where they cannot be listed.
    """

    label: str
    value: str
    exact: str
    period: str
    moved: Change | None
    spark: Markup
    href: str
    doc: str
    people: str = ""


def headline(
    table: Table,
    key: str,
    *,
    href: str,
    better: Direction,
    label: Text | str = "",
    whole: str | None = "complete",
    of: str = "",
    period: str = "start",
) -> Headline:
    """A column of a table over time as a headline.

    Args:
        table: one row per period, in order.
        key: the column.
        href: page behind it.
        better: direction that is good.
        label: name; the column's own if absent.
        whole: column that says whether a period is over; ``KEY_open`` of a triangle says the opposite.
        of: for a rate, the column with what it is a share of; then a change has to be clear to be called one.
        period: column that names the period.
    """
    keys = [c.key for c in table.columns]
    column = table.columns[keys.index(key)]
    series = [
        (str(row[keys.index(period)]), row[keys.index(key)]) for row in table.rows if _over(row, keys, key, whole)
    ]
    known = [(when, abs(v)) for when, v in series if isinstance(v, int | float) and not isinstance(v, bool)]
    now = known[-1] if known else ("", None)
    before = known[-2][1] if len(known) > 1 else None
    sizes = {str(row[keys.index(period)]): row[keys.index(of)] for row in table.rows} if of else {}
    limits = _limits(known[-1], known[-2], sizes) if of and len(known) > 1 else None
    return Headline(
        label=str(label or column.label),
        value=_short(now[1], column.unit),
        exact=MISSING if now[1] is None else f"{now[1]:,}",
        period=now[0],
        moved=change(now[1], before, column.unit, better, limits=limits),
        spark=spark([v for _, v in known[-SPARK:]]),
        href=href,
        doc=str(column.doc),
    )


def spark(values: Sequence[float]) -> Markup:
    """A small line without axes; empty for fewer than three values."""
    if len(values) < 3:
        return Markup("")
    low, high = min(values), max(values)
    span = high - low or 1
    step = (_WIDTH - 6) / (len(values) - 1)
    points = [(3 + i * step, 3 + (_HEIGHT - 6) * (1 - (v - low) / span)) for i, v in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">'
        '<polyline points="{}" fill="none" class="line s0"></polyline>'
        '<circle class="s0" cx="{:.1f}" cy="{:.1f}" r="2.2"></circle></svg>'
    ).format(_WIDTH, _HEIGHT, _WIDTH, _HEIGHT, line, *points[-1])


def moved_most(headlines: Sequence[Headline]) -> list[Text]:
    """What got better and what got worse, in words."""
    better = [h for h in headlines if h.moved is not None and h.moved.tone == "good"]
    worse = [h for h in headlines if h.moved is not None and h.moved.tone == "bad"]
    found = []
    comma = "、" if current_locale() == "zh-CN" else ", "
    if better:
        found.append(text("Better: {names}", names=comma.join(f"{h.label} {h.moved.text}" for h in better if h.moved)))
    if worse:
        found.append(text("Worse: {names}", names=comma.join(f"{h.label} {h.moved.text}" for h in worse if h.moved)))
    return found


def _limits(now: tuple[str, float], before: tuple[str, float], sizes: Mapping[str, Cell]) -> Limits | None:
    from upswing.stats.proportions import wilson_interval

    found = []
    for when, rate in (now, before):
        size = sizes.get(when)
        if not isinstance(size, int) or size <= 0:
            return None
        interval = wilson_interval(round(rate * size), size)
        found.append((float(interval.lower), float(interval.upper)))
    return found[0], found[1]


def _over(row: Sequence[Cell], keys: Sequence[str], key: str, whole: str | None) -> bool:
    if f"{key}_open" in keys:
        return not row[keys.index(f"{key}_open")]
    return whole is None or whole not in keys or bool(row[keys.index(whole)])


def _short(value: float | None, unit: str) -> str:
    if value is None or not math.isfinite(value):
        return MISSING
    return format_rate(value) if unit in ("ratio", "change") else format_compact(value, locale=current_locale())
