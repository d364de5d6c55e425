"""An experiment as a file: what is compared, on whom, and how it will be decided, before it starts."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, Mistake, Spec


class PrimaryMetric(Spec):
    """The metric that decides."""

    metric: str = Field(description="Name of the metric.")
    mde_rel: float | None = Field(default=None, gt=0, description="Smallest relative effect worth finding.")


class Guardrail(Spec):
    """A metric that must not get worse by more than a margin."""

    metric: str = Field(description="Name of the metric.")
    max_harm_rel: float | None = Field(default=None, gt=0, description="Largest relative harm that is accepted.")
    max_harm_abs: float | None = Field(default=None, gt=0, description="Largest absolute harm that is accepted.")

    @model_validator(mode="after")
    def _one_margin(self) -> Guardrail:
        if (self.max_harm_rel is None) == (self.max_harm_abs is None):
            raise Mistake(text("give either 'max_harm_rel' or 'max_harm_abs'"))
        return self


class Dates(Spec):
    """When it runs."""

    start: date | None = Field(default=None, description="First day.")
    end: date | None = Field(default=None, description="Last day.")


class ExperimentDefinition(Definition):
    """A comparison of variants by random assignment, with its rule of decision declared before the start."""

    kind: Literal["experiment"] = Field(default="experiment", description="Always 'experiment'.")
    hypothesis: str = Field(description="Name of the hypothesis it tests, or the claim in words.")
    status: Literal["draft", "running", "stopped", "decided"] = Field(default="draft", description="Where it stands.")
    unit: str = Field(default="user", description="What is assigned.")
    variants: dict[str, float] = Field(min_length=2, description="Share of each variant; they add up to 1.")
    control: str = Field(description="The variant that the others are compared with.")
    audience: str | None = Field(default=None, description="Segment that takes part; everybody if absent.")
    dates: Dates = Field(default_factory=Dates, description="When it runs.")
    users_needed: int | None = Field(default=None, gt=0, description="Users in all variants for the stated power.")
    primary: PrimaryMetric = Field(description="The metric that decides.")
    secondary: list[str] = Field(default_factory=list, description="Metrics that are looked at as well.")
    guardrails: list[Guardrail] = Field(default_factory=list, description="Metrics that must not get worse.")

    @model_validator(mode="after")
    def _shares_fit(self) -> ExperimentDefinition:
        if self.control not in self.variants:
            raise Mistake(text("'control' is one of the variants"))
        if abs(sum(self.variants.values()) - 1) > 1e-9 or min(self.variants.values()) < 0:
            raise Mistake(text("the shares of the variants add up to 1"))
        return self
