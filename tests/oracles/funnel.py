"""Funnel by brute force: write down every chain a unit's events allow, then pick the best one.

Nothing here is quick. Every rule of ``docs/guide/semantics.md`` is one visible condition on a finished chain, so that
a reader can check the oracle against the text; the kernels are judged by it on small random logs.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from tests.oracles.event import MINUTE, SECOND, Event, by_user

Test = Callable[[Event], bool]
Held = Callable[[Event], Any]
Exclusion = tuple[Test, int, int]
Chain = tuple[tuple[int, Event], ...]  # (step number from 1, event)


class UnitTruth(NamedTuple):
    """What one unit did: deepest step, the chosen chain's first and last time, the steps that chain took."""

    depth: int
    entry_time: int
    completion_time: int
    steps_taken: tuple[int, ...]


class FunnelTruth(NamedTuple):
    """The truth per unit, and every chain that ties for being chosen (they may differ in properties only)."""

    units: dict[Hashable, UnitTruth]
    chosen: dict[Hashable, list[Chain]]

    def counts(self, steps: int, optional: Iterable[int] = ()) -> list[int]:
        """Units at steps 1..steps: those as deep as the step; at an optional step those whose chain took it."""
        skippable = set(optional)
        truths = self.units.values()
        return [
            sum(k in u.steps_taken if k in skippable else u.depth >= k for u in truths) for k in range(1, steps + 1)
        ]

    def times_to_convert(self, step: int) -> list[int]:
        """Time from entry to ``step`` of the chosen chains that took it, sorted (needs the chain's own step times)."""
        times = []
        for chains in self.chosen.values():
            taken = dict(chains[0])
            if step in taken:
                times.append(taken[step].time - taken[1].time)
        return sorted(times)

    def mature(self, steps: int, *, window: int, horizon: int) -> list[int]:
        """Units at each step whose entry + window lies at or before the horizon."""
        ripe = [u for u in self.units.values() if u.entry_time + window <= horizon]
        return [sum(u.depth >= k for u in ripe) for k in range(1, steps + 1)]


class Question(NamedTuple):
    """A funnel query: the arguments of :func:`funnel`, kept together."""

    steps: Sequence[Test]
    window: int
    start: int
    stop: int
    order: str
    exclusions: Sequence[Exclusion]
    optional: frozenset[int]
    min_gap: dict[int, int]
    max_gap: dict[int, int]
    hold: Sequence[Held] | None
    tie: str


def funnel(
    events: Iterable[Event],
    *,
    steps: Sequence[Test],
    window: int,
    start: int = -(2**62),
    stop: int = 2**62,
    order: str = "ordered",
    exclusions: Sequence[Exclusion] = (),
    exclusion_policy: str = "drop",
    optional: Iterable[int] = (),
    min_gap: dict[int, int] | None = None,
    max_gap: dict[int, int] | None = None,
    hold: Sequence[Held] | None = None,
    tie: str = "any",
    count: str = "users",
    idle: int = 30 * MINUTE,
) -> FunnelTruth:
    """Judge a canonical funnel. Steps, gaps, optional and exclusion bounds number steps from 1; times are µs.

    ``count`` is users (unit = user), sessions (user, session number), totals (user, attempt number) or pairs
    (user, held value).
    """
    ask = Question(
        steps, window, start, stop, order, exclusions, frozenset(optional), min_gap or {}, max_gap or {}, hold, tie
    )
    _check(ask, exclusion_policy, count)
    units: dict[Hashable, UnitTruth] = {}
    chosen: dict[Hashable, list[Chain]] = {}
    for unit, log, question in _units(by_user(events), ask, count, idle):
        attempts = _attempts(log, question) if count == "totals" else [_best(log, question)]
        if exclusion_policy == "remove" and _removed(log, question):
            continue
        for number, best in enumerate(attempts):
            if best:
                key = (unit, number) if count == "totals" else unit
                chosen[key] = best
                units[key] = _truth(best[0])
    return FunnelTruth(units, chosen)


