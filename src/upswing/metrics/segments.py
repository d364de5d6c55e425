"""Metrics of a segment against those of everybody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.metrics.series import MetricsResult
from upswing.sql.template import q

Keys = NDArray[np.int64]


def in_segments(
    ask: Callable[..., MetricsResult], log: EventLog, segment: tuple[str, Keys], users: Keys | None
) -> MetricsResult:
    """The same metrics over the users of a segment and over all others, who are in "(other)".

    Args:
        ask: computes the metrics of the users it is given (None = everybody).
        log: the event log.
        segment: name and sorted user keys.
        users: only these users at all; None = everybody.

    Returns:
        Points by group; the standings are those of all users together.
    """
    name, keys = segment
    everyone = users
    if everyone is None:
        found = log.engine.arrow(Query(q("SELECT DISTINCT user_key FROM users"))).column(0).to_numpy()
        everyone = np.unique(found.astype(np.int64))
    whole = ask(users=users)
    groups = ((name, np.intersect1d(everyone, keys)), ("(other)", np.setdiff1d(everyone, keys)))
    parts = [(group, ask(users=members)) for group, members in groups]
    points = [replace(point, group=group) for group, part in parts for point in part.points]
    order = {metric.name: i for i, metric in enumerate(whole.metrics)}
    points.sort(key=lambda p: (order[p.metric], p.period, p.group or ""))
    how = replace(whole.how, definition={**whole.how.definition, "by": f"segment:{name}"})
    return replace(whole, how=how, points=tuple(points), by=name)
