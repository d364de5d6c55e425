"""The same random logs and requests through the spine, through Parquet without import and through ClickHouse."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.logs import Asked, actual, as_arrow, expected, no_nan, with_group_of_keys, write_log
from tests.oracles.event import Event
from tests.strategies import EPOCH, NAMES, short_logs
from upswing.core.errors import EngineError
from upswing.engines.base import Category, Key, Mark, Number, Query, SequenceRequest
from upswing.engines.clickhouse import ClickHouseEngine
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.external import ExternalEvents
from upswing.sql.template import q

GRID = 10_000_000
PREDICATES = {
    None: lambda e: True,
    "n > 1": lambda e: e.props.get("n") is not None and e.props["n"] > 1,
    "p = 'a'": lambda e: e.props.get("p") == "a",
    "p = 'a' or n <= 0": lambda e: e.props.get("p") == "a" or (e.props.get("n") is not None and e.props["n"] <= 0),
    "not p in ('a')": lambda e: e.props.get("p") not in (None, "a"),
    "p is distinct from 'b'": lambda e: e.props.get("p") != "b",
    "q is null": lambda e: e.props.get("q") is None,
    "event = 'A'": lambda e: e.name == "A",
    "n % 2 = 0": lambda e: e.props.get("n") is not None and e.props["n"] % 2 == 0,
}


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Marks with and without predicates, filters, ranges and all kinds of columns."""
    predicates = st.sampled_from(list(PREDICATES))
    marks, tests = [], []
    for _ in range(draw(st.sampled_from((1, 2, 3, 9, 20)))):
        names = draw(st.one_of(st.none(), st.sets(st.sampled_from([*NAMES, "never"]), min_size=1, max_size=2)))
        where = draw(predicates)
        marks.append(Mark(None if names is None else tuple(sorted(names)), where and q(where)))
        tests.append(lambda e, names=names, where=where: (names is None or e.name in names) and PREDICATES[where](e))
    keep = draw(st.sampled_from((None, None, "n > 1", "p = 'a'")))
    bounds = st.one_of(st.none(), st.integers(-1, 13).map(lambda t: EPOCH + t * GRID))
    request = SequenceRequest(
        marks=tuple(marks),
        columns=(Category(q("p"), ("b", "zz")), Number(q("n")), Key(q("q"))),
        where=keep and q(keep),
        start=draw(bounds),
        stop=draw(bounds),
        unmarked=draw(st.booleans()),
    )
    columns = [
        lambda e: {None: -1, "b": 0}.get(e.props.get("p"), 2),
        lambda e: None if e.props.get("n") is None else float(e.props["n"]),
        lambda e: e.props.get("q"),
    ]
    return Asked(request, tests, PREDICATES[keep], columns)


def comparable(rows):
    return with_group_of_keys(no_nan(rows), 4)


