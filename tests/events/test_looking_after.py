"""Quarantine, catalogue and quality."""

import csv
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from tests.events.conftest import rows_of
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError
from upswing.events.catalogue import catalogue
from upswing.events.importer import import_arrow
from upswing.events.mapping import ColumnMapping
from upswing.events.quality import check_quality
from upswing.events.quarantine import (
    clear_quarantine,
    count_by_reason,
    export_quarantine,
    quarantined,
    retry_quarantine,
)

START = datetime(2026, 1, 5, tzinfo=UTC)
NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000


def test_rows_are_tried_again_under_another_format(store, load):
    load(
        "user,time,event,p\na,2026-01-01,x,1\nb,2026-01-02,x,2\nc,2026-01-02,x,3\nd,03.01.26,x,4\n,bad,x,5\ne,f\n",
        mapping=ColumnMapping(time_format="iso"),
    )
    assert count_by_reason(store) == {"bad_time": 1, "malformed_row": 1, "missing_user": 1}
    summary = retry_quarantine(store, mapping=ColumnMapping(time_format="%d.%m.%y"), calendar=Calendar())
    assert summary.rows_added == 1
    assert rows_of(store, "p")[-1] == ("d", 1767398400_000_000, "x", 4)
    assert count_by_reason(store) == {"malformed_row": 1, "missing_user": 1}
    still = next(r for r in quarantined(store) if r.reason == "missing_user")
    assert still.line == 6
    assert still.source.endswith(".csv")  # the file, not the second try
    with pytest.raises(DataError) as caught:
        retry_quarantine(store, mapping=ColumnMapping(), calendar=Calendar(), source="no such file")
    assert caught.value.code == "UP345"


def test_quarantine_is_listed_exported_and_cleared(store, load, tmp_path):
    load("user,time,event\na,2026-01-01,x\n,2026-01-01,x\nb,2026-01-01,\n")
    rows = quarantined(store)
    assert [(r.line, r.reason, str(r.message)) for r in rows] == [
        (3, "missing_user", "no user"),
        (4, "missing_event", "no event name"),
    ]
    assert '"c0"' not in str(rows[0].raw)
    assert export_quarantine(store, tmp_path / "q.csv") == 2
    with (tmp_path / "q.csv").open(encoding="utf-8-sig") as f:
        assert [r["line"] for r in csv.DictReader(f)] == ["3", "4"]
    assert clear_quarantine(store, reason="missing_user") == 1
    assert clear_quarantine(store) == 1


def test_the_catalogue(store, load):
    load(
        "user,time,event,amount,city,ok\na,2026-01-01,pay,3,上海,true\nb,2026-01-03,pay,5,上海,\na,2026-01-02,view,,北京,\n"
    )
    found = catalogue(store)
    pay = found.event("pay")
    assert (pay.events, pay.users) == (2, 2)
    assert (pay.last_time - pay.first_time) == 2 * 86_400_000_000
    assert pay.properties == ("amount", "city", "ok")
    assert found.event("view").properties == ("city",)
    amount, city, ok = found.properties
    assert (amount.type, amount.filled, amount.minimum, amount.maximum, amount.top) == ("integer", 2, "3", "5", ())
    assert (city.share, city.distinct, city.top) == (1.0, 2, (("上海", 2), ("北京", 1)))
    assert ok.top == (("true", 1),)
    with pytest.raises(UsageError, match="pay"):
        found.event("pya")


def test_an_empty_log(store):
    assert catalogue(store).events == ()
    assert check_quality(store, Calendar()) == []


def fill(store, per_day, days=28, hour=12, **extra):
    """`per_day(day)` events a day, minutes after `hour`."""
    users, times = [], []
    for day in range(days):
        for i in range(per_day(day)):
            users.append(f"u{i}")
            times.append(START + timedelta(days=day, hours=hour, seconds=i + 1))
    n = len(users)
    table = {"user": users, "time": pa.array(times, pa.timestamp("us", "UTC")), "event": ["open"] * n}
    import_arrow(store, pa.table({**table, **{k: v(n) for k, v in extra.items()}}), calendar=Calendar())


def codes(store, zone="UTC"):
    return {f.code: f for f in check_quality(store, Calendar(zone), now=NOW)}


def test_a_steady_log_has_no_findings(store):
    fill(store, lambda day: 100 if day % 7 < 5 else 40)
    assert codes(store) == {}


def test_missing_days_and_jumps(store):
    fill(store, lambda day: 0 if day == 10 else 500 if day == 20 else 100)
    found = codes(store)
    assert found["missing_days"].examples == ("2026-01-15",)
    assert found["missing_days"].severity == "high"
    assert found["volume_jump"].examples == ("2026-01-25 (500)",)
    assert found["volume_jump"].rows == 500


def test_small_numbers_are_left_alone(store):
    fill(store, lambda day: (0, 1, 9, 2)[day % 4])
    assert codes(store) == {}


def test_future_times(store):
    fill(store, lambda day: 5)
    late = {"user": ["a"], "time": ["2030-01-01"], "event": ["open"]}
    import_arrow(store, pa.table(late), calendar=Calendar())
    assert codes(store)["future_times"].rows == 1


def test_duplicates_placeholders_and_heavy_users(store):
    n = 4000
    table = pa.table(
        {
            "user": ["null"] * 1000 + [f"u{i % 500}" for i in range(n - 1000)],
            "time": ["2026-01-01 10:00:00"] * 2
            + [f"2026-01-01 11:{i // 60 % 60:02d}:{i % 60:02d}" for i in range(n - 2)],
            "event": ["open"] * n,
            "rare": ["x"] + [None] * (n - 1),
        }
    )
    table = table.set_column(3, "rare", pa.array([None, None, "x"] + [None] * (n - 3)))
    import_arrow(store, table, calendar=Calendar())
    found = codes(store)
    assert found["exact_duplicates"].rows == 1
    assert found["placeholder_users"].rows == 1000
    assert found["heavy_user"].rows == 1000
    assert found["mostly_empty"].property == "rare"


def test_dates_without_a_clock(store, load):
    load("user,time,event\n" + "".join(f"u{i},2026-01-{i % 28 + 1:02d},x\n" for i in range(100)))
    assert codes(store)["date_only"].share == 1.0


def test_a_zone_that_puts_everything_at_night(store):
    fill(store, lambda day: 100, hour=18)
    assert "zone_suspected" not in codes(store)
    assert codes(store, "Asia/Shanghai")["zone_suspected"].share == 1.0
