"""Sizes, memory and rates: what one request, one key and all requests together may use."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from upswing.server.intake.refusals import busy, too_fast

_MOST_KEYS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the intake takes.

    Args:
        event_bytes: one event as JSON (Segment: 32 kB per call).
        batch_bytes: one Segment batch, unpacked (Segment: 500 kB).
        body_bytes: any other body, unpacked.
        in_flight_bytes: all bodies under way together, unpacked. Those whose key is inside have a quarter of it beside
            the others: strangers can fill no more.
        body_seconds: a body is there by then, or the request is given up.
        events: events in one request.
        properties: properties of one event.
        log_properties: properties of the log; further names are kept together as JSON in one property.
        id_length: characters of a user's or event's id.
        name_length: characters of the name of an event or property.
        ahead_seconds: how far in the future an event may be.
    """

    event_bytes: int = 32 << 10
    batch_bytes: int = 512_000
    body_bytes: int = 4 << 20
    in_flight_bytes: int = 64 << 20
    body_seconds: float = 60.0
    events: int = 50_000
    properties: int = 500
    log_properties: int = 2000
    id_length: int = 512
    name_length: int = 255
    ahead_seconds: int = 86_400


class InFlight:
    """Bytes of the bodies that are being read and parsed, bounded. Only what has come counts: whoever announces much and
    sends nothing takes no room from others.

    Examples:
        >>> memory = InFlight(100)
        >>> with memory.body() as room:
        ...     room.grow(60)
        ...     memory.bytes
        60
        >>> memory.bytes
        0
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._lock = threading.Lock()

    @contextmanager
    def body(self) -> Iterator[Room]:
        """Room for one body, given back at the end."""
        room = Room(self)
        try:
            yield room
        finally:
            self._change(-room.bytes)

    def _change(self, size: int) -> None:
        with self._lock:
            if size > 0 and self.bytes and self.bytes + size > self.limit:
                raise busy(1)
            self.bytes += size


class Room:
    """What one body holds of an `InFlight`."""

    def __init__(self, memory: InFlight) -> None:
        self._memory = memory
        self.bytes = 0

    def grow(self, size: int) -> None:
        """Count `size` bytes more.

        Raises:
            TooManyError: UP870 there is no room now.
        """
        self._memory._change(size)
        self.bytes += size


class Rates:
    """Events per second by key, each with a bucket of ten seconds' worth.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, rate: float | None, events: int) -> None:
        """Count events of a key.

        Args:
            key: its id.
            rate: events per second it may send in the long run; None = any number.
            events: how many came.

        Raises:
            TooManyError: UP871 over the rate.
        """
        if rate is None or rate <= 0:
            return
        now = self._clock()
        most = rate * 10
        left, since = self._buckets.get(key, (most, now))
        left = min(most, left + (now - since) * rate)
        if left < min(events, most):
            raise too_fast(max(1, math.ceil((min(events, most) - left) / rate)))
        if len(self._buckets) >= _MOST_KEYS:
            self._buckets.clear()
        self._buckets[key] = (left - events, now)
