"""Identity by the letter of its rule: an oracle that asks for one event at a time."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.logs import actual, write_log
from tests.oracles.event import Event
from tests.strategies import EPOCH, short_logs
from upswing.core.errors import DataError
from upswing.engines.base import Mark, Query, SequenceRequest
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.identity import FOREVER, Alias, resolve
from upswing.sql.template import q

IDS = ("u0", "u1", "u2", "d", "nobody")
GRID = 10_000_000


class CircleError(Exception):
    pass


def owner(user: str, time: int, aliases: list[tuple]) -> str:
    """Follow aliases at one instant: the latest row not after it, else the first row."""
    path = [user]
    while True:
        own = sorted(((-1e30 if t is None else t, i, to) for i, (a, to, t) in enumerate(aliases) if a == path[-1]))
        if not own:
            return path[-1]
        started = [row for row in own if row[0] <= time]
        first = [row for row in own if row[0] == own[0][0]]
        to = (started or first)[-1][2]
        if to == path[-1]:
            return to
        if to in path:
            raise CircleError
        path.append(to)


def alias_lists():
    time = st.one_of(st.none(), st.integers(0, 12).map(lambda t: EPOCH + t * GRID))
    return st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(IDS), time), max_size=5)


@given(alias_lists())
def test_intervals_are_what_each_instant_says(aliases) -> None:
    rows = sorted(aliases, key=lambda r: -1e30 if r[2] is None else r[2])
    instants = [EPOCH + t * GRID + d for t in range(-1, 14) for d in (0, 1)]
    try:
        truth = {(u, t): owner(u, t, rows) for u in IDS for t in instants}
    except CircleError:
        with pytest.raises(DataError, match="UP342"):
            resolve(Alias(*row) for row in rows)
        return
    intervals = resolve(Alias(*row) for row in rows)
    for (user, time), person in truth.items():
        hits = [i.canonical for i in intervals if i.user_id == user and i.start <= time < i.stop]
        assert (hits or [user]) == [person]
    for user in {i.user_id for i in intervals}:
        own = [i for i in intervals if i.user_id == user]
        assert own[-1].stop == FOREVER
        assert all(a.stop == b.start for a, b in zip(own, own[1:], strict=False))


@given(short_logs(users=3), alias_lists(), st.lists(st.integers(0, 9), max_size=2))
@settings(deadline=None, max_examples=40)
def test_queries_and_sequences_see_people(log: list[Event], aliases, cuts) -> None:
    rows = sorted(aliases, key=lambda r: -1e30 if r[2] is None else r[2])
    try:
        moved = [e._replace(user=owner(e.user, e.time, rows)) for e in log]
        for user in IDS:
            for tick in range(-1, 14):
                owner(user, EPOCH + tick * GRID, rows)
    except CircleError:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.duckdb"
        write_log(path, log, aliases=rows, cuts=[min(c, len(log)) for c in cuts])
        engine = DuckDBEngine.open(path)
        try:
            truth = sorted((e.user, e.time, e.name) for e in moved)
            listed = engine.rows(Query(q("SELECT user_id, epoch_us(time), event FROM events ORDER BY 1, 2, 3")))
            assert listed == truth
            assert engine.schema().n_users == len({e.user for e in moved})
            found = actual(engine, SequenceRequest(marks=(Mark(),)))
            assert sorted((u, t) for u, events in found.items() for t, _ in events) == [(u, t) for u, t, _ in truth]
            assert all(events == sorted(events) for events in found.values())
            keyed = engine.rows(
                Query(q("SELECT DISTINCT u.user_id FROM events AS e JOIN users AS u ON u.user_key = e.user_key"))
            )
            assert {row[0] for row in keyed} == {e.user for e in moved}
        finally:
            engine.close()


def test_a_device_with_two_logins(tmp_path: Path) -> None:
    log = [Event("d", EPOCH + t, t, "open", {}) for t in (0, 10, 20, 30)]
    write_log(tmp_path / "log.duckdb", log, aliases=[("d", "u1", EPOCH + 10), ("d", "u2", EPOCH + 25)])
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    found = engine.rows(Query(q("SELECT user_id, count(*) FROM events GROUP BY 1 ORDER BY 1")))
    assert found == [("u1", 3), ("u2", 1)]
    assert engine.user_ids(engine.user_keys(["d"])) == ["u2"]  # whom the device stands for now
    engine.close()


def test_a_circle_is_named(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", [Event("a", EPOCH, 0, "x", {})], aliases=[("a", "b", None), ("b", "a", None)])
    with pytest.raises(DataError, match="a → b → a|b → a → b"):
        DuckDBEngine.open(tmp_path / "log.duckdb")


def test_no_join_without_need(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", [Event("a", EPOCH, 0, "x", {})])
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert "JOIN" not in engine.render(Query(q("SELECT count(*) FROM events")))
    assert "JOIN" in engine.render(Query(q("SELECT count(DISTINCT user_id) FROM events")))
    engine.close()
