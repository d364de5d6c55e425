"""A file in the staging area: its rows and columns before they are understood, and the rows that could not be split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from upswing.core.i18n import Text
from upswing.engines.base import PropertyType
from upswing.events.statements import Fragment, name

ROW: Final = name("__row")
"""Column of every staged relation: 0-based number of the row in its file."""


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of a staged file.

    Args:
        name: as in the file; nested fields with dots.
        column: its expression in the staged relation.
        type: None for text whose type is still to be found.
        strings: for JSON: expression that tells whether the value was written in quotes.
        naive: for times that are typed already: whether they carry no zone.
        iso: for text that is named like a time: its reading as ISO (`times.wall_micros`), made while the file was read, so
            that it is not read again and again.
    """

    name: str
    column: Fragment
    type: PropertyType | None = None
    strings: Fragment | None = None
    naive: bool = False
    iso: Fragment | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not even be split into columns. `record` counts the file's records from 1."""

    record: int | None
    reason: str
    message: Text | str
    raw: str | None


@dataclass(slots=True)
class Staged:
    """A file in the staging area.

    Args:
        source: as the user named it.
        digest: SHA-256 of the file; None for tables.
        relation: where its rows are; with the columns of `columns` and `ROW`.
        columns: the file's columns.
        rows: number of rows, rejected ones not counted.
        first_line: record of row 0, counted from 1 with the header.
        rejects: rows that are not in the relation.
        messages: what the user should know.
        tables: temporary tables to drop in the end.
        quoted: whether a row may span several lines, with line breaks inside quotes.
        origins: file and line of each row, where they are known from before.
    """

    source: str
    digest: str | None
    relation: Fragment
    columns: tuple[SourceColumn, ...]
    rows: int
    first_line: int = 1
    rejects: list[Reject] = field(default_factory=list)
    messages: list[Text] = field(default_factory=list)
    tables: list[Fragment] = field(default_factory=list)
    quoted: bool = False
    origins: Sequence[tuple[str, int | None]] = ()

    def record(self, row: int) -> int:
        """Number of a row's record in the file: from 1, rejected ones counted."""
        at = self.first_line + row
        for rejected in self.rejected:
            at += rejected <= at
        return at

    @property
    def rejected(self) -> list[int]:
        """Records of the rejected rows, ascending."""
        return sorted(r.record for r in self.rejects if r.record is not None)
