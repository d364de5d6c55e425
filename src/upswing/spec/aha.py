"""An aha question: which early behaviour, how often, within how long, goes with the outcome that counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from upswing.core.i18n import Text, text
from upswing.core.units import DAY
from upswing.spec.base import Definition, DurationField, Mistake
from upswing.spec.steps import EventMatch


class Behaviour(EventMatch):
    """Something users may do early."""

    name: str | None = Field(default=None, description="Shown name; the event's otherwise.")

    @property
    def shown(self) -> str:
        """The behaviour's name as shown."""
        return self.name or self.described


class AhaDefinition(Definition):
    """Which early behaviour predicts that users stay."""

    kind: Literal["aha"] = Field(default="aha", description="Always 'aha'.")
    start: EventMatch = Field(description="What begins a user's life; the first such event counts.")
    outcome: EventMatch = Field(description="What should follow later, e.g. opening the app.")
    after: DurationField = Field(
        default="7d", validate_default=True, description="Beginning of the outcome window, counted from the start."
    )
    until: DurationField = Field(
        default="14d", validate_default=True, description="End of the outcome window, exclusive."
    )
    clock: Literal["rolling", "calendar"] = Field(
        default="rolling",
        description="Outcome window counted from each user's own start, or in days of the workspace's calendar after the "
        "day of the start.",
    )
    times: int = Field(default=1, ge=1, description="Fewest outcome events in the window.")
    behaviours: list[Behaviour] = Field(
        default_factory=list, description="What users may do early; every event if absent."
    )
    exclude: list[str] = Field(
        default_factory=list,
        description="Events that are neither candidates nor part of sessions, e.g. messages that the product sends.",
    )
    counts: list[int] = Field(default=[1, 2, 3, 5, 10], min_length=1, description="At least so many times.")
    windows: list[DurationField] = Field(
        default=["1d", "2d", "3d"],
        validate_default=True,
        min_length=1,
        description="Within so long after the start; each must end before the outcome window begins.",
    )
    adjust: list[str] = Field(
        default_factory=list,
        description="Properties known at the start that may drive behaviour and outcome, e.g. channel.",
    )
    activity: EventMatch | Literal["sessions", "none"] = Field(
        default="sessions",
        description="Early activity that users are compared within: sessions (30 minutes of idle time end one), the count "
        "of an event, or none.",
    )
    share: tuple[float, float] = Field(
        default=(0.05, 0.95),
        description="Smallest and largest share of users who show a behaviour for it to be judged.",
    )
    min_users: int = Field(default=30, ge=5, description="Fewest users with and without it, in each half.")
    fdr: float = Field(default=0.05, gt=0, lt=1, description="Share of false findings tolerated among findings.")
    correction: Literal["bh", "by"] = Field(
        default="bh", description="Benjamini–Hochberg, or Benjamini–Yekutieli for any dependence."
    )
    seed: int = Field(default=1, ge=0, description="Of the split into discovery and confirmation.")

    @model_validator(mode="after")
    def _fits(self) -> AhaDefinition:
        if self.until <= self.after:
            raise Mistake(
                text("the outcome window ends ({until}) before it begins ({after})", until=self.until, after=self.after)
            )
        if self.clock == "calendar" and (self.after.microseconds % DAY or self.until.microseconds % DAY):
            raise Mistake(text("with clock: calendar, 'after' and 'until' are whole days"))
        if any(c < 1 for c in self.counts) or any(
            low <= high for low, high in zip(self.counts[1:], self.counts, strict=False)
        ):
            raise Mistake(text("'counts' must ascend and begin with at least 1"))
        if not 0 <= self.share[0] < self.share[1] <= 1:
            raise Mistake(text("'share' is [smallest, largest] within 0 and 1"))
        self._guard_against_leaks()
        return self

    def _guard_against_leaks(self) -> None:
        """Exposure must be over before the outcome can begin; windows that nobody asked for are dropped instead."""
        if not self.usable_windows:
            raise Mistake(text("the outcome window begins before any exposure window is over"), hint=self._leak_hint)
        if "windows" in self.model_fields_set and len(self.usable_windows) < len(self.windows):
            long = next(w for w in self.windows if w.microseconds not in self.usable_windows)
            raise Mistake(
                text("window {window} reaches into the outcome window, which begins after {after}",
                     window=long, after=self.after),
                hint=self._leak_hint,
            )  # fmt: skip

    @property
    def _leak_hint(self) -> Text:
        return text(
            "what users do inside the outcome window would count on both sides: shorten windows, or raise 'after'"
        )

    @property
    def usable_windows(self) -> tuple[int, ...]:
        """Exposure windows that end before the outcome window can begin, µs, ascending."""
        earliest = self.after.microseconds - (DAY if self.clock == "calendar" else 0)
        return tuple(sorted({w.microseconds for w in self.windows if w.microseconds <= earliest}))
