"""A number over time: what was to be expected today, whether something changed, and how good an alarm is.

All baselines are causal: the expectation for a day uses only days before it, so it can be watched live and judged on
the past without knowing the future.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import stats as distributions

from upswing.stats._arrays import FloatArray, divide, floats, fraction, vector
from upswing.stats.errors import NOT_ENOUGH_DATA, OK, ZERO_VARIANCE, InvalidInput, ShapeMismatch

MAD_TO_SIGMA = 1.4826022185056018


@dataclass(frozen=True, slots=True)
class Baseline:
    """Expectation for each moment from the moments before it.

    Attributes:
        expected: shape (n_times,), NaN where the past is too short.
        lower: lower limit for a single value.
        upper: upper limit.
        score: (value - expected) / scale, in robust standard deviations; NaN where unknown.
        confidence: nominal coverage of single values.
        window: moments the expectation looked back.
        method: "seasonal_median".
        status: per moment: "ok", "not_enough_data" (too short a past, or a holiday not seen before) or
            "zero_variance" (the past never varied: the score is NaN, the expectation stands).
    """

    expected: FloatArray
    lower: FloatArray
    upper: FloatArray
    score: FloatArray
    confidence: float
    window: int
    method: str
    status: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A series taken apart; trend + seasonal + remainder gives it back.

    Attributes:
        trend: centred running median over whole periods, NaN at the edges.
        seasonal: repeating part, summing to about 0 over a period.
        remainder: what is left, NaN where the trend is.
        strength: share of the detrended variation that is seasonal, in [0, 1] (Wang, Smith, Hyndman 2006).
        method: "median_decomposition".
        status: "ok", or "not_enough_data" (less than two periods).
    """

    trend: FloatArray
    seasonal: FloatArray
    remainder: FloatArray
    strength: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class ChangePoints:
    """Where the level of a series jumped.

    Attributes:
        indices: first moment of each new segment, ascending; empty when nothing changed.
        levels: mean of each segment, one more than indices.
        scale: noise the jumps were measured against.
        penalty: price of one more change point.
        method: "pelt_mean".
        status: "ok", "not_enough_data" or "zero_variance" (no noise: any difference is a change, none is reported).
    """

    indices: NDArray[np.intp]
    levels: FloatArray
    scale: float
    penalty: float
    method: str
    status: str


@dataclass(frozen=True, slots=True)
class ControlChart:
    """A running statistic and where it left its limits; shapes as the input's.

    Attributes:
        high: statistic that rises with an upward shift.
        low: statistic that rises with a downward shift (CUSUM), or the same average (EWMA).
        limit: what the statistic is held against.
        alarm: True where the limit is crossed.
        first_alarm: index of the first alarm, -1 when there is none.
        method: "cusum" or "ewma".
    """

    high: FloatArray
    low: FloatArray
    limit: FloatArray
    alarm: NDArray[np.bool_]
    first_alarm: NDArray[np.intp]
    method: str


@dataclass(frozen=True, slots=True)
class NabProfile:
    """Prices of the Numenta benchmark: a hit earns 1 scaled by earliness.

    Attributes:
        false_positive: price of an alarm outside windows.
        false_negative: price of a missed window.
        true_positive: worth of a window found at its first moment.
    """

    false_positive: float
    false_negative: float
    true_positive: float = 1.0


NAB_STANDARD = NabProfile(0.11, 1.0)
NAB_LOW_FALSE_POSITIVES = NabProfile(0.22, 1.0)
NAB_LOW_FALSE_NEGATIVES = NabProfile(0.11, 2.0)


