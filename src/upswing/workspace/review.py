"""Verbs of the growth review: each a thin call into `upswing.review`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from upswing.workspace.base import Moment, OpenWorkspace
from upswing.workspace.plugs import CANDIDATES, NOTES, SECTION, offered

if TYPE_CHECKING:
    from upswing.metrics.candidate import Evidence
    from upswing.review.points import GrowthPointsResult
    from upswing.review.weekly import Declared, GrowthReview, Plugged

STRATEGY: Final = ("aha", "quadrants", "behaviour", "hook")
"""Kinds of questions whose answers are growth points too."""


class ReviewVerbs(OpenWorkspace):
    """The main job: what moved and why, and what to work on next."""

    def report(
        self,
        *,
        milestones: Sequence[str] = (),
        dimensions: Sequence[str] = (),
        within: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        closed: float = 0.5,
        progress: Callable[[object], None] | None = None,
    ) -> GrowthReview:
        """The weekly growth review: what moved and why, growth points, alerts, and what the other rooms have running.

        Args:
            milestones: events of the main path, in order; those of ``upswing.yml`` or proposed from the events if absent.
            dimensions: properties to compare groups by; chosen if absent.
            within: conversion window.
            start: first moment.
            stop: end, exclusive.
            closed: share of each gap that is taken to close.
            progress: told the name of each part as it begins.
        """
        from upswing.review.weekly import review

        return review(
            self.log,
            declared=self._declared(),
            plugged=self._plugged(),
            milestones=milestones or self.project.milestones,
            dimensions=dimensions,
            within=within,
            start=start,
            stop=stop,
            closed=closed,
            progress=progress,
        )

    def growth_points(
        self,
        *,
        milestones: Sequence[str] = (),
        dimensions: Sequence[str] = (),
        within: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        closed: float = 0.5,
        limit: int = 20,
    ) -> GrowthPointsResult:
        """What is worth fixing first: every room's weaknesses, sized in the north star per week, ranked.

        Args:
            milestones: events of the main path, in order; those of ``upswing.yml`` or proposed from the events if absent.
            dimensions: properties to compare groups by; chosen if absent.
            within: conversion window.
            start: first moment.
            stop: end, exclusive.
            closed: share of each gap that is taken to close.
            limit: points shown at most.
        """
        from upswing.review.points import growth_points
        from upswing.review.setting import build_setting
        from upswing.review.weekly import choose_north_star

        declared, plugged = self._declared(), self._plugged(sections=False)
        setting = build_setting(
            self.log,
            milestones=milestones or self.project.milestones,
            dimensions=dimensions,
            within=within,
            start=start,
            stop=stop,
            notes=dict(plugged.notes),
            north_star=lambda path, weeks: choose_north_star(declared, path, weeks),
        )
        return growth_points(setting, sources=declared.sources, extra=plugged.candidates, closed=closed, most=limit)

    def _declared(self) -> Declared:
        """Metrics, the tree, the funnels and the strategy of the workspace; the first tree by name if there are several."""
        from upswing.review.weekly import Declared
        from upswing.spec.aha import AhaDefinition
        from upswing.spec.behaviour import BehaviourDefinition
        from upswing.spec.funnel import FunnelDefinition
        from upswing.spec.hook import HookDefinition
        from upswing.spec.quadrants import QuadrantsDefinition
        from upswing.spec.tree import TreeDefinition, metrics_of, require_sound

        require_sound(self.definitions)
        trees = self.definitions.by_kind.get("tree", {})
        first = trees[min(trees)] if trees else None
        funnels = self.definitions.by_kind.get("funnel", {}).values()
        kinds = (AhaDefinition, QuadrantsDefinition, BehaviourDefinition, HookDefinition)
        asked = [d for kind in STRATEGY for d in self.definitions.by_kind.get(kind, {}).values()]
        return Declared(
            metrics=metrics_of(self.definitions),
            tree=first if isinstance(first, TreeDefinition) else None,
            funnels=tuple(f for f in funnels if isinstance(f, FunnelDefinition)),
            strategy=tuple(d for d in asked if isinstance(d, kinds)),
        )

    def _plugged(self, *, sections: bool = True) -> Plugged:
        """What the other rooms hand over; a room that cannot answer yet is left out."""
        from upswing.review.weekly import Plugged

        shown = [result for result in offered(self, SECTION) if result is not None] if sections else []
        candidates = [c for room in offered(self, CANDIDATES) for c in room]
        notes: dict[str, tuple[Evidence, ...]] = {}
        for room in offered(self, NOTES):
            for place, said in room.items():
                notes[place] = (*notes.get(place, ()), *said)
        return Plugged(tuple(shown), tuple(candidates), notes)
