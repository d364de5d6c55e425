"""How the outcome rises with how often a behaviour was shown, and from which count on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.diagnose.aha_search import CONFIRMATION, DISCOVERY, Interval, Rules
from upswing.sequences.aha import AhaRows
from upswing.stats.association import mantel_haenszel, overlap_effect
from upswing.stats.proportions import wilson_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST: Final = 10
"""Doses above it are shown together."""
_RESAMPLES: Final = 200
_MOST_ROWS: Final = 200_000


@dataclass(frozen=True, slots=True)
class Dose:
    """Users by how often they showed a behaviour.

    Attributes:
        dose: times; the last one is that many or more.
        users: users of the confirmation half.
        rate: their outcome rate.
        adjusted: the rate if every dose had the strata of all users; None where no stratum has users of this dose.
    """

    dose: int
    users: int
    rate: Interval
    adjusted: float | None


@dataclass(frozen=True, slots=True)
class DoseCurve:
    """The curve of one behaviour within one window.

    Attributes:
        doses: ascending.
        threshold: suggested: the count whose contrast within strata is the most distinct on the discovery half.
        stability: share of resampled discovery halves that suggest the same.
        effect: difference within strata at the threshold, on the confirmation half.
        overlap: difference at the count of the finding by overlap weights on activity bins and confounder values (main effects
            only, while strata cross them), on the confirmation half; None where
            covariates tell the groups apart perfectly.
    """

    doses: tuple[Dose, ...]
    threshold: int
    stability: float
    effect: Interval
    overlap: Interval | None


def dose_curve(
    rows: AhaRows, *, count: int, rules: Rules, cuts: Ints, radices: tuple[int, ...], seed: int
) -> DoseCurve:
    """The curve from one row per user.

    Args:
        rows: both halves.
        count: the count of the finding, for the second method.
        rules: volume bounds, which the suggested count keeps to.
        cuts: lower bounds of activity bins.
        radices: sizes of the confounders' value sets, in the order in which `rows.group` was made.
        seed: of the resamples.
    """
    stratum = rows.group * (len(cuts) + 1) + np.searchsorted(cuts, rows.activity, side="right")
    _, stratum = np.unique(stratum, return_inverse=True)
    n_strata = int(stratum.max()) + 1 if len(stratum) else 1
    dose = np.minimum(rows.dose, MOST)
    first, second = (
        _table(dose, stratum, rows.reached, rows.half == half, n_strata) for half in (DISCOVERY, CONFIRMATION)
    )
    threshold = int(np.argmax(_distances(first[None], rules)[0])) + 1
    rng = np.random.default_rng(seed)
    again = np.argmax(_distances(rng.poisson(np.broadcast_to(first, (_RESAMPLES, *first.shape))), rules), axis=1) + 1
    effect = mantel_haenszel(*_contrasts(second[None])[0][:, threshold - 1])
    return DoseCurve(
        doses=_doses(second),
        threshold=threshold,
        stability=float((again == threshold).mean()),
        effect=Interval(float(effect.difference), float(effect.difference_lower), float(effect.difference_upper)),
        overlap=_overlap(rows, count, cuts, radices),
    )


def _table(dose: Ints, stratum: Ints, reached: NDArray[np.bool_], kept: NDArray[np.bool_], n_strata: int) -> Ints:
    """Users by dose, stratum and outcome, shape (MOST + 1, n_strata, 2)."""
    shape = (MOST + 1, n_strata, 2)
    flat = np.ravel_multi_index((dose[kept], stratum[kept], reached[kept].astype(np.int64)), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _contrasts(tables: Ints) -> Ints:
    """Cells of "at least k" against "fewer" for k = 1 … MOST; shape (n, 4, MOST, n_strata)."""
    below = tables.cumsum(axis=1)[:, :-1]
    above = tables.sum(axis=1, keepdims=True) - below
    return np.stack([above[..., 1], above[..., 0], below[..., 1], below[..., 0]], axis=1)


def _distances(tables: Ints, rules: Rules) -> Floats:
    """How many standard errors each threshold's pooled difference is from zero; -1 outside the volume bounds."""
    cells = _contrasts(tables)
    above, below = cells[:, :2].sum(axis=(1, 3)), cells[:, 2:].sum(axis=(1, 3))
    share = above / np.maximum(above + below, 1)
    low, high = rules.share
    allowed = (share >= low) & (share <= high) & (np.minimum(above, below) >= rules.min_users)
    found = mantel_haenszel(*(cells[:, k] for k in range(4)))
    difference = np.asarray(found.difference)
    reach = difference - np.asarray(found.difference_lower)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.where(allowed & (reach > 0), np.abs(difference) / reach, -1.0), nan=-1.0)


def _doses(table: Ints) -> tuple[Dose, ...]:
    weight = table.sum(axis=(0, 2)).astype(np.float64)
    found = []
    for dose in range(MOST + 1):
        users, reached = table[dose].sum(axis=1), table[dose, :, 1]
        n = int(users.sum())
        if n == 0:
            continue
        rate = wilson_interval(int(reached.sum()), n)
        here = users > 0
        adjusted = float((weight[here] * reached[here] / users[here]).sum() / weight[here].sum())
        found.append(Dose(dose, n, Interval(float(rate.estimate), float(rate.lower), float(rate.upper)), adjusted))
    return tuple(found)


def _overlap(rows: AhaRows, count: int, cuts: Ints, radices: tuple[int, ...]) -> Interval | None:
    kept = np.flatnonzero(rows.half == CONFIRMATION)[:_MOST_ROWS]
    levels = [np.searchsorted(cuts, rows.activity[kept], side="right")]
    rest = rows.group[kept]
    for radix in reversed(radices):
        rest, value = np.divmod(rest, radix)
        levels.append(value)
    shown = rows.dose[kept] >= count
    mixed = np.ones(len(kept), np.bool_)
    for level in levels:  # where all or none showed it, nobody could as well have been on the other side: weight 0
        both = np.bincount(level[shown], minlength=level.max(initial=0) + 1) * np.bincount(
            level[~shown], minlength=level.max(initial=0) + 1
        )
        mixed &= both[level] > 0
    flags = [flag for level in levels for flag in _flags(level[mixed])]
    covariates = np.column_stack(flags) if flags else np.zeros((int(mixed.sum()), 0))
    found = overlap_effect(rows.reached[kept][mixed], shown[mixed], covariates)
    return Interval(found.estimate, found.lower, found.upper) if found.status == "ok" else None


def _flags(value: Ints) -> list[Floats]:
    """A 0-1 column for each value but the first."""
    return [(value == v).astype(np.float64) for v in np.unique(value)[1:]]
