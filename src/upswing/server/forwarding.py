"""Methods of the workspace for this account's command line and programs, while the server holds the workspace."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.core.wire import Wire, decode, encode
from upswing.server.audit import record
from upswing.server.bodies import read_body, read_json
from upswing.server.errors import BadRequestError, no_such_address, status_of
from upswing.server.state import ServerState, state_of
from upswing.verbs import VERBS
from upswing.workspace import Workspace
from upswing.workspace.remote import ASK, verbs_of

_MOST_BYTES = 64 << 20
_CHANGING = frozenset({"alias", "compact", "import_events", "save_segment", "write_stage"})
"""Methods beside the verbs that change the workspace: each is noted in the audit log."""
_VERBS = {verb.method: verb for verb in VERBS}

router = APIRouter(include_in_schema=False)


@router.post(ASK + "{method}")
async def forward(request: Request, method: str) -> JSONResponse:
    """Answer one method; only for who can read the workspace's lock file."""
    if not request.state.local or method not in verbs_of(Workspace):
        raise no_such_address(request.url.path[:200])
    wire: Any = read_json(await read_body(request, limit=_MOST_BYTES))
    try:
        arguments = decode(wire)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequestError(text("the body cannot be read: {reason}", reason=str(error)[:200])) from None
    if not isinstance(arguments, dict):
        raise BadRequestError(text("the body cannot be read: {reason}", reason="no arguments"))
    try:
        value: Wire = await _answer(state_of(request), method, arguments)
    except UpswingError as error:
        return JSONResponse({"raised": encode(error)} | error.to_dict(), status_code=status_of(error))
    if _changes(method, arguments):
        await run_in_threadpool(record, request, f"workspace.{method}", str(arguments.get("name") or "")[:200])
    return JSONResponse({"value": value})


def _changes(method: str, arguments: dict[str, Any]) -> bool:
    if method in _VERBS:
        return any(p.writes for p in _VERBS[method].params if arguments.get(p.key))
    return method in _CHANGING


async def _answer(state: ServerState, method: str, arguments: dict[str, Any]) -> Wire:
    loop = asyncio.get_running_loop()
    if method in _VERBS and not _changes(method, arguments):
        job = await run_in_threadpool(state.questions.ask, _VERBS[method], arguments, fresh=True)
        result = await asyncio.wrap_future(job.future)
        return await loop.run_in_executor(None, encode, result)
    work = partial(copy_context().run, _called, state, method, arguments)
    return await loop.run_in_executor(None, work)


def _called(state: ServerState, method: str, arguments: dict[str, Any]) -> Wire:
    state.storage.refresh()
    try:
        return encode(state.storage.answer(lambda workspace: getattr(workspace, method)(**arguments)))
    finally:
        state.storage.refresh()
