"""Verbs of the metric system: each a thin call into `upswing.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from upswing.workspace.base import OpenWorkspace, Options

if TYPE_CHECKING:
    from upswing.core.results import Result


class MetricVerbs(OpenWorkspace):
    """The metric system: each number with one meaning."""

    def metrics(self, names: Sequence[str] = (), **question: Any) -> Result:
        """Metrics of the workspace over time."""
        from upswing.metrics.series import metric_series
        from upswing.spec.metric import MetricDefinition

        options = Options(question)
        segment, stop = options.take("segment"), options.get("stop")
        known = self.definitions.by_kind.get("metric", {})
        chosen = [self.definitions.get("metric", n, MetricDefinition) for n in (names or known)]
        return metric_series(self.log, chosen, users=self._users(segment, stop), **options.rest())
