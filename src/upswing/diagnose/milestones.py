"""The main path through a product, proposed from the events when nobody has declared it.

A milestone is an event that many users reach, in a settled order, with fewer users at each further one. The proposal is
shown as a proposal: a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.core.units import DAY
from upswing.diagnose.event_names import goal_rank, is_mishap, is_passive, is_undone
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.spec.steps import EventMatch
from upswing.sql.template import q

_CANDIDATES = 24
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
    names = declared or _candidates(log, start, stop)
    if len(names) < 2:
        raise DataError(
            text("a path needs at least two different events"),
            code="UP315",
            hint=text("name them: --milestone EVENT --milestone EVENT"),
        )
    first = _first_times(log, names, start, stop)
    order = list(range(len(names))) if declared else _proposed(log, names, first)
    chain = first[:, order]
    n_users = max(1, int(np.any(np.isfinite(first), axis=1).sum()))
    reach = tuple(float(np.isfinite(chain[:, i]).sum() / n_users) for i in range(len(order)))
    precedence = tuple(_precedes(chain[:, i - 1], chain[:, i]) for i in range(1, len(order)))
    return Milestones(tuple(names[i] for i in order), reach, precedence, _window(chain), bool(declared))


def activity(log: EventLog) -> EventMatch:
    """What counts as being active: any event that a user does, not what happens to a user (an error, a message received).

    Told by the events' names; ``*`` where no name says so.
    """
    done = [e for e in log.schema.events if not is_mishap(e) and not is_passive(e)]
    return EventMatch(event="*") if not done or len(done) == len(log.schema.events) else EventMatch(any_of=sorted(done))


def _candidates(log: EventLog, start: int, stop: int) -> tuple[str, ...]:
    tree = q(
        "SELECT event, count(DISTINCT user_key) AS users FROM events WHERE epoch_us(time) >= $start "
        "AND epoch_us(time) < $stop GROUP BY event ORDER BY users DESC, event LIMIT $most",
        start=start, stop=stop, most=_CANDIDATES,
    )  # fmt: skip
    rows = log.engine.rows(Query(tree))
    most = max((int(str(n)) for _, n in rows), default=0)
    wide = [str(name) for name, n in rows if int(str(n)) >= 0.001 * most]
    wanted = [name for name in wide if not (is_mishap(name) or is_undone(name) or is_passive(name))]
    return tuple(wanted if len(wanted) >= 2 else wide)


def _first_times(log: EventLog, names: tuple[str, ...], start: int, stop: int) -> NDArray[np.float64]:
    """First time of each event per user, shape (users, events); inf where never."""
    tree = q(
        "SELECT user_key, event, min(epoch_us(time)) AS first FROM events WHERE event IN $names "
        "AND epoch_us(time) >= $start AND epoch_us(time) < $stop GROUP BY user_key, event",
        names=list(names), start=start, stop=stop,
    )  # fmt: skip
    table = log.engine.arrow(Query(tree))
    users, row = np.unique(table.column("user_key").to_numpy(), return_inverse=True)
    dictionary = table.column("event").combine_chunks().dictionary_encode()
    place = np.array([names.index(v) for v in dictionary.dictionary.to_pylist()], dtype=np.int64)
    first = np.full((len(users), len(names)), np.inf)
    first[row, place[dictionary.indices.to_numpy()]] = table.column("first").to_numpy()
    return first


def _precedes(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Among users with both, the share whose first `a` is before their first `b`; a tie counts half."""
    both = np.isfinite(a) & np.isfinite(b)
    if not both.any():
        return 0.5
    return float(np.mean((a[both] < b[both]) + 0.5 * (a[both] == b[both])))


