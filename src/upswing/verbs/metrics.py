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
            Param("compare", text("What the last complete period is compared with"), "choice", choices=("previous", "year")),
            Param("check_targets", text("Exit 1 when a target falls short"), "flag"),
            FROM, TO, BY, LIMIT, SEGMENT,
        ),
        DIAGNOSE,
    ),
    Verb(
        "explain-change",
        text("Why a metric or a whole tree moved: parts, segments, volume, mix and rate, which add up"),
        (
            Param("name", text("A metric or a tree; the only tree if absent"), positional=True),
            Param("by", text("Property to look for segments in (chosen if absent)"), many=True),
            Param("start", text("First moment of the later window; the last complete period if absent"), option="from"),
            TO,
            Param("against", text("The earlier window: previous, year, or FROM..TO"), default="previous"),
            Param("periods", text("Without --from: how many of the last complete periods make the later window"),
                  "integer", default=1),
        ),
        DIAGNOSE,
    ),
    Verb(
        "alerts",
        text("Unusual days and weeks, missed targets, and events that stopped being sent"),
        (
            Param("names", text("Only these metrics"), positional=True, many=True),
            Param("days", text("How many of the last complete days are judged"), "integer", default=7),
            Param("stop", text("Look as of this moment (exclusive)"), option="to"),
            Param("fail", text("Exit 1 when there is an alert"), "flag"),
        ),
        DIAGNOSE,
    ),
)  # fmt: skip
