import gzip
import io
import json
import sys

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.conftest import rows_of
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.events.importer import import_arrow, import_files
from upswing.events.mapping import ColumnMapping
from upswing.events.quarantine import quarantined
from upswing.events.store import EventStore

CSV = "user,time,event,city\n张,2026-01-01,点击,上海\n李,2026-01-02,付款,北京\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_encodings(store, load, encoding):
    summary = load(CSV.encode(encoding))
    assert {r[3] for r in rows_of(store, "city")} == {"上海", "北京"}
    assert {r[2] for r in rows_of(store)} == {"点击", "付款"}
    assert bool(summary.messages) == (encoding in ("utf-16", "gb18030"))


def test_gb18030_that_begins_as_plain_ascii(store, load):
    plain = "".join(f"u{i},2026-01-01,x,shanghai-is-a-city-with-a-long-name\n" for i in range(100_000))
    load(("user,time,event,city\n" + plain + "z,2026-01-01,x,上海\n").encode("gb18030"))
    assert store.count("SELECT count(*) FROM events WHERE city = '上海'") == 1
    assert store.count("SELECT count(*) FROM events") == 100_001


def test_an_explicit_encoding(store, load):
    load("user,time,event\nJosé,2026-01-01,x\n".encode("latin-1"), mapping=ColumnMapping(encoding="latin-1"))
    assert rows_of(store)[0][0] == "José"


def test_an_unknown_encoding_is_an_error(load):
    with pytest.raises(DataError) as caught:
        load("user,time,event\nJosé,2026-01-01,é è à\n".encode("latin-1"))
    assert caught.value.code == "UP324"


def test_a_damaged_row_is_set_aside(store, load):
    good = "".join(f"é{i},2026-01-01,x\n" for i in range(200)).encode()
    summary = load(b"user,time,event\n" + good + b"\xff\xfe,2026-01-01,x\n")
    assert summary.rows_added == 200
    assert [(r.reason, r.line) for r in quarantined(store)] == [("invalid_encoding", 202)]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_separators(store, load, separator):
    load(CSV.replace(",", separator))
    assert len(rows_of(store, "city")) == 2


def test_line_breaks_inside_quotes(store, load):
    load('user,time,event,note\r\na,2026-01-01,x,"two\r\nlines"\r\nb,2026-01-01,x,one\r\n')
    assert rows_of(store, "note")[0][3] == "two\r\nlines"


def test_packed(store, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode(), mtime=0))
    assert import_files(store, [tmp_path / "a.csv.gz"], calendar=Calendar()).rows_added == 2
    other = CSV.replace("2026", "2027").encode()
    (tmp_path / "b.csv.zst").write_bytes(pa.compress(other, codec="zstd", asbytes=True))
    assert import_files(store, [tmp_path / "b.csv.zst"], calendar=Calendar()).rows_added == 2


def test_packed_and_in_gb18030(store, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode("gb18030"), mtime=0))
    import_files(store, [tmp_path / "a.csv.gz"], calendar=Calendar())
    assert {r[3] for r in rows_of(store, "city")} == {"上海", "北京"}


def test_a_pipe(store, monkeypatch):
    class Standard:
        buffer = io.BytesIO(CSV.encode())

    monkeypatch.setattr(sys, "stdin", Standard)
    assert import_files(store, ["-"], calendar=Calendar()).rows_added == 2


def test_a_folder_and_a_name_with_brackets(store, tmp_path):
    folder = tmp_path / "in[1]"
    folder.mkdir()
    (folder / "a[2].csv").write_text(CSV)
    (folder / "notes.md").write_text("no data")
    assert import_files(store, [folder], calendar=Calendar()).rows_added == 2


def test_json_lines_nested(store, load):
    lines = [
        {
            "user": "a",
            "time": 1767225600,
            "event": "x",
            "p": {"n": 1, "deep": {"s": "t"}},
            "tags": ["a", "b"],
            "ok": True,
        },
        {"user": "a", "time": 1767225601, "event": "x", "p": {"n": 2.5, "code": "12"}, "a/b~c": "q"},
    ]
    summary = load("\n".join(json.dumps(line) for line in lines) + "\nnot json\n[1]\n\n", "a.jsonl")
    assert summary.new_properties == {
        "p.n": "number", "p.deep.s": "text", "p.code": "text", "tags": "json", "ok": "boolean", "a/b~c": "text",
    }  # fmt: skip
    assert rows_of(store, "p.n", "p.deep.s", "p.code", "tags", "ok", "a/b~c") == [
        ("a", 1767225600_000_000, "x", 1.0, "t", None, '["a","b"]', True, None),
        ("a", 1767225601_000_000, "x", 2.5, None, "12", None, None, "q"),
    ]
    assert [(r.line, r.reason, r.raw) for r in quarantined(store)] == [
        (3, "invalid_json", "not json"),
        (4, "invalid_json", "[1]"),
    ]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-9, 9).map(lambda x: round(x, 2))
    | st.text('a7張"', max_size=3)
)
OBJECTS = st.dictionaries(
    st.sampled_from(["n", "s", "a/b", "deep"]), SCALARS | st.dictionaries(st.just("x"), SCALARS, max_size=1), max_size=3
)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@settings(max_examples=25, deadline=None)
@given(objects=st.lists(OBJECTS, min_size=1, max_size=6))
def test_a_column_of_json_is_read_as_json_lines_are(tmp_path_factory, kind, objects):
    folder = tmp_path_factory.mktemp("objects")
    rows = [{"user": f"u{i}", "time": "2026-01-01", "event": "x", "props": p} for i, p in enumerate(objects)]
    table = pa.Table.from_pylist([{**r, "props": json.dumps(r["props"], ensure_ascii=False)} for r in rows])
    (folder / "lines.jsonl").write_text("\n".join(json.dumps(r) for r in rows))
    pq.write_table(table, folder / "text.parquet")
    csv.write_csv(table, folder / "text.csv")
    found = []
    for name in ("lines.jsonl", f"text.{kind}"):
        with EventStore.create(folder / name.replace(".", "_") / "log.duckdb", memory="1GB") as store:
            import_files(store, [folder / name], calendar=Calendar())
            known = {n: p for n, p in store.properties().items() if n.startswith("props.")}
            names = sorted(known)
            found.append(({n: known[n].type for n in names}, rows_of(store, *(known[n].column for n in names))))
    assert found[0] == found[1]


