"""What a funnel answers: steps, groups, trend, times, the conversion curve, and who stands at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.core.numbers import MISSING, format_count, format_rate, format_seconds
from upswing.core.results import Cell, Chart, Column, Result, Table
from upswing.core.units import Period
from upswing.diagnose.breakdown import NONE
from upswing.sequences.funnel import Chains
from upswing.spec.funnel import FunnelDefinition
from upswing.stats.proportions import wilson_interval

Standing = Literal["met", "missed", "open"]


@dataclass(frozen=True, slots=True)
class Target:
    """A step's target pass rate against what mature users did.

    Attributes:
        target: the pass rate that was asked for.
        rate: share of mature users of the step before who came; None where there are none.
        gap: rate - target.
        lower: lower limit of the gap (Wilson, 95 %).
        upper: upper limit.
        standing: ``met`` the interval lies at or above the target; ``missed`` below it; ``open`` it holds both.
    """

    target: float
    rate: float | None
    gap: float | None
    lower: float | None
    upper: float | None
    standing: Standing

    @classmethod
    def judge(cls, target: float, users: int, before: int) -> Target:
        """Compare `users` of `before` with the target by the score interval, which inverts the score test.

        Examples:
            >>> Target.judge(0.5, 300, 1000).standing, Target.judge(0.5, 4, 10).standing
            ('missed', 'open')
        """
        if before == 0 or users > before:
            return cls(target, None, None, None, None, "open")
        interval = wilson_interval(users, before)
        rate, low, high = users / before, float(interval.lower), float(interval.upper)
        standing: Standing = "met" if low >= target else "missed" if high < target else "open"
        return cls(target, rate, rate - target, low - target, high - target, standing)


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step. Rates are shares of users; None where nobody could have passed.

    Attributes:
        name: as shown.
        users: units (users unless the funnel counts something else) at the step.
        rate_from_entry: of those who entered.
        rate_from_previous: of those at the last step before that cannot be skipped; 1 at the first.
        lower: lower limit of `rate_from_previous` (Wilson score interval, 95 %).
        upper: upper limit.
        median_seconds: median time from entry, over the chains that took the step; None at the first.
        median_seconds_from_previous: median time since the step taken before.
        p25_seconds: a quarter took less time from entry.
        p75_seconds: three quarters did.
        p90_seconds: nine in ten did.
        mature_users: those whose window has closed.
        optional: whether it may be skipped.
        target: how it stands against its target, if it has one.
    """

    name: str
    users: int
    rate_from_entry: float | None
    rate_from_previous: float | None
    lower: float | None
    upper: float | None
    median_seconds: float | None
    median_seconds_from_previous: float | None
    p25_seconds: float | None
    p75_seconds: float | None
    p90_seconds: float | None
    mature_users: int
    optional: bool = False
    target: Target | None = None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        body: dict[str, object] = {
            "name": self.name,
            "users": self.users,
            "rate_from_entry": self.rate_from_entry,
            "rate_from_previous": self.rate_from_previous,
            "interval": None if self.lower is None else [self.lower, self.upper],
            "median_seconds": self.median_seconds,
            "median_seconds_from_previous": self.median_seconds_from_previous,
            "quantiles_seconds": {"p25": self.p25_seconds, "p75": self.p75_seconds, "p90": self.p90_seconds},
            "mature_users": self.mature_users,
            "optional": self.optional,
        }
        if self.target is not None:
            body["target"] = {
                "rate": self.target.target,
                "mature_rate": self.target.rate,
                "gap": self.target.gap,
                "gap_interval": None if self.target.lower is None else [self.target.lower, self.target.upper],
                "standing": self.target.standing,
            }
        return body


@dataclass(frozen=True, slots=True)
class FunnelGroup:
    """The funnel of one group of a breakdown."""

    value: str
    steps: tuple[FunnelStep, ...]


