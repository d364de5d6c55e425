"""JSON objects taken apart: every value inside becomes a column of its own, with dots in its name.

Many exports carry an event's properties as one text column of JSON. A column whose every value is an object is read as if
its fields were columns of the file; one that holds anything else stays the text it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from upswing.events.staged import SourceColumn, Staged
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore

_MAX_COLUMNS: Final = 1000
_MAX_KEYS: Final = 200
_LOOKED_AT: Final = 1000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value inside JSON objects.

    Args:
        name: its keys with dots between.
        pointer: where it is (RFC 6901).
        nested: whether it is a list or an object itself.
    """

    name: str
    pointer: str
    nested: bool


def leaves_of(structure: Mapping[str, object]) -> list[Leaf]:
    """The values inside objects of a structure, as ``json_group_structure`` tells it; only the first level of a very wide one.

    Examples:
        >>> [leaf.name for leaf in leaves_of({"a": "BIGINT", "b": {"c": "VARCHAR"}})]
        ['a', 'b.c']
    """
    found: list[Leaf] = []
    _walk(structure, "", "", found)
    if len(found) <= _MAX_COLUMNS:
        return found
    return [Leaf(key, "/" + _escaped(key), isinstance(below, dict | list)) for key, below in structure.items()]


def with_objects_parted(store: EventStore, staged: Staged) -> Staged:
    """The staged file with the fields of its JSON columns as columns."""
    candidates = [c for c in staged.columns if c.type in (None, "text", "json") and c.iso is None]
    if not candidates or not staged.rows:
        return staged
    looks = listed(
        statement("coalesce(bool_and(starts_with(ltrim({x}), '{{')), false)", x=c.column) for c in candidates
    )
    some = statement("(SELECT * FROM {r} LIMIT {n})", r=staged.relation, n=literal(_LOOKED_AT))
    first = store.rows(statement("SELECT {looks} FROM {some}", looks=looks, some=some))[0]
    columns, relation = list(staged.columns), staged.relation
    for column in (c for c, likely in zip(candidates, first, strict=True) if likely):
        leaves = _fields(store, staged, column)
        taken = {c.name for c in columns if c is not column}
        if not leaves or len(columns) + len(leaves) > _MAX_COLUMNS or any(n in taken for n in leaves):
            continue
        values = name(f"__parted_{columns.index(column)}_{column.name}")
        paths = listed(literal(leaf.pointer) for leaf in leaves.values())
        relation = statement(
            "(SELECT *, json_extract_string({x}, [{paths}]) AS {values} FROM {r})",
            x=column.column, paths=paths, values=values, r=relation,
        )  # fmt: skip
        at = columns.index(column)
        columns[at : at + 1] = [_part(column, values, i, n, leaf) for i, (n, leaf) in enumerate(leaves.items())]
    return replace(staged, columns=tuple(columns), relation=relation)


def _fields(store: EventStore, staged: Staged, column: SourceColumn) -> dict[str, Leaf]:
    """The fields by their full names; none when some value is not an object."""
    whole = store.rows(
        statement(
            "SELECT bool_and(json_valid({x}) AND json_type(CASE WHEN json_valid({x}) THEN {x} END) = 'OBJECT'),"
            " json_group_structure(CASE WHEN json_valid({x}) THEN CAST({x} AS JSON) END)"
            " FROM {r} WHERE {x} IS NOT NULL",
            x=column.column, r=staged.relation,
        )
    )[0]  # fmt: skip
    structure = json.loads(str(whole[1])) if whole[0] and whole[1] is not None else None
    return {f"{column.name}.{leaf.name}": leaf for leaf in leaves_of(structure)} if isinstance(structure, dict) else {}


def _part(column: SourceColumn, values: Fragment, index: int, shown: str, leaf: Leaf) -> SourceColumn:
    quoted = statement("json_type({x}, {pointer}) = 'VARCHAR'", x=column.column, pointer=literal(leaf.pointer))
    return SourceColumn(
        shown, statement("{v}[{i}]", v=values, i=literal(index + 1)), "json" if leaf.nested else None, quoted
    )


def _walk(node: Mapping[str, object], prefix: str, pointer: str, found: list[Leaf]) -> None:
    for key, below in node.items():
        dotted, at = prefix + key, pointer + "/" + _escaped(key)
        if isinstance(below, dict) and 0 < len(below) <= _MAX_KEYS:
            _walk(below, dotted + ".", at, found)
        else:
            found.append(Leaf(dotted, at, isinstance(below, dict | list) or below == "JSON"))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
