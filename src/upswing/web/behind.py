"""From a number of an answer to the people it counts: addresses of the users' page, by table, row and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from upswing.core.results import Cell, Result, Table
from upswing.report.tables import Links
from upswing.verbs import VERBS
from upswing.web.view import address

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Spot:
    """One cell of an answer.

    Args:
        result: the answer.
        table: one of its tables.
        number: of the row.
        row: its values by column.
        key: the column.
    """

    result: Result
    table: Table
    number: int
    row: Mapping[str, Cell]
    key: str


Place = Callable[[Spot], dict[str, object] | None]

NOT_THE_QUESTION: Final = frozenset({"by", "limit", "trend", "compare", "save", "format", "lang", "attribution"})
"""Parts of a question that change what is shown of it, not who is counted."""


def links_behind(name: str, query: Query, result: Result) -> dict[str, Links]:
    """For each table of an answer, where its cells lead to.

    Args:
        name: the verb that was asked.
        query: how.
        result: its answer.
    """
    if name not in _PLACES or any(k == "by" and v.startswith("segment:") for k, v in query):
        return {}
    known = {p.flag for v in VERBS if v.name == "users" for p in v.params}
    kept = [(k, v) for k, v in query if k not in NOT_THE_QUESTION]
    if "of" not in known or any(k not in known for k, _ in kept):
        return {}
    base: list[tuple[str, str]] = [("of", name), *kept]
    tables = {table.name: table for table in result.tables()}
    given = {k for k, _ in query}
    return {
        table: _links(result, tables[table], base, place)
        for table, place in _PLACES[name].items()
        if table in tables and not (table == "groups" and "attribution" in given)  # the verb counts by the default one
    }


def link_behind(name: str, query: Query, result: Result, table: Table, period: str, key: str) -> str:
    """The people behind a headline: the cell of `key` in the row of its period; empty where the verb cannot name them."""
    links = links_behind(name, query, result).get(table.name)
    column = [c.key for c in table.columns].index("start")
    number = next((i for i, row in enumerate(table.rows) if str(row[column]) == period), None)
    return "" if links is None or number is None else links(number, key) or ""


def back(query: Query) -> str:
    """The page of the question that people stand behind; empty where there is none."""
    of = next((v for k, v in query if k == "of"), "")
    if not of:
        return ""
    asked = {p.flag for v in VERBS if v.name == of for p in v.params}
    place = {"at", "dropped", "group", "cohort", "lag", "lost", "in", "state", "days", "position", "node", "next"}
    return address(f"/{of}", [(k, v) for k, v in query if k in asked and k not in place])


def _links(result: Result, table: Table, base: Query, place: Place) -> Links:
    keys = [c.key for c in table.columns]

    def links(number: int, key: str) -> str | None:
        row = dict(zip(keys, table.rows[number], strict=True))
        if row.get(key) in (None, 0):
            return None
        found = place(Spot(result, table, number, row, key))
        return None if found is None else address("/users", [*base, *((k, str(v)) for k, v in found.items())])

    return links


def _step(at: Spot) -> dict[str, object] | None:
    if at.key == "users":
        return {"at": at.number + 1}
    return {"at": at.number + 1, "dropped": 1} if at.key == "rate_from_previous" and at.number else None


def _step_of_group(at: Spot) -> dict[str, object] | None:
    """The rows of a group are its steps, in their order."""
    group, by = at.row["group"], getattr(at.result, "by", None)
    if not by or group is None:
        return None
    first = next(i for i, row in enumerate(at.table.rows) if row[0] == group)
    found = _step(Spot(at.result, at.table, at.number - first, at.row, at.key))
    return None if found is None else {"by": by, "group": group, **found}


def _cohort(at: Spot) -> dict[str, object] | None:
    if at.key == "size":
        return {"cohort": at.row["start"], "lag": 0}
    lag = at.key.removeprefix("lag_")
    return {"cohort": at.row["start"], "lag": lag} if at.key.startswith("lag_") and lag.isdigit() else None


def _state(at: Spot) -> dict[str, object] | None:
    states = ("active", "new", "returning", "resurrecting", "dormant")
    return {"in": at.row["start"], "state": at.key} if at.key in states else None


def _days(at: Spot) -> dict[str, object] | None:
    return {"in": at.row["start"], "days": at.row["days"]} if at.key == "users" else None


def _band(at: Spot) -> dict[str, object] | None:
    """Bands are numbers in the result's data, and words in its table."""
    bands = at.result.data().get("bands")
    if at.key != "users" or not isinstance(bands, list):
        return None
    ends = {"at-least": bands[at.number]["from"], "below": bands[at.number]["to"]}
    return {k: v for k, v in ends.items() if v is not None}


def _node(at: Spot) -> dict[str, object] | None:
    if at.key != "count" or str(at.row["name"]).startswith("("):
        return None
    return {"position": at.row["position"], "node": at.row["name"]}


_PLACES: Final[Mapping[str, Mapping[str, Place]]] = {
    "funnel": {"steps": _step, "groups": _step_of_group},
    "retention": {"cohorts": _cohort},
    "lifecycle": {"lifecycle": _state},
    "stickiness": {"days": _days},
    "paths": {"nodes": _node},
    "distribution": {"bands": _band},
}
"""Which of an answer's numbers stand for people, and how the users' verb names them."""
