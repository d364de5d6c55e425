"""Why a tree moved: the north star's change shared among all its leaves by one exact Shapley value, level by level the same."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from upswing.core.i18n import Text, text
from upswing.core.results import Caveat, Cell, Column, HowComputed, Result, Table, Unit
from upswing.events.log import EventLog
from upswing.metrics.explain import ChangeResult, explain_metric
from upswing.metrics.points import Frame, metric_points
from upswing.metrics.quantity import Quantity
from upswing.metrics.split import require_sum
from upswing.metrics.tracking import TrackingBreak
from upswing.metrics.windows import Windows
from upswing.spec.base import Label
from upswing.spec.formula import Formula
from upswing.spec.metric import MetricDefinition, in_order
from upswing.spec.tree import STAGES, TreeDefinition, TreeNode
from upswing.stats.decomposition import shapley_change

_EXACT: Final = 12
"""Leaves that may move before the exact Shapley value (2ⁿ evaluations) is replaced by sampled orders."""
_ORDERS: Final = 400
_SEED: Final = 20260101
_DETAILED: Final = 3
RESIDUAL: Final = "≠ "
"""Before a node's name: what is measured there and its formula does not make."""


@dataclass(frozen=True, slots=True)
class NodeChange:
    """One node of the tree.

    Args:
        name: node.
        label: as shown.
        stage: AARRR stage, empty where none is declared.
        depth: steps below the north star.
        parent: node it stands under; None for the north star and nodes outside the formulas.
        formula: as shown; empty for leaves.
        unit: of its values.
        before: value in the earlier window.
        after: in the later one.
        contribution: what its leaves carry of the north star's change; None where nothing can be shared.
        residual: part of the change of this node that its formula does not make.
        driver: it is watched only, and has no share.
    """

    name: str
    label: str
    stage: str
    depth: int
    parent: str | None
    formula: str
    unit: Unit
    before: float | None
    after: float | None
    contribution: float | None
    residual: float | None
    driver: bool = False

    @property
    def change(self) -> float | None:
        """after − before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """Change as a share of before."""
        return None if self.change is None or not self.before else self.change / abs(self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChangeResult(Result):
    """Why the north star moved.

    Args:
        tree: the definition.
        nodes: from the top down; leaves' contributions (and residuals) sum to the north star's change.
        method: ``shapley``, or ``shapley_sampled`` for more than twelve leaves that moved (it still adds up).
        details: the leaves that carry most, each by segment.
        unexplained: reasons why part of it may not be what it seems.
        spans: first and last day of the earlier and of the later window.
    """

    verb: ClassVar[str] = "explain-change"
    tree: TreeDefinition
    nodes: tuple[NodeChange, ...]
    method: str
    details: tuple[ChangeResult, ...]
    unexplained: tuple[Caveat, ...]
    spans: tuple[str, str]

    @property
    def north_star(self) -> NodeChange:
        """The node at the top."""
        return next(n for n in self.nodes if n.name == self.tree.north_star)

    def leaves(self) -> list[NodeChange]:
        """Nodes that carry a share of their own, largest first."""
        found = [n for n in self.nodes if not n.formula and not n.driver and n.contribution is not None]
        return sorted({n.name: n for n in found}.values(), key=lambda n: -abs(n.contribution or 0))

    def title(self) -> Text:
        """The question."""
        before, after = self.spans
        return text(
            "Why did “{metric}” move? {after} against {before}",
            metric=self.north_star.label,
            after=after,
            before=before,
        )

    def verdict(self) -> Text | str:
        """How the north star moved, and the leaf that carries most."""
        top = self.north_star
        if top.change is None:
            return text("“{metric}” has no value in one of the windows", metric=top.label)
        words = {"metric": top.label, "before": Quantity(top.before, top.unit), "after": Quantity(top.after, top.unit),
                 "change": Quantity(top.change, top.unit, change=True)}  # fmt: skip
        leaves = [leaf for leaf in self.leaves() if leaf.contribution]
        if not leaves:
            return text("“{metric}”: {before} → {after} ({change})", **words)
        first = leaves[0]
        return text(
            "“{metric}”: {before} → {after} ({change}); the largest part through “{leaf}” ({share})",
            leaf=first.label, share=Quantity(first.contribution, top.unit, change=True), **words,
        )  # fmt: skip

    def reasons(self) -> list[Text | str]:
        """One sentence for each leaf that carries most, with its own segments."""
        said: list[Text | str] = []
        for detail in self.details:
            said.append(detail.head())
            said += detail.reasons()
        return said

    def data(self) -> dict[str, object]:
        """Nodes with their shares, and the details of the largest leaves."""
        return {
            "tree": self.tree.name,
            "north_star": self.tree.north_star,
            "method": self.method,
            "windows": {"before": self.spans[0], "after": self.spans[1]},
            "nodes": [
                {
                    "name": n.name, "label": n.label, "stage": n.stage or None, "depth": n.depth, "parent": n.parent,
                    "formula": n.formula or None, "unit": n.unit, "before": n.before, "after": n.after, "change": n.change,
                    "contribution": n.contribution, "residual": n.residual, "driver": n.driver,
                }
                for n in self.nodes
            ],
            "details": [d.data() for d in self.details],
            "unexplained": [c.to_dict() for c in self.unexplained],
        }  # fmt: skip

    def tables(self) -> list[Table]:
        """The tree; then what carries the largest leaves."""
        columns = (
            Column("node", text("Node")),
            Column("stage", text("Stage")),
            Column("before", text("Before"), "number"),
            Column("after", text("After"), "number"),
            Column("change", text("Change"), "number"),
            Column("relative", text("Relative"), "change"),
            Column(
                "contribution",
                text("Share of the change"),
                "number",
                text("in the unit of the north star; leaves add up"),
            ),
            Column("formula", text("Made of")),
        )
        unit = self.north_star.unit
        rows: list[tuple[Cell, ...]] = []
        for n in self.nodes:
            # a driver without a share says so; a node's name is indented by its depth
            label = "\u2003" * n.depth + n.label
            share: Cell = text("watched") if n.driver else Quantity(n.contribution, unit, change=True)
            rows.append((label, _stage_word(n.stage), Quantity(n.before, n.unit), Quantity(n.after, n.unit),
                         Quantity(n.change, n.unit, change=True), n.relative, share, n.formula))  # fmt: skip
            if n.residual is not None and abs(n.residual) > 1e-9 * max(1.0, abs(n.after or 0)):
                missing = "\u2003" * (n.depth + 1) + str(text("not explained by its formula"))
                rows.append((missing, "", None, None, None, None, Quantity(n.residual, unit, change=True), ""))
        title = text("The tree: what moved, and what it carries of the north star's change")
        return [Table("tree", title, columns, rows, self._note()), *(d.tables()[0] for d in self.details)]

    def _note(self) -> Text:
        if self.method == "shapley":
            return text("Shares are the exact Shapley value over all leaves; they sum to the north star's change")
        return text(
            "Shares are the Shapley value over {n} random orders of the leaves; they sum to the north star's change",
            n=_ORDERS,
        )


def explain_tree(
    log: EventLog,
    tree: TreeDefinition,
    metrics: Mapping[str, MetricDefinition],
    windows: Windows,
    *,
    dimensions: Sequence[str] = (),
    breaks: Sequence[TrackingBreak] | None = None,
    successive: bool | None = None,
    detailed: int = _DETAILED,
) -> TreeChangeResult:
    """Share the north star's change among the leaves of a tree, exactly.

    The whole tree is one formula of its leaves; where a node is also measured, what its formula does not make is a leaf
    of its own. Every leaf's share is its Shapley value, a node's share the sum of its leaves'. The leaves that carry most
    are then split by segment.

    Args:
        log: the event log.
        tree: the definition, free of circles (`spec.tree.require_sound`).
        metrics: all metrics by name.
        windows: the two windows.
        dimensions: properties to look in; chosen if absent.
        breaks: tracking breaks, if they are known already.
        successive: as in `explain_metric`.
        detailed: how many leaves are split by segment.

    Raises:
        UsageError: UP201 a metric that is not defined.
    """
    begun = clock.perf_counter()
    names = tree.order
    drivers = tuple(dict.fromkeys(d for n in tree.nodes.values() for d in n.drivers))
    measured = [n for n in dict.fromkeys((*names, *drivers)) if n in metrics]
    sides, statements, immature = _values(log, [metrics[n] for n in measured], metrics, windows)
    made = _Made(tree, tuple(sides[0]))
    before, after = (made.inputs(side) for side in sides)
    contribution, method = _shares(made.evaluate, before, after)
    nodes = _nodes(tree, metrics, sides, made, contribution)
    chosen = [n for n in nodes if _can_detail(n, metrics)]
    chosen = sorted({n.name: n for n in chosen}.values(), key=lambda n: -abs(n.contribution or 0))[:detailed]
    details = []
    for node in chosen:
        found = explain_metric(
            log, metrics[node.name], windows, known=metrics, dimensions=dimensions, breaks=breaks, successive=successive
        )
        if isinstance(found, ChangeResult):
            details.append(found)
    caveats = _caveats(details, nodes, made, sides, immature)
    how = HowComputed(
        definition={"tree": tree.model_dump(mode="json", by_alias=True, exclude_defaults=True), "hash": tree.hash},
        window=log.window(windows.before[0], windows.after[1]),
        method=text(
            "The tree as one formula of its leaves, each window measured once; shares by Shapley (1953), as used for "
            "decomposition by Sun (1998): a leaf's effect averaged over all orders in which the leaves could have moved"
        ),
        sql=tuple(statements),
        events=log.schema.n_events,
        data_as_of=log.calendar.local(log.schema.horizon or 0),
        engine=log.engine.name,
        caveats=caveats,
        timings={"total": clock.perf_counter() - begun},
    )
    return TreeChangeResult(
        how=how, tree=tree, nodes=tuple(nodes), method=method, details=tuple(details), unexplained=caveats,
        spans=windows.spans(log.calendar),
    )  # fmt: skip


def tree_of_formula(metric: MetricDefinition) -> TreeDefinition:
    """A derived metric as a tree of one level."""
    nodes = {metric.name: TreeNode.model_validate({"is": metric.expression})}
    return TreeDefinition(name=metric.name, label=metric.label, north_star=metric.name, nodes=nodes)


class _Made:
    """The tree as a formula of inputs: leaves, and a residual for every node that is measured and made."""

    def __init__(self, tree: TreeDefinition, measured: Sequence[str]) -> None:
        self._tree = tree
        self._measured = set(measured)
        self._formulas = {n: Formula.parse(node.formula) for n, node in tree.nodes.items() if node.formula is not None}

    def reachable(self) -> list[str]:
        """Nodes below the north star, itself included."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in found:
                found[name] = None
                for part in self._formulas[name].names if name in self._formulas else ():
                    visit(part)

        visit(self._tree.north_star)
        return list(found)

    def inputs(self, values: Mapping[str, float | None]) -> dict[str, float | None]:
        """Values of the leaves, and what measured nodes have beyond their formulas."""
        found: dict[str, float | None] = {}
        for name in self.reachable():
            if name not in self._formulas:
                found[name] = values.get(name)
            elif name in self._measured:
                made = self._formulas[name].value({p: self.node(p, values) for p in self._formulas[name].names})
                whole = values.get(name)
                found[RESIDUAL + name] = None if made is None or whole is None else whole - made
        return found

    def node(self, name: str, values: Mapping[str, float | None]) -> float | None:
        """A node's value: as measured, or as made."""
        if name in self._measured or name not in self._formulas:
            return values.get(name)
        return self._formulas[name].value({p: self.node(p, values) for p in self._formulas[name].names})

    def evaluate(self, inputs: Mapping[str, float]) -> float:
        """The north star from leaves and residuals; NaN where something is divided by zero."""
        known: dict[str, float | None] = {}

        def value(name: str) -> float | None:
            if name not in known:
                if name in self._formulas:
                    made = self._formulas[name].value({p: value(p) for p in self._formulas[name].names})
                    known[name] = None if made is None else made + inputs.get(RESIDUAL + name, 0.0)
                else:
                    known[name] = inputs[name]
            return known[name]

        found = value(self._tree.north_star)
        return float("nan") if found is None else found

    def leaves_of(self, name: str) -> set[str]:
        """Inputs below a node, its own residual included."""
        if name not in self._formulas:
            return {name}
        below = {RESIDUAL + name} if name in self._measured else set()
        return below.union(*(self.leaves_of(p) for p in self._formulas[name].names))

    def zero_divisors(self, values: Mapping[str, float | None]) -> list[str]:
        """Nodes that something is divided by and that are zero."""
        parts = {d for f in self._formulas.values() for d in f.divisors()}
        return sorted(p for p in parts if self.node(p, values) == 0)