def trend(events: Iterable[Event], intervals: Sequence[tuple[int, int]], **query: Any) -> list[FunnelTruth]:
    """One funnel per entry interval [from, to): the same rules, the range replaced by the interval."""
    log = list(events)
    return [funnel(log, **{**query, "start": a, "stop": b}) for a, b in intervals]


def breakdown(truth: FunnelTruth, value: Held, at: str | int = "entry") -> dict[Hashable, set[Any]]:
    """Values a unit may be booked under: one, unless equally good chains carry different values at that event.

    ``at`` is entry, last, or a step number; units whose chain lacks that step are booked under None.
    """
    where: dict[Hashable, set[Any]] = {}
    for unit, chains in truth.chosen.items():
        where[unit] = set()
        for chain in chains:
            step = {"entry": chain[0][0], "last": chain[-1][0]}.get(str(at), at)
            taken = dict(chain)
            where[unit].add(value(taken[step]) if step in taken else None)
    return where


# --- chains -----------------------------------------------------------------------------------------------------------


def all_chains(log: Sequence[Event], ask: Question, entries: Sequence[Event] | None = None) -> Iterator[Chain]:
    """Every legal chain of one unit's events, unfinished ones included."""
    starts = entries if entries is not None else _entries(log, ask)
    for entry in starts:
        yield from _extensions(log, ask, ((1, entry),))


def legal(chain: Chain, log: Sequence[Event], ask: Question) -> bool:
    """All the rules on one chain: order in time, window, gaps, held values, strictness, exclusions."""
    events = [e for _, e in chain]
    if len({e.row for e in events}) < len(events) or events[-1].time - events[0].time > ask.window:
        return False
    if not all(_follows(b, a, ask.tie) for a, b in pairwise(events)):
        return False
    for (_, before), (step, event) in pairwise(chain):
        gap = event.time - before.time
        if gap < ask.min_gap.get(step, -(2**62)) or gap > ask.max_gap.get(step, 2**62):
            return False
    if ask.hold is not None and not _held_equal(chain, ask.hold):
        return False
    if ask.order == "strict" and any(_between(e, events[0], events[-1], ask.tie) and e not in events for e in log):
        return False
    return not any(_crossed(chain, log, exclusion, ask.tie) for exclusion in ask.exclusions)


def _extensions(log: Sequence[Event], ask: Question, chain: Chain) -> Iterator[Chain]:
    # A prefix of a legal chain is legal, so an illegal one need not be grown.
    if not legal(chain, log, ask):
        return
    yield chain
    step = chain[-1][0]
    for following in range(step + 1, len(ask.steps) + 1):
        for event in log:
            if ask.steps[following - 1](event):
                yield from _extensions(log, ask, (*chain, (following, event)))
        if following not in ask.optional:
            return


def _entries(log: Sequence[Event], ask: Question) -> list[Event]:
    # Step 1, or in any order any step; an event whose held value is missing enters nothing.
    steps = range(1, len(ask.steps) + 1) if ask.order == "any" else (1,)
    inside = [e for e in log if ask.start <= e.time < ask.stop]
    return [e for e in inside if any(ask.steps[s - 1](e) and _holds(e, s, ask) for s in steps)]


def _holds(event: Event, step: int, ask: Question) -> bool:
    return ask.hold is None or ask.hold[step - 1](event) is not None


GRACE = 2 * SECOND  # tie="grace" (one of the profiles): steps within two seconds may stand in either order


def _follows(later: Event, earlier: Event, tie: str) -> bool:
    if tie == "grace":
        return later.time >= earlier.time - GRACE
    if tie == "ingest":
        return (later.time, later.row) > (earlier.time, earlier.row)
    if tie == "strict":
        return later.time > earlier.time
    return later.time >= earlier.time


def _between(event: Event, first: Event, last: Event, tie: str) -> bool:
    # Among equal times either order is legal unless the stored order is asked for: a tied event can step aside.
    if tie == "grace":
        return first.time + GRACE < event.time < last.time - GRACE
    if tie == "ingest":
        return (first.time, first.row) < (event.time, event.row) < (last.time, last.row)
    return first.time < event.time < last.time


