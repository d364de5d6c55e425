"""When an event happened: times as clients write them, corrected for clocks that go wrong."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from upswing.core.calendar import to_micros
from upswing.events.times import EARLIEST, LATEST

_UNITS: Final = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1), (1e20, 0.001))
"""(an epoch below this is in a unit, µs per unit): seconds, milliseconds, microseconds, nanoseconds."""


def now() -> int:
    """This moment, µs UTC."""
    return time.time_ns() // 1000


def read_moment(written: object, zone: tzinfo = UTC) -> int | None:
    """A time as a client wrote it, µs UTC: ISO 8601 or an epoch in s, ms, µs or ns; None where it is none.

    Args:
        written: text or number.
        zone: of ISO times that carry none.

    Examples:
        >>> read_moment("2026-11-23T08:00:00.5+08:00"), read_moment(1795392000.5), read_moment(1795392000500)
        (1795392000500000, 1795392000500000, 1795392000500000)
        >>> read_moment("yesterday") is None
        True
    """
    if isinstance(written, bool):
        return None
    if isinstance(written, int | float):
        return _epoch(written)
    if not isinstance(written, str) or len(written) > 64:
        return None
    try:
        found = datetime.fromisoformat(written.strip())
    except ValueError:
        return _number(written)
    try:
        return to_micros(found if found.tzinfo else found.replace(tzinfo=zone))
    except OverflowError:  # the first and last year with an offset
        return None


def corrected(original: int | None, sent: int | None, received: int) -> int:
    """The time of an event by the server's clock.

    ``received − (sent − original)``: how long before sending it happened is true even on a clock that is wrong (Segment
    spec, "timestamps"). Without `sent` the client's time stands; without `original` the event happened on receipt.

    Args:
        original: when it happened by the client's clock, µs.
        sent: when it was sent by the same clock, µs.
        received: when it came by the server's clock, µs.

    Examples:
        >>> corrected(100, 130, 1_000_130), corrected(100, None, 500), corrected(None, 130, 500)
        (1000100, 100, 500)
    """
    if original is None:
        return received
    return original if sent is None else received - (sent - original)


def flaw(at: int, received: int, ahead_seconds: int) -> str | None:
    """Why a time cannot be right, as a reason of `summary.REASONS`; None if it can."""
    if not EARLIEST <= at < LATEST:
        return "time_out_of_range"
    return "time_in_future" if at > received + ahead_seconds * 1_000_000 else None


def local_text(micros: int) -> str:
    """A time for a message: ISO, UTC, to the second."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat(timespec="seconds")


def _number(written: str) -> int | None:
    try:
        return _epoch(float(written)) if "." in written else _epoch(int(written))
    except ValueError:
        return None


def _epoch(written: int | float) -> int | None:
    size = abs(written)
    if isinstance(written, float) and not math.isfinite(written):
        return None
    for limit, factor in _UNITS:
        if size < limit:
            return round(written * factor)
    return None
