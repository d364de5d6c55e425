"""Aha search, user by user and cell by cell."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]


class Member(NamedTuple):
    """One user with a start: events in each exposure window, whether the outcome came, whether that can be known."""

    user: str
    start: Event
    early: list[list[Event]]
    reached: bool
    waiting: bool
    overlapping: bool

    def activity(self, window: int, *, active: Test, gap: int) -> int:
        """Events of the window that count as activity; with a gap, the sessions they make with the start."""
        counted = [e for e in self.early[window] if active(e)]
        if not gap:
            return len(counted)
        instants = sorted([self.start.time, *(e.time for e in counted)])
        return 1 + sum(b - a > gap for a, b in zip(instants, instants[1:], strict=False))


def members(
    events: Iterable[Event],
    *,
    start: Test,
    outcome: Test,
    windows: Sequence[int],
    after: int,
    until: int,
    times: int,
    horizon: int,
    range_start: int = -(2**62),
    range_stop: int = 2**62,
    edges: Sequence[int] = (),
) -> list[Member]:
    """Users whose first start lies in the range."""
    found = []
    for user, own in by_user(events).items():
        starts = [e for e in own if start(e)]
        if not starts or not range_start <= starts[0].time < range_stop:
            continue
        anchor = starts[0]
        if edges:
            day = max(i for i, edge in enumerate(edges) if edge <= anchor.time)
            lower = edges[day + after] if day + after < len(edges) else 2**63 - 1
            upper = edges[day + until] if day + until < len(edges) else 2**63 - 1
        else:
            lower, upper = anchor.time + after, anchor.time + until
        early = [[e for e in own if e is not anchor and 0 <= e.time - anchor.time < w] for w in windows]
        reached = sum(outcome(e) for e in own if lower <= e.time < upper) >= times
        waiting = upper > horizon
        found.append(Member(user, anchor, early, reached, waiting, not waiting and anchor.time + windows[-1] > lower))
    return found
