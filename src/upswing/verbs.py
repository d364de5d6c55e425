"""The registry of verbs: one table from which the command line, the HTTP API and the reference are made.

A verb is a method of `upswing.workspace.Workspace` that answers a question and returns a `Result`. The same keyword
arguments go in everywhere: ``upswing funnel --step view --within 7d`` = ``ws.funnel(steps=["view"], within="7d")``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from upswing.core.i18n import Text, text

ParamKind = Literal["text", "integer", "number", "flag", "choice"]


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of a verb.

    Args:
        key: keyword of the Python method.
        help: what it does, for --help and the reference.
        kind: how its text is read.
        option: the command-line option without dashes, where it is not the key (``from`` is a Python keyword).
        many: may be given several times; Python takes a list.
        choices: allowed values of kind ``choice``.
        default: value when absent, as shown in help.
        positional: a command-line argument rather than an option.
    """

    key: str
    help: Text
    kind: ParamKind = "text"
    option: str = ""
    many: bool = False
    choices: tuple[str, ...] = ()
    default: str | int | float | bool | None = None
    positional: bool = False

    @property
    def flag(self) -> str:
        """Name on the command line and in a query string."""
        return self.option or self.key.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Verb:
    """A question Upswing answers."""

    name: str
    help: Text
    params: tuple[Param, ...]
    group: Text

    @property
    def method(self) -> str:
        """Name of the method of Workspace."""
        return self.name.replace("-", "_")


_FROM = Param("start", text("First moment of the range, e.g. 2026-10-01 (inclusive)"), option="from")
_TO = Param("stop", text("End of the range (exclusive)"), option="to")
_SEGMENT = Param("segment", text("Only users of this segment: a name, or a condition on what users are"))
_BY = Param("by", text("Break down by a property; 'segment:NAME' compares a segment with everybody else"))
_LIMIT = Param("limit", text("Most groups shown; the rest is '(other)'"), "integer", default=10)
_WHERE = Param("where", text("Only events that meet this condition, e.g. \"platform = 'ios'\""))
_PERIOD = ("hour", "day", "week", "month")
_DIAGNOSE = text("Diagnose")
_DATA = text("Data")


VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "funnel",
        text("How many users get from one step to the next, and where they are lost"),
        (
            Param("name", text("A funnel that is defined in the workspace"), positional=True),
            Param("steps", text("A step: event, event[condition], 'a | b', or event? when it may be skipped"),
                  option="step", many=True),
            Param("within", text("Conversion window from the first step, e.g. 7d")),
            Param("order", text("Order of the steps"), "choice", choices=("ordered", "strict", "any")),
            Param("count", text("What is counted"), "choice", choices=("users", "sessions", "totals", "pairs")),
            Param("exclude", text("Event that must not happen: EVENT, or EVENT@2-3 between two steps"), many=True),
            Param("exclusion_policy", text("What an exclusion does: the user drops there, or leaves the funnel"), "choice",
                  choices=("drop", "remove")),
            Param("hold", text("Property that must be the same at every step")),
            Param("tie", text("Events at the same time: any order, order of ingest, or never in order"), "choice",
                  choices=("any", "ingest", "strict")),
            Param("profile", text("Rules of another product, to reproduce its numbers"), "choice",
                  choices=("posthog", "mixpanel", "amplitude", "clickhouse", "growingio")),
            Param("attribution", text("Which step gives the breakdown value: entry, last, all, or a step number"),
                  default="entry"),
            Param("trend", text("Also by period of entry"), "choice", choices=_PERIOD),
            _WHERE, _FROM, _TO, _BY, _LIMIT, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "retention",
        text("How many users come back, by the period in which they began"),
        (
            Param("name", text("A retention that is defined in the workspace"), positional=True),
            Param("start_event", text("What begins a cohort: event, event[condition] or 'a | b'"), option="start"),
            Param("return_event", text("What counts as coming back"), option="return"),
            Param("period", text("Length of a period"), "choice", choices=_PERIOD),
            Param("periods", text("Number of periods followed"), "integer"),
            Param("at", text("When a return counts"), "choice", option="on", choices=("on", "on-or-after", "on-or-before")),
            Param("clock", text("Periods of the calendar, or counted from each user's own start"), "choice",
                  choices=("calendar", "rolling")),
            Param("entry", text("Who is in a cohort"), "choice", choices=("recurring", "first-time", "first-ever")),
            Param("first_ever", text("Short for --entry first-ever: the user's first such event ever"), "flag"),
            Param("min_count", text("Fewest returns in a period that count"), "integer"),
            Param("sum", text("Also sum this property of the return events (ARPU, LTV)")),
            _FROM, _TO, _BY, _LIMIT, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "lifecycle",
        text("New, returning, resurrecting and dormant users; the four add up"),
        (
            Param("event", text("What counts as active: event, 'a | b', or '*' for any (default)")),
            Param("period", text("Length of a period"), "choice", choices=("day", "week", "month")),
            _FROM, _TO, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "stickiness",
        text("On how many days of a period users are active; DAU/WAU and DAU/MAU beside it"),
        (
            Param("event", text("What counts as active: event, 'a | b', or '*' for any (default)")),
            Param("period", text("Length of a period"), "choice", choices=("week", "month")),
            _FROM, _TO, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "paths",
        text("What users do after, before, or between two events"),
        (
            Param("name", text("Paths that are defined in the workspace"), positional=True),
            Param("after", text("Paths that begin with this event")),
            Param("before", text("Paths that end with this event")),
            Param("depth", text("Steps followed"), "integer"),
            Param("top", text("Most events shown at a position; the rest is '(other)'"), "integer"),
            Param("session_gap", text("Idle time that ends a path, e.g. 30m; 'none' for whole histories")),
            Param("hide", text("Event that is left out"), many=True),
            Param("group", text("Events joined under one name: NAME=pattern*"), many=True),
            Param("repeats", text("Keep repeats of the same event"), "flag"),
            _FROM, _TO, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "interval",
        text("How long users take from one event to the next"),
        (
            Param("event", text("The first event")),
            Param("then", text("The next event; the same one if absent: how often users come back to it")),
            _FROM, _TO, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "distribution",
        text("Users by how often, or how much"),
        (
            Param("event", text("What is counted: event, event[condition] or 'a | b'")),
            Param("measure", text("What is measured per user"), "choice", choices=("count", "sum", "active-days")),
            Param("property", text("Property that is summed")),
            Param("bands", text("Lower bounds of the bands, e.g. 1,2,5,10")),
            _FROM, _TO, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "events",
        text("What is in the log: events and properties with volumes, and findings about data quality"),
        (Param("event", text("Only this event, with its properties and top values"), positional=True),),
        _DATA,
    ),
    Verb(
        "segments",
        text("Segments of the workspace with their sizes"),
        (
            Param("name", text("Only this segment"), positional=True),
            Param("stop", text("As of this moment (exclusive)"), option="to"),
        ),
        _DATA,
    ),
    Verb(
        "users",
        text("Who stands behind a number: users of a segment, at a funnel step, or in a retention cell"),
        (
            Param("segment", text("Users of this segment")),
            Param("funnel", text("A funnel that is defined in the workspace")),
            Param("steps", text("Step of a funnel, as for the funnel verb"), option="step", many=True),
            Param("within", text("Conversion window, e.g. 7d")),
            Param("at", text("Number of the funnel step"), "integer"),
            Param("dropped", text("Those who came to the step before and not to this one"), "flag"),
            Param("limit", text("Most ids listed"), "integer", default=100),
            Param("save", text("Save them as a segment of this name")),
            _FROM, _TO,
        ),
        _DATA,
    ),
    Verb(
        "metrics",
        text("Metrics of the workspace over time"),
        (
            Param("names", text("Only these metrics"), positional=True, many=True),
            Param("period", text("Length of a period"), "choice", choices=_PERIOD),
            _FROM, _TO, _BY, _LIMIT, _SEGMENT,
        ),
        _DIAGNOSE,
    ),
    Verb(
        "quarantine",
        text("Rows that could not be imported, with reason and line"),
        (
            Param("reason", text("Only rows with this reason")),
            Param("limit", text("Most rows shown"), "integer", default=50),
        ),
        _DATA,
    ),
)  # fmt: skip


def verb(name: str) -> Verb:
    """A verb by name."""
    return next(v for v in VERBS if v.name == name)
