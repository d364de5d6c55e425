"""A funnel: steps, a conversion window, and what may and may not happen between."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake
from upswing.spec.predicates import Condition
from upswing.spec.steps import EventMatch, Step

StepNumber = Annotated[int, Field(ge=1, le=63)]
Attribution: TypeAlias = Literal["entry", "last", "all"] | StepNumber


class Exclusion(EventMatch):
    """An event that must not happen between two steps."""

    between: tuple[StepNumber, StepNumber] = Field(
        description="Numbers of the two steps, from 1: the event must not lie between them."
    )

    @model_validator(mode="after")
    def _ascends(self) -> Exclusion:
        if self.between[0] >= self.between[1]:
            raise Mistake(text("'between' is [a, b] with step a before step b"))
        return self


class FunnelDefinition(Definition):
    """How many users get from one step to the next within a window."""

    kind: Literal["funnel"] = Field(default="funnel", description="Always 'funnel'.")
    steps: list[Step] = Field(min_length=2, max_length=63, description="The steps, first to last.")
    window: DurationField = Field(
        default="7d",
        validate_default=True,
        description="Longest time from the first step to the last, inclusive. The range of a question limits entries "
        "only; later steps may lie after it.",
    )
    order: Literal["ordered", "strict", "any"] = Field(
        default="ordered",
        description="`ordered`: other events may lie between; `strict`: none at all; `any`: steps in any order.",
    )
    count: Literal["users", "sessions", "totals", "pairs"] = Field(
        default="users",
        description="What is counted: users (their deepest chain), sessions, totals (every attempt), or pairs of user "
        "and held value.",
    )
    session_gap: DurationField = Field(
        default="30m", validate_default=True, description="Pause that ends a session (count: sessions)."
    )
    session: str | None = Field(
        default=None, description="Property that names the session, instead of the pause (count: sessions)."
    )
    exclude: list[Exclusion] = Field(default_factory=list, description="Events that must not happen between two steps.")
    exclusion_policy: Literal["drop", "remove"] = Field(
        default="drop",
        description="What an exclusion does: the user drops out at that step, or leaves the funnel altogether.",
    )
    hold: str | list[str] | None = Field(
        default=None,
        description="Property (or several) that must have the same value at every step; a missing one matches nothing.",
    )
    tie: Literal["any", "ingest", "strict"] = Field(
        default="any",
        description="Events at the same time: `any` order counts, the order of `ingest` does, or one never follows the "
        "other (`strict`).",
    )
    profile: Literal["posthog", "mixpanel", "amplitude", "clickhouse", "growingio"] | None = Field(
        default=None, description="Rules of another product, to reproduce its numbers."
    )
    where: list[Condition] = Field(default_factory=list, description="Conditions on every event, steps or not.")
    breakdowns: list[str] = Field(default_factory=list, description="Properties to break down by on pages and reports.")
    attribution: Attribution = Field(
        default="entry",
        description="Event that gives the breakdown value: at entry, the last step reached, a step by number, or `all` "
        "steps, which must then share the value.",
    )

    @property
    def held(self) -> tuple[tuple[str, ...], ...]:
        """Held properties of each step; empty when nothing is held."""
        shared = (self.hold,) if isinstance(self.hold, str) else tuple(self.hold or ())
        each = tuple((step.hold,) if step.hold else shared for step in self.steps)
        return each if any(each) else ()

    @model_validator(mode="after")
    def _numbers_fit(self) -> FunnelDefinition:
        last = len(self.steps)
        if any(e.between[1] > last for e in self.exclude):
            raise Mistake(text("an exclusion lies between steps 1 and {last}", last=last))
        if isinstance(self.attribution, int) and self.attribution > last:
            raise Mistake(text("there is no step {n}: the funnel has {k}", n=self.attribution, k=last), code="UP647")
        if len(self.steps) + len(self.exclude) > 64:
            raise Mistake(text("steps and exclusions together are at most 64"))
        if self.steps[0].optional or self.steps[-1].optional:
            raise Mistake(text("the first and the last step cannot be optional"))
        if self.steps[0].min_gap or self.steps[0].max_gap:
            raise Mistake(text("the first step has no step before it: leave out min_gap and max_gap"))
        for step in self.steps:
            if step.min_gap and step.max_gap and step.min_gap > step.max_gap:
                raise Mistake(text("{step}: min_gap is longer than max_gap", step=step.shown))
        return self

    @model_validator(mode="after")
    def _combines(self) -> FunnelDefinition:
        fine = any(s.optional or s.min_gap or s.max_gap for s in self.steps)
        if self.order == "any" and (self.exclude or fine):
            raise Mistake(text("order any knows no exclusions, optional steps or gaps"))
        if self.held and not all(self.held):
            raise Mistake(text("a held property is needed at every step: give 'hold' for the whole funnel"))
        if self.count == "pairs" and not self.held:
            raise Mistake(text("count pairs needs 'hold'"))
        if self.count == "totals" and self.held:
            raise Mistake(text("count totals cannot hold a property; count pairs counts each held value once"))
        if self.count == "totals" and self.exclusion_policy == "remove":
            raise Mistake(text("count totals drops at an exclusion; it cannot remove"))
        if self.order == "strict" and self.exclusion_policy == "remove" and self.exclude:
            raise Mistake(text("strict order drops at any other event already; use exclusion_policy drop"))
        reordered = self.order != "ordered" and self.profile != "posthog"
        if self.profile and (fine or self.held or reordered or self.count != "users"):
            raise Mistake(
                text(
                    "profile {profile} has rules of its own: leave out order, count, hold, optional steps and gaps",
                    profile=self.profile,
                )
            )
        if self.profile in ("amplitude", "clickhouse", "growingio") and self.exclude:
            raise Mistake(text("profile {profile} knows no exclusions", profile=self.profile))
        return self
