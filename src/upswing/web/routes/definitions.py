"""Definitions: every file with its problems; one as form and text, compared, checked, saved, with its history."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from starlette.responses import RedirectResponse, Response

from upswing.core.errors import Problem, UpswingError, UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import plain
from upswing.spec.definitions import KINDS, model_of
from upswing.spec.starters import FOLDERS
from upswing.verbs import verb
from upswing.web.definition_files import (
    LARGEST,
    DefinitionFiles,
    difference,
    fingerprint,
    settings_of,
    with_settings,
)
from upswing.web.forms import arguments
from upswing.web.render import render
from upswing.web.site import Pages, problem_of
from upswing.web.view import View, address

KIND_WORDS: dict[str, Text] = {
    "funnel": text("Funnels"), "retention": text("Retention"), "paths": text("User paths"), "segment": text("Segments"),
    "metric": text("Metrics"), "tree": text("Metric trees"), "journey": text("Journey maps"), "hypothesis": text("Hypotheses"),
    "experiment": text("Experiments"), "quadrants": text("Desire and friction"), "behaviour": text("Behaviour models"),
    "hook": text("Hook loops"), "aha": text("Aha moments"), "channel": text("Channels"), "scorecard": text("Score cards"),
    "campaign": text("Campaigns"), "initiative": text("Initiatives"),
}  # fmt: skip
ASKED = {"funnel", "retention", "paths", "segment", "metric"}

SKELETONS = {
    "funnel": "kind: funnel\nname: {name}\nwindow: 7d\nsteps:\n  - {{event: {event}}}\n  - {{event: {event}}}\n",
    "retention": (
        "kind: retention\nname: {name}\nstart: {{event: {event}}}\nreturning: {{event: {event}}}\nperiod: week\nperiods: 8\n"
    ),
    "segment": "kind: segment\nname: {name}\nall:\n  - {{did: {event}, within: 30d, at_least: 1}}\n",
    "metric": "kind: metric\nname: {name}\ntype: count\nevent: {event}\n",
    "paths": "kind: paths\nname: {name}\nafter: {{event: {event}}}\ndepth: 5\n",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A definition in the list."""

    name: str
    shown: str
    about: str
    owner: str
    file: str
    hash: str
    ask: str


def mount(pages: Pages) -> None:
    """List, edit, begin a new one."""
    pages.get("/definitions", every)
    pages.get("/definitions/new", begin)
    pages.get("/definitions/edit", edit)
    pages.post("/definitions/edit", change)


def every(view: View) -> Response:
    """All definitions by kind, and every problem of every file."""
    with view.host.opened() as workspace:
        definitions = workspace.definitions
        problems = list(workspace.check(data=not view.empty))
    kinds: dict[str, list[Row]] = {}
    for kind, d in definitions:
        ask = {"segment": f"/segments/{d.name}", "metric": address("/metrics", {"names": d.name})}.get(
            kind, address(f"/{kind}", {"name": d.name}) if kind in ASKED else ""
        )
        file = definitions.documents[kind, d.name].file
        row = Row(d.name, d.shown, d.told, d.owner or "", file, d.hash, ask)
        kinds.setdefault(kind, []).append(row)
    groups = [(str(KIND_WORDS.get(kind, kind)), kind, rows) for kind, rows in kinds.items()]
    return render(
        view,
        "definitions.html",
        groups=groups,
        problems=problems,
        kinds=[(k, str(KIND_WORDS.get(k, k))) for k in KINDS],
    )


def begin(view: View) -> Response:
    """A new definition, from nothing or from a question that was asked."""
    kind = view.get("kind", "funnel")
    if kind not in KINDS:
        raise UsageError(text("no kind '{kind}'", kind=kind), code="UP106")
    asked = [(k, v) for k, v in view.query if k != "kind"]
    taken = set(view.definitions.by_kind.get(kind, {}))
    name = next(n for n in (f"{kind}_{i}" for i in range(1, 10_000)) if n not in taken)
    body = _from_question(view, kind, name, asked) if asked else _skeleton(view, kind, name)
    return _editor(view, f"{FOLDERS[kind]}/{name}.yml", body, before="", problems=[], status=200)


