"""Formulas over metrics: names, numbers, ``+ − × ÷`` and brackets; their value, their names and their unit.

``weekly_actives × entries_per_user`` and ``revenue / payers`` are formulas. Division by zero has no value, and a name
without a value has none either: a made-up number is worse than no number.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from upswing.core.errors import DefinitionError
from upswing.core.i18n import Text, text

FormulaUnit = Literal["count", "ratio", "money", "seconds", "number"]

_SIGNS: Final = str.maketrans({"×": "*", "÷": "/", "−": "-", "·": "*", "（": "(", "）": ")", "＋": "+"})
_SHOWN: Final = {ast.Add: "+", ast.Sub: "−", ast.Mult: "×", ast.Div: "÷"}
_MOST: Final = 400
"""Signs in a formula at most: deeper ones are no formula that a person reads."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula, read once.

    Args:
        written: as it stands in the definition.

    Examples:
        >>> f = Formula.parse("users × (1 + share) ÷ 2")
        >>> f.names, f.value({"users": 10, "share": 0.5}), f.shown
        (('users', 'share'), 7.5, 'users × (1 + share) ÷ 2')
        >>> Formula.parse("a / b").value({"a": 1, "b": 0}) is None
        True
    """

    written: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, written: str) -> Formula:
        """Read a formula.

        Raises:
            DefinitionError: UP013 not readable, or something other than names, numbers, + − × ÷ and brackets.
        """
        tree = _tree(written)
        found: dict[str, None] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                found[node.id] = None
        if not found:
            raise DefinitionError(text("'{formula}' names no metric", formula=written), code="UP013")
        order = sorted(found, key=lambda n: written.translate(_SIGNS).find(n))
        return cls(written, tuple(order))

    @property
    def shown(self) -> str:
        """With the signs that people write."""
        return _written(_tree(self.written), 0)

    @property
    def operator(self) -> str:
        """The outermost sign: ``+``, ``−``, ``×`` or ``÷``; empty for a single name."""
        tree = _tree(self.written)
        return _SHOWN[type(tree.op)] if isinstance(tree, ast.BinOp) else ""

    def value(self, values: Mapping[str, float | None]) -> float | None:
        """The formula's value; None where a name has none or something is divided by zero.

        Raises:
            KeyError: a name is not in `values`.
        """
        try:
            return _value(_tree(self.written), values)
        except ZeroDivisionError:
            return None

    def divisors(self) -> tuple[str, ...]:
        """Names that stand below a division sign: what must not be zero."""
        found: dict[str, None] = {}
        for node in ast.walk(_tree(self.written)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                found.update({n.id: None for n in ast.walk(node.right) if isinstance(n, ast.Name)})
        return tuple(found)

    def unit(self, units: Mapping[str, FormulaUnit]) -> FormulaUnit:
        """The unit of the result. ``number`` fits everything.

        Raises:
            DefinitionError: UP420 units that do not fit, e.g. money + users.

        Examples:
            >>> Formula.parse("revenue / payers").unit({"revenue": "money", "payers": "count"})
            'money'
        """
        return _unit(_tree(self.written), units)


def units_fit(one: FormulaUnit, other: FormulaUnit) -> bool:
    """Whether two units can be the same number: equal, or one of them a plain number."""
    return one == other or "number" in (one, other)


@lru_cache(maxsize=512)
def _tree(written: str) -> ast.expr:
    try:
        if len(written) > _MOST:
            raise SyntaxError("too long")
        tree = ast.parse(written.translate(_SIGNS).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise DefinitionError(
            text("formula '{formula}' cannot be read", formula=written),
            code="UP013",
            hint=text("write metrics' names with + − × ÷ and brackets, e.g. revenue / payers"),
        ) from None
    for node in ast.walk(tree):
        _require_allowed(node, written)
    return tree


def _require_allowed(node: ast.AST, written: str) -> None:
    fine = isinstance(
        node, ast.BinOp | ast.UnaryOp | ast.Name | ast.Load | ast.Add | ast.Sub | ast.Mult | ast.Div | ast.USub
    )
    number = isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if not (fine or number):
        raise DefinitionError(
            text("formula '{formula}' has more in it than names, numbers, + − × ÷ and brackets", formula=written),
            code="UP013",
        )


def _value(node: ast.expr, values: Mapping[str, float | None]) -> float | None:
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int | float)
        return float(node.value)
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, values)
        return None if inner is None else -inner
    assert isinstance(node, ast.BinOp)
    a, b = _value(node.left, values), _value(node.right, values)
    if a is None or b is None:
        return None
    if isinstance(node.op, ast.Add):
        return a + b
    if isinstance(node.op, ast.Sub):
        return a - b
    return a * b if isinstance(node.op, ast.Mult) else a / b


def _unit(node: ast.expr, units: Mapping[str, FormulaUnit]) -> FormulaUnit:
    if isinstance(node, ast.Constant):
        return "number"
    if isinstance(node, ast.Name):
        return units[node.id]
    if isinstance(node, ast.UnaryOp):
        return _unit(node.operand, units)
    assert isinstance(node, ast.BinOp)
    a, b = _unit(node.left, units), _unit(node.right, units)
    if isinstance(node.op, ast.Add | ast.Sub):
        if not units_fit(a, b):
            raise _mismatch(node, a, b)
        return a if b == "number" else b
    if isinstance(node.op, ast.Mult):
        return _product(node, a, b)
    return _quotient(a, b)


def _product(node: ast.BinOp, a: FormulaUnit, b: FormulaUnit) -> FormulaUnit:
    for one, other in ((a, b), (b, a)):
        if one == "ratio":
            return other
        if one == "number":
            return other if other in ("money", "seconds") else "number"
    if a == b == "count":
        return "count"
    if "count" in (a, b):  # money per user times users
        return a if b == "count" else b
    raise _mismatch(node, a, b)


def _quotient(a: FormulaUnit, b: FormulaUnit) -> FormulaUnit:
    if a == b and a != "number":
        return "ratio"
    if a in ("money", "seconds") and b in ("count", "ratio", "number"):
        return a
    return a if b == "ratio" else "number"


def _mismatch(node: ast.BinOp, a: FormulaUnit, b: FormulaUnit) -> DefinitionError:
    return DefinitionError(
        text("{formula} mixes units: {a} and {b}", formula=_written(node, 0), a=_unit_word(a), b=_unit_word(b)),
        code="UP420",
    )


def _unit_word(unit: FormulaUnit) -> Text:
    return {
        "count": text("a count"),
        "ratio": text("a share"),
        "money": text("an amount of money"),
        "seconds": text("a length of time"),
        "number": text("a number"),
    }[unit]


def _written(node: ast.expr, outer: int) -> str:
    """The formula with brackets only where they are needed."""
    if isinstance(node, ast.Constant):
        assert isinstance(node.value, int | float)
        return f"{node.value:g}"
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp):
        return f"−{_written(node.operand, 3)}"
    assert isinstance(node, ast.BinOp)
    rank = 1 if isinstance(node.op, ast.Add | ast.Sub) else 2
    strict = rank + 1 if isinstance(node.op, ast.Sub | ast.Div) else rank
    shown = f"{_written(node.left, rank)} {_SHOWN[type(node.op)]} {_written(node.right, strict)}"
    return f"({shown})" if rank < outer else shown
