"""The aha kernel against its oracle: every cell of every table, whatever the batches."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.aha import members
from tests.oracles.event import DAY, HOUR, Event
from tests.sequences.build import batch, logs, named
from upswing.core.calendar import Calendar
from upswing.sequences.aha import AhaKernel, halves

CODES = {"a": 0, "b": 1, "c": 2}
PLANS = {"x": 0, "y": 1, None: -1}
BEHAVIOURS = (named("a"), named("b"), named("c"), lambda e: e.name in "ab", lambda e: e.props["amount"] >= 3)
OFFSETS, OWNED = np.array([0, 2, 4, 5]), np.array([0, 3, 1, 3, 2])  # a: 0 and 3, b: 1 and 3, c: 2; 4 is a mark


def kernel(windows, counts, after, until, horizon, **more):
    return AhaKernel(
        n_behaviours=len(BEHAVIOURS), windows=np.array(windows), counts=np.array(counts), after=after, until=until,
        start=more.pop("start", -(2**62)), stop=more.pop("stop", 2**62), horizon=horizon, code_offsets=OFFSETS,
        code_behaviours=OWNED, bit_behaviours=np.array([4]), **more,
    )  # fmt: skip


def whole_batch(events):
    marks = (named("a"), named("b"), lambda e: e.props["amount"] >= 2, lambda e: e.props["amount"] >= 3)
    return batch(events, marks, (lambda e: CODES[e.name], lambda e: PLANS[e.props["plan"]]))


@settings(max_examples=200, deadline=None)
@given(
    logs(zone="Europe/Berlin", names="abc"),
    st.lists(st.sampled_from([HOUR, 6 * HOUR, DAY, 2 * DAY]), min_size=1, max_size=3, unique=True).map(sorted),
    st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(sorted),
    st.integers(1, 2), st.booleans(), st.booleans(), st.integers(1, 3), st.integers(0, 5),
)  # fmt: skip
def test_tables_and_rows(events, windows, counts, times, calendar, sessions, parts, seed):
    if not events:
        return
    first, last = min(e.time for e in events), max(e.time for e in events)
    edges = Calendar("Europe/Berlin").edges("day", first, last + DAY).tolist() if calendar else []
    after, until = (2, 4) if calendar else (2 * DAY, 4 * DAY)
    gap, cuts, spread = (2 * HOUR, [2, 3], (first + HOUR, last)) if sessions else (0, [1, 3], (-(2**62), 2**62))
    search = kernel(
        windows, counts, after, until, last, times=times, edges=np.array(edges, np.int64), gap=gap,
        cuts=np.array(cuts), radices=(3,), seed=seed, start=spread[0], stop=spread[1],
    )  # fmt: skip
    whole = whole_batch(events)
    pieces = list(whole.split(parts))
    tables = sum((search(p) for p in pieces[1:]), search(pieces[0]))
    truth = members(
        events, start=named("a"), outcome=named("b"), windows=windows, after=after, until=until, times=times,
        horizon=last, range_start=spread[0], range_stop=spread[1], edges=edges,
    )  # fmt: skip
    assert tables.started == len(truth)
    assert tables.waiting == sum(m.waiting for m in truth)
    assert tables.overlapping == sum(m.overlapping for m in truth)
    names = sorted({e.user for e in events})
    half = dict(zip(names, halves(whole.users, seed).tolist(), strict=True))
    expected = [np.zeros_like(t) for t in (tables.users, tables.reached, tables.shown, tables.shown_reached)]
    seen = sorted((m for m in truth if not m.waiting and not m.overlapping), key=lambda m: m.user)
    for m in seen:
        for w in range(len(windows)):
            stratum = group_of(events, m) * 3 + sum(active(m, w, gap) >= c for c in cuts)
            expected[0][half[m.user], w, stratum] += 1
            expected[1][half[m.user], w, stratum] += m.reached
            for b, shows in enumerate(BEHAVIOURS):
                dose = sum(map(shows, m.early[w]))
                for c, count in enumerate(counts):
                    expected[2][half[m.user], b, w, c, stratum] += dose >= count
                    expected[3][half[m.user], b, w, c, stratum] += dose >= count and m.reached
    for got, want in zip((tables.users, tables.reached, tables.shown, tables.shown_reached), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    for b, shows in enumerate(BEHAVIOURS):
        w = len(windows) - 1
        rows = [search.rows(p, b, w) for p in pieces]
        found = sum(rows[1:], rows[0])
        assert [names[k - 1] for k in found.users] == [m.user for m in seen]
        assert found.dose.tolist() == [sum(map(shows, m.early[w])) for m in seen]
        assert found.reached.tolist() == [m.reached for m in seen]
        assert found.activity.tolist() == [active(m, w, gap) for m in seen]
        assert found.group.tolist() == [group_of(events, m) for m in seen]
        assert found.half.tolist() == [half[m.user] for m in seen]


def active(member, window, gap):
    return member.activity(window, active=lambda e: e.props["amount"] >= 2, gap=gap)


def group_of(events, member):
    """0 and 1 for the plan last known at the start, 2 for none."""
    until = (member.start.time, member.start.row)
    known = [e for e in events if e.user == member.user and (e.time, e.row) <= until and e.props["plan"]]
    return PLANS[max(known, key=lambda e: (e.time, e.row)).props["plan"]] if known else 2


def test_the_start_itself_is_no_behaviour():
    log = [Event("u", 0, 0, "a", {"plan": None, "amount": 0.0}), Event("u", 0, 1, "a", {"plan": None, "amount": 0.0})]
    tables = kernel([HOUR], [1, 2], DAY, 2 * DAY, 2 * DAY, radices=(3,))(whole_batch(log))
    assert tables.shown[:, 0].sum(axis=(0, 1, 3)).tolist() == [1, 0]
