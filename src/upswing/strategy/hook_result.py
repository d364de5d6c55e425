"""What the hook loop answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from upswing.core.i18n import Text, text
from upswing.core.results import Cell, Chart, Column, Result, Table, show
from upswing.diagnose.candidates import Candidate
from upswing.spec.hook import Part

PART_NAMES: Final[dict[Part, Text]] = {
    "trigger": text("trigger"),
    "action": text("action"),
    "reward": text("reward"),
    "investment": text("investment"),
}
_STATES: Final[dict[Part, Text]] = {
    "trigger": text("Nothing reminds the user in time"),
    "action": text("The user is called and does not act: no wish, or too hard"),
    "reward": text("The user acts and gets nothing for it"),
    "investment": text("The user is content and leaves nothing behind that would bring them back"),
}
_LEVERS: Final[dict[Part, Text]] = {
    "trigger": text("Load the next trigger with what the user has invested"),
    "action": text("Make the action easier, or the trigger come when it can be followed"),
    "reward": text("Bring the reward nearer to the action, and let it vary"),
    "investment": text("Ask for a small investment right after the reward"),
}
FEW: Final = 30
"""Rates of fewer attempts than this name no break point."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its Wilson interval at 95 %; NaN of nobody."""

    estimate: float
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float]:
        """Plain data for JSON."""
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True, slots=True)
class Arc:
    """One arc of the loop.

    Attributes:
        source: part it begins with.
        target: part it leads to.
        entered: attempts at its beginning whose window is over.
        passed: of these, those that went on in time.
        pending: attempts whose window is not over yet.
        rate: passed over entered.
        median: seconds, of those passed; None for groups.
        late: 90th percentile, seconds.
        by_loop: rate by loops closed before.
    """

    source: Part
    target: Part
    entered: int
    passed: int
    pending: int
    rate: Rate
    median: float | None
    late: float | None
    by_loop: tuple[Rate, ...]


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Users by loops closed.

    Attributes:
        closed: number of loops; the last step holds that many or more.
        users: users who closed at least so many.
        exactly: users who closed exactly so many.
        observed: users seen long enough after that loop (after their first trigger for none).
        again: share of them who closed another one in time.
    """

    closed: int
    users: int
    exactly: int
    observed: int
    again: Rate


@dataclass(frozen=True, slots=True)
class HookGroup:
    """A loop as one group walks it; `name` is None for everybody."""

    name: str | None
    users: int
    arcs: tuple[Arc, ...]
    loops: tuple[LoopStep, ...]

    @property
    def break_point(self) -> Arc | None:
        """The arc that most attempts fail to pass, by rate; None while there are too few attempts."""
        told = [a for a in self.arcs if a.entered >= FEW]
        return min(told, key=lambda a: a.rate.estimate, default=None)

    @property
    def weakest_loop(self) -> LoopStep | None:
        """The number of closed loops after which another one is least likely; None while there are too few users."""
        told = [s for s in self.loops if s.observed >= FEW]
        return min(told, key=lambda s: s.again.estimate, default=None)

    @property
    def closed_once(self) -> float | None:
        """Share of users who closed the loop at all."""
        return self.loops[1].users / self.users if self.users and len(self.loops) > 1 else None

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        broken, weakest = self.break_point, self.weakest_loop
        return {
            "name": self.name,
            "users": self.users,
            "break_point": None if broken is None else f"{broken.source}-{broken.target}",
            "weakest_loop": None if weakest is None else weakest.closed,
            "arcs": [
                {"from": a.source, "to": a.target, "entered": a.entered, "passed": a.passed, "pending": a.pending,
                 "rate": a.rate.to_dict(), "median_seconds": a.median, "p90_seconds": a.late,
                 "rate_by_loop": [r.estimate for r in a.by_loop]}
                for a in self.arcs
            ],
            "loops": [
                {"closed": s.closed, "users": s.users, "exactly": s.exactly, "observed": s.observed,
                 "again": s.again.to_dict()}
                for s in self.loops
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HookResult(Result):
    """A loop, for everybody and by group."""

    verb: ClassVar[str] = "hook"
    name: str
    label: str
    whole: HookGroup
    groups: tuple[HookGroup, ...]
    by: str | None

    def title(self) -> Text:
        """The question."""
        return text("Where does the loop break? ({name})", name=self.label)

    def verdict(self) -> Text:
        """Break point and share of users who close the loop."""
        broken = self.whole.break_point
        if broken is None:
            return text("Too few attempts to say where the loop breaks.")
        return text(
            "The loop breaks from {source} to {target}: {rate} go on. {closed} of {users} users close it at least once.",
            source=PART_NAMES[broken.source], target=PART_NAMES[broken.target], rate=show(broken.rate.estimate, "ratio"),
            closed=show(self.whole.closed_once, "ratio"), users=f"{self.whole.users:,}",
        )  # fmt: skip

    def candidates(self) -> tuple[Candidate, ...]:
        """The break point of each group, if it came up to the best group's rate of that arc; none without groups."""
        found = []
        for group in self.groups:
            broken = group.break_point
            if broken is None:
                continue
            place = group.arcs.index(broken)
            others = [g.arcs[place] for g in self.groups if g is not group and g.arcs[place].entered >= FEW]
            best = max(others, key=lambda a: a.rate.estimate, default=None)
            if best is None or best.rate.lower <= broken.rate.upper:
                continue
            after = 1.0
            for arc in group.arcs[place + 1 : -1]:
                after *= arc.rate.estimate
            gains = [
                broken.entered * after * gap
                for gap in (
                    best.rate.estimate - broken.rate.estimate,
                    best.rate.lower - broken.rate.upper,
                    best.rate.upper - broken.rate.lower,
                )
            ]
            found.append(self._candidate(group, broken, best, gains))
        return tuple(found)

    def _candidate(self, group: HookGroup, broken: Arc, best: Arc, gains: list[float]) -> Candidate:
        return Candidate(
            source=self.verb,
            key=f"{self.name}_{group.name}_{broken.source}_{broken.target}",
            state=_STATES[broken.target],
            trace=text("{group}: {rate} of {n} go from {source} to {target}, elsewhere {best}", group=self._named(group),
                       rate=show(broken.rate.estimate, "ratio"), n=f"{broken.entered:,}",
                       source=PART_NAMES[broken.source], target=PART_NAMES[broken.target],
                       best=show(best.rate.estimate, "ratio")),
            lever=_LEVERS[broken.target],
            metric=text("closed loops"),
            users=group.users,
            gain=gains[0],
            lower=gains[1],
            upper=gains[2],
            basis=text("compared with the best group; groups differ in more than this arc"),
            definition={"group": group.name, "arc": f"{broken.source}-{broken.target}"},
        )  # fmt: skip

    def _named(self, group: HookGroup) -> str:
        return f"{self.by} = {group.name}"

    def data(self) -> dict[str, object]:
        """Everybody, then groups."""
        return {
            "name": self.name,
            "by": self.by,
            "whole": self.whole.to_dict(),
            "groups": [g.to_dict() for g in self.groups],
        }

    def tables(self) -> list[Table]:
        """Arcs, loops, and groups side by side."""
        arcs = [_arc_row(a) for a in self.whole.arcs]
        loops: list[tuple[Cell, ...]] = [
            (s.closed, s.users, s.users / self.whole.users if self.whole.users else None, s.observed,
             *((s.again.estimate, s.again.lower, s.again.upper) if s.observed >= FEW else (None, None, None)))
            for s in self.whole.loops
        ]  # fmt: skip
        tables = [
            Table("arcs", text("Arcs of the loop"), _ARCS, arcs),
            Table("loops", text("Loops closed"), _LOOPS, loops, text("the last row holds that many loops or more")),
        ]
        if self.groups:
            rows: list[tuple[Cell, ...]] = [
                (
                    self._named(g),
                    g.users,
                    _arc_name(a),
                    a.entered,
                    a.rate.estimate,
                    a.rate.lower,
                    a.rate.upper,
                    g.break_point is a,
                )
                for g in self.groups
                for a in g.arcs
            ]
            tables.append(Table("groups", text("Arcs by group"), _GROUPS, rows))
        return tables

    def charts(self) -> list[Chart]:
        """Rates around the loop, and the chance of another loop after each."""
        return [
            Chart("bar", "arcs", text("Share that goes on, arc by arc"), x="arc", y=("rate",)),
            Chart("line", "loops", text("Another loop after so many"), x="closed", y=("again", "lower", "upper")),
        ]


