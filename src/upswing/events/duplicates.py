"""Which rows of an import the log has already: by event id, else by content, as multisets, where times overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from upswing.engines.base import Property
from upswing.events.prepare import Prepared
from upswing.events.staged import ROW
from upswing.events.statements import Fragment, listed, literal, name, statement
from upswing.events.store import EventStore
from upswing.events.types import PHYSICAL

SKIPPED: Final = name("upswing_skipped")
"""Temporary table (import_id, row) of rows that are not inserted; only there when `mark_duplicates` returned True."""


def mark_duplicates(store: EventStore, files: Mapping[int, Prepared], properties: Mapping[str, Property]) -> bool:
    """Write the rows that must not be inserted to `SKIPPED`.

    With an event id, the first of equal ids wins: the log's, then the earliest in the order of the files. Without, rows
    are compared by user, time, event and all properties, as multisets: what occurs n times in the log and m times in
    the file is added max(0, m - n) times. So a file imported twice or an overlapping export adds nothing twice, while
    true repeats inside one file stay.

    Args:
        store: the log; its `events` has all columns of `properties` already.
        files: prepared files by import id, in order.
        properties: the properties as they are after the import.

    Returns:
        Whether there is anything to skip.
    """
    store.run(statement("CREATE OR REPLACE TEMP TABLE {t} (import_id INTEGER, row BIGINT)", t=SKIPPED))
    with_id = {i: p for i, p in files.items() if p.mapping.event_id is not None}
    if with_id:
        _by_id(store, with_id)
    hull = _overlap(store, list(files.values()))
    if hull is not None:
        _by_content(store, files, properties, hull)
    return store.count(statement("SELECT count(*) FROM {t}", t=SKIPPED)) > 0


def _by_id(store: EventStore, files: Mapping[int, Prepared]) -> None:
    ids = name("upswing_ids")
    union = listed(
        (
            statement(
                "SELECT {i} AS import_id, {row} AS row, {id} AS event_id FROM {r} WHERE {good} AND {id} IS NOT NULL",
                i=literal(i), row=ROW, id=p.event_id, r=p.staged.relation, good=p.good,
            )
            for i, p in files.items()
        ),
        " UNION ALL ",
    )  # fmt: skip
    store.run(statement("CREATE OR REPLACE TEMP TABLE {ids} AS {union}", ids=ids, union=union))
    store.run(
        statement(
            "INSERT INTO {skipped} SELECT import_id, row FROM {ids} SEMI JOIN events USING (event_id)",
            skipped=SKIPPED, ids=ids,
        )
    )  # fmt: skip
    store.run(
        statement(
            "INSERT INTO {skipped} SELECT import_id, row FROM {ids}"
            " SEMI JOIN (SELECT event_id FROM {ids} GROUP BY event_id HAVING count(*) > 1) AS repeated USING (event_id)"
            " ANTI JOIN events USING (event_id)"
            " QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY import_id, row) > 1",
            skipped=SKIPPED, ids=ids,
        )
    )  # fmt: skip
    store.run(statement("DROP TABLE {ids}", ids=ids))


def _overlap(store: EventStore, files: Sequence[Prepared]) -> tuple[int, int] | None:
    """The time range outside of which no row can be a duplicate by content."""
    lo, hi = store.row("SELECT epoch_us(min(time)), epoch_us(max(time)) FROM events")
    spans = [p.span for p in files if p.span is not None]
    if lo is not None:
        spans.append((int(str(lo)), int(str(hi))))
    shared = [(max(a[0], b[0]), min(a[1], b[1])) for a, b in combinations(spans, 2)]
    shared = [(start, stop) for start, stop in shared if start <= stop]
    return (min(s for s, _ in shared), max(s for _, s in shared)) if shared else None


def _by_content(
    store: EventStore, files: Mapping[int, Prepared], properties: Mapping[str, Property], hull: tuple[int, int]
) -> None:
    kept = list(properties.values())
    lo, hi = literal(hull[0]), literal(hull[1])
    union = listed(
        (
            statement(
                "SELECT {i} AS import_id, {row} AS row, {user} AS user_id, make_timestamp({t}) AS time,"
                " {event} AS event, {content} AS content FROM {r}"
                " WHERE {good} AND {t} BETWEEN {lo} AND {hi} AND {id} IS NULL",
                i=literal(i), row=ROW, user=p.user, t=p.time, event=p.event, id=p.event_id,
                content=_content([_value(p, held) for held in kept]), r=p.staged.relation, good=p.good, lo=lo, hi=hi,
            )
            for i, p in files.items()
        ),
        " UNION ALL ",
    )  # fmt: skip
    candidates, counted = name("upswing_candidates"), name("upswing_counted")
    store.run(statement("CREATE OR REPLACE TEMP TABLE {c} AS {union}", c=candidates, union=union))
    store.run(
        statement(
            "CREATE OR REPLACE TEMP TABLE {counted} AS"
            " SELECT user_id, time, event, content, count(*) AS copies FROM"
            " (SELECT u.user_id, e.time, e.event, {content} AS content FROM events AS e"
            " JOIN users AS u USING (user_key)"
            " WHERE e.time BETWEEN make_timestamp({lo}) AND make_timestamp({hi})) AS held"
            " SEMI JOIN {c} AS c USING (user_id, time, event, content) GROUP BY ALL",
            counted=counted, content=_content([name(held.column) for held in kept]), lo=lo, hi=hi, c=candidates,
        )
    )  # fmt: skip
    store.run(
        statement(
            # nth: which copy of its content a row is within its file; a copy number is added once, by the first file
            # that reaches it, and only beyond the copies that the log has.
            "INSERT INTO {skipped} WITH numbered AS (SELECT *, row_number() OVER"
            " (PARTITION BY user_id, time, event, content, import_id ORDER BY row) AS nth FROM {c}),"
            " ranked AS (SELECT *, row_number() OVER"
            " (PARTITION BY user_id, time, event, content, nth ORDER BY import_id) AS reached FROM numbered)"
            " SELECT import_id, row FROM ranked LEFT JOIN {counted} USING (user_id, time, event, content)"
            " WHERE reached > 1 OR nth <= coalesce(copies, 0)",
            skipped=SKIPPED, c=candidates, counted=counted,
        )
    )  # fmt: skip
    for table in (candidates, counted):
        store.run(statement("DROP TABLE {t}", t=table))


def _value(file: Prepared, held: Property) -> Fragment:
    kind = Fragment(PHYSICAL[held.type])
    return statement("CAST({x} AS {kind})", x=file.values.get(held.name, literal(None)), kind=kind)


def _content(values: Sequence[Fragment]) -> Fragment:
    return statement("hash({values})", values=listed(values)) if values else literal(0)
