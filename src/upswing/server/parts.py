"""Parts of a server that need the run-time facts: the intake with its keys, gauges of both, and readiness."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI, Request

from upswing.core.i18n import text
from upswing.facts.database import Facts
from upswing.facts.keys import Key
from upswing.server.errors import NotSignedInError
from upswing.server.intake.keys import Authorise, shown_key
from upswing.server.intake.limits import Rates
from upswing.server.intake.routes import router as intake_routes
from upswing.server.intake.service import Intake
from upswing.server.state import ServerState

_SPOOL = "spool"


def open_facts(state: ServerState) -> Facts:
    """The run-time facts of the workspace; closed when the server stops."""
    facts = Facts.open(state.root, getattr(state.storage.project, "facts", None))
    state.facts = facts
    state.on_stop.append(facts.close)
    return facts


def mount_intake(app: FastAPI, state: ServerState, facts: Facts) -> None:
    """Events in over HTTP; only for workspaces whose log is their own."""
    if not state.storage.embedded:
        return
    folder = state.storage.log_path.parent / _SPOOL
    intake = Intake.open(folder, state.storage.writing, calendar=state.storage.project.calendar)
    state.intake = intake
    app.include_router(intake_routes(intake, authoriser(facts)))
    state.on_start.append(intake.start)
    state.on_stop.append(intake.close)
    state.ready["intake"] = intake.problem
    seen, progress = state.observations, intake.writer.progress
    seen.gauge("upswing_intake_accepted_events", "Events acknowledged since the start.", lambda: intake.counts.accepted)
    seen.gauge("upswing_intake_refused_events", "Events set aside since the start.", lambda: intake.counts.set_aside)
    seen.gauge("upswing_intake_refused_requests", "Requests turned away.", lambda: intake.counts.turned_away)
    seen.gauge("upswing_intake_written_events", "Events in the log since the start.", lambda: progress.events)
    seen.gauge("upswing_intake_duplicate_events", "Events that the log had already.", lambda: progress.duplicates)


@dataclass(frozen=True, slots=True)
class _ShownKey:
    """A key as the intake reads it; its rate counts requests and is taken here."""

    id: str
    origins: tuple[str, ...]
    events_per_second: float | None = None


def authoriser(facts: Facts) -> Authorise:
    """Which intake key a request shows.

    Raises:
        NotSignedInError: UP805 none, or one that does not hold.
        TooManyError: UP871 more requests than the key may make.
    """
    rates = Rates()

    def authorise(request: Request) -> _ShownKey:
        secret = shown_key(request)
        key: Key | None = None if secret is None else facts.keys.find(secret, "intake")
        if key is None:
            raise NotSignedInError(
                text("events need an intake key"), hint=text("make one: upswing key add --kind intake LABEL")
            )
        rates.take(str(key.id), key.per_second, 1)
        return _ShownKey(str(key.id), key.origins)

    return authorise
