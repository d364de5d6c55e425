"""A workspace into one file and back: whole, checked, while events come in, and without whoever was erased since."""

import io
import json
import random
import tarfile
import threading
from datetime import UTC as UTC_ZONE
from datetime import datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from tests.facts.postgres import cluster, why_not
from tests.server.serving import Served, served
from upswing.core.calendar import Calendar
from upswing.core.errors import DataError, UsageError
from upswing.core.units import HOUR
from upswing.events.erasure import erase_user, tombstones
from upswing.events.identity import add_aliases
from upswing.events.importer import import_arrow
from upswing.events.store import EventStore
from upswing.facts.clock import now
from upswing.facts.database import Facts
from upswing.server import backup
from upswing.server.backup import back_up, restore
from upswing.server.intake.events import Click, Delivery
from upswing.server.intake.service import Intake
from upswing.server.intake.spool import Spool
from upswing.workspace import Workspace

UTC = Calendar()


def made(root: Path, users: int = 20) -> Path:
    """A workspace with events, people, a definition, a note, and a secret."""
    Workspace.create(root, project="acme").close()
    dice = random.Random(1)
    rows = {
        "user": [f"u{dice.randrange(users)}" for _ in range(500)],
        "event": [dice.choice("abc") for _ in range(500)],
    }
    times = [f"2026-01-{dice.randrange(1, 29):02d}" for _ in range(500)]
    with EventStore.open(root / "data" / "events.duckdb") as store:
        import_arrow(store, pa.table({**rows, "time": times}), calendar=UTC)
    (root / "funnels").mkdir()
    (root / "funnels" / "buy.yml").write_text(
        "# 注释\nkind: funnel\nname: buy\nsteps: [{event: a}, {event: b}]\n", "utf-8"
    )
    with Facts.open(root) as facts:
        facts.people.add("lin@example.com", role="admin", password="correct horse battery")
        facts.keys.new("intake", label="app")
        facts.secrets.put("ads", "hunter2")
        facts.audit.record("lin@example.com", "test")
    return root


def saved(root: Path, target: Path, **how: bool) -> None:
    with Facts.open(root) as facts, EventStore.open(root / "data" / "events.duckdb") as store:
        back_up(root, target, reading=lambda: _same(store), facts=facts, **how)


class _same:  # noqa: N801
    def __init__(self, store: EventStore) -> None:
        self.store = store

    def __enter__(self) -> EventStore:
        return self.store

    def __exit__(self, *_: object) -> None:
        pass


def content(root: Path) -> list[tuple[object, ...]]:
    with EventStore.open(root / "data" / "events.duckdb") as store:
        return store.rows("SELECT u.user_id, epoch_us(e.time), e.event FROM events e JOIN users u USING (user_key)")


def test_everything_comes_back(tmp_path: Path) -> None:
    root, file, again = made(tmp_path / "w"), tmp_path / "w.tar", tmp_path / "again"
    saved(root, file)
    assert file.stat().st_mode & 0o077 == 0
    manifest = restore(file, again)
    assert (manifest.project, manifest.events) == ("acme", 500)
    assert content(again) == content(root)  # in the same order
    assert (again / "funnels" / "buy.yml").read_bytes() == (root / "funnels" / "buy.yml").read_bytes()
    with Facts.open(again) as facts, Facts.open(root) as before:
        assert list(facts.people) == list(before.people)
        assert list(facts.keys) == list(before.keys)
        assert facts.audit.broken_at() is None
        assert facts.audit.head() == manifest.audit_head == before.audit.head()
        assert facts.people.verify("lin@example.com", "correct horse battery") is not None
        facts.people.add("new@example.com")
    with Workspace.open(again) as workspace, Workspace.open(root) as old:
        assert workspace.funnel("buy").to_dict()["steps"] == old.funnel("buy").to_dict()["steps"]


