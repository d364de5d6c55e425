"""Verbs that diagnose: where users are lost."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import BY, DIAGNOSE, FROM, LIMIT, PERIODS, SEGMENT, TO, WHERE, Param, Verb

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
            Param("trend", text("Also by period of entry"), "choice", choices=PERIODS),
            WHERE, FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "retention",
        text("How many users come back, by the period in which they began"),
        (
            Param("name", text("A retention that is defined in the workspace"), positional=True),
            Param("start_event", text("What begins a cohort: event, event[condition] or 'a | b'"), option="start"),
            Param("return_event", text("What counts as coming back"), option="return"),
            Param("period", text("Length of a period"), "choice", choices=PERIODS),
            Param("periods", text("Number of periods followed"), "integer"),
            Param("at", text("When a return counts"), "choice", option="on", choices=("on", "on-or-after", "on-or-before")),
            Param("clock", text("Periods of the calendar, or counted from each user's own start"), "choice",
                  choices=("calendar", "rolling")),
            Param("entry", text("Who is in a cohort"), "choice", choices=("recurring", "first-time", "first-ever")),
            Param("first_ever", text("Short for --entry first-ever: the user's first such event ever"), "flag"),
            Param("min_count", text("Fewest returns in a period that count"), "integer"),
            Param("sum", text("Also sum this property of the return events (ARPU, LTV)")),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "lifecycle",
        text("New, returning, resurrecting and dormant users; the four add up"),
        (
            Param("event", text("What counts as active: event, 'a | b', or '*' for any (default)")),
            Param("period", text("Length of a period"), "choice", choices=("day", "week", "month")),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "stickiness",
        text("On how many days of a period users are active; DAU/WAU and DAU/MAU beside it"),
        (
            Param("event", text("What counts as active: event, 'a | b', or '*' for any (default)")),
            Param("period", text("Length of a period"), "choice", choices=("week", "month")),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
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
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "interval",
        text("How long users take from one event to the next"),
        (
            Param("event", text("The first event")),
            Param("then", text("The next event; the same one if absent: how often users come back to it")),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "distribution",
        text("Users by how often, or how much"),
        (
            Param("event", text("What is counted: event, event[condition] or 'a | b'")),
            Param("measure", text("What is measured per user"), "choice", choices=("count", "sum", "active-days")),
            Param("property", text("Property that is summed")),
            Param("bands", text("Lower bounds of the bands, e.g. 1,2,5,10")),
            Param("window", text("For active days: the most in any stretch of so many days, e.g. 7d")),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
)  # fmt: skip
