"""Erasing a user everywhere: spool, log, quarantine, mapped columns, kept answers; with a report and an audit entry."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from upswing.core.i18n import text
from upswing.events.erasure import Erasure, delete_old, erase_user, sweep_quarantine
from upswing.events.store import EventStore
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server.audit import facts_of, record
from upswing.server.backup import remove_leftovers
from upswing.server.intake.service import Intake, empty_spool
from upswing.server.settings import UPLOADS
from upswing.server.state import needs, state_of
from upswing.spec.operations import KeepRule

Writing = Callable[[], AbstractContextManager[EventStore]]
"""Gives the log for one transaction; while it is held, nobody else writes."""


def erase_everywhere(
    root: Path, writing: Writing, intake: Intake | None, user_id: str, *, for_good: bool = False
) -> Erasure:
    """Erase a user from the log, from what waits for it, and from copies that nobody knows of.

    What was acknowledged before goes into the log first, so that nothing of it stays in the spool's files; what comes
    meanwhile meets the tombstone when it is written.

    Args:
        root: folder of the workspace.
        writing: gives the log.
        intake: with the spool; None where no events come in.
        user_id: the user's id, or an alias that never stood for anybody else.
        for_good: refuse later events too.

    Raises:
        DataError: UP346 the id stands for several users.
        EngineError: UP848 the log does not take what is in the spool.
    """
    if intake is not None:
        empty_spool(intake)
    with writing() as store:
        found = erase_user(store, user_id, at=now(), for_good=for_good)
        spool = store.path.parent / "spool"
    left = [*spool.glob("*.damaged"), *(root / UPLOADS).glob("*/*")]
    unsearched = tuple(sorted(os.path.relpath(file, root) for file in left if file.is_file()))
    return replace(found, leftovers=remove_leftovers(root), unsearched=unsearched)


def apply_keep_rules(writing: Writing, rules: list[KeepRule]) -> dict[str, int]:
    """Delete what is older than the rules of ``upswing.yml`` keep it; the daily job.

    Returns:
        Name of the event → rows deleted.
    """
    with writing() as store:
        sweep_quarantine(store)
        return delete_old(store, {rule.event: rule.keep.microseconds for rule in rules}, at=now()) if rules else {}


class Wish(BaseModel):
    """Who is to be erased."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(min_length=1, max_length=512, description=text("The user's id, or an alias of theirs.").message)
    for_good: bool = Field(default=False, description=text("Refuse later events of the ids too.").message)


def router() -> APIRouter:
    """``POST /api/v1/erasure``."""
    found = APIRouter(prefix="/api/v1", tags=["operations"], dependencies=[Depends(needs("admin"))])

    @found.post("/erasure", summary=text("Erase a user from events, aliases, quarantine and clicks").message)
    def erase(request: Request, wish: Wish) -> dict[str, object]:
        state = state_of(request)
        intake = state.intake if isinstance(state.intake, Intake) else None
        report = erase_everywhere(state.root, state.storage.writing, intake, wish.user, for_good=wish.for_good)
        state.storage.refresh()
        state.questions.forget()
        note(facts_of(request), report, lambda target: record(request, "users.erase", target))
        return asdict(report)

    return found


def note(facts: Facts, report: Erasure, write: Callable[[str], object]) -> None:
    """Write the erasure into the audit log, under a hash that only this workspace can check."""
    write(f"user {facts.secrets.fingerprint(report.ids[0])}: {report.events} events")
