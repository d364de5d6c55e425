"""The main path through a product, proposed from the events when nobody has declared it.

A milestone is an event that many users reach, in a settled order, with fewer users at each further one. The proposal is
shown as a proposal: a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import add

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.core.units import DAY
from upswing.diagnose.event_names import goal_rank, is_mishap, is_passive, is_undone
from upswing.diagnose.scan import Scan
from upswing.engines.base import SequenceRequest
from upswing.events.log import EventLog
from upswing.sequences.batch import Sequences
from upswing.sequences.precedence import Precedence, first_times, precedence
from upswing.spec.steps import EventMatch

_CANDIDATES = 24
_MARKS = 64
_LONGEST = 6
_SOON = 30
_ONCE = 1.5
"""An event that its doers do more often than this on average is a habit."""
_WINDOWS = (1, 3, 7, 14, 30, 60, 90)
_WIDE = 0.1
_SETTLED = 0.75


@dataclass(frozen=True, slots=True)
class Milestones:
    """A path and what speaks for it.

    Args:
        events: in order.
        reach: share of all users who ever did each.
        precedence: for each but the first: among users who did both it and the one before, the share whose first time
            of the one before came first.
        window_days: window that covers nine in ten of those who go all the way, rounded up to a usual one.
        declared: True when the workspace declares them.
    """

    events: tuple[str, ...]
    reach: tuple[float, ...]
    precedence: tuple[float, ...]
    window_days: int
    declared: bool


def propose_milestones(log: EventLog, *, start: int, stop: int, declared: tuple[str, ...] = ()) -> Milestones:
    """Find (or describe the declared) milestones over users' first times of each event in [start, stop).

    Candidates are the events with the widest reach, without mishaps, steps back and what is done to users. Where names tell
    of a goal (money, else a contract, else work done: `event_names.goal_rank`) that comes late in users' histories, the path
    ends there and goes by way of what most who got there had done before. Otherwise any end will do, a habit before others.
    Chains are scored by how settled their order is and by how evenly they cut the way from most to few users; the best chain
    of up to six events wins. Everything is counted, nothing sampled.

    Raises:
        DataError: UP315 fewer than two events to make a path from.
    """
    names, first = (declared, _first_times(log, declared, start, stop)) if declared else _candidates(log, start, stop)
    if len(names) < 2:
        raise DataError(
            text("a path needs at least two different events"),
            code="UP315",
            hint=text("name them: --milestone EVENT --milestone EVENT"),
        )
    order = list(range(len(names))) if declared else _proposed(log, names, first)
    chain = first[:, order]
    n_users = max(1, int(np.any(np.isfinite(first), axis=1).sum()))
    reach = tuple(float(np.isfinite(chain[:, i]).sum() / n_users) for i in range(len(order)))
    in_order = precedence(chain, _SOON * DAY).order
    settled = tuple(float(in_order[i - 1, i]) for i in range(1, len(order)))
    return Milestones(tuple(names[i] for i in order), reach, settled, _window(chain), bool(declared))


def activity(log: EventLog) -> EventMatch:
    """What counts as being active: any event that a user does, not what happens to a user (an error, a message received).

    Told by the events' names; ``*`` where no name says so.
    """
    done = [e for e in log.schema.events if not is_mishap(e) and not is_passive(e)]
    return EventMatch(event="*") if not done or len(done) == len(log.schema.events) else EventMatch(any_of=sorted(done))


def _candidates(log: EventLog, start: int, stop: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Events with the widest reach, and their first times."""
    known = sorted(log.schema.events, key=lambda e: (-log.schema.events[e], e))
    reach: dict[str, int] = {}
    for at in range(0, len(known), _MARKS):
        names = tuple(known[at : at + _MARKS])
        first = _first_times(log, names, start, stop)
        reach.update(zip(names, np.isfinite(first).sum(axis=0).tolist(), strict=True))
    widest = sorted((e for e in known if reach[e]), key=lambda e: (-reach[e], e))[:_CANDIDATES]
    wide = [e for e in widest if reach[e] >= 0.001 * reach[widest[0]]]
    wanted = [e for e in wide if not (is_mishap(e) or is_undone(e) or is_passive(e))]
    chosen = tuple(wanted if len(wanted) >= 2 else wide)
    if len(known) > _MARKS:
        return chosen, _first_times(log, chosen, start, stop)
    return chosen, _known_users(first[:, [names.index(e) for e in chosen]]) if known else np.empty((0, 0))


