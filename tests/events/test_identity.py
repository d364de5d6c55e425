import pytest

from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.events.identity import Alias, add_aliases, list_aliases, read_aliases, remove_aliases

UTC = Calendar()
NEW_YEAR = 1_767_225_600_000_000


def test_add_list_remove(store):
    assert add_aliases(store, [("d1", "u1"), ("d2", "u1", "2026-01-01"), ("d1", "u1")], calendar=UTC) == 2
    assert list_aliases(store) == [Alias("d1", "u1", None, "given"), Alias("d2", "u1", NEW_YEAR, "given")]
    assert store.meta("identity_version") == "1"
    assert add_aliases(store, [("d1", "u1")], calendar=UTC) == 0
    assert store.meta("identity_version") == "1"
    assert remove_aliases(store, [("d2", "u1", "2026-01-01")], calendar=UTC) == 1
    assert [a.alias for a in list_aliases(store)] == ["d1"]
    assert store.meta("identity_version") == "2"
    assert store.meta("data_version") == "0"


def test_naive_dates_are_in_the_zone(store):
    add_aliases(store, [("d", "u", "2026-01-01")], calendar=Calendar("Asia/Shanghai"))
    assert list_aliases(store)[0].valid_from == NEW_YEAR - 8 * 3_600_000_000


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("a", "a")], "UP340"),
        ([("", "b")], "UP340"),
        ([(None, "b")], "UP340"),
        ([("a", "b"), ("a", "c")], "UP341"),
        ([("a", "b"), ("b", "a")], "UP342"),
        ([("a", "b"), ("b", "c", "2026-01-01"), ("c", "d"), ("d", "b")], "UP342"),
        ([("a", "b", "soon")], "UP343"),
    ],
)
def test_refused_and_nothing_added(store, rows, code):
    with pytest.raises(DataError) as caught:
        add_aliases(store, [("x", "y"), *rows], calendar=UTC)
    assert caught.value.code == code
    assert list_aliases(store) == []


def test_an_alias_may_change_hands_at_a_date_and_chains_are_no_circle(store):
    rows = [("device", "anna"), ("device", "ben", "2026-01-01"), ("anna", "root"), ("ben", "root")]
    assert add_aliases(store, rows, calendar=UTC) == 4


def test_removing_what_is_not_there(store):
    add_aliases(store, [("device", "anna")], calendar=UTC)
    with pytest.raises(DataError, match="device") as caught:
        remove_aliases(store, [("devise", "anna")], calendar=UTC)
    assert caught.value.code == "UP344"


def test_read_from_csv(tmp_path):
    path = tmp_path / "aliases.csv"
    path.write_text("﻿alias,canonical,valid_from\n设备1,张三,2026-01-01\nd2,b,\n", encoding="utf-8")
    assert read_aliases(path, UTC) == [("设备1", "张三", "2026-01-01"), ("d2", "b", None)]
    path.write_text("alias,canonical\na,b\nc,c\n")
    with pytest.raises(DataError, match="line 3"):
        read_aliases(path, UTC)
    path.write_text("one,two\na,b\n")
    with pytest.raises(DataError) as caught:
        read_aliases(path, UTC)
    assert caught.value.code == "UP322"
