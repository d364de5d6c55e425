"""A tree for a log without definitions: the users of the path's last step as a product of shares, step by step."""

from __future__ import annotations

from collections.abc import Mapping

from upswing.diagnose.milestones import Milestones
from upswing.spec.metric import MetricDefinition
from upswing.spec.tree import TreeDefinition, TreeNode


def proposed_tree(path: Milestones) -> tuple[TreeDefinition, Mapping[str, MetricDefinition]]:
    """Users of the last milestone = users of the first × the share of each step, within a period; and their metrics.

    Examples:
        >>> path = Milestones(("visit", "pay"), (1.0, 0.1), (1.0,), 7, False)
        >>> tree, metrics = proposed_tree(path)
        >>> tree.nodes["last_step"].formula, sorted(metrics)
        ('first_step × share_2', ['first_step', 'last_step', 'share_2'])
    """
    events = path.events
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
                "type": "ratio",
                "numerator": {"event": events[index], "agg": "users"},
                "denominator": {"event": events[index - 1], "agg": "users"},
                "unit": "ratio",
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