def _first_times(log: EventLog, names: tuple[str, ...], start: int, stop: int) -> NDArray[np.float64]:
    """First time of each event per user in [start, stop), shape (users, events); inf where never."""

    def kernel(batch: Sequences) -> list[NDArray[np.float64]]:
        return [first_times(batch, len(names))]

    marks = tuple(log.mark(EventMatch(event=e)) for e in names)
    parts = Scan(log).run(kernel, SequenceRequest(marks=marks, start=start, stop=stop), add)
    return _known_users(np.concatenate(parts)) if parts else np.empty((0, len(names)))


def _known_users(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without users who did none of it."""
    return first[np.isfinite(first).any(axis=1)]


def _repeated(log: EventLog, names: tuple[str, ...], reach: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much of a habit each event is: 0 for a milestone, up to 1 for what users do most often of all.

    All are 0 where the product has hardly anything that is done once.
    """
    doers = np.maximum(1, reach)
    counts = np.array([log.schema.events[n] for n in names], dtype=float)
    often = counts / doers > _ONCE
    settled = ~often & (doers >= 0.1 * doers.max())
    if settled.sum() < 3:
        return np.zeros(len(names))
    return np.where(often, counts / counts[often].max() if often.any() else 0.0, 0.0)


def _proposed(log: EventLog, names: tuple[str, ...], first: NDArray[np.float64]) -> list[int]:
    counted, opening = precedence(first, _SOON * DAY), _opening_share(first)
    goal = _goal(names, counted, opening)
    if goal is not None:
        way = _leading_to(goal, counted)
        path = _best_chain(counted.pick(way), opening[way], np.zeros(len(way)), len(way) - 1)
        if path is not None:
            return [way[i] for i in path]
    return _best_chain(counted, opening, _repeated(log, names, counted.reach)) or [0, 1]


def _goal(names: tuple[str, ...], counted: Precedence, opening: NDArray[np.float64]) -> int | None:
    """The event that sounds most like what the product is for, if users get there late; of several the latest."""
    reach, order = counted.reach, counted.order
    wide = np.flatnonzero(reach >= _WIDE * reach.max())
    late: dict[int, int] = {}
    for g, name in enumerate(names):
        rank = goal_rank(name)
        # too few users to say anything of, or where histories begin
        if rank is None or reach[g] < max(5, min(30, 0.02 * reach.max())) or opening[g] > 0.5:
            continue
        others = wide[wide != g]
        if not len(others) or order[others, g].mean() >= 0.5:
            late[g] = rank
    ends = [g for g in late if not any(_passes_on(counted, g, b) for b in late)]
    best = [g for g in ends if late[g] == min(late[e] for e in ends)]
    # later than its like; of those at the same moment the one that more users reach
    return max(best, key=lambda g: (np.mean(order[best, g] >= 0.5), reach[g], -g), default=None)


def _passes_on(counted: Precedence, goal: int, other: int) -> bool:
    """Whether a goal is only a side track: nearly all who got there go on to another one that far more users reach."""
    wider = counted.reach[other] >= 5 * counted.reach[goal]
    return bool(wider and counted.earlier[goal, other] >= 0.8 * counted.reach[goal])


def _leading_to(goal: int, counted: Precedence) -> list[int]:
    """Events that two in three of those who got to the goal had done before it, and the goal as the last."""
    before = counted.earlier[:, goal] >= 2 / 3 * counted.reach[goal]
    return [*(int(i) for i in np.flatnonzero(before) if i != goal), goal]


def _best_chain(
    counted: Precedence, opening: NDArray[np.float64], repeated: NDArray[np.float64], goal: int | None = None
) -> list[int] | None:
    """The best-scoring chain of events: longest path over pairs in which order and loss are plain; None where there is none.

    The score of a link a → b is (how settled the order) × (entropy of passing): a link that everybody or nobody passes says
    nothing, one that loses a fair share says most. A link needs at least three in four users in this order, and between 2 %
    and 98 % of a's users to get to b within `_SOON` days. A repeated event can only be the last, and counts the more the
    more it is done: the habit a product lives by. A goal may be passed to by fewer or by nearly all.
    """
    reach, order = counted.reach.astype(float), counted.order
    n = len(reach)
    score = np.full((n, n), -np.inf)
    for a in range(n):
        for b in range(n):
            if a == b or reach[a] == 0 or reach[b] > reach[a] or repeated[a] > 0:
                continue
            passed = counted.soon[a, b] / reach[a]
            if order[a, b] < _SETTLED or (b != goal and (passed < 0.02 or (passed > 0.98 and not repeated[b]))):
                continue
            # how much a link says: the entropy of passing for a milestone, how much of a habit it is for the end
            says = repeated[b] if repeated[b] else _entropy(passed)
            score[a, b] = (2 * order[a, b] - 1) * says * np.sqrt(reach[a] / reach.max())
    return _longest(score, reach, opening, repeated, goal)


def _entropy(share: float) -> float:
    """Of a yes or no, in bits."""
    return 0.0 if share in (0.0, 1.0) else float(-(share * np.log2(share) + (1 - share) * np.log2(1 - share)))


def _longest(
    score: NDArray[np.float64],
    reach: NDArray[np.float64],
    opening: NDArray[np.float64],
    repeated: NDArray[np.float64],
    goal: int | None,
) -> list[int] | None:
    """Best chain by dynamic programming over events in order of reach (links go from wide to narrow reach).

    It begins with an event that many users do: a path that hardly anybody enters tells of hardly anybody.
    """
    order = sorted(range(len(reach)), key=lambda i: (-reach[i], i))
    best: dict[tuple[int, int], tuple[float, list[int]]] = {
        (i, 1): (opening[i], [i]) for i in order if reach[i] >= _WIDE * reach.max()
    }
    for b in order:
        for length in range(2, _LONGEST + 1):
            options = [
                (best[a, length - 1][0] + score[a, b], [*best[a, length - 1][1], b])
                for a in order
                if np.isfinite(score[a, b]) and (a, length - 1) in best
            ]
            if options:
                best[b, length] = max(options, key=lambda option: option[0])
    linked = [option for option in best.values() if len(option[1]) > 1 and goal in (None, option[1][-1])]
    if not linked:
        return None
    # the way to a habit says more than a longer way to something done once
    to_habit = [option for option in linked if repeated[option[1][-1]] > 0]
    return max(to_habit or linked, key=lambda option: option[0])[1]


def _opening_share(first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of users whose history begins with each event: where a path naturally starts."""
    began = np.isfinite(first).any(axis=1)
    earliest = np.min(first[began], axis=1, keepdims=True)
    opens = first[began] == earliest
    return np.asarray((opens / opens.sum(axis=1, keepdims=True)).mean(axis=0))


def _window(chain: NDArray[np.float64]) -> int:
    whole = np.isfinite(chain).all(axis=1) & (chain[:, -1] >= chain[:, 0])
    if not whole.any():
        return 7
    days = float(np.quantile(chain[whole, -1] - chain[whole, 0], 0.9)) / DAY
    return next((w for w in _WINDOWS if days <= w), _WINDOWS[-1])
