"""Signing in, and what belongs to oneself: personal tokens for programs, signing out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from upswing.core.errors import UsageError
from upswing.core.i18n import text, use_locale
from upswing.facts.people import Person as Member
from upswing.server.people import refuse_tokens, token_as_dict
from upswing.server.sign_in import safe_next
from upswing.server.state import LocalPerson
from upswing.web.render import render
from upswing.web.site import Pages, problem_of
from upswing.web.view import View


def mount(pages: Pages) -> None:
    """The form to sign in is for everybody; the account for whoever has."""

    async def sign_in(request: Request) -> Response:
        view = View(request, pages.host, LocalPerson(role="viewer"))
        with use_locale(view.locale):
            goal = safe_next(request.query_params.get("next"))
            return render(view, "sign_in.html", goal=goal, failed="failed" in request.query_params)

    pages.open("/sign-in", sign_in)
    pages.get("/account", show)
    pages.post("/account/tokens", change, role="viewer")


def show(view: View, *, status: int = 200, secret: str = "", problem: object = None) -> Response:
    """Who one is, and one's tokens."""
    facts, person = view.host.facts, view.person
    tokens = facts.tokens.of(person) if facts is not None and isinstance(person, Member) else []
    return render(
        view, "account.html", status=status, tokens=tokens, secret=secret, problem=problem, moment=view.moment,
        member=isinstance(person, Member),
    )  # fmt: skip


def change(view: View) -> Response:
    """Make or revoke a token; a new one is shown once."""
    facts, person = view.host.facts, view.person
    if facts is None or not isinstance(person, Member):
        raise UsageError(text("whoever uses this machine needs no token"), code="UP806")
    try:
        if view.field("do") and view.choice("do", ("new", "revoke")) == "revoke":
            number, secret = view.number("id"), ""
            facts.tokens.revoke(person, number)
            view.host.record(view.request, "tokens.revoke", str(number))
        else:
            refuse_tokens(view.request)
            secret, made = facts.tokens.new(person, label=view.field("label"))
            view.host.record(view.request, "tokens.new", made.prefix, after=token_as_dict(made))
    except UsageError as error:
        return show(view, status=422, problem=problem_of(error))
    return show(view, secret=secret)
