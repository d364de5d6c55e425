"""What a sequence request asks of each stored row, as select items: bits of its predicates, and its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from upswing.engines.base import Category, Key, Number, Property, SequenceRequest
from upswing.engines.selection import CHUNK_BITS
from upswing.sql.template import q

_NUMERIC = ("number", "integer")


@dataclass(frozen=True, slots=True)
class Questions:
    """A request's distinct predicates and the select items that answer them.

    Args:
        needs: index of each mark's predicate, None = always.
        keep: index of the predicate that events must pass.
        bits: select items, one per CHUNK_BITS predicates; the first one's lowest bit is the stored user key's parity.
        columns: select items of the further columns.
        conditions: the distinct predicates.
    """

    needs: tuple[int | None, ...]
    keep: int | None
    bits: tuple[exp.Expression, ...]
    columns: tuple[exp.Expression, ...]
    conditions: tuple[exp.Expression, ...]

    @property
    def items(self) -> list[exp.Expression]:
        """All select items, aliased b0, b1, … and c0, c1, …"""
        bits: list[exp.Expression] = [
            exp.Alias(this=b, alias=exp.to_identifier(f"b{i}")) for i, b in enumerate(self.bits)
        ]
        return bits + [exp.Alias(this=c, alias=exp.to_identifier(f"c{i}")) for i, c in enumerate(self.columns)]

    @property
    def asked(self) -> bool:
        """Whether anything has to be read at all."""
        return bool(self.conditions or self.columns)

    @property
    def mentions_user_id(self) -> bool:
        """Whether a predicate or column looks at ``user_id``, which is not a stored column."""
        return any(c.name == "user_id" for item in self.items for c in item.find_all(exp.Column))


def questions(request: SequenceRequest, properties: Mapping[str, Property], parity: exp.Expression) -> Questions:
    """Compile a request.

    Args:
        request: what is asked.
        properties: of the log; they decide how keys of different types are made comparable.
        parity: 0 or 1 per row, put in the lowest bit of the first column.
    """
    index: dict[str, int] = {}
    conditions: list[exp.Expression] = []

    def place(condition: exp.Expression | None) -> int | None:
        if condition is None:
            return None
        written = condition.sql("duckdb")
        if written not in index:
            index[written] = len(conditions)
            conditions.append(condition)
        return index[written]

    keep = place(request.where)
    needs = tuple(place(mark.where) for mark in request.marks)
    bits = tuple(
        _packed(conditions[at : at + CHUNK_BITS], parity if at == 0 else q("0"))
        for at in range(0, max(1, len(conditions)), CHUNK_BITS)
    )
    return Questions(needs, keep, bits, columns_of(request, properties), tuple(conditions))


def columns_of(request: SequenceRequest, properties: Mapping[str, Property]) -> tuple[exp.Expression, ...]:
    """The request's columns as select items."""
    common = _common_type([c.expression for c in request.columns if isinstance(c, Key)], properties)
    return tuple(_column(c, common) for c in request.columns)


def _packed(conditions: list[exp.Expression], parity: exp.Expression) -> exp.Expression:
    kind = "UTINYINT" if len(conditions) < 8 else "USMALLINT"
    total = parity
    for bit, condition in enumerate(conditions):
        yes, no = (exp.cast(q(str(value)), kind, dialect="duckdb") for value in (2 << bit, 0))
        total = q("$total + CASE WHEN $c THEN $yes ELSE $no END", total=total, c=condition, yes=yes, no=no)
    return exp.cast(total, kind, dialect="duckdb")


def _column(column: Category | Key | Number, common: str | None) -> exp.Expression:
    if isinstance(column, Number):
        return q("TRY_CAST($x AS DOUBLE)", x=column.expression)
    if isinstance(column, Key):
        value = column.expression if common is None else exp.cast(column.expression.copy(), common, dialect="duckdb")
        return q("CASE WHEN $x IS NULL THEN 0 ELSE greatest(hash($x), 1) END", x=value)
    return _category(column)


def _category(column: Category) -> exp.Expression:
    kind = "SMALLINT" if len(column.values) < 2**15 - 1 else "INTEGER"
    text_value = q("CAST($x AS VARCHAR)", x=column.expression)
    if not column.values:
        return exp.cast(q("CASE WHEN $x IS NULL THEN -1 ELSE 0 END", x=text_value), kind, dialect="duckdb")
    known = exp.DataType(
        this=exp.DType.ENUM, expressions=[exp.Literal.string(v) for v in dict.fromkeys(column.values)], nested=True
    )
    code = exp.func("enum_code", exp.TryCast(this=text_value.copy(), to=known), dialect="duckdb")
    coded = q(
        "CASE WHEN $x IS NULL THEN -1 ELSE COALESCE($code, $other) END",
        x=text_value,
        code=code,
        other=len(column.values),
    )
    return exp.cast(coded, kind, dialect="duckdb")


def _common_type(expressions: list[exp.Expression], properties: Mapping[str, Property]) -> str | None:
    """The type in which keys of several columns compare: none needed when they are of one type."""
    types = {p.column: p.type for p in properties.values()}
    kinds = {types.get(e.name, "text") if isinstance(e, exp.Column) else "?" for e in expressions}
    if len(kinds) < 2:
        return None
    return "DOUBLE" if kinds <= set(_NUMERIC) else "VARCHAR"