@dataclass(frozen=True, slots=True)
class NabScore:
    """Score of alarms on one series or, added up, on many.

    Attributes:
        raw: sum of what alarms earned and cost.
        perfect: raw score if every window were found at once and nothing else raised.
        null: raw score without any alarm.
        normalised: 100 * (raw - null) / (perfect - null); NaN without windows.
        found: windows with an alarm.
        windows: windows in all.
        method: "nab".
    """

    raw: float
    perfect: float
    null: float
    normalised: float
    found: int
    windows: int
    method: str

    def __add__(self, other: NabScore) -> NabScore:
        """Add the scores of two series; the normalised score is that of the sum."""
        raw, perfect, null = self.raw + other.raw, self.perfect + other.perfect, self.null + other.null
        share = 100 * (raw - null) / (perfect - null) if perfect > null else np.nan
        return NabScore(raw, perfect, null, share, self.found + other.found, self.windows + other.windows, "nab")


def seasonal_baseline(
    values: ArrayLike,
    *,
    period: int = 7,
    cycles: int = 6,
    holidays: Sequence[str | None] | None = None,
    confidence: float = 0.99,
) -> Baseline:
    """Expect each moment from the same weekday (or hour) and the recent level, robustly.

    The level is the median of the last period after its seasonal part; the seasonal part is the median over `cycles`
    past periods of the difference from each period's own median. The scale is the median size of the misses these
    expectations made so far, so the interval knows how well they do on this very series; it needs two periods of
    them. Up to half of the past may be wild without moving any of it. Days that carry a holiday's name are left out
    of the past; they are expected as an ordinary day plus what earlier days of that name differed by.

    Args:
        values: shape (n_times,), evenly spaced; NaN where nothing was measured.
        period: moments per season: 7 for days of a week.
        cycles: past periods to look at, at least 3.
        holidays: name per moment, or None on ordinary days.
        confidence: nominal coverage of a single value.

    Raises:
        InvalidInput: a period below 2 or fewer than 3 cycles.
        ShapeMismatch: holidays of another length.

    Examples:
        >>> week = [10.0, 12, 11, 13, 15, 20, 18]
        >>> result = seasonal_baseline(week * 8)
        >>> result.expected[-7:].tolist()
        [10.0, 12.0, 11.0, 13.0, 15.0, 20.0, 18.0]
    """
    fraction("confidence", confidence)
    if period < 2 or cycles < 3:
        raise InvalidInput("period must be at least 2 and cycles at least 3")
    y = vector("values", values, nan=True)
    names = [None] * y.size if holidays is None else list(holidays)
    if len(names) != y.size:
        raise ShapeMismatch(f"holidays has {len(names)} entries, values {y.size}")
    window = period * cycles
    special = np.array([name is not None for name in names], dtype=np.bool_)
    ordinary = np.where(special, np.nan, y)
    expected = np.full(y.size, np.nan)
    if y.size > window:
        blocks = sliding_window_view(ordinary, window)[:-1].reshape(-1, cycles, period)
        expected[window:] = _expect(blocks)
    scale, misses = _past_misses(ordinary - expected, window)
    _expect_holidays(y, names, expected)
    known = ~np.isnan(expected) & (misses >= 2 * period)
    scale = np.where(known, scale, np.nan)
    # A median absolute deviation knows as much as a standard deviation of 37 % as many values.
    reach = distributions.t.ppf((1 + confidence) / 2, np.maximum(0.37 * misses, 2))
    score = np.where(scale > 0, divide(y - expected, scale), np.nan)
    status = np.where(known, np.where(scale > 0, OK, ZERO_VARIANCE), NOT_ENOUGH_DATA)
    lower, upper = expected - reach * scale, expected + reach * scale
    return Baseline(expected, lower, upper, score, confidence, window, "seasonal_median", status)


