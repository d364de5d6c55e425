"""A log that grows while it is served: every engine equals one that is opened afresh on the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.engines import live
from upswing.engines.base import Mark, SequenceRequest
from upswing.engines.duckdb import DuckDBEngine, connect
from upswing.engines.live import LiveLog, LogRewrittenError
from upswing.engines.source import attach
from upswing.events.compact import compact
from upswing.events.identity import add_aliases, list_aliases, remove_aliases
from upswing.events.importer import import_arrow
from upswing.events.store import EventStore
from upswing.sql.expressions import bind, parse_predicate

Row = tuple[str, int, str, int]
Said = tuple[str, str, str | None]

rows = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.integers(0, 5), st.sampled_from(["open", "pay", "leave"]), st.integers(0, 3)
    ),
    min_size=1,
    max_size=12,
)


@contextmanager
def served(folder: Path, *, fresh_seconds: float = 0) -> Iterator[tuple[LiveLog, EventStore]]:
    """A log that one instance both writes and reads."""
    path = folder / "events.duckdb"
    EventStore.create(path).close()
    instance = connect(folder)
    attach(instance, path, read_only=False)
    writer = instance.cursor()
    writer.execute("USE log.main")
    yield LiveLog(instance, path, fresh_seconds=fresh_seconds), EventStore(path, writer)
    instance.close()


def add(store: EventStore, some: list[Row], batch: int) -> None:
    """Import rows; each batch is a day of its own so that no row is taken for a repeat, and days come in any order."""
    day = 1 + batch * 7 % 20
    table = pa.table({
        "user": [u for u, *_ in some],
        "time": [datetime(2026, 1, day, t, i % 60, tzinfo=UTC) for i, (_, t, *_) in enumerate(some)],
        "event": [e for _, _, e, _ in some],
        "amount": [a for *_, a in some],
    })  # fmt: skip
    import_arrow(store, table, calendar=Calendar(), source=f"batch {batch}")


def sequences(engine: DuckDBEngine, *, where: str | None = None) -> dict[str, list[tuple[int, int]]]:
    """Each user's events as (time, marks)."""
    amount = bind(parse_predicate("amount > 1"), engine.schema().properties)
    request = SequenceRequest(
        marks=(Mark(("open",)), Mark(("pay",), amount), Mark(None)),
        where=None if where is None else bind(parse_predicate(where), engine.schema().properties),
        unmarked=True,
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for batch in engine.sequences(request):
        for name, lo, hi in zip(engine.user_ids(batch.users), batch.offsets, batch.offsets[1:], strict=False):
            assert name not in found
            found[name] = list(zip(batch.times[lo:hi].tolist(), batch.marks[lo:hi].tolist(), strict=True))
    return found


def afresh(engine: DuckDBEngine) -> DuckDBEngine:
    """An engine on a copy of the file."""
    path = engine.source.path  # type: ignore[attr-defined]
    copy = path.parent / "copy.duckdb"
    copy.unlink(missing_ok=True)
    with engine._connection.cursor() as cursor:
        cursor.execute("CHECKPOINT log")
        cursor.execute(f"ATTACH '{copy}' AS copied")
        cursor.execute("COPY FROM DATABASE log TO copied")
        cursor.execute("DETACH copied")
    return DuckDBEngine.open(copy, spine_dir=path.parent / "copy.spine")


@settings(max_examples=25)
@given(st.lists(rows, min_size=1, max_size=5), st.sampled_from([None, "amount <> 2"]))
def test_growing_equals_opening_afresh(batches: list[list[Row]], where: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (log, store):
        for number, batch in enumerate(batches):
            add(store, batch, number)
            engine = log.refresh()
            assert engine.grown == (number > 0)
            twin = afresh(engine)
            assert sequences(engine, where=where) == sequences(twin, where=where)
            mine, theirs = engine.schema(), twin.schema()
            assert (mine.events, mine.n_events, mine.n_users, mine.first_time, mine.horizon) == (
                theirs.events, theirs.n_events, theirs.n_users, theirs.first_time, theirs.horizon
            )  # fmt: skip
            twin.close()


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from("uvwxyz"), st.sampled_from("abcd")), unique_by=lambda pair: pair[0], max_size=4),
    st.lists(rows, min_size=1, max_size=3),
)
def test_who_is_whom_may_be_said_before_their_events(said: list[tuple[str, str]], batches: list[list[Row]]) -> None:
    """Devices and accounts of which nothing has been heard yet, as when sign-ups are known before the events come in."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (log, store):
        add_aliases(store, said, calendar=Calendar())
        log.refresh()
        for number, batch in enumerate(batches):
            devices = dict(zip("abcdef", "uvwxyz", strict=True))
            add(store, [(devices[u] if i % 2 else u, t, e, n) for i, (u, t, e, n) in enumerate(batch)], number)
            engine = log.refresh()
            twin = afresh(engine)
            assert sequences(engine) == sequences(twin)
            twin.close()


people = st.sampled_from(["a", "b", "c", "d", "e", "f", "ghost"])
said = st.lists(st.tuples(people, people, st.sampled_from([None, "2026-01-03", "2026-01-09"])), max_size=4)


@settings(max_examples=40)
@given(st.lists(st.tuples(rows, said, st.booleans()), min_size=2, max_size=5), st.sampled_from([None, "amount <> 2"]))
def test_new_aliases_equal_opening_afresh(turns: list[tuple[list[Row], list[Said], bool]], where: str | None) -> None:
    """Aliases are said and taken back between batches, of ids with and without events; each engine grows from the last."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (log, store):
        for number, (batch, statements, take_back) in enumerate(turns):
            if take_back and (held := list_aliases(store)):
                remove_aliases(store, [(held[0].alias, held[0].canonical)], calendar=Calendar())
            for statement in statements:
                with suppress(DataError):  # of itself, in a circle, or of two
                    add_aliases(store, [statement], calendar=Calendar())
            add(store, batch, number)
            engine = log.refresh()
            assert engine.grown == (number > 0)
            twin = afresh(engine)
            assert sequences(engine, where=where) == sequences(twin, where=where)
            mine, theirs = engine.schema(), twin.schema()
            assert (mine.events, mine.n_events, mine.n_users) == (theirs.events, theirs.n_events, theirs.n_users)
            twin.close()


