"""No statement is glued together from values: text that is formatted must not be SQL."""

import ast
import re
from pathlib import Path

import upswing

ROOT = Path(upswing.__file__).parent
STATEMENT = re.compile(r"\b(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|CREATE\s+(OR\s+REPLACE\s+)?(TABLE|VIEW|DATABASE|TYPE)|"
                       r"DROP\s+(TABLE|VIEW|DATABASE)|ATTACH|COPY|ALTER\s+TABLE)\b")  # fmt: skip
ALLOWED = {
    # Statements about tables need names in places where no dialect takes a parameter; each name is quoted by sqlglot.
    "engines/clickhouse.py",
    "events/statements.py",
    "events/identity.py",  # one constant condition shared by two statements; values are parameters
}


def formatted(tree: ast.AST):
    """Every text that is put together: f-strings, ``%`` and ``.format``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node, "".join(v.value for v in node.values if isinstance(v, ast.Constant))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            for side in (node.left, node.right):
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    yield node, side.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            if isinstance(node.func.value, ast.Constant) and isinstance(node.func.value.value, str):
                yield node, node.func.value.value


def test_no_statement_is_formatted() -> None:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name in ALLOWED:
            continue
        for node, written in formatted(ast.parse(path.read_text(encoding="utf-8"))):
            if STATEMENT.search(written) and "SELECT (" not in written:  # the parser's own wrapping of a condition
                found.append(f"{name}:{node.lineno}: {written[:60]}")
    assert not found, "\n".join(found)
