"""Where a metric stands: its last complete period against an earlier one, and against its target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from upswing.core.i18n import Text, text
from upswing.core.units import Period
from upswing.metrics.points import MetricPoint
from upswing.spec.metric import MetricDefinition
from upswing.stats.proportions import newcombe_difference, wilson_interval

Comparison = Literal["previous", "year"]
TargetStanding = Literal["met", "missed", "open", "not_due", "too_few", "no_value"]

_YEAR_DAYS: Final = 364
"""A year back that falls on the same weekday."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A metric's last complete period.

    Args:
        metric: name.
        period: the period; None where none is complete.
        value: its value.
        sample: users or events behind it; None where nothing was counted.
        compared: the period it is compared with.
        previous: that period's value.
        change: value − previous.
        relative: change / previous; None where the previous is zero.
        lower: lower limit of the change at 95 % (Newcombe), for shares only.
        upper: upper limit.
        wanted: what the target asks of this period; None where nothing is due.
        gap: value − wanted, turned so that below zero always falls short.
        target: ``met``, ``missed``, ``open`` (for shares: chance could explain the gap), ``not_due``, ``too_few`` (below
            `min_sample`), ``no_value``; None without a target.
        better: +1 where the change is for the better, −1 for the worse, 0 unknown or none.
    """

    metric: str
    period: str | None
    value: float | None
    sample: float | None
    compared: str | None
    previous: float | None
    change: float | None
    relative: float | None
    lower: float | None
    upper: float | None
    wanted: float | None
    gap: float | None
    target: TargetStanding | None
    better: int

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {key: getattr(self, key) for key in self.__slots__ if key != "metric"}


def standing(
    metric: MetricDefinition, points: Sequence[MetricPoint], *, period: Period, compare: Comparison = "previous"
) -> Standing:
    """Judge the last complete period of a metric.

    Args:
        metric: the definition.
        points: its points over everybody.
        period: length of the periods.
        compare: the period before, or the same one a year before.
    """
    whole = sorted((p for p in points if p.group is None), key=lambda p: p.period)
    done = [p for p in whole if p.complete]
    if not done:
        nothing: TargetStanding | None = "no_value" if metric.targets else None
        return Standing(metric.name, None, None, None, None, None, None, None, None, None, None, None, nothing, 0)
    now = done[-1]
    wanted_label = earlier(now.period, period, compare)
    before = next((p for p in whole if p.period == wanted_label), None)
    change = _difference(now.value, before.value if before else None)
    low, high = _limits(metric, now, before)
    wanted, gap, judged = _target(metric, now, period)
    sign = 0 if not change or metric.better is None else (1 if (change > 0) == (metric.better == "up") else -1)
    return Standing(
        metric=metric.name,
        period=now.period,
        value=now.value,
        sample=now.sample(metric),
        compared=None if before is None else before.period,
        previous=None if before is None else before.value,
        change=change,
        relative=None if change is None or before is None or not before.value else change / abs(before.value),
        lower=low,
        upper=high,
        wanted=wanted,
        gap=gap,
        target=judged,
        better=sign,
    )


def earlier(label: str, period: Period, compare: Comparison) -> str:
    """Label of the period to compare with.

    Examples:
        >>> earlier("2026-03-02", "week", "previous"), earlier("2026-01", "month", "previous"), earlier("2026-03", "month", "year")
        ('2026-02-23', '2025-12', '2025-03')
    """
    if period == "hour":
        from datetime import datetime

        moment = datetime.fromisoformat(label)
        back = timedelta(hours=1) if compare == "previous" else timedelta(days=_YEAR_DAYS)
        return (moment - back).strftime("%Y-%m-%dT%H:%M%z")
    if period == "month":
        year, month = int(label[:4]), int(label[5:7])
        count = year * 12 + month - 1 - (1 if compare == "previous" else 12)
        return f"{count // 12:04d}-{count % 12 + 1:02d}"
    back_days = _YEAR_DAYS if compare == "year" else (7 if period == "week" else 1)
    return (date.fromisoformat(label) - timedelta(days=back_days)).isoformat()


def last_day(label: str, period: Period) -> date:
    """The last day of a period, which targets are held against."""
    if period == "month":
        year, month = int(label[:4]), int(label[5:7])
        return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    first = date.fromisoformat(label[:10])
    return first + timedelta(days=6) if period == "week" else first


def target_words(standing: TargetStanding | None) -> Text | str:
    """The standing in words."""
    if standing is None:
        return ""
    words: dict[TargetStanding, Text] = {
        "met": text("met"),
        "missed": text("falls short"),
        "open": text("short, within chance"),
        "not_due": text("not due yet"),
        "too_few": text("too few to judge"),
        "no_value": text("no complete period"),
    }
    return words[standing]


def _target(
    metric: MetricDefinition, now: MetricPoint, period: Period
) -> tuple[float | None, float | None, TargetStanding | None]:
    if not metric.targets:
        return None, None, None
    day = last_day(now.period, period)
    due = [w for w in (t.wanted(day) for t in metric.targets) if w is not None]
    if not due:
        return None, None, "not_due"
    up = metric.better != "down"
    wanted = max(due) if up else min(due)
    if now.value is None:
        return wanted, None, "no_value"
    gap = now.value - wanted if up else wanted - now.value
    sample = now.sample(metric)
    if sample is not None and sample < metric.min_sample:
        return wanted, gap, "too_few"
    if gap >= 0:
        return wanted, gap, "met"
    return wanted, gap, "open" if _chance_explains(metric, now, wanted) else "missed"


def _chance_explains(metric: MetricDefinition, now: MetricPoint, wanted: float) -> bool:
    """Whether the target lies inside the interval of a share; sums are what they are."""
    if not metric.is_share or not now.denominator or now.numerator is None:
        return False
    found = wilson_interval(now.numerator, now.denominator)
    return bool(found.lower <= wanted <= found.upper)


def _limits(
    metric: MetricDefinition, now: MetricPoint, before: MetricPoint | None
) -> tuple[float | None, float | None]:
    if not metric.is_share or before is None or not now.denominator or not before.denominator:
        return None, None
    found = newcombe_difference(now.numerator or 0, now.denominator, before.numerator or 0, before.denominator)
    return float(found.lower), float(found.upper)


def _difference(now: float | None, before: float | None) -> float | None:
    if now is None or before is None or not math.isfinite(now - before):
        return None
    return now - before
