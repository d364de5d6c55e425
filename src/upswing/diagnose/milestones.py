"""The main path through a product, proposed from the events when nobody has declared it.

A milestone is an event that many users reach, in a settled order, with fewer users at each further one. The proposal is
shown as a proposal: a person decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from upswing.core.errors import DataError
from upswing.core.i18n import text
from upswing.core.units import DAY
from upswing.engines.base import Query
from upswing.events.log import EventLog
from upswing.spec.steps import EventMatch
from upswing.sql.template import q

_CANDIDATES = 24
_LONGEST = 6
_SOON = 30
_MISHAP = re.compile(r"error|fail|crash|exception|(?<![a-z])bugs?(?![a-z])|错误|失败|报错|崩溃", re.IGNORECASE)
"""Things that happen to users are not milestones."""
_PASSIVE = re.compile(r"receiv|deliver|bounce|impression|收到|送达|曝光", re.IGNORECASE)
"""Things that are done to users: somebody who only gets messages is not active."""
_ONCE = 1.5
"""An event that its doers do more often than this on average is a habit."""
_WINDOWS = (1, 3, 7, 14, 30, 60, 90)


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

    Candidates are the events with the widest reach. Chains are scored by how settled their order is and by how evenly they
    cut the way from most to few users; the best chain of up to six events wins. Everything is counted, nothing sampled.

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
    order = list(range(len(names))) if declared else _best_chain(first, _repeated(log, names, first))
    chain = first[:, order]
    n_users = max(1, int(np.any(np.isfinite(first), axis=1).sum()))
    reach = tuple(float(np.isfinite(chain[:, i]).sum() / n_users) for i in range(len(order)))
    precedence = tuple(_precedes(chain[:, i - 1], chain[:, i]) for i in range(1, len(order)))
    return Milestones(tuple(names[i] for i in order), reach, precedence, _window(chain), bool(declared))


def activity(log: EventLog) -> EventMatch:
    """What counts as being active: any event that a user does, not what happens to a user (an error, a message received).

    Told by the events' names; ``*`` where no name says so.
    """
    done = [e for e in log.schema.events if not _MISHAP.search(e) and not _PASSIVE.search(e)]
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
    wanted = [name for name in wide if not _MISHAP.search(name)]
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


def _best_chain(first: NDArray[np.float64], repeated: NDArray[np.float64]) -> list[int]:
    """The best-scoring chain of events: longest path over pairs in which order and loss are plain.

    The score of a link a → b is (how settled the order) × (entropy of passing): a link that everybody or nobody passes says
    nothing, one that loses a fair share says most. A link needs at least three in four users in this order, and between 2 %
    and 98 % of a's users to get to b within `_SOON` days. A repeated event can only be the last, and counts the more the
    more it is done: the habit a product lives by.
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
            if settled < 0.75 or passed < 0.02 or (passed > 0.98 and not repeated[b]):
                continue
            # how much a link says: the entropy of passing for a milestone, how much of a habit it is for the end
            says = repeated[b] if repeated[b] else -(passed * np.log2(passed) + (1 - passed) * np.log2(1 - passed))
            score[a, b] = (2 * settled - 1) * says * np.sqrt(reach[a] / reach.max())
    return _longest(score, reach, first, repeated)


def _longest(
    score: NDArray[np.float64], reach: NDArray[np.float64], first: NDArray[np.float64], repeated: NDArray[np.float64]
) -> list[int]:
    """Best chain by dynamic programming over events in order of reach (links go from wide to narrow reach)."""
    order = sorted(range(len(reach)), key=lambda i: (-reach[i], i))
    opening = _opening_share(first)
    best: dict[tuple[int, int], tuple[float, list[int]]] = {(i, 1): (opening[i], [i]) for i in order}
    for b in order:
        for length in range(2, _LONGEST + 1):
            options = [
                (best[a, length - 1][0] + score[a, b], [*best[a, length - 1][1], b])
                for a in order
                if np.isfinite(score[a, b]) and (a, length - 1) in best
            ]
            if options:
                best[b, length] = max(options, key=lambda option: option[0])
    linked = [option for option in best.values() if len(option[1]) > 1]
    if not linked:
        return order[:2]
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
