"""Times of the simulated product: microseconds since the epoch in UTC, in the rhythm of days and weeks in Shanghai."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
_OFFSET: Final = 8 * 3600 * SECOND  # Shanghai has kept UTC+8 without daylight saving since 1991
_HOUR_WEIGHTS: Final = (
    *(6, 3, 2, 1, 1, 2, 8, 22, 34, 30, 28, 34),
    *(52, 40, 28, 26, 28, 34, 48, 54, 62, 72, 58, 26),
)
_HOUR_CDF: Final = np.concatenate(([0.0], np.cumsum(_HOUR_WEIGHTS) / np.sum(_HOUR_WEIGHTS)))
_HOUR_STARTS: Final = np.arange(25, dtype=np.float64) * 3600 * SECOND


def micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware moment.

    Examples:
        >>> from datetime import UTC
        >>> micros(datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC))
        2000000
    """
    return (moment - datetime.fromtimestamp(0, tz=moment.tzinfo)) // timedelta(microseconds=1)


def time_of_day(rng: np.random.Generator, n: int) -> Times:
    """Draw `n` times of day, µs since local midnight: quiet at night, peaks at lunch and in the evening."""
    return np.interp(rng.random(n), _HOUR_CDF, _HOUR_STARTS).astype(np.int64) % DAY


def at_time_of_day(anchors: Times, clock: Times) -> Times:
    """First moment at or after each anchor at which the local clock shows the given time of day.

    Every time of day happens once in the 24 hours after an anchor, so days counted from it keep the daily rhythm.

    Examples:
        >>> anchor = np.array([0])  # 08:00 in Shanghai
        >>> at_time_of_day(anchor, np.array([9 * 3600 * SECOND])) // SECOND
        array([3600])
        >>> at_time_of_day(anchor, np.array([7 * 3600 * SECOND])) // SECOND
        array([82800])
    """
    local = anchors + _OFFSET
    moments = local - local % DAY + clock
    moments += np.where(moments < local, DAY, 0)
    return moments - _OFFSET


def weekday(times: Times) -> NDArray[np.int64]:
    """Local day of the week, Monday is 0."""
    return ((times + _OFFSET) // DAY + 3) % 7


def seconds(rng: np.random.Generator, n: int, *, median: float, spread: float = 0.6) -> Times:
    """Draw `n` lognormal durations around a median in seconds; returned in µs."""
    return (median * SECOND * np.exp(spread * rng.standard_normal(n))).astype(np.int64)
