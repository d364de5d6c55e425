"""Metrics: one definition of each number, from which a value per period and a value per user both follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, Literal

from pydantic import Field, model_validator

from upswing.core.errors import DefinitionError, UpswingError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.spec.base import Definition, DurationField, Mistake, Spec
from upswing.spec.formula import Formula
from upswing.spec.predicates import Condition
from upswing.spec.steps import EventMatch

Aggregate = Literal["count", "users", "sum", "mean", "min", "max"]
MetricType = Literal[
    "simple", "ratio", "proportion", "conversion", "retention", "cumulative", "derived", "quantile"
]  # fmt: skip
MetricUnit = Literal["count", "ratio", "money", "seconds", "number"]

_PARTS: Final[Mapping[MetricType, tuple[str, ...]]] = {
    "simple": ("numerator",),
    "ratio": ("numerator", "denominator"),
    "proportion": ("numerator",),
    "conversion": ("start", "target", "within"),
    "retention": ("start", "target", "after", "within"),
    "cumulative": ("numerator",),
    "derived": ("expression",),
    "quantile": ("numerator", "quantile"),
}
"""What each type needs; it takes nothing else of these keys. A cumulative metric may also have `window`."""
_ALL_PARTS: Final = ("numerator", "denominator", "start", "target", "after", "within", "quantile", "expression")


class Measure(EventMatch):
    """Something added up over events: how many, how many users, or a property's sum, mean, least or greatest value."""

    agg: Aggregate = Field(default="count", description="What is computed over the events.")
    of: str | None = Field(default=None, description="Property for sum, mean, min and max.")

    @model_validator(mode="after")
    def _property_fits(self) -> Measure:
        if (self.agg in ("count", "users")) == (self.of is not None):
            raise Mistake(
                text("agg '{agg}' takes no 'of', the property", agg=self.agg)
                if self.of
                else text("agg '{agg}' needs 'of', the property", agg=self.agg)
            )
        return self


class MetricTarget(Spec):
    """A value to reach: at once and always, by a date, or along a line from where it stood to a date."""

    value: float = Field(description="What is to be reached.")
    by: date | None = Field(default=None, description="Day by which; without it the target holds from the start.")
    since: date | None = Field(default=None, description="First day of a line to the target; needs from_value and by.")
    from_value: float | None = Field(default=None, description="Where the line begins; needs since and by.")

    @model_validator(mode="after")
    def _line_is_whole(self) -> MetricTarget:
        line = (self.since is not None, self.from_value is not None)
        if any(line) and not (all(line) and self.by is not None):
            raise Mistake(text("a line needs since, from_value and by together"))
        if self.since is not None and self.by is not None and self.since >= self.by:
            raise Mistake(text("a line begins before it ends: since must lie before by"))
        return self

    def wanted(self, day: date) -> float | None:
        """What is wanted of the period that ends on `day`; None while nothing is due.

        Examples:
            >>> target = MetricTarget(value=20, by=date(2026, 3, 1), since=date(2026, 1, 1), from_value=10)
            >>> round(target.wanted(date(2026, 1, 31)), 2), target.wanted(date(2026, 6, 1))
            (15.08, 20.0)
        """
        if self.by is None or day >= self.by:
            return self.value
        if self.since is None or self.from_value is None or day < self.since:
            return None
        share = (day - self.since).days / (self.by - self.since).days
        return self.from_value + share * (self.value - self.from_value)


