"""What the behaviour model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show
from upswing.core.units import Duration
from upswing.diagnose.candidates import Candidate
from upswing.spec.behaviour import FACTORS, Factor
from upswing.strategy.behaviour_model import Gain

FACTOR_NAMES: Final[dict[Factor, Text]] = {
    "motivation": text("motivation"),
    "ability": text("ability"),
    "trigger": text("trigger"),
}
_STATES: Final[dict[Factor, Text]] = {
    "motivation": text("They can and are called, and do not want to"),
    "ability": text("They want to and are called, and it is too hard"),
    "trigger": text("They want to and can, and nothing calls them at the right moment"),
}
_LEVERS: Final[dict[Factor, Text]] = {
    "motivation": text("Show what it is good for: progress, others like them, a goal within reach"),
    "ability": text("Make it easier: fewer steps, no errors, a good default"),
    "trigger": text("Give them a trigger: permission for messages, a reminder at their usual hour, a mark in the app"),
}


@dataclass(frozen=True, slots=True)
class FactorSignal:
    """A signal's weight: log of the target events per spread of the signal, with its interval at 95 %."""

    factor: Factor
    name: str
    weight: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class FactorLevel:
    """A factor among some users.

    Attributes:
        factor: which.
        level: geometric mean; 1 is that of everybody.
        median: middle user.
        below: share of users below the good level.
        limits: share of users whom it limits: it has the largest gain of the three.
        gain: target events more in all if those below came up to the good level.
    """

    factor: Factor
    level: float
    median: float
    below: float
    limits: float
    gain: Gain