def test_the_key_of_secrets_goes_along_only_when_asked_for(tmp_path: Path) -> None:
    root = made(tmp_path / "w")
    for with_key in (False, True):
        file, again = tmp_path / f"{with_key}.tar", tmp_path / str(with_key)
        saved(root, file, secret_key=with_key)
        assert b"hunter2" not in file.read_bytes()
        restore(file, again)
        with Facts.open(again) as facts:
            if with_key:
                assert facts.secrets.get("ads").reveal() == "hunter2"
                assert (again / "data" / "secret.key").stat().st_mode & 0o077 == 0
            else:
                assert not (again / "data" / "secret.key").exists()


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    root, file = made(tmp_path / "w"), tmp_path / "w.tar"
    saved(root, file)
    other = made(tmp_path / "other", users=3)
    before = content(other)
    with pytest.raises(UsageError) as raised:
        restore(file, other)
    assert raised.value.code == "UP850"
    assert content(other) == before
    (other / "notes.txt").write_text("mine", "utf-8")
    restore(file, other, force=True)
    assert content(other) == content(root)
    assert (other / "notes.txt").read_text("utf-8") == "mine"


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_a_database_in_use_is_not_emptied_by_a_restore_elsewhere(tmp_path: Path) -> None:
    with cluster() as url:
        root, file = tmp_path / "w", tmp_path / "w.tar"
        Workspace.create(root, facts=url).close()
        with Facts.open(root, url) as facts, EventStore.open(root / "data" / "events.duckdb") as store:
            facts.people.add("lin@example.com")
            back_up(root, file, reading=lambda: _same(store), facts=facts)
            facts.people.add("new@example.com")
        with pytest.raises(UsageError) as raised:
            restore(file, tmp_path / "again")
        assert raised.value.code == "UP850"
        with Facts.open(root, url) as facts:
            assert len(list(facts.people)) == 2
        restore(file, root, force=True)
        with Facts.open(root, url) as facts:
            assert [p.email for p in facts.people] == ["lin@example.com"]
            facts.people.add("next@example.com")


def test_damage_is_found_before_anything_is_touched(tmp_path: Path) -> None:
    root, file = made(tmp_path / "w"), tmp_path / "w.tar"
    saved(root, file)
    whole, dice = file.read_bytes(), random.Random(5)
    with tarfile.open(file) as archive:
        ranges = [(m.offset_data, m.offset_data + m.size) for m in archive if m.size and m.name != "manifest.json"]
    before = content(root)
    for _ in range(12):
        start, stop = dice.choice(ranges)
        at = dice.randrange(start, stop)
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataError) as raised:
            restore(file, root, force=True)
        assert raised.value.code == "UP849"
    for cut in (0, 100, len(whole) // 2):
        file.write_bytes(whole[:cut])
        with pytest.raises(DataError):
            restore(file, root, force=True)
    assert content(root) == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../evil", tarfile.REGTYPE), ("/tmp/evil", tarfile.REGTYPE), ("files/x", tarfile.SYMTYPE),
     ("files/x", tarfile.LNKTYPE), ("unlisted", tarfile.REGTYPE), ("files/x", tarfile.FIFOTYPE)],
)  # fmt: skip
def test_archives_that_reach_elsewhere_are_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    file = tmp_path / "evil.tar"
    listed = {"made_at": 0, "version": "0", "project": "x", "events": None, "audit_head": "", "format": 1}
    known = {} if name == "unlisted" else {name: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    manifest = json.dumps({**listed, "files": known}).encode()
    with tarfile.open(file, "w") as archive:
        first = tarfile.TarInfo("manifest.json")
        first.size = len(manifest)
        archive.addfile(first, io.BytesIO(manifest))
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member, io.BytesIO())
    with pytest.raises(DataError):
        restore(file, tmp_path / "again")
    assert not (tmp_path / "evil").exists()


def test_who_was_erased_since_stays_erased(tmp_path: Path) -> None:
    root, file = made(tmp_path / "w"), tmp_path / "w.tar"
    saved(root, file)
    with EventStore.open(root / "data" / "events.duckdb") as store:
        assert erase_user(store, "u7", at=now()).events > 0
    kept = sorted(content(root), key=repr)
    restore(file, root, force=True)
    assert sorted(content(root), key=repr) == kept


