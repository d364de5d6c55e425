"""Where growth is lost: every step × group and step × cohort against its best comparable, sized in users per week.

A weak point is a group (or a week of entry) that passes a step less often than the best comparable one. Its size is what
closing the gap would bring: users per week who would pass the step, and who would then, at the group's own later rates,
reach the end. The guard against noise:

- only users whose window has closed count;
- both sides need at least `MIN_USERS` users, and the reference at least `MIN_SHARE` of the dimension's users;
- the reference is the group with the highest *lower* limit of its rate (Wilson), not the highest rate, which favours small
  groups by luck;
- the gap's interval (Newcombe) and its p-value are corrected for having chosen the reference among all groups (Bonferroni),
  and all candidates together keep a false discovery rate of 5 % (Benjamini–Yekutieli, since candidates overlap).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.i18n import Text, text
from upswing.core.numbers import format_count, format_rate
from upswing.core.results import Column, Table
from upswing.stats.multiplicity import adjust
from upswing.stats.proportions import newcombe_difference, two_proportion_test, wilson_interval

MIN_USERS: Final = 100
MIN_SHARE: Final = 0.05
LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Passing:
    """Counts of mature users by group and step, for one way of dividing the users.

    Args:
        dimension: property name, or ``week`` for cohorts by week of entry.
        groups: names, in order.
        reached: users at each step, shape (n_groups, n_steps).
        weeks: length of the range in weeks (for cohorts: 1, each group is a week).
    """

    dimension: str
    groups: tuple[str, ...]
    reached: NDArray[np.int64]
    weeks: float

    @property
    def is_cohort(self) -> bool:
        """Whether the groups are weeks of entry."""
        return self.dimension == "week"


@dataclass(frozen=True, slots=True)
class WeakPoint:
    """One weakness, sized.

    Args:
        step: 1-based number of the step that is not reached.
        from_step: name of the step before.
        to_step: name of the step.
        dimension: what the users were divided by; ``week`` for cohorts.
        group: the weak group.
        reference: the group it is compared with.
        users: mature users of the group who came to the step before.
        rate: share of them who pass.
        reference_users: same for the reference.
        reference_rate: same for the reference.
        gap: reference_rate − rate.
        gap_lower: lower limit, corrected for the choice of the reference.
        gap_upper: upper limit.
        p_value: corrected for the choice of the reference and for the number of candidates.
        per_week: users per week who would pass if the gap closed.
        per_week_lower: from the lower limit of the gap.
        per_week_upper: from the upper limit.
        end_per_week: how many of them would reach the last step at the group's own later rates.
    """

    step: int
    from_step: str
    to_step: str
    dimension: str
    group: str
    reference: str
    users: int
    rate: float
    reference_users: int
    reference_rate: float
    gap: float
    gap_lower: float
    gap_upper: float
    p_value: float
    per_week: float
    per_week_lower: float
    per_week_upper: float
    end_per_week: float

    @property
    def kind(self) -> Literal["segment", "cohort"]:
        """Whether it is a group of users or a week of entry."""
        return "cohort" if self.dimension == "week" else "segment"

    def sentence(self) -> Text:
        """What a growth manager would say."""
        if self.kind == "cohort":
            return text(
                "Users who came in the week of {group}: only {rate} get from “{a}” to “{b}”, against {best} in the other "
                "weeks. That is {n} users fewer in that week [{low} to {high}]",
                group=self.group, a=self.from_step, b=self.to_step, rate=format_rate(self.rate),
                best=format_rate(self.reference_rate), n=format_count(round(self.per_week)),
                low=format_count(round(self.per_week_lower)), high=format_count(round(self.per_week_upper)),
            )  # fmt: skip
        return text(
            "{dimension} = {group}: only {rate} get from “{a}” to “{b}”, against {best} for {reference}. Closing the gap is "
            "worth {n} users per week at this step [{low} to {high}]",
            dimension=self.dimension, group=self.group, reference=self.reference, rate=format_rate(self.rate),
            a=self.from_step, b=self.to_step, best=format_rate(self.reference_rate),
            n=format_count(round(self.per_week)), low=format_count(round(self.per_week_lower)),
            high=format_count(round(self.per_week_upper)),
        )  # fmt: skip


def find_weak_points(divisions: Sequence[Passing], steps: Sequence[str], *, level: float = LEVEL) -> list[WeakPoint]:
    """Weak points of all divisions, largest first by users per week who would reach the end, then by users at the step.

    Args:
        divisions: counts by group and step, one per property, and one by week of entry.
        steps: names of the steps.
        level: false discovery rate over all candidates.

    Returns:
        Those whose corrected interval lies wholly above zero; an empty list is an answer too.
    """
    candidates = [point for division in divisions for point in _candidates(division, steps)]
    if not candidates:
        return []
    corrected = np.atleast_1d(adjust(np.array([c.p_value for c in candidates]), method="benjamini_yekutieli"))
    kept = [
        _with_p(point, float(p)) for point, p in zip(candidates, corrected, strict=True) if p <= level and point.gap_lower > 0
    ]
    return sorted(kept, key=lambda w: (-w.end_per_week, -w.per_week, w.dimension, w.group))


def weak_points_table(points: Sequence[WeakPoint]) -> Table:
    """The ranked list as a table."""
    columns = (
        Column("to_step", text("Step")),
        Column("dimension", text("Divided by")),
        Column("group", text("Group")),
        Column("users", text("Users"), "count", text("Users of the group who came to the step before and whose window has closed")),
        Column("rate", text("Pass rate"), "ratio"),
        Column("reference", text("Compared with")),
        Column("reference_rate", text("Its pass rate"), "ratio"),
        Column("gap", text("Gap"), "difference"),
        Column("gap_lower", text("from"), "difference", text("Lower limit at 95 %, corrected for choosing the reference")),
        Column("gap_upper", text("to"), "difference", text("Upper limit at 95 %, corrected for choosing the reference")),
        Column("per_week", text("Users/week"), "number", text("Users per week who would pass the step if the gap closed")),
        Column("end_per_week", text("To the end/week"), "number", text("How many of them would reach the last step")),
    )  # fmt: skip
    rows = [tuple(_rounded(getattr(p, c.key)) for c in columns) for p in points]
    note = text(
        "Compared with the best comparable group; corrected for choosing it and for the {n} per cent of false findings allowed "
        "over the whole list. A gap is an observation: what else differs between the groups (mix, season, device) is not removed",
        n=5,
    )
    return Table("weak_points", text("Weak points, largest first"), columns, rows, note)


def _candidates(division: Passing, steps: Sequence[str]) -> list[WeakPoint]:
    found = []
    for step in range(1, len(steps)):
        came, passed = division.reached[:, step - 1], division.reached[:, step]
        enough = np.flatnonzero(came >= MIN_USERS)
        if len(enough) < 2:
            continue
        for index in enough:
            point = _against_others(division, steps, step, int(index), enough, came, passed)
            if point is not None:
                found.append(point)
    return found


def _against_others(
    division: Passing, steps: Sequence[str], step: int, index: int, enough: NDArray[np.intp],
    came: NDArray[np.int64], passed: NDArray[np.int64],
) -> WeakPoint | None:  # fmt: skip
    others = enough[enough != index]
    if division.is_cohort:
        reference, n, x, choices = str(text("other weeks")), int(came[others].sum()), int(passed[others].sum()), 1
    else:
        wide = others[came[others] >= MIN_SHARE * came.sum()]
        if not len(wide):
            return None
        lower = np.atleast_1d(wilson_interval(passed[wide], came[wide]).lower)
        best = int(wide[int(np.argmax(lower))])
        reference, n, x, choices = division.groups[best], int(came[best]), int(passed[best]), len(wide)
    if x / n <= passed[index] / came[index]:
        return None
    confidence = 1 - 0.05 / choices
    difference = newcombe_difference(x, n, int(passed[index]), int(came[index]), confidence)
    test = two_proportion_test(x, n, int(passed[index]), int(came[index]))
    weekly = int(came[index]) / division.weeks
    later = division.reached[index, -1] / passed[index] if passed[index] else _rate_after(division, step)
    gap = x / n - passed[index] / came[index]
    return WeakPoint(
        step=step + 1,
        from_step=steps[step - 1],
        to_step=steps[step],
        dimension=division.dimension,
        group=division.groups[index],
        reference=reference,
        users=int(came[index]),
        rate=float(passed[index] / came[index]),
        reference_users=n,
        reference_rate=x / n,
        gap=float(gap),
        gap_lower=float(difference.lower),
        gap_upper=float(difference.upper),
        p_value=min(1.0, float(test.p_value) * choices),
        per_week=float(gap * weekly),
        per_week_lower=float(difference.lower * weekly),
        per_week_upper=float(difference.upper * weekly),
        end_per_week=float(gap * weekly * later),
    )


def _rate_after(division: Passing, step: int) -> float:
    """Share of all groups' users at a step who reach the end: for groups of whom nobody passes."""
    total = division.reached[:, step].sum()
    return float(division.reached[:, -1].sum() / total) if total else 0.0


def _with_p(point: WeakPoint, p_value: float) -> WeakPoint:
    return replace(point, p_value=p_value)


def _rounded(value: object) -> str | float | int:
    return value if isinstance(value, str | int) else round(float(value), 6)  # type: ignore[arg-type]
