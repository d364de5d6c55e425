"""Signals: what users do or meet that tells of a state of mind."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Label, Mistake, label_shown
from upswing.spec.steps import EventMatch

Measure = Literal["any", "count", "sum", "largest", "time"]


class Signal(EventMatch):
    """A trace in the events, measured per user.

    Among users who never came where the trace can be left (nobody meets an error in a form they did not open), it says
    nothing: name that place in `among`, and those users are neither low nor high.
    """

    name: str | None = Field(default=None, description="Shown name; the event's otherwise.")
    label: str | Label | None = Field(default=None, description="Shown name in both languages.")
    measure: Measure = Field(
        default="any",
        description="Whether it happened, how often, the sum or the largest of a property, or the time until it happened.",
    )
    of: str | None = Field(default=None, description="Property that is summed, or whose largest value is taken.")
    sign: Literal["more", "less"] = Field(
        default="more", description="Whether more of it means more of the factor, or less of it."
    )
    among: str | list[str] | None = Field(
        default=None, description="Event, or any of several, without which the signal says nothing."
    )

    @model_validator(mode="after")
    def _a_number_where_one_is_needed(self) -> Signal:
        if (self.measure in ("sum", "largest")) != (self.of is not None):
            raise Mistake(text("'of' goes with measure: sum or largest, and with no other"))
        return self

    @property
    def shown(self) -> str:
        """The signal's name as shown."""
        told = label_shown(self.label) or self.name
        if told:
            return told
        return self.described if self.measure == "any" else f"{self.described} · {self.of or self.measure}"

    @property
    def place(self) -> EventMatch | None:
        """Where the trace can be left at all; None = anywhere."""
        if self.among is None:
            return None
        return EventMatch(any_of=[self.among] if isinstance(self.among, str) else self.among)
