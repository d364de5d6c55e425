"""Durations, periods and money carry their unit; a bare number is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal

from upswing.core.errors import UsageError
from upswing.core.i18n import text

Period = Literal["hour", "day", "week", "month"]
PERIODS: Final[tuple[Period, ...]] = ("hour", "day", "week", "month")

MICROSECOND: Final = 1
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
LONGEST: Final = 365_000 * DAY
"""Beyond this, sums of times and durations might not fit 64 bits."""

_UNITS: Final = {
    "us": 1, "µs": 1, "ms": 1000,
    "s": SECOND, "sec": SECOND, "second": SECOND, "seconds": SECOND, "秒": SECOND,
    "m": MINUTE, "min": MINUTE, "minute": MINUTE, "minutes": MINUTE, "分": MINUTE, "分钟": MINUTE,
    "h": HOUR, "hour": HOUR, "hours": HOUR, "小时": HOUR,
    "d": DAY, "day": DAY, "days": DAY, "天": DAY, "日": DAY,
    "w": WEEK, "week": WEEK, "weeks": WEEK, "周": WEEK,
}  # fmt: skip
_CHINESE = {"w": "周", "d": "天", "h": "小时", "m": "分钟", "s": "秒", "ms": "毫秒", "us": "微秒"}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]+|[秒分钟小时天日周]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time, exact to the microsecond. A day is 24 hours, whatever the clocks do.

    Examples:
        >>> Duration.parse("1h 30m").seconds
        5400.0
        >>> str(Duration.parse("7 days"))
        '7d'
    """

    microseconds: int

    @classmethod
    def parse(cls, value: str | timedelta | Duration, *, what: str = "duration", zero: bool = False) -> Duration:
        """Read ``"7d"``, ``"1h 30m"``, ``"30 minutes"``, ``"7天"`` or a timedelta.

        Args:
            value: the duration; a bare number is refused because its unit would be a guess.
            what: what it is for, named in errors.
            zero: whether zero is allowed.

        Raises:
            UsageError: UP610 no unit or not readable, UP611 zero or negative, UP613 more than a thousand years.
        """
        if isinstance(value, Duration):
            found = value
        elif isinstance(value, timedelta):
            found = cls(round(value / timedelta(microseconds=1)))
        else:
            found = cls(_parse_text(value, what))
        if found.microseconds < 0 or (found.microseconds == 0 and not zero):
            raise UsageError(
                text("{what} must be longer than zero, got '{value}'", what=what, value=value),
                code="UP611",
                hint=text("write a duration such as '7d' or '30m'"),
            )
        if found.microseconds > LONGEST:
            raise UsageError(
                text("{what} '{value}' is longer than a thousand years", what=what, value=value), code="UP613"
            )
        return found

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.microseconds / SECOND

    def __str__(self) -> str:
        return " ".join(f"{count}{unit}" for count, unit in self._parts()) or "0s"

    def spoken(self, locale: str) -> str:
        """The duration inside a sentence.

        Examples:
            >>> Duration.parse("1h 30m").spoken("zh-CN"), Duration.parse("7d").spoken("en")
            ('1小时30分钟', '7d')
        """
        if locale != "zh-CN":
            return str(self)
        return "".join(f"{count}{_CHINESE[unit]}" for count, unit in self._parts()) or "0秒"

    def _parts(self) -> list[tuple[int, str]]:
        """Counts of units, the largest first."""
        rest, parts = self.microseconds, []
        for size, unit in ((WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (1000, "ms"), (1, "us")):
            if size == WEEK and rest % WEEK:
                continue  # 10 days read better as 10d than as 1w 3d
            if size == WEEK and rest < 2 * WEEK:
                continue
            count, rest = divmod(rest, size)
            if count:
                parts.append((count, unit))
        return parts


def _parse_text(value: object, what: str) -> int:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(
            text("{what} needs a unit, got '{value}'", what=what, value=value),
            code="UP610",
            hint=text("write a duration such as '7d' or '30m'"),
        )
    total, position = Decimal(0), 0
    while position < len(value.rstrip()):
        part = _PART.match(value, position)
        unit = part and (_UNITS.get(part[2]) or _UNITS.get(part[2].lower()))
        if part is None or unit is None:
            raise UsageError(
                text("{what} '{value}' is not a duration", what=what, value=value),
                code="UP610",
                hint=text("write a number and a unit: s, m, h, d or w, as in '7d' or '1h 30m'"),
            )
        total += Decimal(part[1]) * unit
        position = part.end()
    return round(total)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency (ISO 4217 code)."""

    amount: float
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise UsageError(
                text("cannot add {a} to {b}", a=other.currency, b=self.currency),
                code="UP612",
                hint=text("convert to one currency first"),
            )
        return Money(self.amount + other.amount, self.currency)