@given(short_logs(users=4), questions(), st.lists(st.integers(0, 20), max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_spine_gives_the_events_of_the_log(log: list[Event], asked: Asked, cuts: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.duckdb"
        write_log(path, log, cuts=[min(c, len(log)) for c in cuts])
        engine = DuckDBEngine.open(path)
        try:
            assert comparable(actual(engine, asked.request)) == comparable(expected(log, asked))
        finally:
            engine.close()


@given(short_logs(users=4), questions())
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_parquet_without_import_gives_the_same(log: list[Event], asked: Asked) -> None:
    with TemporaryDirectory() as folder:
        half = len(log) // 2
        pq.write_table(as_arrow(log[:half]), Path(folder) / "1.parquet")
        pq.write_table(as_arrow(log[half:]), Path(folder) / "2.parquet")
        events = ExternalEvents(Path(folder), time="time", user="user_id", event="event")
        engine = DuckDBEngine.external(events, spine_dir=Path(folder) / "spine")
        try:
            assert comparable(actual(engine, asked.request)) == comparable(expected(log, asked))
        finally:
            engine.close()


@pytest.fixture(scope="module")
def clickhouse():
    pytest.importorskip("chdb")
    engine = ClickHouseEngine.open("chdb://")
    yield engine
    engine.close()


def test_clickhouse_gives_the_same(clickhouse: ClickHouseEngine) -> None:
    @given(short_logs(users=4), questions())
    @settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
    def check(log: list[Event], asked: Asked) -> None:
        clickhouse.load(as_arrow(log))
        assert comparable(actual(clickhouse, asked.request)) == comparable(expected(log, asked))

    check()


AGGREGATES = (
    "SELECT event, count(*) AS n, count(DISTINCT user_id) AS u FROM events GROUP BY event ORDER BY event",
    "SELECT p, sum(n) AS s, min(n) AS lo, quantile_cont(n, 0.3) AS x FROM events GROUP BY p ORDER BY p",
    "SELECT user_id, arg_max(p, time) FILTER (WHERE NOT p IS NULL) AS last FROM events GROUP BY user_id ORDER BY user_id",
    "SELECT sum(n) AS s, count(*) AS c FROM events WHERE event = 'never'",
    "SELECT user_id, epoch_us(time) AS t, event FROM events ORDER BY 1, 2, 3",
    "SELECT count(*) AS n FROM users",
    "WITH firsts AS (SELECT user_key, min(time) AS t FROM events GROUP BY user_key) SELECT count(*) AS n FROM firsts",
)


def about(value):
    return pytest.approx(value) if isinstance(value, float) else value


def test_aggregates_agree_between_engines(clickhouse: ClickHouseEngine) -> None:
    @given(short_logs(users=4).filter(bool))
    @settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
    def check(log: list[Event]) -> None:
        # arg_max is settled by time alone: keep one event per user and time
        log = list({(e.user, e.time): e for e in log}.values())
        clickhouse.load(as_arrow(log))
        with TemporaryDirectory() as folder:
            write_log(Path(folder) / "log.duckdb", log)
            engine = DuckDBEngine.open(Path(folder) / "log.duckdb")
            try:
                for statement in AGGREGATES:
                    query = Query(q(statement))
                    assert clickhouse.rows(query) == [tuple(map(about, r)) for r in engine.rows(query)], statement
                    assert engine.arrow(query).column_names == clickhouse.arrow(query).column_names
                one, two = engine.schema(), clickhouse.schema()
                assert (one.events, one.n_users, one.first_time) == (two.events, two.n_users, two.first_time)
                assert one.horizon == two.horizon
            finally:
                engine.close()

    check()


@given(short_logs(users=4), st.sets(st.sampled_from(("u0", "u1", "u2", "u9"))))
@settings(deadline=None, max_examples=25)
def test_chosen_users_only(log: list[Event], chosen: set[str]) -> None:
    asked = Asked(SequenceRequest(marks=(Mark(),)), [lambda e: True], lambda e: True, [])
    with TemporaryDirectory() as folder:
        write_log(Path(folder) / "log.duckdb", log)
        engine = DuckDBEngine.open(Path(folder) / "log.duckdb")
        try:
            request = SequenceRequest(marks=(Mark(),), users=engine.user_keys(sorted(chosen)))
            assert actual(engine, request) == expected(log, asked, users=chosen)
        finally:
            engine.close()


SAMPLE = [Event(f"u{i % 7}", EPOCH + (i * 37 % 91) * GRID, i, NAMES[i % 5], {"n": i}) for i in range(3000)]
MARK = SequenceRequest(marks=(Mark(("A",), q("n > 10")),), unmarked=True)
SAMPLE_ASKED = Asked(MARK, [lambda e: e.name == "A" and e.props["n"] > 10], lambda e: True, [])


def test_rows_out_of_the_relied_on_order_are_noticed(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    engine.spine()
    place = next(p for p in (tmp_path / "log.spine").iterdir() if p.is_dir())
    engine.close()
    wrong = np.load(place / "parity.npy")[::-1].copy()
    np.save(place / "parity.npy", wrong)  # as if rows came in another order than when the spine was built
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert actual(engine, MARK) == expected(SAMPLE, SAMPLE_ASKED)
    engine.close()


def test_rows_that_never_come_in_order_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    build = DuckDBEngine._build

    def misbuilt(self, version):
        made = build(self, version)
        return replace(made, parity=~made.parity)

    monkeypatch.setattr(DuckDBEngine, "_build", misbuilt)
    with pytest.raises(EngineError, match="UP703"):
        list(engine.sequences(MARK))
    engine.close()


def test_mapped_columns_of_another_format_are_written_anew(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert actual(engine, MARK) == expected(SAMPLE, SAMPLE_ASKED)
    engine.close()
    described = next((tmp_path / "log.spine").glob("*/meta.json"))
    described.write_text(described.read_text().replace('"format": ', '"format": 9'))
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert actual(engine, MARK) == expected(SAMPLE, SAMPLE_ASKED)
    engine.close()


def test_several_runs_need_no_order_from_the_table(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE, cuts=[500, 1700])
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    assert engine.spine().order is not None
    assert actual(engine, MARK) == expected(SAMPLE, SAMPLE_ASKED)
    engine.close()
    write_log(tmp_path / "one.duckdb", SAMPLE)
    engine = DuckDBEngine.open(tmp_path / "one.duckdb")
    assert engine.spine().order is None
    engine.close()


def test_a_condition_on_user_id(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE, cuts=[900])
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    request = SequenceRequest(marks=(Mark(None, q("user_id = 'u3'")),))
    assert set(actual(engine, request)) == {"u3"}
    assert sum(len(rows) for rows in actual(engine, request).values()) == sum(e.user == "u3" for e in SAMPLE)
    engine.close()


def test_sixty_four_marks_with_as_many_conditions(tmp_path: Path) -> None:
    write_log(tmp_path / "log.duckdb", SAMPLE)
    engine = DuckDBEngine.open(tmp_path / "log.duckdb")
    request = SequenceRequest(marks=tuple(Mark(None, q("n = $k", k=k)) for k in range(64)), where=q("n < 100"))
    asked = Asked(request, [lambda e, k=k: e.props["n"] == k for k in range(64)], lambda e: e.props["n"] < 100, [])
    assert actual(engine, request) == expected(SAMPLE, asked)
    engine.close()
