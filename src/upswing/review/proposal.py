"""A tree for a log without definitions: the users of the path's last step as a product of shares, step by step."""

from __future__ import annotations

from collections.abc import Mapping

from upswing.diagnose.milestones import Milestones
from upswing.spec.metric import MetricDefinition
from upswing.spec.tree import TreeDefinition, TreeNode

_QUICK = 7
"""Days within which a step follows the one before, so that users of both in a week are mostly the same people."""


def proposed_tree(path: Milestones) -> tuple[TreeDefinition, Mapping[str, MetricDefinition]]:
    """Users of the last milestone = users of the first × users of each step per user of the step before, in one period.

    On a quick path these ratios are shown as shares. On a slow one the users of two steps in one week are different people,
    and their ratio may well exceed one: there it is shown as what it is, and no alert is raised of it.

    Examples:
        >>> path = Milestones(("visit", "pay"), (1.0, 0.1), (1.0,), 7, False)
        >>> tree, metrics = proposed_tree(path)
        >>> tree.nodes["last_step"].formula, sorted(metrics)
        ('first_step × share_2', ['first_step', 'last_step', 'share_2'])
    """
    events = path.events
    quick = path.window_days <= _QUICK
    metrics = {
        "first_step": _users("first_step", events[0]),
        "last_step": _users("last_step", events[-1]),
    }
    names = []
    for index in range(1, len(events)):
        name = f"share_{index + 1}"
        names.append(name)
        metrics[name] = MetricDefinition.model_validate(
            {
                "name": name,
                "label": f"{events[index]} / {events[index - 1]}",
                "alert": "both" if quick else "off",
                "type": "ratio",
                "numerator": {"event": events[index], "agg": "users"},
                "denominator": {"event": events[index - 1], "agg": "users"},
                "unit": "ratio" if quick else None,
                "better": "up",
            }
        )
    formula = " × ".join(["first_step", *names])
    nodes = {"last_step": TreeNode.model_validate({"is": formula}), "first_step": TreeNode(stage="acquisition")}
    nodes.update({name: TreeNode(stage="activation") for name in names})
    return TreeDefinition(name="proposed", north_star="last_step", nodes=nodes), metrics


def _users(name: str, event: str) -> MetricDefinition:
    return MetricDefinition.model_validate(
        {"name": name, "label": event, "type": "simple", "numerator": {"event": event, "agg": "users"}, "better": "up"}
    )
