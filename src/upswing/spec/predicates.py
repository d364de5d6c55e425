"""The one predicate language, in YAML and as an expression; both become the same unbound tree.

Event predicates (property conditions)::

    {prop: amount, op: gt, value: 50}
    {expr: "amount > 50 and country in ('CN', 'SG')"}
    {any: [ … ]}   {all: [ … ]}   {exclude: [ … ]}        # exclude: none of these

User predicates add what users did; they are resolved by `upswing.events.segments`::

    {did: pay, at_least: 2, within: 28d, where: [ … ]}
"""

from __future__ import annotations

from typing import Annotated, Literal, Union

from pydantic import Field, Tag, model_validator
from sqlglot import exp

from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.spec.base import DurationField, Mistake, Spec, told_by_key
from upswing.sql.expressions import parse_predicate
from upswing.sql.template import expression

Operator = Literal[
    "eq", "ne", "in", "not_in", "gt", "ge", "lt", "le", "between", "contains", "not_contains",
    "starts_with", "ends_with", "matches", "is_set", "is_not_set",
]  # fmt: skip
Scalar = str | int | float | bool

_COMPARISONS: dict[str, type[exp.Binary]] = {
    "eq": exp.EQ, "gt": exp.GT, "ge": exp.GTE, "lt": exp.LT, "le": exp.LTE,
}  # fmt: skip


class PropertyCondition(Spec):
    """One property compared with a value. A missing value never passes, except under ``ne``, ``not_in`` and ``is_not_set``."""

    prop: str = Field(description="Property name.")
    op: Operator = Field(default="eq", description="How to compare.")
    value: Scalar | list[Scalar] | None = Field(default=None, description="What with; a list for in, not_in, between.")

    @model_validator(mode="after")
    def _value_fits(self) -> PropertyCondition:
        if self.op in ("is_set", "is_not_set"):
            if self.value is not None:
                raise Mistake(text("op '{op}' takes no value", op=self.op))
        elif self.value is None:
            raise Mistake(text("op '{op}' needs a value", op=self.op))
        elif (self.op in ("in", "not_in", "between")) != isinstance(self.value, list):
            raise Mistake(
                text("op '{op}' needs one value", op=self.op)
                if isinstance(self.value, list)
                else text("op '{op}' needs a list", op=self.op)
            )
        if self.op == "between" and isinstance(self.value, list) and len(self.value) != 2:
            raise Mistake(text("op 'between' needs two values: [low, high], both inclusive"))
        return self

    def expression(self) -> exp.Expression:
        """The condition as an unbound tree."""
        column = exp.column(exp.to_identifier(self.prop, quoted=True))
        if self.op in ("is_set", "is_not_set"):
            null = exp.Is(this=column, expression=exp.Null())
            return null if self.op == "is_not_set" else exp.Not(this=null)
        values = [exp.convert(v) for v in (self.value if isinstance(self.value, list) else [self.value])]
        if self.op in _COMPARISONS:
            return expression(_COMPARISONS[self.op](this=column, expression=values[0]))
        if self.op == "ne":
            return exp.NullSafeNEQ(this=column, expression=values[0])
        if self.op == "in":
            return exp.In(this=column, expressions=values)
        if self.op == "not_in":
            missing = exp.Is(this=column.copy(), expression=exp.Null())
            return exp.paren(exp.or_(missing, exp.Not(this=exp.In(this=column, expressions=values))))
        if self.op == "between":
            return exp.Between(this=column, low=values[0], high=values[1])
        return self._text_expression(column, expression(values[0]))

    def _text_expression(self, column: exp.Column, value: exp.Expression) -> exp.Expression:
        if self.op == "matches":
            return exp.RegexpLike(this=column, expression=value)
        function = {"starts_with": "starts_with", "ends_with": "ends_with"}.get(self.op, "contains")
        found = exp.func(function, column, value, dialect="duckdb")
        if self.op == "not_contains":
            return exp.paren(exp.or_(exp.Is(this=column.copy(), expression=exp.Null()), exp.Not(this=found)))
        return expression(found)


class ExpressionCondition(Spec):
    """A condition written as an expression; parsed, bound to known columns, never able to read anything else."""

    expr: str = Field(description="e.g. amount > 50 and country = 'CN'", min_length=1)

    @model_validator(mode="after")
    def _parses(self) -> ExpressionCondition:
        try:
            parse_predicate(self.expr)
        except UpswingError as error:
            raise Mistake.of(error) from None
        return self

    def expression(self) -> exp.Expression:
        """The condition as an unbound tree."""
        return parse_predicate(self.expr)


class AllOf(Spec):
    """Every one of these."""

    all: list[Condition] = Field(min_length=1, description="Every one of these.")

    def expression(self) -> exp.Expression:
        """The conjunction as an unbound tree."""
        return conjunction(self.all)


class AnyOf(Spec):
    """At least one of these."""

    any: list[Condition] = Field(min_length=1, description="At least one of these.")

    def expression(self) -> exp.Expression:
        """The disjunction as an unbound tree."""
        return exp.paren(exp.or_(*(c.expression() for c in self.any)))


class NoneOf(Spec):
    """None of these; a condition that cannot be judged (missing value) counts as not met."""

    exclude: list[Condition] = Field(min_length=1, description="None of these.")

    def expression(self) -> exp.Expression:
        """The negated disjunction as an unbound tree."""
        met = exp.paren(exp.or_(*(c.expression() for c in self.exclude)))
        return exp.Not(this=exp.func("coalesce", met, exp.false()))


Condition = Annotated[
    Union[  # noqa: UP007 - a recursive alias
        Annotated[PropertyCondition, Tag("<PropertyCondition>")],
        Annotated[ExpressionCondition, Tag("<ExpressionCondition>")],
        Annotated[AllOf, Tag("<AllOf>")],
        Annotated[AnyOf, Tag("<AnyOf>")],
        Annotated[NoneOf, Tag("<NoneOf>")],
    ],
    told_by_key(
        {
            "prop": "PropertyCondition", "expr": "ExpressionCondition", "all": "AllOf", "any": "AnyOf", "exclude": "NoneOf",
            "op": "PropertyCondition", "value": "PropertyCondition",
        }
    ),
]  # fmt: skip
for _model in (AllOf, AnyOf, NoneOf):
    _model.model_rebuild()


def conjunction(conditions: list[Condition]) -> exp.Expression:
    """All conditions as one tree; TRUE for none."""
    if not conditions:
        return exp.true()
    return expression(exp.and_(*(c.expression() for c in conditions)))


class Did(Spec):
    """What a user did: an event at least (or at most) so many times, within so long before the reference time."""

    did: str | list[str] = Field(description="Event name, or several (any of them).")
    at_least: int | None = Field(default=None, ge=0, description="Minimum count (1 when neither bound is given).")
    at_most: int | None = Field(default=None, ge=0, description="Maximum count; 0 = did not.")
    within: DurationField | None = Field(
        default=None, description="Counted back from the end of the range; all time if absent."
    )
    where: list[Condition] = Field(default_factory=list, description="Conditions on those events.")
