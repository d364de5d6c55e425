"""Verbs of strategy: each a thin call into `upswing.strategy`."""

from __future__ import annotations

from upswing.workspace.base import OpenWorkspace


class StrategyVerbs(OpenWorkspace):
    """What to change, for whom, and in which order."""
