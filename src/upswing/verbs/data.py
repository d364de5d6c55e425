"""Verbs of the event log and of the people in it."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import DATA, FROM, TO, Param, Verb

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
