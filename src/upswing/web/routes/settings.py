"""Settings: the workspace, people, keys, notes on days, the audit. Only administrators change them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, cast

from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import text
from upswing.server.keys import key_as_dict
from upswing.server.people import person_as_dict
from upswing.server.state import ROLES, Role
from upswing.web.render import render
from upswing.web.site import Pages, problem_of
from upswing.web.view import View

if TYPE_CHECKING:
    from upswing.facts.database import Facts
    from upswing.facts.keys import KeyKind


def mount(pages: Pages) -> None:
    """Look at everything; change one thing at a time."""
    pages.get("/settings", show)
    pages.post("/settings/people", lambda view: _done(view, _people, "people"), role="admin")
    pages.post("/settings/keys", lambda view: _done(view, _keys, "keys"), role="admin")
    pages.post("/settings/notes", lambda view: _done(view, _notes, "notes"), role="editor")


def show(view: View, *, status: int = 200, problem: object = None, secret: str = "") -> Response:
    """The workspace's settings and what is kept beside its events."""
    facts = view.host.facts
    with view.host.opened() as workspace:
        project = workspace.project
    admin = view.may("admin")
    return render(
        view, "settings.html", status=status, project=project, problem=problem, secret=secret, roles=ROLES, facts=facts,
        people=list(facts.people) if facts is not None and admin else [],
        keys=[(k, k.holds()) for k in facts.keys] if facts is not None and admin else [],
        notes=view.host.annotations(),
        audit=[(view.moment(e.at), e) for e in facts.audit.entries(limit=50)] if facts is not None and admin else [],
        root=view.host.root, moment=view.moment,
    )  # fmt: skip


def _done(view: View, change: object, anchor: str) -> Response:
    """Carry a change out; an error is shown on the page, a new secret once."""
    facts = view.host.facts
    if facts is None:
        raise UsageError(text("this server keeps no people, keys or notes"))
    try:
        secret = change(view, facts)  # type: ignore[operator]
    except UpswingError as error:
        return show(view, status=422, problem=problem_of(error))
    if secret:
        return show(view, secret=str(secret))
    return RedirectResponse(f"/settings#{anchor}", status_code=303)


def _people(view: View, facts: Facts) -> str:
    email, do = view.field("email"), view.choice("do", ("add", "role", "disable", "enable"))
    before = None
    if do == "add":
        password = str(view.form.get("password", "")) or None
        person = facts.people.add(email, role=_role(view), name=view.field("name") or None, password=password)
    else:
        before = person_as_dict(facts.people.get(email))
        if do == "role":
            person = facts.people.change(email, role=_role(view))
        else:
            person = facts.people.change(email, disabled=do == "disable")
    view.host.record(view.request, f"people.{do}", person.email, before=before, after=person_as_dict(person))
    return ""


def _keys(view: View, facts: Facts) -> str:
    do, secret = view.choice("do", ("new", "rotate", "revoke")), ""
    if do == "new":
        kind = cast("KeyKind", view.field("kind"))
        origins = [o for o in view.field("origins").replace(",", " ").split() if o]
        secret, key = facts.keys.new(kind, label=view.field("label"), origins=origins)
    elif do == "rotate":
        secret, key = facts.keys.rotate(view.number("id"))
    else:
        key = facts.keys.revoke(view.number("id"))
    view.host.record(view.request, f"keys.{do}", f"{key.kind} {key.prefix}", after=key_as_dict(key))
    return secret


def _notes(view: View, facts: Facts) -> str:
    if view.choice("do", ("add", "remove")) == "remove":
        target = str(view.number("id"))
        facts.annotations.remove(int(target))
    else:
        try:
            day = date.fromisoformat(view.field("day"))
        except ValueError:
            raise UsageError(text("'{value}' is not a date or time", value=view.field("day")), code="UP621") from None
        facts.annotations.add(day, view.field("body"), who=view.person.name)
        target = day.isoformat()
    view.host.record(view.request, "notes.change", target)
    return ""


def _role(view: View) -> Role:
    return cast(Role, view.field("role", "viewer"))
