"""What the quadrants of new users answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ruamel.yaml import YAML

from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show
from upswing.diagnose.candidates import Candidate
from upswing.spec.base import Label
from upswing.spec.quadrants import QuadrantName, QuadrantsDefinition
from upswing.strategy.cards import CARDS, QUADRANT_NAMES, card
from upswing.strategy.quadrant_scores import Effect, Ordering

_SIDES = {"desire": text("desire"), "friction": text("friction")}


@dataclass(frozen=True, slots=True)
class SignalWeight:
    """A signal with its weight: log odds per spread of the signal; 0 where it points against its side."""

    side: Literal["desire", "friction"] | str
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One quadrant; retention and value are NaN where they were not asked for."""

    name: QuadrantName
    users: int
    share: float
    activation: Effect
    retention: Effect
    value: Effect


@dataclass(frozen=True, slots=True)
class QuadrantGroup:
    """One group, e.g. a channel: its users' shares by quadrant and activation, in the order of the quadrants."""

    name: str
    users: int
    shares: tuple[float, ...]
    activation: tuple[Effect, ...]
    overall: Effect


@dataclass(frozen=True, slots=True)
class Cell2D:
    """Users with like scores: mean desire and friction, how many, and their activation."""

    desire: float
    friction: float
    users: int
    activation: float
    quadrant: QuadrantName


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadrantsResult(Result):
    """Four quadrants, out of sample, with the check whether they mean anything."""

    verb: ClassVar[str] = "quadrants"
    label: str
    outcome: str
    users: int
    waiting: int
    early: int
    proposed: bool
    signals: tuple[SignalWeight, ...]
    cuts: tuple[float, float]
    slope: float
    brier: float
    area: float
    order: Ordering
    quadrants: tuple[Quadrant, ...]
    groups: tuple[QuadrantGroup, ...]
    plane: tuple[Cell2D, ...]
    friction_gain: Effect
    cards: Mapping[QuadrantName, Label]
    definition: QuadrantsDefinition

    def title(self) -> Text:
        """The question."""
        return text("Who wants to, and whom does something stop? ({name})", name=self.definition.shown)

    def verdict(self) -> Text:
        """Whether the quadrants hold, and what separates them."""
        if not self.order.passed:
            return text("The quadrants do not order activation on users the model has not seen; do not act on them.")
        first, last = self.quadrants[0], self.quadrants[-1]
        return text(
            "Activation is {first} with high desire and low friction, {last} with low desire and high friction; high "
            "desire goes with {desire}, high friction with {friction}.",
            first=show(first.activation.estimate, "ratio"), last=show(last.activation.estimate, "ratio"),
            desire=show(self.order.desire.estimate, "difference"),
            friction=show(-self.order.friction.estimate, "difference"),
        )  # fmt: skip

    def candidates(self) -> tuple[Candidate, ...]:
        """Willing users whom friction stops; none when the quadrants do not hold."""
        stopped = self.quadrants[1]
        if not self.order.passed or self.friction_gain.lower <= 0:
            return ()
        gain = self.friction_gain
        return (
            Candidate(
                source=self.verb,
                key=f"{self.definition.name}_high_high",
                state=text("They want to, and more of them are stopped on the way"),
                trace=text("{n} new users with high desire and high friction activate at {rate}, those with low friction at "
                           "{best}", n=f"{stopped.users:,}", rate=show(stopped.activation.estimate, "ratio"),
                           best=show(self.quadrants[0].activation.estimate, "ratio")),
                lever=text("Remove what stops them: {signals}", signals=", ".join(self._telling("friction")) or "–"),
                metric=text("activated users"),
                users=stopped.users,
                gain=stopped.users * gain.estimate,
                lower=stopped.users * gain.lower,
                upper=stopped.users * gain.upper,
                basis=text("observed difference between quadrants, not an experiment"),
                definition={"quadrant": "high_high", "outcome": self.outcome},
            ),
        )  # fmt: skip

    def _telling(self, side: str) -> list[str]:
        told = sorted((s for s in self.signals if s.side == side and s.weight > 0), key=lambda s: -s.weight)
        return [s.name for s in told[:3]]

    def draft(self) -> str:
        """The definition with its signals and cards in both languages, as a file to edit."""
        body = self.definition.model_dump(mode="json", exclude_defaults=True)
        if self.proposed:
            for side in ("desire", "friction"):
                body[side] = [{"event": s.name} for s in self.signals if s.side == side]
        body["cards"] = {
            name: (self.cards.get(name) or CARDS[name]).model_dump(exclude_none=True) for name in QUADRANT_NAMES
        }
        out = io.StringIO()
        writer = YAML()
        writer.width = 118
        writer.dump({"kind": "quadrants", **body}, out)
        return out.getvalue()

    def data(self) -> dict[str, object]:
        """Quadrants, weights, the check, groups and cards."""
        return {
            "name": self.definition.name, "outcome": self.outcome, "users": self.users, "waiting": self.waiting, "early": self.early,
            "proposed": self.proposed,
            "check": {
                "passed": self.order.passed, "desire": self.order.desire.to_dict(),
                "friction": self.order.friction.to_dict(), "rates": list(self.order.rates),
            },
            "calibration": {"slope": self.slope, "brier": self.brier, "auc": self.area},
            "signals": [{"side": s.side, "name": s.name, "weight": s.weight} for s in self.signals],
            "cuts": {"desire": self.cuts[0], "friction": self.cuts[1]},
            "quadrants": [
                {"name": q.name, "users": q.users, "share": q.share, "activation": q.activation.to_dict(),
                 "retention": q.retention.to_dict(), "value": q.value.to_dict(), "card": card(q.name, self.cards)}
                for q in self.quadrants
            ],
            "groups": [
                {"name": g.name, "users": g.users, "shares": list(g.shares), "overall": g.overall.to_dict(),
                 "activation": [a.to_dict() for a in g.activation]}
                for g in self.groups
            ],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """Quadrants with cards, signals, the check, groups, and the plane of scores."""
        quadrants: list[tuple[Cell, ...]] = [
            (QUADRANT_NAMES[q.name], q.users, q.share, q.activation.estimate, q.activation.lower, q.activation.upper,
             q.retention.estimate, q.value.estimate,
             card(q.name, self.cards) if self.order.passed else "")
            for q in self.quadrants
        ]  # fmt: skip
        checks: list[tuple[Cell, ...]] = [
            (text("high desire against low"), *_cells(self.order.desire)),
            (text("low friction against high"), *_cells(self.order.friction)),
        ]
        note = (
            text("Among users that the model has not seen the quadrants come in this order.")
            if self.order.passed
            else text(
                "Among users that the model has not seen the quadrants do not come in this order: do not rely on them."
            )
        )
        tables = [
            Table("quadrants", text("Quadrants"), _QUADRANTS, quadrants),
            Table("check", text("Difference in activation, out of sample"), _CHECK, checks, note),
            Table("signals", text("Signals"), _SIGNALS, [(_SIDES[s.side], s.name, s.weight) for s in self.signals]),
        ]
        if self.groups:
            rows: list[tuple[Cell, ...]] = [
                (g.name, g.users, QUADRANT_NAMES[q.name], share, rate.estimate, rate.lower, rate.upper)
                for g in self.groups
                for q, share, rate in zip(self.quadrants, g.shares, g.activation, strict=True)
            ]
            tables.append(Table("groups", text("Quadrants by group"), _GROUPS, rows))
        plane: list[tuple[Cell, ...]] = [
            (c.friction, c.desire, c.users, c.activation, QUADRANT_NAMES[c.quadrant]) for c in self.plane
        ]
        return [*tables, Table("plane", text("Users by score"), _PLANE, plane)]

    def charts(self) -> list[Chart]:
        """The plane with its cuts, and activation by quadrant."""
        return [
            Chart("scatter", "plane", text("Desire over friction; area: users"), x="friction", y=("desire", "users"),
                  series="quadrant", marks=(("x", self.cuts[1]), ("y", self.cuts[0]))),
            Chart("bar", "quadrants", text("Activation by quadrant"), x="quadrant", y=("activation",)),
        ]  # fmt: skip


_QUADRANTS = (
    Column("quadrant", text("Quadrant")),
    Column("users", text("Users"), "count"),
    Column("share", text("Share"), "ratio"),
    Column("activation", text("Activated"), "ratio"),
    Column("lower", text("Lower limit"), "ratio"),
    Column("upper", text("Upper limit"), "ratio"),
    Column("retention", text("Retained"), "ratio"),
    Column("value", text("Value per user"), "number"),
    Column("card", text("Strategy")),
)
_CHECK = (
    Column("comparison", text("Comparison")),
    Column("difference", text("Difference"), "difference"),
    Column("lower", text("Lower limit"), "difference"),
    Column("upper", text("Upper limit"), "difference"),
)
_SIGNALS = (
    Column("side", text("Side")),
    Column("signal", text("Signal")),
    Column("weight", text("Weight"), "number", text("log odds per spread of the signal; 0: points against its side")),
)
_GROUPS = (
    Column("group", text("Group")),
    Column("users", text("Users"), "count"),
    Column("quadrant", text("Quadrant")),
    Column("share", text("Share of group"), "ratio"),
    Column("activation", text("Activated"), "ratio"),
    Column("lower", text("Lower limit"), "ratio"),
    Column("upper", text("Upper limit"), "ratio"),
)
_PLANE = (
    Column("friction", text("Friction"), "number"),
    Column("desire", text("Desire"), "number"),
    Column("users", text("Users"), "count"),
    Column("activation", text("Activated"), "ratio"),
    Column("quadrant", text("Quadrant")),
)


def _cells(effect: Effect) -> tuple[float, float, float]:
    return effect.estimate, effect.lower, effect.upper
