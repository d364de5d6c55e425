"""Holes: values stay values, expressions keep their brackets."""

from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from upswing.sql.template import column, q

SCALARS = st.one_of(
    st.text(),
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1)),
    st.dates(min_value=date(1800, 1, 1), max_value=date(2200, 1, 1)),
)


@given(SCALARS)
def test_a_value_comes_back_as_it_went_in(value) -> None:
    if isinstance(value, str) and "\x00" in value:
        return  # no engine stores it
    assert duckdb.sql(q("SELECT $v AS v", v=value).sql("duckdb")).fetchall() == [(value,)]


@given(st.lists(st.text(st.characters(exclude_characters="\x00")), min_size=1, max_size=4), st.text("'\\;-/*$ab"))
def test_lists_are_membership(values, value) -> None:
    found = duckdb.sql(q("SELECT $v IN $list AS v", v=value, list=values).sql("duckdb")).fetchall()
    assert found == [(value in values,)]


@pytest.mark.parametrize(
    "attempt",
    [
        "'; DROP TABLE t; --",
        "' OR 1=1 --",
        "\\'; SELECT 1",
        "x'/*",
        "$other",
        "''",
        "'||(SELECT 1)||'",
        "\n;COPY t TO 'f'",
    ],
)
def test_text_never_leaves_its_hole(attempt: str) -> None:
    for dialect in ("duckdb", "clickhouse"):
        tree = q("SELECT a FROM t WHERE b = $v AND c IN $list", v=attempt, list=[attempt, "x"])
        import sqlglot

        again = sqlglot.parse(tree.sql(dialect), dialect=dialect)
        assert len(again) == 1
        assert [node.this for node in again[0].find_all(exp.Literal)] == [attempt, attempt, "x"]


def test_expressions_keep_their_meaning() -> None:
    either = q("a OR b")
    assert q("$x AND c", x=either).sql("duckdb") == "(a OR b) AND c"
    assert q("NOT $x", x=either).sql("duckdb") == "NOT (a OR b)"
    assert q("$x IN (1)", x=q("a OR b")).sql("duckdb") == "(a OR b) IN (1)"
    assert q("$x * 2", x=q("a + 1")).sql("duckdb") == "(a + 1) * 2"
    assert q("SELECT n FROM $s AS s", s=q("SELECT 1 AS n")).sql("duckdb") == "SELECT n FROM (SELECT 1 AS n) AS s"
    assert q("SELECT $c FROM t", c=column('我 的"列')).sql("duckdb") == 'SELECT "我 的""列" FROM t'


def test_negative_numbers_do_not_become_comments() -> None:
    assert duckdb.sql(q("SELECT 1 - $n AS v", n=-5).sql("duckdb")).fetchall() == [(6,)]
    assert duckdb.sql(q("SELECT 1 -$n AS v", n=-0.5).sql("duckdb")).fetchall() == [(1.5,)]


def test_aware_times_are_utc() -> None:
    there = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    assert q("SELECT $t", t=there).sql("duckdb") == q("SELECT $t", t=datetime(2026, 1, 1, tzinfo=UTC)).sql("duckdb")


def test_numpy_numbers_are_numbers() -> None:
    assert q("SELECT $a, $b", a=np.int64(3), b=np.float64(0.5)).sql("duckdb") == "SELECT 3, 0.5e0"


@pytest.mark.parametrize("holes", [{}, {"a": 1, "b": 2}, {"b": 1}])
def test_missing_and_extra_holes_are_refused(holes) -> None:
    with pytest.raises(TypeError, match="holes do not fit"):
        q("SELECT $a", **holes)


@pytest.mark.parametrize("value", [object(), float("nan"), b"x", [float("inf")]])
def test_values_without_a_literal_are_refused(value) -> None:
    with pytest.raises(TypeError):
        q("SELECT $a", a=value)
