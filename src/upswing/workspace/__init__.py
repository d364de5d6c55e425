"""One open workspace: every verb, each a thin call into a room of the house.

>>> from upswing import Workspace
>>> ws = Workspace.create("/tmp/acme", timezone="Asia/Shanghai")   # doctest: +SKIP
>>> ws.import_events(["events.csv"], user="uid", time="ts")        # doctest: +SKIP
>>> ws.funnel(steps=["view", "pay[amount > 50]"], within="7d")     # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from upswing.workspace.backlog import BacklogVerbs
from upswing.workspace.holder import holder_of
from upswing.workspace.metrics import MetricVerbs
from upswing.workspace.people import PeopleVerbs
from upswing.workspace.review import ReviewVerbs
from upswing.workspace.strategy import StrategyVerbs

__all__ = ["Workspace"]


class Workspace(PeopleVerbs, StrategyVerbs, BacklogVerbs, MetricVerbs, ReviewVerbs):
    """A folder with definitions and an event log, open for questions; each room of the house brings its verbs.

    Args:
        root: the folder; it holds ``upswing.yml``.
        project: what ``upswing.yml`` says.
    """

    @classmethod
    def open(cls, folder: str | Path = ".") -> Self:
        """Open a workspace; if a server of this account holds it, its verbs are answered by that server.

        Raises:
            UsageError: UP602 the folder is not a workspace.
            DefinitionError: ``upswing.yml`` has problems; all are listed.
        """
        opened = super().open(folder)
        holder = holder_of(opened.root)
        if holder is None:
            return opened
        from upswing.workspace.remote import remote

        return remote(cls, opened.root, opened.project, holder)
