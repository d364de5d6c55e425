"""Marks inside tables: an interval on a common scale, a bar in a score card's cell."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from upswing.core.i18n import text
from upswing.core.results import show
from upswing.web.compared import Direction

_WIDTH, _HEIGHT = 220, 20


@dataclass(frozen=True, slots=True)
class Scale:
    """The common scale of a column of intervals.

    Args:
        low: value at the left edge.
        high: value at the right edge.
        margin: half width of the band of practical equivalence around zero.
    """

    low: float
    high: float
    margin: float = 0.0

    def at(self, value: float) -> float:
        """Where a value stands, in units of the drawing.

        Examples:
            >>> Scale(-1, 1).at(0)
            110.0
        """
        inside = min(self.high, max(self.low, value))
        return _WIDTH * (inside - self.low) / (self.high - self.low)


def reading(lower: float, upper: float, better: Direction = "up") -> tuple[str, str]:
    """What an interval says: a tone and its word.

    Examples:
        >>> reading(0.01, 0.05)[0], reading(0.01, 0.05, "down")[0], reading(-0.01, 0.05)[0]
        ('good', 'bad', 'flat')
    """
    if lower <= 0 <= upper:
        return "flat", str(text("no clear change"))
    good = (lower > 0) == (better == "up")
    return ("good", str(text("better"))) if good else ("bad", str(text("worse")))


def forest(estimate: float, lower: float, upper: float, scale: Scale, *, better: Direction = "up") -> Markup:
    """A row of a forest plot: diamond at the estimate, whisker over the interval, the band of practical equivalence behind."""
    tone, word = reading(lower, upper, better)
    x, a, b = scale.at(estimate), scale.at(lower), scale.at(upper)
    middle = _HEIGHT / 2
    label = f"{show(estimate, 'change')} [{show(lower, 'change')}, {show(upper, 'change')}] {word}"
    band = Markup("")
    if scale.margin:
        left, right = scale.at(-scale.margin), scale.at(scale.margin)
        band = Markup('<rect class="track" x="{:.1f}" y="2" width="{:.1f}" height="{}"></rect>').format(
            left, right - left, _HEIGHT - 4
        )
    zero = scale.at(0)
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="0" y2="{}"></line>'
        '<path class="{}" fill="none" stroke-width="1.5" d="M{:.1f} {}V{}M{:.1f} {}V{}M{:.1f} {}H{:.1f}"></path>'
        '<path class="{}" d="M{:.1f} {}l4.5 4.5-4.5 4.5-4.5-4.5z"></path></svg>'
    ).format(
        _WIDTH, _HEIGHT, label, band, zero, zero, _HEIGHT, tone, a, middle - 4, middle + 4, b, middle - 4, middle + 4, a, middle,
        b, tone, x, middle - 4.5,
    )  # fmt: skip


def cell_bar(share: float) -> Markup:
    """A bar behind a number of a score card, from 0 to 1."""
    return Markup(
        '<svg viewBox="0 0 70 6" width="70" height="6" aria-hidden="true"><rect class="s0" width="{:.1f}" height="6"></rect></svg>'
    ).format(70 * min(1.0, max(0.0, share)))
