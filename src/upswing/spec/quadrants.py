"""New users by desire and friction: which signals tell of which, and what activation is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Label, Mistake
from upswing.spec.signals import Signal
from upswing.spec.steps import EventMatch

QuadrantName = Literal["high_low", "high_high", "low_low", "low_high"]
QUADRANTS: tuple[QuadrantName, ...] = ("high_low", "high_high", "low_low", "low_high")
"""Desire first, friction second; in the order in which activation should fall."""


class Later(EventMatch):
    """Something users may do in a window after the start."""

    after: DurationField = Field(description="Beginning of the window after the start.")
    until: DurationField = Field(description="End of the window, exclusive.")

    @model_validator(mode="after")
    def _ascends(self) -> Later:
        if self.until <= self.after:
            raise Mistake(text("'until' must be later than 'after'"))
        return self


class Value(EventMatch):
    """What users are worth: the sum of a property in the time after the start."""

    of: str = Field(description="Property that is summed, e.g. amount.")
    within: DurationField = Field(default="28d", validate_default=True, description="Time after the start.")


class QuadrantsDefinition(Definition):
    """Conversion = desire − friction, for new users."""

    kind: Literal["quadrants"] = Field(default="quadrants", description="Always 'quadrants'.")
    start: EventMatch = Field(description="When users are looked at: the first such event, e.g. account_created.")
    before: DurationField | None = Field(default=None, description="Signals are looked for so long before the start.")
    after: DurationField | None = Field(
        default=None, description="And so long after it; activation counts only afterwards."
    )
    outcome: EventMatch = Field(description="What activates, e.g. the first entry.")
    within: DurationField = Field(
        default="7d", validate_default=True, description="Time for activation once the signals have been seen."
    )
    desire: list[Signal] = Field(default_factory=list, description="Signals of desire.")
    friction: list[Signal] = Field(
        default_factory=list,
        description="Signals of friction. Without any signal, both sides are proposed from the data.",
    )
    retention: Later | None = Field(default=None, description="Coming back later, shown per quadrant.")
    value: Value | None = Field(default=None, description="Worth, shown per quadrant.")
    by: str | None = Field(default=None, description="Property to show the quadrants by, e.g. channel.")
    cut: tuple[float, float] = Field(
        default=(0.5, 0.5),
        description="Share of users below the cut of desire and of friction; the nearest gap is taken.",
    )
    cards: dict[QuadrantName, Label] = Field(
        default_factory=dict, description="Strategy per quadrant in place of the shipped text."
    )
    seed: int = Field(default=1, ge=0, description="Of the folds, and of the split when signals are proposed.")

    @model_validator(mode="after")
    def _fits(self) -> QuadrantsDefinition:
        if self.before is None and self.after is None:
            raise Mistake(text("say how long signals are looked for: 'before' or 'after' the start"))
        if bool(self.desire) != bool(self.friction):
            raise Mistake(text("signals of desire and of friction go together; leave both out to have them proposed"))
        if any(not 0 < c < 1 for c in self.cut):
            raise Mistake(text("'cut' is two shares between 0 and 1"))
        return self
