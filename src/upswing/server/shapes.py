"""Shapes of answers, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from upswing.core.i18n import text

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_PROBLEM: Final = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "pattern": "^UP[0-9]{3}$"}, "message": _TEXT, "file": _MAYBE_TEXT,
        "line": {"type": ["integer", "null"]}, "column": {"type": ["integer", "null"]}, "hint": _MAYBE_TEXT,
        "severity": {"enum": ["error", "warning"]},
    },
    "required": ["code", "message"],
}  # fmt: skip
_ERROR: Final = {
    "type": "object",
    "description": text("The one shape of every error.").message,
    "properties": {
        "ok": {"const": False}, "error": _TEXT, "code": {"type": "string", "pattern": "^UP[0-9]{3}$"},
        "errors": {"type": "array", "items": _PROBLEM}, "request": _TEXT,
    },
    "required": ["ok", "error", "code", "errors"],
}  # fmt: skip
_WINDOW: Final = {
    "type": "object",
    "properties": {"from": _TEXT, "to": _TEXT, "timezone": _TEXT},
    "required": ["from", "to", "timezone"],
}
_RESULT: Final = {
    "type": "object",
    "description": text("The verb's own fields, and how they were computed.").message,
    "properties": {
        "definition": {"type": "object"}, "window": _WINDOW, "method": _TEXT,
        "sql": {"type": "array", "items": _TEXT},
        "sample": {"type": "object", "properties": {"events": {"type": ["integer", "null"]},
                                                    "users": {"type": ["integer", "null"]}}},
        "data_as_of": _MAYBE_TEXT, "engine": _TEXT,
        "warnings": {"type": "array", "items": {
            "type": "object", "properties": {"code": _TEXT, "message": _TEXT}, "required": ["code", "message"]}},
        "timings": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "required": ["definition", "window", "method", "sql", "sample", "engine", "warnings", "timings"],
}  # fmt: skip
_JOB: Final = {
    "type": "object",
    "properties": {
        "id": _TEXT, "verb": _TEXT, "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"]},
        "seconds": {"type": ["number", "null"]}, "progress": {"type": ["number", "null"]},
    },
    "required": ["id", "verb", "state"],
}  # fmt: skip
_ASKED: Final = {
    "type": "object",
    "properties": {
        "ok": {"const": True}, "job": _JOB, "result": {"$ref": "#/components/schemas/Result"},
        "failure": {"$ref": "#/components/schemas/Error"},
    },
    "required": ["ok", "job"],
}  # fmt: skip
COMPONENTS: Final[dict[str, Any]] = {"Error": _ERROR, "Result": _RESULT, "Asked": _ASKED}
"""Shapes that many addresses share; under ``components/schemas`` of the document."""

ANSWER: Final[dict[str, Any]] = {
    "description": text("The answer").message,
    "content": {
        "application/json": {"schema": {"$ref": "#/components/schemas/Result"}},
        "text/csv": {"schema": _TEXT},
        "text/html": {"schema": _TEXT},
    },
}
JOB: Final[dict[str, Any]] = {
    "description": text("The question is being answered; look under Location").message,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}},
}
_FAILURES: Final = {
    400: text("The request cannot be read"), 401: text("Sign in first"), 403: text("Not allowed"), 404: text("Not there"),
    408: text("It did not arrive in time"), 409: text("Not possible now"), 413: text("Too large"),
    422: text("The question cannot be answered as asked"),
    429: text("Too many at once; see Retry-After"), 500: text("A mistake of the server"), 503: text("Not possible now"),
    507: text("The disk is full"),
}  # fmt: skip


def answers(good: dict[int, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """What an address may answer with: what it says itself, and every error in the one shape."""
    found: dict[int | str, dict[str, Any]] = {
        status: {
            "description": meaning.message,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, meaning in _FAILURES.items()
    }
    found.update(good.items())
    return found


def with_failures(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every error of every address in the one shape, also where the framework describes its own."""
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            given = operation.setdefault("responses", {})
            given.update({str(status): response for status, response in answers({}).items()})
    return document
