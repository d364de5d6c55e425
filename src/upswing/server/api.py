"""``/api/v1``: every verb of the registry as an address, with typed parameters in the OpenAPI document.

``GET /api/v1/funnel/signup?from=2026-01-01`` waits for the answer. ``POST /api/v1/funnel`` with the same names in a JSON
object is for long questions: it comes back with a job at once.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.core.results import Result
from upswing.report.html import page
from upswing.server.asking import accepted, answered
from upswing.server.audit import facts_of, who
from upswing.server.headers import REPORT_POLICY
from upswing.server.questions import Job
from upswing.server.shapes import ANSWER, JOB, answers
from upswing.server.state import Person, needs, state_of
from upswing.verbs import VERBS, Param, Verb

Endpoint = Callable[..., Awaitable[Response]]
_LONGEST_TEXT = 10_000
_MOST_VALUES = 200
_LONGEST_WAIT = 60.0


def _no_null_byte(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("no null bytes")
    return value


_Words = Annotated[str, BeforeValidator(_no_null_byte), Field(max_length=_LONGEST_TEXT)]
_TYPES: Mapping[str, Any] = {
    "text": _Words,
    "integer": Annotated[int, Field(ge=-(2**53), le=2**53)],
    "number": Annotated[float, Field(allow_inf_nan=False)],
}


class Shown(BaseModel):
    """How an answer is shown; beside the verb's own parameters in every query."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "csv", "html"] = Field(
        "json", description=text("Form of the answer: json, csv (the main table) or html (a page)").message
    )
    table: _Words | None = Field(
        None, description=text("Table of the answer to give as CSV; the main one if absent").message
    )
    lang: Literal["en", "zh-CN"] | None = Field(None, description=text("Language of sentences").message)


class Waiting(BaseModel):
    """How long a POST waits."""

    model_config = ConfigDict(extra="forbid")

    wait: float = Field(
        0,
        ge=0,
        le=_LONGEST_WAIT,
        description=text("Seconds to wait for the answer before a job is given instead").message,
    )
    lang: Literal["en", "zh-CN"] | None = Field(None, description=text("Language of sentences").message)


def router() -> APIRouter:
    """Routes for every verb."""
    api = APIRouter(prefix="/api/v1")
    for verb in VERBS:
        api.add_api_route(f"/{verb.name}", _asker(verb), **_about(verb, "ask"))
        if _positional(verb) is not None:
            api.add_api_route(f"/{verb.name}/{{name}}", _asker(verb, by_path=True), **_about(verb, "ask_named"))
        api.add_api_route(f"/{verb.name}", _starter(verb), **_about(verb, "begin", method="POST"))
    return api


def query_of(verb: Verb, *, but: Param | None = None) -> type[Shown]:
    """The query parameters of a verb as a model: names as on the command line, nothing that changes the workspace.

    Args:
        verb: of the registry.
        but: a parameter that is given elsewhere.
    """
    fields: dict[str, Any] = {p.key: _field(p) for p in verb.params if p is not but and not p.writes}
    return create_model(f"{_camel(verb.name)}{'Named' if but else ''}Query", __base__=Shown, **fields)


def body_of(verb: Verb) -> type[BaseModel]:
    """The JSON body of a POST: every parameter of the verb that names no file of the server's machine."""
    fields: dict[str, Any] = {p.key: _field(p) for p in verb.params if not p.local}
    return create_model(f"{_camel(verb.name)}Body", __config__=ConfigDict(extra="forbid"), **fields)


def arguments_of(verb: Verb, asked: BaseModel) -> dict[str, object]:
    """What was given, as keyword arguments of the workspace's method."""
    given = {p.key: getattr(asked, p.key, None) for p in verb.params}
    return {key: value for key, value in given.items() if value is not None and value is not False and value != []}


def shown(result: Result, asked: Shown) -> Response:
    """A result in the form that was asked for, in the language in force.

    Raises:
        UsageError: UP644 no such table.
    """
    if asked.format == "csv":
        names = [table.name for table in result.tables()]
        if asked.table is not None and asked.table not in names:
            raise UsageError(
                text("no table '{name}'", name=asked.table), code="UP644", hint=did_you_mean(asked.table, names)
            )
        return Response(result.to_csv(asked.table), media_type="text/csv; charset=utf-8")
    if asked.format == "html":
        policy = {"content-security-policy": REPORT_POLICY}
        return Response(page([result]), media_type="text/html; charset=utf-8", headers=policy)
    return JSONResponse(result.to_dict())


