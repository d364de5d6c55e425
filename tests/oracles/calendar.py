"""Calendar periods by the plainest means: the standard library's local time, one instant at a time."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.oracles.event import DAY, HOUR, SECOND

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ROLLING = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


def local(time: int, zone: str) -> datetime:
    """The wall clock in ``zone`` at an instant given in µs."""
    return datetime.fromtimestamp(time // SECOND, tz=UTC).astimezone(ZoneInfo(zone)) + timedelta(
        microseconds=time % SECOND
    )


def local_date(time: int, zone: str) -> date:
    """The calendar day in ``zone`` at an instant."""
    return local(time, zone).date()


def midnight(day: date, zone: str) -> int:
    """First instant (µs) of a local day; where midnight is skipped, the instant the clock jumps."""
    wall = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return int(wall.timestamp()) * SECOND


def period_start(time: int, period: str, zone: str = "UTC", week_start: str = "monday") -> int:
    """First instant (µs) of the hour, day, week or month that contains ``time``."""
    if period == "hour":
        offset = int(local(time, zone).utcoffset().total_seconds()) * SECOND  # type: ignore[union-attr]
        return (time + offset) // HOUR * HOUR - offset
    day = local_date(time, zone)
    if period == "week":
        while WEEKDAYS[day.weekday()] != week_start:
            day -= timedelta(days=1)
    elif period == "month":
        day = day.replace(day=1)
    return midnight(day, zone)


def next_period(start: int, period: str, zone: str = "UTC") -> int:
    """First instant of the period after the one that starts at ``start``."""
    if period == "hour":
        return start + HOUR
    day = local_date(start, zone)
    if period == "month":
        day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    else:
        day += timedelta(days=7 if period == "week" else 1)
    return midnight(day, zone)


def later_period(start: int, k: int, period: str, zone: str = "UTC") -> int:
    """First instant of the period ``k`` after the one that starts at ``start``."""
    for _ in range(k):
        start = next_period(start, period, zone)
    return start


def previous_period(start: int, period: str, zone: str = "UTC", week_start: str = "monday") -> int:
    """First instant of the period before the one that starts at ``start``."""
    return period_start(start - 1, period, zone, week_start)


def days_apart(a: int, b: int, zone: str) -> int:
    """Calendar days from instant ``a`` to instant ``b``: 0 on the same local day."""
    return (local_date(b, zone) - local_date(a, zone)).days
