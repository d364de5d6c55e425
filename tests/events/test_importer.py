import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.events.conftest import rows_of
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError
from upswing.events.importer import import_files
from upswing.events.mapping import ColumnMapping
from upswing.events.quarantine import count_by_reason, quarantined
from upswing.events.store import EventStore

SECOND = 1_000_000
DAY = 86_400 * SECOND
NEW_YEAR = 1_767_225_600 * SECOND  # 2026-01-01T00:00Z


def test_a_small_file(store, load):
    summary = load("uid,ts,event,amount\nb,2026-01-01 00:00:01,pay,1.5\na,2026-01-01,view,\nb,2026-01-01,view,2\n")
    assert rows_of(store, "amount") == [
        ("a", NEW_YEAR, "view", None),
        ("b", NEW_YEAR, "view", 2.0),
        ("b", NEW_YEAR + SECOND, "pay", 1.5),
    ]
    assert (summary.rows_read, summary.rows_added, summary.rows_duplicate, summary.rows_quarantined) == (3, 3, 0, 0)
    assert summary.new_properties == {"amount": "number"}
    assert (summary.users, summary.events) == (2, 3)
    assert store.meta("data_version") == "1"
    assert store.meta("runs") == "1"


def test_the_same_file_again_adds_nothing(store, load):
    content = "user,time,event\na,2026-01-01,x\na,2026-01-01,x\n"
    assert load(content, "one.csv").rows_added == 2
    again = load(content, "copy_of_one.csv")
    assert (again.rows_added, again.rows_duplicate, again.files_known) == (0, 2, 1)
    assert store.meta("data_version") == "1"


def test_true_repeats_inside_one_file_are_kept_and_reported(store, load):
    summary = load("user,time,event,p\na,2026-01-01,x,1\na,2026-01-01,y,1\na,2026-01-01,x,1\na,2026-01-01,x,2\n")
    assert summary.rows_added == 4
    assert summary.rows_repeated == 1


def test_an_overlapping_export_adds_only_what_is_new(store, load):
    load("user,time,event,p\na,2026-01-01,x,1\na,2026-01-02,x,1\na,2026-01-02,x,1\nb,2026-01-02,y,\n")
    summary = load(
        "user,time,event,p\na,2026-01-02,x,1\na,2026-01-02,x,1\na,2026-01-02,x,1\nb,2026-01-02,y,\nb,2026-01-03,y,\n"
    )
    assert (summary.rows_added, summary.rows_duplicate) == (2, 3)
    assert store.count("SELECT count(*) FROM events") == 6


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(st.lists(st.text("abÄ日", min_size=1, max_size=3), min_size=1, max_size=8), max_size=4))
def test_a_user_has_one_key_however_often_they_come(tmp_path_factory, batches):
    folder = tmp_path_factory.mktemp("users")
    with EventStore.create(folder / "log.duckdb", memory="1GB") as store:
        keys: dict[str, int] = {}
        for i, ids in enumerate(batches):
            with (folder / f"{i}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("user", "time", "event"), *((u, "2026-01-01", f"e{i}") for u in ids)])
            import_files(store, [folder / f"{i}.csv"], calendar=Calendar())
            for user in sorted(set(ids) - keys.keys(), key=lambda u: u.encode()):
                keys[user] = len(keys) + 1
        assert sorted(store.rows("SELECT user_id, user_key FROM users")) == sorted(keys.items())


def test_overlapping_files_of_one_import(store, tmp_path):
    (tmp_path / "1.csv").write_text("user,time,event\na,2026-01-01,x\na,2026-01-02,x\n")
    (tmp_path / "2.csv").write_text("user,time,event\na,2026-01-02,x\na,2026-01-02,x\na,2026-01-03,x\n")
    summary = import_files(store, [tmp_path / "*.csv"], calendar=Calendar())
    assert (summary.files, summary.rows_added, summary.rows_duplicate) == (2, 4, 1)


def test_the_first_of_equal_event_ids_wins(store, load):
    load("event_id,user,time,event\n1,a,2026-01-01,x\n1,a,2026-01-01,changed\n2,a,2026-01-02,x\n,a,2026-01-03,x\n")
    assert [(e, t) for _, t, e in rows_of(store)] == [
        ("x", NEW_YEAR),
        ("x", NEW_YEAR + DAY),
        ("x", NEW_YEAR + 2 * DAY),
    ]
    summary = load("event_id,user,time,event\n2,b,2026-02-01,z\n3,b,2026-02-01,z\n3,b,2026-02-02,z\n")
    assert (summary.rows_added, summary.rows_duplicate) == (1, 2)


def test_bad_rows_go_to_quarantine_with_line_and_reason(store, load):
    lines = ["user,time,event,amount", *(f"u{i},2026-01-01,x,{i}" for i in range(400))]
    lines[10] = ",2026-01-01,x,1"
    lines[20] = "a,yesterday,x,1"
    lines[30] = "a,2026-01-01,,1"
    lines[40] = "a,2026-01-01,x,many"
    lines[50] = "a,2026-01-01,x,1,2,3"
    lines[60] = "a,1870-01-01,x,1"
    lines[70] = "a,,x,1"
    lines[80] = "a,2026-01-01"
    summary = load("\n".join(lines))
    assert summary.rows_quarantined == 8
    assert summary.rows_read == 400
    assert summary.rows_added == 392
    found = {(r.line, r.reason) for r in quarantined(store)}
    assert found == {
        (11, "missing_user"),
        (21, "bad_time"),
        (31, "missing_event"),
        (41, "bad_number"),
        (51, "malformed_row"),
        (61, "time_out_of_range"),
        (71, "missing_time"),
        (81, "malformed_row"),
    }
    assert summary.quarantined == count_by_reason(store)
    assert store.count("SELECT rows_quarantined FROM imports") == 8


def lines_of(content):
    """Row → line on which it begins, by the standard library's reader."""
    reader, begins, found = csv.reader(io.StringIO(content, newline="")), 1, []
    for row in reader:
        found.append((begins, row))
        begins = reader.line_num + 1
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["2026-01-01", "2026-01-01", "nonsense", ""]),
            st.sampled_from(["x", "two\nlines", "a\n\nb\nc", 'quo"te\n', ""]),
            st.sampled_from([(), (), (), ("more",), ("one\nmore", "and")]),
        ),
        max_size=12,
    ),
    st.sampled_from(["note", "a\nnote"]),
)
def test_lines_where_rows_span_several(tmp_path_factory, rows, head):
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["user", "time", "event", head])
    writer.writerow(["u", "2026-01-01", "e", "good"])
    writer.writerows(["u", time, "e", note, *more] for time, note, more in rows)
    content = out.getvalue()
    folder = tmp_path_factory.mktemp("lines")
    (folder / "f.csv").write_text(content, newline="")
    expected = sorted(line for line, row in lines_of(content)[1:] if len(row) != 4 or row[1] in ("nonsense", ""))
    with EventStore.create(folder / "events.duckdb") as store:
        import_files(store, [folder / "f.csv"], calendar=Calendar(), mapping=ColumnMapping(time_format="iso"))
        assert sorted(r.line for r in quarantined(store)) == expected


