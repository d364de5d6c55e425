"""From a number of an answer to the people it counts: addresses of the users' page, by table, row and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from upswing.core.results import Cell, Result, Table
from upswing.report.tables import Links
from upswing.verbs import VERBS
from upswing.web.view import address

Query = Sequence[tuple[str, str]]
Row = Mapping[str, Cell]
Place = Callable[[int, Row, str], dict[str, object] | None]

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
    return {table: _links(tables[table], base, place) for table, place in _PLACES[name].items() if table in tables}


def back(query: Query) -> str:
    """The page of the question that people stand behind; empty where there is none."""
    of = next((v for k, v in query if k == "of"), "")
    if not of:
        return ""
    asked = {p.flag for v in VERBS if v.name == of for p in v.params}
    place = {"at", "dropped", "group", "cohort", "lag", "lost", "in", "state", "days", "position", "node", "next"}
    return address(f"/{of}", [(k, v) for k, v in query if k in asked and k not in place])


def _links(table: Table, base: Query, place: Place) -> Links:
    keys = [c.key for c in table.columns]

    def links(number: int, key: str) -> str | None:
        row = dict(zip(keys, table.rows[number], strict=True))
        if row.get(key) in (None, 0):
            return None
        found = place(number, row, key)
        return None if found is None else address("/users", [*base, *((k, str(v)) for k, v in found.items())])

    return links


def _step(number: int, _: Row, key: str) -> dict[str, object] | None:
    if key == "users":
        return {"at": number + 1}
    return {"at": number + 1, "dropped": 1} if key == "rate_from_previous" and number else None


def _cohort(_: int, row: Row, key: str) -> dict[str, object] | None:
    if key == "size":
        return {"cohort": row["start"], "lag": 0}
    lag = key.removeprefix("lag_")
    return {"cohort": row["start"], "lag": lag} if key.startswith("lag_") and lag.isdigit() else None


def _state(_: int, row: Row, key: str) -> dict[str, object] | None:
    states = ("new", "returning", "resurrecting", "dormant")
    return {"in": row["start"], "state": key} if key in states else None


def _days(_: int, row: Row, key: str) -> dict[str, object] | None:
    return {"in": row["start"], "days": row["days"]} if key == "users" else None


def _node(_: int, row: Row, key: str) -> dict[str, object] | None:
    if key != "count" or str(row["name"]).startswith("("):
        return None
    return {"position": row["position"], "node": row["name"]}


_PLACES: Final[Mapping[str, Mapping[str, Place]]] = {
    "funnel": {"steps": _step},
    "retention": {"cohorts": _cohort},
    "lifecycle": {"lifecycle": _state},
    "stickiness": {"days": _days},
    "paths": {"nodes": _node},
}
"""Which of an answer's numbers stand for people, and how the users' verb names them."""
