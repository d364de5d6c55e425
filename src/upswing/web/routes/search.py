"""Search over pages, events, properties and definitions; suggestions while a question is written; help."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from upswing.core.i18n import Text, text, use_locale
from upswing.core.numbers import format_count
from upswing.diagnose.catalogue import EventsResult
from upswing.web.render import render
from upswing.web.rooms import rooms
from upswing.web.routes.definitions import KIND_WORDS
from upswing.web.routes.events import event_path
from upswing.web.site import Pages
from upswing.web.view import View, address

MOST = 12


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found."""

    name: str
    about: str
    href: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What could be written: the whole new text of the field, and how it is shown."""

    value: str
    label: str
    note: str = ""


def mount(pages: Pages) -> None:
    """Search, suggest, help."""
    pages.get("/search", search)
    pages.get("/-/suggest", suggest)
    pages.get("/-/keys", lambda view: render(view, "keys.html"))


def search(view: View) -> Response:
    """Everything whose name or sentence holds the words."""
    words = view.get("q").casefold()
    found = [(title, hits) for title, hits in _everything(view, words) if hits] if words else []
    return render(view, "search.html", q=view.get("q"), found=[(str(title), hits) for title, hits in found])


def suggest(view: View) -> Response:
    """Completions of what is written in a field, as plain data."""
    kind, written, event = view.get("kind", "event"), view.request.query_params.get("q", ""), view.get("event")
    if kind == "property":
        found = _properties(view, written)
    elif kind == "condition":
        found = _conditions(view, event, "", written, "")
    else:
        found = _events(view, written)
    return JSONResponse([{"value": s.value, "label": s.label, "note": s.note} for s in found[:MOST]])


def _everything(view: View, words: str) -> list[tuple[Text, list[Hit]]]:
    def matches(*texts: object) -> bool:
        return any(words in str(t).casefold() for t in texts)

    with use_locale("en"):
        in_english = {page.path: f"{page.name} {page.about}" for room in rooms() for page in room.pages}
    pages = [
        Hit(str(page.name), str(page.about), view.to(page.path))
        for room in rooms()
        for page in room.pages
        if matches(page.name, page.about, page.path, in_english[page.path])
    ]
    schema = view.schema
    events = [
        Hit(name, str(text("{n} events", n=format_count(count))), view.to(event_path(name)))
        for name, count in (schema.events.items() if schema else ())
        if matches(name)
    ]
    properties = [
        Hit(name, p.type, view.to("/events"))
        for name, p in (schema.properties.items() if schema else ())
        if matches(name)
    ]
    defined = [
        Hit(
            d.shown,
            f"{KIND_WORDS.get(kind, kind)} {d.name}",
            address("/definitions/edit", {"file": view.definitions.documents[kind, d.name].file}),
        )
        for kind, d in view.definitions
        if matches(d.name, d.shown, d.told)
    ]
    return [
        (text("Pages"), pages[:MOST]), (text("Events"), events[:MOST]), (text("Properties"), properties[:MOST]),
        (text("Definitions"), defined[:MOST]),
    ]  # fmt: skip


def _events(view: View, written: str) -> list[Suggestion]:
    """Events by name; inside a bracket the properties of the event, after a comparison their values."""
    opened = re.match(r"^\s*([^\[]+)\[(.*)$", written, re.DOTALL)
    if opened:
        return _conditions(view, opened[1].strip(), f"{opened[1].strip()}[", opened[2].rstrip("]"), "]")
    head, _, last = written.rpartition("|")
    prefix = f"{head.strip()} | " if head else ""
    schema = view.schema
    wanted = last.strip().casefold()
    known = sorted(schema.events.items(), key=lambda item: -item[1]) if schema else []
    matching = [(name, n) for name, n in known if wanted in name.casefold()]
    matching.sort(key=lambda item: not item[0].casefold().startswith(wanted))
    return [Suggestion(prefix + name, name, format_count(n)) for name, n in matching if prefix + name != written]


def _properties(view: View, written: str) -> list[Suggestion]:
    schema = view.schema
    found = [Suggestion(name, name, p.type) for name, p in (schema.properties.items() if schema else ())]
    found += [Suggestion(f"segment:{name}", f"segment:{name}", str(text("segment"))) for name in view.segments]
    return [s for s in found if written.casefold() in s.value.casefold() and s.value != written]


def _conditions(view: View, event: str, before: str, written: str, after: str) -> list[Suggestion]:
    """Completions of a condition: a property, or a value after ``property =``."""
    result = view.host.ask("events", {"event": event} if event and view.schema and event in view.schema.events else {})
    assert isinstance(result, EventsResult)
    properties = {p.name: p for p in result.catalogue.properties}
    compared = re.match(r"^(.*?)(\w+)\s*(=|!=|<>|>=|<=|>|<)\s*('?)([^']*)$", written, re.DOTALL)
    if compared and compared[2] in properties:
        head, name, sign, _, begun = compared.groups()
        quoted = properties[name].type in ("text", "time", "date")
        values = [
            (str(value), count) for value, count in properties[name].top if begun.casefold() in str(value).casefold()
        ]
        shown = [(f"'{v}'" if quoted else v, n) for v, n in values]
        return [Suggestion(f"{before}{head}{name} {sign} {v}{after}", v, format_count(n)) for v, n in shown]
    begun_name = re.search(r"(\w*)$", written)
    stem = begun_name[1].casefold() if begun_name else ""
    head = written[: len(written) - len(stem)]
    return [
        Suggestion(f"{before}{head}{name} = ", name, p.type)
        for name, p in properties.items()
        if stem in name.casefold()
    ]
