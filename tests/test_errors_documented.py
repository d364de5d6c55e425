"""Every error code has its entry in the reference, every entry its code, and every message its meaning."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import upswing

SOURCE = Path(upswing.__file__).parent
REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "errors.md"

PARTS = ("Meaning", "Cause", "Example", "Way out", "中文")

_CODE = re.compile(r"UP\d{3}")
_ENTRY = re.compile(r"^### (UP\d{3}): \S.*$", re.MULTILINE)


@cache
def entries() -> dict[str, str]:
    """Code → text of its entry."""
    pieces = _ENTRY.split(REFERENCE.read_text(encoding="utf-8"))
    assert len(pieces[1::2]) == len(set(pieces[1::2])), "an entry stands twice"
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


@cache
def codes() -> dict[str, frozenset[str]]:
    """Code → messages that the source gives it."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for code, message in _uses(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, set()).update(message)
    return {code: frozenset(messages) for code, messages in found.items()}


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    assert len(codes()) > 50  # the search itself works
    assert sorted(codes()) == list(entries())


def test_entries_are_complete() -> None:
    for code, entry in entries().items():
        for part in PARTS:
            lines = re.findall(rf"^- {part}[:：] *(.+)$", entry, re.MULTILINE)
            assert len(lines) == _meanings(entry), f"{code}: {part}"
        for example in re.findall(r"^- Example: (.+)$", entry, re.MULTILINE):
            assert code in example, f"{code}: the example shows another code"


def test_every_message_stands_under_one_meaning() -> None:
    """A new message under an old code has to be put under one of its meanings, or it needs a code of its own."""
    for code, entry in entries().items():
        said = [
            m for line in re.findall(r"^- Says: (.+)$", entry, re.MULTILINE) for m in re.findall(r"`([^`]+)`", line)
        ]
        assert sorted(said) == sorted(codes()[code]), code


def test_one_code_has_one_meaning() -> None:
    assert [code for code, entry in entries().items() if _meanings(entry) != 1] == []


def test_one_message_has_one_code() -> None:
    given: dict[str, list[str]] = {}
    for code, messages in codes().items():
        for message in messages - {"{key}: {cause}"}:
            given.setdefault(message, []).append(code)
    assert {m: c for m, c in given.items() if len(c) > 1} == {}


def _meanings(entry: str) -> int:
    return len(re.findall(r"^- Meaning: ", entry, re.MULTILINE))


def _uses(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Codes that stand as a word of their own, with the message beside them where it can be seen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
            yield node.value, set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            names = {}
            for node in _in_order(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    names[node.targets[0].id] = node.value
                elif isinstance(node, ast.Call) and (code := _given_code(node)) is not None:
                    yield code, {m for argument in node.args for m in _messages(argument, names)}


def _in_order(function: ast.FunctionDef) -> list[ast.Assign | ast.Call]:
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.Call)]
    return sorted(nodes, key=lambda node: (node.lineno, node.col_offset))


def _given_code(call: ast.Call) -> str | None:
    for value in (*call.args, *(k.value for k in call.keywords)):
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and _CODE.fullmatch(value.value):
            return value.value
    return None


def _messages(argument: ast.expr, names: dict[str, ast.expr]) -> Iterator[str]:
    if isinstance(argument, ast.Name) and argument.id in names:
        argument = names[argument.id]
    if isinstance(argument, ast.IfExp):
        yield from _messages(argument.body, names)
        yield from _messages(argument.orelse, names)
    elif isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name) and argument.func.id == "text":
        message = argument.args[0]
        if isinstance(message, ast.Constant):
            yield str(message.value)
