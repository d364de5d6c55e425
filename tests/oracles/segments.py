"""Segments: who did what how often, and quintiles of recency, frequency and amount."""

from collections.abc import Callable, Iterable

from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]


def did(
    events: Iterable[Event],
    test: Test,
    *,
    at_least: int = 1,
    at_most: int | None = None,
    start: int = -(2**62),
    stop: int = 2**62,
) -> set[str]:
    """Users with between ``at_least`` and ``at_most`` matching events in [start, stop); 0 needs any event at all."""
    chosen = set()
    for user, log in by_user(events).items():
        times = sum(test(e) and start <= e.time < stop for e in log)
        if times >= at_least and (at_most is None or times <= at_most):
            chosen.add(user)
    return chosen


def did_not(events: Iterable[Event], test: Test, *, start: int = -(2**62), stop: int = 2**62) -> set[str]:
    """Users of the log without a matching event in [start, stop)."""
    log = list(events)
    return {e.user for e in log} - did(log, test, start=start, stop=stop)


def rfm(
    events: Iterable[Event], *, purchase: Test, amount: Callable[[Event], float], now: int
) -> dict[str, tuple[int, int, float]]:
    """Recency (µs before ``now`` of the last purchase), number of purchases, and their total amount, per buyer."""
    values: dict[str, tuple[int, int, float]] = {}
    for user, log in by_user(events).items():
        own = [e for e in log if purchase(e) and e.time <= now]
        if own:
            values[user] = (now - own[-1].time, len(own), float(sum(amount(e) for e in own)))
    return values


def quintile(values: dict[str, float], *, high_is_good: bool = True) -> dict[str, int]:
    """Score 1 to 5 by the share of users whose value is worse: equal values always share a score."""
    sign = 1 if high_is_good else -1
    scores = {}
    for user, value in values.items():
        worse = sum(sign * other < sign * value for other in values.values())
        scores[user] = 1 + 5 * worse // len(values)
    return scores
