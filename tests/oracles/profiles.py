"""What other products would answer: one small function per profile, each by that product's own published rules.

A profile changes who enters, how ties, windows and exclusions act (rules 1 to 6); units, counting and breakdowns stay.
Each function takes one unit's events in order and returns its truth, or None when the unit is not in the funnel.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from tests.oracles.calendar import days_apart
from tests.oracles.event import DAY, SECOND, Event, by_user
from tests.oracles.funnel import Exclusion, FunnelTruth, Question, Test, UnitTruth, all_chains, funnel, rank

EVER = (-(2**62), 2**62)


def profiled(
    profile: str,
    events: Iterable[Event],
    *,
    steps: Sequence[Test],
    window: int,
    start: int = EVER[0],
    stop: int = EVER[1],
    order: str = "ordered",
    exclusions: Sequence[Exclusion] = (),
    count: str = "users",
    zone: str = "UTC",
) -> FunnelTruth:
    """Judge a funnel under a named profile; ``count`` other than users is known to mixpanel (totals) only."""
    if profile == "mixpanel":
        return _mixpanel(list(events), steps, window, (start, stop), order, exclusions, count)
    units: dict[object, UnitTruth] = {}
    for user, log in by_user(events).items():
        if profile == "posthog":
            truth = posthog(log, steps, window, (start, stop), order, exclusions)
        elif profile == "amplitude":
            truth = amplitude(log, steps, window, (start, stop), order, exclusions)
        elif profile == "clickhouse":
            truth = clickhouse(log, steps, window, (start, stop))
        else:
            truth = growingio(log, steps, window, (start, stop), zone)
        if truth:
            units[user] = truth
    return FunnelTruth(units, {})  # type: ignore[arg-type]


# --- PostHog ----------------------------------------------------------------------------------------------------------


class Slot(NamedTuple):
    """The chain that holds a step: its entry, its step times, its events, and whether an exclusion touched it."""

    entry: int
    times: tuple[int, ...]
    rows: tuple[int, ...]
    tainted: bool = False


def posthog(
    log: Sequence[Event],
    steps: Sequence[Test],
    window: int,
    span: tuple[int, int] = EVER,
    order: str = "ordered",
    exclusions: Sequence[Exclusion] = (),
) -> UnitTruth | None:
    """Steps hold the chain that entered last; events at one instant are replayed in step order; X removes a unit.

    Facts: PostHog ``funnel-udf/src/steps.rs`` (read at commit 0c640984). Entry and conversion both lie in the range.
    """
    inside = [e for e in log if span[0] <= e.time < span[1]]
    if order == "any":
        best = funnel(inside, steps=steps, window=window, order="any")
        return next(iter(best.units.values()), None)
    machine = _Machine(steps, window, order, exclusions)
    # An ordered funnel is shown the events of its steps and exclusions only; a strict one sees every event.
    shown = [e for e in inside if order == "strict" or machine.codes(e)]
    for time, group in groupby(shown, key=lambda e: e.time):
        machine.at_instant(time, list(group))
        if machine.slots[len(steps)]:
            break
    if machine.best is None or machine.best.tainted:
        return None
    taken = machine.best
    return UnitTruth(machine.depth, taken.entry, taken.times[-1], tuple(range(1, machine.depth + 1)))


class _Machine:
    def __init__(self, steps: Sequence[Test], window: int, order: str, exclusions: Sequence[Exclusion]) -> None:
        self.steps, self.window, self.order, self.exclusions = steps, window, order, exclusions
        self.slots: list[Slot | None] = [None] * (len(steps) + 1)
        self.depth = 0
        self.best: Slot | None = None

    def codes(self, event: Event) -> list[int]:
        """Steps an event matches; minus k where it is excluded while a chain waits for step k."""
        matched = [k for k, test in enumerate(self.steps, start=1) if test(event)]
        barred = [-k for test, a, b in self.exclusions if test(event) for k in range(a + 1, b + 1)]
        return matched + barred

    def at_instant(self, time: int, group: list[Event]) -> None:
        # Slot 0 is where a new chain starts: the present instant.
        self.slots[0] = Slot(time, (), ())
        if all(self.codes(e) == self.codes(group[0]) for e in group):
            for event in group:
                self.feed(event, self.codes(event))
                if self.order == "strict":
                    self.forget(event)
        else:
            # Mixed events of one instant: in step order, exclusions and strictness set aside, no event twice.
            replay = sorted(((k, i) for i, e in enumerate(group) for k in self.codes(e) if k > 0))
            for code, i in replay:
                self.feed(group[i], [code], once=True)

    def feed(self, event: Event, codes: Sequence[int], once: bool = False) -> None:
        for code in reversed(codes):
            step = abs(code)
            before = self.slots[step - 1]
            if before is None or event.time - before.entry > self.window:
                continue
            held = self.slots[step]
            if held is not None and held.entry == before.entry:
                continue  # this chain has taken the step already
            if code < 0:
                self.taint(step - 1, event.time)
            elif not (once and event.row in before.rows):
                self.advance(step, before, event)

    def taint(self, step: int, time: int) -> None:
        slot = self.slots[step]
        if slot is None or slot.tainted:
            return
        self.slots[step] = slot._replace(tainted=True)
        if self.depth == step and self.best and time - self.best.entry <= self.window:
            self.best = self.best._replace(tainted=True)

    def advance(self, step: int, before: Slot, event: Event) -> None:
        grown = Slot(before.entry, (*before.times, event.time), (*before.rows, event.row), before.tainted)
        if not before.tainted:
            self.slots[step] = grown
        if step > self.depth or (step == self.depth and self.best and self.best.tainted):
            self.depth, self.best = step, grown

    def forget(self, event: Event) -> None:
        for k in range(1, len(self.slots)):
            if k not in self.codes(event):
                self.slots[k] = None


# --- Mixpanel ---------------------------------------------------------------------------------------------------------


def _mixpanel(
    events: list[Event],
    steps: Sequence[Test],
    window: int,
    span: tuple[int, int],
    order: str,
    exclusions: Sequence[Exclusion],
    count: str,
) -> FunnelTruth:
    """Uniques: the first entry alone, its window never reset. Totals: attempt after attempt. Two seconds of grace.

    Facts: docs.mixpanel.com, reports/funnels/funnels-advanced and funnels-faq. Exclusions drop.
    """
    query = {"steps": steps, "window": window, "order": order, "exclusions": exclusions, "tie": "grace"}
    if count == "totals":
        return funnel(events, **query, start=span[0], stop=span[1], count="totals")  # type: ignore[arg-type]
    truth = FunnelTruth({}, {})
    for log in by_user(events).values():
        opens = steps if order == "any" else steps[:1]
        entries = [e.time for e in log if span[0] <= e.time < span[1] and any(s(e) for s in opens)]
        if entries:
            first = funnel(log, **query, start=entries[0], stop=entries[0] + 1)  # type: ignore[arg-type]
            truth.units.update(first.units)
            truth.chosen.update(first.chosen)
    return truth


# --- Amplitude --------------------------------------------------------------------------------------------------------


def amplitude(
    log: Sequence[Event],
    steps: Sequence[Test],
    window: int,
    span: tuple[int, int] = EVER,
    order: str = "ordered",
    exclusions: Sequence[Exclusion] = (),
) -> UnitTruth | None:
    """Times floored to the second, order free within it, one event of a type per second; earliest longest path.

    Facts: amplitude-docs, collections/funnel-analysis (read 2026-03-13).
    """
    floored = [e._replace(time=e.time // SECOND * SECOND) for e in log]
    if order == "any":
        once = list({(e.time, e.name): e for e in reversed(floored)}.values())
        best = funnel(once, steps=steps, window=window, start=span[0], stop=span[1], order="any")
        return next(iter(best.units.values()), None)
    ask = Question(steps, window, *EVER, order, exclusions, frozenset(), {}, {}, None, "any")
    entries = [f for e, f in zip(log, floored, strict=True) if span[0] <= e.time < span[1] and steps[0](e)]
    paths = [c for c in all_chains(floored, ask, entries) if len({(e.time, e.name) for _, e in c}) == len(c)]
    if not paths:
        return None
    path = max(paths, key=lambda c: (len(c), -c[0][1].time, -c[-1][1].time))
    return UnitTruth(len(path), path[0][1].time, path[-1][1].time, tuple(range(1, len(path) + 1)))


# --- ClickHouse -------------------------------------------------------------------------------------------------------


def clickhouse(
    log: Sequence[Event], steps: Sequence[Test], window: int, span: tuple[int, int] = EVER
) -> UnitTruth | None:
    """windowFunnel without a mode: times may not fall, and one event may fill several conditions in a row.

    Facts: ClickHouse stateless test 00632_aggregation_window_funnel; entries restricted to the range.
    """

    def grow(chain: tuple[Event, ...]) -> Iterator[tuple[Event, ...]]:
        yield chain
        if len(chain) < len(steps):
            for event in log:
                if steps[len(chain)](event) and chain[-1].time <= event.time <= chain[0].time + window:
                    yield from grow((*chain, event))

    chains = [c for e in log if span[0] <= e.time < span[1] and steps[0](e) for c in grow((e,))]
    if not chains:
        return None
    best = max(chains, key=lambda c: (len(c), -c[-1].time, c[0].time))
    return UnitTruth(len(best), best[0].time, best[-1].time, tuple(range(1, len(best) + 1)))


# --- GrowingIO --------------------------------------------------------------------------------------------------------


def growingio(
    log: Sequence[Event], steps: Sequence[Test], window: int, span: tuple[int, int] = EVER, zone: str = "UTC"
) -> UnitTruth | None:
    """Order and window by local calendar day: any order within a day; n days end with the day of entry + n − 1.

    Facts: growingio docs, data-analytics/funnel-analysis (2019-11-29), section 2.3.
    """
    if window % DAY:
        raise ValueError("the window is counted in whole days")
    origin = log[0].time
    days = {e.row: days_apart(origin, e.time, zone) for e in log}
    kept = [e for e in log if e.time >= span[0]]
    entries = {e.row for e in kept if e.time < span[1]}
    by_day = [e._replace(time=days[e.row]) for e in kept]
    ask = Question(steps, window // DAY - 1, *EVER, "ordered", (), frozenset(), {}, {}, None, "any")
    first = [e for e in by_day if e.row in entries and steps[0](e)]
    chains = list(all_chains(by_day, ask, first))
    if not chains:
        return None
    best = max(chains, key=rank)
    times = {e.row: e.time for e in log}
    return UnitTruth(len(best), times[best[0][1].row], times[best[-1][1].row], tuple(range(1, len(best) + 1)))