def _asker(verb: Verb, *, by_path: bool = False) -> Endpoint:
    named = _positional(verb) if by_path else None

    async def ask(request: Request, asked: Shown, person: Person, name: str | None = None) -> Response:  # noqa: ARG001
        given = arguments_of(verb, asked)
        if named is not None:
            given[named.key] = [name] if named.many else name
        job = await run_in_threadpool(state_of(request).questions.ask, verb, given)
        result = await answered(request, job)
        return await run_in_threadpool(shown, result, asked)

    taken: dict[str, Any] = {
        "request": Request,
        "asked": Annotated[query_of(verb, but=named), Query()],
        "person": Annotated[object, Depends(needs("viewer"))],
    }
    return _signed(ask, taken | ({"name": _Words} if by_path else {}))


def _starter(verb: Verb) -> Endpoint:
    async def begin(request: Request, body: BaseModel, waiting: Waiting, person: Person) -> Response:  # noqa: ARG001
        given = arguments_of(verb, body)
        change = any(p.writes for p in verb.params if p.key in given)
        if change:
            needs("editor")(request)
        job = await run_in_threadpool(state_of(request).questions.ask, verb, given, change=change)
        if change:
            _note(request, verb, given, job)
        result = await _within(job, waiting.wait)
        return accepted(job) if result is None else JSONResponse(await run_in_threadpool(result.to_dict))

    return _signed(begin, {
        "request": Request, "body": body_of(verb), "waiting": Annotated[Waiting, Query()],
        "person": Annotated[object, Depends(needs("viewer"))],
    })  # fmt: skip


def _note(request: Request, verb: Verb, given: Mapping[str, object], job: Job) -> None:
    """A change into the audit log, when it has been made."""
    written = [f"{p.key} {given[p.key]}"[:200] for p in verb.params if p.writes and p.key in given]
    by, where = who(request), request.client.host if request.client else None
    facts = facts_of(request)

    def made(future: Future[Result]) -> None:
        if future.exception() is None:
            facts.audit.record(by, f"workspace.{verb.method}", ", ".join(written), address=where)

    job.future.add_done_callback(made)


async def _within(job: Job, seconds: float) -> Result | None:
    if seconds > 0:
        await asyncio.wait({asyncio.wrap_future(job.future)}, timeout=seconds)
        if job.future.done():
            return job.future.result()
    return None


def _field(param: Param) -> tuple[Any, Any]:
    kind: Any = Literal[param.choices] if param.kind == "choice" else _TYPES.get(param.kind)
    about = param.help.message if param.default is None else f"{param.help.message} [{param.default}]"
    if param.many:
        return list[kind], Field(default_factory=list, alias=param.flag, description=about, max_length=_MOST_VALUES)
    if param.kind == "flag":
        return bool, Field(False, alias=param.flag, description=about)
    return kind | None, Field(None, alias=param.flag, description=about)


def _positional(verb: Verb) -> Param | None:
    return next((p for p in verb.params if p.positional), None)


def _signed(endpoint: Callable[..., Any], taken: Mapping[str, Any]) -> Endpoint:
    """The endpoint with parameters that are known only when the registry is read."""
    kind = inspect.Parameter.KEYWORD_ONLY
    listed = [inspect.Parameter(name, kind, annotation=annotation) for name, annotation in taken.items()]
    cast("Any", endpoint).__signature__ = inspect.Signature(listed)
    return cast("Endpoint", endpoint)


def _about(verb: Verb, way: str, *, method: str = "GET") -> dict[str, Any]:
    good = {200: ANSWER, 202: JOB} if method == "POST" else {200: ANSWER}
    return {
        "methods": [method],
        "operation_id": f"{way}_{verb.method}",
        "summary": verb.help.message,
        "tags": [verb.group.message],
        "responses": answers(good),
        "response_model": None,
    }


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
