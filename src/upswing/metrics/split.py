"""A change shared among segments, exactly, with the chance error of every share.

The shares are those of `upswing.stats.decomposition` (midpoint form of Kitagawa for rates, Shapley for totals). For a
total, a segment's own share is its actual change: volume is what growth alike everywhere would have brought it, mix what
it grew beyond that. Errors follow by the delta method from how much users differ: a window's sums have the variance of
sums over users who come independently (second moments per segment). Users in both windows are taken as independent,
which errs on the wide side. Seasons and trends are not chance and are not in the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.metrics.people import Parts
from upswing.stats.decomposition import rate_change, total_change

Floats = NDArray[np.float64]
Z95: Final = 1.959963984540054
MIN_SHARE: Final = 0.1
"""A segment that carries less of the change than this is not named as a cause."""
MOST_FOUND: Final = 3
MIN_USERS: Final = 30


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums and second moments over the users of each segment, shape (n_segments,) each."""

    users: Floats
    numerator: Floats
    denominator: Floats
    nn: Floats
    dd: Floats
    nd: Floats

    @classmethod
    def of(cls, parts: Parts, codes: NDArray[np.int64], n: int) -> Moments:
        """Add up the users of each segment.

        Args:
            parts: the metric user by user.
            codes: segment of each user, 0…n-1.
            n: number of segments.
        """
        top, bottom = parts.numerator, parts.denominator

        def added(weights: Floats | None) -> Floats:
            return np.asarray(np.bincount(codes, weights=weights, minlength=n), dtype=np.float64)

        return cls(
            added(None), added(top), added(bottom), added(top * top), added(bottom * bottom), added(top * bottom)
        )

    def joined(self, groups: NDArray[np.int64], n: int) -> Moments:
        """Segments put together into coarser ones."""

        def added(values: Floats) -> Floats:
            return np.asarray(np.bincount(groups, weights=values, minlength=n), dtype=np.float64)

        return Moments(
            added(self.users), added(self.numerator), added(self.denominator), added(self.nn), added(self.dd), added(self.nd)
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Split:
    """A change shared among segments and effects.

    Args:
        rate: effect of each segment's own rate, shape (n_segments,).
        mix: effect of its changed share of the users.
        volume: effect of the changed number of users, as if all had grown alike.
        total: rate + mix + volume.
        error: standard error of `total`.
        excess: what sets the segment apart from the others: its rate beyond theirs, and its mix.
        excess_error: standard error of `excess`.
        change: of the whole; the sum of `total`.
        change_error: standard error of `change`.
        effect_errors: standard errors of the sums of rate, mix and volume.
        known: False where a window has no denominator, so that nothing can be shared.
    """

    rate: Floats
    mix: Floats
    volume: Floats
    total: Floats
    error: Floats
    excess: Floats
    excess_error: Floats
    change: float
    change_error: float
    effect_errors: tuple[float, float, float]
    known: bool

    @property
    def effects(self) -> tuple[float, float, float]:
        """Sums of rate, mix and volume; together they are the change."""
        return float(self.rate.sum()), float(self.mix.sum()), float(self.volume.sum())

    @property
    def beyond_chance(self) -> bool:
        """Whether the whole moved more than chance among users explains at 95 %."""
        return self.known and abs(self.change) > Z95 * self.change_error


def split_change(before: Moments, after: Moments, *, is_sum: bool, rest: int | None = None) -> Split:
    """Share a change among segments; the shares sum to it, which is checked.

    Args:
        before: moments per segment of the earlier window.
        after: of the later one, same segments.
        is_sum: the metric is the sum of the numerator over `denominator` users; otherwise it is their ratio.
        rest: segment against whose rate the mix of a ratio is measured, so that it has none itself; the whole if absent.
            The sum does not depend on it: shares of users sum to 1.
    """
    inputs = np.concatenate((before.numerator, before.denominator, after.numerator, after.denominator))
    found = _parts(inputs, is_sum, rest)
    n = len(before.numerator)
    if found is None:
        none = np.full(n, np.nan)
        unknown = (np.nan, np.nan, np.nan)
        return Split(none, none, none, none, none, none, none, np.nan, np.nan, unknown, False)
    rate, mix, volume, excess, change = found
    total = rate + mix + volume
    require_sum(total, change)
    spread = _spread(inputs, before, after, is_sum, rest)
    effects = (float(spread[2 * n]), float(spread[2 * n + 1]), float(spread[2 * n + 2]))
    return Split(
        rate,
        mix,
        volume,
        total,
        spread[:n],
        excess,
        spread[n : 2 * n],
        change,
        float(spread[2 * n + 3]),
        effects,
        True,
    )


def require_sum(parts: Floats, change: float) -> None:
    """Shares that do not add up are a defect of the program, never a result.

    Raises:
        AssertionError: the parts differ from the change by more than rounding.
    """
    size = float(np.abs(parts).sum()) + abs(change)
    if not abs(float(parts.sum()) - change) <= 1e-9 * max(size, 1e-12):
        raise AssertionError(f"parts sum to {parts.sum()!r}, the change is {change!r}")


@dataclass(frozen=True, slots=True)
class Cells:
    """Users of both windows by the combination of their values.

    Args:
        dimensions: property → value of each cell.
        before: moments per cell, earlier window.
        after: later window.
    """

    dimensions: Mapping[str, tuple[str, ...]]
    before: Moments
    after: Moments


@dataclass(frozen=True, slots=True)
class Finding:
    """A segment that carries a share of the change beyond chance.

    Args:
        condition: property → value.
        users_before: users of the segment, without those of segments found before it.
        users_after: the same later.
        value_before: the metric in the segment (per user, for a sum).
        value_after: the same later.
        rate: effect of its own rate.
        mix: effect of its share.
        volume: effect of its size.
        total: what it carries of the change.
        lower: lower limit at 95 %, corrected for the number of segments looked at.
        upper: upper limit.
    """

    condition: Mapping[str, str]
    users_before: float
    users_after: float
    value_before: float | None
    value_after: float | None
    rate: float
    mix: float
    volume: float
    total: float
    lower: float
    upper: float

    @property
    def name(self) -> str:
        """The condition as text."""
        return ", ".join(f"{key} = {value}" for key, value in self.condition.items())


def find_segments(cells: Cells, *, is_sum: bool, deepest: int = 2) -> tuple[list[Finding], float]:
    """The few disjoint segments that carry a change beyond chance, sharpest first, and what all others carry.

    A segment counts when what sets it apart (its rate beyond that of all others, and its mix) goes with the whole, is at least
    `MIN_SHARE` of the change, and is beyond chance after Bonferroni over all segments looked at. The sharpest (most
    standard errors) is taken, its users are set aside, and the rest is looked at again, as long as the rest itself moved
    beyond chance.

    Returns:
        Findings, and the remainder: findings and remainder sum to the change.
    """
    conditions = _conditions(cells.dimensions, deepest)
    limit = _bonferroni(len(conditions) * MOST_FOUND)
    groups = np.zeros(len(cells.before.users), dtype=np.int64)  # 0 = the rest; 1, 2, … = found
    chosen: list[Mapping[str, str]] = []
    whole = _of_free(cells, groups, is_sum)
    free = whole
    while len(chosen) < MOST_FOUND and free.beyond_chance and abs(free.change) >= MIN_SHARE * abs(whole.change):
        best, sharpest = None, limit
        for condition, mask in conditions:
            z = _sharpness(cells, mask & (groups == 0), groups == 0, free.change, is_sum)
            if z > sharpest * (1 + 1e-9):
                best, sharpest = (condition, mask), z
        if best is None:
            break
        chosen.append(best[0])
        groups = np.where(best[1] & (groups == 0), len(chosen), groups)
        if not (groups == 0).any():
            break
        free = _of_free(cells, groups, is_sum)
    return _findings(cells, groups, chosen, limit, is_sum)


def _findings(
    cells: Cells, groups: NDArray[np.int64], chosen: Sequence[Mapping[str, str]], limit: float, is_sum: bool
) -> tuple[list[Finding], float]:
    n = len(chosen) + 1
    before, after = cells.before.joined(groups, n), cells.after.joined(groups, n)
    split = split_change(before, after, is_sum=is_sum, rest=0)
    found = [
        Finding(
            condition=condition,
            users_before=float(before.users[i]),
            users_after=float(after.users[i]),
            value_before=_ratio(before.numerator[i], before.denominator[i]),
            value_after=_ratio(after.numerator[i], after.denominator[i]),
            rate=float(split.rate[i]),
            mix=float(split.mix[i]),
            volume=float(split.volume[i]),
            total=float(split.total[i]),
            lower=float(split.total[i] - limit * split.error[i]),
            upper=float(split.total[i] + limit * split.error[i]),
        )
        for i, condition in enumerate(chosen, start=1)
    ]
    return found, float(split.total[0])


def _of_free(cells: Cells, groups: NDArray[np.int64], is_sum: bool) -> Split:
    """The change among users not yet set aside."""
    inside = np.where(groups == 0, 0, 1)
    before, after = (_first(m.joined(inside, 2)) for m in (cells.before, cells.after))
    return split_change(before, after, is_sum=is_sum)


def _sharpness(cells: Cells, members: NDArray[np.bool_], free: NDArray[np.bool_], change: float, is_sum: bool) -> float:
    """Standard errors by which a segment sets itself apart in the direction of the change; 0 where it does not count."""
    groups = np.where(members, 1, np.where(free, 0, 2))
    before, after = (_first(m.joined(groups, 3), 2) for m in (cells.before, cells.after))
    if (before.users + after.users).min() < MIN_USERS:
        return 0.0
    inputs = np.concatenate((before.numerator, before.denominator, after.numerator, after.denominator))
    parts = _parts(inputs, is_sum, 0)
    if parts is None:
        return 0.0
    excess = float(parts[3][1])
    if excess / change < MIN_SHARE:
        return 0.0
    error = float(_spread(inputs, before, after, is_sum, 0)[3])
    return abs(excess) / error if error > 0 else 0.0


_Effects = tuple[Floats, Floats, Floats, Floats, float]
"""Rate, mix, volume and excess per segment, and the change of the whole."""


def _parts(inputs: Floats, is_sum: bool, rest: int | None) -> _Effects | None:
    n = len(inputs) // 4
    n0, d0, n1, d1 = inputs[:n], inputs[n : 2 * n], inputs[2 * n : 3 * n], inputs[3 * n :]
    if d0.sum() <= 0 or d1.sum() <= 0:
        return None
    # a segment with a numerator and no denominator has no rate; callers put such segments together with others
    if ((d0 == 0) & (n0 != 0)).any() or ((d1 == 0) & (n1 != 0)).any():
        return None
    if is_sum:
        found = total_change(n0, d0, n1, d1)
        mix = (n1 - n0) - found.rate - found.volume
        return found.rate, mix, found.volume, found.rate + mix, found.change
    found = rate_change(n0, d0, n1, d1)
    mix = found.mix
    share0, share1 = d0 / d0.sum(), d1 / d1.sum()
    mean, moved = (share0 + share1) / 2, share1 - share0
    common = float(found.rate.sum())
    if rest is not None:
        if abs(moved[rest]) > 1e-12:
            mix = mix - moved * (mix[rest] / moved[rest])
        common = float(found.rate[rest] / mean[rest]) if mean[rest] > 0 else 0.0
    return found.rate, mix, found.volume, found.rate - mean * common + mix, found.change


def _spread(inputs: Floats, before: Moments, after: Moments, is_sum: bool, rest: int | None) -> Floats:
    """Standard errors of totals, excesses, effect sums and change, by the delta method with central differences."""
    n = len(inputs) // 4

    def outcome(point: Floats) -> Floats:
        found = _parts(point, is_sum, rest)
        if found is None:
            return np.full(2 * n + 4, np.nan)
        rate, mix, volume, excess, change = found
        return np.concatenate((rate + mix + volume, excess, [rate.sum(), mix.sum(), volume.sum(), change]))

    slope = np.zeros((len(inputs), 2 * n + 4))
    for k, value in enumerate(inputs):
        if (k // n) % 2 == 0 and inputs[k + n] == 0:
            continue  # an empty segment: nothing to vary
        if (k // n) % 2 == 1 and value == 0:
            continue
        step = 1e-4 * max(abs(value), 1e-6)
        up, down = inputs.copy(), inputs.copy()
        up[k] += step
        down[k] -= step
        slope[k] = (outcome(up) - outcome(down)) / (2 * step)
    variance = np.zeros(2 * n + 4)
    for side, moments in enumerate((before, after)):
        top, bottom = slope[2 * side * n : (2 * side + 1) * n], slope[(2 * side + 1) * n : (2 * side + 2) * n]
        variance += (top**2 * moments.nn[:, None]).sum(axis=0) + (bottom**2 * moments.dd[:, None]).sum(axis=0)
        variance += 2 * (top * bottom * moments.nd[:, None]).sum(axis=0)
    return np.sqrt(np.maximum(variance, 0.0))


def _conditions(
    dimensions: Mapping[str, tuple[str, ...]], deepest: int
) -> list[tuple[Mapping[str, str], NDArray[np.bool_]]]:
    """Every value of every property, then every pair of values that occurs; fewer properties win a tie."""
    columns = {name: np.asarray(values, dtype=object) for name, values in dimensions.items()}
    found: list[tuple[Mapping[str, str], NDArray[np.bool_]]] = []
    for depth in range(1, deepest + 1):
        for names in combinations(columns, depth):
            for key in sorted(set(zip(*(columns[name] for name in names), strict=True))):
                mask = np.logical_and.reduce([columns[n] == v for n, v in zip(names, key, strict=True)])
                found.append((dict(zip(names, key, strict=True)), mask))
    return found


def _first(moments: Moments, n: int = 1) -> Moments:
    """The first `n` segments alone."""
    return Moments(
        moments.users[:n],
        moments.numerator[:n],
        moments.denominator[:n],
        moments.nn[:n],
        moments.dd[:n],
        moments.nd[:n],
    )


def _ratio(top: float, bottom: float) -> float | None:
    return float(top / bottom) if bottom else None


def _bonferroni(n: int) -> float:
    from scipy.stats import norm

    return float(norm.isf(0.025 / max(n, 1)))
