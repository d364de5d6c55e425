"""ONE table of what differs between DuckDB's dialect, which Upswing writes, and ClickHouse's.

sqlglot renders what it knows; each row here is something it does not carry over, or that means another thing there.
Every row has a statement that a cross-engine test runs on both (``tests/sql/test_dialects.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from upswing.sql.template import expression

Rewrite = Callable[[exp.Expression], exp.Expression | None]

_MOMENTS: Final = (exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPTZ, exp.DType.DATETIME)
CLICKHOUSE_SETTINGS: Final = {
    "aggregate_functions_null_for_empty": 1,  # sum of no rows is null, not 0
    "join_use_nulls": 1,  # a left join without a match gives null, not a type's default
    "transform_null_in": 0,  # null is not a value of a list
    "session_timezone": "UTC",  # text and dates become times in UTC
}
"""Settings under which ClickHouse's rules for null and for clocks are DuckDB's."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the table.

    Args:
        topic: what differs.
        example: DuckDB expressions that must have the same value on both engines.
        rewrite: gives a replacement for a node, or None to leave it.
    """

    topic: str
    example: str
    rewrite: Rewrite


def render(tree: exp.Expression, dialect: str) -> str:
    """A statement written in DuckDB's dialect as text of another one.

    Args:
        tree: the statement; not changed.
        dialect: ``duckdb`` or ``clickhouse``.

    Examples:
        >>> from upswing.sql.template import q
        >>> render(q("SELECT epoch_us(time) FROM events"), "clickhouse")
        'SELECT toUnixTimestamp64Micro(time) FROM events'
    """
    if dialect != "clickhouse":
        return tree.sql(dialect=dialect, pretty=False)

    def rewritten(node: exp.Expression) -> exp.Expression:
        for row in CLICKHOUSE:
            made = row.rewrite(node)
            if made is not None:
                return made
        return node

    return _bottom_up(tree.copy(), rewritten).sql(dialect="clickhouse")


def _bottom_up(tree: exp.Expression, change: Callable[[exp.Expression], exp.Expression]) -> exp.Expression:
    """Children before parents, each node once: what a change puts in is not changed again."""
    for node in reversed(list(tree.walk(bfs=True))):
        made = change(expression(node))
        if made is node:
            continue
        if node is tree:
            tree = made
        else:
            node.replace(made)
    return tree


def _call(name: str, *arguments: exp.Expression | str | int | float) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=[exp.convert(a) if not isinstance(a, exp.Expression) else a.copy()
                                                 for a in arguments])  # fmt: skip


def _named(node: exp.Expression, name: str) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == name


def _epoch(node: exp.Expression) -> exp.Expression | None:
    return _call("toUnixTimestamp64Micro", node.expressions[0]) if _named(node, "epoch_us") else None


def _from_epoch(node: exp.Expression) -> exp.Expression | None:
    if isinstance(node, exp.UnixToTime) and node.args.get("scale") == exp.UnixToTime.MICROS:
        return _call("fromUnixTimestamp64Micro", exp.cast(node.this.copy(), "BIGINT"), "UTC")
    if _named(node, "make_timestamp") and len(node.expressions) == 1:
        return _call("fromUnixTimestamp64Micro", exp.cast(node.expressions[0], "BIGINT"), "UTC")
    return None


def _timestamp(node: exp.Expression) -> exp.Expression | None:
    """``CAST(… AS TIMESTAMP)`` would become whole seconds."""
    if isinstance(node, exp.Cast) and node.to.this in _MOMENTS:
        orelse = "parseDateTime64BestEffortOrNull" if isinstance(node, exp.TryCast) else "toDateTime64"
        return _call(orelse, node.this, 6, "UTC")
    return None


def _try_cast(node: exp.Expression) -> exp.Expression | None:
    names = {
        exp.DType.DOUBLE: "Float64", exp.DType.FLOAT: "Float32", exp.DType.BIGINT: "Int64", exp.DType.INT: "Int32",
        exp.DType.BOOLEAN: "Bool", exp.DType.DATE: "Date32",
    }  # fmt: skip
    if isinstance(node, exp.TryCast) and node.to.this in names:
        return _call("accurateCastOrNull", node.this, names[node.to.this])
    return None


def _hash(node: exp.Expression) -> exp.Expression | None:
    return _call("cityHash64", *node.expressions) if _named(node, "hash") else None


def _quantile(node: exp.Expression) -> exp.Expression | None:
    """Linear interpolation between order statistics (Hyndman and Fan's type 7) on both."""
    if isinstance(node, exp.PercentileCont):
        share = node.expression
    elif isinstance(node, exp.Median):
        share = exp.Literal.number("0.5")
    else:
        return None
    return exp.ParameterizedAgg(this="quantileExactInclusive", expressions=[share.copy()], params=[node.this.copy()])


def _divide(node: exp.Expression) -> exp.Expression | None:
    """Integer division and remainder by zero are null, not an error."""
    if not isinstance(node, exp.IntDiv | exp.Mod):
        return None
    name = "intDiv" if isinstance(node, exp.IntDiv) else "modulo"
    safe = exp.Nullif(this=node.expression.copy(), expression=exp.Literal.number("0"))
    return _call(name, node.this, safe)


def _within(node: exp.Expression) -> exp.Expression | None:
    """``null IN (…)`` is null in every version, not false."""
    if not isinstance(node, exp.In) or not node.expressions or node.this.name in ("user_key", "event"):
        return None
    missing = exp.Is(this=node.this.copy(), expression=exp.Null())
    return _call("if", missing, exp.Null(), node)


def _characters(node: exp.Expression) -> exp.Expression | None:
    """Lengths, cases and parts of text count characters, not bytes."""
    if isinstance(node, exp.Length):
        return _call("lengthUTF8", node.this)
    if isinstance(node, exp.Lower | exp.Upper):
        return _call("lowerUTF8" if isinstance(node, exp.Lower) else "upperUTF8", node.this)
    if isinstance(node, exp.Substring):
        given = [node.args.get(k) for k in ("start", "length")]
        return _call("substringUTF8", node.this, *(g for g in given if g is not None))
    return None


def _category(node: exp.Expression) -> exp.Expression | None:
    """The code of a value in a listed category."""
    if not _named(node, "enum_code"):
        return None
    cast = node.expressions[0]
    if not isinstance(cast, exp.TryCast):
        return None
    listed = exp.Array(expressions=[value.copy() for value in cast.to.expressions])
    place = _call("indexOf", listed, _call("assumeNotNull", cast.this))
    found = exp.Nullif(this=exp.cast(place, "BIGINT"), expression=exp.Literal.number("0"))
    return exp.paren(exp.Sub(this=found, expression=exp.Literal.number("1")))


def _text(node: exp.Expression) -> exp.Expression | None:
    """Whole numbers of type double are written with ``.0``."""
    if isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast) and node.to.this == exp.DType.DOUBLE:
        return exp.Cast(this=node.this.copy(), to=exp.DataType.build("DOUBLE", nullable=True))
    return None


