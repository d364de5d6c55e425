"""Jobs of a workspace that come round: what they do, and how often by ``jobs:`` in ``upswing.yml``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from upswing.core.units import Duration
from upswing.facts.clock import now
from upswing.server.rounds.compaction import compact_when_worth_it
from upswing.server.rounds.refreshing import refresh
from upswing.server.rounds.telling import guardrails, watch

if TYPE_CHECKING:
    from upswing.facts.database import Facts
    from upswing.server.schedule import Schedule, Work
    from upswing.server.state import ServerState


def add_rounds(schedule: Schedule, state: ServerState, facts: Facts) -> None:
    """Add them to a schedule; each runs for the first time after its period, so that a start is not kept busy."""
    work: dict[str, Work] = {
        "refresh": partial(refresh, state),
        "watch": partial(watch, state, facts),
        "guardrails": partial(guardrails, state, facts),
    }
    if state.storage.embedded:
        work["compact"] = partial(compact_when_worth_it, state, facts)
    for name, does in work.items():
        every = getattr(state.storage.project.jobs, name)
        if isinstance(every, Duration):
            schedule.add(name, every, does, first=now() + every.microseconds)
        else:
            schedule.leave_out(name)
