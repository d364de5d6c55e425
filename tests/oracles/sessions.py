"""Sessions by idle gap."""

from collections.abc import Iterable

from tests.oracles.event import MINUTE, Event, by_user


def sessions(events: Iterable[Event], idle: int = 30 * MINUTE) -> dict[int, tuple[str, int]]:
    """(user, session number from 0) of every row: a new session begins when the gap is longer than ``idle``."""
    number_of: dict[int, tuple[str, int]] = {}
    for user, log in by_user(events).items():
        number = 0
        for i, event in enumerate(log):
            if i and event.time - log[i - 1].time > idle:
                number += 1
            number_of[event.row] = (user, number)
    return number_of
