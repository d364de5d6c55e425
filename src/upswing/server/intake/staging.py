"""Frames of the spool as rows that the importer takes: columns with the types that the JSON had."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Final, cast

import pyarrow as pa

from upswing.engines.base import PropertyType
from upswing.events.mapping import ColumnMapping
from upswing.events.staged import ROW, SourceColumn, Staged
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore, engine_errors
from upswing.events.types import EXACT
from upswing.events.widening import SchemaPlan
from upswing.server.intake.events import KINDS, Click, Kind, Refusal, to_json

SOURCE: Final = "intake"
"""What the imports of the log are called that come from here."""

MAPPING: Final = ColumnMapping(
    user="user", time="time", event="event", event_id="event_id", channel="channel", time_format="us"
)
"""What the columns of a staged batch mean; all of it is said, so nothing is guessed."""

OTHERS: Final = "other_properties"
"""Property that holds, as JSON, what came under further names when the log has as many properties as it may."""

_TYPES: Final[Mapping[Kind, PropertyType]] = {
    "s": "text", "n": "number", "k": "integer", "b": "boolean", "j": "json",
}  # fmt: skip
_CASTS: Final[Mapping[Kind, str]] = {
    "s": "v[{i}]", "n": "CAST(v[{i}] AS DOUBLE)", "k": "CAST(v[{i}] AS BIGINT)", "b": "CAST(v[{i}] AS BOOLEAN)",
    "j": "v[{i}]",
}  # fmt: skip
_ROLES: Final[tuple[tuple[str, str], ...]] = (("user", "/u"), ("time", "/t"), ("event", "/e"), ("event_id", "/i"))
_numbers = count(1)


@dataclass(slots=True)
class Batch:
    """What some frames hold.

    Args:
        lines: events, as JSON.
        names: names of their properties, by kind.
        aliases: (alias, canonical, from when in µs), in the order they came.
        clicks: clicks.
        refused: what was set aside when it came.
    """

    lines: list[bytes] = field(default_factory=list)
    names: dict[Kind, set[str]] = field(default_factory=lambda: {kind: set() for kind in KINDS})
    aliases: list[tuple[str, str, int]] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    @classmethod
    def of(cls, payloads: Iterable[bytes]) -> Batch:
        """Read frames."""
        batch = cls()
        for payload in payloads:
            first, *lines = payload.split(b"\n")
            head = json.loads(first)
            batch.lines += lines
            for kind, names in head["names"].items():
                batch.names[cast("Kind", kind)].update(names)
            batch.aliases += [(str(a), str(c), int(at)) for a, c, at in head["aliases"]]
            batch.clicks += [Click(**click) for click in head["clicks"]]
            batch.refused += [Refusal(**refusal) for refusal in head["refused"]]
        return batch

    def keep_names(self, known: Iterable[str], most: int) -> None:
        """See that the log does not get more than `most` properties: further names go into `OTHERS` together.

        Args:
            known: names of the log's properties.
            most: how many it may have.
        """
        held = set(known)
        new = sorted(set().union(*self.names.values()) - held)
        room = max(0, most - len(held))
        if len(new) <= room:
            return
        surplus = set(new[room:])
        self.lines = [_narrowed(line, surplus) for line in self.lines]
        for names in self.names.values():
            names -= surplus
        self.names["j"].add(OTHERS)


def stage(store: EventStore, batch: Batch) -> Staged:
    """A batch in the staging area, its columns typed.

    Values of one name that are numbers in one event and texts in another are two columns; the importer keeps the second
    kind aside under its own name, so that neither is lost and no event is refused for it.

    Args:
        store: the log.
        batch: the events.
    """
    fields = [(kind, named) for kind in KINDS for named in sorted(batch.names[kind])]
    pointers = [pointer for _, pointer in _ROLES] + [f"/{kind}/{_escaped(named)}" for kind, named in fields]
    picked = listed(_picked(fields))
    made = name(f"upswing_intake_{next(_numbers)}")
    lines = pa.table({"raw": pa.array(batch.lines, pa.binary()).cast(pa.string())})
    with engine_errors():
        store.connection.register("upswing_intake_lines", lines)
    try:
        store.run(
            statement(
                "CREATE TEMP TABLE {t} AS SELECT {picked} FROM (SELECT json_extract_string(CAST(raw AS JSON),"
                " [{pointers}]) AS v FROM upswing_intake_lines)",
                t=made, picked=picked, pointers=listed(literal(p) for p in pointers),
            )
        )  # fmt: skip
    finally:
        store.connection.unregister("upswing_intake_lines")
    relation = statement("(SELECT rowid AS {row}, * FROM {t})", row=ROW, t=made)
    columns = (*_role_columns(), *_distinct(store, relation, list(_columns(fields))))
    return Staged(SOURCE, None, relation, columns, len(batch.lines), tables=[made])


def _picked(fields: Sequence[tuple[Kind, str]]) -> Iterator[Fragment]:
    for i, (role, _) in enumerate(_ROLES):
        form = "CAST(v[{i}] AS BIGINT) AS {c}" if role == "time" else "v[{i}] AS {c}"
        yield statement(form, i=literal(i + 1), c=name(f"c{i}"))
    for i, (kind, _) in enumerate(fields, len(_ROLES)):
        yield statement("{x} AS {c}", x=statement(_CASTS[kind], i=literal(i + 1)), c=name(f"c{i}"))


def _role_columns() -> Iterator[SourceColumn]:
    for i, (role, _) in enumerate(_ROLES):
        yield SourceColumn(role, name(f"c{i}"), "integer" if role == "time" else "text")
    # The mapping names a column for the channel, so that the importer looks for none; it is a property like others.
    yield SourceColumn("channel", statement("CAST({x} AS VARCHAR)", x=literal(None)), "text")


def _columns(fields: Sequence[tuple[Kind, str]]) -> Iterator[SourceColumn]:
    """Columns of the properties. Whole numbers and numbers of one name are one column, of numbers."""
    at = {field: name(f"c{i}") for i, field in enumerate(fields, len(_ROLES))}
    for (kind, named), column in at.items():
        other: tuple[Kind, str] = ("n" if kind == "k" else "k", named)
        if kind not in ("n", "k") or other not in at:
            yield SourceColumn(named, column, _TYPES[kind])
            continue
        whole, most = at["k", named], literal(EXACT)
        exact = statement("{k} BETWEEN -{most} AND {most}", k=whole, most=most)
        if kind == "n":
            both = statement("coalesce({n}, CASE WHEN {exact} THEN CAST({k} AS DOUBLE) END)",
                             n=column, k=whole, exact=exact)  # fmt: skip
            yield SourceColumn(named, both, "number")
        else:  # what a number would lose digits of
            yield SourceColumn(named, statement("CASE WHEN NOT {exact} THEN CAST({k} AS VARCHAR) END",
                                                exact=exact, k=whole), "text")  # fmt: skip


def _distinct(store: EventStore, relation: Fragment, columns: list[SourceColumn]) -> Iterator[SourceColumn]:
    """Columns whose properties are all different.

    The importer keeps a kind that the log's property cannot hold beside it, e.g. as ``size_text``; when the events have
    a property of that very name too, the second gets a name of its own.
    """
    plan = SchemaPlan.of(store)
    taken: set[str] = set()
    for column in columns:
        kind, given = column.type, column
        assert kind is not None
        exact = partial(_exact, store, relation, column.column)
        while (target := plan.place(store, given.name, kind, exact=exact)).name in taken:
            given = SourceColumn(given.name + "_", column.column, kind)
        taken.add(target.name)
        yield given


def _exact(store: EventStore, relation: Fragment, column: Fragment) -> bool:
    most = literal(EXACT)
    return not store.value(
        statement("SELECT bool_or({x} NOT BETWEEN -{most} AND {most}) FROM {r}", x=column, most=most, r=relation)
    )


def _narrowed(line: bytes, surplus: set[str]) -> bytes:
    row = json.loads(line)
    moved: dict[str, object] = {}
    for kind in KINDS:
        for named in surplus & row.get(kind, {}).keys():
            value = row[kind].pop(named)
            moved[named] = json.loads(value) if kind == "j" else value
    if moved:
        row.setdefault("j", {})[OTHERS] = to_json(moved)
    return to_json(row).encode()


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
