"""A paths question: which events are steps, where paths are cut, and how they are joined and shown."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake
from upswing.spec.predicates import Condition
from upswing.spec.steps import EventMatch


class PathsDefinition(Definition):
    """What users do after, before, or between two events."""

    kind: Literal["paths"] = Field(default="paths", description="Always 'paths'.")
    after: EventMatch | None = Field(default=None, description="Paths begin with the first such event.")
    before: EventMatch | None = Field(
        default=None, description="Paths end with the last such event (first after `after`)."
    )
    events: list[str] | None = Field(
        default=None, min_length=1, description="Only these events are steps; all if absent."
    )
    where: list[Condition] = Field(
        default_factory=list, description="Only events that meet these conditions are steps."
    )
    node: str = Field(default="event", description="What a step is called by: 'event', or a property such as page.")
    session_gap: DurationField | Literal["none"] = Field(
        default="30m", validate_default=True, description="Idle time that ends a path; 'none' for whole histories."
    )
    session: str | None = Field(
        default=None, description="Property that names the session; then the gap does not count."
    )
    collapse: bool = Field(default=True, description="Consecutive repeats of a step count as one.")
    hide: list[str] = Field(default_factory=list, description="Names or patterns (view_*) that are left out.")
    group: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="Steps joined under one name: {shop: 'shop_*'} or {shop: [cart, 'view_*']}.",
    )
    depth: int = Field(default=5, ge=2, le=50, description="Most steps of a path.")
    top: int = Field(default=8, ge=1, le=200, description="Most names at a position; the rest is '(other)'.")

    @model_validator(mode="after")
    def _anchors_are_steps(self) -> PathsDefinition:
        for match in (self.after, self.before):
            if match is not None and match.events and all(self.node_name(e) is None for e in match.events):
                raise Mistake(text("'{event}' is hidden, so no path can begin or end with it", event=match.described))
        return self

    def node_name(self, value: str) -> str | None:
        """The step that a value becomes; None when it is hidden. Names and patterns match the value as it is stored."""
        if any(fnmatchcase(value, pattern) for pattern in self.hide):
            return None
        for name, patterns in self.group.items():
            if any(fnmatchcase(value, p) for p in ([patterns] if isinstance(patterns, str) else patterns)):
                return name
        return value

    @property
    def gap(self) -> int:
        """Idle time in µs; 0 for whole histories."""
        if self.session is not None or isinstance(self.session_gap, str):
            return 0
        return self.session_gap.microseconds
