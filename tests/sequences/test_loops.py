"""The loop kernel against its oracle."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.event import DAY, HOUR
from tests.oracles.loops import attempts
from tests.sequences.build import batch, logs, named
from upswing.sequences.loops import LoopKernel

STEPS = (named("a"), lambda e: e.name in "bc", named("c"))
MOST = 3


@settings(max_examples=300, deadline=None)
@given(
    logs(names="aabc", max_events=20),
    st.tuples(*[st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY])] * 3),
    st.sampled_from([DAY, 4 * DAY]),
    st.integers(1, 3),
    st.booleans(),
)
def test_arcs_loops_and_times(events, windows, again, parts, cut):
    if not events:
        return
    first, last = min(e.time for e in events), max(e.time for e in events)
    start, stop = (first + 6 * HOUR, last) if cut else (first, last + 1)
    kernel = LoopKernel(np.array(windows), again, start, stop, last, most=MOST, n_groups=3, grouped=True)
    plans = {"x": 0, "y": 1, None: -1}
    pieces = list(batch(events, STEPS, (lambda e: plans[e.props["plan"]],)).split(parts))
    found = sum((kernel(p) for p in pieces[1:]), kernel(pieces[0]))
    walks = attempts(events, steps=STEPS, windows=windows, start=start, stop=stop)
    entered, passed, pending = (np.zeros((3, MOST, 3), int) for _ in range(3))
    users, observed, followed = np.zeros((3, MOST + 1), int), np.zeros((3, MOST), int), np.zeros((3, MOST), int)
    times = []
    for name in sorted({w.user for w in walks}):
        own = [w for w in walks if w.user == name]
        firsts = sorted((e for e in events if e.user == name and e.name == "a" and start <= e.time < stop),
                        key=lambda e: (e.time, e.row))  # fmt: skip
        group = {"x": 0, "y": 1, None: 2}[firsts[0].props["plan"]]
        closings = [w.instants[2] for w in own if len(w.instants) == 3]
        users[group, min(len(closings), MOST)] += 1
        for j, (reference, then) in enumerate(zip([firsts[0].time, *closings], [*closings, None], strict=True)):
            if reference + again <= last:
                observed[group, min(j, MOST - 1)] += 1
                followed[group, min(j, MOST - 1)] += then is not None and then - reference < again
        for walk in own:
            level = min(walk.before, MOST - 1)
            line = walk.instants + ([] if walk.back is None else [walk.back])
            for arc in range(len(walk.instants)):
                if line[arc] + windows[arc] > last:
                    pending[group, level, arc] += 1
                    continue
                entered[group, level, arc] += 1
                if arc + 1 < len(line) and line[arc + 1] - line[arc] < windows[arc]:
                    passed[group, level, arc] += 1
                    times.append((arc, line[arc + 1] - line[arc]))
    for got, want in ((found.entered, entered), (found.passed, passed), (found.pending, pending), (found.users, users),
                      (found.observed, observed), (found.followed, followed)):  # fmt: skip
        np.testing.assert_array_equal(got, want)
    assert sorted(zip(found.arcs.tolist(), found.times.tolist(), strict=True)) == sorted(times)


def test_members_are_the_first_group():
    events = []
    empty = LoopKernel(np.array([HOUR, HOUR]), DAY, 0, 1, 1, n_groups=2, members=np.array([1]))(batch(events, STEPS))
    assert empty.users.sum() == 0
