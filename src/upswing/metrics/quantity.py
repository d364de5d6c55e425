"""A value that is shown by its unit in the language in force, wherever a sentence or a mixed table needs one."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import Text, current_locale
from upswing.core.numbers import MISSING, format_value
from upswing.core.results import Unit

_WHOLE: Final = 1000
"""From here on decimals say nothing."""
_PEOPLE: Final = 10
"""Likewise for what is counted."""
_CHANGE_UNITS: Final[dict[str, Unit]] = {"ratio": "difference"}


class Quantity(Text):
    """A number and its unit; a change carries its sign, and a change of a share is in points.

    Examples:
        >>> str(Quantity(0.5, "ratio")), str(Quantity(0.012, "ratio", change=True)), str(Quantity(-3.0, "count", change=True))
        ('50.0%', '+1.2 pp', '−3')
    """

    __slots__ = ("change", "unit", "value")

    def __init__(self, value: float | None, unit: Unit, *, change: bool = False) -> None:
        super().__init__("", {})
        self.value, self.unit, self.change = value, unit, change

    def __str__(self) -> str:
        if self.value is None:
            return MISSING
        locale = current_locale()
        plain: Unit = "number" if self.unit == "money" and abs(self.value) >= _WHOLE else self.unit
        if not self.change:
            return format_value(_readable(self.value, plain), plain, locale=locale)
        unit = _CHANGE_UNITS.get(self.unit, plain)
        shown = format_value(_readable(self.value, plain) if unit == plain else self.value, unit, locale=locale)
        return "+" + shown if self.value > 0 and not shown.startswith(("+", MISSING)) else shown

    def __hash__(self) -> int:
        return hash((self.value, self.unit, self.change))

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Text | str) else NotImplemented


def _readable(value: float, unit: Unit) -> float:
    """Large numbers, and people and events above ten, without decimals that say nothing."""
    if abs(value) >= _WHOLE or (unit == "count" and abs(value) >= _PEOPLE):
        return float(round(value))
    return round(value, 1) if unit == "count" else value