def _held_equal(chain: Chain, hold: Sequence[Held]) -> bool:
    values = [hold[step - 1](event) for step, event in chain]
    return None not in values and all(v == values[0] for v in values)


def _crossed(chain: Chain, log: Sequence[Event], exclusion: Exclusion, tie: str) -> bool:
    test, _, b = exclusion
    opening = _opening(chain, exclusion)
    if opening is None:
        return False
    # A skipped optional step b is closed by the next step that was taken.
    closing = next((e for step, e in chain if step >= b), chain[-1][1])
    return any(test(e) and _between(e, opening, closing, tie) for e in log)


def _opening(chain: Chain, exclusion: Exclusion) -> Event | None:
    # A skipped optional step a is opened by the last step taken before it.
    if chain[-1][0] < exclusion[1]:
        return None
    return [e for step, e in chain if step <= exclusion[1]][-1]


# --- choosing ---------------------------------------------------------------------------------------------------------


def rank(chain: Chain) -> tuple[Any, ...]:
    """Order of preference: deepest, earliest completion, latest entry, most steps, later steps as late as may be."""
    times = [e.time for _, e in chain]
    return (chain[-1][0], -times[-1], times[0], len(chain), times[::-1])


def _best(log: Sequence[Event], ask: Question, entries: Sequence[Event] | None = None) -> list[Chain]:
    if ask.order == "any":
        return _best_any(log, ask, entries)
    chains = list(all_chains(log, ask, entries))
    top = max((rank(c) for c in chains), default=None)
    return [c for c in chains if rank(c) == top]


def _best_any(log: Sequence[Event], ask: Question, entries: Sequence[Event] | None) -> list[Chain]:
    # Steps in any order: every way of giving each event in the window one step not yet given, entry included.
    best: tuple[Any, ...] = (0,)
    chains: list[Chain] = []
    for entry in entries if entries is not None else _entries(log, ask):
        inside = [e for e in log if entry.time <= e.time <= entry.time + ask.window and e.row != entry.row]
        for given in _assignments([entry, *inside], ask, first=True):
            # "Step 1 done" is the first event, "step 2 done" the second, whatever step each one matched.
            chain = tuple(enumerate(sorted(given.values(), key=lambda e: (e.time, e != entry, e.row)), start=1))
            key = (len(chain), -chain[-1][1].time, entry.time)
            if key > best:
                best, chains = key, []
            if key == best:
                chains.append(chain)
    return chains


def _assignments(events: Sequence[Event], ask: Question, first: bool = False) -> Iterator[dict[int, Event]]:
    if not events:
        yield {}
        return
    head, rest = events[0], events[1:]
    for given in _assignments(rest, ask):
        if not first:
            yield given
        for step, test in enumerate(ask.steps, start=1):
            grown = {**given, step: head}
            if step not in given and test(head) and (ask.hold is None or _held_equal(tuple(grown.items()), ask.hold)):
                yield grown


def _truth(chain: Chain) -> UnitTruth:
    return UnitTruth(chain[-1][0], chain[0][1].time, chain[-1][1].time, tuple(step for step, _ in chain))


# --- removal by an exclusion ------------------------------------------------------------------------------------------


def _removed(log: Sequence[Event], ask: Question) -> bool:
    chains = list(all_chains(log, ask))
    if any(chain[-1][0] == len(ask.steps) for chain in chains):
        return False
    return any(
        _stopped(chain, chains, x, exclusion, ask) and not _redeemed(chain, chains, x, ask.tie)
        for chain in chains
        for exclusion in ask.exclusions
        for x in log
        if exclusion[0](x)
    )


def _stopped(chain: Chain, chains: Sequence[Chain], x: Event, exclusion: Exclusion, ask: Question) -> bool:
    """The excluded event ``x`` caught ``chain`` between steps a and b, before it could take step b."""
    _, a, b = exclusion
    opening = _opening(chain, exclusion)
    if opening is None or not a <= chain[-1][0] < b:
        return False
    after = (x.time, x.row) > (opening.time, opening.row) if ask.tie == "ingest" else x.time > opening.time
    if not after or x.time > chain[0][1].time + ask.window:
        return False
    escapes = (c for c in chains if c[: len(chain)] == chain and c[-1][0] >= b)
    return not any(_reached_by(c, b, x, ask.tie) for c in escapes)


