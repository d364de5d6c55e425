"""Distribution: users by how often, on how many days, or with what total they did something in a period."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tests.oracles.calendar import local_date, period_start
from tests.oracles.event import Event, by_user


def distribution(
    events: Iterable[Event],
    *,
    test: Callable[[Event], bool],
    period: str,
    measure: str = "count",
    amount: Callable[[Event], float | None] | None = None,
    bands: Sequence[float] = (1, 2, 3, 5, 10),
    zone: str = "UTC",
    week_start: str = "monday",
) -> dict[int, dict[int, int]]:
    """Per period: users in band i, where band i holds values in [bands[i], bands[i+1]) and −1 those below the first.

    ``measure`` is count, days (distinct local days) or sum (of ``amount``, nulls left out; users with none absent).
    """
    result: dict[int, Counter[int]] = {}
    for log in by_user(events).values():
        mine: dict[int, list[Event]] = {}
        for event in filter(test, log):
            mine.setdefault(period_start(event.time, period, zone, week_start), []).append(event)
        for start, own in mine.items():
            if measure == "sum":
                amounts = [a for a in map(amount or (lambda e: None), own) if a is not None]
                if not amounts:
                    continue
                value: float = sum(amounts)
            else:
                value = len(own) if measure == "count" else len({local_date(e.time, zone) for e in own})
            result.setdefault(start, Counter())[bisect_right(list(bands), value) - 1] += 1
    return {start: dict(counts) for start, counts in result.items()}
