"""SQL as readable text with typed holes: ``q("SELECT … WHERE $where AND time >= $start", where=…, start=…)``.

A value becomes a literal of its type, never text glued into the statement; an expression is spliced in as a tree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from numbers import Integral, Real

import sqlglot
from sqlglot import exp

DIALECT = "duckdb"

Hole = (
    exp.Expression | str | int | float | bool | datetime | date | Iterable[str] | Iterable[int] | Iterable[float] | None
)


def q(template: str, **holes: Hole) -> exp.Expression:
    """Parse a statement or expression written in DuckDB's dialect and fill its ``$name`` holes.

    Args:
        template: a constant text of the program; values go in holes only.
        holes: expressions are spliced in (a copy, in brackets where needed); str, numbers, booleans, times and None
            become literals (aware times in UTC); lists become ``(a, b, …)``.

    Raises:
        TypeError: a hole without a value, a value without a hole, or a value of another type.

    Examples:
        >>> q("SELECT a FROM events WHERE b = $b AND c IN $c", b="it's", c=[1, 2]).sql("duckdb")
        "SELECT a FROM events WHERE b = 'it''s' AND c IN (1, 2)"
    """
    tree = _parsed(template).copy()
    found = {_name(node) for node in _holes(tree)}
    if found != set(holes):
        missing, extra = sorted(found - set(holes)), sorted(set(holes) - found)
        raise TypeError(f"holes do not fit: without a value {missing}, without a hole {extra}")
    if isinstance(tree, exp.Parameter | exp.Placeholder):
        return _literal(holes[_name(tree)])
    for node in list(_holes(tree)):
        made = _spliced(holes[_name(node)], node)
        if isinstance(node.parent, exp.In) and isinstance(made, exp.Tuple):
            node.parent.set("expressions", made.expressions or [exp.Null()])
            node.parent.set("field", None)
        else:
            node.replace(made)
    return tree


def expression(node: exp.Expr | None) -> exp.Expression:
    """The node as the class it has: sqlglot types what it builds by a more general one."""
    assert isinstance(node, exp.Expression)
    return node


def column(name: str) -> exp.Column:
    """A quoted column."""
    return exp.column(exp.to_identifier(name, quoted=True))


@lru_cache(maxsize=512)
def _parsed(template: str) -> exp.Expression:
    tree = sqlglot.parse_one(template, dialect=DIALECT)
    if isinstance(tree, exp.Command | exp.Block) or not isinstance(tree, exp.Expression):
        raise TypeError(f"not a statement that can be understood: {template!r}")
    return expression(tree)


def _holes(tree: exp.Expression) -> list[exp.Expression]:
    return [node for node in tree.walk() if isinstance(node, exp.Parameter | exp.Placeholder)]


def _name(node: exp.Expression) -> str:
    inner = node.this
    return str(inner.this if isinstance(inner, exp.Expression) else inner)


def _spliced(value: Hole, hole: exp.Expression) -> exp.Expression:
    made = _literal(value)
    parent = hole.parent
    if isinstance(made, exp.Select | exp.SetOperation):
        return exp.Subquery(this=made)
    holders = exp.Binary | exp.Unary | exp.Cast | exp.Between | exp.In
    operand = isinstance(parent, holders) and not isinstance(parent, exp.Paren)
    if operand and isinstance(made, exp.Binary | exp.Not | exp.Neg | exp.Between | exp.In | exp.Case):
        return exp.paren(made)
    return made


def _literal(value: Hole) -> exp.Expression:
    if isinstance(value, exp.Expression):
        return value.copy()
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.true() if value else exp.false()
    if isinstance(value, Integral):  # numpy's whole numbers too
        value = int(value)
        return exp.Literal.number(value) if value >= 0 else exp.paren(exp.Neg(this=exp.Literal.number(-value)))
    if isinstance(value, Real):
        return _double(float(value))
    if isinstance(value, str):
        return exp.Literal.string(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), "TIMESTAMP")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return exp.Tuple(expressions=[_literal(v) for v in value])
    raise TypeError(f"no literal for {type(value).__name__}")


def _double(value: float) -> exp.Expression:
    """With an exponent, because a plain ``0.2`` is a decimal in DuckDB."""
    if not math.isfinite(value):
        raise TypeError(f"not a finite number: {value}")
    digits = repr(abs(value))
    literal = exp.Literal.number(digits if "e" in digits else digits + "e0")
    return literal if math.copysign(1, value) > 0 else exp.paren(exp.Neg(this=literal))
