"""What else may explain a gap: who is compared (mix), when (season), for how long (maturity), and how it was recorded (tracking)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import text
from upswing.core.results import Caveat
from upswing.diagnose.weak_points import Division
from upswing.metrics.quantity import Quantity
from upswing.metrics.tracking import TrackingBreak

_CELL: Final = 10
_ALIKE: Final = 0.5
"""The groups must share strata that hold this share of the weak one, or the comparison says nothing."""
_LEFT: Final = 0.25
"""A gap of which less than this share is left by adjustment belongs to what it was adjusted for."""
_MOVES: Final = 0.25
"""An adjustment that takes away more than this share of the gap is named."""


def standardised_gap(
    members: NDArray[np.bool_],
    others: NDArray[np.bool_],
    came: NDArray[np.bool_],
    passed: NDArray[np.bool_],
    strata: NDArray[np.int64],
) -> tuple[float, float]:
    """The gap if the others were spread over strata as the members are (direct standardisation).

    Args:
        members: the weak side, shape (n,).
        others: the side it is compared with.
        came: who came to the step.
        passed: who passed it.
        strata: stratum of each user, -1 for none.

    Returns:
        The standardised gap, and the share of the members in strata that both sides have at least ten users in. The gap is
        NaN where there is none.

    References:
        Miettinen (1972), American Journal of Epidemiology 96: 383.
    """
    n = int(strata.max(initial=-1)) + 1
    known = strata >= 0

    def counts(side: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        inside = side & came & known
        done = inside & passed
        return np.bincount(strata[inside], minlength=n), np.bincount(strata[done], minlength=n)

    (mine, mine_done), (other, other_done) = counts(members), counts(others)
    both = (mine >= _CELL) & (other >= _CELL)
    here = int(mine[both].sum())
    if not here:
        return float("nan"), 0.0
    gap = float(((other_done[both] / other[both] - mine_done[both] / mine[both]) * mine[both]).sum() / here)
    return gap, here / max(1, int((members & came).sum()))


def confounders(
    gap: float,
    gap_lower: float,
    members: NDArray[np.bool_],
    others: NDArray[np.bool_],
    came: NDArray[np.bool_],
    passed: NDArray[np.bool_],
    *,
    dimension: str,
    divisions: Sequence[Division],
) -> tuple[tuple[Caveat, ...], float]:
    """Mix and season: what of the gap remains when both sides are alike in another property, or in weeks of entry.

    Args:
        gap: as measured.
        gap_lower: its lower limit.
        members: the weak side.
        others: the side it is compared with.
        came: who came to the step.
        passed: who passed it.
        dimension: what the two sides were divided by; not adjusted for.
        divisions: ways of dividing the users.

    Returns:
        The doubts, and the part of the gap that the largest adjustment takes away. A gap of which less than a quarter is
        left, or no more than chance would leave, is ``explained``.
    """
    found, mixed = [], 0.0
    for division in divisions:
        parts = dimension.split(" × ")
        if (
            " × " in division.dimension
            or division.dimension in parts
            or dimension.startswith(f"{division.dimension} =")
        ):
            continue
        season = division.is_cohort
        if season and dimension == "week":
            continue
        adjusted, shared = standardised_gap(members, others, came, passed, division.codes)
        name = text("week of entry") if season else division.dimension
        code = "season" if season else "mix"
        if shared < _ALIKE:
            unlike = text(
                "the two sides hardly share any {name}: whether it is the group or the {name} cannot be told", name=name
            )
            found.append(Caveat(code, unlike))
            continue
        taken = gap - adjusted
        if taken <= _MOVES * gap:
            continue
        mixed = max(mixed, taken)
        if adjusted < _LEFT * gap or gap_lower - taken <= 0:
            code = "explained"
        moved = text(
            "at the same {name} the gap is {adjusted}, not {gap}", name=name,
            adjusted=Quantity(adjusted, "ratio", change=True), gap=Quantity(gap, "ratio", change=True),
        )  # fmt: skip
        found.append(Caveat(code, moved))
    return tuple(found), mixed


def tracking_doubt(
    events: Sequence[str],
    dimension: str,
    group: str,
    start: int,
    stop: int,
    breaks: Sequence[TrackingBreak],
    share: float,
) -> tuple[Caveat, ...]:
    """A tracking break of the step's event, among these users and in this time.

    Args:
        events: of the step and the one before.
        dimension: what the users were divided by.
        group: their group.
        start: first moment of the users' time.
        stop: end.
        breaks: known breaks.
        share: least share of the time that must be broken to count against the point.
    """
    found = []
    for one in breaks:
        if not one.touches(set(events), start, stop):
            continue
        concerned = (
            not one.dimension or one.group in group.split(" × ") or f"{one.dimension} = {one.group}" in dimension
        )
        concerned |= one.dimension not in dimension
        length = (min(one.stop, stop) - max(one.start, start)) / max(1, stop - start)
        if concerned and length >= share:
            found.append(Caveat("tracking", one.sentence()))
    return tuple(found)
