"""The signal kernel against a loop in plain Python."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles.event import DAY, HOUR, by_user
from tests.sequences.build import batch, logs, named
from upswing.sequences.signals import ANY, COUNT, LARGEST, SUM, TIME, SignalKernel

MEASURES = (ANY, COUNT, SUM, LARGEST, TIME)
PLANS = {"x": 0, "y": 1, None: -1}


def answer(own, moment, test, measure, lower, upper):
    seen = [e for e in own if test(e) and lower <= e.time - moment < upper]
    amounts = [e.props["amount"] for e in seen if e.props["amount"] > 0]
    if measure == ANY:
        return float(bool(seen))
    if measure == COUNT:
        return float(len(seen))
    if measure == SUM:
        return sum(amounts)
    if measure == LARGEST:
        return max(amounts, default=math.nan)
    return min((float(e.time - moment) for e in seen), default=math.nan)


@settings(max_examples=200, deadline=None)
@given(
    logs(),
    st.lists(
        st.tuples(st.sampled_from("bc"), st.sampled_from(MEASURES), st.sampled_from([-2 * DAY, -HOUR, 0, HOUR]),
                  st.sampled_from([1, DAY, 5 * DAY])),
        min_size=1, max_size=4,
    ),
    st.booleans(), st.integers(1, 3),
)  # fmt: skip
def test_answers(events, questions, fixed, parts):
    if not events:
        return
    first, last = min(e.time for e in events), max(e.time for e in events)
    moment = (first + last) // 2 if fixed else None
    start, stop = (first, moment) if moment is not None and moment > first else (first + HOUR, last + 1)
    kernel = SignalKernel(
        np.array([q[1] for q in questions]), np.array([q[2] for q in questions]), np.array([q[3] for q in questions]),
        np.zeros(len(questions), np.int64), start, stop, moment, grouped=True,
    )  # fmt: skip
    tests = [named("a"), *(named(q[0]) for q in questions)]
    number = lambda e: e.props["amount"] or math.nan  # noqa: E731
    whole = batch(events, tests, (number, lambda e: PLANS[e.props["plan"]]))
    found = [kernel(p) for p in whole.split(parts)]
    rows = sum(found[1:], found[0])
    expected = []
    for key, (_, own) in enumerate(sorted(by_user(events).items()), start=1):
        starts = [e.time for e in own if e.name == "a"]
        chosen = [t for t in starts if start <= t < stop]
        if not chosen or (moment is None and starts[0] != chosen[0]):
            continue
        at = chosen[0] if moment is None else moment
        known = [e.props["plan"] for e in own if e.time <= at and e.props["plan"]]
        values = [answer(own, at, named(q[0]), *q[1:]) for q in questions]
        expected.append((key, at, PLANS[known[-1]] if known else -1, values))
    assert rows.users.tolist() == [e[0] for e in expected]
    assert rows.moments.tolist() == [e[1] for e in expected]
    assert rows.group.tolist() == [e[2] for e in expected]
    np.testing.assert_array_equal(
        rows.values, np.array([e[3] for e in expected]).reshape(len(expected), len(questions))
    )
