"""Where growth is lost: groups of users and weeks of entry against their best comparable, sized in users per week.

A weak point is a group (of one property or a pair of properties) or a run of weeks of entry that passes a step less often
than the best comparable one. Its size is what closing the gap would bring: users per week who would pass the step, and who
would then, at the group's own later rates, reach the end. The guard against noise and against saying one thing twice:

- only users whose window has closed count;
- both sides need at least `MIN_USERS` users, and the reference at least `MIN_SHARE` of the users who came to the step;
- the reference is the group with the highest *lower* limit of its rate (Wilson), not the highest rate, which favours small
  groups by luck; a run of weeks is compared with all other weeks;
- interval (Newcombe) and p-value are corrected for having chosen reference or run among many (Bonferroni), and all
  candidates together keep a false discovery rate of 5 % (Benjamini–Yekutieli, since candidates overlap);
- a group whose gap lies in one part of it is named by that part (a version on one platform, not the version);
- the sharpest gap is taken first and its users are set aside at that step before the next is looked for, so the same lost
  users are not counted under a second name;
- a group of whom nobody ever passes is not a gap to close: the step is not open to it, and it is listed apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
WITHIN: Final = " × week"
"""How the dimension of weeks within one group ends, e.g. ``device = mobile × week``."""
LEFT: Final = 0.25
"""A group outside one of its parts of which less than this share of the gap is left has its gap in that part alone."""
SHADOW: Final = 0.7
"""A gap of which less than this share is left once earlier findings are set aside is their shadow."""
MOST: Final = 20
"""Weak points looked for at most."""


@dataclass(frozen=True, slots=True)
class Division:
    """One way of dividing the users of a funnel.

    Args:
        dimension: property name, two joined by ``×``, or ``week`` for weeks of entry.
        groups: names, in order.
        codes: group of each user, -1 for none, shape (n_users,).
    """

    dimension: str
    groups: tuple[str, ...]
    codes: NDArray[np.int64]

    @property
    def is_cohort(self) -> bool:
        """Whether the groups are weeks of entry (of everybody, or within one group), in order of time."""
        return self.dimension == "week" or self.dimension.endswith(WITHIN)


@dataclass(frozen=True, slots=True)
class WeakPoint:
    """One weakness, sized.

    Args:
        step: 1-based number of the step that is not reached.
        from_step: name of the step before.
        to_step: name of the step.
        dimension: what the users were divided by; ``week`` for weeks of entry.
        group: the weak group, or first and last week of the run.
        reference: what it is compared with.
        users: mature users of the group who came to the step before.
        rate: share of them who pass.
        reference_users: same for the reference.
        reference_rate: same for the reference.
        gap: reference_rate − rate.
        gap_lower: lower limit, corrected for the choice of the reference.
        gap_upper: upper limit.
        p_value: corrected for the choice of the reference and for the number of candidates.
        per_week: users per week who would pass if the gap closed: over the whole range, or over the run's weeks.
        per_week_lower: from the lower limit of the gap.
        per_week_upper: from the upper limit.
        end_per_week: how many of them would reach the last step at the group's own later rates.
        lost: users lost at the step in the whole range because of the gap; the ranking.
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
    lost: float

    @property
    def kind(self) -> Literal["segment", "cohort"]:
        """Whether it is a group of users or a week of entry."""
        return "cohort" if self.dimension == "week" or self.dimension.endswith(WITHIN) else "segment"

    @property
    def who(self) -> str:
        """The users concerned: ``platform = android, app_version = 3.2.0``."""
        if self.dimension == "week":
            return self.group
        if self.kind == "cohort":
            return f"{self.dimension.removesuffix(WITHIN)}, {self.group}"
        names, values = self.dimension.split(" × "), self.group.split(" × ")
        if len(names) != len(values):
            return f"{self.dimension} = {self.group}"
        return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))

    @property
    def compared(self) -> str:
        """Whom they are compared with: ``platform = ios, app_version = 3.2.0``, or the other weeks."""
        names, values = self.dimension.split(" × "), self.reference.split(" × ")
        if self.kind == "cohort" or len(names) != len(values):
            return self.reference
        return ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))

    def sentence(self) -> Text:
        """What a growth manager would say, with the size at the step."""
        words = {"gap": self.gap_sentence(), "n": format_count(round(self.per_week)),
                 "low": format_count(round(self.per_week_lower)), "high": format_count(round(self.per_week_upper))}  # fmt: skip
        if self.kind == "cohort":
            return text("{gap}. That is {n} users fewer per week [{low} to {high}]", **words)
        return text("{gap}. Closing the gap is worth {n} users per week at this step [{low} to {high}]", **words)

    def gap_sentence(self) -> Text:
        """Who passes less often than whom, without the size."""
        words = {"rate": format_rate(self.rate), "best": format_rate(self.reference_rate), "a": self.from_step,
                 "b": self.to_step, "group": self.group}  # fmt: skip
        if self.dimension == "week":
            return text(
                "Weeks of entry {group}: only {rate} get from “{a}” to “{b}”, against {best} in the other weeks",
                **words,
            )
        if self.kind == "cohort":
            return text(
                "{inside}, weeks of entry {group}: only {rate} get from “{a}” to “{b}”, against {best} in the other weeks",
                inside=self.dimension.removesuffix(WITHIN), **words,
            )  # fmt: skip
        return text(
            "{who}: only {rate} get from “{a}” to “{b}”, against {best} for {reference}",
            who=self.who, reference=self.compared, **words,
        )  # fmt: skip


