"""The catalogue: events, properties, what to know about their quality, and the rows that were set aside."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from upswing.core.i18n import text
from upswing.report.tables import Links
from upswing.verbs import verb
from upswing.web.forms import arguments
from upswing.web.render import render
from upswing.web.shown import shown
from upswing.web.site import Pages
from upswing.web.view import View


def mount(pages: Pages) -> None:
    """Catalogue, one event, quarantine."""
    pages.get("/events", catalogue)
    pages.get("/events/{name:path}", event)
    pages.get("/quarantine", quarantine)


def catalogue(view: View) -> Response:
    """Every event and property."""
    if view.empty:
        return render(view, "start.html", page=None)
    result = view.host.ask("events", {})
    names = [str(row[0]) for row in result.tables()[0].rows]

    def links(row: int, key: str) -> str | None:
        return view.to(event_path(names[row])) if key == "name" else None

    behind: dict[str, Links] = {"events": links}
    aside = view.host.ask("quarantine", {"limit": 1})
    waiting = sum(int(str(row[1])) for row in aside.tables()[0].rows)
    return render(
        view, "catalogue.html", title=str(text("Event catalogue")), s=shown(result, links=behind.get), verb="events", query=[],
        waiting=waiting, event="", asks=[],
    )  # fmt: skip


def event_path(name: str) -> str:
    """Where an event's page is, whatever signs its name has.

    Examples:
        >>> event_path("a/b? c")
        '/events/a%2Fb%3F%20c'
    """
    return f"/events/{quote(name, safe='')}"


def event(view: View) -> Response:
    """One event with its properties, and what can be asked about it."""
    name = str(view.request.path_params["name"])
    result = view.host.ask("events", {"event": name})
    asks = [
        (view.to("/paths", after=name), text("What happens after it")),
        (view.to("/retention", start=name, return_=name, period="week", periods=8), text("Who does it again")),
        (view.to("/distribution", event=name), text("How often users do it")),
        (view.to("/interval", event=name), text("How long until they do it again")),
    ]
    return render(
        view, "catalogue.html", title=name, s=shown(result), verb="events", query=[("event", name)], waiting=0, event=name,
        asks=asks,
    )  # fmt: skip


def quarantine(view: View) -> Response:
    """Rows that could not be imported."""
    query = [(k, v) for k, v in view.query if k in ("reason", "limit")]
    result = view.host.ask("quarantine", arguments(verb("quarantine"), query))
    return render(
        view, "catalogue.html", title=str(text("Quarantine")), s=shown(result), verb="quarantine",
        query=query, waiting=0, event="", asks=[],
    )  # fmt: skip
