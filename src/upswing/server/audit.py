"""Changes into the audit log, and the log for administrators."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from starlette.requests import HTTPConnection, Request

from upswing.core.i18n import text
from upswing.facts.audit import Entry
from upswing.facts.database import Facts
from upswing.server.errors import NotFoundError
from upswing.server.state import current_person, needs, state_of

ITSELF: Final = "upswing"
"""Who makes the changes that jobs make."""


def facts_of(request: HTTPConnection) -> Facts:
    """The run-time facts of the server that answers.

    Raises:
        NotFoundError: UP814 it runs without.
    """
    found = state_of(request).facts
    if not isinstance(found, Facts):
        raise NotFoundError(text("this server keeps no run-time facts"), code="UP814")
    return found


def who(request: HTTPConnection) -> str:
    """Who is asking, as the audit log names them."""
    person = current_person(request)
    return "" if person is None else str(getattr(person, "email", person.name))


def record(
    request: HTTPConnection, action: str, target: str = "", *, before: object = None, after: object = None
) -> Entry:
    """Write down a change that somebody asked for.

    Args:
        request: as it came.
        action: what, e.g. ``keys.rotate``.
        target: to what, by name; never a user's id.
        before: what it was, as plain data; only its hash is kept.
        after: what it is now.
    """
    address = request.client.host if request.client else None
    return facts_of(request).audit.record(who(request), action, target, before=before, after=after, address=address)


def router() -> APIRouter:
    """``GET /api/v1/audit``."""
    found = APIRouter(prefix="/api/v1", tags=["people"], dependencies=[Depends(needs("admin"))])

    @found.get("/audit", summary=text("Who changed what, the newest first").message)
    def entries(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        action: Annotated[str | None, Query(max_length=60)] = None,
    ) -> dict[str, object]:
        facts = facts_of(request)
        listed = facts.audit.entries(before=before, limit=limit, action=action)
        following = listed[-1].id if len(listed) == limit and listed[-1].id > 1 else None
        return {
            "entries": [as_dict(entry) for entry in listed],
            "next": following,
            "broken_at": facts.audit.broken_at(),
        }

    return found


def as_dict(entry: Entry) -> dict[str, object]:
    """An entry as plain data."""
    return {name: getattr(entry, name) for name in Entry.__slots__}
