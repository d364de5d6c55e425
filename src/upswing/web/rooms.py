"""Rooms of the navigation: the pages that are made by hand, and every other verb of the registry under its own room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from upswing.core.i18n import Text, text
from upswing.verbs import VERBS, Verb


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the navigation.

    Args:
        path: its address.
        name: as shown.
        about: what it answers, in a sentence; for the search.
        key: letter that opens it after ``g``.
        verb: the question it asks, if it is one.
    """

    path: str
    name: Text | str
    about: Text | str = ""
    key: str = ""
    verb: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """Pages of one kind of work; `name` is empty for pages that stand alone."""

    name: Text | str
    pages: tuple[Page, ...]


NAMES: Final[dict[str, Text]] = {
    "funnel": text("Funnels"),
    "retention": text("Retention"),
    "lifecycle": text("Lifecycle"),
    "stickiness": text("Stickiness"),
    "paths": text("User paths"),
    "interval": text("Time between events"),
    "distribution": text("Frequency"),
    "journey": text("Journey map"),
    "growth-points": text("Growth points"),
    "aha": text("Aha moments"),
    "metrics": text("Metrics"),
    "explain-change": text("What moved a metric"),
    "quadrants": text("Desire and friction"),
    "behaviour": text("Behaviour model"),
    "hook": text("Hook loop"),
    "hypotheses": text("Hypotheses"),
    "experiments": text("Experiments"),
    "experiment": text("Experiment read-out"),
    "power": text("Sample size"),
    "decide": text("Decision"),
    "channels": text("Channels"),
    "watch": text("Channel watch"),
    "attribution": text("Attribution"),
    "economics": text("Unit economics"),
    "ltv": text("Lifetime value"),
    "budget": text("Budget"),
    "referral": text("Referral"),
    "subsidy": text("Subsidy"),
    "campaign": text("Campaigns"),
    "report": text("Growth review"),
    "users": text("Users"),
    "quarantine": text("Quarantine"),
    "events": text("Event catalogue"),
    "alerts": text("Alerts"),
    "initiatives": text("Initiatives"),
    "segments": text("Segments"),
}
"""Short names of verbs in the navigation; a verb that is not here goes by its own name."""

_KEYS: Final = {
    "funnel": "f",
    "retention": "r",
    "lifecycle": "l",
    "stickiness": "t",
    "paths": "p",
    "events": "e",
    "segments": "s",
}
_ORDER: Final = ("Diagnose", "Strategy", "Experiments", "Channels", "Reach", "Data")
_TAKEN: Final = frozenset({"metrics"})
"""Addresses that mean something else on a server: `/metrics` is what the operator's monitoring reads."""
_OWN_PAGES: Final = frozenset({"events", "segments", "quarantine", "users"})
_BY_HAND: Final = frozenset({"journey"})
"""Verbs whose page stands in their room, but is more than a form and an answer."""


def rooms() -> tuple[Room, ...]:
    """Every room that is built, in the order of the growth loop."""
    by_room: dict[str, tuple[Text | str, list[Page]]] = {}
    for verb in VERBS:
        if verb.name not in _OWN_PAGES:
            by_room.setdefault(verb.group.message, (verb.group, []))[1].append(page_of(verb))
    order = sorted(by_room, key=lambda r: _ORDER.index(r) if r in _ORDER else len(_ORDER))
    asked = [Room(by_room[name][0], tuple(by_room[name][1])) for name in order if name != "Data"]
    data = Room(
        text("Data"),
        (
            Page("/events", text("Event catalogue"), text("Events and properties, and findings about their quality"), "e"),
            Page("/segments", text("Segments"), text("Saved groups of users with their sizes"), "s"),
            Page("/import", text("Import"), text("Bring event files into the log"), "i"),
            Page("/definitions", text("Definitions"), text("Funnels, metrics and segments as files, checked and compared"), "d"),
            *by_room.get("Data", ("", []))[1],
        ),
    )  # fmt: skip
    overview = Room("", (Page("/", text("Overview"), text("Activity, new users, retention, and what moved"), "o"),))
    settings = Room("", (Page("/settings", text("Settings"), text("People, keys, audit"), ","),))
    return (overview, *asked, data, settings)


def page_of(verb: Verb) -> Page:
    """The page that asks a verb."""
    name = NAMES.get(verb.name, verb.name.replace("-", " ").capitalize())
    path = f"/ask/{verb.name}" if verb.name in _TAKEN else f"/{verb.name}"
    return Page(path, name, verb.help, _KEYS.get(verb.name, ""), verb.name)


def asked_verbs() -> tuple[Verb, ...]:
    """Verbs whose page is the form and the answer; those of the data room have pages of their own."""
    return tuple(v for v in VERBS if v.name not in _OWN_PAGES | _BY_HAND)
