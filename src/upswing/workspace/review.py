"""Verbs of the growth review."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from upswing.workspace.base import Moment, OpenWorkspace

if TYPE_CHECKING:
    from upswing.diagnose.review import GrowthReview


class ReviewVerbs(OpenWorkspace):
    """The main job: where growth is lost and what to work on next."""

    def report(
        self,
        *,
        milestones: Sequence[str] = (),
        dimensions: Sequence[str] = (),
        within: str | None = None,
        start: Moment = None,
        stop: Moment = None,
        progress: Callable[[object], None] | None = None,
    ) -> GrowthReview:
        """Where is growth lost? Milestones, funnel, retention, lifecycle, slow steps and ranked weak points.

        Args:
            milestones: events of the main path, in order; those of ``upswing.yml`` or proposed from the events if absent.
            dimensions: properties to compare groups by; chosen if absent.
            within: conversion window.
            start: first moment.
            stop: end, exclusive.
            progress: told the name of each part as it begins.
        """
        from upswing.diagnose.review import review

        return review(
            self.log,
            milestones=milestones or self.project.milestones,
            dimensions=dimensions,
            within=within,
            start=start,
            stop=stop,
            progress=progress,
        )
