"""Random rows through every kind of file come out as they went in."""

import csv
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.conftest import rows_of
from upswing.core.calendar import Calendar
from upswing.events.importer import import_files
from upswing.events.mapping import ColumnMapping
from upswing.events.store import EventStore

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAPPING = ColumnMapping(user="user", time="time", event="event", time_format="iso")
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).filter(lambda s: s.strip())
rows = st.lists(
    st.tuples(
        words,
        st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC)),
        words,
        st.none() | words.map(lambda w: "t" + w),  # never a number, so that CSV knows its type
        st.none() | st.integers(-(2**62), 2**62),
        st.none() | st.floats(-1e12, 1e12).map(lambda x: round(x, 3) + 0.0005),
    ),
    min_size=1,
    max_size=12,
)
COLUMNS = ("user", "time", "event", "text", "whole", "real")


def expected(given_rows):
    return Counter((u, (t - EPOCH) // timedelta(microseconds=1), e, s, n, x) for u, t, e, s, n, x in given_rows)


def write(path, given_rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(COLUMNS)
            writer.writerows(
                [u, t.isoformat(), e, s, n, None if x is None else repr(x)] for u, t, e, s, n, x in given_rows
            )
    elif path.suffix == ".jsonl":
        lines = ({**dict(zip(COLUMNS, r, strict=True)), "time": r[1].isoformat()} for r in given_rows)
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    else:
        kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.string(), pa.string(), pa.int64(), pa.float64()]
        columns = [pa.array(c, k) for c, k in zip(zip(*given_rows, strict=True), kinds, strict=True)]
        pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=rows, second=rows, kind=st.sampled_from(["csv", "jsonl", "parquet"]), data=st.data())
def test_rows_survive_and_overlaps_add_nothing_twice(tmp_path_factory, first, second, kind, data):
    folder = tmp_path_factory.mktemp("round")
    shared = data.draw(st.lists(st.sampled_from(first), max_size=5))
    second = second + shared
    write(folder / f"1.{kind}", first)
    write(folder / f"2.{kind}", second)
    with EventStore.create(folder / "log.duckdb", memory="500MB") as store:
        summary = import_files(store, [folder / f"1.{kind}"], mapping=MAPPING, calendar=Calendar())
        assert summary.rows_quarantined == 0
        assert found(store) == expected(first)
        assert summary.rows_repeated == len(first) - len(expected(first))
        summary = import_files(store, [folder / f"2.{kind}"], mapping=MAPPING, calendar=Calendar())
        assert found(store) == expected(first) | expected(second)  # the larger of both counts, row by row
        assert summary.rows_added + summary.rows_duplicate == len(second)
        clustered = store.rows("SELECT user_key, time FROM events WHERE import_id = 1 ORDER BY rowid")
        assert clustered == sorted(clustered)


def found(store):
    held = store.properties()
    present = [c for c in COLUMNS[3:] if c in held]
    result = Counter()
    for user, micros, event, *values in rows_of(store, *present):
        row = dict(zip(present, values, strict=True))
        result[(user, micros, event, row.get("text"), row.get("whole"), row.get("real"))] += 1
    return result
