"""How a file's columns become properties of the log: found, new, widened without loss, or kept aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from upswing.core.i18n import Text, text
from upswing.engines.base import Property, PropertyType
from upswing.engines.reserved import free_column
from upswing.events.statements import Fragment, name, statement
from upswing.events.store import EventStore
from upswing.events.types import EXACT, PHYSICAL

_EXACTLY: Final = Fragment(str(EXACT))


@dataclass(slots=True)
class SchemaPlan:
    """The log's properties as they will be after an import, and how to get there.

    Args:
        properties: by name.
        columns: physical columns that exist already.
        added: names of new properties.
        widened: names of properties whose column gets a wider type.
        notes: what to tell.
    """

    properties: dict[str, Property]
    columns: frozenset[str]
    added: list[str] = field(default_factory=list)
    widened: list[str] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)
    _exactness: dict[str, list[Callable[[], bool]]] = field(default_factory=dict)

    @classmethod
    def of(cls, store: EventStore) -> SchemaPlan:
        """The plan that changes nothing."""
        found = store.properties()
        return cls(found, frozenset(p.column for p in found.values()))

    def place(self, store: EventStore, wanted: str, kind: PropertyType, *, exact: Callable[[], bool]) -> Property:
        """The property that values of `kind` from a column called `wanted` go to.

        Args:
            store: to ask whether the log's whole numbers are exact as numbers.
            wanted: name of the column.
            kind: type that the file's values have.
            exact: says whether whole numbers in the file are exact as a number; asked only when it matters.
        """
        held = self.properties.get(wanted)
        if kind == "integer":
            self._exactness.setdefault(wanted, []).append(exact)
        if held is None:
            return self._add(wanted, kind)
        if held.type == kind or (held.type == "text" and kind != "json"):
            if held.type != kind:
                self.notes.append(text("'{name}' is {kind} in this file; kept as text", name=wanted, kind=kind))
            return held
        if held.type == "number" and kind == "integer" and exact():
            return held
        if held.type == "integer" and kind == "number" and self._exact_in_log(store, held):
            return self._widen(held)
        return self._aside(wanted, held, kind)

    def apply(self, store: EventStore) -> None:
        """Change the tables; inside the import's transaction."""
        for changed in dict.fromkeys(self.widened):
            held = self.properties[changed]
            if held.column in self.columns:
                store.run(statement("ALTER TABLE events ALTER {c} SET DATA TYPE DOUBLE", c=name(held.column)))
                store.run("UPDATE properties SET type = 'number' WHERE name = ?", [changed])
        for new in self.added:
            held = self.properties[new]
            kind = Fragment(PHYSICAL[held.type])
            store.run(statement("ALTER TABLE events ADD COLUMN {c} {kind}", c=name(held.column), kind=kind))
            store.run("INSERT INTO properties VALUES (?, ?, ?)", [new, held.type, held.column])

    def _add(self, wanted: str, kind: PropertyType) -> Property:
        made = Property(wanted, kind, free_column(wanted, self._taken()))
        self.properties[wanted] = made
        self.added.append(wanted)
        return made

    def _widen(self, held: Property) -> Property:
        wider = Property(held.name, "number", held.column)
        self.properties[held.name] = wider
        self.widened.append(held.name)
        self.notes.append(text("'{name}' was integer and is number now", name=held.name))
        return wider

    def _aside(self, wanted: str, held: Property, kind: PropertyType) -> Property:
        beside = f"{wanted}_{kind}"
        while beside in self.properties and self.properties[beside].type != kind:
            beside += "_"
        self.notes.append(
            text(
                "'{name}' is {held} in the log and {kind} in this file; kept aside as '{beside}'",
                name=wanted, held=held.type, kind=kind, beside=beside,
            )
        )  # fmt: skip
        return self.properties.get(beside) or self._add(beside, kind)

    def _exact_in_log(self, store: EventStore, held: Property) -> bool:
        if not all(exact() for exact in self._exactness.get(held.name, ())):
            return False  # an earlier file of this very import
        return held.column not in self.columns or not store.value(
            statement(
                "SELECT bool_or({c} NOT BETWEEN -{most} AND {most}) FROM events", c=name(held.column), most=_EXACTLY
            )
        )

    def _taken(self) -> set[str]:
        return {p.column.casefold() for p in self.properties.values()}