def _repeated(log: EventLog, names: tuple[str, ...], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of a habit each event is: 0 for a milestone, up to 1 for what users do most often of all.

    All are 0 where the product has hardly anything that is done once.
    """
    doers = np.maximum(1, np.isfinite(first).sum(axis=0))
    counts = np.array([log.schema.events[n] for n in names], dtype=float)
    often = counts / doers > _ONCE
    settled = ~often & (doers >= 0.1 * doers.max())
    if settled.sum() < 3:
        return np.zeros(len(names))
    return np.where(often, counts / counts[often].max() if often.any() else 0.0, 0.0)


def _proposed(log: EventLog, names: tuple[str, ...], first: NDArray[np.float64]) -> list[int]:
    goal = _goal(names, first)
    if goal is not None:
        path = _best_chain(
            first[:, on_the_way := _leading_to(goal, first)], np.zeros(len(on_the_way)), len(on_the_way) - 1
        )
        if path is not None:
            return [on_the_way[i] for i in path]
    return _best_chain(first, _repeated(log, names, first)) or [0, 1]


def _goal(names: tuple[str, ...], first: NDArray[np.float64]) -> int | None:
    """The event that sounds most like what the product is for, if users get there late; of several the latest."""
    done = np.isfinite(first)
    reach = done.sum(axis=0)
    wide = np.flatnonzero(reach >= _WIDE * reach.max())
    opening = _opening_share(first)
    late: dict[int, int] = {}
    for g, name in enumerate(names):
        rank = goal_rank(name)
        # too few users to say anything of, or where histories begin
        if rank is None or reach[g] < max(5, min(30, 0.02 * reach.max())) or opening[g] > 0.5:
            continue
        others = [b for b in wide if b != g]
        if not others or np.mean([_precedes(first[:, b], first[:, g]) for b in others]) >= 0.5:
            late[g] = rank
    ends = [g for g in late if not any(_passes_on(first, g, b) for b in late)]
    best = [g for g in ends if late[g] == min(late[e] for e in ends)]
    # later than its like; of those at the same moment the one that more users reach
    return max(
        best,
        key=lambda g: (np.mean([_precedes(first[:, b], first[:, g]) >= 0.5 for b in best]), reach[g], -g),
        default=None,
    )


def _passes_on(first: NDArray[np.float64], goal: int, other: int) -> bool:
    """Whether a goal is only a side track: nearly all who got there go on to another one that far more users reach."""
    got, gone_on = np.isfinite(first[:, goal]), first[:, other] > first[:, goal]
    wider = np.isfinite(first[:, other]).sum() >= 5 * got.sum()
    return bool(wider and np.mean(gone_on[got] & np.isfinite(first[got, other])) >= 0.8)


def _leading_to(goal: int, first: NDArray[np.float64]) -> list[int]:
    """Events that two in three of those who got to the goal had done before it, and the goal as the last."""
    got = np.isfinite(first[:, goal])
    before = (first[got] < first[got, goal][:, None]).mean(axis=0)
    return [*(int(i) for i in np.flatnonzero(before >= 2 / 3) if i != goal), goal]


def _best_chain(first: NDArray[np.float64], repeated: NDArray[np.float64], goal: int | None = None) -> list[int] | None:
    """The best-scoring chain of events: longest path over pairs in which order and loss are plain; None where there is none.

    The score of a link a → b is (how settled the order) × (entropy of passing): a link that everybody or nobody passes says
    nothing, one that loses a fair share says most. A link needs at least three in four users in this order, and between 2 %
    and 98 % of a's users to get to b within `_SOON` days. A repeated event can only be the last, and counts the more the
    more it is done: the habit a product lives by. A goal may be passed to by fewer or by nearly all.
    """
    n = first.shape[1]
    done = np.isfinite(first)
    reach = done.sum(axis=0).astype(float)
    score = np.full((n, n), -np.inf)
    for a in range(n):
        for b in range(n):
            if a == b or reach[a] == 0 or reach[b] > reach[a] or repeated[a] > 0:
                continue
            settled = _precedes(first[:, a], first[:, b])
            both = done[:, a] & done[:, b]
            gap = first[both, b] - first[both, a]
            passed = float(np.sum((gap >= 0) & (gap <= _SOON * DAY)) / reach[a])
            if settled < _SETTLED or (b != goal and (passed < 0.02 or (passed > 0.98 and not repeated[b]))):
                continue
            # how much a link says: the entropy of passing for a milestone, how much of a habit it is for the end
            says = repeated[b] if repeated[b] else _entropy(passed)
            score[a, b] = (2 * settled - 1) * says * np.sqrt(reach[a] / reach.max())
    return _longest(score, reach, first, repeated, goal)


def _entropy(share: float) -> float:
    """Of a yes or no, in bits."""
    return 0.0 if share in (0.0, 1.0) else float(-(share * np.log2(share) + (1 - share) * np.log2(1 - share)))


def _longest(
    score: NDArray[np.float64],
    reach: NDArray[np.float64],
    first: NDArray[np.float64],
    repeated: NDArray[np.float64],
    goal: int | None,
) -> list[int] | None:
    """Best chain by dynamic programming over events in order of reach (links go from wide to narrow reach).

    It begins with an event that many users do: a path that hardly anybody enters tells of hardly anybody.
    """
    order = sorted(range(len(reach)), key=lambda i: (-reach[i], i))
    opening = _opening_share(first)
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
