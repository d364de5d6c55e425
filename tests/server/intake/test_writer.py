"""From deliveries to the log: every value under its type, every event once, logins as aliases, bad rows set aside."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.intake.deliveries import NOW, clean, comparable, delivery, put, rows, sent_values, taken
from tests.server.intake.serving import make_intake, new_log
from upswing.core.errors import EngineError
from upswing.engines.identity import Alias, resolve
from upswing.events.quarantine import quarantined
from upswing.events.store import EventStore
from upswing.server.intake.events import Delivery
from upswing.server.intake.identities import add_identities
from upswing.server.intake.limits import Limits
from upswing.server.intake.service import Intake
from upswing.server.intake.spool import Spool
from upswing.server.intake.writer import Writer

KEYS = st.one_of(
    st.sampled_from(["amount", "Amount", "amount_text", "a.b", "a", "b", "user", "time", "event_id", "channel", "价格", "",
                     "user_id", "import_id", "a/b", "~", 'say "hi"', "x\\", "0", "*", "$"]),
    st.text(max_size=8),
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12), st.sampled_from(["2026-01-01", "1.5", "true", "", "😀", "\x00x", "\\u0000", "null"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(KEYS, v, max_size=3)), max_leaves=8
)
PROPERTIES = st.dictionaries(KEYS, VALUES, max_size=5)
BATCHES = st.lists(st.lists(PROPERTIES, max_size=4), min_size=1, max_size=3)
SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(BATCHES)
def test_every_value_is_in_the_log_under_its_type(tmp_path: Path, batches: list[list[dict[str, object]]]) -> None:
    sent = {f"e{i}-{j}": p for i, batch in enumerate(batches) for j, p in enumerate(batch)}

    def fill(i: int) -> Delivery:
        made = Delivery(NOW)
        for j, properties in enumerate(batches[i]):
            made.event(j, {}, user="u", event="e", at=NOW, event_id=f"e{i}-{j}", values={"": properties})
        assert not made.refused
        return made

    with taken(tmp_path / "w", *(fill(i) for i in range(len(batches)))) as store:
        found = rows(store)
    assert found.keys() == sent.keys()
    for key, properties in sent.items():
        wanted = sent_values(clean(properties))
        got = found[key][3]
        # A whole number beyond what a number holds exactly is text beside numbers of the name, and whole otherwise.
        assert sorted(map(str, map(_plain, got.elements()))) == sorted(map(str, map(_plain, wanted.elements()))), key


def _plain(value: object) -> object:
    assert isinstance(value, tuple)
    kind, held = value
    if kind == "text":
        try:
            if abs(int(held)) >= 2**53:
                return "number", float(int(held))
        except ValueError:
            pass
    return value


def test_types_are_those_of_the_json_and_do_not_depend_on_what_came_first(tmp_path: Path) -> None:
    first = delivery(lambda d: d.event(0, {}, user="u", event="e", at=NOW, event_id="1",
                                       values={"": {"title": "2026-01-01", "code": "007", "n": 1}}))  # fmt: skip
    second = delivery(lambda d: d.event(0, {}, user="u", event="e", at=NOW, event_id="2",
                                        values={"": {"title": "hello", "code": "x", "n": 1.5}}))  # fmt: skip
    with taken(tmp_path / "w", first, second) as store:
        assert {n: p.type for n, p in store.properties().items()} == {"title": "text", "code": "text", "n": "number"}
        assert store.rows("SELECT title, code, n FROM events ORDER BY event_id") == [
            ("2026-01-01", "007", 1.0),
            ("hello", "x", 1.5),
        ]


def test_repeats_are_stored_once_within_a_request_between_requests_and_against_the_log(tmp_path: Path) -> None:
    def fill(d: Delivery) -> None:
        for i in range(3):
            d.event(i, {}, user="u", event="e", at=NOW + i, event_id="same", values={})

    with taken(tmp_path / "w", delivery(fill), delivery(fill)) as store:
        assert store.rows("SELECT event_id, epoch_us(time) FROM events") == [("same", NOW)]
        assert store.row("SELECT sum(rows_read), sum(rows_added), sum(rows_duplicate) FROM imports") == (6, 1, 5)


def test_events_without_an_id_are_all_kept(tmp_path: Path) -> None:
    def fill(d: Delivery) -> None:
        for i in range(3):
            d.event(i, {}, user="u", event="e", at=NOW, values={})

    with taken(tmp_path / "w", delivery(fill), delivery(fill)) as store:
        assert store.count("SELECT count(*) FROM events") == 6


def test_bad_rows_go_to_quarantine_with_reason_even_when_no_row_is_good(tmp_path: Path) -> None:
    def fill(d: Delivery) -> None:
        d.event(0, {"x": "原文"}, user=None, event="e", at=NOW, values={})
        d.event(1, {}, user="u", event=" ", at=NOW, values={})
        d.event(2, {}, user="u", event="e", at=NOW + 2 * 86_400_000_000, values={})
        d.event(3, {}, user="u", event="e", at=-(2**62), values={})
        d.event(4, {}, user="u", event="e", at=NOW, values={"": {str(i): i for i in range(501)}})
        d.event(5, {}, user="u", event="e", at=NOW, values={"": {"x": "y" * 40_000}})

    with taken(tmp_path / "w", delivery(fill)) as store:
        found = quarantined(store)
        assert [(r.line, r.reason) for r in found] == [
            (1, "missing_user"), (2, "missing_event"), (3, "time_in_future"), (4, "time_out_of_range"), (5, "too_long"),
            (6, "too_long"),
        ]  # fmt: skip
        assert found[0].raw == '{"x":"原文"}'
        assert all(str(r.message) for r in found)
        assert store.row("SELECT rows_read, rows_added, rows_quarantined FROM imports") == (6, 0, 6)


@SLOW
@given(
    st.lists(
        st.tuples(st.sampled_from("dexy"), st.sampled_from("uvxd"), st.integers(0, 30)).filter(lambda p: p[0] != p[1]),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_logins_become_aliases_that_never_lead_in_a_circle(
    tmp_path: Path, pairs: list[tuple[str, str, int]], parts: int
) -> None:
    path = tmp_path / "i" / "events.duckdb"
    path.unlink(missing_ok=True)
    pairs = sorted(pairs, key=lambda p: p[2])
    refused = set()
    with EventStore.create(path) as store:
        for _ in range(parts):
            with store.transaction():
                refused |= {pair for pair, _ in add_identities(store, pairs)}
        stored = store.rows("SELECT alias, canonical, epoch_us(valid_from) FROM aliases")
    intervals = resolve(Alias(str(a), str(c), int(str(t))) for a, c, t in stored)  # raises on a circle
    direct = {}
    for alias, canonical, since in sorted(stored, key=lambda r: r[2]):
        direct.setdefault(alias, []).append((since, canonical))
    for alias, canonical, at in pairs:
        if (alias, canonical, at) in refused or any(p != (alias, canonical, at) and p[0] == alias and p[2] == at
                                                    for p in pairs):  # fmt: skip
            continue
        steps = direct[alias]
        held = [c for since, c in steps if since <= at]
        assert (held[-1] if held else steps[0][1]) == canonical
    assert len(stored) <= len(set(pairs))
    assert all(i.user_id != i.canonical for i in intervals)


def test_known_logins_add_nothing(tmp_path: Path) -> None:
    with EventStore.create(tmp_path / "events.duckdb") as store:
        for at in (10, 20, 30, 5):
            with store.transaction():
                assert add_identities(store, [("d", "u", at)]) == []
        assert store.rows("SELECT alias, canonical, epoch_us(valid_from) FROM aliases") == [("d", "u", 10)]
        version = store.meta("identity_version")
        with store.transaction():
            add_identities(store, [("d", "v", 40), ("d", "u", 50)])
        assert store.count("SELECT count(*) FROM aliases") == 3
        assert int(store.meta("identity_version")) == int(version) + 1


def test_row_the_log_cannot_take_is_set_aside_and_the_rest_goes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from upswing.server.intake import writer as module

    real = module.stage

    def stage(store: EventStore, batch: object) -> object:
        if any(b"poison" in line for line in batch.lines):  # type: ignore[attr-defined]
            raise EngineError("the engine failed")
        return real(store, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "stage", stage)

    def fill(d: Delivery) -> None:
        for i in range(20):
            d.event(i, {}, user="u", event="poison" if i in (3, 17) else "e", at=NOW, event_id=str(i), values={})

    with taken(tmp_path / "w", delivery(fill)) as store:
        assert store.count("SELECT count(*) FROM events") == 18
        assert [(r.line, r.reason) for r in quarantined(store)] == [(4, "not_stored"), (18, "not_stored")]
        assert all("poison" in str(r.raw) for r in quarantined(store))


def test_log_that_is_locked_or_full_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upswing.server.intake import writer as module

    tries = []
    real = module.import_staged

    def failing(*args: object, **kwargs: object) -> object:
        tries.append(1)
        if len(tries) < 3:
            raise EngineError("out of disk", code="UP705")
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "import_staged", failing)
    with taken(tmp_path / "w", delivery(lambda d: d.event(0, {}, user="u", event="e", at=NOW, values={}))) as store:
        assert store.count("SELECT count(*) FROM events") == 1
        assert store.count("SELECT count(*) FROM quarantine") == 0


def test_commit_that_failed_only_afterwards_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine may fail after the rows and their place are durable, e.g. in a checkpoint on a full disk."""
    from upswing.server.intake import writer as module

    failures = []
    real = module.import_staged

    def failing(*args: object, **kwargs: object) -> object:
        found = real(*args, **kwargs)  # type: ignore[arg-type]
        if len(failures) < 2:
            failures.append(1)
            raise EngineError("after the commit", code=("UP705", "UP700")[len(failures) - 1])
        return found

    def fill(d: Delivery) -> None:
        d.event(0, {}, user="u", event="e", at=NOW, values={})
        d.event(1, {}, user=None, event="e", at=NOW, values={})

    monkeypatch.setattr(module, "import_staged", failing)
    with taken(tmp_path / "w", delivery(fill), delivery(fill)) as store:
        assert len(failures) == 2
        assert store.count("SELECT count(*) FROM events") == 2
        assert store.count("SELECT count(*) FROM quarantine") == 2


