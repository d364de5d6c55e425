"""The registry of verbs: one table from which the command line, the HTTP API and the reference are made.

A verb is a method of `upswing.workspace.Workspace` that answers a question and returns a `Result`. The same keyword
arguments go in everywhere: ``upswing funnel --step view --within 7d`` = ``ws.funnel(steps=["view"], within="7d")``.
"""

from __future__ import annotations

from typing import Final

from upswing.verbs import backlog, data, diagnose, metrics, review, strategy
from upswing.verbs.base import Param, ParamKind, Verb

__all__ = ["VERBS", "Param", "ParamKind", "Verb", "verb"]

VERBS: Final[tuple[Verb, ...]] = (
    *diagnose.VERBS,
    *metrics.VERBS,
    *strategy.VERBS,
    *backlog.VERBS,
    *review.VERBS,
    *data.VERBS,
)
"""Every verb, in the order of the help."""


def verb(name: str) -> Verb:
    """A verb by name."""
    return next(v for v in VERBS if v.name == name)