_RATE_COLUMNS = (
    Column("rate", text("Goes on"), "ratio", text("of the attempts whose window is over")),
    Column("lower", text("Lower limit"), "ratio"),
    Column("upper", text("Upper limit"), "ratio"),
)
_ARCS = (
    Column("arc", text("Arc")),
    Column("entered", text("Attempts"), "count"),
    Column("passed", text("Went on"), "count"),
    *_RATE_COLUMNS,
    Column("median", text("Median time"), "seconds"),
    Column("p90", text("90 % within"), "seconds"),
    Column("pending", text("Not over yet"), "count"),
)
_LOOPS = (
    Column("closed", text("Loops closed"), "count"),
    Column("users", text("Users with at least that many"), "count"),
    Column("share", text("Share of users"), "ratio"),
    Column("observed", text("Seen long enough after"), "count"),
    Column("again", text("Close another in time"), "ratio", text("of {n} users or more", n=FEW)),
    Column("lower", text("Lower limit"), "ratio"),
    Column("upper", text("Upper limit"), "ratio"),
)
_GROUPS = (
    Column("group", text("Group")),
    Column("users", text("Users"), "count"),
    Column("arc", text("Arc")),
    Column("entered", text("Attempts"), "count"),
    *_RATE_COLUMNS,
    Column("breaks", text("Breaks here")),
)


def _arc_name(arc: Arc) -> Text:
    return text("{source} → {target}", source=PART_NAMES[arc.source], target=PART_NAMES[arc.target])


def _arc_row(arc: Arc) -> tuple[Cell, ...]:
    return (
        _arc_name(arc), arc.entered, arc.passed, arc.rate.estimate, arc.rate.lower, arc.rate.upper, arc.median, arc.late,
        arc.pending,
    )  # fmt: skip
