"""A hook loop: trigger → action → variable reward → investment, which loads the next trigger."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake, Spec
from upswing.spec.steps import EventMatch

Part = Literal["trigger", "action", "reward", "investment"]
PARTS: tuple[Part, ...] = ("trigger", "action", "reward", "investment")


class HookWindows(Spec):
    """Longest time to each part from the part before it."""

    action: DurationField = Field(default="1d", validate_default=True, description="From trigger to action.")
    reward: DurationField = Field(default="1d", validate_default=True, description="To the reward.")
    investment: DurationField = Field(default="1d", validate_default=True, description="To the investment.")
    trigger: DurationField = Field(
        default="7d", validate_default=True, description="From the last part to the next trigger."
    )


class HookDefinition(Definition):
    """A loop that is meant to become a habit."""

    kind: Literal["hook"] = Field(default="hook", description="Always 'hook'.")
    trigger: EventMatch = Field(description="What brings the user: a message, or an opening of their own.")
    action: EventMatch = Field(description="The simplest thing done in expectation of the reward.")
    reward: EventMatch | None = Field(default=None, description="What the user gets; varies if it is to hold.")
    investment: EventMatch | None = Field(
        default=None, description="What the user leaves behind that loads the next trigger."
    )
    within: HookWindows = Field(default_factory=HookWindows, description="Longest time of each arc.")
    again: DurationField = Field(
        default="14d", validate_default=True, description="Time in which the next loop is to be closed after a loop."
    )
    loops: int = Field(default=8, ge=2, le=50, description="Loops told apart; further ones are counted with the last.")

    @model_validator(mode="after")
    def _a_loop_has_three_parts(self) -> HookDefinition:
        if self.reward is None and self.investment is None:
            raise Mistake(text("a loop needs a reward or an investment after its action"))
        return self

    @property
    def parts(self) -> tuple[tuple[Part, EventMatch], ...]:
        """The parts that are given, in order."""
        given = ((name, getattr(self, name)) for name in PARTS)
        return tuple((name, match) for name, match in given if match is not None)

    @property
    def windows(self) -> tuple[int, ...]:
        """Window of each arc in µs; the last one leads back to the trigger."""
        names = [*[name for name, _ in self.parts][1:], "trigger"]
        return tuple(getattr(self.within, name).microseconds for name in names)