def _reached_by(chain: Chain, b: int, x: Event, tie: str) -> bool:
    closing = next(e for step, e in chain if step >= b)
    if tie == "ingest":
        return (closing.time, closing.row) < (x.time, x.row)
    return closing.time <= x.time


def _redeemed(chain: Chain, chains: Sequence[Chain], x: Event, tie: str) -> bool:
    return any(c[-1][0] >= chain[-1][0] and _follows(c[0][1], x, tie) for c in chains)


# --- units ------------------------------------------------------------------------------------------------------------


def _units(
    users: dict[str, list[Event]], ask: Question, count: str, idle: int
) -> Iterator[tuple[Hashable, list[Event], Question]]:
    for user, log in users.items():
        if count == "sessions":
            for number, session in enumerate(_split(log, idle)):
                yield (user, number), session, ask
        elif count == "pairs":
            hold = ask.hold or ()
            for value in {h(e) for h in hold for e in log} - {None}:
                # All events of the user stay (they can break strictness); only those of the value match steps.
                only = [_holding(test, held, value) for test, held in zip(ask.steps, hold, strict=True)]
                yield (user, value), log, ask._replace(steps=only)
        else:
            yield user, log, ask


def _holding(test: Test, held: Held, value: Any) -> Test:
    return lambda event: test(event) and held(event) == value


def _split(log: Sequence[Event], idle: int) -> list[list[Event]]:
    sessions: list[list[Event]] = []
    for event in log:
        if not sessions or event.time - sessions[-1][-1].time > idle:
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def _attempts(log: Sequence[Event], ask: Question) -> list[list[Chain]]:
    """Attempts one after another: the next begins at the first entry strictly after the end of the one before."""
    attempts: list[list[Chain]] = []
    matches = _entries(log, ask)
    while matches:
        # With ties unordered, any entry at that instant may lead the attempt.
        lead = [e for e in matches if e.time == matches[0].time] if ask.tie != "ingest" else matches[:1]
        best = _best(log, ask, lead)
        attempts.append(best)
        end_time, end_row = _end(best[0], log, ask)
        matches = [e for e in matches if (e.time, e.row if ask.tie == "ingest" else 0) > (end_time, end_row)]
    return attempts


def _end(chain: Chain, log: Sequence[Event], ask: Question) -> tuple[int, int]:
    rowed = ask.tie == "ingest"
    first, last = chain[0][1], chain[-1][1]
    if chain[-1][0] == len(ask.steps):
        return last.time, last.row if rowed else 0
    stops = [(first.time + ask.window, 2**62 if rowed else 0)]
    for exclusion in ask.exclusions:
        opening = _opening(chain, exclusion)
        if opening is None or chain[-1][0] >= exclusion[2]:
            continue
        for x in log:
            slack = GRACE if ask.tie == "grace" else 0
            beyond = x.time >= last.time and x.time > opening.time + slack
            if rowed:
                beyond = (x.time, x.row) > (last.time, last.row)
            if exclusion[0](x) and beyond:
                stops.append((x.time, x.row if rowed else 0))
    return min(stops)


def _check(ask: Question, policy: str, count: str) -> None:
    if {1, len(ask.steps)} & ask.optional:
        raise ValueError("the first and the last step cannot be optional")
    if ask.order == "any" and (ask.exclusions or ask.optional or ask.min_gap or ask.max_gap):
        raise ValueError("any order knows no exclusions, optional steps or gaps")
    if any(not 1 <= a < b <= len(ask.steps) for _, a, b in ask.exclusions):
        raise ValueError("an exclusion lies between steps a < b of the funnel")
    if count == "pairs" and not ask.hold:
        raise ValueError("pairs need a held property")
    if policy == "remove" and count == "totals":
        raise ValueError("totals drop at an exclusion, they are never removed")
