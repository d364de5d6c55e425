"""The people behind a number: listed, and saved as a segment."""

from __future__ import annotations

from typing import Any

from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import text
from upswing.verbs import verb
from upswing.web.behind import back
from upswing.web.forms import arguments
from upswing.web.render import render
from upswing.web.shown import shown
from upswing.web.site import Pages, problem_of
from upswing.web.view import View, address

_NOT_ASKED = frozenset({"save", "limit", "token"})


def mount(pages: Pages) -> None:
    """List and save."""
    pages.get("/users", listed)
    pages.post("/users", save)


def listed(view: View) -> Response:
    """Ids of the people, a hundred at first."""
    query = view.query
    if not any(k in ("of", "segment", "funnel", "step") for k, _ in query):
        return RedirectResponse("/segments", status_code=303)
    try:
        result = view.host.ask("users", arguments(verb("users"), [(k, v) for k, v in query if k != "save"]))
    except UpswingError as error:
        return render(view, "users.html", status=422, s=None, problem=problem_of(error), kept=[], back="", query=query)
    kept = [(k, v) for k, v in query if k not in _NOT_ASKED]
    return render(
        view, "users.html", s=shown(result), problem=None, kept=kept, back=back(query), query=query,
    )  # fmt: skip


def save(view: View) -> Response:
    """Save them as a segment and go to it."""
    query = [(k, str(v)) for k, v in view.form.multi_items() if k not in _NOT_ASKED and v]
    name = view.field("save")
    if name in view.segments:
        raise UsageError(text("a segment named '{name}' is there already", name=name), code="UP880")
    with view.host.opened() as workspace:
        asked: dict[str, Any] = arguments(verb("users"), query) | {"save": name}
        workspace.users(**asked)
    view.host.record(view.request, "segment.save", name)
    return RedirectResponse(address(f"/segments/{name}", {}), status_code=303)