def find_weak_points(
    depth: NDArray[np.int64], divisions: Sequence[Division], steps: Sequence[str], *, weeks: float, level: float = LEVEL
) -> list[WeakPoint]:
    """Weak points, largest loss first. Each is measured over all its users; those already explained only decide the order.

    Args:
        depth: deepest step of each mature user, 1-based, shape (n_users,).
        divisions: ways of dividing these users.
        steps: names of the steps.
        weeks: length of the range, for sizes per week.
        level: false discovery rate over all candidates.

    Returns:
        Those whose corrected interval lies wholly above zero; an empty list is an answer too.
    """
    aside = [np.zeros(len(depth), dtype=bool) for _ in steps]
    found: list[WeakPoint] = []
    refused: set[tuple[str, str, int]] = set()
    by_step: dict[int, tuple[list[_Candidate], NDArray[np.float64]]] = {}
    while len(found) < MOST:
        for s in range(1, len(steps)):
            if s not in by_step:  # only the step at which users were set aside has to be looked at again
                there = [c for d in divisions for c in _candidates(d, depth, s, aside[s])]
                by_step[s] = (there, _p_values(there))
        looked_at = [
            (c, p) for there, values in by_step.values() for c, p in zip(there, values, strict=True)
            if c.key not in refused
        ]  # fmt: skip
        if not looked_at:
            break
        corrected = np.atleast_1d(adjust(np.array([p for _, p in looked_at]), method="benjamini_yekutieli"))
        kept = [(c, float(p)) for (c, _), p in zip(looked_at, corrected, strict=True) if p <= level and c.gap_lower > 0]
        if not kept:
            break
        best, p_value = _narrowed(max(kept, key=lambda pair: (pair[0].z, pair[0].key)), kept, depth)
        refused.add(best.key)
        # what is shown is the group as a whole: a gap that only exists among the users left over is not one, and one that
        # has nearly gone among them is the shadow of what was found before
        whole = best.over_everybody(depth, steps, weeks)
        if whole.gap_lower > 0 and best.gap >= SHADOW * whole.gap:
            found.append(replace(whole, p_value=p_value))
            aside[best.step] |= best.members & (depth >= best.step)
            del by_step[best.step]
    return sorted(found, key=lambda w: (-w.lost, w.dimension, w.group))


