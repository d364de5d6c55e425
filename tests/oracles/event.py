"""The event every oracle reads, and the few ways of laying a log out by user."""

from collections.abc import Iterable
from typing import Any, NamedTuple

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Event(NamedTuple):
    """One row of a log. ``time`` is microseconds since 1970 UTC, ``row`` the stored order."""

    user: str
    time: int
    row: int
    name: str
    props: dict[str, Any]


def by_user(events: Iterable[Event]) -> dict[str, list[Event]]:
    """The events of each user, in order of time, ties by stored order."""
    users: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: (e.time, e.row)):
        users.setdefault(event.user, []).append(event)
    return users
