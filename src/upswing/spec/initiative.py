"""An initiative from idea to sunset: where it stands, who answers for it, what was decided, what is due."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, Mistake, Spec

InitiativeStage: TypeAlias = Literal[
    "idea", "research", "plan", "prototype", "requirements", "build", "test", "trial", "launch", "iterate", "sunset"
]
STAGES: Final[tuple[InitiativeStage, ...]] = (
    "idea", "research", "plan", "prototype", "requirements", "build", "test", "trial", "launch", "iterate", "sunset",
)  # fmt: skip
"""From nothing to something to nothing again, in order."""


class Note(Spec):
    """Something learned about the market, a competitor or users."""

    text: str = Field(min_length=1, description="What was learned.")
    about: Literal["market", "competitor", "users", "technology"] = Field(default="market", description="About what.")
    on: date | None = Field(default=None, alias="noted", description="When.")
    link: str | None = Field(default=None, description="Where it is written.")


class Paper(Spec):
    """A document that belongs to a stage."""

    title: str = Field(min_length=1, description="Its title.")
    link: str = Field(min_length=1, description="Address, or a path in the workspace.")
    stage: InitiativeStage | None = Field(default=None, description="Stage that it belongs to.")


class Decision(Spec):
    """What was decided and why."""

    text: str = Field(min_length=1, description="What was decided.")
    because: str | None = Field(default=None, description="Why.")
    by: str | None = Field(default=None, description="Who decided.")
    on: date = Field(alias="decided", description="When.")


class Reached(Spec):
    """A stage and the day it began."""

    stage: InitiativeStage = Field(description="The stage.")
    since: date = Field(description="The day it began.")


class InitiativeDefinition(Definition):
    """A product, a feature or a campaign, over its whole life."""

    kind: Literal["initiative"] = Field(default="initiative", description="Always 'initiative'.")
    stage: InitiativeStage = Field(default="idea", description="Where it stands.")
    history: list[Reached] = Field(default_factory=list, description="Stages it went through, oldest first.")
    due: date | None = Field(default=None, description="When the stage is to be done.")
    next_step: str | None = Field(default=None, description="What has to happen next.")
    notes: list[Note] = Field(default_factory=list, description="Market, competitors, users.")
    documents: list[Paper] = Field(default_factory=list, description="Plans, prototypes, requirements, reports.")
    decisions: list[Decision] = Field(default_factory=list, description="Decisions, oldest first.")
    hypotheses: list[str] = Field(default_factory=list, description="Hypotheses that belong to it.")
    experiments: list[str] = Field(default_factory=list, description="Experiments that belong to it.")
    metrics: list[str] = Field(default_factory=list, description="Metrics by which it is judged.")

    @model_validator(mode="after")
    def _history_fits(self) -> InitiativeDefinition:
        if any(b.since < a.since for a, b in pairwise(self.history)):
            raise Mistake(text("'history' goes from the oldest stage to the newest"))
        if self.history and self.history[-1].stage != self.stage:
            raise Mistake(
                text(
                    "'stage' is {stage}, but 'history' ends with {last}", stage=self.stage, last=self.history[-1].stage
                )
            )
        return self

    @property
    def since(self) -> date | None:
        """The day the present stage began, if it is known."""
        return self.history[-1].since if self.history else None