class MetricDefinition(Definition):
    """A number with one meaning.

    ``simple``: one measure. ``ratio``: numerator over denominator. ``proportion``: share of the active users of a period
    who did the numerator. ``conversion``: share of users with `start` who do `target` within `within`. ``retention``: share
    of users with `start` who do `target` in [`after`, `after` + `within`). ``cumulative``: a measure over the `window`
    that ends with the period, or over everything until then. ``derived``: a formula over other metrics. ``quantile``: a
    quantile of `numerator.of` over events.
    """

    kind: Literal["metric"] = Field(default="metric", description="Always 'metric'.")
    type: MetricType = Field(description="How it is computed.")
    numerator: Measure | None = Field(default=None, description="What is added up, or the top of the ratio.")
    denominator: Measure | None = Field(default=None, description="The bottom of a ratio.")
    start: EventMatch | None = Field(default=None, description="Where a conversion or retention begins.")
    target: EventMatch | None = Field(default=None, description="What must follow.")
    after: DurationField | None = Field(default=None, description="Retention: earliest time after the start.")
    within: DurationField | None = Field(default=None, description="Length of the window.")
    window: DurationField | None = Field(
        default=None, description="Cumulative: length of the window that ends with the period; all time if absent."
    )
    quantile: float | None = Field(default=None, gt=0, lt=1, description="Which quantile, e.g. 0.95.")
    expression: str | None = Field(default=None, description="Derived: a formula over metrics, e.g. revenue / payers.")
    where: list[Condition] = Field(default_factory=list, description="Conditions on every event of the metric.")
    better: Literal["up", "down"] | None = Field(default=None, description="Which way is good.")
    unit: MetricUnit | None = Field(default=None, description="How it is shown.")
    level: Literal["gold", "silver", "bronze"] = Field(default="bronze", description="How far it is to be trusted.")
    targets: list[MetricTarget] = Field(default_factory=list, description="Values to reach.")
    min_sample: int = Field(
        default=30, ge=1, description="Fewest users (or events) behind a value that is judged or alerts."
    )
    alert: Literal["both", "worse", "off"] = Field(default="both", description="Which unusual values alert.")

    @model_validator(mode="after")
    def _parts_fit(self) -> MetricDefinition:
        needed = _PARTS[self.type]
        for key in _ALL_PARTS:
            if (getattr(self, key) is not None) != (key in needed):
                raise Mistake(
                    text("a {type} metric needs '{key}'", type=self.type, key=key)
                    if key in needed
                    else text("a {type} metric takes no '{key}'", type=self.type, key=key)
                )
        if self.type == "quantile" and self.numerator is not None and self.numerator.of is None:
            raise Mistake(text("a quantile metric needs 'of' in its numerator, the property"))
        if self.window is not None and self.type != "cumulative":
            raise Mistake(text("a {type} metric takes no '{key}'", type=self.type, key="window"))
        if self.type == "derived" and self.where:
            raise Mistake(text("a {type} metric takes no '{key}'", type=self.type, key="where"))
        return self

    @model_validator(mode="after")
    def _expression_parses(self) -> MetricDefinition:
        if self.expression is not None:
            try:
                Formula.parse(self.expression)
            except UpswingError as error:
                raise Mistake.of(error) from None
        if any(t.value is not None for t in self.targets) and self.better is None:
            raise Mistake(text("a metric with targets needs 'better': up or down"))
        return self

    @property
    def formula(self) -> Formula:
        """The formula of a derived metric."""
        assert self.expression is not None
        return Formula.parse(self.expression)

    @property
    def shown_unit(self) -> MetricUnit:
        """The unit as declared, or what follows from the type."""
        if self.unit is not None:
            return self.unit
        if self.type in ("proportion", "conversion", "retention"):
            return "ratio"
        counted = self.numerator is not None and self.numerator.agg in ("count", "users")
        return "count" if counted and self.type in ("simple", "cumulative") else "number"

    @property
    def is_share(self) -> bool:
        """Whether the value is users of users: numerator and denominator count the same people."""
        return self.type in ("proportion", "conversion", "retention")


def in_order(wanted: Sequence[MetricDefinition], known: Mapping[str, MetricDefinition]) -> list[MetricDefinition]:
    """The metrics and all that they derive from, each after what it needs.

    Raises:
        UsageError: UP201 a formula names no metric.
        DefinitionError: UP205 metrics that derive from each other in a circle.
    """
    found: dict[str, MetricDefinition] = {}

    def visit(metric: MetricDefinition, above: tuple[str, ...]) -> None:
        if metric.name in above:
            circle = " → ".join((*above[above.index(metric.name) :], metric.name))
            raise DefinitionError(text("metrics derive from each other: {circle}", circle=circle), code="UP205")
        if metric.name in found:
            return
        for name in metric.formula.names if metric.type == "derived" else ():
            if name not in known:
                raise UsageError(
                    text("no {kind} named '{name}'", kind="metric", name=name),
                    code="UP201",
                    hint=did_you_mean(name, known),
                )
            visit(known[name], (*above, metric.name))
        found[metric.name] = metric

    for metric in wanted:
        visit(metric, ())
    return list(found.values())
