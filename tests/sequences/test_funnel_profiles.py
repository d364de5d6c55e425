"""Other products' rules: the cases on which they disagree, and ClickHouse itself on random users."""

from __future__ import annotations

import numpy as np
import pytest

from upswing.sequences.batch import Sequences
from upswing.sequences.funnel import FunnelRules, chains

SECOND = 1_000_000
BITS = {"A": 1, "B": 2, "C": 4, "D": 8, "X": 128, "-": 0}


def depth(story: str, steps: str, profile, *, window: int = 60, exclude=None, days=None) -> int | None:
    """Deepest step of one user; `story` is like "A100 B160"; None when the user is left out."""
    events = sorted(((int(w[1:]), i, w[0]) for i, w in enumerate(story.split())), key=lambda e: e[:2])
    letters = list(steps)
    marks = [
        sum(1 << k for k, letter in enumerate(letters) if letter == name)
        | (1 << len(letters) if exclude and name == "X" else 0)
        for _, _, name in events
    ]
    batch = Sequences(
        users=np.array([1]),
        offsets=np.array([0, len(events)]),
        times=np.array([t * SECOND for t, _, _ in events]),
        marks=np.array(marks, dtype=np.uint8),
    )
    rules = FunnelRules(
        steps=len(letters),
        window=window * SECOND,
        edges=np.array([0, 10**15]),
        exclusions=((len(letters), *exclude),) if exclude else (),
        profile=profile,
        remove=profile == "posthog",
        days=days,
    )
    found = chains(batch, rules)
    return int(found.depth[0]) if len(found) else None


# The disagreement matrix: each row was worked out from the products' own code or documentation.
MATRIX = [
    # story, steps, posthog, clickhouse, mixpanel, canonical
    ("A100 B160", "AB", 2, 2, 2, 2),
    ("A100 B161", "AB", 1, 1, 1, 1),
    ("A100 A200 B230", "AB", 2, 2, 1, 2),
    ("A100 A130 B145 C175", "ABC", 3, 3, 2, 3),
    ("A100", "AA", 1, 2, 1, 1),
    ("A100 A100", "AA", 2, 2, 2, 2),
    ("A100 B100", "AB", 2, 2, 2, 2),
    ("B100 A100", "AB", 2, 2, 2, 2),
    ("A100 B150 C200", "ABC", 2, 2, 2, 2),
    ("A100 B110 A120 C130", "ABC", 3, 3, 3, 3),
    ("A100 -110 B120", "AB", 2, 2, 2, 2),
    ("A100 B110 D115 C120 D130", "ABCD", 4, 4, 4, 4),
]


@pytest.mark.parametrize(("story", "steps", "posthog", "clickhouse", "mixpanel", "canonical"), MATRIX)
def test_where_products_disagree(story, steps, posthog, clickhouse, mixpanel, canonical):
    assert depth(story, steps, "posthog") == posthog
    assert depth(story, steps, "clickhouse") == clickhouse
    assert depth(story, steps, "mixpanel") == mixpanel
    assert depth(story, steps, None) == canonical


def test_posthog_removes_at_an_exclusion_unless_a_new_entry_redeems():
    assert depth("A100 X110 B120", "AB", "posthog", exclude=(1, 2)) is None
    assert depth("A100 X110 A115 B120", "AB", "posthog", exclude=(1, 2)) == 2
    assert depth("A100 X161", "AB", "posthog", exclude=(1, 2)) == 1  # the window was over


def test_mixpanel_drops_at_an_exclusion():
    assert depth("A100 X110 B120", "AB", "mixpanel", exclude=(1, 2)) == 1
    assert depth("A100 X110 A115 B120", "AB", "mixpanel", exclude=(1, 2)) == 1


def test_mixpanel_forgives_two_seconds():
    assert depth("B100 A102", "AB", "mixpanel") == 2
    assert depth("B100 A103", "AB", "mixpanel") == 1


def test_amplitude_counts_the_same_event_once_a_second():
    assert depth("A100 A100", "AA", "amplitude") == 1
    assert depth("A100 A101", "AA", "amplitude") == 2
    assert depth("B100 A100", "AB", "amplitude") == 2


def test_growingio_orders_by_day_and_counts_natural_days():
    days = np.arange(0, 20) * 86_400 * SECOND
    day, hour = 86_400, 3_600
    assert depth(f"B{day} A{day + hour}", "AB", "growingio", window=day, days=days) == 2
    assert depth(f"A{day + 23 * hour} B{2 * day + hour}", "AB", "growingio", window=day, days=days) == 1
    assert depth(f"A{day} B{2 * day + 23 * hour}", "AB", "growingio", window=2 * day, days=days) == 2


def random_users(n: int, seed: int = 7) -> Sequences:
    """Users with up to 12 events on a few instants: ties and repeats everywhere."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 13, n)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    owner = np.repeat(np.arange(n), sizes)
    times = rng.integers(0, 30, offsets[-1]) * SECOND
    order = np.lexsort((times, owner))
    marks = rng.choice(np.array([0, 1, 2, 4, 8, 3, 6, 15], dtype=np.uint8), offsets[-1])
    return Sequences(np.arange(n), offsets, times[order], marks)


def test_clickhouse_itself_agrees_on_random_users():
    chdb = pytest.importorskip("chdb")
    pa = pytest.importorskip("pyarrow")
    batch = random_users(100_000)
    found = chains(batch, FunnelRules(steps=4, window=7 * SECOND, edges=np.array([0, 10**12]), profile="clickhouse"))
    ours = np.bincount(found.depth, minlength=5)[1:]
    events = pa.table(
        {
            "u": np.repeat(batch.users, np.diff(batch.offsets)),
            "t": batch.times.astype(np.uint64),
            "m": batch.marks,
        }
    )
    globals()["funnel_events"] = events
    statement = (
        f"SELECT d, count() FROM (SELECT windowFunnel({7 * SECOND})(t, bitTest(m, 0), bitTest(m, 1), bitTest(m, 2),"
        " bitTest(m, 3)) AS d FROM Python(events) GROUP BY u) WHERE d > 0 GROUP BY d ORDER BY d"
    )
    rows = chdb.query(statement, "CSV").data().split()
    theirs = dict(tuple(map(int, r.split(","))) for r in rows)
    assert {i + 1: int(n) for i, n in enumerate(ours) if n} == theirs
