"""Verbs of the growth review. `report` itself is a command that writes a page (see `upswing.cli.prepare`)."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import DIAGNOSE, FROM, TO, Param, Verb

VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "growth-points",
        text("What is worth fixing first: gaps sized in the north star per week, with interval, evidence and doubts"),
        (
            Param("milestones", text("Event of the main path, in order (proposed if absent)"), option="milestone", many=True),
            Param("dimensions", text("Property to compare groups by (chosen if absent)"), option="segment-by", many=True),
            Param("within", text("Conversion window, e.g. 7d")),
            Param("closed", text("Share of each gap that is taken to close"), "number", default=0.5),
            Param("limit", text("Most points shown"), "integer", default=20),
            FROM, TO,
        ),
        DIAGNOSE,
    ),
)  # fmt: skip