def test_text_above_one_per_cent_makes_the_column_text(store, load):
    lines = ["user,time,event,amount", *(f"u{i},2026-01-01,x,{i if i % 50 else 'many'}" for i in range(100))]
    summary = load("\n".join(lines))
    assert summary.new_properties == {"amount": "text"}
    assert summary.rows_quarantined == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2", "-3"], "integer"),
        (["1", "2.5", "1e3"], "number"),
        (["1", "N/A", "3"], "integer"),
        (["007", "12"], "text"),
        (["12345678901234567890", "1"], "text"),
        (["1_000", "2"], "text"),
        (["0x1F", "2"], "text"),
        (["0.5", "0", "-0.25"], "number"),
        (["true", "false", "TRUE"], "boolean"),
        (["2026-01-01", "2025-12-31"], "date"),
        (["2026-01-01T10:00", "2025-12-31"], "time"),
        (["yes", "no"], "text"),
        (["inf", "1"], "text"),
        (["9007199254740993", "1"], "integer"),
        (["", ""], None),
    ],
)
def test_types_over_all_rows(store, load, values, kind):
    summary = load("user,time,event,p\n" + "".join(f"u,2026-01-0{i + 1},x,{v}\n" for i, v in enumerate(values)))
    assert summary.new_properties == ({} if kind is None else {"p": kind})
    assert summary.rows_quarantined == 0


def test_a_column_that_changes_type_is_widened_or_kept_aside(store, load):
    load("user,time,event,p,q,r\na,2026-01-01,x,1,1,one\n")
    second = load("user,time,event,p,q,r\na,2026-01-02,x,1.5,many,2\n")
    assert len(second.widened) == 3
    assert rows_of(store, "p", "q", "q_text", "r") == [
        ("a", NEW_YEAR, "x", 1.0, 1, None, "one"),
        ("a", NEW_YEAR + DAY, "x", 1.5, None, "many", "2"),
    ]
    types = {p.name: p.type for p in store.properties().values()}
    assert types == {"p": "number", "q": "integer", "r": "text", "q_text": "text"}


