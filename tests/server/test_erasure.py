"""Erasing a user: as if they had never been, in every table, also when the same file comes again."""

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.serving import served
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError
from upswing.core.units import DAY
from upswing.engines.identity import ALWAYS, FOREVER
from upswing.events.erasure import Span, carry_over, delete_old, erase_user, spans_of, sweep_quarantine, tombstones
from upswing.events.identity import add_aliases
from upswing.events.importer import import_arrow, import_files
from upswing.events.mapping import ColumnMapping
from upswing.events.store import EventStore
from upswing.server.backup import done_with, remove_leftovers, temporary_file
from upswing.workspace import Workspace

UTC = Calendar()
AT = UTC.instant("2026-06-01")


def log(folder: Path) -> EventStore:
    return EventStore.create(folder / "events.duckdb")


def bring(store: EventStore, rows: list[tuple[str, str, str]]) -> int:
    users, times, events = zip(*rows, strict=True)
    table = pa.table({"user": users, "time": times, "event": events, "by": ["someone"] * len(rows)})
    return import_arrow(store, table, calendar=UTC).rows_added


def content(store: EventStore) -> list[tuple[object, ...]]:
    return store.rows(
        "SELECT u.user_id, epoch_us(e.time), e.event FROM events e JOIN users u USING (user_key) ORDER BY ALL"
    )


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_against_a_plain_filter_over_rows_with_shared_devices(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Who an event belongs to is decided row by row here, by the written rule; the log must agree."""
    dice = random.Random(seed)
    users, devices = ["u1", "u2", "u3"], ["d1", "d2"]
    rows = [
        (dice.choice(users + devices), f"2026-05-{dice.randrange(1, 29):02d}", dice.choice(["open", "pay"]))
        for _ in range(40)
    ]
    aliases = [
        (device, dice.choice(users), f"2026-05-{dice.randrange(1, 29):02d}") for device in devices for _ in range(2)
    ]
    aliases = list({(device, day): (device, user, day) for device, user, day in aliases}.values())

    def owner(user: str, day: str) -> str:
        steps = sorted((since, to) for device, to, since in aliases if device == user)
        if not steps:
            return user
        return next((to for since, to in reversed(steps) if since <= day), steps[0][1])

    with log(tmp_path_factory.mktemp("log")) as store:
        bring(store, rows)
        add_aliases(store, aliases, calendar=UTC)
        kept = sorted((u, UTC.instant(d), e) for u, d, e in rows if owner(u, d) != "u1")
        found = erase_user(store, "u1", at=AT)
        assert content(store) == kept
        assert found.events == len(rows) - len(kept)
        bring(store, rows)
        assert content(store) == kept
        names = {str(u) for (u,) in store.rows("SELECT user_id FROM users")}
        assert "u1" not in names
        assert store.count("SELECT count(*) FROM aliases WHERE canonical = 'u1'") == 0


def test_all_ids_of_a_user(tmp_path: Path) -> None:
    with log(tmp_path) as store:
        bring(store, [("u1", "2026-01-01", "open")])
        add_aliases(
            store, [("d1", "u1"), ("d0", "d1"), ("d9", "u2", "2026-01-01"), ("d9", "u1", "2026-02-01")], calendar=UTC
        )
        since = UTC.instant("2026-02-01")
        expected = {Span("u1"), Span("d1"), Span("d0"), Span("d9", since, FOREVER)}
        assert set(spans_of(store, "u1")) == set(spans_of(store, "d0")) == expected
        assert set(spans_of(store, "u2")) == {Span("u2"), Span("d9", ALWAYS, since)}
        with pytest.raises(DataError) as raised:
            spans_of(store, "d9")
        assert raised.value.code == "UP346"


def test_the_same_file_does_not_bring_them_back_but_a_new_life_counts(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,time,event\nu1,2026-01-01,open\nu2,2026-01-01,open\nu1,not a time,open\n", encoding="utf-8")
    with log(tmp_path) as store:
        import_files(store, [file], calendar=UTC)
        found = erase_user(store, "u1", at=AT)
        assert (found.events, found.users, found.quarantined) == (1, 1, 1)
        renamed = tmp_path / "again.csv"
        renamed.write_text(file.read_text(encoding="utf-8") + "u3,2026-01-02,open\n", encoding="utf-8")
        summary = import_files(store, [renamed], calendar=UTC)
        assert summary.rows_added == 1
        assert any("1 of those known already were of users who have been erased" in str(m) for m in summary.messages)
        assert [row[0] for row in content(store)] == ["u2", "u3"]
        assert sweep_quarantine(store) == 1
        assert store.count("SELECT count(*) FROM quarantine") == 0
        assert bring(store, [("u1", "2026-06-02", "open")]) == 1  # signed up again, later
        erase_user(store, "u1", at=AT + 30 * DAY, for_good=True)
        assert bring(store, [("u1", "2027-01-01", "open")]) == 0


def test_nobody_is_named_by_what_is_kept(tmp_path: Path) -> None:
    with log(tmp_path) as store:
        bring(store, [("lin.wei@example.com", "2026-01-01", "open"), ("u2", "2026-01-01", "open")])
        erase_user(store, "lin.wei@example.com", at=AT)
        for (table,) in store.rows("SELECT table_name FROM duckdb_tables()"):
            rows = store.connection.execute(f'SELECT * FROM "{table}"').fetchall()
            assert "lin.wei" not in repr(rows), table


def test_clicks_and_mentions(tmp_path: Path) -> None:
    with log(tmp_path) as store:
        table = pa.table(
            {"user": ["u1", "u2"], "time": ["2026-01-01"] * 2, "event": ["join"] * 2, "inviter": ["u9", "u1"]}
        )
        import_arrow(store, table, calendar=UTC)
        add_aliases(store, [("idfa-77", "u1")], calendar=UTC)
        store.run("CREATE TABLE ad_clicks (click_id VARCHAR, time TIMESTAMP, parameters VARCHAR)")
        for click, idfa in (("c1", "idfa-77"), ("c2", "idfa-88")):
            store.run("INSERT INTO ad_clicks VALUES (?, now()::TIMESTAMP, ?)", [click, f'{{"idfa": "{idfa}"}}'])
        found = erase_user(store, "u1", at=AT)
        assert (found.clicks, found.mentioned, found.aliases) == (1, {"inviter": 1}, 1)
        assert store.rows("SELECT click_id FROM ad_clicks") == [("c2",)]


def test_answers_are_those_of_a_log_without_the_user(tmp_path: Path) -> None:
    dice = random.Random(3)
    rows = [
        f"u{dice.randrange(30)},2026-03-{dice.randrange(1, 29):02d}T{dice.randrange(24):02d}:00:00,{dice.choice('abc')}"
        for _ in range(600)
    ]

    def answers(root: Path) -> list[str]:
        with Workspace.open(root) as workspace:
            funnel = workspace.funnel(steps=["a", "b", "c"], within="7d")
            retention = workspace.retention(start_event="a", return_event="b", period="day", periods=3)
            return [repr(r.to_dict().get("steps") or r.to_dict().get("cohorts")) for r in (funnel, retention)]

    roots = [tmp_path / "erased", tmp_path / "never"]
    for root, taken in zip(roots, (rows, [r for r in rows if not r.startswith("u7,")]), strict=True):
        file = tmp_path / f"{root.name}.csv"
        file.write_text("user,time,event\n" + "\n".join(taken) + "\n", encoding="utf-8")
        with Workspace.create(root) as workspace:
            workspace.import_events([file], user="user", time="time", event="event")
    answers(roots[0])  # with its mapped columns written
    with EventStore.open(roots[0] / "data" / "events.duckdb") as store:
        assert erase_user(store, "u7", at=AT).events > 0
    assert answers(roots[0]) == answers(roots[1])


def test_a_restored_log_forgets_them_again(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    rows = [("u1", "2026-01-01", "open"), ("u2", "2026-01-01", "open")]
    with log(tmp_path) as new, log(tmp_path / "old") as old:
        bring(new, rows)
        bring(old, rows)
        erase_user(new, "u1", at=AT)
        known = tombstones(new)
        assert known is not None
        assert carry_over(old, known).events == 1
        assert [row[0] for row in content(old)] == ["u2"]
        assert bring(old, [*rows, ("u3", "2026-01-01", "open")]) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100)), min_size=1, max_size=30))
@settings(max_examples=20)
def test_old_events_go_by_their_rules(tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, int]]) -> None:
    rules = {"a": 10 * DAY, "*": 50 * DAY}
    with log(tmp_path_factory.mktemp("log")) as store:
        bring(store, [(f"u{i}", UTC.local(AT - days * DAY).isoformat(), event) for i, (event, days) in enumerate(made)])
        delete_old(store, rules, at=AT)
        kept = sorted(
            AT - days * DAY for event, days in made if days * DAY <= (rules["a"] if event == "a" else rules["*"])
        )
        assert sorted(int(str(time)) for _, time, _ in content(store)) == kept
        assert store.count("SELECT count(*) FROM users") == len(kept)
        assert set(delete_old(store, rules, at=AT).values()) == {0}


def test_over_http_with_the_spool_between(tmp_path: Path) -> None:
    with served(tmp_path / "w", people=False) as site:
        client = site.client()
        old = [
            {"user": user, "event": "open", "time": "2026-01-01T00:00:00Z", "event_id": f"{user}-{n}"}
            for user in ("lin.wei@example.com", "bo@example.com")
            for n in range(50)
        ]
        assert client.post("/v1/events", json=old).status_code < 300
        assert site.app.state.upswing.intake.writer.drain(60)
        site.app.state.upswing.storage.refresh()
        client.get("/api/v1/events")
        assert site.app.state.upswing.questions.kept_bytes > 0
        answer = client.post("/api/v1/erasure", json={"user": "lin.wei@example.com"})
        assert site.app.state.upswing.questions.kept_bytes == 0
        assert answer.status_code == 200, answer.text
        assert answer.json()["events"] == 50
        for file in (tmp_path / "w" / "data" / "spool").glob("*.frames"):
            assert b"lin.wei" not in file.read_bytes()
        assert (
            client.post("/v1/events", json=[{**e, "event_id": e["event_id"] + "-again"} for e in old]).status_code < 300
        )
        assert site.app.state.upswing.intake.writer.drain(60)
        with site.app.state.upswing.storage.writing() as store:
            assert {str(row[0]) for row in content(store)} == {"bo@example.com"}
            assert len(content(store)) == 100
        entry = site.facts.audit.entries(limit=1)[0]
        assert entry.action == "users.erase"
        assert "lin.wei" not in repr(entry)
        assert client.post("/api/v1/erasure", json={"user": "nobody"}).json()["events"] == 0
        assert client.post("/api/v1/scheduled-jobs/tidy/run", json={}).status_code == 202
        assert client.post("/api/v1/scheduled-jobs/none/run", json={}).status_code == 422


def test_an_intake_key_cannot_stop_answers_or_take_others_events_along(tmp_path: Path) -> None:
    """A property called as the engine calls the number of a row."""
    with served(tmp_path / "w", people=False) as site:
        client, state = site.client(), site.app.state.upswing
        sent = [{"user": f"u{n % 3}", "event": "open", "event_id": str(n), "time": "2026-01-01T00:00:00Z",
                 "properties": {"rowid": n} if n % 2 else {}} for n in range(30)]  # fmt: skip
        sent.append({"user": "x", "event": "y", "properties": {"RowID": "1"}})
        assert client.post("/v1/events", json=sent).status_code < 300
        assert state.intake.writer.drain(60)
        state.storage.refresh()
        assert client.get("/readyz").status_code == 200
        assert client.get("/api/v1/funnel?step=open&step=y&within=7d").status_code == 200
        assert client.post("/api/v1/erasure", json={"user": "u1"}).json()["events"] == 10
        with state.storage.writing() as store:
            assert len(content(store)) == 21
            assert {"rowid", "RowID"} <= set(store.properties())
    with EventStore.open(tmp_path / "w" / "data" / "events.duckdb") as store:
        column = store.properties()["rowid"].column
    with duckdb.connect(str(tmp_path / "w" / "data" / "events.duckdb")) as connection:  # as an earlier version left it
        connection.execute(f'ALTER TABLE events RENAME COLUMN "{column}" TO "rowid"')
        connection.execute("UPDATE properties SET column_name = 'rowid' WHERE name = 'rowid'")
    with served(tmp_path / "w", people=False) as site:
        assert site.client().get("/readyz").status_code == 200
        assert site.client().post("/api/v1/erasure", json={"user": "u2"}).json()["events"] == 10
        with site.app.state.upswing.storage.writing() as store:
            assert len(content(store)) == 11


def test_what_an_interrupted_backup_left_goes_too(tmp_path: Path) -> None:
    with served(tmp_path / "w", people=False) as site:
        data = tmp_path / "w" / "data"
        (data / ".backup.abc.tar").write_bytes(b"lin.wei")
        (data / "..backup.abc.tar.x1").mkdir()
        (data / "..backup.abc.tar.x1" / "log.duckdb").write_bytes(b"lin.wei")
        now_made = temporary_file(tmp_path / "w")  # somebody is fetching this one
        (data / f".{now_made.name}.x2").mkdir()
        assert site.client().post("/api/v1/erasure", json={"user": "lin.wei"}).json()["leftovers"] == 2
        left = {p.name for p in data.iterdir() if "backup" in p.name}
        assert left == {now_made.name, f".{now_made.name}.x2"}
        done_with(now_made)
        assert remove_leftovers(tmp_path / "w") == 1
        assert not now_made.exists()


def test_files_that_were_not_looked_into_are_named(tmp_path: Path) -> None:
    with served(tmp_path / "w", people=False) as site:
        data = tmp_path / "w" / "data"
        (data / "uploads" / "0123456789abcdef").mkdir(parents=True)
        for file in ("uploads/0123456789abcdef/sent.csv", "spool/000000000001.damaged"):
            (data / file).write_bytes(b"lin.wei")
        told = site.client().post("/api/v1/erasure", json={"user": "lin.wei"}).json()
        assert told["unsearched"] == ["data/spool/000000000001.damaged", "data/uploads/0123456789abcdef/sent.csv"]


def test_a_shared_device_is_not_swept_with_one_of_its_users(tmp_path: Path) -> None:
    with log(tmp_path) as store:
        bring(store, [("u1", "2026-01-01", "open"), ("u2", "2026-03-01", "open"), ("d9", "2026-03-02", "open")])
        add_aliases(store, [("d9", "u1", "2026-01-01"), ("d9", "u2", "2026-02-01")], calendar=UTC)
        erase_user(store, "u1", at=AT)
        file = tmp_path / "bad.csv"
        file.write_text("user,time,event\nd9,never,open\nu1,never,open\nu3,2026-01-01,open\n", encoding="utf-8")
        import_files(store, [file], calendar=UTC, mapping=ColumnMapping(time_format="iso"))
        assert sweep_quarantine(store) == 1
        assert "d9" in str(store.value("SELECT raw FROM quarantine"))


def test_a_served_log_answers_as_if_they_had_never_been(tmp_path: Path) -> None:
    """Questions before, between and after erasures and further events, against a log that never had the user."""
    dice = random.Random(11)
    rows = [
        {"user": f"u{dice.randrange(20)}", "event": dice.choice("ab"), "event_id": str(n),
         "time": f"2026-03-{dice.randrange(1, 29):02d}T{dice.randrange(24):02d}:00:00Z"}
        for n in range(400)
    ]  # fmt: skip
    asked = "/api/v1/funnel?step=a&step=b&within=7d"
    parts = [rows[:150], rows[150:300], rows[300:]]
    with served(tmp_path / "w", people=False) as site, served(tmp_path / "never", people=False) as never:
        for part, gone in zip(parts, ("u3", "u7", "u11"), strict=True):
            for place, sent in ((site, part), (never, [r for r in part if r["user"] not in ("u3", "u7", "u11")])):
                assert place.client().post("/v1/events", json=sent).status_code < 300
                assert place.app.state.upswing.intake.writer.drain(60)
                place.app.state.upswing.storage.refresh()
            site.client().get(asked)  # with its mapped columns made
            assert site.client().post("/api/v1/erasure", json={"user": gone}).status_code == 200
        assert (
            site.client()
            .post("/v1/events", json=[r | {"event_id": "x" + r["event_id"]} for r in parts[2]][:50])
            .is_success
        )
        assert (
            never.client()
            .post(
                "/v1/events",
                json=[
                    r | {"event_id": "x" + r["event_id"]} for r in parts[2][:50] if r["user"] not in ("u3", "u7", "u11")
                ],
            )
            .is_success
        )
        answers = []
        for place in (site, never):
            assert place.app.state.upswing.intake.writer.drain(60)
            place.app.state.upswing.storage.refresh()
            answers.append(place.client().get(asked).json()["steps"])
        assert answers[0] == answers[1]
