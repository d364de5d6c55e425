"""A tree of metrics: the north star, the AARRR stages, and what drives them, joined by formulas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from upswing.core.errors import DefinitionError, Problem, Problems, UpswingError, did_you_mean
from upswing.core.i18n import Text, text
from upswing.spec.base import Definition, Label, Mistake, Spec
from upswing.spec.definitions import Definitions
from upswing.spec.formula import Formula, FormulaUnit, units_fit
from upswing.spec.metric import MetricDefinition

Stage = Literal["acquisition", "activation", "retention", "revenue", "referral"]
STAGES: Final[tuple[Stage, ...]] = ("acquisition", "activation", "retention", "revenue", "referral")


class TreeNode(Spec):
    """One node: a metric of the same name, a formula over other nodes, or both (then the two are compared)."""

    formula: str | None = Field(default=None, alias="is", description="Formula over other nodes, e.g. users × rate.")
    stage: Stage | None = Field(default=None, description="AARRR stage.")
    label: str | Label | None = Field(default=None, description="Shown name; the metric's otherwise.")
    drivers: list[str] = Field(
        default_factory=list, description="Metrics that move this node without a formula; watched, not added up."
    )

    @model_validator(mode="after")
    def _formula_parses(self) -> TreeNode:
        if self.formula is not None:
            try:
                Formula.parse(self.formula)
            except UpswingError as error:
                raise Mistake.of(error) from None
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """Names in the formula."""
        return Formula.parse(self.formula).names if self.formula is not None else ()


class TreeDefinition(Definition):
    """A tree of metrics.

    A node is the metric of its name. With a formula it is also what other nodes make it: where both exist, the measured
    value leads, and the difference is shown as what the formula does not explain.
    """

    kind: Literal["tree"] = Field(default="tree", description="Always 'tree'.")
    north_star: str = Field(description="The node at the top.")
    period: Literal["day", "week", "month"] = Field(default="week", description="Period that is compared.")
    nodes: dict[str, TreeNode] = Field(min_length=1, description="Nodes by name.")
    horizon: int = Field(
        default=4, ge=1, le=52, description="Periods over which one more user's worth for the north star is counted."
    )

    @property
    def order(self) -> tuple[str, ...]:
        """Nodes from the top down, each under its first parent; nodes that nothing leads to come last."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in found:
                return
            found[name] = None
            for part in self.nodes[name].parts if name in self.nodes else ():
                visit(part)

        visit(self.north_star)
        for name in self.nodes:
            visit(name)
        return tuple(found)

    def depth(self, name: str) -> int:
        """Steps from the north star; 1 for nodes that no formula of the tree leads to."""
        ways = [self.depth(parent) + 1 for parent, node in self.nodes.items() if name in node.parts]
        return 0 if name == self.north_star else max(ways, default=1)


@dataclass(frozen=True, slots=True)
class _Place:
    path: tuple[str | int, ...]
    key: bool = False


def metrics_of(definitions: Definitions) -> dict[str, MetricDefinition]:
    """All metrics of a workspace by name."""
    found = definitions.by_kind.get("metric", {})
    return {name: m for name, m in found.items() if isinstance(m, MetricDefinition)}


def check_trees(definitions: Definitions, problems: Problems) -> None:
    """Record what is wrong with trees and derived metrics: unknown metrics, circles, units that do not fit."""
    metrics = metrics_of(definitions)
    for problem in _metric_problems(definitions, metrics):
        problems.add(problem)
    for tree in definitions.by_kind.get("tree", {}).values():
        assert isinstance(tree, TreeDefinition)
        for place, code, message, hint in _tree_problems(tree, metrics):
            document = definitions.documents["tree", tree.name]
            line, column = document.place(place.path, key=place.key)
            problems.add(Problem(code, message, document.file, line, column, hint))


def require_sound(definitions: Definitions) -> None:
    """Raise with everything that is wrong with trees and derived metrics, each with file, line and column.

    Raises:
        DefinitionError: UP201 an unknown metric, UP205 a circle, UP420 units that do not fit.
    """
    found = Problems()
    check_trees(definitions, found)
    found.raise_if_any()