def _values(
    log: EventLog, wanted: Sequence[MetricDefinition], known: Mapping[str, MetricDefinition], windows: Windows
) -> tuple[list[dict[str, float | None]], list[str], list[str]]:
    """Every metric over each window as a whole, the statements, and metrics with starts that are not mature."""
    sides: list[dict[str, float | None]] = []
    statements: list[str] = []
    immature: list[str] = []
    for start, stop in (windows.before, windows.after):
        frame = Frame(log, np.array([start, stop], np.int64), "day")
        points, sql = metric_points(frame, in_order(wanted, known))
        sides.append({p.metric: p.value for p in points})
        immature += [
            p.metric for p in points if not p.complete and known[p.metric].is_share and p.metric not in immature
        ]
        statements += [s for s in sql if s not in statements]
    return sides, statements, immature


def _shares(
    formula: Callable[[Mapping[str, float]], float],
    before: Mapping[str, float | None],
    after: Mapping[str, float | None],
) -> tuple[dict[str, float] | None, str]:
    """Each input's share of the change; None where the formula has no value on the way."""
    if any(v is None for v in (*before.values(), *after.values())):
        return None, "shapley"
    old = {n: float(v) for n, v in before.items() if v is not None}
    new = {n: float(v) for n, v in after.items() if v is not None}
    moved = [n for n in old if old[n] != new[n]]
    if len(moved) <= _EXACT:
        found = shapley_change(formula, old, new)
        if found.status != "ok":
            return None, "shapley"
        require_sum(found.contribution, found.change)
        return found.as_dict(), "shapley"
    shares = _sampled(formula, old, new, moved)
    if shares is None:
        return None, "shapley_sampled"
    require_sum(np.array(list(shares.values())), formula(new) - formula(old))
    return shares, "shapley_sampled"


