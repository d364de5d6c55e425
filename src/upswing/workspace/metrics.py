"""Verbs of the metric system: each a thin call into `upswing.metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from upswing.core.results import Caveat, Result
from upswing.workspace.base import Moment, OpenWorkspace, Options

if TYPE_CHECKING:
    from upswing.metrics.alerts import AlertsResult
    from upswing.spec.metric import MetricDefinition
    from upswing.spec.tree import TreeDefinition


R = TypeVar("R", bound=Result)


class MetricVerbs(OpenWorkspace):
    """The metric system: each number with one meaning."""

    def metrics(self, names: Sequence[str] = (), **question: Any) -> Result:
        """Metrics of the workspace over time.

        Args:
            names: only these metrics; all if absent.
            question: period, start, stop, by (a property, or ``segment:NAME`` against everybody else), limit, segment, compare,
                check_targets; see ``upswing metrics --help``.
        """
        from functools import partial

        from upswing.metrics.segments import in_segments
        from upswing.metrics.series import metric_series
        from upswing.spec.tree import require_sound

        options = Options(question)
        segment, stop = options.take("segment"), options.get("stop")
        require_sound(self.definitions)
        chosen, left_out = self._chosen(names)
        by, compared = self._comparison(options.take("by"), stop)
        users = self._users(segment, stop)
        ask = partial(metric_series, self.log, chosen, known=self._metrics, **options.rest())
        found = ask(users=users, by=by) if compared is None else in_segments(ask, self.log, compared, users)
        return _with(found, left_out)

    def explain_change(
        self,
        name: str | None = None,
        *,
        by: Sequence[str] = (),
        start: Moment = None,
        stop: Moment = None,
        against: str | None = None,
        periods: int = 1,
    ) -> Result:
        """Why a metric or a whole tree moved: shares of the parts and of the segments, which add up exactly.

        Args:
            name: a metric or a tree; the workspace's only tree if absent.
            by: properties to look for segments in; chosen if absent.
            start: first moment of the later window; the last complete period if absent.
            stop: its end, exclusive.
            against: the earlier window: ``previous`` (as long, just before), ``year`` (52 weeks before), or FROM..TO.
            periods: without `start`, how many of the last complete periods make the later window.
        """
        from upswing.metrics.explain import explain_metric
        from upswing.metrics.explain_tree import explain_tree
        from upswing.metrics.windows import resolve_windows
        from upswing.spec.tree import require_sound

        require_sound(self.definitions)
        tree = self._tree(name)
        windows = resolve_windows(
            self.log, start=start, stop=stop, against=against or "previous", period=tree.period if tree else "week",
            periods=periods,
        )  # fmt: skip
        if tree is not None:
            return explain_tree(self.log, tree, self._metrics, windows, dimensions=by)
        assert name is not None
        return explain_metric(self.log, self._metric(name), windows, known=self._metrics, dimensions=by)

    def alerts(
        self,
        names: Sequence[str] = (),
        *,
        days: int = 7,
        stop: Moment = None,
        fail: bool = False,
    ) -> AlertsResult:
        """What is out of the ordinary: unusual days and weeks, missed targets, events that stopped being sent.

        Args:
            names: only these metrics; all if absent.
            days: how many of the last complete days are judged.
            stop: look as of this moment.
            fail: any alert is the answer "no".
        """
        from upswing.metrics.alerts import find_alerts
        from upswing.spec.tree import require_sound

        require_sound(self.definitions)
        chosen, left_out = self._chosen(names)
        return _with(find_alerts(self.log, chosen, known=self._metrics, days=days, stop=stop, fail=fail), left_out)

    @property
    def _metrics(self) -> dict[str, MetricDefinition]:
        """All metrics by name."""
        from upswing.spec.tree import metrics_of

        return metrics_of(self.definitions)

    def _chosen(self, names: Sequence[str]) -> tuple[list[MetricDefinition], list[Caveat]]:
        """The named metrics; without names all that the log has events for, and why others are left out."""
        from upswing.core.i18n import text
        from upswing.spec.metric import in_order
        from upswing.spec.references import events_of

        if names:
            return [self._metric(name) for name in names], []
        known, left_out = self._metrics, []
        chosen = []
        for metric in known.values():
            needed = [e for m in in_order([metric], known) for e in events_of(m.model_dump(exclude_none=True))]
            missing = next((e for e in needed if e not in self.log.schema.events), None)
            if missing is None:
                chosen.append(metric)
            else:
                why = text("“{metric}” is left out: no event '{name}' in the log", metric=metric.shown, name=missing)
                left_out.append(Caveat("no_event", why))
        return chosen or list(known.values()), left_out if chosen else []

    def _metric(self, name: str) -> MetricDefinition:
        from upswing.spec.metric import MetricDefinition

        return self.definitions.get("metric", name, MetricDefinition)

    def _tree(self, name: str | None) -> TreeDefinition | None:
        """The named tree, the only one where no name is given; None for the name of a metric."""
        from upswing.core.errors import UsageError, did_you_mean
        from upswing.core.i18n import text
        from upswing.spec.tree import TreeDefinition

        trees = self.definitions.by_kind.get("tree", {})
        if name is None and len(trees) == 1:
            name = next(iter(trees))
        if name in trees:
            return self.definitions.get("tree", str(name), TreeDefinition)
        if name is not None and name in self._metrics:
            return None
        if name is None:
            raise UsageError(
                text("no {kind} asked for", kind="tree"),
                code="UP604",
                hint=text(
                    "give {needed}, or a name: {names}",
                    needed="METRIC",
                    names=", ".join([*trees, *self._metrics]) or "–",
                ),
            )
        known = [*trees, *self._metrics]
        raise UsageError(
            text("no {kind} named '{name}'", kind="tree", name=name), code="UP201", hint=did_you_mean(name, known)
        )


def _with(found: R, caveats: Sequence[Caveat]) -> R:
    """An answer with further caveats."""
    return replace(found, how=replace(found.how, caveats=(*found.how.caveats, *caveats))) if caveats else found
