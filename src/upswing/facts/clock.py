"""This moment, for everything that is kept with its time."""

from __future__ import annotations

import time


def now() -> int:
    """This moment, µs since the epoch, UTC."""
    return time.time_ns() // 1000