def _sampled(
    formula: Callable[[Mapping[str, float]], float],
    old: Mapping[str, float],
    new: Mapping[str, float],
    moved: Sequence[str],
) -> dict[str, float] | None:
    """Shapley by random orders and their reverses: every order adds up, so their mean does."""
    rng = np.random.default_rng(_SEED)
    shares = dict.fromkeys(old, 0.0)
    for _ in range(_ORDERS // 2):
        order = rng.permutation(len(moved))
        for way in (order, order[::-1]):
            point = dict(old)
            value = formula(point)
            for index in way:
                point[moved[index]] = new[moved[index]]
                step = formula(point)
                shares[moved[index]] += (step - value) / _ORDERS
                value = step
    return shares if all(np.isfinite(v) for v in shares.values()) else None


def _nodes(
    tree: TreeDefinition,
    metrics: Mapping[str, MetricDefinition],
    sides: Sequence[Mapping[str, float | None]],
    made: _Made,
    contribution: Mapping[str, float] | None,
) -> list[NodeChange]:
    reachable = made.reachable()
    units = _units(tree, metrics)
    found: list[NodeChange] = []

    def add(name: str, depth: int, parent: str | None, driver: bool) -> None:
        node = tree.nodes.get(name, TreeNode())
        share = residual = None
        if contribution is not None and name in reachable and not driver:
            share = sum(contribution[leaf] for leaf in made.leaves_of(name))
            residual = contribution.get(RESIDUAL + name)
        formula = "" if node.formula is None or driver else _labelled(Formula.parse(node.formula), tree, metrics)
        before, after = (made.node(name, side) for side in sides)
        label, unit = _label(name, tree, metrics), units.get(name, "number")
        found.append(
            NodeChange(
                name, label, node.stage or "", depth, parent, formula, unit, before, after, share, residual, driver
            )
        )
        if driver or any(n.name == name for n in found[:-1]):
            return
        for part in node.parts:
            add(part, depth + 1, name, False)
        for watched in node.drivers:
            add(watched, depth + 1, name, True)

    add(tree.north_star, 0, None, False)
    outside = [n for n in tree.nodes if n not in reachable]
    for name in sorted(outside, key=lambda n: STAGES.index(s) if (s := tree.nodes[n].stage) else len(STAGES)):
        if not any(name in tree.nodes[o].parts for o in outside):
            add(name, 1, None, True)
    return found


def _units(tree: TreeDefinition, metrics: Mapping[str, MetricDefinition]) -> dict[str, Unit]:
    units: dict[str, Unit] = {name: m.shown_unit for name, m in metrics.items()}
    for name in reversed(tree.order):
        node = tree.nodes.get(name)
        if name not in units and node is not None and node.formula is not None:
            known = {p: metrics[p].shown_unit if p in metrics else "number" for p in node.parts}
            units[name] = Formula.parse(node.formula).unit(known)
    return units


def _label(name: str, tree: TreeDefinition, metrics: Mapping[str, MetricDefinition]) -> str:
    node = tree.nodes.get(name)
    if node is not None and node.label is not None:
        label = node.label if isinstance(node.label, Label) else Label(en=node.label, zh=node.label)
        return TreeDefinition(name="shown", label=label, north_star="x", nodes={"x": TreeNode()}).shown
    return metrics[name].shown if name in metrics else name


def _labelled(formula: Formula, tree: TreeDefinition, metrics: Mapping[str, MetricDefinition]) -> str:
    """The formula with shown names."""
    words = formula.shown.split(" ")
    return " ".join(_label(w, tree, metrics) if w in formula.names else w for w in words)


def _can_detail(node: NodeChange, metrics: Mapping[str, MetricDefinition]) -> bool:
    metric = metrics.get(node.name)
    if metric is None or node.formula or node.change is None or node.driver or not node.contribution:
        return False
    extreme = metric.numerator is not None and metric.numerator.agg in ("min", "max")
    return metric.type not in ("derived", "quantile") and not extreme


def _caveats(
    details: Sequence[ChangeResult],
    nodes: Sequence[NodeChange],
    made: _Made,
    sides: Sequence[Mapping[str, float | None]],
    immature: Sequence[str],
) -> tuple[Caveat, ...]:
    found: dict[str, Caveat] = {}
    for side in sides:
        for name in made.zero_divisors(side):
            message = text(
                "“{node}” is zero in one of the windows, and something is divided by it: no shares", node=name
            )
            found[str(message)] = Caveat("divided_by_zero", message)
    missing = [n.label for n in nodes if n.change is None and not n.driver]
    if missing:
        message = text("no value in one of the windows: {names}", names=", ".join(dict.fromkeys(missing)))
        found[str(message)] = Caveat("no_value", message)
    if immature:
        labels = [n.label for n in nodes if n.name in immature]
        message = text(
            "starts whose window has not closed are left out: {names}", names=", ".join(dict.fromkeys(labels))
        )
        found[str(message)] = Caveat("immature", message)
    for detail in details:
        for caveat in detail.unexplained:
            if caveat.code != "immature":
                found.setdefault(str(caveat.message), caveat)
    return tuple(found.values())


def _stage_word(stage: str) -> Text | str:
    words = {
        "acquisition": text("Acquisition"), "activation": text("Activation"), "retention": text("Retention"),
        "revenue": text("Revenue"), "referral": text("Referral"),
    }  # fmt: skip
    return words.get(stage, "")
