"""Segments: sets of users, by what they are, what they did, how often they are active, or by name."""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, Tag, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake, Spec, told_by_key
from upswing.spec.predicates import Did, ExpressionCondition, PropertyCondition

Quintile = Annotated[int, Field(ge=1, le=5)]


class ActiveDays(Spec):
    """Users by the number of local days on which they were active: the frequency bands."""

    active_days: str | list[str] = Field(description="Event(s) that count as active; '*' for any.")
    at_least: int | None = Field(default=None, ge=0, description="Fewest days.")
    at_most: int | None = Field(default=None, ge=0, description="Most days.")
    within: DurationField = Field(
        default="30d", validate_default=True, description="Counted back from the reference time."
    )


class Rfm(Spec):
    """Users by quintile of recency, frequency and amount of one event; 5 is best. Only users who did it have a score."""

    rfm: str = Field(description="Event that is scored, e.g. order_paid.")
    amount: str | None = Field(default=None, description="Property that is summed for the monetary score.")
    recency: list[Quintile] | None = Field(default=None, min_length=1, description="Quintiles kept; 5 = most recent.")
    frequency: list[Quintile] | None = Field(default=None, min_length=1, description="Quintiles kept; 5 = most often.")
    monetary: list[Quintile] | None = Field(default=None, min_length=1, description="Quintiles kept; 5 = highest sum.")
    within: DurationField | None = Field(
        default=None, description="Counted back from the reference time; all if absent."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Rfm:
        if self.recency is None and self.frequency is None and self.monetary is None:
            raise Mistake(text("give at least one of recency, frequency, monetary"))
        if self.monetary is not None and self.amount is None:
            raise Mistake(text("monetary needs 'amount', the property that is summed"))
        return self


class Listed(Spec):
    """Users named one by one."""

    users: list[str] | None = Field(default=None, description="User ids.")
    users_file: str | None = Field(default=None, description="Text file with one id a line, relative to the workspace.")

    @model_validator(mode="after")
    def _one_source(self) -> Listed:
        if (self.users is None) == (self.users_file is None):
            raise Mistake(text("give either 'users' or 'users_file'"))
        return self


class InSegment(Spec):
    """Users of another segment."""

    segment: str = Field(description="Name of the segment.")


UserCondition = Annotated[
    Union[  # noqa: UP007 - a recursive alias
        Annotated[PropertyCondition, Tag("<PropertyCondition>")],
        Annotated[ExpressionCondition, Tag("<ExpressionCondition>")],
        Annotated[Did, Tag("<Did>")],
        Annotated[ActiveDays, Tag("<ActiveDays>")],
        Annotated[Rfm, Tag("<Rfm>")],
        Annotated[Listed, Tag("<Listed>")],
        Annotated[InSegment, Tag("<InSegment>")],
        Annotated["AllUsers", Tag("<AllUsers>")],
        Annotated["AnyUsers", Tag("<AnyUsers>")],
    ],
    told_by_key(
        {
            "prop": "PropertyCondition", "expr": "ExpressionCondition", "did": "Did", "active_days": "ActiveDays",
            "rfm": "Rfm", "users": "Listed", "users_file": "Listed", "segment": "InSegment", "all": "AllUsers",
            "any": "AnyUsers", "op": "PropertyCondition", "value": "PropertyCondition",
        }
    ),
]  # fmt: skip


class AllUsers(Spec):
    """Users who meet every one of these."""

    all: list[UserCondition] = Field(min_length=1, description="Every one of these.")


class AnyUsers(Spec):
    """Users who meet at least one of these."""

    any: list[UserCondition] = Field(min_length=1, description="At least one of these.")


class SegmentDefinition(Definition):
    """A saved set of users, evaluated anew at each use.

    A property condition looks at the user's last known value at the reference time (the end of the range).
    """

    kind: Literal["segment"] = Field(default="segment", description="Always 'segment'.")
    all: list[UserCondition] = Field(default_factory=list, description="Users meet every one of these.")
    any: list[UserCondition] = Field(default_factory=list, description="And at least one of these.")
    exclude: list[UserCondition] = Field(default_factory=list, description="And none of these.")

    @model_validator(mode="after")
    def _not_empty(self) -> SegmentDefinition:
        if not (self.all or self.any or self.exclude):
            raise Mistake(text("a segment needs at least one condition under all, any or exclude"))
        return self


for _model in (AllUsers, AnyUsers, SegmentDefinition):
    _model.model_rebuild()
