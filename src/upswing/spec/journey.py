"""A journey map: stages with what users do, think and feel, bound to the events that begin and end them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Label, Mistake, Spec, label_shown
from upswing.spec.steps import EventMatch


class Persona(Spec):
    """Whose journey it is."""

    name: str = Field(description="A name to speak of them by.")
    text: str | None = Field(default=None, description="Who they are and what they want.")


class Feeling(Spec):
    """A source of the emotion curve: scores of a survey (or of other notes by their `source`)."""

    survey: str = Field(description="Name of the source in the evidence.")
    low: float = Field(default=1, description="Worst score on its scale.")
    high: float = Field(default=5, description="Best score on its scale.")
    weight: float = Field(default=1, gt=0, description="How much it counts beside other sources.")

    @model_validator(mode="after")
    def _scale_ascends(self) -> Feeling:
        if self.low >= self.high:
            raise Mistake(text("'low' is the worst score and lies below 'high', the best"))
        return self


class Idea(Spec):
    """What might make the stage better."""

    text: str = Field(min_length=1, description="The idea.")
    hypothesis: str | None = Field(default=None, description="Hypothesis that it became.")


class Stage(Spec):
    """One stage of the way."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Id of the stage.")
    label: str | Label | None = Field(default=None, description="Shown name.")
    touchpoints: list[str] = Field(default_factory=list, description="Where users meet the product.")
    does: str | None = Field(default=None, description="What users do.")
    thinks: str | None = Field(default=None, description="What they think.")
    enters: EventMatch = Field(description="Event with which the stage begins.")
    leaves: EventMatch | None = Field(
        default=None, description="Event with which the last stage is done; other stages end where the next begins."
    )
    feels: list[Feeling] = Field(default_factory=list, description="Where its point on the emotion curve comes from.")
    tags: list[str] = Field(default_factory=list, description="Words that put a note into this stage.")
    pains: list[str] = Field(default_factory=list, description="What hurts.")
    ideas: list[Idea] = Field(default_factory=list, description="What might help.")
    target: float | None = Field(default=None, gt=0, le=1, description="Target pass rate to the next stage, 0 to 1.")

    @property
    def shown(self) -> str:
        """The label in the language in force, or the name."""
        return label_shown(self.label) or self.name


class JourneyDefinition(Definition):
    """The way of a user through the product, felt and measured."""

    kind: Literal["journey"] = Field(default="journey", description="Always 'journey'.")
    persona: Persona | None = Field(default=None, description="Whose journey it is.")
    segment: str | None = Field(default=None, description="Users of this segment only.")
    stages: list[Stage] = Field(min_length=2, max_length=30, description="The stages, first to last.")
    window: DurationField = Field(
        default="30d", validate_default=True, description="Longest time from the first stage to the last."
    )
    min_n: int = Field(default=30, ge=1, description="Fewer scores than this make a hollow point.")

    @model_validator(mode="after")
    def _stages_fit(self) -> JourneyDefinition:
        names = [stage.name for stage in self.stages]
        double = next((n for n in names if names.count(n) > 1), None)
        if double is not None:
            raise Mistake(text("two stages are named '{name}'", name=double))
        if any(stage.leaves is not None for stage in self.stages[:-1]):
            raise Mistake(text("only the last stage has 'leaves': others end where the next begins"))
        return self