def _comparable_time(node: exp.Expression) -> exp.Expression | None:
    """A time column compared with ISO text: text becomes a time with µs."""
    if not isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.EQ | exp.NEQ):
        return None
    left, right = node.this, node.expression
    if isinstance(left, exp.Column) and left.name == "time" and isinstance(right, exp.Literal) and right.is_string:
        return type(node)(this=left.copy(), expression=_call("toDateTime64", right, 6, "UTC"))
    return None


CLICKHOUSE: Final = (
    Difference("epoch in microseconds", "epoch_us(t)", _epoch),
    Difference("time from microseconds", "epoch_us(make_timestamp(1700000000123456))", _from_epoch),
    Difference("times with microseconds", "epoch_us(CAST('2026-01-02 03:04:05.123456' AS TIMESTAMP))", _timestamp),
    Difference("a time compared with text", "time >= '2026-01-01', time < '2026-01-01 10:00:00.5'", _comparable_time),
    Difference("casts that give null", "TRY_CAST(s AS DOUBLE), TRY_CAST(n AS BIGINT)", _try_cast),
    Difference("keys of 64 bits", "CASE WHEN s IS NULL THEN 0 WHEN hash(s) = hash('b') THEN 1 ELSE 2 END", _hash),
    Difference("quantiles", "quantile_cont(x, 0.25), quantile_cont(x, 0.9), median(x)", _quantile),
    Difference("division", "n // 2, n % 3, n // 0, n % 0, n / 4", _divide),
    Difference("null and lists", "x IN (1, 2), NOT x IN (1, 2), x IS DISTINCT FROM 1", _within),
    Difference("characters", "length(s), upper(s), lower('Ä'), substring(s, 2, 1)", _characters),
    Difference("categories", "enum_code(TRY_CAST(s AS ENUM('b', '中文')))", _category),
    Difference("numbers from text", "CAST('1.5' AS DOUBLE)", _text),
)
"""DuckDB → ClickHouse."""