def decompose(values: ArrayLike, *, period: int = 7) -> Decomposition:
    """Take a series apart into trend, seasonal part and remainder, robustly.

    Args:
        values: shape (n_times,), evenly spaced, no NaN.
        period: moments per season, at least 2.

    Examples:
        >>> parts = decompose([1.0, 3, 2] * 5, period=3)
        >>> parts.seasonal[:3].tolist(), float(np.nanmax(abs(parts.remainder)))
        ([-1.0, 1.0, 0.0], 0.0)
    """
    if period < 2:
        raise InvalidInput("period must be at least 2")
    y = vector("values", values)
    nothing = np.full(y.size, np.nan)
    if y.size < 2 * period:
        return Decomposition(nothing, nothing, nothing, np.nan, "median_decomposition", NOT_ENOUGH_DATA)
    width = period if period % 2 else period + 1
    half = width // 2
    trend = nothing.copy()
    seasonal = np.zeros(y.size)
    phase = np.arange(y.size) % period
    for _ in range(3):
        trend[half : y.size - half] = np.median(sliding_window_view(y - seasonal, width), axis=1)
        part = np.array([np.nanmedian((y - trend)[phase == p]) for p in range(period)])
        seasonal = (part - part.mean())[phase]
    remainder = y - trend - seasonal
    spread = float(np.nanvar(remainder + seasonal))
    strength = max(0.0, 1 - float(np.nanvar(remainder)) / spread) if spread > 0 else 0.0
    return Decomposition(trend, seasonal, remainder, strength, "median_decomposition", OK)


def change_points(
    values: ArrayLike, *, penalty: float | None = None, min_size: int = 2, scale: float | None = None
) -> ChangePoints:
    """Find the jumps in level that together explain a series best, exactly.

    Minimises the squared deviations from segment means, in units of the noise, plus a penalty per jump. Take the
    season out first. Autocorrelated noise looks like jumps: raise the penalty for it.

    Args:
        values: shape (n_times,), no NaN.
        penalty: price of a jump; 3 log n if missing.
        min_size: moments a segment must hold.
        scale: standard deviation of the noise; estimated from the differences of neighbours if missing.

    References:
        Killick, Fearnhead, Eckley (2012), JASA 107: Optimal detection of changepoints with a linear cost (PELT).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> change_points(np.concatenate([rng.normal(0, 1, 50), rng.normal(4, 1, 50)])).indices.tolist()
        [50]
    """
    y = vector("values", values)
    if min_size < 1 or (penalty is not None and penalty < 0) or (scale is not None and scale <= 0):
        raise InvalidInput("min_size must be at least 1, penalty at least 0 and scale above 0")
    price = 3 * np.log(max(y.size, 2)) if penalty is None else float(penalty)
    whole = np.array([y.mean()]) if y.size else np.empty(0)
    none = np.empty(0, dtype=np.intp)
    if y.size < 2 * min_size:
        return ChangePoints(none, whole, np.nan, price, "pelt_mean", NOT_ENOUGH_DATA)
    noise = _noise(y) if scale is None else float(scale)
    if noise == 0:
        return ChangePoints(none, whole, 0.0, price, "pelt_mean", ZERO_VARIANCE)
    cuts = _pelt((y - y.mean()) / noise, price, min_size)
    levels = np.array([segment.mean() for segment in np.split(y, cuts)])
    return ChangePoints(cuts, levels, noise, price, "pelt_mean", OK)


def cusum(values: ArrayLike, *, target: float, scale: float, slack: float = 0.5, limit: float = 5.0) -> ControlChart:
    """Add up deviations beyond a slack; alarm when the sum passes a limit. Best for small lasting shifts.

    With the defaults a false alarm comes every 465 moments on average, and a shift of one standard deviation is seen
    after 10.4 (Montgomery, Introduction to Statistical Quality Control, table 9.3).

    Args:
        values: shape (n_times,) or (n_series, n_times).
        target: level in control.
        scale: standard deviation in control.
        slack: half the shift to detect, in standard deviations.
        limit: in standard deviations.

    References:
        Page (1954), Biometrika 41.

    Examples:
        >>> cusum([0, 0, 3, 3, 3], target=0, scale=1).first_alarm.item()
        4
    """
    z = _standard(values, target, scale)
    high, low = np.zeros_like(z), np.zeros_like(z)
    up, down = np.zeros(z.shape[:-1]), np.zeros(z.shape[:-1])
    for t in range(z.shape[-1]):
        up = np.maximum(0, up + z[..., t] - slack)
        down = np.maximum(0, down - z[..., t] - slack)
        high[..., t], low[..., t] = up, down
    alarm = (high > limit) | (low > limit)
    return ControlChart(high, low, np.full(z.shape[-1], limit), alarm, _first(alarm), "cusum")


