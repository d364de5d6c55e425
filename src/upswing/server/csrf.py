"""Changes that come with a session's cookie must also show the session's token: a page of another site cannot know it.

Programs send it as ``X-CSRF-Token``, forms in a field named ``token``. Where it is missing the cookie counts for
nothing, so that no route can forget to ask. Requests with a personal token need none: a browser does not send those by
itself. That the request comes from a page of ours is checked before (`headers.Surroundings`).
"""

from __future__ import annotations

import hmac
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import HTTPConnection

from upswing.core.i18n import text
from upswing.server.errors import NotAllowedError

HEADER: Final = "x-csrf-token"
FIELD: Final = "token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def check_csrf(request: HTTPConnection, expected: str) -> None:
    """Refuse a change without the session's token.

    Args:
        request: with the form read, if it has one (FastAPI does that before it asks who is there).
        expected: the session's token.

    Raises:
        NotAllowedError: UP813.
    """
    if request.scope.get("method", "GET") in SAFE:
        return
    if not hmac.compare_digest(_shown(request).encode(), expected.encode()):
        raise NotAllowedError(
            text("this change does not carry the token of its session"),
            code="UP813",
            hint=text("open the page again; programs send {header}, or use a personal token", header="X-CSRF-Token"),
        )


def _shown(request: HTTPConnection) -> str:
    header = request.headers.get(HEADER)
    if header is not None:
        return header
    form = getattr(request, "_form", None)  # where Starlette keeps a form that was read
    field = form.get(FIELD) if isinstance(form, FormData) else None
    return field if isinstance(field, str) else ""
