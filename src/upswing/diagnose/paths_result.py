"""What a paths question answers: nodes and edges by position, or transitions wherever they happen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from upswing.core.errors import UsageError
from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show, with_groups
from upswing.diagnose.scan import Keys
from upswing.spec.paths import PathsDefinition

END: Final = "(end)"
"""The path goes no further."""
START: Final = "(start)"
"""The path does not go further back."""
OTHER: Final = "(other)"
"""Names beyond the top of their position."""


@dataclass(frozen=True, slots=True)
class PathNode:
    """A step at a position. Forward positions are 1, 2, …; backward ones 0 (the anchor), -1, …."""

    position: int
    name: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class PathEdge:
    """From a step to the next one in time. `mean_seconds` is None for an edge to or from a marker."""

    position: int
    source: str
    target: str
    count: int
    share_of_source: float
    mean_seconds: float | None


@dataclass(frozen=True, slots=True)
class PathsGroup:
    """The paths of one group of users, in the same steps as those of all."""

    value: str
    paths: int
    nodes: tuple[PathNode, ...]
    edges: tuple[PathEdge, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsResult(Result):
    """Paths: exact totals by position; names beyond the top are in "(other)", drop-off is "(end)".

    Attributes:
        definition: the question.
        units: sessions (or users) with at least one step.
        paths: of them, those with a path as asked for.
        nodes: by position, most frequent first.
        edges: by position of the source, most frequent first.
        groups: the same by group of the breakdown.
    """

    verb: ClassVar[str] = "paths"
    definition: PathsDefinition
    units: int
    paths: int
    nodes: tuple[PathNode, ...]
    edges: tuple[PathEdge, ...]
    by: str | None = None
    groups: tuple[PathsGroup, ...] = ()
    members: Callable[[int, str, str | None, str | None], Keys] | None = field(default=None, repr=False, compare=False)

    def users_at(self, position: int, step: str, *, then: str | None = None, group: str | None = None) -> Keys:
        """Sorted keys of the users with a path through a step at a position, or from it to the next step in time.

        A user with several paths counts once here, so there can be fewer of them than paths.

        Args:
            position: as in `PathNode.position`.
            step: name there, "(other)" and "(end)" among them.
            then: name at the next position in time.
            group: only users of this group of the breakdown.

        Raises:
            UsageError: UP644 no such position, step or group in this result; UP649 it is no longer tied to its log.
        """
        if self.members is None:
            raise UsageError(text("this result no longer has its log"), code="UP649")
        return self.members(position, step, then, group)

    def title(self) -> Text:
        """The question."""
        after, before = self.definition.after, self.definition.before
        if after is not None and before is not None:
            return text("How do users get from {a} to {b}?", a=after.words, b=before.words)
        if after is not None:
            return text("What do users do after {event}?", event=after.words)
        if before is not None:
            return text("What do users do before {event}?", event=before.words)
        return text("What do users do, step by step?")

    def verdict(self) -> Text | str:
        """The commonest step next to where paths are cut, and how many stop there."""
        if not self.paths:
            return text("There is no such path.")
        beside = 2 if self.definition.before is None or self.definition.after is not None else -1
        here = [n for n in self.nodes if n.position == beside]
        named = [n for n in here if n.name not in (END, START, OTHER)]
        stopped = next((n.share for n in here if n.name in (END, START)), 0.0)
        if not named:
            return text("{n} paths; none goes further.", n=f"{self.paths:,}")
        words = {"n": f"{self.paths:,}", "name": named[0].name, "share": show(named[0].share, "ratio")}
        if beside == -1:
            return text("{n} paths; {name} comes right before in {share} of them.", **words)
        return text(
            "{n} paths; the commonest next step is {name} ({share}); {stopped} end there.",
            stopped=show(stopped, "ratio"), **words,
        )  # fmt: skip

    def data(self) -> dict[str, object]:
        """Totals, nodes and edges; and the same by group."""
        body: dict[str, object] = {"units": self.units, "paths": self.paths, **_data(self)}
        if self.by is not None:
            body["by"] = self.by
            body["groups"] = [{"value": g.value, "paths": g.paths, **_data(g)} for g in self.groups]
        return body

    def tables(self) -> list[Table]:
        """Edges, nodes, and nodes by group."""
        edges = (
            Column("position", text("Position"), "count", text("of the step that the edge leaves")),
            Column("source", text("From")),
            Column("target", text("To")),
            Column("count", text("Paths"), "count"),
            Column("share_of_source", text("Share"), "ratio", text("of the paths at the first step")),
            Column("mean_seconds", text("Mean time"), "seconds"),
        )
        nodes = (
            Column("position", text("Position"), "count"),
            Column("name", text("Step")),
            Column("count", text("Paths"), "count"),
            Column("share", text("Share of all paths"), "ratio"),
        )
        steps: list[tuple[Cell, ...]] = [(n.position, n.name, n.count, n.share) for n in self.nodes]
        found = [
            Table("edges", text("From step to step"), edges, _edge_rows(self.edges)),
            Table("nodes", text("Steps"), nodes, steps),
        ]
        if self.by is not None:
            head = Column("group", self.by, doc=text("value at the user's first such event"))
            split: list[tuple[Cell, ...]] = [
                (g.value, n.position, n.name, n.count, n.share) for g in self.groups for n in g.nodes
            ]
            found.append(Table("groups", text("Steps by group"), (head, *nodes), split))
        return found

    def export(self) -> Table:
        """Edges, for all and for each group."""
        main = self.tables()[0]
        if self.by is None:
            return main
        return with_groups(main, self.by, [(g.value, _edge_rows(g.edges)) for g in self.groups])

    def charts(self) -> list[Chart]:
        """The flow."""
        return [Chart("flow", "edges", text("Paths"), x="source", y=("count",), series="target")]


def _edge_rows(edges: Sequence[PathEdge]) -> list[tuple[Cell, ...]]:
    return [(e.position, e.source, e.target, e.count, e.share_of_source, e.mean_seconds) for e in edges]


def _data(part: PathsResult | PathsGroup) -> dict[str, object]:
    return {
        "nodes": [{"position": n.position, "name": n.name, "count": n.count, "share": n.share} for n in part.nodes],
        "edges": [
            {
                "position": e.position, "source": e.source, "target": e.target, "count": e.count,
                "share_of_source": e.share_of_source, "mean_seconds": e.mean_seconds,
            }
            for e in part.edges
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transition:
    """How often one step comes directly after another."""

    source: str
    target: str
    count: int
    mean_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionsResult(Result):
    """Directly-follows counts, with first and last steps.

    Attributes:
        definition: which events are steps, and the session rule; its anchors, depth and top do not matter here.
        units: sessions (or users) with at least one step.
        transitions: most frequent first.
        starts: units by first step.
        ends: units by last step.
    """

    verb: ClassVar[str] = "transitions"
    definition: PathsDefinition
    units: int
    transitions: tuple[Transition, ...]
    starts: tuple[tuple[str, int], ...]
    ends: tuple[tuple[str, int], ...]

    def title(self) -> Text:
        """The question."""
        return text("Which step follows which?")

    def verdict(self) -> Text | str:
        """The commonest transition."""
        if not self.transitions:
            return text("No step follows another.")
        top = self.transitions[0]
        return text("{a} → {b} is the commonest: {n} times.", a=top.source, b=top.target, n=f"{top.count:,}")

    def data(self) -> dict[str, object]:
        """Transitions, starts and ends."""
        return {
            "units": self.units,
            "transitions": [
                {"source": t.source, "target": t.target, "count": t.count, "mean_seconds": t.mean_seconds}
                for t in self.transitions
            ],
            "starts": dict(self.starts),
            "ends": dict(self.ends),
        }

    def tables(self) -> list[Table]:
        """Transitions, starts and ends."""
        columns = (
            Column("source", text("From")),
            Column("target", text("To")),
            Column("count", text("Times"), "count"),
            Column("mean_seconds", text("Mean time"), "seconds"),
        )
        rows: list[tuple[Cell, ...]] = [(t.source, t.target, t.count, t.mean_seconds) for t in self.transitions]
        edges = (Column("name", text("Step")), Column("count", text("Units"), "count"))
        return [
            Table("transitions", text("Transitions"), columns, rows),
            Table("starts", text("First steps"), edges, list(self.starts)),
            Table("ends", text("Last steps"), edges, list(self.ends)),
        ]

    def charts(self) -> list[Chart]:
        """The flow."""
        return [Chart("flow", "transitions", text("Transitions"), x="source", y=("count",), series="target")]
