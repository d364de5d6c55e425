"""The application: everything that answers, mounted on one workspace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import upswing
from upswing.core.errors import Problem, UpswingError, UsageError
from upswing.core.i18n import current_locale, text
from upswing.server import api, asking, forwarding, health, parts
from upswing.server.errors import NotAllowedError, no_such_address, no_such_method
from upswing.server.headers import Surroundings, error_response
from upswing.server.observe import Observations
from upswing.server.openapi import in_words_of
from upswing.server.questions import Questions
from upswing.server.settings import ServerSettings
from upswing.server.shapes import COMPONENTS, with_failures
from upswing.server.state import ServerState
from upswing.server.storage import Storage

OPENAPI = "/api/v1/openapi.json"


def create_app(root: Path, settings: ServerSettings | None = None, *, local_token: str = "") -> FastAPI:
    """The application that serves a workspace; the log's file is held from here until the application stops.

    Args:
        root: folder of the workspace.
        settings: how it runs.
        local_token: what this account's command line shows; empty: it is not answered.

    Raises:
        UsageError: UP602 the folder is not a workspace; UP650 reached from other machines without sign-in.
        EngineError: UP701 another process has the log open.
    """
    chosen = settings or ServerSettings()
    storage = Storage.open(root, fresh_seconds=chosen.fresh_seconds)
    observations = Observations()
    state = ServerState(
        root=root,
        settings=chosen,
        storage=storage,
        questions=Questions(storage, chosen, observations),
        observations=observations,
        local_token=local_token,
    )
    try:
        return _assembled(state)
    except BaseException:
        _close(state)
        raise


def _assembled(state: ServerState) -> FastAPI:
    app = FastAPI(
        title="Upswing",
        version=upswing.__version__,
        description=text("Every question of the command line as an address; answers as JSON, CSV or a page.").message,
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
    )
    app.state.upswing = state
    parts.mount(app, state, parts.open_facts(state))
    state.settings.require_sign_in(configured=state.gate is not None and state.gate.configured())
    for router in (health.router, asking.router, forwarding.router, api.router()):
        app.include_router(router)
    _observe(state)
    _describe(app)
    _handle_errors(app)
    app.add_middleware(Surroundings, state=state)
    return app


def _close(state: ServerState) -> None:
    for end in reversed(state.on_stop):
        end()
    state.questions.close()
    state.storage.close()


def _describe(app: FastAPI) -> None:
    """The OpenAPI document with the shapes that all addresses share, in the language that is asked for."""
    made = app.openapi

    @cache
    def document(locale: str) -> dict[str, Any]:
        found = made()
        found.setdefault("components", {}).setdefault("schemas", {}).update(COMPONENTS)
        return in_words_of(locale, with_failures(found))

    app.openapi = lambda: document(current_locale())  # type: ignore[method-assign]


def _observe(state: ServerState) -> None:
    seen, questions, storage = state.observations, state.questions, state.storage
    seen.gauge("upswing_questions_open", "Questions that wait or run.", lambda: questions.waiting)
    seen.gauge("upswing_answers_kept_bytes", "Memory of answers that are kept, about.", lambda: questions.kept_bytes)
    seen.gauge("upswing_columns_bytes", "Memory of the columns that questions read.", storage.column_bytes)
    seen.gauge("upswing_engine_bytes", "Memory of the engine, within engine.memory.", storage.engine_bytes)
    state.ready["log"] = storage.problem


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: ServerState = app.state.upswing
    for begin in state.on_start:
        begin()
    try:
        yield
    finally:
        _close(state)


def _handle_errors(app: FastAPI) -> None:
    def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UpswingError)
        return error_response(error, request_id=request.state.request_id)

    def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        state: ServerState = request.app.state.upswing
        page = state.missing_page(request) if error.status_code == 404 and state.missing_page is not None else None
        return page or error_response(_http_error(request, error), request_id=request.state.request_id)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return error_response(_invalid(error), request_id=request.state.request_id)

    app.add_exception_handler(UpswingError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _http_error(request: Request, error: HTTPException) -> UpswingError:
    if error.status_code == 405:
        return no_such_method(request.method, (error.headers or {}).get("Allow", ""))
    if error.status_code == 404:
        return no_such_address(request.url.path[:200])
    return NotAllowedError(str(error.detail))


def _invalid(error: RequestValidationError) -> UsageError:
    """Every parameter that cannot be read, named as it was written."""
    problems = [
        Problem(
            "UP651",
            text("parameter '{name}': {cause}", name=".".join(str(p) for p in found["loc"][1:]), cause=found["msg"]),
        )
        for found in error.errors()[:20]
    ]
    return UsageError(problems[0].message, code="UP651", problems=problems)
