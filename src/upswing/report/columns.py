"""Tables that fit the page: an interval in one column, nothing but empty cells left out, details folded away."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from upswing.core.i18n import text
from upswing.core.results import Cell, Column, Table, show

LOWER, UPPER, INTERVAL = "lower", "upper", "interval"

DETAILS: Final[Mapping[str, frozenset[str]]] = {
    "steps": frozenset({"mature_users", "median_seconds_from_previous"}),
    "groups": frozenset({"mature_users", "median_seconds_from_previous"}),
    "findings": frozenset({"overlap", "lift", "ppv", "sensitivity", "mcc", "threshold", "stability"}),
    "by_*": frozenset({"users_before", "users_after"}),
    "ranking": frozenset({"reach", "gain_per_day"}),
    "growth_points": frozenset({"worth", "own"}),
}
"""By table (``by_*``: one for each property), columns that few read.

All of them stand in the folded table below, in the CSV and in the JSON.
"""


def fitting(table: Table, keep: Collection[str] = ()) -> Table:
    """A table with the columns that are read first.

    Limits of an interval become one column, ``71.7 – 72.9%``; columns without any value go, and so do `DETAILS`.

    Args:
        table: all columns.
        keep: keys that stay as they are, because a chart is drawn of them.
    """
    return without_details(joined(table, keep), keep)


def joined(table: Table, keep: Collection[str] = ()) -> Table:
    """`lower` and `upper` as one column.

    Examples:
        >>> limits = (Column("lower", "Lower", "ratio"), Column("upper", "Upper", "ratio"))
        >>> joined(Table("t", "", limits, [(0.717, 0.729), (None, None)])).rows
        [('71.7 – 72.9%',), (None,)]
    """
    keys = [column.key for column in table.columns]
    if LOWER not in keys or UPPER not in keys or {LOWER, UPPER} & set(keep):
        return table
    low, high = keys.index(LOWER), keys.index(UPPER)
    unit = table.columns[low].unit
    if high != low + 1 or unit != table.columns[high].unit or unit == "text":
        return table
    heading = Column(INTERVAL, text("95 % interval"), doc=table.columns[low].doc)

    def row(values: Sequence[Cell]) -> tuple[Cell, ...]:
        a, b = values[low], values[high]
        both = None if a is None and b is None else _range(show(a, unit), show(b, unit))
        return (*values[:low], both, *values[high + 1 :])

    columns = (*table.columns[:low], heading, *table.columns[high + 1 :])
    return Table(table.name, table.title, columns, [row(values) for values in table.rows], table.note)


def without_details(table: Table, keep: Collection[str] = ()) -> Table:
    """A table without `DETAILS` and without columns that hold nothing.

    Examples:
        >>> columns = (Column("step", "Step"), Column("target", "Target", "ratio"))
        >>> [c.key for c in without_details(Table("t", "", columns, [("view", None)])).columns]
        ['step']
    """
    minor = DETAILS.get("by_*" if table.name.startswith("by_") else table.name, frozenset())
    kept = [
        i
        for i, column in enumerate(table.columns)
        if i == 0 or column.key in keep
        or (column.key not in minor and (not table.rows or any(row[i] not in (None, "") for row in table.rows)))
    ]  # fmt: skip
    if len(kept) == len(table.columns):
        return table
    columns = tuple(table.columns[i] for i in kept)
    return Table(table.name, table.title, columns, [tuple(row[i] for i in kept) for row in table.rows], table.note)


def _range(low: str, high: str) -> str:
    """Two numbers of one unit, which is written once.

    Examples:
        >>> _range("−1.2 pp", "+3.4 pp"), _range("12", "34"), _range("59 s", "1.2 min")
        ('−1.2 – +3.4 pp', '12 – 34', '59 s – 1.2 min')
    """
    unit = re.search(r"[^0-9.,]*$", high)
    assert unit is not None
    return f"{low.removesuffix(unit[0])} – {high}" if unit[0] and low.endswith(unit[0]) else f"{low} – {high}"
