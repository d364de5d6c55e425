"""Breaking an answer down by a property: which values get a group of their own, and what the rest is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlglot import exp

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.diagnose.scan import Scan
from upswing.engines.base import Category, Query
from upswing.events.log import Matcher
from upswing.sql.template import q

OTHER: Final = "(other)"
"""Values beyond the limit."""
NONE: Final = "(none)"
"""No value."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The groups of a breakdown, in the order of the codes that `category` gives (null, -1, is the last group)."""

    name: str
    values: tuple[str, ...]
    category: Category

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups: the values, the rest, and no value."""
        return (*self.values, OTHER, NONE)


def breakdown_by(
    scan: Scan, name: str, match: Matcher, *, start: int, stop: int, limit: int, users: NDArray[np.int64] | None
) -> Breakdown:
    """A breakdown by the values that most users have on the matching events in [start, stop).

    Args:
        scan: where the statement is run and noted.
        name: the property.
        match: the events that carry the value.
        start: µs UTC.
        stop: µs UTC, exclusive.
        limit: most values with a group of their own.
        users: sorted user keys; None = all.

    Raises:
        UsageError: UP301 no such property, UP643 the limit is not positive.
    """
    if limit < 1:
        raise UsageError(
            text("a breakdown needs at least one group, got a limit of {limit}", limit=limit), code="UP643"
        )
    value = q("CAST($c AS VARCHAR)", c=scan.log.column(name))
    tree = q(
        "SELECT $v AS value, count(DISTINCT user_key) AS users FROM events WHERE $c IS NOT NULL AND $mine "
        "AND epoch_us(time) >= $start AND epoch_us(time) < $stop GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $limit",
        v=value, c=scan.log.column(name), mine=_condition(scan, match, users), start=start, stop=stop, limit=limit,
    )  # fmt: skip
    values = tuple(str(row[0]) for row in scan.rows(Query(tree)))
    return Breakdown(name, values, Category(value.copy(), values))


def _condition(scan: Scan, match: Matcher, users: NDArray[np.int64] | None) -> exp.Expression:
    mark = scan.log.mark(match)
    parts: list[exp.Expression] = [exp.true()]
    if mark.events is not None:
        parts.append(q("event IN $names", names=list(mark.events)))
    if mark.where is not None:
        parts.append(exp.paren(mark.where.copy()))
    if users is not None:
        parts.append(q("user_key IN $users", users=[int(u) for u in users] or [-1]))
    return exp.paren(exp.and_(*parts))
