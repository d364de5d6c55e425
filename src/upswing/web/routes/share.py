"""An answer to take away: one HTML file, or a table as CSV."""

from __future__ import annotations

from functools import partial

from starlette.responses import HTMLResponse, Response

from upswing.core.errors import UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.report.html import page
from upswing.server.headers import REPORT_POLICY
from upswing.verbs import VERBS, Verb
from upswing.web.forms import arguments
from upswing.web.site import Pages
from upswing.web.view import View


def mount(pages: Pages) -> None:
    """Two files for every verb."""
    for chosen in VERBS:
        pages.get(f"/-/share/{chosen.name}.html", partial(as_page, chosen=chosen))
        pages.get(f"/-/share/{chosen.name}.csv", partial(as_csv, chosen=chosen))


def as_page(view: View, *, chosen: Verb) -> Response:
    """The answer as one file that needs nothing else."""
    result = view.host.ask(chosen.name, arguments(chosen, view.query))
    with view.host.opened() as workspace:
        project = workspace.project.project
    body = page([result], subtitle=project)
    headers = {
        "content-disposition": f'attachment; filename="{chosen.name}.html"',
        "content-security-policy": REPORT_POLICY,
    }
    return HTMLResponse(body, headers=headers)


def as_csv(view: View, *, chosen: Verb) -> Response:
    """One table of the answer, with full precision."""
    result = view.host.ask(chosen.name, arguments(chosen, view.query))
    wanted, names = view.get("table"), [t.name for t in result.tables()]
    if wanted and wanted not in names:
        raise UsageError(
            text("no {what} '{name}' in this result", what=text("table"), name=wanted),
            code="UP644",
            hint=did_you_mean(wanted, names),
        )
    headers = {"content-disposition": f'attachment; filename="{chosen.name}-{wanted or names[0]}.csv"'}
    # the mark lets spreadsheet programs recognise UTF-8
    return Response("\ufeff" + result.to_csv(wanted or None), media_type="text/csv; charset=utf-8", headers=headers)
