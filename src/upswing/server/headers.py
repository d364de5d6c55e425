"""What surrounds every request: its id, who may ask from where, safe headers, a line in the log, an error that is ours."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upswing.core.errors import UpswingError
from upswing.core.i18n import text, use_locale
from upswing.server.bodies import too_large
from upswing.server.errors import BadRequestError, InternalError, NotAllowedError, ServerError, status_of
from upswing.server.observe import LOG, note
from upswing.server.state import ServerState
from upswing.workspace.remote import ASK

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer, unless the route has set its own."""

REPORT_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; sandbox"
)
"""For self-contained pages: their style is inside; nothing runs, nothing is fetched."""

_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def language_of(headers: Headers, query: str = "") -> str:
    """The language of an answer: ``?lang=``, else the first of Accept-Language that is spoken here, else English.

    Examples:
        >>> language_of(Headers({"accept-language": "fr;q=0.9, zh-CN;q=0.8"})), language_of(Headers())
        ('zh-CN', 'en')
    """
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key == "lang" and value:
            return "zh-CN" if value.lower().startswith("zh") else "en"
    weighed: list[tuple[float, str]] = []
    for part in headers.get("accept-language", "").split(",")[:20]:
        name, _, quality = part.strip().partition(";q=")
        try:
            weighed.append((float(quality or 1), name.lower()))
        except ValueError:
            continue
    spoken = [(weight, name) for weight, name in weighed if name.startswith(("zh", "en")) and weight > 0]
    return "zh-CN" if spoken and max(spoken, key=lambda s: s[0])[1].startswith("zh") else "en"


def error_response(error: UpswingError, *, request_id: str = "") -> JSONResponse:
    """The one shape of every error, in the language in force."""
    headers = dict(error.headers) if isinstance(error, ServerError) else {}
    body = error.to_dict() | ({"request": request_id} if request_id else {})
    return JSONResponse(body, status_code=status_of(error), headers=headers)


class Surroundings:
    """The outermost layer of the application.

    Gives the request an id, refuses hosts and origins that are not ours, answers in the asked language, turns whatever
    escapes into an error of one shape, sets safe headers, and counts and logs the request.
    """

    def __init__(self, app: ASGIApp, *, state: ServerState) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        scope["state"]["local"] = _is_local(headers, self.state.local_token)
        answer = _Answer(send, request_id)
        began = time.perf_counter()
        with use_locale(language_of(headers, scope.get("query_string", b"").decode("latin-1"))):
            try:
                self._check_where_from(scope, headers)
                await self.app(scope, self._limited(scope, headers, receive, answer), answer)
            except UpswingError as error:
                await answer.finish_with(error_response(error, request_id=request_id), scope, receive)
            except Exception:
                LOG.exception("unexpected error", extra={"facts": {"request": request_id}})
                await answer.finish_with(
                    error_response(InternalError(request_id), request_id=request_id), scope, receive
                )
        self._observe(scope, answer.status, time.perf_counter() - began, request_id)

    def _check_where_from(self, scope: Scope, headers: Headers) -> None:
        """Refuse names that are not ours, by which a foreign page could reach a server on this machine, and changes
        that a foreign page asks for."""
        name = _host_name(headers.get("host", ""))
        ours = _LOOPBACK_NAMES | {self.state.settings.host, *self.state.settings.hosts}
        if self.state.settings.loopback and name not in ours:
            raise BadRequestError(
                text("this server does not answer for the host '{host}'", host=name[:100]),
                hint=text("start it with --allow-host NAME"),
            )
        if scope["method"] not in _CHANGING or _has_own_rules(scope["path"]):
            return
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != headers.get("host")
        if foreign or headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise NotAllowedError(text("changes asked for by a page of another site are refused"))

    def _limited(self, scope: Scope, headers: Headers, receive: Receive, answer: _Answer) -> Receive:
        """Bodies up to the settings' bound, whoever reads them; addresses with bounds of their own read as they are."""
        if scope["path"].startswith(ASK) or _has_own_rules(scope["path"]):
            return receive
        settings = self.state.settings
        limit = settings.upload_bytes if scope["path"] in _UPLOADS else settings.body_bytes
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                answer.instead = too_large(limit)  # who reads the body may make something else of the error
                raise answer.instead
            return message

        return receive_some

    def _observe(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = scope.get("route")
        pattern = str(getattr(route, "path", "")) or "(none)"
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self.state.observations.requests.labels(pattern, method, str(status)).inc()
        self.state.observations.latency.labels(pattern).observe(seconds)
        if self.state.settings.request_log:
            facts: dict[str, object] = {
                "request": request_id, "method": method, "route": pattern, "status": status,
                "seconds": round(seconds, 4),
            }  # fmt: skip
            if self.state.settings.log_addresses and scope.get("client"):
                facts["address"] = scope["client"][0]
            note("request", **facts)


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UPLOADS: Final = frozenset({"/import"})
"""Pages that take files of events."""
_OWN_RULES: Final = ("/v1/", "/sa", "/track", "/click", "/intake", "/api/features", "/ofrep/")
"""Addresses that apps and their pages call from anywhere, with a key of their own and lists of origins by key."""


def _has_own_rules(path: str) -> bool:
    return path.startswith(_OWN_RULES)


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()


def _is_local(headers: Headers, token: str) -> bool:
    given = headers.get("x-upswing-local", "")
    return bool(token) and secrets.compare_digest(given.encode(), token.encode())


class _Answer:
    """Sends an answer with safe headers and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = 500
        self.instead: UpswingError | None = None
        self._begun = self._ended = False

    async def __call__(self, message: Message) -> None:
        if self.instead is not None and not self._begun:
            error, self.instead = self.instead, None
            await error_response(error, request_id=self._request_id)({"type": "http"}, _nothing, self)
            self._ended = True
        if self._ended:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
            headers["x-request-id"] = self._request_id
        await self._send(message)

    async def finish_with(self, response: JSONResponse, scope: Scope, receive: Receive) -> None:
        """Send this instead, unless an answer has begun already."""
        if not self._begun:
            await response(scope, receive, self)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
