"""Segments: their sizes, one by one, and a new one from a condition."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from upswing.core.errors import UpswingError, UsageError, did_you_mean
from upswing.core.i18n import text
from upswing.report.tables import Links
from upswing.spec.files import write_yaml
from upswing.spec.segment import SegmentDefinition
from upswing.spec.validation import validated
from upswing.verbs import verb
from upswing.web.forms import arguments
from upswing.web.render import render
from upswing.web.shown import Shown, shown
from upswing.web.site import Pages, problem_of
from upswing.web.view import Problem, View


def mount(pages: Pages) -> None:
    """List, one, new."""
    pages.get("/segments", every)
    pages.post("/segments", create)
    pages.get("/segments/{name}", one)


def every(view: View) -> Response:
    """All segments with their sizes."""
    if view.empty:
        return render(view, "start.html", page=None)
    s, problem = _sizes(view, None)
    return render(view, "segments.html", s=s, problem=problem, given={})


def one(view: View) -> Response:
    """One segment: its size, its definition, what can be asked about it."""
    name = str(view.request.path_params["name"])
    definition = view.definitions.by_kind.get("segment", {}).get(name)
    if definition is None:
        raise UsageError(
            text("no {kind} named '{name}'", kind="segment", name=name),
            code="UP201",
            hint=did_you_mean(name, view.segments),
        )
    s, problem = _sizes(view, name)
    return render(view, "segment.html", s=s, problem=problem, name=name, definition=definition)


def create(view: View) -> Response:
    """A segment from a condition on what users are, or on what they did."""
    name, condition = view.field("name"), view.field("condition")
    try:
        body = {"kind": "segment", "name": name, "all": [{"expr": condition}]}
        definition = validated(SegmentDefinition, body, what="segment")
        if definition.name in view.segments:
            raise UsageError(text("a segment named '{name}' is there already", name=name), code="UP880")
        with view.host.opened() as workspace:
            workspace.log.bind(condition)
            write_yaml(workspace.root / "segments" / f"{definition.name}.yml", body)
    except UpswingError as error:
        s, _ = _sizes(view, None)
        given = {"name": name, "condition": condition}
        return render(view, "segments.html", status=422, s=s, problem=problem_of(error), given=given)
    view.host.record(view.request, "segment.create", name)
    return RedirectResponse(f"/segments/{name}", status_code=303)


def _sizes(view: View, name: str | None) -> tuple[Shown | None, Problem | None]:
    query = [(k, v) for k, v in view.query if k == "to"] + ([("name", name)] if name else [])
    try:
        result = view.host.ask("segments", arguments(verb("segments"), query))
    except UpswingError as error:
        return None, problem_of(error)
    names = list(view.definitions.by_kind.get("segment", {})) if name is None else [name]

    def links(row: int, key: str) -> str | None:
        if row >= len(names):
            return None
        return {"name": view.to(f"/segments/{names[row]}"), "users": view.to("/users", segment=names[row])}.get(key)

    behind: dict[str, Links] = {"segments": links}
    return shown(result, links=behind.get), None