def test_whole_numbers_that_would_lose_digits_are_not_widened(store, load):
    load("user,time,event,p\na,2026-01-01,x,9007199254740993\n")
    load("user,time,event,p\na,2026-01-02,x,1.5\n")
    assert rows_of(store, "p", "p_number") == [
        ("a", NEW_YEAR, "x", 9007199254740993, None),
        ("a", NEW_YEAR + DAY, "x", None, 1.5),
    ]


def test_property_names_that_the_layout_has_itself(store, load):
    load("uid,ts,event,Time,user_key,amount,Amount\na,2026-01-01,x,noon,k,1,2\n", mapping=ColumnMapping(time="ts"))
    columns = {p.name: p.column for p in store.properties().values()}
    assert columns == {
        "Time": "Time_property",
        "user_key": "user_key_property",
        "amount": "amount",
        "Amount": "Amount_2",
    }


def test_chinese_names_and_quotes(store, load):
    summary = load('用户ID,事件时间,事件,"it\'s ""quoted"""\n张三,2026年01月01日 08时00分00秒,"点""击"",\'x\'",1\n')
    assert rows_of(store, 'it\'s ""quoted""')[0][:3] == ("张三", NEW_YEAR + 8 * 3600 * SECOND, "点\"击\",'x'")
    assert summary.mapping.popitem()[1].user == "用户ID"


def test_channel_becomes_the_property_channel(store, load):
    load("user,time,event,utm_source\na,2026-01-01,x,ads\n")
    assert rows_of(store, "channel")[0][3] == "ads"


def test_a_file_with_one_kind_of_event(store, load):
    load("user,time,amount\na,2026-01-01,3\n", mapping=ColumnMapping(event_name="purchase"))
    assert rows_of(store, "amount") == [("a", NEW_YEAR, "purchase", 3)]


def test_the_proposal_is_shown_before_anything_is_stored(store, load):
    shown = []
    load("who,user_id,ts,event\n1,a,2026-01-01,x\n", mapping=ColumnMapping(user="who"), on_proposal=shown.append)
    assert shown[0].mapping.user == "who"
    assert shown[0].guessed == ("time", "event")
    assert "ts" in str(shown[0])


def test_an_unknown_column_names_the_nearest(load):
    with pytest.raises(UsageError, match="user_id") as caught:
        load("user_id,time,event\na,2026-01-01,x\n", mapping=ColumnMapping(user="user_di"))
    assert caught.value.code == "UP321"


def test_a_missing_role_is_an_error_that_lists_the_columns(load):
    with pytest.raises(DataError, match="'b'") as caught:
        load("user,b,event\na,x,x\n")
    assert caught.value.code == "UP322"


def test_nothing_readable_is_an_error_and_nothing_changes(store, load):
    with pytest.raises(DataError) as caught:
        load("user,time,event\n,2026-01-01,x\n,2026-01-01,y\n")
    assert caught.value.code == "UP334"
    assert store.count("SELECT count(*) FROM imports") == 0
    assert store.count("SELECT count(*) FROM quarantine") == 0


def test_an_error_in_the_second_file_leaves_nothing_of_the_first(store, tmp_path):
    (tmp_path / "1.csv").write_text("user,time,event\na,2026-01-01,x\n")
    (tmp_path / "2.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError):
        import_files(store, [tmp_path / "1.csv", tmp_path / "2.csv"], calendar=Calendar())
    assert store.count("SELECT count(*) FROM events") == 0
    assert store.rows("SELECT table_name FROM duckdb_tables() WHERE temporary") == []


def test_late_events_are_a_further_run(store, load):
    load("user,time,event\na,2026-01-02,x\n")
    load("user,time,event\na,2026-01-01,late\n")
    assert [e for _, _, e in rows_of(store)] == ["late", "x"]
    assert store.meta("runs") == "2"


def test_progress_reports_every_phase(load):
    seen = []
    load("user,time,event\na,2026-01-01,x\n", progress=lambda phase, share, rate: seen.append((str(phase), share)))
    assert {share for _, share in seen} == {0.0, 1.0}
    assert len({phase for phase, _ in seen}) == 5


def test_widening_inside_one_import_keeps_digits(store, tmp_path):
    (tmp_path / "1.csv").write_text("user,time,event,p,q\na,2026-01-01,x,9007199254740993,1\n")
    (tmp_path / "2.csv").write_text("user,time,event,p,q\na,2026-01-02,x,1.5,1.5\n")
    summary = import_files(store, [tmp_path / "1.csv", tmp_path / "2.csv"], calendar=Calendar())
    assert summary.new_properties == {"p": "integer", "q": "number", "p_number": "number"}
    assert rows_of(store, "p", "p_number", "q") == [
        ("a", NEW_YEAR, "x", 9007199254740993, None, 1.0),
        ("a", NEW_YEAR + DAY, "x", None, 1.5, 1.5),
    ]
