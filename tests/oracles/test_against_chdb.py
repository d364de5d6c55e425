"""The ClickHouse profile's oracle, and two canonical settings, against the real windowFunnel and retention()."""

import json
import random
from collections.abc import Callable

import pytest

from tests.oracles.event import Event, by_user
from tests.oracles.funnel import funnel
from tests.oracles.profiles import profiled
from tests.oracles.retention import retention

chdb = pytest.importorskip("chdb", reason="the ClickHouse engine in process is not installed")

USERS = 3000
WINDOW = 5


def crowded_log(seed: int) -> list[Event]:
    """Few instants and few names, so that ties, repeats and exact windows abound."""
    draw = random.Random(seed)
    rows: list[Event] = []
    for user in range(USERS):
        for _ in range(draw.randint(1, 7)):
            rows.append(Event(str(user), draw.randint(1, 12), len(rows), draw.choice("ABCX"), {}))
    return rows


def by_engine(log: list[Event], mode: str, steps: str) -> dict[str, int]:
    conditions = ", ".join(f"name = '{s}'" for s in steps)
    values = ", ".join(f"({e.user}, {e.time}, '{e.name}')" for e in log)
    sql = (
        f"SELECT toString(u) AS user, windowFunnel({WINDOW}{mode})(toUInt64(t), {conditions}) AS level "
        f"FROM values('u UInt32, t UInt32, name String', {values}) GROUP BY u"
    )
    lines = str(chdb.query(sql, "JSONEachRow")).splitlines()
    return {row["user"]: int(row["level"]) for row in map(json.loads, lines) if int(row["level"])}


def conditions_of(steps: str) -> list[Callable[[Event], bool]]:
    return [lambda e, s=s: e.name == s for s in steps]  # type: ignore[misc]


@pytest.mark.parametrize("steps", ["ABC", "AAB", "ABA", "AAA"])
def test_the_clickhouse_profile_is_window_funnel(steps):
    log = crowded_log(1)
    ours = profiled("clickhouse", log, steps=conditions_of(steps), window=WINDOW)
    assert {u: t.depth for u, t in ours.units.items()} == by_engine(log, "", steps)


def test_unordered_ties_are_the_default_mode_when_steps_differ():
    log = crowded_log(2)
    ours = funnel(log, steps=conditions_of("ABC"), window=WINDOW)
    assert {u: t.depth for u, t in ours.units.items()} == by_engine(log, "", "ABC")


def test_strict_ties_are_strict_increase_but_never_lose_an_older_entry():
    """windowFunnel keeps the newest entry only: A1 A2 B2 is 1 there, while A at 1 and B at 2 is a legal chain."""
    log = crowded_log(2)
    ours = {u: t.depth for u, t in funnel(log, steps=conditions_of("ABC"), window=WINDOW, tie="strict").units.items()}
    theirs = by_engine(log, ", 'strict_increase'", "ABC")
    assert ours.keys() == theirs.keys()
    assert all(ours[u] >= theirs[u] for u in ours)
    crowded = {u for u, own in by_user(log).items() if len({e.time for e in own}) < len(own)}
    assert all(ours[u] == theirs[u] for u in ours.keys() - crowded)


def test_one_event_one_step_is_strict_once_when_steps_repeat():
    log = crowded_log(3)
    ours = funnel(log, steps=conditions_of("AAB"), window=WINDOW)
    assert {u: t.depth for u, t in ours.units.items()} == by_engine(log, ", 'strict_once'", "AAB")


def test_retention_function_of_clickhouse_on_three_days():
    day = 86_400_000_000
    draw = random.Random(4)
    log = [Event(str(u), d * day, 3 * u + d, "open", {}) for u in range(500) for d in range(3) if draw.random() < 0.6]
    values = ", ".join(f"({e.user}, {e.time // day})" for e in log)
    sql = (
        "SELECT sum(r[1]), sum(r[2]), sum(r[3]) FROM (SELECT retention(d = 0, d = 1, d = 2) AS r "
        f"FROM values('u UInt32, d UInt32', {values}) GROUP BY u)"
    )
    theirs = [int(x) for x in str(chdb.query(sql, "CSV")).strip().split(",")]
    ours = retention(log, start=lambda e: e.time < day, returns=lambda e: True, period="day", periods=2)
    assert ours.rows() == [theirs]
