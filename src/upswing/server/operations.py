"""Looking after a running server: backup, erasure, jobs that come round, alerts that go out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse

from upswing.core.i18n import text
from upswing.core.units import DAY, MINUTE, Duration
from upswing.events.store import EventStore
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server import backup, erasure, schedule
from upswing.server.audit import ITSELF, facts_of, record
from upswing.server.notify.outbox import Lines, Notifier
from upswing.server.observe import note
from upswing.server.rounds import add_rounds
from upswing.server.schedule import Run, Schedule
from upswing.server.state import ServerState, needs, state_of
from upswing.server.storage import SharedStore

_KEPT_ALERTS: Final = 90 * DAY
_ONE_BACKUP: Final = threading.Lock()


def add_operations(app: FastAPI, state: ServerState, facts: Facts) -> Schedule:
    """Mount the routes and begin the schedule with the server.

    Further parts add their jobs to the schedule before the server starts: ``app.state.schedule.add(…)``.
    """
    found = Schedule(facts)
    app.state.schedule = found
    found.add("tidy", Duration(DAY), lambda run: _tidy(state, facts, run))
    lines = Lines()
    found.add("alerts", Duration(MINUTE), lambda run: _deliver(state, facts, lines, run))
    add_rounds(found, state, facts)
    state.on_start.append(lambda: _remove_leftovers(state.root))
    state.on_start.append(found.start)
    state.on_stop.append(found.stop)
    for router in (_router(), schedule.router(found), erasure.router()):
        app.include_router(router)
    return found


def _remove_leftovers(root: Path) -> None:
    """No backup can be under way in another process: this one holds the workspace."""
    removed = backup.remove_leftovers(root)
    if removed:
        note("leftovers of interrupted backups were deleted", number=removed)


def _tidy(state: ServerState, facts: Facts, run: Run) -> None:
    """What has ended is forgotten, and events go by the rules of ``upswing.yml``."""
    facts.sessions.tidy()
    facts.alerts.forget_before(now() - _KEPT_ALERTS)
    run.check()
    if state.storage.embedded:
        rules = state.storage.settings().keep
        deleted = sum(erasure.apply_keep_rules(state.storage.writing, rules).values())
        if deleted:
            facts.audit.record(ITSELF, "events.keep", f"{deleted} events")
        state.storage.refresh()


def _deliver(state: ServerState, facts: Facts, lines: Lines, run: Run) -> None:
    run.check()
    project = state.storage.settings()
    if project.notify.channels:
        Notifier(facts, project, lines=lines).deliver(check=run.check)


@contextmanager
def reading(state: ServerState) -> Iterator[EventStore]:
    """The served log for one reader, beside its writer."""
    store = SharedStore(state.storage.log_path, state.storage.connect())
    try:
        yield store
    finally:
        store.close()


class BackupWish(BaseModel):
    """What a backup is to hold."""

    model_config = ConfigDict(extra="forbid")

    secret_key: bool = Field(
        default=False, description=text("Also the key that opens the secrets of connectors.").message
    )


def _router() -> APIRouter:
    found = APIRouter(prefix="/api/v1", tags=["operations"], dependencies=[Depends(needs("admin"))])

    @found.post("/backup", summary=text("The whole workspace as one file").message, response_class=FileResponse)
    def make_backup(request: Request, wish: Annotated[BackupWish, Depends(_wish)]) -> FileResponse:
        state, facts = state_of(request), facts_of(request)
        path = backup.temporary_file(state.root)
        try:
            with _ONE_BACKUP:
                manifest = backup.back_up(
                    state.root, path, reading=(lambda: reading(state)) if state.storage.embedded else None, facts=facts,
                    secret_key=wish.secret_key,
                )  # fmt: skip
        except BaseException:
            backup.done_with(path)
            raise
        record(request, "backup", manifest.project)
        return FileResponse(
            path,
            media_type="application/x-tar",
            filename="upswing-backup.tar",
            background=BackgroundTask(backup.done_with, path),
        )

    return found


def _wish(wish: BackupWish | None = None) -> BackupWish:
    return wish or BackupWish()
