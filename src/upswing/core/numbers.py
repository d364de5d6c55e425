"""Numbers as people of each language write them. One golden table (tests/core/numbers.json) holds everywhere.

Missing is an en dash; a minus is U+2212; a change of a rate is in percentage points, never in %.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

MISSING: Final = "–"
MINUS: Final = "−"

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COMPACT: Final = {
    "en": ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")),
    "zh-CN": ((10**12, "万亿"), (10**8, "亿"), (10**4, "万")),
}
_SYMBOLS: Final = {
    "CNY": ("CN¥", "¥"), "USD": ("$", "US$"), "EUR": ("€", "€"), "GBP": ("£", "£"), "JPY": ("¥", "JP¥"),
    "HKD": ("HK$", "HK$"), "TWD": ("NT$", "NT$"), "SGD": ("SGD ", "SGD "), "INR": ("₹", "₹"), "KRW": ("₩", "￦"),
}  # fmt: skip
_LENGTHS: Final = {
    "en": ((86400, " d"), (3600, " h"), (60, " min"), (1, " s"), (0.001, " ms")),
    "zh-CN": ((86400, "天"), (3600, "小时"), (60, "分钟"), (1, "秒"), (0.001, "毫秒")),
}


def format_value(value: object, unit: str, *, locale: str = "en") -> str:
    """A value as text by its unit (see `upswing.core.results.Unit`).

    Examples:
        >>> format_value(0.3119, "ratio"), format_value(-0.0091, "difference"), format_value(None, "count")
        ('31.2%', '−0.9 pp', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return {"en": ("no", "yes"), "zh-CN": ("否", "是")}[locale][value]
    if isinstance(value, datetime | date):
        return format_date(value, locale=locale)
    if not isinstance(value, int | float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    formats = {
        "count": lambda v: format_count(v),
        "ratio": lambda v: format_rate(v),
        "change": lambda v: format_rate(v, signed=True),
        "difference": lambda v: format_points(v, locale=locale),
        "seconds": lambda v: format_seconds(v, locale=locale),
        "p_value": lambda v: format_p(v),
        "money": lambda v: _signed(f"{abs(v):,.2f}", v),
    }
    return formats.get(unit, format_number)(value)


def format_count(value: float) -> str:
    """A count in a table: grouped, never abbreviated.

    Examples:
        >>> format_count(1284500)
        '1,284,500'
    """
    return _signed(f"{abs(round(value)):,}", round(value)) if float(value).is_integer() else format_number(value)


def format_number(value: float) -> str:
    """Any other number: grouped, up to four significant digits after large ones."""
    if float(value).is_integer() and abs(value) < 1e15:
        return _signed(f"{abs(int(value)):,}", value)
    if 0 < abs(value) < 0.001:
        tiny = abs(value) < 1e-6
        return _signed(f"{abs(value):.1e}" if tiny else _trim(_significant(abs(value), 2)), value)
    places = max(0, 3 - max(0, math.floor(math.log10(abs(value)))))
    return _signed(f"{abs(value):,.{places}f}".rstrip("0").rstrip(".") if places else f"{abs(value):,.0f}", value)


def format_compact(value: float | None, *, locale: str = "en") -> str:
    """A headline or axis number with three significant digits; rounds first, then chooses the unit.

    Examples:
        >>> format_compact(999_999), format_compact(1_284_500, locale="zh-CN")
        ('1M', '128万')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    rounded = _significant(abs(value), 3)
    for size, suffix in _COMPACT[locale]:
        if rounded >= size:
            return _signed(_trim(_significant(rounded / size, 3)) + suffix, value)
    return _signed(_trim(rounded), value)


def format_rate(value: float, *, signed: bool = False, digits: int = 1) -> str:
    """A share or a relative change in %.

    Examples:
        >>> format_rate(0.029, signed=True)
        '+2.9%'
    """
    shown = f"{_fixed(abs(value) * 100, digits)}%"
    return _signed(shown, value, plus=signed)


def format_points(value: float, *, locale: str = "en", digits: int = 1) -> str:
    """A change of a rate, in percentage points."""
    return _signed(_fixed(abs(value) * 100, digits), value, plus=True) + (" 个百分点" if locale == "zh-CN" else " pp")


def format_money(
    amount: float | None, currency: str, *, locale: str = "en", single: bool = True, digits: int = 2
) -> str:
    """Money. `single`: the workspace has one currency, so ``¥`` alone cannot be mistaken.

    Examples:
        >>> format_money(1234.5, "CNY", single=False), format_money(1234.5, "CNY", locale="zh-CN")
        ('CN¥1,234.50', '¥1,234.50')
    """
    if amount is None or not math.isfinite(amount):
        return MISSING
    foreign, home = _SYMBOLS.get(currency, (currency + " ", currency + " "))
    symbol = home if locale == "zh-CN" else foreign
    if currency == "CNY" and single:
        symbol = "¥"
    return _signed(f"{symbol}{abs(amount):,.{digits}f}", amount)


def format_p(value: float) -> str:
    """A p-value, never 0.000.

    Examples:
        >>> format_p(0.0341), format_p(0.00004)
        ('0.034', '< 0.001')
    """
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_date(value: date | datetime, *, locale: str = "en") -> str:
    """A day; with a time of day for a moment that is not midnight."""
    day = (
        f"{value.year}年{value.month}月{value.day}日"
        if locale == "zh-CN"
        else (f"{value.day} {_MONTHS[value.month - 1]} {value.year}")
    )
    if isinstance(value, datetime) and (value.hour or value.minute or value.second):
        return f"{day} {value:%H:%M}"
    return day


def format_seconds(value: float, *, locale: str = "en") -> str:
    """A length of time in the unit that reads best.

    Examples:
        >>> format_seconds(5400), format_seconds(172800, locale="zh-CN")
        ('1.5 h', '2天')
    """
    if value == 0:
        return "0" + _LENGTHS[locale][3][1]
    for size, suffix in _LENGTHS[locale]:
        if abs(value) >= size or size == 0.001:
            return _signed(_trim(_significant(abs(value) / size, 3)) + suffix, value)
    raise AssertionError("unreachable")


def _significant(value: float, digits: int) -> float:
    if value == 0:
        return 0.0
    places = digits - 1 - math.floor(math.log10(value))
    return float(round(Decimal(repr(float(value))), places)) if places > -30 else value


def _fixed(value: float, digits: int) -> str:
    exact = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)
    return f"{exact:,}"


def _trim(value: float) -> str:
    shown = f"{value:,.10f}".rstrip("0").rstrip(".")
    return shown or "0"


def _signed(shown: str, value: float, *, plus: bool = False) -> str:
    if value < 0 and any(c in "123456789" for c in shown):
        return MINUS + shown
    return "+" + shown if plus and value > 0 else shown
