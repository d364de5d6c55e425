"""What people may write as a condition, and what they may not."""

from typing import NamedTuple

import duckdb
import pytest

from upswing.core.errors import UsageError
from upswing.sql.expressions import bind, parse_predicate


class Known(NamedTuple):
    name: str
    type: str
    column: str


COLUMNS = {
    k.name: k
    for k in (
        Known("amount", "number", "amount"), Known("country", "text", "country"), Known("金额", "number", "c1"),
        Known("我 的", "text", "c2"), Known("paid_at", "time", "paid_at"), Known("ok", "boolean", "ok"),
        Known("time", "text", "time_property"),
    )
}  # fmt: skip
del COLUMNS["time"]

ATTEMPTS = (
    "amount > (SELECT max(amount) FROM events)",
    "exists (select 1)",
    "amount in (select 1)",
    "amount in (from events)",
    "amount = any(select 1)",
    "read_csv('/etc/passwd') = 1",
    "read_text('/etc/passwd') like '%'",
    "exists (from read_csv('/etc/passwd'))",
    "amount > 1; drop table events",
    "amount > 1; select 1",
    "amount > 1) from read_csv('x') where (true",
    "amount > 1) union all select (1",
    "amount > 1), (select 1",
    "amount > 1) or (1=1",
    "1 = 1) --",
    "pragma_version() = 'x'",
    "duckdb_settings() is not null",
    "getenv('HOME') = 'x'",
    "current_setting('temp_directory') = 'x'",
    "glob('/*') is not null",
    "columns('.*') > 1",
    "* > 1",
    "count(*) > 1",
    "sum(amount) over () > 1",
    "row_number() over () = 1",
    "nextval('s') = 1",
    "query('select 1') = 1",
    "query_table('events') = 1",
    "amount > $1",
    "amount > ?",
    "amount > :x",
    "main.events.amount > 1",
    "cast(country as events) = 1",
    "unnest([1,2]) = 1",
    "list_transform([1], x -> x) = [1]",
    "load_extension('x')",
    "sleep(10) = 1",
    "amount > #1",
    "struct_pack(a := 1) is not null",
    "random() > 0.5",
    "now() > paid_at",
)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_condition_cannot_reach_further(attempt: str) -> None:
    with pytest.raises(UsageError) as raised:
        bind(parse_predicate(attempt), COLUMNS)
    assert raised.value.code in ("UP010", "UP011", "UP012", "UP301")


@pytest.mark.parametrize(
    "comment", ["amount > 1 -- ; drop table x", "amount > 1 /* secret */", "/* a */ amount > 1 # x"]
)
def test_comments_do_not_travel(comment: str) -> None:
    try:
        written = bind(parse_predicate(comment), COLUMNS).sql("duckdb")
    except UsageError:
        return
    assert written == '"amount" > 1'


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        ("amount > 50 and country in ('CN', 'SG')", "\"amount\" > 50 AND \"country\" IN ('CN', 'SG')"),
        ("金额 >= 3.5", '"c1" >= 3.5'),
        ("\"我 的\" = 'x'", "\"c2\" = 'x'"),
        ("AMOUNT > 1", '"amount" > 1'),
        ("not ok", 'NOT "ok"'),
        ("ok", '"ok"'),
        ("country is null or lower(country) like 'c%'", '"country" IS NULL OR LOWER("country") LIKE \'c%\''),
        ("event = 'pay'", "\"event\" = 'pay'"),
    ],
)
def test_names_become_physical_columns(written: str, bound: str) -> None:
    assert bind(parse_predicate(written), COLUMNS).sql("duckdb") == bound


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="amount") as raised:
        bind(parse_predicate("amuont > 5"), COLUMNS)
    assert raised.value.code == "UP301"


def test_the_place_of_the_trouble_is_told() -> None:
    with pytest.raises(UsageError, match="at character 8") as raised:
        parse_predicate("amount )> 1")
    assert raised.value.code == "UP010"


@pytest.mark.parametrize(
    "written", ["", "  ", "amount >", "and", "'abc", "amount > 1 and", "(" * 2000 + "1=1" + ")" * 2000]
)
def test_broken_text_is_an_error_of_ours(written: str) -> None:
    with pytest.raises(UsageError):
        parse_predicate(written)


@pytest.mark.parametrize("written", ["amount + 1", "1", "'x'", "lower(country)"])
def test_a_condition_is_yes_or_no(written: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_predicate(written)
    assert raised.value.code == "UP011"


@pytest.mark.parametrize(
    "written", ["country > 5", "amount = 'x'", "5 < country", "country in (1, 2)", "amount between 'a' and 'b'"]
)
def test_text_and_numbers_do_not_mix(written: str) -> None:
    with pytest.raises(UsageError) as raised:
        bind(parse_predicate(written), COLUMNS)
    assert raised.value.code == "UP303"


@pytest.mark.parametrize(
    ("written", "zone", "moment"),
    [
        ("time >= '2026-11-22'", "Asia/Shanghai", "2026-11-21 16:00:00"),
        ("paid_at < '2026-07-01T08:30'", "Europe/Berlin", "2026-07-01 06:30:00"),
        ("time >= '2026-11-22T00:00:00Z'", "Asia/Shanghai", "2026-11-22 00:00:00"),
        ("time >= '2026-11-22'", None, "2026-11-22 00:00:00"),
    ],
)
def test_times_are_moments_of_the_workspace(written: str, zone: str | None, moment: str) -> None:
    bound = bind(parse_predicate(written), COLUMNS, calendar_zone=zone).sql("duckdb")
    assert f"CAST('{moment}' AS TIMESTAMP)" in bound


def test_a_time_that_is_none_is_told() -> None:
    with pytest.raises(UsageError) as raised:
        bind(parse_predicate("time > 'yesterday'"), COLUMNS)
    assert raised.value.code == "UP303"


def test_bound_conditions_run() -> None:
    con = duckdb.connect()
    con.execute("CREATE TABLE t (amount DOUBLE, country VARCHAR)")
    con.execute("INSERT INTO t VALUES (60, 'CN'), (40, 'CN'), (NULL, 'US')")
    condition = bind(parse_predicate("amount > 50 or country = 'US'"), COLUMNS).sql("duckdb")
    assert con.sql("SELECT count(*) FROM t WHERE " + condition).fetchall() == [(2,)]