def ewma(values: ArrayLike, *, target: float, scale: float, memory: float = 0.1, limit: float = 2.814) -> ControlChart:
    """Average with fading memory; alarm when it leaves limits that widen to their steady width.

    With the defaults a false alarm comes about every 500 moments (Lucas, Saccucci 1990, table 3).

    Args:
        values: shape (n_times,) or (n_series, n_times).
        target: level in control.
        scale: standard deviation in control.
        memory: weight of the newest value, in (0, 1].
        limit: in standard deviations of the average.

    References:
        Roberts (1959), Technometrics 1; Lucas, Saccucci (1990), Technometrics 32.

    Examples:
        >>> bool(ewma([0, 0, 3, 3, 3], target=0, scale=1).alarm[-1])
        True
    """
    if not 0 < memory <= 1:
        raise InvalidInput(f"memory is {memory:g}, it must lie in (0, 1]")
    z = _standard(values, target, scale)
    average, now = np.zeros_like(z), np.zeros(z.shape[:-1])
    for t in range(z.shape[-1]):
        now = (1 - memory) * now + memory * z[..., t]
        average[..., t] = now
    seen = np.arange(1, z.shape[-1] + 1)
    bound = limit * np.sqrt(memory / (2 - memory) * (1 - (1 - memory) ** (2 * seen)))
    alarm = np.abs(average) > bound
    return ControlChart(average, average, bound, alarm, _first(alarm), "ewma")


def nab_score(
    alarms: ArrayLike,
    windows: Sequence[tuple[int, int]],
    *,
    n: int,
    profile: NabProfile = NAB_STANDARD,
    probation: float = 0.15,
) -> NabScore:
    """Score alarms on one series against labelled windows, as the Numenta Anomaly Benchmark does.

    The first alarm in a window earns more the earlier it comes; an alarm outside costs more the farther it lies
    behind the last window; a window without an alarm costs `false_negative`.

    Args:
        alarms: indices of alarms.
        windows: first and last index of each labelled window, ascending and disjoint.
        n: moments in the series.
        profile: prices.
        probation: share of the series (of at most 5 000 moments) at its start in which nothing counts.

    Raises:
        InvalidInput: indices outside the series, windows that overlap.

    References:
        Lavin, Ahmad (2015), ICMLA: Evaluating real-time anomaly detection algorithms; NAB, sweeper.py.

    Examples:
        >>> nab_score([400, 800], [(400, 419), (800, 819)], n=1000).raw
        2.0
    """
    index = np.unique(floats("alarms", alarms, at_least=0))
    edges = [edge for window in windows for edge in window]
    if edges != sorted(edges) or len(set(map(tuple, windows))) != len(windows):
        raise InvalidInput("windows must be ascending and disjoint, each as (first, last)")
    if max([*index.tolist(), *edges], default=0) >= n:
        raise InvalidInput("an index lies outside the series")
    index = index[index >= min(int(probation * n), int(probation * 5000))]
    raw, found = 0.0, 0
    for first, last in windows:
        inside = index[(index >= first) & (index <= last)]
        if inside.size:
            width = last - first + 1
            raw += profile.true_positive * _sigmoid(-(last - inside[0] + 1) / width) / _sigmoid(-1.0)
            found += 1
        else:
            raw -= profile.false_negative
    outside = [i for i in index.tolist() if not any(first <= i <= last for first, last in windows)]
    raw += profile.false_positive * sum(_outside(i, windows) for i in outside)
    score = NabScore(
        raw,
        profile.true_positive * len(windows),
        -profile.false_negative * len(windows),
        0.0,
        found,
        len(windows),
        "nab",
    )
    return score + NabScore(0.0, 0.0, 0.0, 0.0, 0, 0, "nab")


def _expect(blocks: FloatArray) -> FloatArray:
    """Expectation for the moment after each block of shape (cycles, period)."""
    centre = _median(blocks, (2,))
    seasonal = _median(blocks - centre[:, :, None], (1,))
    level = _median(blocks[:, -1, :] - seasonal, (1,))
    return level + seasonal[:, 0]