def test_no_batch_begins_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    intake = make_intake(tmp_path, fsync=False, writer_reserve=2**62)
    intake.start()
    put(intake, delivery(lambda d: d.event(0, {}, user="u", event="e", at=NOW, values={})))
    assert not intake.writer.drain(0.5)
    assert "UP705" in str(intake.problem())
    intake.writer.reserve = 0
    assert intake.writer.drain(30)
    assert intake.problem() is None
    intake.close()


def test_surplus_names_are_kept_together(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", fsync=False)
    writer = Writer(spool, new_log(tmp_path), calendar=__import__("upswing.core.calendar", fromlist=["x"]).Calendar("UTC"),
                    linger=0, log_properties=3)  # fmt: skip
    intake = Intake(spool, writer, calendar=writer.calendar)
    intake.start()
    for i in range(3):
        made = Delivery(NOW)
        made.event(0, {}, user="u", event="e", at=NOW, event_id=str(i), values={"": {f"p{i}{j}": j for j in range(2)}})
        put(intake, made)
        assert writer.drain()
    intake.close()
    with EventStore.open(tmp_path / "events.duckdb") as store:
        assert sorted(store.properties()) == ["other_properties", "p00", "p01", "p10"]
        kept = [json.loads(str(v)) for (v,) in store.rows("SELECT other_properties FROM events ORDER BY event_id") if v]
        assert kept == [{"p11": 1}, {"p20": 0, "p21": 1}]


def test_spool_outlives_the_writer(tmp_path: Path) -> None:
    """Stopped between spool and log, what was acknowledged goes in at the next start, once."""
    intake = make_intake(tmp_path, fsync=False)
    put(intake, delivery(lambda d: d.event(0, {}, user="u", event="e", at=NOW, event_id="1", values={})))
    intake.close()
    for _ in range(3):
        intake = make_intake(tmp_path, fsync=False)
        intake.start()
        assert intake.writer.drain()
        intake.close()
    with EventStore.open(tmp_path / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events") == 1


def test_place_of_another_spool_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """A log that was restored beside a new spool must not skip what the new spool holds."""
    for turn in ("a", "b"):
        intake = make_intake(tmp_path / turn, fsync=False) if turn == "a" else None
        if intake is None:
            (tmp_path / "b").mkdir()
            (tmp_path / "a" / "events.duckdb").rename(tmp_path / "b" / "events.duckdb")
            intake = make_intake(tmp_path / "b", fsync=False)
        intake.start()
        for i in range(1 if turn == "b" else 5):
            made = Delivery(NOW)
            made.event(0, {}, user="u", event="e", at=NOW, event_id=f"{turn}{i}", values={})
            put(intake, made)
        assert intake.writer.drain()
        intake.close()
    with EventStore.open(tmp_path / "b" / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events") == 6


def test_questions_see_whole_batches_while_events_come_in(tmp_path: Path) -> None:
    """Readers on the same instance never see half a batch: each batch here has ten events of one user."""
    store = EventStore.open(new_log(tmp_path))
    gate = threading.Lock()

    class Held:
        def __enter__(self) -> EventStore:
            gate.acquire()
            return store

        def __exit__(self, *error: object) -> None:
            gate.release()

    from upswing.core.calendar import Calendar

    spool = Spool(tmp_path / "spool", fsync=False)
    intake = Intake(spool, Writer(spool, Held, calendar=Calendar("UTC"), linger=0), calendar=Calendar("UTC"))
    intake.start()
    reader = store.connection.cursor()
    seen = set()
    for i in range(15):
        made = Delivery(NOW)
        for j in range(10):
            made.event(j, {}, user=f"u{i}", event="e", at=NOW, event_id=f"{i}-{j}", values={"": {f"p{i % 4}": j}})
        put(intake, made)
        for _ in range(5):
            counts = reader.execute("SELECT count(*) FROM events GROUP BY user_key").fetchall()
            seen |= {n for (n,) in counts}
    assert intake.writer.drain()
    assert seen <= {10}
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (150,)
    intake.close()
    store.close()


def test_emptied_spool_holds_nobody(tmp_path: Path) -> None:
    """What the log has is on no file of the spool any more, though the segment was not full."""
    intake = make_intake(tmp_path, fsync=False)
    intake.start()
    for i in range(3):
        put(intake, delivery(lambda d: d.event(0, {}, user="somebody", event="e", at=NOW, values={})))
        assert intake.writer.empty()
        assert not any(b"somebody" in p.read_bytes() for p in (tmp_path / "spool").iterdir()), i
    put(intake, delivery(lambda d: d.event(0, {}, user="later", event="e", at=NOW, values={})))
    intake.close()
    again = make_intake(tmp_path, fsync=False)
    again.start()
    assert again.writer.drain()
    again.close()
    with EventStore.open(tmp_path / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events") == 4


def test_clicks_are_stored_once(tmp_path: Path) -> None:
    from upswing.server.intake.clicks import take_click

    link = {
        "click_id": "c1",
        "click_time": "1795391000",
        "muid": "__MUID__",
        "account_id": "7",
        "callback": "http://x/?a=1",
    }
    with taken(tmp_path / "w", *(delivery(lambda d: take_click("tencent", link, d)) for _ in range(2))) as store:
        assert store.rows("SELECT click_id, epoch_us(time), account_id, imei, callback, parameters FROM ad_clicks") == [
            ("c1", 1795391000_000_000, "7", None, "http://x/?a=1",
             '{"click_id":"c1","click_time":"1795391000","account_id":"7","callback":"http://x/?a=1"}')
        ]  # fmt: skip
        assert store.count("SELECT count(*) FROM imports") == 0


def test_oracle_of_values_is_itself_right() -> None:
    assert sent_values({"a": {"b": 1, "c": None}, "d": [1], "e": True}) == {
        ("number", 1.0): 1, ("json", "[1]"): 1, ("boolean", True): 1,
    }  # fmt: skip
    assert comparable(3, "integer") == ("number", 3.0)
    assert Limits().event_bytes == 32_768  # Segment: 32 kB