def test_text_that_only_looks_like_json_stays_text(store, load):
    load('user,time,event,note\na,2026-01-01,x,"{""p"": 1}"\nb,2026-01-01,x,{not json}\nc,2026-01-01,x,\n')
    assert [r[3] for r in rows_of(store, "note")] == ['{"p": 1}', "{not json}", None]


def test_a_column_of_json_beside_a_column_of_the_same_name_stays_text(store, load):
    summary = load('user,time,event,p,p.n\na,2026-01-01,x,"{""n"": 1}",2\n')
    assert summary.new_properties == {"p": "text", "p.n": "integer"}


def test_a_json_array(store, load):
    assert load(json.dumps([{"user": "a", "time": "2026-01-01", "event": "x"}] * 2), "a.json").rows_added == 2


def test_a_damaged_json_array(load):
    with pytest.raises(DataError) as caught:
        load('[{"user": "a", "time": "2026-01-01", "event": "x"}, {"user"', "a.json")
    assert caught.value.code == "UP325"


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


TABLE = pa.table(
    {
        "user_id": pa.array([2, 1, 2], pa.int64()),
        "time": pa.array([1767225600_000_000, 1767225601_000_000, 1767225599_000_000], pa.timestamp("us", "UTC")),
        "event": pa.array(["x", "y", "x"]).dictionary_encode(),
        "amount": pa.array([1.5, None, float("nan")]),
        "n": pa.array([1, 2, None], pa.int32()),
        "struct": pa.array([{"a": 1, "b": "s"}, None, {"a": 2, "b": None}]),
        "list": pa.array([[1, 2], None, []]),
        "day": pa.array([None, 20454, None], pa.date32()),
        "zip": pa.array(["007", "12", None]),
    }
)


def test_parquet_and_arrow_agree(store, load):
    summary = load(parquet(TABLE), "a.parquet")
    kinds = {
        "amount": "number",
        "n": "integer",
        "struct.a": "integer",
        "struct.b": "text",
        "list": "json",
        "day": "date",
        "zip": "text",
    }
    assert summary.new_properties == kinds
    found = rows_of(store, "amount", "n", "struct.a", "struct.b", "list", "zip")
    assert found == [
        ("1", 1767225601_000_000, "y", None, 2, None, None, None, "12"),
        ("2", 1767225599_000_000, "x", None, None, 2, None, "[]", None),
        ("2", 1767225600_000_000, "x", 1.5, 1, 1, "s", "[1,2]", "007"),
    ]
    again = import_arrow(store, TABLE, calendar=Calendar())
    assert (again.rows_added, again.rows_duplicate) == (0, 3)


def test_naive_parquet_times_are_in_the_zone_of_the_workspace(store, load):
    table = TABLE.set_column(1, "time", TABLE["time"].cast(pa.timestamp("us")))
    load(parquet(table), "a.parquet", zone="Asia/Shanghai")
    assert rows_of(store)[0][1] == 1767225601_000_000 - 8 * 3_600_000_000


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "a.csv", "UP323"),
        (b"   \n\n", "a.csv", "UP323"),
        (parquet(TABLE)[:-20], "a.parquet", "UP325"),
        (b"PAR1", "a.parquet", "UP325"),
        (gzip.compress(CSV.encode(), mtime=0)[:-12], "a.csv.gz", "UP325"),
        (b"user,time,event,time\na,2026-01-01,x,2\n", "a.csv", "UP326"),
        (b"a,2026-01-01,1\nb,2026-01-02,2\n", "a.csv", "UP327"),
        (b"{}\n{}\n", "a.jsonl", "UP323"),
    ],
)
def test_files_that_cannot_be_read(store, load, content, name, code):
    with pytest.raises(DataError) as caught:
        load(content, name)
    assert caught.value.code == code
    assert store.count("SELECT count(*) FROM imports") == 0


def test_a_missing_file_names_the_nearest(store, tmp_path):
    (tmp_path / "events.csv").write_text(CSV)
    with pytest.raises(DataError, match=r"events\.csv") as caught:
        import_files(store, [tmp_path / "evnets.csv"], calendar=Calendar())
    assert caught.value.code == "UP320"


def test_a_field_of_ten_megabytes(store, load):
    lines = [
        "user,time,event,note",
        "a,2026-01-01,x,short",
        f"b,2026-01-01,x,{'y' * 10_000_000}",
        "c,2026-01-01,x,short",
    ]
    summary = load("\n".join(lines) + "\n")
    assert summary.rows_read == 3
    assert summary.rows_added + summary.rows_quarantined == 3
    assert {"a", "c"} <= {r[0] for r in rows_of(store)}


def test_a_header_alone(store, load):
    summary = load(
        "user,time,event\n", mapping=ColumnMapping(user="user", time="time", event="event", time_format="iso")
    )
    assert summary.rows_added == 0