@dataclass(frozen=True, slots=True)
class BehaviourGroup:
    """Users with their factors; `name` is None for everybody."""

    name: str | None
    users: int
    mean: float
    factors: tuple[FactorLevel, ...]

    @property
    def limiting(self) -> FactorLevel | None:
        """The factor with the largest gain; None when no factor would gain anything."""
        best = max(self.factors, key=lambda f: f.gain.estimate)
        return best if best.gain.estimate > 0 else None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "name": self.name, "users": self.users, "mean": self.mean,
            "limiting": None if self.limiting is None else self.limiting.factor,
            "factors": [
                {"factor": f.factor, "level": f.level, "median": f.median, "below": f.below, "limits": f.limits,
                 "gain": f.gain.to_dict(), "gain_per_user": f.gain.estimate / self.users}
                for f in self.factors
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calibration:
    """Users of a tenth of the expected number: how many, expected and seen target events."""

    users: int
    expected: float
    seen: float


@dataclass(frozen=True, slots=True)
class PlaneCell:
    """Users with like ability and motivation, with a trigger above the middle or not."""

    ability: float
    motivation: float
    users: int
    acted: float
    mean: float
    triggered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourResult(Result):
    """Which factor limits whom."""

    verb: ClassVar[str] = "behaviour"
    name: str
    label: str
    target: str
    ahead: Duration
    by: str | None
    users: int
    mean: float
    signals: tuple[FactorSignal, ...]
    whole: BehaviourGroup
    groups: tuple[BehaviourGroup, ...]
    correlation: tuple[tuple[float, ...], ...]
    interaction: float
    calibration: tuple[Calibration, ...]
    plane: tuple[PlaneCell, ...]
    action_line: tuple[tuple[float, float], ...]

    def title(self) -> Text:
        """The question."""
        return text("What keeps users from {target}? ({name})", target=self.target, name=self.label)

    def verdict(self) -> Text:
        """The limiting factor of everybody, and the group where a single factor limits the most."""
        best = self.whole.limiting
        if best is None:
            return text("No factor is told by its signals: nothing can be said about what limits.")
        return text(
            "What limits most is {factor}: at a good level of it {users} users would do {target} {gain} times more in {ahead} "
            "(now {now} times); {certainty} of the draws agree.",
            factor=FACTOR_NAMES[best.factor], users=f"{self.users:,}", gain=f"{best.gain.estimate:,.0f}", target=self.target,
            ahead=self.ahead, now=f"{self.users * self.mean:,.0f}", certainty=show(best.gain.certainty, "ratio"),
        )  # fmt: skip

    def candidates(self) -> tuple[Candidate, ...]:
        """The limiting factor of each group (of everybody without groups), where one is clear."""
        found = []
        for group in self.groups or (self.whole,):
            best = group.limiting
            if best is None or best.gain.certainty < 0.8 or best.gain.lower <= 0:
                continue
            found.append(
                Candidate(
                    source=self.verb,
                    key=f"{self.name}_{group.name or 'all'}_{best.factor}",
                    state=_STATES[best.factor],
                    trace=text("{group}: {below} of {users} users are below a good level of {factor}", group=self._named(group),
                               below=show(best.below, "ratio"), users=f"{group.users:,}",
                               factor=FACTOR_NAMES[best.factor]),
                    lever=_LEVERS[best.factor],
                    metric=text("{target} in {ahead}", target=self.target, ahead=self.ahead),
                    users=round(group.users * best.below),
                    gain=best.gain.estimate,
                    lower=best.gain.lower,
                    upper=best.gain.upper,
                    basis=text("model of observed behaviour, not an experiment"),
                    definition={"group": group.name, "factor": best.factor, "target": self.target},
                )
            )  # fmt: skip
        return tuple(found)

    def _named(self, group: BehaviourGroup) -> Text | str:
        return text("everybody") if group.name is None else f"{self.by} = {group.name}"

    def data(self) -> dict[str, object]:
        """Weights, factors of everybody and by group, and what the model cannot tell."""
        return {
            "name": self.name, "target": self.target, "ahead": str(self.ahead), "by": self.by, "users": self.users, "mean": self.mean,
            "signals": [
                {"factor": s.factor, "name": s.name, "weight": s.weight, "lower": s.lower, "upper": s.upper}
                for s in self.signals
            ],
            "whole": self.whole.to_dict(), "groups": [g.to_dict() for g in self.groups],
            "limits": {
                "correlation": [list(row) for row in self.correlation], "interaction_p": self.interaction,
                "calibration": [
                    {"users": c.users, "expected": c.expected, "seen": c.seen} for c in self.calibration
                ],
            },
            "plane": [
                {"ability": c.ability, "motivation": c.motivation, "users": c.users, "acted": c.acted, "mean": c.mean,
                 "triggered": c.triggered}
                for c in self.plane
            ],
            "action_line": [{"ability": a, "motivation": m} for a, m in self.action_line],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """Factors by group, signals, the plane of ability and motivation, and how well the model holds."""
        factors: list[tuple[Cell, ...]] = [
            (self._named(g), g.users, g.mean, FACTOR_NAMES[f.factor], f.level, f.below, f.limits,
             f.gain.estimate / g.users, f.gain.lower / g.users, f.gain.upper / g.users, f.gain.certainty)
            for g in (self.whole, *self.groups)
            for f in g.factors
        ]  # fmt: skip
        signals: list[tuple[Cell, ...]] = [
            (FACTOR_NAMES[s.factor], s.name, s.weight, s.lower, s.upper) for s in self.signals
        ]
        triggers = {True: text("triggered"), False: text("not triggered")}
        plane: list[tuple[Cell, ...]] = [
            (c.ability, c.motivation, c.users, c.acted, c.mean, triggers[c.triggered]) for c in self.plane
        ]
        held: list[tuple[Cell, ...]] = [(c.users, c.expected, c.seen) for c in self.calibration]
        together: list[tuple[Cell, ...]] = [
            (FACTOR_NAMES[a], FACTOR_NAMES[b], self.correlation[i][j])
            for i, a in enumerate(FACTORS)
            for j, b in enumerate(FACTORS)
            if i < j
        ]
        return [
            Table("factors", text("What limits whom"), _FACTORS, factors),
            Table("signals", text("Signals"), _SIGNALS, signals),
            Table("plane", text("Ability, motivation and trigger"), _PLANE, plane),
            Table("calibration", text("Expected and seen"), _CALIBRATION, held),
            Table("together", text("How far factors go together"), _TOGETHER, together),
        ]

    def charts(self) -> list[Chart]:
        """The action line over ability and motivation, and gains by group."""
        return [
            Chart("scatter", "plane", text("Above the line a well triggered user does more than the mean user; area: users"),
                  x="ability", y=("motivation", "users"), series="trigger", curve=self.action_line),
            Chart("bar", "factors", text("Gain per user at a good level"), x="group", y=("gain",), series="factor"),
        ]  # fmt: skip


_FACTORS = (
    Column("group", text("Group")),
    Column("users", text("Users"), "count"),
    Column("mean", text("Target events per user"), "number"),
    Column("factor", text("Factor")),
    Column("level", text("Level"), "number", text("geometric mean; 1 is that of everybody")),
    Column("below", text("Below good"), "ratio"),
    Column("limits", text("Limits whom"), "ratio", text("share of users with the largest gain from this factor")),
    Column("gain", text("Gain per user"), "number", text("target events more at a good level")),
    Column("lower", text("Lower limit"), "number"),
    Column("upper", text("Upper limit"), "number"),
    Column(
        "certainty",
        text("Largest in so many draws"),
        "ratio",
        text("share of draws in which this factor has the largest gain"),
    ),
)
_SIGNALS = (
    Column("factor", text("Factor")),
    Column("signal", text("Signal")),
    Column("weight", text("Weight"), "number", text("log of target events per spread; 0: points against its factor")),
    Column("lower", text("Lower limit"), "number"),
    Column("upper", text("Upper limit"), "number"),
)
_PLANE = (
    Column("ability", text("Ability"), "number"),
    Column("motivation", text("Motivation"), "number"),
    Column("users", text("Users"), "count"),
    Column("acted", text("Acted"), "ratio"),
    Column("mean", text("Target events per user"), "number"),
    Column("trigger", text("Trigger")),
)
_CALIBRATION = (
    Column("users", text("Users"), "count"),
    Column("expected", text("Expected"), "number"),
    Column("seen", text("Observed"), "number"),
)
_TOGETHER = (
    Column("first", text("Factor")),
    Column("second", text("And")),
    Column("correlation", text("Correlation"), "number", text("of the log levels")),
)
