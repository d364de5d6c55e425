"""Published and recomputed numbers of real logs, read where they are."""

import duckdb
import pytest

from tests.realdata import data_file
from upswing.core.calendar import Calendar
from upswing.diagnose.distribution import distribution
from upswing.diagnose.lifecycle import lifecycle
from upswing.diagnose.paths import transitions
from upswing.diagnose.retention import retention
from upswing.diagnose.stickiness import stickiness
from upswing.engines.duckdb import DuckDBEngine
from upswing.engines.external import ExternalEvents
from upswing.events.log import EventLog
from upswing.spec.paths import PathsDefinition
from upswing.spec.retention import RetentionDefinition
from upswing.spec.steps import EventMatch

pytestmark = pytest.mark.realdata
ANY = EventMatch(event="*")
RELAX = "relax_engagement/takehome_user_engagement.parquet"


def open_log(folder, file, **columns):
    events = ExternalEvents(path=data_file(file), **columns)
    return EventLog(DuckDBEngine.external(events, spine_dir=folder / "spine"), Calendar("UTC"))


@pytest.mark.parametrize(("window", "adopted"), [("7d", 1602), ("8d", 1656)])
def test_adopted_users_of_relax(tmp_path, window, adopted):
    """Three days within seven: 1,602 users; 1,656 when a day more counts. Public solutions differ exactly here."""
    log = open_log(
        tmp_path,
        "relax_engagement/takehome_user_engagement.parquet",
        time="time_stamp",
        user="user_id",
        event_name="login",
    )
    found = distribution(log, EventMatch(event="login"), measure="active_days", window=window)
    assert found.users == 8823
    assert len(found.users_in(at_least=3)) == adopted


def test_relax_retention_is_what_sql_counts(tmp_path):
    log = open_log(tmp_path, RELAX, time="time_stamp", user="user_id", event_name="login")
    login = EventMatch(event="login")
    definition = RetentionDefinition(name="r", start=login, period="month", periods=3, entry="first-time")
    found = retention(log, definition)
    rows = duckdb.sql(
        f"""WITH m AS (SELECT DISTINCT user_id, date_trunc('month', time_stamp::DATE) AS month
        FROM '{data_file(RELAX)}'),
        f AS (SELECT user_id, min(month) AS first FROM m GROUP BY 1)
        SELECT strftime(first, '%Y-%m'), date_diff('month', first, month) AS lag, count(*) FROM m JOIN f USING (user_id)
        WHERE lag <= 3 GROUP BY ALL"""
    ).fetchall()
    cells = {(c.start, lag): n for c in found.cohorts for lag, n in enumerate(c.retained) if n}
    assert cells == {(start, lag): n for start, lag, n in rows}


def test_collegemsg_senders_by_day_and_their_lifecycle(tmp_path):
    file = "collegemsg/CollegeMsg.parquet"
    log = open_log(tmp_path, file, time="unixts", user="source_user", event_name="message")
    assert log.schema.n_events == 59835
    rows = duckdb.sql(
        f"SELECT strftime(to_timestamp(unixts) AT TIME ZONE 'UTC', '%Y-%m-%d'), count(DISTINCT source_user) "
        f"FROM '{data_file(file)}' GROUP BY 1"
    ).fetchall()
    series = stickiness(log, ANY, period="month").series
    assert {a.day: a.dau for a in series if a.dau} == dict(rows)
    found = lifecycle(log, ANY, period="day")
    assert {p.start: p.active for p in found.periods if p.active} == dict(rows)
    assert sum(p.new for p in found.periods) == log.schema.n_users


@pytest.mark.parametrize(
    ("file", "columns", "cases"),
    [
        ("helpdesk/events.parquet", ("time:timestamp", "case:concept:name", "concept:name"), 4580),
        ("bpic2012_loan/events.parquet", ("time:timestamp", "case:concept:name", "concept:name"), 13087),
        ("retentioneering/simple_onlineshop_v3.3.0.parquet", ("timestamp", "user_id", "event"), 3751),
    ],
)
def test_transitions_of_public_logs(tmp_path, file, columns, cases):
    """One start and one end a case; every other event follows another one: the totals must come to the log's size."""
    time, user, event = columns
    log = open_log(tmp_path, file, time=time, user=user, event=event)
    found = transitions(log, PathsDefinition(name="t", session_gap="none", collapse=False))
    assert found.units == cases
    assert sum(n for _, n in found.starts) == sum(n for _, n in found.ends) == cases
    rows = duckdb.sql(
        f"""WITH e AS (SELECT "{event}" AS a, lead("{event}") OVER (PARTITION BY "{user}" ORDER BY "{time}"::TIMESTAMP,
        file_row_number) AS b FROM read_parquet('{data_file(file)}', file_row_number = true))
        SELECT a, b, count(*) FROM e WHERE b IS NOT NULL GROUP BY ALL"""
    ).fetchall()
    assert {(t.source, t.target): t.count for t in found.transitions} == {(a, b): n for a, b, n in rows}
