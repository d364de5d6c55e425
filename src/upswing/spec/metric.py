"""Metrics: one definition of each number, from which a value per period and a value per user both follow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.spec.base import Definition, DurationField
from upswing.spec.predicates import Condition
from upswing.spec.steps import EventMatch

Aggregate = Literal["count", "users", "sum", "mean", "min", "max"]


class Measure(EventMatch):
    """Something added up over events: how many, how many users, or a property's sum, mean, least or greatest value."""

    agg: Aggregate = Field(default="count", description="What is computed over the events.")
    of: str | None = Field(default=None, description="Property for sum, mean, min and max.")

    @model_validator(mode="after")
    def _property_fits(self) -> Measure:
        if (self.agg in ("count", "users")) == (self.of is not None):
            raise ValueError(f"agg '{self.agg}' {'takes no' if self.of else 'needs'} 'of', the property")
        return self


class MetricDefinition(Definition):
    """A number with one meaning.

    ``simple``: one measure. ``ratio``: numerator over denominator. ``proportion``: share of the active users of a period
    who did the numerator. ``conversion``: share of users with `start` who do `target` within `within`. ``retention``: share
    of users with `start` who do `target` in [`after`, `after` + `within`). ``quantile``: a quantile of `numerator.of`
    over events.
    """

    kind: Literal["metric"] = Field(default="metric", description="Always 'metric'.")
    type: Literal["simple", "ratio", "proportion", "conversion", "retention", "quantile"] = Field(
        description="How it is computed."
    )
    numerator: Measure | None = Field(default=None, description="What is added up, or the top of the ratio.")
    denominator: Measure | None = Field(default=None, description="The bottom of a ratio.")
    start: EventMatch | None = Field(default=None, description="Where a conversion or retention begins.")
    target: EventMatch | None = Field(default=None, description="What must follow.")
    after: DurationField | None = Field(default=None, description="Retention: earliest time after the start.")
    within: DurationField | None = Field(default=None, description="Length of the window.")
    quantile: float | None = Field(default=None, gt=0, lt=1, description="Which quantile, e.g. 0.95.")
    where: list[Condition] = Field(default_factory=list, description="Conditions on every event of the metric.")
    better: Literal["up", "down"] | None = Field(default=None, description="Which way is good.")
    unit: Literal["count", "ratio", "money", "seconds", "number"] | None = Field(
        default=None, description="How it is shown."
    )
    level: Literal["gold", "silver", "bronze"] = Field(default="bronze", description="How far it is to be trusted.")

    @model_validator(mode="after")
    def _parts_fit(self) -> MetricDefinition:
        needed = {
            "simple": ("numerator",), "ratio": ("numerator", "denominator"), "proportion": ("numerator",),
            "conversion": ("start", "target", "within"), "retention": ("start", "target", "after", "within"),
            "quantile": ("numerator", "quantile"),
        }[self.type]  # fmt: skip
        for key in ("numerator", "denominator", "start", "target", "after", "within", "quantile"):
            if (getattr(self, key) is not None) != (key in needed):
                raise ValueError(f"a {self.type} metric {'needs' if key in needed else 'takes no'} '{key}'")
        if self.type == "quantile" and self.numerator is not None and self.numerator.of is None:
            raise ValueError("a quantile metric needs 'of' in its numerator, the property")
        return self

    @property
    def shown_unit(self) -> Literal["count", "ratio", "money", "seconds", "number"]:
        """The unit as declared, or what follows from the type."""
        if self.unit is not None:
            return self.unit
        if self.type in ("proportion", "conversion", "retention"):
            return "ratio"
        counted = self.type == "simple" and self.numerator is not None and self.numerator.agg in ("count", "users")
        return "count" if counted else "number"