def edit(view: View) -> Response:
    """A file as it is; with ``at``, an earlier text of it."""
    name = view.get("file")
    files = DefinitionFiles(view.host.root)
    body = files.read(name)
    if not body:
        raise UsageError(text("there is no file '{name}'", name=name), code="UP882")
    shown = files.earlier(name, view.get("at")) if view.get("at") else body
    return _editor(view, name, shown, before=body, problems=_check(view, name, shown), status=200)


def change(view: View) -> Response:
    """Check what was written, show what changes, and save it if that was asked for and nothing is wrong."""
    files = DefinitionFiles(view.host.root)
    name, read_as = view.field("file"), view.field("read_as")
    body = str(view.form.get("yaml", "")).replace("\r\n", "\n")[:LARGEST]
    before = files.read(name)
    if view.field("by") == "form":
        try:
            body = with_settings(body, _given(view))
        except Exception as error:  # what was typed is not YAML: the text's own problems say where
            if not type(error).__module__.startswith("ruamel"):
                raise
    problems = _check(view, name, body)
    failed = None
    if view.field("do") == "save" and not [p for p in problems if p.severity == "error"]:
        try:
            files.save(name, body, read_as=read_as)
        except UpswingError as error:
            failed = error
        else:
            view.host.record(view.request, "definition.save", name)
            return RedirectResponse(address("/definitions/edit", {"file": name, "saved": "1"}), status_code=303)
    return _editor(
        view, name, body, before=before, problems=problems, status=422 if problems or failed else 200, failed=failed
    )


def _given(view: View) -> dict[str, str | list[str]]:
    """What the form sets: one value of each key, all of a list's."""
    given: dict[str, str | list[str]] = {}
    for key, value in view.form.multi_items():
        kind, _, name = key.partition(".")
        if kind == "set":
            given[name] = str(value)
        elif kind == "list":
            values = given.setdefault(name, [])
            assert isinstance(values, list)
            values.append(str(value).strip())
    return given


def _editor(
    view: View,
    name: str,
    body: str,
    *,
    before: str,
    problems: list[Problem],
    status: int,
    failed: UpswingError | None = None,
) -> Response:
    files = DefinitionFiles(view.host.root)
    marks = {p.line: p for p in problems if p.line}
    lines = [(i, line, marks.get(i)) for i, line in enumerate(body.splitlines(), start=1)]
    readonly = "managed: code" in before or not view.may("editor")
    return render(
        view, "definition.html", status=status, file=name, body=body, lines=lines, problems=problems,
        settings=settings_of(body, problems), diff=difference(before, body) if body != before else [],
        read_as=fingerprint(before), failed=problem_of(failed) if failed else None, readonly=readonly,
        history=files.history(name), new=not before, saved=bool(view.get("saved")) and body == before,
    )  # fmt: skip


def _check(view: View, name: str, body: str) -> list[Problem]:
    schema = view.schema
    known = schema is not None and schema.n_events > 0
    return DefinitionFiles(view.host.root).check(
        name, body,
        events=list(schema.events) if known and schema else None,
        properties=list(schema.properties) if known and schema else None,
    )  # fmt: skip


def _skeleton(view: View, kind: str, name: str) -> str:
    event = next(iter(view.schema.events), "event") if view.schema is not None else "event"
    return SKELETONS.get(kind, "kind: " + kind + "\nname: {name}\n").format(name=name, event=event)


def _from_question(view: View, kind: str, name: str, asked: list[tuple[str, str]]) -> str:
    """The question as a definition: what its answer says that was asked."""
    result = view.host.ask(kind, arguments(verb(kind), asked))
    told: Any = plain(result.how.definition)
    keys = set(model_of(kind).model_fields) - {"kind", "name"}
    body = {"kind": kind, "name": name, **{k: v for k, v in told.items() if k in keys and v not in (None, [], {})}}
    out = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(body, out)
    return out.getvalue()
