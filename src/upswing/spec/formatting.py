"""One form for definition files: keys in the order of their kind, tidy ends of lines. What they mean and every comment stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from upswing.spec.definitions import KINDS, model_of
from upswing.spec.project import WorkspaceSpec

_FIRST = ("kind", "name", "label", "description", "owner", "managed")


def formatted(source: str) -> str:
    """A definition file in its canonical form.

    The keys of each document come in the order in which `upswing schema` lists them, each with the comments above and
    beside it; a comment that is followed by an empty line belongs to the document and stays on top. Values are left as
    they are written. What cannot be parsed, or is not a block of keys, is given back unchanged.

    Examples:
        >>> print(formatted("name: a\\n# why\\nwindow: 7d\\nkind: funnel\\nsteps: []"), end="")
        kind: funnel
        name: a
        steps: []
        # why
        window: 7d
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        nodes = list(yaml.compose_all(source))
    except YAMLError:
        return source
    lines = source.splitlines()
    marks = [i for i, line in enumerate(lines) if re.match(r"---(\s|$)", line)]
    starts = [node.start_mark.line for node in nodes if node is not None]
    if len(starts) != len(nodes) or len(nodes) > len(marks) + 1:
        return source
    pieces = _pieces(lines, marks)
    held = list(zip(_holding(pieces, starts), nodes, strict=False))
    if len(held) != len(nodes):
        return source
    for strip in (True, False):  # spaces at the ends of lines may belong to a text block
        made = [_document(piece, node, first, strip=strip) for (first, piece), node in held]
        text = "\n---\n".join("\n".join(piece).strip("\n") for piece in made) + "\n"
        if _means(text) == _means(source.rstrip("\n") + "\n"):  # a text block at the end has its line break either way
            return text
    return source


def _pieces(lines: Sequence[str], marks: Sequence[int]) -> list[tuple[int, list[str]]]:
    """(number of its first line, lines) of each document."""
    edges = [-1, *marks, len(lines)]
    return [(a + 1, list(lines[a + 1 : b])) for a, b in pairwise(edges)]


def _holding(pieces: list[tuple[int, list[str]]], starts: list[int]) -> list[tuple[int, list[str]]]:
    """The pieces in which a document stands: the one before the first mark may be empty."""
    return [p for p in pieces if any(p[0] <= at < p[0] + max(1, len(p[1])) for at in starts)]


def _document(lines: list[str], node: Node, first: int, *, strip: bool) -> list[str]:
    if not isinstance(node, MappingNode) or node.flow_style or not node.value:
        return [line.rstrip() for line in lines] if strip else lines
    keys = [(str(key.value), key.start_mark.line - first) for key, _ in node.value]
    begins = [_with_comments(lines, at, 0 if i == 0 else keys[i - 1][1] + 1) for i, (_, at) in enumerate(keys)]
    edges = [*begins, len(lines)]
    blocks = {key: lines[a:b] for (key, _), (a, b) in zip(keys, pairwise(edges), strict=True)}
    kind = next((str(value.value) for key, value in node.value if key.value == "kind"), "")
    order = _order(kind)
    ranked = sorted(blocks, key=lambda key: order.index(key) if key in order else len(order))
    found = _tidy(lines[: begins[0]], strip=strip)
    head = [*found, ""] if found else []
    return [*head, *(line for key in ranked for line in _tidy(blocks[key], strip=strip))]


def _with_comments(lines: list[str], at: int, floor: int) -> int:
    """The first of the comment lines that stand right above a key."""
    while at > floor and lines[at - 1].startswith("#"):
        at -= 1
    return at


def _tidy(lines: list[str], *, strip: bool) -> list[str]:
    """Without empty lines at either end and, if asked, without spaces at the ends of lines."""
    if not any(map(str.strip, lines)):
        return []
    return "\n".join(line.rstrip() if strip else line for line in lines).strip("\n").split("\n")


def _order(kind: str) -> list[str]:
    if kind not in KINDS:
        return [f.alias or name for name, f in WorkspaceSpec.model_fields.items()]
    fields = [f.alias or name for name, f in model_of(kind).model_fields.items()]
    return [*_FIRST, *(name for name in fields if name not in _FIRST)]


def _means(source: str) -> object:
    try:
        return list(YAML(typ="safe", pure=True).load_all(source))
    except YAMLError:
        return None
