from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.conftest import rows_of
from upswing.core.errors import DataError, UsageError
from upswing.events.mapping import ColumnMapping
from upswing.events.times import parse_time_format

MOMENT = datetime(2026, 3, 5, 14, 7, 9, tzinfo=UTC)
MICROS = int(MOMENT.timestamp()) * 1_000_000


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-05 14:07:09",
        "2026-03-05T14:07:09Z",
        "2026-03-05T14:07:09.000000",
        "2026-03-05T22:07:09+08:00",
        "2026-03-05T22:07:09+0800",
        "2026-03-05 09:07:09 America/New_York",
        "2026/03/05 14:07:09",
        str(MICROS // 1_000_000),
        str(MICROS // 1000),
        str(MICROS),
        str(MICROS * 1000),
        f"{MICROS // 1_000_000}.0",
        "2026.03.05 14:07:09",
        "05.03.2026 14:07:09",
        "2026年03月05日 14时07分09秒",
        "20260305140709",
        '"Thu, 05 Mar 2026 14:07:09 +0000"',
        "05/Mar/2026:15:07:09 +0100",
    ],
)
def test_ways_of_writing_a_time(store, load, written):
    load(f"user,time,event\na,{written},x\n")
    assert rows_of(store)[0][1] == MICROS


def test_day_first_is_told_from_all_rows(store, load):
    load("user,time,event\n" + "a,01/02/2026 10:00:00,x\n" * 3000 + "a,13/02/2026 10:00:00,x\n")
    assert rows_of(store)[0][1] == micros(datetime(2026, 2, 1, 10, tzinfo=UTC))


def test_ambiguous_dates_are_not_guessed(load):
    with pytest.raises(DataError) as caught:
        load("user,time,event\na,01/02/2026,x\n")
    assert caught.value.code == "UP333"


def test_an_explicit_format(store, load):
    load("user,time,event\na,01/02/2026,x\n", mapping=ColumnMapping(time_format="%m/%d/%Y"))
    assert rows_of(store)[0][1] == micros(datetime(2026, 1, 2, tzinfo=UTC))


def test_a_format_that_is_none():
    with pytest.raises(UsageError) as caught:
        parse_time_format("tomorrow")
    assert caught.value.code == "UP633"


def test_a_column_without_times(load):
    with pytest.raises(DataError) as caught:
        load("user,when,event\na,soon,x\n", mapping=ColumnMapping(time="when"))
    assert caught.value.code == "UP330"


def test_zoned_and_naive_times_mixed(store, load):
    load("user,time,event\na,2026-01-01T00:00:00,x\nb,2026-01-01T00:00:00Z,x\n", zone="Asia/Shanghai")
    midnight = micros(datetime(2026, 1, 1, tzinfo=UTC))
    assert [t for _, t, _ in rows_of(store)] == [midnight - 8 * 3_600_000_000, midnight]


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(ZONES),
    times=st.lists(
        st.one_of(
            st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
            st.builds(  # around the changes of the clock in spring and autumn
                lambda day, minutes: day + timedelta(minutes=minutes),
                st.sampled_from(
                    [datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 3, 8), datetime(2026, 11, 1)]
                ),
                st.integers(0, 300),
            ),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_naive_times_are_read_as_python_reads_them(tmp_path_factory, zone, times):
    from upswing.core.calendar import Calendar
    from upswing.events.importer import import_files
    from upswing.events.store import EventStore

    folder = tmp_path_factory.mktemp("zone")
    lines = [f"u{i:02d},{t.isoformat(sep=' ')},x" for i, t in enumerate(times)]
    (folder / "a.csv").write_text("user,time,event\n" + "\n".join(lines) + "\n")
    with EventStore.create(folder / "log.duckdb", memory="500MB") as store:
        import_files(store, [folder / "a.csv"], calendar=Calendar(zone), mapping=ColumnMapping(time_format="iso"))
        found = [t for _, t, _ in rows_of(store)]
    assert found == [micros(t.replace(tzinfo=ZoneInfo(zone))) for t in times]