@dataclass(frozen=True, slots=True)
class TrendRow:
    """The funnel of those who entered in one period: users at each step, and the share that reached the last."""

    period: str
    users: tuple[int, ...]
    rate: float | None
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Converted users whose time from entry to the last step is in [from, to) seconds."""

    from_seconds: float
    to_seconds: float
    users: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Share converted by a time since entry, with its 95 % interval; None where nobody could be watched so long."""

    seconds: float
    rate: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelResult(Result):
    """A funnel: `steps` in all, `groups` by the breakdown, `trend` by period of entry, and the times."""

    verb: ClassVar[str] = "funnel"
    definition: FunnelDefinition
    steps: tuple[FunnelStep, ...]
    by: str | None = None
    groups: tuple[FunnelGroup, ...] = ()
    overlap: int = 0
    trend_period: Period | None = None
    trend: tuple[TrendRow, ...] = ()
    histogram: tuple[Bin, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    removed: int = 0
    chains: Chains | None = field(default=None, repr=False, compare=False)
    split: Chains | None = field(default=None, repr=False, compare=False)
    names: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def weakest(self) -> int:
        """Index of the step with the lowest pass rate; 0 when none is known."""
        known = [(s.rate_from_previous, i) for i, s in enumerate(self.steps) if i and not s.optional]
        rated = [(rate, i) for rate, i in known if rate is not None]
        return min(rated)[1] if rated else 0

    def users_at(self, step: int, *, dropped: bool = False, group: str | None = None) -> NDArray[np.int64]:
        """Sorted keys of the users at a step (from 1), or of those who came to the one before and not to it.

        Raises:
            UsageError: UP644 no such step or group; UP649 the result is no longer tied to its log.
        """
        if self.chains is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        return self.choose(self.definition, self.chains, self.split, self.names, step, dropped=dropped, group=group)

    @staticmethod
    def choose(
        definition: FunnelDefinition,
        whole: Chains,
        split: Chains | None,
        names: Sequence[str],
        step: int,
        *,
        dropped: bool,
        group: str | None,
    ) -> NDArray[np.int64]:
        """The users behind a number, from the chains it was counted from."""
        from upswing.diagnose.funnel_measure import reaches

        if not 1 <= step <= len(definition.steps) or (dropped and step == 1):
            raise UsageError(
                text("there is no such place in the funnel: step {n} of {k}", n=step, k=len(definition.steps)),
                code="UP644",
            )
        chains = whole
        if group is not None:
            if split is None or group not in names:
                raise UsageError(text("no group '{group}'", group=group), code="UP644", hint=did_you_mean(group, names))
            chains = split.pick(FunnelResult.in_group(split, list(names).index(group), names))
        chosen = reaches(definition, chains, step)
        if dropped:
            before = step - 1
            while before > 1 and definition.steps[before - 1].optional:
                before -= 1
            chosen = reaches(definition, chains, before) & ~chosen
        return np.unique(chains.users[chosen])

    @staticmethod
    def in_group(split: Chains, code: int, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which chains are in the group with this code; the group for no value is coded -1 in the chains."""
        without_value = names[code] == NONE
        found: NDArray[np.bool_] = split.group == (-1 if without_value else code)
        return found

    def title(self) -> Text:
        """The question."""
        return text(
            "How many get from “{first}” to “{last}” within {window}?",
            first=self.definition.steps[0].shown,
            last=self.definition.steps[-1].shown,
            window=self.definition.window,
        )

    def verdict(self) -> Text:
        """The weakest step, with its numbers."""
        if not self.steps[0].users:
            return text("Nobody did the first step in this range.")
        at, last = self.weakest, self.steps[-1]
        step = self.steps[at]
        before = max((i for i in range(at) if not self.steps[i].optional), default=0)
        words = {
            "overall": _rate(last.rate_from_entry),
            "n": format_count(self.steps[0].users),
            "a": self.steps[before].name,
            "b": step.name,
            "rate": _rate(step.rate_from_previous),
            "low": _rate(step.lower),
            "high": _rate(step.upper),
            "lost": format_count(self.steps[before].users - step.users),
        }
        if last.median_seconds is None:
            return text(
                "{overall} of {n} reach the last step. The weakest step is “{a}” → “{b}”: "
                "{rate} pass [{low} to {high}], {lost} are lost there.",
                **words,
            )
        return text(
            "{overall} of {n} reach the last step, half of them within {median}. The weakest step is “{a}” → “{b}”: "
            "{rate} pass [{low} to {high}], {lost} are lost there.",
            median=_Length(last.median_seconds),
            **words,
        )

    def passed(self) -> bool | None:
        """Whether no target is missed; None without targets."""
        standings = [s.target.standing for s in self.steps if s.target is not None]
        return None if not standings else "missed" not in standings

    def data(self) -> dict[str, object]:
        """Steps, groups, trend, times and the conversion curve."""
        body: dict[str, object] = {"steps": [s.to_dict() for s in self.steps]}
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = {g.value: {"steps": [s.to_dict() for s in g.steps]} for g in self.groups}
            body["overlap"] = self.overlap
        if self.trend_period is not None:
            body["trend"] = [
                {"period": r.period, "users": list(r.users), "rate": r.rate, "interval": [r.lower, r.upper]}
                for r in self.trend
            ]
        body["count"] = self.definition.count
        body["removed"] = self.removed
        body["time_to_convert"] = [
            {"from_seconds": b.from_seconds, "to_seconds": b.to_seconds, "users": b.users} for b in self.histogram
        ]
        body["conversion_curve"] = [
            {"seconds": p.seconds, "rate": p.rate, "lower": p.lower, "upper": p.upper} for p in self.curve
        ]
        return body

    def tables(self) -> list[Table]:
        """Steps first, then groups, trend, times and the curve."""
        from upswing.diagnose.funnel_tables import funnel_tables

        return funnel_tables(self)

    def export(self) -> Table:
        """The steps, for all and for each group."""
        from upswing.diagnose.funnel_tables import funnel_export

        return funnel_export(self)

    def charts(self) -> list[Chart]:
        """Bars of the steps, lines of the trend and the curve."""
        found = [Chart("funnel", "steps", text("Steps"), x="step", y=("users",))]
        if self.trend:
            found.append(Chart("line", "trend", text("Conversion by period of entry"), x="period", y=("rate",)))
        if self.histogram:
            found.append(Chart("bar", "time_to_convert", text("Time to convert"), x="from_seconds", y=("users",)))
        if self.curve:
            found.append(
                Chart("interval", "conversion_curve", text("Converted over time"), x="seconds",
                      y=("rate", "lower", "upper"))
            )  # fmt: skip
        return found


def _rate(share: float | None) -> str:
    return MISSING if share is None else format_rate(share)


class _Length:
    """A time span that is written in the language in force when it is shown."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __str__(self) -> str:
        from upswing.core.i18n import current_locale

        return format_seconds(self.seconds, locale=current_locale())


__all__ = ["Bin", "Cell", "Column", "CurvePoint", "FunnelGroup", "FunnelResult", "FunnelStep", "Target", "TrendRow"]
