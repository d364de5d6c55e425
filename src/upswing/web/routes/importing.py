"""Import: send a file, see what its columns are taken for, change it, watch it go in, read what became of it."""

from __future__ import annotations

from typing import BinaryIO, Final

from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UpswingError, UsageError
from upswing.core.i18n import Text, text
from upswing.web.render import render
from upswing.web.site import Pages, problem_of
from upswing.web.uploads import Uploads, mapping_of
from upswing.web.view import Problem, View

ROLES: Final[dict[str, tuple[Text, Text]]] = {
    "user": (text("User"), text("who did it: an id of the person, account or device")),
    "time": (text("Time"), text("when it happened")),
    "event": (text("Event"), text("what happened; or give one name for all rows below")),
    "event_id": (text("Event id"), text("tells repeats of the same event apart; may be missing")),
    "channel": (text("Channel"), text("where the user came from; may be missing")),
}


def mount(pages: Pages) -> None:
    """Send, map, run."""
    uploads = Uploads(pages.host)
    pages.get("/import", lambda view: render(view, "import.html", step="send", problem=None), role="editor")
    pages.post("/import", lambda view: _send(view, uploads))
    pages.get("/import/{upload}", lambda view: _map(view, uploads), role="editor")
    pages.post("/import/{upload}", lambda view: _begin(view, uploads))
    pages.get("/import/{upload}/run", lambda view: _run(view, uploads), role="editor")


def _send(view: View, uploads: Uploads) -> Response:
    files: list[tuple[str, BinaryIO]] = [
        (f.filename or "events.csv", f.file)
        for f in view.form.getlist("file")
        if isinstance(f, UploadFile) and f.filename
    ]
    if not files:
        problem = problem_of(
            UsageError(text("no file was chosen"), hint=text("CSV, JSON lines or Parquet, also packed"))
        )
        return render(view, "import.html", status=422, step="send", problem=problem)
    return RedirectResponse(f"/import/{uploads.keep(files)}", status_code=303)


def _map(view: View, uploads: Uploads, status: int = 200) -> Response:
    upload = str(view.request.path_params["upload"])
    given = {k: view.get(k) for k in (*ROLES, "event_name", "time_format") if view.get(k)}
    preview = uploads.preview(upload, view.calendar, mapping_of(given) if given else None)
    found = preview.proposal.mapping.to_dict() if preview.proposal else {}
    roles = [(key, str(name), str(about), given.get(key) or found.get(key, "")) for key, (name, about) in ROLES.items()]
    taken = {value: key for key, _, _, value in roles if value}
    words = {key: str(name) for key, (name, _) in ROLES.items()}
    return render(
        view, "import.html", status=status, step="map", upload=upload, preview=preview, roles=roles, taken=taken, words=words,
        problem=_without(preview.problem) if preview.problem else None, given=given,
        names=[p.name for p in uploads.files(upload)], guessed=preview.proposal.guessed if preview.proposal else (),
    )  # fmt: skip


def _without(error: UpswingError) -> Problem:
    """Why the columns cannot all be told, in the words of this page."""
    if error.code != "UP322":
        return problem_of(error)
    message = text("Not every column that is needed could be told: choose it below.")
    return Problem(str(message), error.code, str(text("A user, a time and an event, or one name for all events.")))


def _begin(view: View, uploads: Uploads) -> Response:
    upload = str(view.request.path_params["upload"])
    uploads.files(upload)
    fields = {key: view.field(key) for key in (*ROLES, "event_name", "time_format")}
    uploads.begin(upload, mapping_of(fields), view.calendar)
    view.host.record(view.request, "data.import", upload)
    return RedirectResponse(f"/import/{upload}/run", status_code=303)


def _run(view: View, uploads: Uploads) -> Response:
    upload = str(view.request.path_params["upload"])
    run = uploads.run(upload)
    if run is None:
        return RedirectResponse(f"/import/{upload}", status_code=303)
    problem = problem_of(run.error) if run.error is not None else None
    return render(view, "import.html", step="run", upload=upload, run=run, problem=problem)
