"""A user's own conditions: parsed, limited to harmless nodes, bound to known columns. They can read nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.sql.template import expression

SYSTEM: Final = {"event": "text", "user_id": "text", "time": "time"}
"""Columns every event has, usable in conditions beside the properties."""

_NODES: Final = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Tuple,
    exp.And, exp.Or, exp.Not, exp.Xor,
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between,
    exp.Like, exp.ILike, exp.RegexpLike, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg,
    exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Lower, exp.Upper,
    exp.Length, exp.Trim, exp.Contains, exp.StartsWith, exp.EndsWith, exp.Greatest, exp.Least, exp.Substring, exp.Concat,
    exp.Cast, exp.TryCast, exp.DataType, exp.Extract, exp.Var, exp.Date, exp.DataTypeParam,
)  # fmt: skip
_FUNCTIONS: Final = ("abs", "round", "floor", "ceil", "lower", "upper", "length", "trim", "contains", "starts_with",
                     "ends_with", "coalesce", "nullif", "greatest", "least", "substring", "concat")  # fmt: skip
_SAFE_TYPES: Final = {
    exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR, exp.DataType.Type.INT, exp.DataType.Type.BIGINT,
    exp.DataType.Type.DOUBLE, exp.DataType.Type.FLOAT, exp.DataType.Type.DECIMAL, exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ,
}  # fmt: skip
_YES_OR_NO: Final = (
    exp.And, exp.Or, exp.Not, exp.Xor, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.RegexpLike, exp.Boolean, exp.Contains, exp.StartsWith, exp.EndsWith,
    exp.Column, exp.Case, exp.Coalesce,
)  # fmt: skip


class HasColumn(Protocol):
    """A known property: its name, type and physical column."""

    @property
    def name(self) -> str:
        """Name as people write it."""
        ...

    @property
    def type(self) -> str:
        """text, number, integer, boolean, time, date or json."""
        ...

    @property
    def column(self) -> str:
        """Physical column."""
        ...


def parse_predicate(written: str, *, place: str = "condition") -> exp.Expression:
    """Parse one condition, e.g. ``amount > 50 and country in ('CN', 'SG')``; columns are not bound yet.

    Raises:
        UsageError: UP010 it cannot be read (the place of the trouble is shown), UP011 it is not a yes-or-no condition,
            UP012 something that conditions may not do (subqueries, files, other tables, unknown functions).

    Examples:
        >>> parse_predicate("amount > 50").sql("duckdb")
        'amount > 50'
    """
    if not written.strip():
        raise UsageError(text("{place}: the condition is empty", place=place), code="UP010")
    try:
        trees = sqlglot.parse(f"SELECT ({written}\n)", dialect="duckdb")
    except (ParseError, TokenError) as error:
        raise _unreadable(written, place, error) from None
    except RecursionError:
        raise UsageError(text("{place}: the condition is nested too deeply", place=place), code="UP010") from None
    only = trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Select) else exp.Select()
    selected = only.expressions
    extra = any(v for k, v in only.args.items() if k not in ("expressions", "kind") and v)
    if len(selected) != 1 or extra or not isinstance(selected[0], exp.Paren):
        raise UsageError(
            text("{place}: '{written}' is not one condition", place=place, written=written),
            code="UP010",
            hint=text("join conditions with and / or"),
        )
    inner: exp.Expression = selected[0].this
    tree = expression(inner.unnest()).copy()
    for node in tree.walk():
        node.pop_comments()
    _require_harmless(tree, place)
    if not isinstance(tree, _YES_OR_NO):
        raise UsageError(
            text("{place}: '{written}' is not a yes-or-no condition", place=place, written=written),
            code="UP011",
            hint=text("compare it with something, e.g. amount > 50"),
        )
    return tree


def bind(
    tree: exp.Expression,
    columns: Mapping[str, HasColumn],
    *,
    place: str = "condition",
    calendar_zone: str | None = None,
) -> exp.Expression:
    """The tree with every column replaced by its quoted physical column.

    A text property compared with a number (or the reverse) is refused, because engines disagree about it. Times
    written as ISO text become moments: those without an offset are in `calendar_zone` (default UTC).

    Raises:
        UsageError: UP301 unknown property, with the nearest ones; UP303 types that do not compare.
    """
    folded = {name.casefold(): name for name in columns}
    types: dict[int, str] = {}

    def physical(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column):
            return node
        name = node.name if not node.table else f"{node.table}.{node.name}"
        if name in columns:
            found = columns[name]
        elif not node.this.args.get("quoted") and name.casefold() in folded:
            found = columns[folded[name.casefold()]]
        elif name.casefold() in SYSTEM:
            made = exp.column(exp.to_identifier(name.casefold(), quoted=True))
            types[id(made)] = SYSTEM[name.casefold()]
            return made
        else:
            raise UsageError(
                text("{place}: no property '{name}'", place=place, name=name),
                code="UP301",
                hint=did_you_mean(name, [*columns, *SYSTEM]),
            )
        made = exp.column(exp.to_identifier(found.column, quoted=True))
        types[id(made)] = found.type
        return made

    bound = tree.copy().transform(physical, copy=False)
    _require_comparable(bound, types, place)
    _read_times(bound, types, place, ZoneInfo(calendar_zone or "UTC"))
    return bound


def _read_times(bound: exp.Expression, types: Mapping[int, str], place: str, zone: ZoneInfo) -> None:
    """Replace ISO text that is compared with a time column by that moment in UTC."""
    for node in list(bound.find_all(exp.Predicate)):
        timed = any(isinstance(c, exp.Column) and types.get(id(c)) == "time" for c in node.iter_expressions())
        written = [v for v in node.iter_expressions() if isinstance(v, exp.Literal) and v.is_string]
        for literal in written if timed and not isinstance(node, exp.Like | exp.ILike) else []:
            try:
                moment = datetime.fromisoformat(str(literal.this).strip())
            except ValueError:
                raise UsageError(
                    text("{place}: '{value}' is not a date or time", place=place, value=literal.this),
                    code="UP303",
                    hint=text("write 2026-11-22 or 2026-11-22T08:30"),
                ) from None
            aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
            utc = aware.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
            literal.replace(exp.cast(exp.Literal.string(utc), "TIMESTAMP"))


def _only_condition(trees: Sequence[object]) -> exp.Expression | None:
    """What stands in the brackets of ``SELECT (…)``, if there is that and nothing else."""
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        return None
    tree = trees[0]
    alone = all(not value for key, value in tree.args.items() if key not in ("expressions", "kind"))
    if not alone or len(tree.expressions) != 1 or not isinstance(tree.expressions[0], exp.Paren):
        return None
    found = tree.expressions[0].this
    return found if isinstance(found, exp.Expression) else None


def _require_harmless(tree: exp.Expression, place: str) -> None:
    for node in tree.walk():
        if isinstance(node, exp.Anonymous | exp.Func) and not isinstance(node, _NODES):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            close = difflib.get_close_matches(name.lower(), _FUNCTIONS, n=1)
            raise UsageError(
                text("{place}: function '{name}' cannot be used in a condition", place=place, name=name),
                code="UP012",
                hint=text("did you mean {choices}?", choices=close[0])
                if close
                else text("use one of {functions}", functions=", ".join(_FUNCTIONS)),
            )
        if not isinstance(node, _NODES):
            raise UsageError(
                text("{place}: '{part}' cannot be used in a condition", place=place, part=node.key),
                code="UP012",
                hint=text("a condition compares properties with values"),
            )
        if isinstance(node, exp.DataType) and node.this not in _SAFE_TYPES:
            raise UsageError(text("{place}: no type '{name}'", place=place, name=node.sql("duckdb")), code="UP012")
        if isinstance(node, exp.Column) and (node.args.get("db") or node.args.get("catalog")):
            raise UsageError(text("{place}: no property '{name}'", place=place, name=node.sql("duckdb")), code="UP301")


def _require_comparable(bound: exp.Expression, types: Mapping[int, str], place: str) -> None:
    numeric = {"number", "integer"}
    for node in bound.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeNEQ, exp.In, exp.Between):
        column = node.this
        others = (
            node.expressions
            if isinstance(node, exp.In)
            else (
                [node.args["low"], node.args["high"]]
                if isinstance(node, exp.Between)
                else [node.args.get("expression")]
            )
        )
        if not isinstance(column, exp.Column) and isinstance(others[0], exp.Column):
            column, others = others[0], [column]
        kind = types.get(id(column))
        for other in others:
            other = other.this if isinstance(other, exp.Neg | exp.Paren) else other
            if kind is None or not isinstance(other, exp.Literal):
                continue
            if (kind == "text" and not other.is_string) or (kind in numeric and other.is_string):
                raise UsageError(
                    text(
                        "{place}: '{name}' is {kind}, {value} is not",
                        place=place, name=column.name, kind=text("text") if kind == "text" else text("a number"),
                        value=other.sql("duckdb"),
                    ),
                    code="UP303",
                    hint=text("write '{value}'", value=other.this) if kind == "text" else text("write a number without quotes"),
                )  # fmt: skip


def _unreadable(written: str, place: str, error: ParseError | TokenError) -> UsageError:
    column = _column_of(error, before=len("SELECT ("))
    try:
        sqlglot.parse_one(written, dialect="duckdb")  # a bracket too many is found only without the brackets around
    except (ParseError, TokenError) as own:
        column = _column_of(own) or column
    known = column is not None and 0 < column <= len(written)
    return UsageError(
        text("{place}: '{written}' cannot be read, at character {n}", place=place, written=written, n=column)
        if known
        else text("{place}: '{written}' cannot be read", place=place, written=written),
        code="UP010",
        hint=text("write a condition such as amount > 50 and country = 'CN'"),
    )


def _column_of(error: ParseError | TokenError, *, before: int = 0) -> int | None:
    """1-based place of the trouble in the first line."""
    if not isinstance(error, ParseError) or not error.errors or error.errors[0].get("line") != 1:
        return None
    return int(error.errors[0].get("col") or 0) - before or None
