"""Verbs of what people know and plan: the journey map, the backlog of hypotheses, initiatives."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import DIAGNOSE, FROM, SEGMENT, STRATEGY, TO, Param, Verb

VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "journey",
        text("What users do and feel at each stage of their way, on one map"),
        (
            Param("name", text("A journey that is defined in the workspace"), positional=True),
            FROM, TO, SEGMENT,
            Param("evidence", text("CSV of notes, tickets, reviews or survey answers to add first"),
                  many=True, writes=True, local=True),
            Param("source", text("What the notes of --evidence come from, where the file does not say"), writes=True, local=True),
            Param("tag", text("Put a note into a stage: NOTE=STAGE"), many=True, writes=True),
            Param("draft", text("Write a journey mined from the events under this name"), writes=True),
        ),
        DIAGNOSE,
    ),
    Verb(
        "hypotheses",
        text("The backlog: state, trace, lever; ranked by value, ICE or RICE, with the record of forecasts"),
        (
            Param("name", text("Only this hypothesis"), positional=True),
            Param("by", text("What decides the order"), "choice", choices=("value", "ice", "rice")),
            Param("stage", text("Only this stage; the open ones if absent"), "choice",
                  choices=("idea", "ready", "running", "decided", "shipped", "dropped", "archived", "all")),
            Param("horizon", text("Weeks over which a shipped effect counts"), "integer", default=26),
            Param("day_cost", text("Money per person-day, to set cost against value"), "number"),
            Param("experiment", text("Write an experiment file for the named hypothesis"), "flag", writes=True),
        ),
        STRATEGY,
    ),
    Verb(
        "initiatives",
        text("Every initiative from idea to sunset: where it stands, what is due, what was decided"),
        (
            Param("name", text("Only this initiative"), positional=True),
            Param("stage", text("Only this stage"), "choice",
                  choices=("idea", "research", "plan", "prototype", "requirements", "build", "test", "trial", "launch",
                           "iterate", "sunset")),
            Param("today", text("The day that due dates are compared with, e.g. 2026-11-23; today if absent")),
        ),
        STRATEGY,
    ),
)  # fmt: skip
