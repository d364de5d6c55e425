"""A hypothesis: the user's state of mind, its trace in the data, the change that moves it, and a forecast."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal, TypeAlias

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, Mistake, Spec

HypothesisStage: TypeAlias = Literal["idea", "ready", "running", "decided", "shipped", "dropped", "archived"]
STAGES: Final[tuple[HypothesisStage, ...]] = ("idea", "ready", "running", "decided", "shipped", "dropped", "archived")
OPEN: Final[tuple[HypothesisStage, ...]] = ("idea", "ready", "running")
"""Stages that still need an answer."""
Scale: TypeAlias = Literal["relative", "absolute"]


class Forecast(Spec):
    """What the lever is expected to change, as three points: nine times in ten more than `low`, once in ten more than
    `high`."""

    low: float = Field(description="Exceeded nine times in ten (10 % point).")
    likely: float = Field(description="As often exceeded as not (median).")
    high: float = Field(description="Exceeded once in ten (90 % point).")
    scale: Scale = Field(default="relative", description="Change relative to the metric (0.03 = +3 %), or absolute.")
    by: str | None = Field(default=None, description="Who made the forecast.")
    source: Literal["growth_point", "experiment", "analogy", "research", "judgement"] = Field(
        default="judgement", description="What the forecast rests on."
    )

    @model_validator(mode="after")
    def _ascends(self) -> Forecast:
        if not self.low <= self.likely <= self.high:
            raise Mistake(text("a forecast ascends: low, likely, high"))
        return self


class Outcome(Spec):
    """What came out of it."""

    effect: float = Field(description="Estimated effect, in the forecast's scale.")
    se: float = Field(gt=0, description="Its standard error.")
    decided: date | None = Field(default=None, description="When it was decided.")
    decision: Literal["ship", "drop", "iterate"] | None = Field(default=None, description="What was decided.")
    realised: float | None = Field(default=None, description="Effect seen after the roll-out, in the same scale.")


class HypothesisDefinition(Definition):
    """One row of the backlog: state · trace · lever, with what it may bring and what it costs."""

    kind: Literal["hypothesis"] = Field(default="hypothesis", description="Always 'hypothesis'.")
    state: str = Field(min_length=1, description="What the user feels or thinks now.")
    trace: str = Field(min_length=1, description="How that shows in the data.")
    lever: str = Field(min_length=1, description="The change that moves it.")
    growth_point: str | None = Field(default=None, description="Growth point that it comes from.")
    metric: str | None = Field(default=None, description="Metric that is to move.")
    segment: str | None = Field(default=None, description="For whom; everybody if absent.")
    forecast: Forecast | None = Field(default=None, description="Expected effect on the metric.")
    confidence: float | None = Field(
        default=None, ge=0, le=1, description="Probability that the lever does anything at all."
    )
    baseline: float | None = Field(default=None, description="The metric today; measured from the log if absent.")
    deviation: float | None = Field(
        default=None,
        gt=0,
        description="Standard deviation of the metric per user; of a rate it follows from the baseline.",
    )
    reach: float | None = Field(default=None, gt=0, description="Users per week whom the change concerns.")
    cost: float | None = Field(default=None, ge=0, description="Person-days to build and to run it.")
    worth: float | None = Field(
        default=None, gt=0, description="Value of one unit of the metric for one user, e.g. money per conversion."
    )
    impact: int | None = Field(default=None, ge=1, le=10, description="For ICE and RICE: how much it moves, 1 to 10.")
    ease: int | None = Field(default=None, ge=1, le=10, description="For ICE: how easy it is, 1 to 10.")
    stage: HypothesisStage = Field(default="idea", description="Where it stands.")
    experiment: str | None = Field(default=None, description="Experiment that tests it.")
    created: date | None = Field(default=None, description="When it was written down.")
    outcome: Outcome | None = Field(default=None, description="What came out of it.")

    @model_validator(mode="after")
    def _outcome_has_a_forecast_scale(self) -> HypothesisDefinition:
        if self.stage in ("decided", "shipped") and self.outcome is None:
            raise Mistake(text("stage '{stage}' needs an 'outcome'", stage=self.stage))
        return self
