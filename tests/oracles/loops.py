"""Loops, attempt by attempt."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]


class Attempt(NamedTuple):
    """One walk through the steps: instants of the steps it reached, and of the first step after a closed loop, if any.

    ``before`` is how many loops its user had closed.
    """

    user: str
    before: int
    instants: list[int]
    back: int | None


def attempts(
    events: Iterable[Event], *, steps: Sequence[Test], windows: Sequence[int], start: int, stop: int
) -> list[Attempt]:
    """All attempts of all users, in order."""
    found = []
    for user, own in by_user(events).items():
        position, free_from, closed = 0, start, 0
        while True:
            firsts = [i for i in range(position, len(own)) if steps[0](own[i]) and free_from <= own[i].time < stop]
            if not firsts:
                break
            reached = [firsts[0]]
            for step, window in zip(steps[1:], windows, strict=False):
                since = own[reached[-1]].time
                later = range(reached[-1] + 1, len(own))
                nexts = [i for i in later if step(own[i]) and own[i].time - since < window]
                if not nexts:
                    break
                reached.append(nexts[0])
            instants = [own[i].time for i in reached]
            whole = len(reached) == len(steps)
            again = [e.time for e in own[reached[-1] + 1 :] if steps[0](e)]
            found.append(Attempt(user, closed, instants, again[0] if whole and again else None))
            closed += whole
            position = reached[-1] + 1
            free_from = start if whole else instants[-1] + windows[len(reached) - 1]
    return found
