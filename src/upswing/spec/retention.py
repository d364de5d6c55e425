"""A retention question: what begins a cohort, what counts as coming back, and by which clock."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.core.units import Period
from upswing.spec.base import Definition, Mistake
from upswing.spec.steps import EventMatch


class RetentionDefinition(Definition):
    """How many users come back, by the period in which they began."""

    kind: Literal["retention"] = Field(default="retention", description="Always 'retention'.")
    start: EventMatch = Field(description="What begins a cohort.")
    returning: EventMatch | None = Field(
        default=None, alias="return", description="What counts as coming back; the start event if absent."
    )
    period: Period = Field(default="week", description="Length of a period.")
    periods: int = Field(default=8, ge=0, le=1000, description="Periods followed after the start.")
    entry: Literal["recurring", "first-time", "first-ever"] = Field(
        default="recurring",
        description="Who is in a cohort: `recurring` everyone with a start in the period, so a user may be in several; "
        "`first-time` those whose first start falls in it; `first-ever` those whose first event of that type, whatever "
        "its properties, falls in it and passes the conditions.",
    )
    clock: Literal["calendar", "rolling"] = Field(
        default="calendar",
        description="Periods of the workspace's calendar, or counted from each user's own start (a month is 30 days).",
    )
    at: Literal["on", "on-or-after", "on-or-before", "brackets"] = Field(
        default="on",
        description="When a return counts: in the period, in it or any later one, in any up to it, or in brackets of "
        "periods.",
    )
    brackets: list[tuple[int, int]] = Field(
        default_factory=list,
        description="First and last period of each bracket, e.g. [[1, 3], [4, 7]]; both inclusive.",
    )
    min_count: int = Field(default=1, ge=1, le=1_000_000, description="Fewest returns in a period for it to count.")
    sum: str | None = Field(
        default=None, description="Property summed over the return events from the start on (ARPU, LTV)."
    )

    @model_validator(mode="after")
    def _brackets_fit(self) -> RetentionDefinition:
        if (self.at == "brackets") != bool(self.brackets):
            raise Mistake(text("'brackets' and at: brackets go together"))
        if any(first < 0 or last < first for first, last in self.brackets):
            raise Mistake(text("a bracket is [first, last] with 0 <= first <= last"))
        return self

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """First and last lag of each column of the matrix."""
        if self.at == "brackets":
            return tuple(self.brackets)
        return tuple((lag, lag) for lag in range(self.periods + 1))

    @property
    def returns(self) -> EventMatch:
        """What counts as coming back."""
        return self.returning or self.start
