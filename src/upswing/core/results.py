"""Results know themselves: what each number means, how it was computed, on what data, and what may be wrong with it.

A result is a frozen dataclass derived from `Result`. Terminal table, JSON, CSV, HTML page and chart all read `tables()`
and `charts()`; nothing formats by the name of a field.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Final, Literal

from upswing.core.i18n import Text, current_locale, text
from upswing.core.numbers import format_value

Unit = Literal[
    "text", "count", "ratio", "change", "difference", "number", "seconds", "money", "time", "date", "p_value", "score"
]
"""What a number is: `ratio` 0…1 shown as %, `change` relative change, `difference` change of a rate in points (pp)."""

Cell = str | int | float | bool | None | datetime | date | Text

_STANDING_FOR: Final[dict[str, Text]] = {
    "(other)": text("(other)"), "(none)": text("(none)"), "(start)": text("(start)"), "(end)": text("(end)"),
}  # fmt: skip
"""Names that stand for what has none of its own, and how they are shown."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its key in JSON and CSV, its label, its unit and what it means."""

    key: str
    label: Text | str
    unit: Unit = "text"
    doc: Text | str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table ready to be shown or exported. Rows are tuples in the order of `columns`."""

    name: str
    title: Text | str
    columns: tuple[Column, ...]
    rows: Sequence[tuple[Cell, ...]]
    note: Text | str = ""

    def records(self) -> list[dict[str, object]]:
        """The rows as plain JSON-ready dictionaries."""
        keys = [c.key for c in self.columns]
        return [dict(zip(keys, map(plain, row), strict=True)) for row in self.rows]

    def formatted(self) -> list[list[str]]:
        """The rows as text in the language in force, by unit."""
        return [[show(v, c.unit) for v, c in zip(row, self.columns, strict=True)] for row in self.rows]


ChartKind = Literal["funnel", "triangle", "line", "bar", "flow", "interval", "stacked", "scatter", "dose"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of one of the result's tables; the table is its twin for those who cannot or would not look.

    Args:
        kind: the form. ``funnel``: horizontal bars of `y` per row; ``triangle``: cohort matrix; ``line``, ``bar`` and
            ``stacked``: `y` columns over `x`; ``flow``: columns source, target and count; ``interval``: estimate
            with lower and upper; ``scatter``: a point per row at `x` and the first of `y`, its area by the second of `y`
            if there is one; ``dose``: `y` over a dose, with lower and upper as a band.
        table: name of the table it draws.
        x: key of the column along the axis or the row label.
        y: keys of the drawn columns.
        series: key of a column that splits the rows into series, if any.
        marks: thresholds drawn as lines: the axis they stand on, and where.
        curve: points of a line drawn over a ``scatter``, if any.
    """

    kind: ChartKind
    table: str
    title: Text | str
    x: str
    y: tuple[str, ...]
    series: str | None = None
    marks: tuple[tuple[Literal["x", "y"], float], ...] = ()
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Caveat:
    """A reason why a number may not be what it seems. `code` is stable for programs; `message` is for people."""

    code: str
    message: Text | str

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return {"code": self.code, "message": str(self.message)}