def test_all_that_an_erasure_erased_is_erased_again(tmp_path: Path) -> None:
    """Aliases, rows set aside, clicks, events dated ahead; in the log, and waiting in the spool."""
    root, file, data = tmp_path / "w", tmp_path / "w.tar", tmp_path / "w" / "data"
    made(root)
    ahead = datetime.fromtimestamp(now() / 1e6 + 20 * 3600, UTC_ZONE).isoformat()

    def deliver(n: int, user: str) -> bytes:
        delivery = Delivery(now())
        delivery.event(0, {}, user=user, event="a", at=now() + 20 * HOUR, values={"": {"n": n}}, event_id=f"{user}-{n}")
        delivery.alias(1, {}, alias=f"{user}-device{n}", canonical=user, at=now())
        delivery.click(Click("tencent", f"c-{user}-{n}", now(), now(), {}, {"who": f"{user}-device"}))
        delivery.refuse(2, "bad_time", "", {"user": user, "time": "never"})
        frame = delivery.frame()
        assert frame is not None
        return frame

    with EventStore.open(data / "events.duckdb") as store:
        rows = [(user, when, "a") for user in ("victim", "other") for when in ("2026-01-01", "never", ahead)]
        users, times, events = zip(*rows, strict=True)
        import_arrow(store, pa.table({"user": users, "time": times, "event": events}), calendar=UTC)
        add_aliases(store, [("victim-device", "victim"), ("other-device", "other")], calendar=UTC)
    intake = Intake.open(data / "spool", data / "events.duckdb", calendar=UTC)
    intake.start()
    for user in ("victim", "other"):
        intake.spool.append(deliver(1, user)).result()
    assert intake.writer.drain(60)
    intake.close()
    spool = Spool(data / "spool")  # acknowledged, and not in the log yet
    for user in ("victim", "other"):
        spool.append(deliver(2, user)).result()
    spool.close()
    saved(root, file)
    with EventStore.open(data / "events.duckdb") as store:
        found = erase_user(store, "victim", at=now())
        assert (found.events, found.aliases, found.quarantined, found.clicks) == (3, 2, 2, 1)
    restore(file, root, force=True)
    with EventStore.open(data / "events.duckdb") as store:
        for (table,) in store.rows("SELECT table_name FROM duckdb_tables()"):
            assert "victim" not in repr(store.rows(f'SELECT * FROM "{table}"')), table
        counts = [
            store.count(f"SELECT count(*) FROM {table} WHERE {named} LIKE '%other%'")
            for table, named in (
                ("events JOIN users USING (user_key)", "user_id"), ("aliases", "canonical"), ("quarantine", "raw"),
                ("ad_clicks", "parameters"),
            )
        ]  # fmt: skip
        assert counts == [4, 3, 3, 2]
    for frames in (data / "spool").glob("*.frames"):
        assert b"victim" not in frames.read_bytes()
    intake = Intake.open(data / "spool", data / "events.duckdb", calendar=UTC)
    intake.start()
    intake.spool.append(deliver(3, "other")).result()
    assert intake.writer.drain(60)
    intake.close()
    with EventStore.open(data / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events JOIN users USING (user_key) WHERE user_id = 'other'") == 5


def test_a_new_life_in_a_backup_stays(tmp_path: Path) -> None:
    """The backup knows of the erasure: what came after it is the user's own."""
    root, file = made(tmp_path / "w"), tmp_path / "w.tar"
    with EventStore.open(root / "data" / "events.duckdb") as store:
        erase_user(store, "u7", at=UTC.instant("2026-02-01"))
        import_arrow(store, pa.table({"user": ["u7"], "time": ["2026-02-02"], "event": ["a"]}), calendar=UTC)
    kept = sorted(content(root), key=repr)
    saved(root, file)
    restore(file, root, force=True)
    assert sorted(content(root), key=repr) == kept
    assert any(row[0] == "u7" for row in kept)


def test_another_workspaces_backup_replaces_nothing(tmp_path: Path) -> None:
    root, other, file = made(tmp_path / "w"), made(tmp_path / "other"), tmp_path / "other.tar"
    for place, user in ((root, "u7"), (other, "u8")):
        with EventStore.open(place / "data" / "events.duckdb") as store:
            erase_user(store, user, at=now())
    saved(other, file)
    (root / "funnels" / "buy.yml").write_text("kind: funnel\nname: buy\nsteps: [{event: a}, {event: c}]\n", "utf-8")
    before = content(root), (root / "funnels" / "buy.yml").read_bytes()
    with pytest.raises(DataError) as raised:
        restore(file, root, force=True)
    assert raised.value.code == "UP347"
    assert (content(root), (root / "funnels" / "buy.yml").read_bytes()) == before
    with EventStore.open(root / "data" / "events.duckdb") as store:
        assert tombstones(store) is not None
    assert not list(root.glob(".restoring*"))


@pytest.mark.parametrize("broken", ["keep_private", "_emptied_facts", "load"])
def test_a_restore_that_ends_half_way_forgets_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    root, file = made(tmp_path / "w"), tmp_path / "w.tar"
    saved(root, file)
    with EventStore.open(root / "data" / "events.duckdb") as store:
        erase_user(store, "u7", at=now())

    def power_cut(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(backup, broken, power_cut)
        with pytest.raises(OSError, match="power cut"):
            restore(file, root, force=True)
    assert all(row[0] != "u7" for row in content(root))
    restore(file, root, force=True)
    assert content(root)
    assert all(row[0] != "u7" for row in content(root))


def test_only_the_owner_can_read_what_is_restored(tmp_path: Path) -> None:
    root, file, again = made(tmp_path / "w"), tmp_path / "w.tar", tmp_path / "again"
    with Workspace.open(root) as workspace:
        workspace.funnel("buy")
    Spool(root / "data" / "spool").close()
    saved(root, file)
    (root / "data").chmod(0o755)
    (root / "data" / "events.duckdb").chmod(0o644)
    EventStore.open(root / "data" / "events.duckdb").close()
    Facts.open(root).close()
    restore(file, again)
    for place in (root, again):
        data = place / "data"
        for found in (data, *data.iterdir()):
            assert found.stat().st_mode & 0o077 == 0, found


def test_a_restored_file_holds_no_bytes_of_who_was_erased(tmp_path: Path) -> None:
    root, file, again = made(tmp_path / "w"), tmp_path / "w.tar", tmp_path / "again"
    with EventStore.open(root / "data" / "events.duckdb") as store:
        table = pa.table({"user": ["lin.wei@example.com"], "time": ["2026-01-01"], "event": ["a"]})
        import_arrow(store, table, calendar=UTC)
        erase_user(store, "lin.wei@example.com", at=now())
    saved(root, file)
    restore(file, again)
    for found in (file, *again.rglob("*")):
        if found.is_file():
            assert b"lin.wei" not in found.read_bytes(), found


def test_while_events_come_in_and_questions_are_asked(tmp_path: Path) -> None:
    """Everything acknowledged before the backup began is in it, once; the server goes on."""
    with served(tmp_path / "w", people=False) as site:
        acknowledged: list[str] = []
        stop = threading.Event()
        sender = threading.Thread(target=_send_on, args=(site, acknowledged, stop))
        sender.start()
        client = site.client()
        try:
            for number in range(3):
                _wait_for(acknowledged, 150 * (number + 1))
                before = set(acknowledged)
                answer = client.post("/api/v1/backup")
                assert answer.status_code == 200, answer.text
                (tmp_path / f"{number}.tar").write_bytes(answer.content)
                again = tmp_path / f"again{number}"
                restore(tmp_path / f"{number}.tar", again)
                found = _all_events(again)
                assert before <= set(found)
                assert len(found) == len(set(found))
        finally:
            stop.set()
            sender.join()
        assert not list((tmp_path / "w" / "data").glob(".backup*"))


def _send_on(site: Served, acknowledged: list[str], stop: threading.Event) -> None:
    with httpx.Client(base_url=site.url, timeout=30) as client:
        number = 0
        while not stop.is_set():
            ids = [f"m{number + i}" for i in range(10)]
            number += 10
            body = [{"user": f"u{i[-1]}", "event": "open", "event_id": i} for i in ids]
            answer = client.post("/v1/events", json=body)
            assert answer.status_code < 300, answer.text
            acknowledged += ids


def _wait_for(acknowledged: list[str], count: int) -> None:
    while len(acknowledged) < count:
        threading.Event().wait(0.01)


def _all_events(root: Path) -> list[str]:
    """What the log has after it took what its spool holds."""
    intake = Intake.open(root / "data" / "spool", root / "data" / "events.duckdb", calendar=UTC)
    intake.start()
    assert intake.writer.drain(60)
    intake.close()
    with EventStore.open(root / "data" / "events.duckdb") as store:
        return [str(i) for (i,) in store.rows("SELECT event_id FROM events")]


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_what_is_sent_after_a_restore_is_never_taken_for_what_the_log_has(
    tmp_path: Path, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the copies of spool and log the log takes more, also from segments that the spool's copy does not have."""
    root, file = tmp_path / "w", tmp_path / "b.tar"
    Workspace.create(root).close()

    def send(intake: Intake, ids: range) -> None:
        delivery = Delivery(now())
        for i in ids:
            delivery.event(
                0, {}, user=f"u{i}", event="pay", at=delivery.received, event_id=f"id{i}", values={"": {"n": i}}
            )
        frame = delivery.frame()
        assert frame is not None
        intake.spool.append(frame).result()

    def opened(where: Path) -> Intake:
        intake = Intake.open(where / "data" / "spool", where / "data" / "events.duckdb", calendar=UTC)
        intake.start()
        return intake

    def meanwhile(spool: Path, target: Path) -> None:
        copying(spool, target)
        intake = opened(root)
        for turn in range(turns):
            intake.spool.rotate()
            send(intake, range(10 * turn + 10, 10 * turn + 20))
        assert intake.writer.drain(60)
        intake.close()

    intake = opened(root)
    send(intake, range(10))
    intake.close()
    copying = backup._copy_spool
    monkeypatch.setattr(backup, "_copy_spool", meanwhile)
    saved(root, file)
    restored = tmp_path / "again"
    restore(file, restored)
    for start in range(2):
        intake = opened(restored)
        send(intake, range(100 + 50 * start, 150 + 50 * start))
        assert intake.writer.drain(60)
        assert intake.problem() is None
        intake.close()
    with EventStore.open(restored / "data" / "events.duckdb") as store:
        assert store.count("SELECT count(*) FROM events") == 10 + 10 * turns + 100


@pytest.mark.parametrize("path", ["{elsewhere}/events.duckdb", "../elsewhere/events.duckdb"])
def test_a_restore_writes_and_deletes_nothing_outside_its_folder(tmp_path: Path, path: str) -> None:
    """The production's log lies on another disk; whoever restores to have a look must not replace it."""
    root, elsewhere, file = tmp_path / "w", tmp_path / "elsewhere", tmp_path / "b.tar"
    made(root)
    (elsewhere / "spool").mkdir(parents=True)
    (root / "data" / "events.duckdb").rename(elsewhere / "events.duckdb")
    with (root / "upswing.yml").open("a", encoding="utf-8") as settings:
        settings.write(f"engine: {{path: '{path.format(elsewhere=elsewhere)}', memory: 1GB}}\n")
    with Facts.open(root) as facts, EventStore.open(elsewhere / "events.duckdb") as store:
        back_up(root, file, reading=lambda: _same(store), facts=facts)
    (elsewhere / "spool" / "mine.txt").write_text("mine")
    before = (elsewhere / "events.duckdb").read_bytes()
    said: list[object] = []
    restore(file, tmp_path / "again", say=said.append)
    assert (elsewhere / "spool" / "mine.txt").read_text() == "mine"
    assert (elsewhere / "events.duckdb").read_bytes() == before
    assert str(tmp_path / "again" / "data" / "events.duckdb") in str(said[0])
    with Workspace.open(tmp_path / "again") as back, Workspace.open(root) as there:
        assert back.project.engine.memory == "1GB"
        assert back.log.schema.n_events == there.log.schema.n_events > 0
    restore(file, root, force=True, say=said.append)  # the workspace that has it there
    assert len(said) == 1
    assert not (elsewhere / "spool" / "mine.txt").exists()
    with Workspace.open(root) as there:
        assert there.log.schema.n_events > 0
