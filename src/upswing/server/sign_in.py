"""Who is asking: sessions with a cookie for pages, personal tokens for programs."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Form
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from upswing.core.i18n import text
from upswing.facts.database import Facts
from upswing.facts.people import Person as Member
from upswing.facts.sessions import ABSOLUTE, Session
from upswing.facts.tokens import MARK
from upswing.server.audit import facts_of
from upswing.server.csrf import check_csrf
from upswing.server.errors import NotSignedInError
from upswing.server.rate_limits import Guessing
from upswing.server.state import Person, Role, current_person, needs, state_of

__all__ = ["COOKIE", "Role", "SignIn", "current_person", "require", "router", "safe_next"]

COOKIE: Final = "upswing_session"
require = needs
"""The dependency that lets only people with a role through: ``Depends(require("editor"))``."""


class SignIn:
    """Sign-in over the run-time facts; the server's `state.Gate`.

    Args:
        facts: people, sessions and tokens.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.guessing = Guessing()

    def configured(self) -> bool:
        """Whether there is an administrator who could sign in."""
        return self.facts.people.any()

    def person(self, request: HTTPConnection) -> Person | None:
        """Who is asking; None when nobody says so, or says it wrongly. Found once per request.

        Raises:
            NotAllowedError: UP813 a change with a cookie and without its session's token.
        """
        if not hasattr(request.state, "person"):
            request.state.person = self._find(request)
        found: Person | None = request.state.person
        return found

    def _find(self, request: HTTPConnection) -> Person | None:
        shown = bearer(request)
        if shown is not None:
            return self.facts.tokens.find(shown)
        session = self.session(request)
        if session is None:
            return None
        check_csrf(request, session.csrf)
        return session.person

    def session(self, request: HTTPConnection) -> Session | None:
        """The session of a request's cookie; looked up once per request."""
        cookie = request.cookies.get(COOKIE)
        if not cookie or len(cookie) > 200:
            return None
        if not hasattr(request.state, "session"):
            request.state.session = self.facts.sessions.find(cookie)
        found: Session | None = request.state.session
        request.state.csrf = "" if found is None else found.csrf  # for the forms of pages
        return found


def bearer(request: HTTPConnection) -> str | None:
    """The personal token that a request shows; None when it shows none."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    given = given.strip()
    return given if scheme.lower() == "bearer" and given.startswith(MARK) and len(given) < 200 else None


def safe_next(written: str | None) -> str:
    """Where to go after signing in: an address of this server, or its front page.

    Examples:
        >>> safe_next("/funnel?step=a"), safe_next("//evil.example"), safe_next("https://evil.example/")
        ('/funnel?step=a', '/', '/')
        >>> safe_next("/\\\\evil.example"), safe_next("/\\t/evil.example")
        ('/', '/')
    """
    if not written or not written.startswith("/") or written.startswith("//"):
        return "/"
    if "\\" in written or any(not c.isprintable() for c in written) or len(written) > 2000:
        return "/"
    parts = urlsplit(written)
    return written if not parts.scheme and not parts.netloc else "/"


class Credentials(BaseModel):
    """What somebody signs in with."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, description=text("Address.").message)
    password: SecretStr = Field(max_length=1000, description=text("Password.").message)


def router() -> APIRouter:
    """Signing in and out, and who is signed in."""
    found = APIRouter(tags=["sign-in"])

    @found.post("/api/v1/session", summary=text("Sign in").message, status_code=201)
    def sign_in(request: Request, given: Credentials) -> Response:
        session, cookie = _begin(request, given.email, given.password.get_secret_value())
        return _with_cookie(request, JSONResponse(_me(session.person, session.csrf), status_code=201), cookie)

    @found.delete(
        "/api/v1/session", summary=text("Sign out").message, status_code=204, dependencies=[Depends(needs("viewer"))]
    )
    def sign_out(request: Request) -> Response:
        return _end(request, Response(status_code=204))

    @found.get("/api/v1/me", summary=text("Who is asking, and the token that changes need").message)
    def me(request: Request, person: Annotated[Person, Depends(needs("viewer"))]) -> dict[str, object]:
        return _me(person, getattr(request.state, "csrf", ""))

    @found.post("/sign-in", include_in_schema=False)
    def sign_in_by_form(
        request: Request,
        email: Annotated[str, Form(max_length=320)],
        password: Annotated[str, Form(max_length=1000)],
        following: Annotated[str, Form(alias="next", max_length=4000)] = "/",
    ) -> Response:
        goal = safe_next(following)
        try:
            _, cookie = _begin(request, email, password)
        except NotSignedInError:
            back = urlencode({"failed": "1", "next": goal})
            return RedirectResponse(f"/sign-in?{back}", status_code=303)
        return _with_cookie(request, RedirectResponse(goal, status_code=303), cookie)

    @found.post("/sign-out", include_in_schema=False)
    def sign_out_by_form(
        request: Request,
        token: Annotated[str, Form(max_length=200)] = "",  # noqa: ARG001 - read here, so that the check below finds it
    ) -> Response:
        current_person(request)
        return _end(request, RedirectResponse("/sign-in", status_code=303))

    return found


def _begin(request: Request, email: str, password: str) -> tuple[Session, str]:
    """Open a session, and end the one that the browser had."""
    facts = facts_of(request)
    gate = state_of(request).gate
    assert isinstance(gate, SignIn)
    address = request.client.host if request.client else ""
    with gate.guessing.attempt(email, address) as right:
        person = facts.people.verify(email, password)
        if person is not None:
            right()
    if person is None:
        facts.audit.record(email.strip().lower(), "sign_in.refused", address=address)
        raise NotSignedInError(text("address or password is wrong"), code="UP815")
    before = request.cookies.get(COOKIE)
    if before:
        facts.sessions.end(before)
    cookie, session = facts.sessions.begin(person)
    facts.audit.record(person.email, "sign_in", address=address)
    return session, cookie


def _end(request: Request, response: Response) -> Response:
    cookie = request.cookies.get(COOKIE)
    if cookie:
        facts_of(request).sessions.end(cookie)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=_encrypted(request))
    return response


def _with_cookie(request: Request, response: Response, cookie: str) -> Response:
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=ABSOLUTE // 1_000_000,
        path="/",
        httponly=True,
        samesite="lax",
        secure=_encrypted(request),
    )
    return response


def _encrypted(request: Request) -> bool:
    """Whether the browser came by https; behind a proxy on this machine, by what the proxy says."""
    return request.url.scheme == "https"


def _me(person: Person, csrf: str) -> dict[str, object]:
    email = person.email if isinstance(person, Member) else None
    return {"name": person.name, "email": email, "role": person.role, "csrf_token": csrf}