@dataclass(frozen=True, slots=True)
class Window:
    """The time range actually used. `start` inclusive, `stop` exclusive, both aware."""

    start: datetime
    stop: datetime
    timezone: str
    notes: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON: ISO times in the workspace zone."""
        return {
            "from": self.start.isoformat(),
            "to": self.stop.isoformat(),
            "timezone": self.timezone,
            **{k: plain(v) for k, v in self.notes.items()},
        }


@dataclass(frozen=True, slots=True)
class HowComputed:
    """How a result came about: the answer to "how do you know?".

    Args:
        definition: the resolved question, as JSON-ready data.
        window: the time range used.
        method: the rule or formula, in words, with its source.
        sql: every statement that was sent to the engine.
        events: events read.
        users: users looked at.
        data_as_of: time of the last trusted event.
        engine: name and version of the engine.
        caveats: why numbers may not be what they seem.
        timings: seconds by phase.
    """

    definition: Mapping[str, object]
    window: Window
    method: Text | str
    sql: tuple[str, ...] = ()
    events: int | None = None
    users: int | None = None
    data_as_of: datetime | None = None
    engine: str = ""
    caveats: tuple[Caveat, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """The part of `--json` that every result shares."""
        return {
            "definition": {k: plain(v) for k, v in self.definition.items()},
            "window": self.window.to_dict(),
            "method": str(self.method),
            "sql": list(self.sql),
            "sample": {"events": self.events, "users": self.users},
            "data_as_of": plain(self.data_as_of),
            "engine": self.engine,
            "warnings": [c.to_dict() for c in self.caveats],
            "timings": dict(self.timings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Base of every answer. Subclasses are frozen dataclasses and give `data()` and `tables()`."""

    verb: ClassVar[str] = ""
    how: HowComputed

    def title(self) -> Text | str:
        """The question, as a sentence."""
        raise NotImplementedError

    def verdict(self) -> Text | str:
        """The answer in one sentence; empty where numbers must speak for themselves."""
        return ""

    def passed(self) -> bool | None:
        """The answer to a yes-or-no question (a target met, a check passed); None where none was asked."""
        return None

    def data(self) -> dict[str, object]:
        """The verb's own JSON body, without what `HowComputed` adds."""
        raise NotImplementedError

    def tables(self) -> list[Table]:
        """All numbers as tables; the first is the main one."""
        raise NotImplementedError

    def charts(self) -> list[Chart]:
        """Pictures of the tables."""
        return []

    def to_dict(self) -> dict[str, object]:
        """What ``--json`` prints and the API returns: the body, then how it was computed."""
        return {**{k: plain(v) for k, v in self.data().items()}, **self.how.to_dict()}

    def to_json(self, *, indent: int | None = 2) -> str:
        """`to_dict` as JSON text; never NaN or Infinity, which are null."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, allow_nan=False)

    def export(self) -> Table:
        """What CSV holds: the main table; where there is a breakdown, its rows for all and then for each group."""
        return self.tables()[0]

    def to_csv(self, table: str | None = None) -> str:
        """One table as CSV with full-precision values: `export`, or the one that is named."""
        chosen = self.export() if table is None else next(t for t in self.tables() if t.name == table)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([c.key for c in chosen.columns])
        writer.writerows([["" if v is None else plain(v) for v in map(_bare, row)] for row in chosen.rows])
        return out.getvalue()

    @property
    def warnings(self) -> tuple[Caveat, ...]:
        """Why numbers may not be what they seem."""
        return self.how.caveats

    @property
    def sql(self) -> tuple[str, ...]:
        """The statements sent to the engine."""
        return self.how.sql

    @property
    def window(self) -> Window:
        """The resolved time range."""
        return self.how.window

    def _repr_html_(self) -> str:
        from upswing.report.html import fragment  # the one edge that points upwards: notebooks ask the object itself

        return fragment(self)


ALL: Final = "(all)"
"""All groups together, in the column ``group`` of an export."""


def with_groups(main: Table, by: Text | str, groups: Iterable[tuple[str, Sequence[tuple[Cell, ...]]]]) -> Table:
    """The rows of `main` for all and then those of each group, under one head with the group in front.

    Args:
        main: the table of the whole.
        by: what the groups are values of.
        groups: name and rows of each.
    """
    rows = [(ALL, *row) for row in main.rows]
    rows += [(name, *row) for name, found in groups for row in found]
    return Table(main.name, main.title, (Column("group", by), *main.columns), rows, main.note)


def _bare(cell: Cell) -> object:
    """A number that is shown with its unit, as a number."""
    return getattr(cell, "value", cell)


def plain(value: object) -> object:
    """`value` as JSON can carry it: NaN and infinities become None, times ISO text, Text is rendered.

    Examples:
        >>> plain(float("nan")) is None
        True
    """
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    return str(value)


def show(value: Cell, unit: Unit) -> str:
    """A cell as text in the language in force.

    Examples:
        >>> show(0.312, "ratio"), show("(other)", "text")
        ('31.2%', '(other)')
    """
    if isinstance(value, str) and value in _STANDING_FOR:
        return str(_STANDING_FOR[value])
    return format_value(value, unit, locale=current_locale())
