"""Time from one event to the next of another kind."""

from collections.abc import Callable, Iterable

from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]


def intervals(events: Iterable[Event], *, first: Test, then: Test, longest: int | None = None) -> list[int]:
    """Times (µs, sorted) from each ``first`` to the nearest later ``then``, no other ``first`` between.

    With the same test twice: gaps between neighbours. Ties follow stored order. Gaps above ``longest`` are left out.
    """
    gaps = []
    for log in by_user(events).values():
        opened: int | None = None
        for event in log:
            if then(event) and opened is not None:
                gaps.append(event.time - opened)
                opened = None
            if first(event):
                opened = event.time
    return sorted(g for g in gaps if longest is None or g <= longest)
