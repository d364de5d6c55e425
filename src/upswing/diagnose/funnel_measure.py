"""From chains to numbers: counts, rates, times, the curve of conversion over time, and rows by period of entry."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.calendar import Calendar
from upswing.core.units import DAY, HOUR, MINUTE, SECOND, Period
from upswing.diagnose.funnel_result import Bin, CurvePoint, FunnelStep, Target, TrendRow
from upswing.sequences.batch import workers
from upswing.sequences.funnel import Chains, step_times
from upswing.sequences.ranks import order_statistics
from upswing.spec.funnel import FunnelDefinition
from upswing.spec.steps import Step
from upswing.stats.proportions import wilson_interval
from upswing.stats.survival import kaplan_meier

Times = NDArray[np.int64]
_WIDTHS: Final = (
    SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
)  # fmt: skip
_SHARES: Final = (0.25, 0.5, 0.75, 0.9)
_BINS: Final = 24
_POINTS: Final = 60
_EXACT: Final = 200_000


def measure_steps(definition: FunnelDefinition, chains: Chains, horizon: int) -> tuple[FunnelStep, ...]:
    """Counts, rates and times of every step.

    Args:
        definition: the funnel.
        chains: the chosen chains.
        horizon: time of the last trusted event, µs.
    """
    mature = chains.entry + definition.window.microseconds <= horizon
    found: list[FunnelStep] = []
    anchor = 0  # the last step that cannot be skipped
    entered = len(chains)
    with workers() as pool:
        spreads = list(pool.map(partial(_spread, definition, chains), range(len(definition.steps))))
    for k, step in enumerate(definition.steps):
        reached = reaches(definition, chains, k + 1)
        users = int(np.count_nonzero(reached))
        ripe = int(np.count_nonzero(reached & mature)) if users else 0
        before = found[anchor] if k else None
        quantiles, middle = spreads[k]
        passed = users / before.users if before and before.users else (1.0 if before is None else None)
        interval = wilson_interval(users, before.users) if before and before.users else None
        found.append(
            FunnelStep(
                name=_name(definition, step, k),
                users=users,
                rate_from_entry=users / entered if entered else None,
                rate_from_previous=passed if entered or k else 1.0,
                lower=float(interval.lower) if interval else None,
                upper=float(interval.upper) if interval else None,
                median_seconds=quantiles[1],
                median_seconds_from_previous=middle,
                p25_seconds=quantiles[0],
                p75_seconds=quantiles[2],
                p90_seconds=quantiles[3],
                mature_users=ripe,
                optional=step.optional,
                target=_target(step, users=ripe, before=before.mature_users if before else 0),
            )
        )
        if not step.optional or definition.order == "any":
            anchor = k
    return tuple(found)


def reaches(definition: FunnelDefinition, chains: Chains, step: int) -> NDArray[np.bool_]:
    """Which chains count at a step (1-based): those as deep as it; at an optional step those that took it."""
    if definition.steps[step - 1].optional:
        return chains.elapsed[:, step - 1] >= 0
    return chains.depth >= step


def measure_histogram(definition: FunnelDefinition, chains: Chains) -> tuple[Bin, ...]:
    """Converted users by time from entry to the last step, in at most `_BINS` bins of a round width."""
    done = chains.elapsed[chains.depth == len(definition.steps), -1]
    if len(done) == 0:
        return ()
    longest = int(done.max())
    width = next((w for w in _WIDTHS if longest < w * _BINS), -(-longest // _BINS))
    counts = np.bincount(done // width)
    return tuple(
        Bin(from_seconds=i * width / SECOND, to_seconds=(i + 1) * width / SECOND, users=int(n))
        for i, n in enumerate(counts)
    )


def measure_curve(definition: FunnelDefinition, chains: Chains, horizon: int) -> tuple[CurvePoint, ...]:
    """Share converted by time since entry, users without the last step counted as long as they could be watched.

    Kaplan–Meier with the log(-log) interval; users who did not convert are censored at their window's end or at the
    horizon, whichever is first.
    """
    if len(chains) == 0:
        return ()
    window = definition.window.microseconds
    complete = chains.depth == len(definition.steps)
    watched = np.minimum(window, np.maximum(0, horizon - chains.entry[~complete]))
    full = int(np.count_nonzero(watched == window))
    shorter, done = watched[watched < window], chains.elapsed[complete, -1]
    if len(done) + len(shorter) > _EXACT:  # finer than anyone can see, and far fewer distinct times to sort
        grain = max(1, window // 20_000)
        done, shorter = done // grain * grain, shorter // grain * grain
    times, events, weights = _tally(done, shorter, window, full)
    curve = kaplan_meier(times / SECOND, events, weights=weights)
    grid = np.unique(np.linspace(0, window, _POINTS + 1).astype(np.int64))
    at = curve.at(grid / SECOND)
    points = zip(grid, np.atleast_1d(at.estimate), np.atleast_1d(at.lower), np.atleast_1d(at.upper), strict=True)
    return tuple(
        CurvePoint(seconds=float(t) / SECOND, rate=_flip(s), lower=_flip(hi), upper=_flip(lo))
        for t, s, lo, hi in points
    )


def period_rows(
    calendar: Calendar, definition: FunnelDefinition, chains: Chains, period: Period
) -> tuple[TrendRow, ...]:
    """Users at each step by period of entry; a user counts once in every period with an entry of theirs."""
    if len(chains) == 0:
        return ()
    starts = [calendar.floor(int(t), period) for t in _first_entries(chains)]
    rows = []
    for p, start in zip(np.unique(chains.period), starts, strict=True):
        mine = chains.pick(chains.period == p)
        users = tuple(int(np.count_nonzero(reaches(definition, mine, k + 1))) for k in range(len(definition.steps)))
        rate = users[-1] / users[0] if users[0] else None
        interval = wilson_interval(users[-1], users[0])
        rows.append(TrendRow(calendar.label(start, period), users, rate, float(interval.lower), float(interval.upper)))
    return tuple(rows)


def _first_entries(chains: Chains) -> Times:
    order = np.argsort(chains.period, kind="stable")
    _, first = np.unique(chains.period[order], return_index=True)
    return chains.entry[order][first]


def _spread(definition: FunnelDefinition, chains: Chains, k: int) -> tuple[list[float | None], float | None]:
    """Quartiles and the 90 % point of the time from entry to a step, and the median time from the step before."""
    if k == 0:
        return [None] * len(_SHARES), None
    since, previous = step_times(chains, reaches(definition, chains, k + 1), k)
    return _quantiles(since, _SHARES), _quantiles(previous, (0.5,))[0]


def _quantiles(times: Times, shares: tuple[float, ...]) -> list[float | None]:
    """Quantiles in seconds, by linear interpolation (Hyndman, Fan 1996, type 7); None without times."""
    n = len(times)
    if n == 0:
        return [None] * len(shares)
    places = [(n - 1) * s for s in shares]
    needed = sorted({j for p in places for j in (int(p), min(n - 1, int(p) + 1))})
    ordered = dict(zip(needed, order_statistics(times, needed), strict=True))
    found: list[float | None] = []
    for place in places:
        low, high = ordered[int(place)], ordered[min(n - 1, int(place) + 1)]
        found.append(float(low + (high - low) * (place - int(place))) / SECOND)
    return found


def _tally(done: Times, shorter: Times, window: int, full: int) -> tuple[Times, NDArray[np.bool_], NDArray[np.float64]]:
    """Distinct times with the number of users at each: converted, watched for less than the window, for all of it."""
    times, weights = zip(*(np.unique(t, return_counts=True) for t in (done, shorter)), strict=True)
    events = np.concatenate([np.ones(len(times[0]), np.bool_), np.zeros(len(times[1]) + 1, np.bool_)])
    every = np.concatenate([*times, [window]])
    many = np.concatenate([*weights, [full]]).astype(np.float64)
    kept = many > 0
    return every[kept], events[kept], many[kept]


def _flip(share: float) -> float | None:
    return None if np.isnan(share) else float(1 - share)


def _name(definition: FunnelDefinition, step: Step, k: int) -> str:
    return step.shown if definition.order != "any" else str(k + 1)


def _target(step: Step, *, users: int, before: int) -> Target | None:
    return None if step.target is None else Target.judge(step.target, users, before)
