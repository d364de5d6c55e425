"""How often somebody may ask: token buckets, and the throttle against guessing passwords."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from upswing.core.i18n import text
from upswing.server.errors import TooManyError

_MOST_KEPT: Final = 100_000


class Buckets:
    """One token bucket per key: full at first, filled again at a steady rate.

    Args:
        burst: tokens of a full bucket.
        per_second: tokens that come back each second.
        clock: seconds, monotonic.

    Examples:
        >>> buckets = Buckets(burst=2, per_second=0.5, clock=lambda: 0.0)
        >>> [buckets.take("a") for _ in range(3)]  # seconds to wait; 0 = taken
        [0.0, 0.0, 2.0]
        >>> buckets.take("b")
        0.0
    """

    def __init__(self, *, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.burst, self.per_second = burst, per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, tokens: float = 1) -> float:
        """Take tokens, if there are enough.

        Returns:
            0 when they were taken; else the seconds until there will be enough.
        """
        with self._lock:
            left, moment = self._left(key)
            if left < tokens:
                return (tokens - left) / self.per_second
            self._keep(key, left - tokens, moment)
            return 0.0

    def give_back(self, key: str, tokens: float = 1) -> None:
        """Undo a `take`."""
        with self._lock:
            left, moment = self._left(key)
            self._keep(key, min(self.burst, left + tokens), moment)

    def _left(self, key: str) -> tuple[float, float]:
        moment = self._clock()
        left, since = self._kept.get(key, (self.burst, moment))
        return min(self.burst, left + (moment - since) * self.per_second), moment

    def _keep(self, key: str, left: float, moment: float) -> None:
        self._kept[key] = (left, moment)
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:  # bounded memory; the longest unused are the fullest
            self._kept.popitem(last=False)


class KeyRates:
    """Requests per second by key, each key at its own rate with a burst of ten seconds' worth.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_rate: dict[int, Buckets] = {}

    def take(self, key: str, per_second: int) -> None:
        """Count one request.

        Raises:
            TooManyError: UP811 over the rate; ``Retry-After`` says when to come again.
        """
        buckets = self._by_rate.get(per_second)
        if buckets is None:
            buckets = Buckets(burst=10 * per_second, per_second=per_second, clock=self._clock)
            buckets = self._by_rate.setdefault(per_second, buckets)
        wait = buckets.take(key)
        if wait:
            raise TooManyError(text("this key asks more often than it may"), code="UP811", retry_after=wait)


class Guessing:
    """Keeps passwords from being guessed: failures are counted by account and address together, by account from
    anywhere, and by address whatever the account.

    The three together bound guessing. Many addresses can use up what an account has from anywhere; a network from which
    its owner has signed in since the server started does not count there, so that they are not locked out. Only so many
    passwords are hashed at once, for each takes 64 MiB.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pair = Buckets(burst=5, per_second=1 / 60, clock=clock)
        self._account = Buckets(burst=50, per_second=1 / 60, clock=clock)
        self._address = Buckets(burst=30, per_second=1 / 20, clock=clock)
        self._hashing = threading.Semaphore(2)
        self._known: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def attempt(self, account: str, address: str) -> Iterator[Callable[[], None]]:
        """Count an attempt; the yielded function says that it was right, which makes it uncounted.

        Raises:
            TooManyError: UP812 too many were wrong.
        """
        net, account = _network(address), account.strip().lower()[:320]
        taken: list[tuple[Buckets, str]] = []
        pair = f"{account} {net}"
        wanted = [(self._pair, pair), (self._address, net)]
        if pair not in self._known:
            wanted.append((self._account, account))

        def uncount() -> None:
            for buckets, key in taken:
                buckets.give_back(key)
            taken.clear()

        def right() -> None:
            uncount()
            self._known[pair] = None
            if len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)

        for buckets, key in wanted:
            wait = buckets.take(key)
            if wait:
                uncount()
                raise TooManyError(text("too many attempts to sign in"), code="UP812", retry_after=wait)
            taken.append((buckets, key))
        if not self._hashing.acquire(timeout=10):
            uncount()
            raise TooManyError(text("too many attempts to sign in"), code="UP812", retry_after=2)
        try:
            yield right
        finally:
            self._hashing.release()


def _network(address: str) -> str:
    """What one subscriber has: an IPv4 address, or 64 bits of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
