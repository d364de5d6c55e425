"""``/api/v1``: every verb of the registry as an address, with typed parameters in the OpenAPI document."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from upswing.core.i18n import text
from upswing.core.results import Result
from upswing.report.html import page
from upswing.server.headers import REPORT_POLICY
from upswing.server.state import Person, needs, state_of
from upswing.verbs import VERBS, Param, Verb

Endpoint = Callable[..., Awaitable[Response]]
_TYPES: Mapping[str, Any] = {"text": str, "integer": int, "number": float, "flag": bool}


class Shown(BaseModel):
    """How an answer is shown; beside the verb's own parameters in every query."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "csv", "html"] = Field(
        "json", description=str(text("Form of the answer: json, csv (the main table) or html (a page)"))
    )
    table: str | None = Field(None, description=str(text("Table of the answer to give as CSV; the main one if absent")))
    lang: Literal["en", "zh-CN"] | None = Field(None, description=str(text("Language of sentences")))


def router() -> APIRouter:
    """Routes for every verb."""
    api = APIRouter(prefix="/api/v1")
    for verb in VERBS:
        api.add_api_route(f"/{verb.name}", _asker(verb), **_about(verb, "ask"))
        if any(p.positional for p in verb.params):
            api.add_api_route(f"/{verb.name}/{{name}}", _asker(verb, by_path=True), **_about(verb, "ask_named"))
    return api


def parameters(verb: Verb, *, but: str | None = None) -> type[Shown]:
    """The query parameters of a verb as a model; keys are those of the command line's options.

    Args:
        verb: of the registry.
        but: key of a parameter that is given elsewhere.
    """
    fields: dict[str, Any] = {p.key: _field(p) for p in verb.params if p.key != but and not p.writes}
    return create_model(f"{_camel(verb.name)}{'Of' if but else ''}Query", __base__=Shown, **fields)


def _field(param: Param) -> tuple[Any, Any]:
    kind: Any = Literal[param.choices] if param.kind == "choice" else _TYPES[param.kind]
    about = str(param.help) if param.default is None else f"{param.help} [{param.default}]"
    if param.many:
        return list[kind], Field(default_factory=list, alias=param.flag, description=about)
    if param.kind == "flag":
        return bool, Field(False, alias=param.flag, description=about)
    return kind | None, Field(None, alias=param.flag, description=about)


def arguments(asked: Shown) -> dict[str, object]:
    """What was given, as keyword arguments of the workspace's method."""
    body = {key: getattr(asked, key) for key in type(asked).model_fields if key not in Shown.model_fields}
    return {key: value for key, value in body.items() if value is not None and value is not False and value != []}


def _asker(verb: Verb, *, by_path: bool = False) -> Endpoint:
    named = next((p for p in verb.params if p.positional), None)

    async def ask(request: Request, asked: Shown, person: Person, name: str | None = None) -> Response:  # noqa: ARG001
        given = arguments(asked)
        if name is not None and named is not None:
            given[named.key] = [name] if named.many else name
        job = state_of(request).questions.ask(verb, given)
        return shown(await asyncio.wrap_future(job.future), asked)

    model = parameters(verb, but=named.key if by_path and named else None)
    kind = inspect.Parameter.KEYWORD_ONLY
    signature = [
        inspect.Parameter("request", kind, annotation=Request),
        inspect.Parameter("asked", kind, annotation=Annotated[model, Query()]),
        inspect.Parameter("person", kind, annotation=Annotated[object, Depends(needs("viewer"))]),
    ]
    if by_path:
        signature.append(inspect.Parameter("name", kind, annotation=str))
    cast("Any", ask).__signature__ = inspect.Signature(signature)
    return ask


def shown(result: Result, asked: Shown) -> Response:
    """A result in the form that was asked for, in the language in force."""
    if asked.format == "csv":
        return PlainTextResponse(result.to_csv(asked.table), media_type="text/csv; charset=utf-8")
    if asked.format == "html":
        return Response(
            page([result]),
            media_type="text/html; charset=utf-8",
            headers={"content-security-policy": REPORT_POLICY},
        )
    return JSONResponse(result.to_dict())


def _about(verb: Verb, way: str) -> dict[str, Any]:
    return {
        "methods": ["GET"],
        "operation_id": f"{way}_{verb.method}",
        "summary": str(verb.help),
        "tags": [str(verb.group)],
    }


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