class Clock:
    """Time that passes when it is told to, and while the log is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.reading_takes = 0.0
        read = live.LiveSource.__init__

        def slowly(*given: object, **named: object) -> None:
            self.now += self.reading_takes
            read(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(live.LiveSource, "__init__", slowly)
        monkeypatch.setattr("upswing.engines.live.time.monotonic", lambda: self.now)


def test_a_slow_first_look_does_not_keep_later_events_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first growth of a log compiles what grows it; the second one, of another shape, once more."""
    clock = Clock(monkeypatch)
    with served(tmp_path, fresh_seconds=2) as (log, store):
        assert log.engine().schema().n_events == 0
        for number, seconds in enumerate((8.0, 8.0, 0.01, 0.01)):
            clock.reading_takes = seconds
            add(store, [("a", 1, "open", 1)], number)
            clock.now += 3
            assert log.engine().schema().n_events == number + 1


def test_no_answer_is_of_a_log_long_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long growing takes: seen without waiting at first, waited for in the end."""
    clock = Clock(monkeypatch)
    with served(tmp_path, fresh_seconds=2) as (log, store):
        clock.reading_takes = 4.0
        for number in range(4):
            add(store, [("a", 1, "open", 1)], number)
            log.refresh()
        add(store, [("a", 1, "open", 1)], 4)
        clock.now += 3
        assert log.engine().schema().n_events == 4
        clock.now += 20
        assert log.engine().schema().n_events == 5


def test_a_question_keeps_the_moment_it_was_asked(tmp_path: Path) -> None:
    with served(tmp_path) as (log, store):
        add(store, [("a", 1, "open", 1), ("b", 2, "pay", 2)], 0)
        before = log.engine()
        known = sequences(before)
        add(store, [("a", 0, "pay", 3), ("c", 0, "leave", 3)], 1)
        assert sequences(before) == known
        assert before.schema().n_events == 2
        assert set(sequences(log.refresh())) == {"a", "b", "c"}


def test_aliases_move_rows_and_compaction_makes_a_new_beginning(tmp_path: Path) -> None:
    with served(tmp_path) as (log, store):
        add(store, [("a", 1, "open", 1), ("b", 2, "pay", 2)], 0)
        add(store, [("a", 3, "open", 1), ("c", 2, "pay", 2)], 1)
        apart = log.engine()
        add_aliases(store, [("b", "a")], calendar=Calendar())
        joined = log.refresh()
        assert joined.grown
        known = sequences(joined)
        assert set(known) == {"a", "c"}
        assert set(sequences(apart)) == {"a", "b", "c"}  # asked before, answered as before
        compact(store)
        compacted = log.refresh()
        assert not compacted.grown
        assert sequences(compacted) == known
        with pytest.raises(LogRewrittenError):
            sequences(joined, where="amount > 0")
        add(store, [("b", 4, "open", 1)], 2)
        grown = log.refresh()
        assert grown.grown
        assert len(sequences(grown)["a"]) == len(sequences(compacted)["a"]) + 1


def test_rows_that_moved_are_noticed(tmp_path: Path) -> None:
    with served(tmp_path) as (log, store):
        add(store, [("b", 1, "open", 1), ("a", 2, "pay", 2), ("c", 0, "pay", 0)], 0)
        add(store, [("a", 3, "open", 1), ("d", 2, "pay", 2)], 1)
        before = log.engine()
        with store.transaction():
            store.run("DELETE FROM events WHERE user_key = (SELECT min(user_key) FROM events)")
            store.bump("data_version")
        with pytest.raises(LogRewrittenError):
            sequences(before)


def test_statements_are_shown_as_for_a_log_at_rest(tmp_path: Path) -> None:
    with served(tmp_path) as (log, store):
        add(store, [("a", 1, "open", 1)], 0)
        engine = log.engine()
        amount = bind(parse_predicate("amount > 1"), engine.schema().properties)
        request = SequenceRequest(marks=(Mark(None, amount),))
        assert not any("rowid" in statement for statement in engine.sequence_sql(request))
        assert engine.sequence_sql(request) == afresh(engine).sequence_sql(request)


def test_identity_tables_go_with_the_engines_that_used_them(tmp_path: Path) -> None:
    with served(tmp_path) as (log, store):
        add(store, [("a", 1, "open", 1), ("b", 2, "pay", 2)], 0)
        for n in range(3):
            add_aliases(store, [(f"x{n}", "a")], calendar=Calendar())
            engine = log.refresh()
            sequences(engine)
        with engine._connection.cursor() as cursor:
            held = cursor.execute("SELECT count(*) FROM duckdb_tables() WHERE database_name = 'memory'").fetchall()
        assert held == [(2,)]
