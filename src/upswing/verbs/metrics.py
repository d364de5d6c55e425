"""Verbs of the metric system."""

from __future__ import annotations

from typing import Final

from upswing.core.i18n import text
from upswing.verbs.base import BY, DIAGNOSE, FROM, LIMIT, PERIODS, SEGMENT, TO, Param, Verb

VERBS: Final[tuple[Verb, ...]] = (
    Verb(
        "metrics",
        text("Metrics of the workspace over time"),
        (
            Param("names", text("Only these metrics"), positional=True, many=True),
            Param("period", text("Length of a period"), "choice", choices=PERIODS),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
)  # fmt: skip