def _past_misses(miss: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Scale of the misses of the `window` moments before each moment, and how many there were."""
    past = sliding_window_view(np.concatenate([np.full(window, np.nan), miss]), window)[:-1]
    return MAD_TO_SIGMA * _median(np.abs(past), (1,)), (~np.isnan(past)).sum(axis=1).astype(np.float64)


def _median(values: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Median without NaN, and without a warning where there is nothing but NaN."""
    moved = np.moveaxis(values, axes, range(-len(axes), 0))
    flat = np.sort(moved.reshape(*moved.shape[: -len(axes)], -1), axis=-1)
    count = (~np.isnan(flat)).sum(axis=-1)
    low = np.take_along_axis(flat, np.maximum((count - 1) // 2, 0)[..., None], -1)[..., 0]
    high = np.take_along_axis(flat, np.minimum(count // 2, flat.shape[-1] - 1)[..., None], -1)[..., 0]
    return np.where(count > 0, np.where(count % 2 == 1, low, (low + high) / 2), np.nan)


def _expect_holidays(y: FloatArray, names: Sequence[str | None], expected: FloatArray) -> None:
    """Add to the ordinary expectation what earlier days of the same name differed by."""
    seen: dict[str, list[float]] = {}
    for t, name in enumerate(names):
        if name is None:
            continue
        past = seen.setdefault(name, [])
        plain_day = expected[t]
        expected[t] = plain_day + float(np.median(past)) if past else np.nan
        if not np.isnan(y[t] - plain_day):
            past.append(float(y[t] - plain_day))


def _noise(y: FloatArray) -> float:
    # Neighbours differ by noise alone except at the few jumps: those are cut off at four robust deviations.
    step = np.diff(y)
    centred = np.abs(step - np.median(step))
    robust = MAD_TO_SIGMA * float(np.median(centred))
    kept = step[centred <= 4 * robust] if robust > 0 else step
    return float(kept.std() / np.sqrt(2))


def _pelt(z: FloatArray, penalty: float, min_size: int) -> NDArray[np.intp]:
    n = z.size
    total, square = np.append(0.0, z.cumsum()), np.append(0.0, (z**2).cumsum())
    best, previous = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=np.intp)
    best[0] = -penalty
    starts, expiry = np.array([0], dtype=np.intp), np.full(n + 1, n + 1)
    for end in range(min_size, n + 1):
        length = end - starts
        cost = best[starts] + square[end] - square[starts] - (total[end] - total[starts]) ** 2 / length
        chosen = int(cost.argmin())
        best[end], previous[end] = cost[chosen] + penalty, starts[chosen]
        # A start dearer than the optimum loses to a change at `end`, from when a segment may start there on.
        losing = starts[cost > best[end]]
        expiry[losing] = np.minimum(expiry[losing], end + min_size)
        starts = starts[expiry[starts] > end + 1]
        if end + 1 >= 2 * min_size:
            starts = np.append(starts, end + 1 - min_size)
    cuts, here = [], n
    while previous[here] > 0:
        here = int(previous[here])
        cuts.append(here)
    return np.array(cuts[::-1], dtype=np.intp)


def _standard(values: ArrayLike, target: float, scale: float) -> FloatArray:
    if not scale > 0:
        raise InvalidInput(f"scale is {scale:g}, it must be above 0")
    return np.atleast_1d(floats("values", values) - target) / scale


def _first(alarm: NDArray[np.bool_]) -> NDArray[np.intp]:
    return np.asarray(np.where(alarm.any(axis=-1), alarm.argmax(axis=-1), -1), dtype=np.intp)


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3 else float(2 / (1 + np.exp(5 * position)) - 1)


def _outside(index: float, windows: Sequence[tuple[int, int]]) -> float:
    before = [window for window in windows if window[1] < index]
    if not before:
        return -1.0
    first, last = before[-1]
    return _sigmoid((index - last) / max(last - first, 1))
