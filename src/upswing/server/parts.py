"""Parts of a server beside its questions: people and keys, and events that come in."""

from __future__ import annotations

from fastapi import FastAPI

from upswing.facts.database import Facts
from upswing.server.accounts import add_accounts
from upswing.server.intake.routes import router as intake_routes
from upswing.server.intake.service import Intake
from upswing.server.keys import intake_keys
from upswing.server.state import ServerState

_SPOOL = "spool"


def open_facts(state: ServerState) -> Facts:
    """The run-time facts of the workspace; closed when the server stops."""
    facts = Facts.open(state.root, state.storage.project.facts)
    state.on_stop.append(facts.close)
    return facts


def mount(app: FastAPI, state: ServerState, facts: Facts) -> None:
    """Sign-in and administration; intake where the workspace has a log of its own."""
    add_accounts(app, state, facts)
    if state.storage.embedded:
        _mount_intake(app, state, facts)


def _mount_intake(app: FastAPI, state: ServerState, facts: Facts) -> None:
    folder = state.storage.log_path.parent / _SPOOL
    intake = Intake.open(folder, state.storage.writing, calendar=state.storage.project.calendar)
    state.intake = intake
    app.include_router(intake_routes(intake, intake_keys(state, facts)))
    state.on_start.append(intake.start)
    state.on_stop.append(intake.close)
    state.ready["intake"] = intake.problem
    seen, counts, progress = state.observations, intake.counts, intake.writer.progress
    seen.count("upswing_intake_accepted_events", "Events acknowledged since the start.", lambda: counts.accepted)
    seen.count("upswing_intake_refused_events", "Events set aside since the start.", lambda: counts.set_aside)
    seen.count("upswing_intake_refused_requests", "Requests turned away.", lambda: counts.turned_away)
    seen.count("upswing_intake_written_events", "Events in the log since the start.", lambda: progress.events)
    seen.count("upswing_intake_duplicate_events", "Events that the log had already.", lambda: progress.duplicates)
