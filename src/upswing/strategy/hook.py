"""Hook loop: where the circle of trigger, action, reward and investment breaks, and whether walking it makes a habit."""

from __future__ import annotations

from datetime import date, datetime
from operator import add

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.core.results import Caveat
from upswing.core.units import SECOND
from upswing.diagnose.breakdown import breakdown_by
from upswing.diagnose.scan import Keys, Scan
from upswing.engines.base import Category, SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.loops import LoopKernel, Loops
from upswing.spec.hook import HookDefinition
from upswing.stats.proportions import wilson_interval
from upswing.strategy.hook_result import Arc, HookGroup, HookResult, LoopStep, Rate

Moment = str | date | datetime | None
_MOST_GROUPS = 8


def hook(
    log: EventLog,
    definition: HookDefinition,
    *,
    start: Moment = None,
    stop: Moment = None,
    by: str | None = None,
    users: Keys | None = None,
    segment: tuple[str, Keys] | None = None,
) -> HookResult:
    """Measure a loop: rate and time of each arc, loops closed per user, and the chance of another after each closing.

    Attempts follow `upswing.sequences.loops.LoopKernel`. Arcs whose window is not over are counted apart and are in no
    rate. The chance of another loop is asked of users whom the log shows long enough after their last closing.

    Args:
        log: the event log.
        definition: the loop.
        start: first moment at which an attempt may begin.
        stop: end of that range, exclusive.
        by: property at the user's first trigger to break down by.
        users: sorted user keys to keep; None = all.
        segment: name and users of a segment to compare with everybody else.

    Raises:
        UsageError: UP302 an event that never occurs, UP301 no such property.
        DataError: UP350 nobody has a trigger in the range.
    """
    scan = Scan(log)
    lo, hi = log.resolve_range(start, stop)
    matches = [match for _, match in definition.parts]
    groups: tuple[str, ...] = ()
    columns: tuple[Category, ...] = ()
    if segment is not None:
        groups = (segment[0], str(text("everybody else")))
    elif by is not None:
        breakdown = breakdown_by(scan, by, definition.trigger, start=lo, stop=hi, limit=_MOST_GROUPS, users=users)
        groups, columns = breakdown.groups, (breakdown.category,)
    kernel = LoopKernel(
        windows=np.array(definition.windows, np.int64),
        again=definition.again.microseconds,
        start=lo,
        stop=hi,
        horizon=log.require_events().horizon or 0,
        most=definition.loops,
        n_groups=max(1, len(groups)),
        grouped=bool(columns),
        members=None if segment is None else segment[1],
    )
    request = SequenceRequest(marks=tuple(map(log.mark, matches)), columns=columns, users=users)
    found = scan.run(kernel, request, add)
    if found is None or found.users.sum() == 0:
        raise DataError(
            text("nobody has '{event}' in the range", event=definition.trigger.described),
            code="UP350",
            hint=text("choose another start, or a longer range"),
        )
    whole = _group(None, definition, found, slice(None))
    parts = tuple(_group(name, definition, found, slice(i, i + 1)) for i, name in enumerate(groups))
    how = scan.how(
        definition={**definition.model_dump(mode="json", exclude_defaults=True, exclude={"kind"}), "by": by},
        window=log.window(lo, hi),
        method=text(
            "An attempt begins with a trigger and goes on with the earliest next part inside its window; triggers during "
            "an open attempt belong to it; arcs whose window is not over are left out of rates (Wilson intervals)"
        ),
        caveats=_caveats(whole),
    )
    return HookResult(
        how=how,
        name=definition.name,
        label=definition.shown,
        whole=whole,
        groups=tuple(g for g in parts if g.users),
        by=by or (segment or [None])[0],
    )


def _group(name: str | None, definition: HookDefinition, found: Loops, chosen: slice) -> HookGroup:
    names = [part for part, _ in definition.parts]
    entered, passed, pending = (a[chosen].sum(axis=0) for a in (found.entered, found.passed, found.pending))
    users = found.users[chosen].sum(axis=0)
    observed, followed = (a[chosen].sum(axis=0) for a in (found.observed, found.followed))
    arcs = []
    for i, (here, there) in enumerate(zip(names, [*names[1:], names[0]], strict=True)):
        n, k = int(entered[:, i].sum()), int(passed[:, i].sum())
        median, late = _quantiles(found, i) if name is None else (None, None)
        arcs.append(Arc(here, there, n, k, int(pending[:, i].sum()), _rate(k, n), median, late,
                        tuple(_rate(int(a), int(b)) for a, b in zip(passed[:, i], entered[:, i], strict=True))))  # fmt: skip
    total = int(users.sum())
    steps = tuple(
        LoopStep(j, int(users[j:].sum()), int(users[j]), int(observed[j]), _rate(int(followed[j]), int(observed[j])))
        for j in range(len(observed))
    )
    return HookGroup(name, total, tuple(arcs), steps)


def _rate(k: int, n: int) -> Rate:
    found = wilson_interval(k, n)
    return Rate(float(found.estimate), float(found.lower), float(found.upper))


def _quantiles(found: Loops, arc: int) -> tuple[float | None, float | None]:
    """Median and 90th percentile of an arc's time in seconds."""
    times: NDArray[np.int64] = found.times[found.arcs == arc]
    if not len(times):
        return None, None
    median, late = np.quantile(times, [0.5, 0.9]) / SECOND
    return float(median), float(late)


def _caveats(whole: HookGroup) -> list[Caveat]:
    notes = [
        Caveat(
            "survivors",
            text("who has closed many loops is another kind of user than who has closed one: a rate that rises with the "
                 "number of loops need not mean that loops make the habit"),
        )
    ]  # fmt: skip
    pending = sum(a.pending for a in whole.arcs)
    if pending:
        notes.append(
            Caveat("pending", text("{n} arcs left out of rates: their window is not over yet", n=f"{pending:,}"))
        )
    if whole.arcs[-2].passed == 0:
        notes.append(Caveat("never_closed", text("no loop was ever closed")))
    return notes
