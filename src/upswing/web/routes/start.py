"""The first minutes: an empty workspace offers four ways to a first answer."""

from __future__ import annotations

import tempfile
from pathlib import Path

from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.events.importer import import_files
from upswing.web.render import render
from upswing.web.site import Pages
from upswing.web.view import View


def mount(pages: Pages) -> None:
    """The four ways."""
    pages.get("/start", lambda view: render(view, "start.html", page=None))
    if pages.demo is not None:
        pages.post("/start/demo", lambda view: _demo(view, pages))


def _demo(view: View, pages: Pages) -> Response:
    """Bring the simulated product's events into this workspace, as long as it is empty."""
    if not view.empty:
        raise UsageError(
            text("the workspace has events already"),
            code="UP884",
            hint=text("make another one: upswing demo --dir DIR"),
        )
    assert pages.demo is not None
    with tempfile.TemporaryDirectory() as folder:
        made = pages.demo(view.host.root, Path(folder))
        with view.host.writing() as store:
            import_files(store, [made], calendar=view.calendar)
    view.host.record(view.request, "data.demo", "")
    return RedirectResponse("/", status_code=303)