def _metric_problems(definitions: Definitions, metrics: Mapping[str, MetricDefinition]) -> Iterator[Problem]:
    graph = {n: m.formula.names if m.type == "derived" else () for n, m in metrics.items()}
    for name, metric in metrics.items():
        if metric.type != "derived":
            continue
        document = definitions.documents["metric", name]
        line, column = document.place(("expression",))
        for used in graph[name]:
            if used not in metrics:
                yield Problem("UP201", _unknown(used), document.file, line, column, did_you_mean(used, metrics))
        circle = _circle(name, graph)
        if circle:
            shown = text("metrics derive from each other: {circle}", circle=" → ".join(circle))
            yield Problem("UP205", shown, document.file, line, column)
        elif all(used in metrics for used in graph[name]):
            message = _unit_trouble(metric.formula, {n: metrics[n].shown_unit for n in graph[name]}, metric.unit)
            if message is not None:
                yield Problem("UP420", message, document.file, line, column)


def _tree_problems(
    tree: TreeDefinition, metrics: Mapping[str, MetricDefinition]
) -> Iterator[tuple[_Place, str, Text | str, Any]]:
    graph = {name: node.parts for name, node in tree.nodes.items()}
    known = {*tree.nodes, *metrics}
    if tree.north_star not in known:
        yield _Place(("north_star",)), "UP201", _unknown(tree.north_star), did_you_mean(tree.north_star, known)
    for name, node in tree.nodes.items():
        if name not in metrics and node.formula is None:
            yield _Place(("nodes", name), key=True), "UP201", _unknown(name), did_you_mean(name, metrics)
        for part in node.parts:
            if part not in known:
                yield _Place(("nodes", name, "is")), "UP201", _unknown(part), did_you_mean(part, known)
        for index, driver in enumerate(node.drivers):
            if driver not in metrics:
                yield (
                    _Place(("nodes", name, "drivers", index)),
                    "UP201",
                    _unknown(driver),
                    did_you_mean(driver, metrics),
                )
    circles = {name: _circle(name, graph) for name in graph}
    for name, circle in circles.items():
        if circle:
            shown = text("nodes lead in a circle: {circle}", circle=" → ".join(circle))
            yield _Place(("nodes", name, "is")), "UP205", shown, None
    if not any(circles.values()):
        yield from _unit_problems(tree, metrics)


def _unit_problems(
    tree: TreeDefinition, metrics: Mapping[str, MetricDefinition]
) -> Iterator[tuple[_Place, str, Text | str, Any]]:
    units: dict[str, FormulaUnit] = {name: metric.shown_unit for name, metric in metrics.items()}
    for name in reversed(tree.order):
        node = tree.nodes.get(name)
        if node is None or node.formula is None or any(part not in units for part in node.parts):
            continue
        message = _unit_trouble(Formula.parse(node.formula), units, units.get(name))
        if message is not None:
            yield _Place(("nodes", name, "is")), "UP420", message, None
            units.setdefault(name, "number")
        else:
            units.setdefault(name, Formula.parse(node.formula).unit(units))


def _unit_trouble(
    formula: Formula, units: Mapping[str, FormulaUnit], declared: FormulaUnit | None
) -> Text | str | None:
    try:
        made = formula.unit(units)
    except DefinitionError as error:
        return error.message
    if declared is not None and not units_fit(made, declared):
        return text("{formula} gives the unit {made}, but {declared} is declared", formula=formula.shown, made=made,
                    declared=declared)  # fmt: skip
    return None


def _circle(name: str, graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The way from a name back to itself, empty where there is none; a circle is told at its first name only."""

    def walk(here: str, way: tuple[str, ...]) -> tuple[str, ...]:
        for part in graph.get(here, ()):
            if part == name:
                return (*way, here, name)
            if part not in way and part != here:
                found = walk(part, (*way, here))
                if found:
                    return found
        return ()

    way = walk(name, ())
    return way if way and name == min(way) else ()


def _unknown(name: str) -> Text:
    return text("no {kind} named '{name}'", kind="metric", name=name)
