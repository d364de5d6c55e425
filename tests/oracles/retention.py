"""Retention, user by user and cell by cell."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tests.oracles.calendar import ROLLING, later_period, period_start
from tests.oracles.event import Event, by_user

Test = Callable[[Event], bool]
Lag = int | tuple[int, int]


class Cell(NamedTuple):
    """Users retained of a cohort at a lag, whether all of them could be seen to the end of it, and how many could."""

    retained: int
    complete: bool
    observable: int


class RetentionTruth(NamedTuple):
    """Cohort sizes by the first instant of their period; a cell per cohort and lag; the pooled rate per lag."""

    sizes: dict[int, int]
    cells: dict[int, dict[Lag, Cell]]
    pooled: dict[Lag, float | None]

    def rows(self) -> list[list[int]]:
        """Retained users per cohort (in order of time) and lag."""
        return [[cell.retained for cell in self.cells[c].values()] for c in sorted(self.cells)]


def retention(
    events: Iterable[Event],
    *,
    start: Test,
    returns: Test,
    period: str,
    periods: int,
    zone: str = "UTC",
    week_start: str = "monday",
    rolling: bool = False,
    at: str | Sequence[tuple[int, int]] = "on",
    entry: str = "recurring",
    start_type: Test | None = None,
    range_start: int = -(2**62),
    range_stop: int = 2**62,
    min_count: int = 1,
    horizon: int | None = None,
) -> RetentionTruth:
    """Judge a retention matrix. ``start_type`` is the start test without property filters (first-ever only)."""
    log = list(events)
    end = horizon if horizon is not None else max((e.time for e in log), default=0)
    lags: list[Lag] = list(range(periods + 1)) if isinstance(at, str) else [tuple(b) for b in at]  # type: ignore[misc]
    members: dict[int, list[tuple[list[Event], int]]] = {}
    for own in by_user(log).values():
        for t0 in _starts(own, start, start_type or start, entry, (range_start, range_stop), period, zone, week_start):
            members.setdefault(period_start(t0, period, zone, week_start), []).append((own, t0))
    cells: dict[int, dict[Lag, Cell]] = {}
    for cohort in sorted(members):
        cells[cohort] = {}
        for lag in lags:
            kept = visible = 0
            for own, t0 in members[cohort]:
                bound = _clock(cohort, t0, period, zone, rolling)
                last = lag[1] if isinstance(lag, tuple) else lag
                visible += bound(last)[1] <= end
                kept += _retained([e.time for e in own if returns(e)], bound, lag, at, min_count, end)
            cells[cohort][lag] = Cell(kept, visible == len(members[cohort]), visible)
    sizes = {c: len(m) for c, m in members.items()}
    return RetentionTruth(sizes, cells, {lag: _pool(lag, sizes, cells) for lag in lags})


def _starts(
    own: Sequence[Event],
    start: Test,
    start_type: Test,
    entry: str,
    span: tuple[int, int],
    period: str,
    zone: str,
    week_start: str,
) -> list[int]:
    """Instants a user starts from: one per cohort the user belongs to."""
    if entry == "recurring":
        firsts: dict[int, int] = {}
        for event in own:
            if start(event) and span[0] <= event.time < span[1]:
                firsts.setdefault(period_start(event.time, period, zone, week_start), event.time)
        return list(firsts.values())
    kind = start if entry == "first-time" else start_type
    earliest = [e for e in own if kind(e)]
    # Several first-ever events at the same instant: it is enough that one of them passes the filters.
    first = [e for e in earliest if e.time == earliest[0].time and start(e)]
    return [first[0].time] if first and span[0] <= first[0].time < span[1] else []


def _clock(cohort: int, t0: int, period: str, zone: str, rolling: bool) -> Callable[[int], tuple[int, int]]:
    """Bounds [from, to) of lag k for one user."""
    if rolling:
        length = ROLLING[period]
        return lambda k: (t0 + k * length, t0 + (k + 1) * length)
    return lambda k: (later_period(cohort, k, period, zone), later_period(cohort, k + 1, period, zone))


def _retained(
    times: Sequence[int],
    bound: Callable[[int], tuple[int, int]],
    lag: Lag,
    at: str | Sequence[tuple[int, int]],
    min_count: int,
    end: int,
) -> bool:
    def returned(k: int) -> bool:
        a, b = bound(k)
        return sum(a <= t < b for t in times) >= min_count

    if isinstance(lag, tuple):
        return lag[0] == 0 or any(returned(k) for k in range(lag[0], lag[1] + 1))
    if lag == 0:
        return True
    if at == "on-or-before":
        return any(returned(k) for k in range(1, lag + 1))
    if at == "on-or-after":
        k, last = lag, max([end, *times])
        while bound(k)[0] <= last:
            if returned(k):
                return True
            k += 1
        return False
    return returned(lag)


def _pool(lag: Lag, sizes: dict[int, int], cells: dict[int, dict[Lag, Cell]]) -> float | None:
    ripe = [c for c in cells if cells[c][lag].complete]
    size = sum(sizes[c] for c in ripe)
    return sum(cells[c][lag].retained for c in ripe) / size if size else None
