"""Two answers to the same question, side by side: against the period before, or by another product's rules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from markupsafe import Markup

from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Column, Table, show

Direction = Literal["up", "down", ""]
Interval = tuple[float, float]
Limits = tuple[Interval, Interval]
_MEASURES: Final = ("count", "ratio", "money", "seconds", "number")
_LIMITS: Final = frozenset({"lower", "upper", "mature_users"})
_MOST: Final = 4


@dataclass(frozen=True, slots=True)
class Change:
    """How a number moved.

    Args:
        text: the change with its sign: relative for amounts, in points for rates.
        tone: ``good``, ``bad`` or ``flat``.
        word: the tone in words.
        arrow: ▲, ▼ or none.
    """

    text: str
    tone: str
    word: str
    arrow: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A table of both answers as HTML."""

    title: str
    html: Markup


def change(now: Cell, before: Cell, unit: str, better: Direction = "", limits: Limits | None = None) -> Change | None:
    """How a number moved; None where there is nothing to compare.

    Args:
        now: the number.
        before: what it was.
        unit: of both; a rate changes in points, everything else relatively.
        better: the direction that is good; none where neither is.
        limits: intervals of both rates, where they are known: what they cannot tell apart is no clear change.

    Examples:
        >>> moved = change(110, 100, "count", "up")
        >>> moved.text, moved.tone, moved.arrow
        ('+10.0%', 'good', '▲')
        >>> change(0.31, 0.34, "ratio", "down").text
        '−3.0 pp'
    """
    if not _is_number(now) or not _is_number(before):
        return None
    assert isinstance(now, int | float)
    assert isinstance(before, int | float)
    if unit in ("ratio", "change", "difference"):
        moved, written = now - before, show(now - before, "difference")
        small = abs(moved) < 0.0005
    elif before == 0:
        return None
    else:
        moved = (now - before) / abs(before)
        written, small = show(moved, "change"), abs(moved) < 0.0005
    if small:
        return Change(written, "flat", str(text("unchanged")), "")
    rises = moved > 0
    if not better:
        return Change(written, "flat", "", "▲" if rises else "▼")
    if limits is not None and not told_apart(float(now), float(before), limits):
        return Change(written, "flat", str(text("no clear change")), "▲" if rises else "▼")
    good = rises == (better == "up")
    return Change(
        written, "good" if good else "bad", str(text("better") if good else text("worse")), "▲" if rises else "▼"
    )


def told_apart(now: float, before: float, limits: Limits) -> bool:
    """Whether the interval of the difference of two rates leaves out zero.

    Args:
        now: a rate.
        before: another.
        limits: lower and upper Wilson limit of each.

    References:
        Newcombe (1998), Statistics in Medicine 17:873-890, method 10: the interval from the limits of both.

    Examples:
        >>> told_apart(0.8, 0.6, ((0.6934, 0.8753), (0.4905, 0.7002))), told_apart(0.5, 0.5, ((0.4, 0.6), (0.4, 0.6)))
        (True, False)
    """
    (low, high), (low_before, high_before) = limits
    lower = now - before - math.hypot(now - low, high_before - before)
    upper = now - before + math.hypot(high - now, before - low_before)
    return lower > 0 or upper < 0


def change_html(moved: Change | None) -> Markup:
    """A change with sign, arrow and word."""
    if moved is None:
        return Markup('<span class="flat">–</span>')
    return Markup('<span class="{}"><span aria-hidden="true">{}</span> {}{}</span>').format(
        moved.tone, moved.arrow, moved.text, Markup(" <small>{}</small>").format(moved.word) if moved.word else ""
    )


def not_compared(why: Text) -> Comparison:
    """Why there is nothing to compare, in the comparison's place."""
    return Comparison(str(text("Against the period before")), Markup('<p class="note">{}</p>').format(why))


def compare(now: Table, before: Table) -> Comparison | None:
    """The main numbers of two answers by row; None where the rows are periods, which nothing pairs."""
    if (
        not now.columns
        or now.columns[0].unit in ("time", "date")
        or now.columns[0].key in ("start", "period", "cohort", "day")
    ):
        return None
    earlier = {str(row[0]): row for row in before.rows}
    if not any(str(row[0]) in earlier for row in now.rows):
        return None
    measured = [(i, c) for i, c in enumerate(now.columns) if c.unit in _MEASURES and c.key not in _LIMITS and i][:_MOST]
    there = {c.key: i for i, c in enumerate(before.columns)}
    measured = [(i, c) for i, c in measured if c.key in there]
    head = Markup("").join(_headings(c) for _, c in measured)
    body = []
    for row in now.rows[:100]:
        other = earlier.get(str(row[0]))
        cells = [Markup("<td>{}</td>").format(show(row[0], now.columns[0].unit))]
        for i, column in measured:
            old = other[there[column.key]] if other is not None else None
            limits = _limits(now, row, i), _limits(before, other, there[column.key])
            known = limits if limits[0] is not None and limits[1] is not None else None
            # without its interval a rate may have moved by chance: then there is no word for it
            moved = change(row[i], old, column.unit, "up" if known else "", limits=known)  # type: ignore[arg-type]
            cells.append(
                Markup('<td class="r">{}</td><td class="r faint">{}</td><td class="r">{}</td>').format(
                    show(row[i], column.unit), show(old, column.unit), change_html(moved)
                )
            )
        body.append(Markup("<tr>{}</tr>").format(Markup("").join(cells)))
    html = Markup('<table><thead><tr><th scope="col">{}</th>{}</tr></thead><tbody>{}</tbody></table>').format(
        now.columns[0].label, head, Markup("").join(body)
    )
    return Comparison(str(text("Against the period before")), html)


def side_by_side(one: Table, other: Table, *, first: Text | str, second: Text | str) -> Table:
    """The first count of two answers by row."""
    index = next(i for i, c in enumerate(one.columns) if c.unit == "count")
    there = [c.key for c in other.columns].index(one.columns[index].key)
    columns = (
        one.columns[0],
        Column("first", first, "count"),
        Column("second", second, "count"),
        Column("difference", text("Difference"), "count"),
    )
    rows: list[tuple[Cell, ...]] = []
    for row, old in zip(one.rows, other.rows, strict=False):
        a, b = row[index], old[there]
        gap = a - b if isinstance(a, int | float) and isinstance(b, int | float) else None
        rows.append((row[0], a, b, gap))
    return Table("compared", "", columns, rows)


def _limits(table: Table, row: Sequence[Cell] | None, index: int) -> Interval | None:
    """The interval that stands beside a rate in a table, as the columns `lower` and `upper` after it."""
    keys = [c.key for c in table.columns[index + 1 : index + 3]]
    if row is None or keys != ["lower", "upper"]:
        return None
    low, high = row[index + 1], row[index + 2]
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return float(low), float(high)


def _headings(column: Column) -> Markup:
    return Markup(
        '<th scope="col" class="r">{}</th><th scope="col" class="r">{}</th><th scope="col" class="r">{}</th>'
    ).format(column.label, text("before"), text("Change"))


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