def sides(point: WeakPoint, divisions: Sequence[Division]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The users of a weak point and those it is compared with, among the users that were divided.

    Args:
        point: found by `find_weak_points`.
        divisions: the ones it was found in.
    """
    division = next(d for d in divisions if d.dimension == point.dimension)
    if point.kind == "cohort":
        first, _, last = point.group.partition(" – ")
        low, high = division.groups.index(first), division.groups.index(last or first)
        members = (division.codes >= low) & (division.codes <= high)
        return members, (division.codes >= 0) & ~members
    mine, other = division.groups.index(point.group), division.groups.index(point.reference)
    return division.codes == mine, division.codes == other


def closed_steps(
    depth: NDArray[np.int64], divisions: Sequence[Division], steps: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Steps that are not open to a group: (dimension, group, step) where many came to the step before and nobody passed."""
    found = []
    for division in divisions:
        if "×" in division.dimension or division.is_cohort:
            continue
        for step in range(1, len(steps)):
            came, passed = _counts(division, depth, step, np.ones(len(depth), dtype=bool))
            share = passed.sum() / max(1, came.sum())
            nobody = np.flatnonzero((came >= MIN_USERS) & (passed == 0) & (share > 0.05))
            found += [(division.dimension, division.groups[i], steps[step]) for i in nobody]
    return found


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


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A gap among the users not yet set aside.

    Args:
        division: what divides the users.
        low: first group of the run, or the group.
        high: last group of the run, or the group.
        reference: group it is held against; None: all other weeks.
        step: 0-based number of the step.
        mine: users of the group who came to the step before, and of them those who passed.
        other: the same of those it is held against.
        choices: among how many the reference or the run was chosen.
    """

    division: Division
    low: int
    high: int
    reference: int | None
    step: int
    mine: tuple[int, int]
    other: tuple[int, int]
    choices: int

    @property
    def group(self) -> str:
        names = self.division.groups
        return names[self.low] if self.low == self.high else f"{names[self.low]} – {names[self.high]}"

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.division.dimension, self.group, self.step)

    @property
    def members(self) -> NDArray[np.bool_]:
        """The group, over everybody."""
        codes = self.division.codes
        return (codes >= self.low) & (codes <= self.high)

    @property
    def others(self) -> NDArray[np.bool_]:
        """Those it is held against, over everybody."""
        codes = self.division.codes
        return (codes >= 0) & ~self.members if self.reference is None else codes == self.reference

    @property
    def gap(self) -> float:
        return self.other[1] / self.other[0] - self.mine[1] / self.mine[0]

    @property
    def gap_lower(self) -> float:
        """Lower limit of the gap, corrected for the choice."""
        (came, passed), (n, x) = self.mine, self.other
        return float(newcombe_difference(x, n, passed, came, 1 - 0.05 / self.choices).lower)

    @property
    def z(self) -> float:
        """How far the two rates are apart in standard errors: of gaps that explain the same loss, the sharper has more."""
        (came, passed), (n, x) = self.mine, self.other
        share = (passed + x) / (came + n)
        spread = share * (1 - share) * (1 / came + 1 / n)
        return float(self.gap / np.sqrt(spread)) if spread > 0 else 0.0

    def over_everybody(self, depth: NDArray[np.int64], steps: Sequence[str], weeks: float) -> WeakPoint:
        """The same gap over all users, sized."""
        mine, other = depth[self.members], depth[self.others]
        whole = replace(
            self,
            mine=(int(np.sum(mine >= self.step)), int(np.sum(mine > self.step))),
            other=(int(np.sum(other >= self.step)), int(np.sum(other > self.step))),
        )
        return _point(whole, steps, mine, self.high - self.low + 1 if self.reference is None else weeks)


def _narrowed(
    best: tuple[_Candidate, float], kept: Sequence[tuple[_Candidate, float]], depth: NDArray[np.int64]
) -> tuple[_Candidate, float]:
    """The part of a group that holds its gap by itself; the group where there is none.

    A version that is broken on one platform is the sharper gap as a whole version, since more users are compared; but on
    the other platforms nothing is lost, and nothing is to be mended there.
    """
    whole, step = best[0], best[0].step
    members, came = whole.members, depth >= step
    best_rate = float((depth[whole.others & came] > step).mean())
    found = best
    for candidate, p_value in kept:
        if candidate is whole or candidate.step != step:
            continue
        part = candidate.members
        if bool(np.any(part & ~members)):
            continue
        rest = depth[members & ~part & came]
        if len(rest) < MIN_USERS or best_rate - float((rest > step).mean()) >= LEFT * whole.gap:
            continue
        if found is best or candidate.z > found[0].z:
            found = (candidate, p_value)
    return found


def _counts(
    division: Division, depth: NDArray[np.int64], step: int, counted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users of each group at the step before and at the step (0-based number `step`)."""
    n, known = len(division.groups), counted & (division.codes >= 0)
    came = np.bincount(division.codes[known & (depth >= step)], minlength=n)
    passed = np.bincount(division.codes[known & (depth > step)], minlength=n)
    return came, passed


def _candidates(
    division: Division, depth: NDArray[np.int64], step: int, aside: NDArray[np.bool_]
) -> Iterator[_Candidate]:
    came, passed = _counts(division, depth, step, ~aside)
    if division.is_cohort:
        yield from _weakest_run(division, step, came, passed)
        return
    open_to = (came >= MIN_USERS) & (passed > 0)
    wide = np.flatnonzero(open_to & (came >= MIN_SHARE * came.sum()))
    if not len(wide):
        return
    lower = np.atleast_1d(wilson_interval(passed[wide], came[wide]).lower)
    ranked = wide[np.argsort(-lower, kind="stable")]
    for index in np.flatnonzero(open_to):
        choices = len(wide) - int(index in wide)
        if not choices:
            continue
        best = int(ranked[0] if ranked[0] != index else ranked[1])
        if passed[best] / came[best] > passed[index] / came[index]:
            mine, other = (int(came[index]), int(passed[index])), (int(came[best]), int(passed[best]))
            yield _Candidate(division, int(index), int(index), best, step, mine, other, choices)


def _weakest_run(
    division: Division, step: int, came: NDArray[np.int64], passed: NDArray[np.int64]
) -> Iterator[_Candidate]:
    """The run of weeks that differs most from the other weeks, if it is the weaker."""
    all_came, all_passed = came.sum(), passed.sum()
    before_came, before_passed = np.append(0, np.cumsum(came)), np.append(0, np.cumsum(passed))
    first, last = np.triu_indices(len(division.groups))
    in_came, in_passed = before_came[last + 1] - before_came[first], before_passed[last + 1] - before_passed[first]
    out_came, out_passed = all_came - in_came, all_passed - in_passed
    fine = (in_came >= MIN_USERS) & (out_came >= MIN_USERS)
    if not fine.any():
        return
    first, last, in_came, in_passed = first[fine], last[fine], in_came[fine], in_passed[fine]
    out_came, out_passed = out_came[fine], out_passed[fine]
    share = all_passed / all_came
    if not 0 < share < 1:
        return
    z = (out_passed / out_came - in_passed / in_came) / np.sqrt(share * (1 - share) * (1 / in_came + 1 / out_came))
    top = int(np.argmax(z))
    if z[top] <= 0:
        return
    mine, other = (int(in_came[top]), int(in_passed[top])), (int(out_came[top]), int(out_passed[top]))
    yield _Candidate(division, int(first[top]), int(last[top]), None, step, mine, other, len(first))


def _p_values(candidates: Sequence[_Candidate]) -> NDArray[np.float64]:
    """Of each gap, corrected for the choice."""
    if not candidates:
        return np.empty(0)
    came, passed, n, x = np.array([(*c.mine, *c.other) for c in candidates]).T
    values = np.atleast_1d(two_proportion_test(x, n, passed, came).p_value)
    corrected: NDArray[np.float64] = np.minimum(1.0, values * np.array([c.choices for c in candidates]))
    return corrected


def _point(found: _Candidate, steps: Sequence[str], depth: NDArray[np.int64], weeks: float) -> WeakPoint:
    """A gap in words and sizes; `depth` is of its members."""
    (came, passed), (n, x) = found.mine, found.other
    difference = newcombe_difference(x, n, passed, came, 1 - 0.05 / found.choices)
    weekly = came / weeks
    later = float(np.sum(depth >= len(steps)) / passed) if passed else 0.0
    reference = str(text("other weeks")) if found.reference is None else found.division.groups[found.reference]
    return WeakPoint(
        step=found.step + 1,
        from_step=steps[found.step - 1],
        to_step=steps[found.step],
        dimension=found.division.dimension,
        group=found.group,
        reference=reference,
        users=came,
        rate=passed / came,
        reference_users=n,
        reference_rate=x / n,
        gap=found.gap,
        gap_lower=float(difference.lower),
        gap_upper=float(difference.upper),
        p_value=float(_p_values([found])[0]),
        per_week=found.gap * weekly,
        per_week_lower=float(difference.lower) * weekly,
        per_week_upper=float(difference.upper) * weekly,
        end_per_week=found.gap * weekly * later,
        lost=found.gap * came,
    )


def _rounded(value: object) -> str | float | int:
    return value if isinstance(value, str | int) else round(float(value), 6)  # type: ignore[arg-type]
