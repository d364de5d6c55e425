"""Existing users: behaviour = motivation × ability × trigger, each told by signals."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake
from upswing.spec.signals import Signal
from upswing.spec.steps import EventMatch

Factor = Literal["motivation", "ability", "trigger"]
FACTORS: tuple[Factor, ...] = ("motivation", "ability", "trigger")


class BehaviourDefinition(Definition):
    """Which factor limits a behaviour, for whom."""

    kind: Literal["behaviour"] = Field(default="behaviour", description="Always 'behaviour'.")
    target: EventMatch = Field(description="The behaviour that is wanted, e.g. an entry.")
    who: EventMatch | None = Field(
        default=None, description="Existing users have such an event in the time looked back; the target if absent."
    )
    joined: EventMatch | None = Field(
        default=None,
        description="In place of one date for everybody: each user is looked at `settled` after the first such event.",
    )
    settled: DurationField = Field(default="2d", validate_default=True, description="Time from joining to that moment.")
    ahead: DurationField = Field(default="7d", validate_default=True, description="The target is counted for so long.")
    back: DurationField = Field(
        default="28d",
        validate_default=True,
        description="Signals are looked for so long before; that ends where it begins.",
    )
    motivation: list[Signal] = Field(default_factory=list, description="Signals of motivation.")
    ability: list[Signal] = Field(
        default_factory=list, description="Signals of ability; of difficulty with sign: less, e.g. errors."
    )
    trigger: list[Signal] = Field(default_factory=list, description="Signals of triggers, e.g. messages received.")
    by: str | None = Field(default=None, description="Property to show the limiting factor by.")
    good: float = Field(
        default=0.8, gt=0.5, lt=1, description="A factor is at a good level where this share of users is below it."
    )
    seed: int = Field(default=1, ge=0, description="Of the draws behind the intervals.")

    @model_validator(mode="after")
    def _has_signals(self) -> BehaviourDefinition:
        if not all((self.motivation, self.ability, self.trigger)):
            raise Mistake(text("each factor needs a signal: motivation, ability and trigger"))
        if self.who is not None and self.joined is not None:
            raise Mistake(text("give either 'who' or 'joined'"))
        return self
