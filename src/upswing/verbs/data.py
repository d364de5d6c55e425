"""Verbs of the event log and of the people in it."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import DATA, FROM, PERIODS, TO, Param, Verb

VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "events",
        text("What is in the log: events and properties with volumes, and findings about data quality"),
        (Param("event", text("Only this event, with its properties and top values"), positional=True),),
        DATA,
    ),
    Verb(
        "segments",
        text("Segments of the workspace with their sizes"),
        (
            Param("name", text("Only this segment"), positional=True),
            Param("stop", text("As of this moment (exclusive)"), option="to"),
        ),
        DATA,
    ),
    Verb(
        "users",
        text("Who stands behind a number: users of a segment, a step, a cell, a state or a band; --save makes them a segment"),
        (
            Param("of", text("The analysis whose number is meant"), "choice",
                  choices=("funnel", "retention", "lifecycle", "stickiness", "paths", "interval", "distribution")),
            Param("segment", text("Users of this segment; with --of, only those")),
            Param("name", text("Name of the analysis' definition in the workspace")),
            Param("funnel", text("A funnel that is defined in the workspace; short for --of funnel --name")),
            Param("steps", text("Step of a funnel, as for the funnel verb"), option="step", many=True),
            Param("within", text("Conversion window, e.g. 7d")),
            Param("order", text("Order of the steps"), "choice", choices=("ordered", "strict", "any")),
            Param("at", text("Number of the funnel step; the last if absent"), "integer"),
            Param("dropped", text("Those who came to the step before and not to this one"), "flag"),
            Param("start_event", text("Retention: what begins a cohort"), option="start"),
            Param("return_event", text("Retention: what counts as coming back"), option="return"),
            Param("period", text("Length of a period"), "choice", choices=PERIODS),
            Param("periods", text("Retention: number of periods followed"), "integer"),
            Param("entry", text("Who is in a cohort"), "choice", choices=("recurring", "first-time", "first-ever")),
            Param("clock", text("Periods of the calendar, or counted from each user's own start"), "choice",
                  choices=("calendar", "rolling")),
            Param("on", text("When a return counts"), "choice", choices=("on", "on-or-after", "on-or-before")),
            Param("cohort", text("Retention: the cohort, as its first day, e.g. 2026-10-05")),
            Param("lag", text("Retention: the period after the start, e.g. 1")),
            Param("lost", text("Retention: those who did not come back"), "flag"),
            Param("event", text("Lifecycle, stickiness, interval, distribution: the event")),
            Param("then", text("Interval: the next event; the same one if absent")),
            Param("in_period", text("Lifecycle, stickiness: the period, as its first day"), option="in"),
            Param("state", text("Lifecycle: the state in that period"), "choice",
                  choices=("new", "returning", "resurrecting", "dormant", "active")),
            Param("days", text("Stickiness: active on exactly so many days"), "integer"),
            Param("measure", text("Distribution: what is measured per user"), "choice",
                  choices=("count", "sum", "active-days")),
            Param("property", text("Distribution: property that is summed")),
            Param("window", text("Distribution of active days: the most in any stretch of so many days, e.g. 7d")),
            Param("at_least", text("Interval (a duration) or distribution (a number): at least so much")),
            Param("below", text("Interval (a duration) or distribution (a number): less than this")),
            Param("after", text("Paths that begin with this event")),
            Param("before", text("Paths that end with this event")),
            Param("session_gap", text("Paths: idle time that ends a path, e.g. 30m; 'none' for whole histories")),
            Param("position", text("Paths: the position, as in the paths table"), "integer"),
            Param("node", text("Paths: the step at that position")),
            Param("next", text("Paths: and the step that comes next")),
            Param("by", text("Break down by a property or 'segment:NAME', as in the analysis; then choose with --group")),
            Param("group", text("Only users of this group of the breakdown")),
            Param("limit", text("Most ids listed"), "integer", default=100),
            Param("save", text("Save them as a segment of this name"), writes=True),
            FROM, TO,
        ),
        DATA,
    ),
    Verb(
        "quarantine",
        text("Rows that could not be imported, with reason and line"),
        (
            Param("reason", text("Only rows with this reason")),
            Param("limit", text("Most rows shown"), "integer", default=50),
        ),
        DATA,
    ),
)  # fmt: skip
