"""Which properties groups can be compared by: known for most events, and with a number of values that a person can read."""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.sql.template import q

MOST_VALUES: Final = 30
MOST_DIMENSIONS: Final = 8
COVERAGE: Final = 0.8


def comparable_dimensions(
    log: EventLog, *, start: int, stop: int, event: str | None = None, most: int = MOST_DIMENSIONS
) -> tuple[str, ...]:
    """Properties with 2 to 30 values, known for four in five events; those with fewest values first.

    Args:
        log: the event log.
        start: first moment, µs UTC.
        stop: end, exclusive.
        event: only events of this name; any if absent.
        most: how many at most.
    """
    offered = [n for n, p in log.schema.properties.items() if p.type in ("text", "boolean", "integer")]
    if not offered:
        return ()
    selected: list[exp.Expr] = [exp.Count(this=exp.Star())]
    for name in offered:
        column = log.column(name)
        selected += [exp.Count(this=column.copy()), exp.Count(this=exp.Distinct(expressions=[column.copy()]))]
    tree = exp.select(*(exp.alias_(s, f"x{i}") for i, s in enumerate(selected))).from_("events")
    tree = tree.where(q("epoch_us(time) >= $start AND epoch_us(time) < $stop", start=start, stop=stop))
    if event is not None:
        tree = tree.where(q("event = $event", event=event))
    rows, *counts = (int(str(cell or 0)) for cell in log.engine.rows(Query(tree))[0])
    found = [
        (values, name)
        for name, known, values in zip(offered, counts[::2], counts[1::2], strict=True)
        if rows and known / rows >= COVERAGE and 2 <= values <= MOST_VALUES
    ]
    return tuple(name for _, name in sorted(found)[:most])
