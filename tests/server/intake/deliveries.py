"""Deliveries into a log without HTTP, and what the log then holds, read the slow way."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server.intake.serving import make_intake
from upswing.events.store import EventStore
from upswing.server.intake.events import Delivery
from upswing.server.intake.service import Intake

NOW = 1_795_392_000_000_000
"""2026-11-23 00:00 UTC."""

Row = tuple[str, int, str, Counter[object]]


def delivery(fill: Callable[[Delivery], None], received: int = NOW) -> Delivery:
    made = Delivery(received)
    fill(made)
    return made


@contextmanager
def taken(folder: Path, *deliveries: Delivery) -> Iterator[EventStore]:
    """The log after deliveries, each a batch of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    intake = make_intake(folder, fsync=False)
    try:
        intake.start()
        for one in deliveries:
            put(intake, one)
            assert intake.writer.drain(), intake.writer.progress.problem
        assert intake.writer.progress.problem is None
    finally:
        intake.close()
    with EventStore.open(folder / "events.duckdb") as store:
        yield store


def put(intake: Intake, one: Delivery) -> None:
    frame = one.frame()
    if frame is not None:
        intake.spool.append(frame).result(10)


def rows(store: EventStore) -> dict[str, Row]:
    """Every event by its id: user, time, name, and its values whatever the columns are called, as a multiset."""
    kinds = {p.column: p.type for p in store.properties().values()}
    table = store.connection.execute(
        "SELECT u.user_id, epoch_us(e.time) AS at, e.* EXCLUDE (user_key, time, import_id)"
        " FROM events AS e JOIN users AS u USING (user_key)"
    )
    names = [c[0] for c in table.description]
    found: dict[str, Row] = {}
    for values in table.fetchall():
        row = dict(zip(names, values, strict=True))
        held = Counter(comparable(v, kinds[n]) for n, v in row.items() if n in kinds and v is not None)
        assert row["event_id"] not in found, "an event stands twice"
        found[row["event_id"]] = (row["user_id"], row["at"], row["event"], held)
    return found


def comparable(value: object, kind: str) -> object:
    """A value that equals what was sent: numbers as numbers whatever their column, JSON as its content."""
    if kind == "json":
        return "json", json.dumps(clean(json.loads(str(value))), sort_keys=True)
    if isinstance(value, bool):
        return "boolean", value
    return ("number", float(value)) if isinstance(value, int | float) else ("text", value)


def sent_values(properties: object, depth: int = 4) -> Counter[object]:
    """What the log should hold of an event's properties: every leaf down to the fifth level, what is below as JSON."""
    found: Counter[object] = Counter()
    assert isinstance(properties, dict)
    for value in properties.values():
        if isinstance(value, dict) and value and depth:
            found += sent_values(value, depth - 1)
        elif isinstance(value, dict | list):
            found[("json", json.dumps(value, sort_keys=True))] += 1
        elif isinstance(value, bool):
            found[("boolean", value)] += 1
        elif isinstance(value, int) and abs(value) >= 2**53:
            found[("text", str(value))] += 1
        elif isinstance(value, int | float):
            found[("number", float(value))] += 1
        elif value is not None:
            found[("text", value)] += 1
    return found


def clean(value: object) -> object:
    """As the log keeps texts: without NUL, which no engine stores, and without halves of surrogate pairs."""
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, list):
        return [clean(v) for v in value]
    return value.replace("\x00", "").encode("utf-8", "replace").decode() if isinstance(value, str) else value
