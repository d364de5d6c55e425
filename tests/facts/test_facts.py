"""Run-time facts: what goes in comes out, on SQLite and on PostgreSQL, also with many threads at once."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from upswing.core.errors import DefinitionError, EngineError, UsageError
from upswing.core.units import DAY, HOUR, MINUTE, Duration
from upswing.facts import passwords
from upswing.facts.audit import BEGINNING
from upswing.facts.clock import now
from upswing.facts.copying import dump, load
from upswing.facts.database import Facts
from upswing.facts.sessions import ABSOLUTE, IDLE

PASSWORD = "correct horse battery"


class TestPeople:
    def test_nobody_at_first_and_the_first_administrator_counts(self, facts: Facts) -> None:
        assert not facts.people.any()
        facts.people.add("viewer@example.com", password=PASSWORD)
        assert not facts.people.any()  # nobody could administer
        facts.people.add("Lin@Example.com ", role="admin", password=PASSWORD)
        assert facts.people.any()
        assert [p.email for p in facts.people] == ["lin@example.com", "viewer@example.com"]

    def test_address_is_one_in_any_case(self, facts: Facts) -> None:
        facts.people.add("lin@example.com")
        with pytest.raises(UsageError) as raised:
            facts.people.add("LIN@example.com")
        assert raised.value.code == "UP825"

    @pytest.mark.parametrize("bad", ["", "lin", "@x", "lin@", "a b@c.example", "x" * 400 + "@c.example"])
    def test_addresses_that_are_none(self, facts: Facts, bad: str) -> None:
        with pytest.raises(UsageError) as raised:
            facts.people.add(bad)
        assert raised.value.code == "UP824"

    def test_sign_in_by_password(self, facts: Facts) -> None:
        facts.people.add("lin@example.com", password=PASSWORD)
        found = facts.people.verify("LIN@example.com", PASSWORD)
        assert found is not None
        assert found.email == "lin@example.com"
        assert facts.people.verify("lin@example.com", PASSWORD + "x") is None
        assert facts.people.verify("who@example.com", PASSWORD) is None
        facts.people.change("lin@example.com", disabled=True)
        assert facts.people.verify("lin@example.com", PASSWORD) is None

    def test_nobody_signs_in_without_a_password(self, facts: Facts) -> None:
        facts.people.add("robot@example.com")
        assert facts.people.verify("robot@example.com", "") is None
        assert facts.people.verify("robot@example.com", "a password that nobody has") is None

    def test_unknown_people_cost_the_same_work(self, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
        facts.people.add("lin@example.com", password=PASSWORD)
        verified: list[str] = []
        hasher = passwords._HASHER

        class Counting:
            def verify(self, found: str, password: str) -> bool:
                verified.append(found)
                return hasher.verify(found, password)

            def __getattr__(self, name: str) -> object:
                return getattr(hasher, name)

        monkeypatch.setattr(passwords, "_HASHER", Counting())
        facts.people.verify("lin@example.com", "wrong password")
        facts.people.verify("who@example.com", "wrong password")
        facts.people.verify("lin@example.com", "x" * 10_000)
        assert len(verified) == 3

    def test_the_last_administrator_stays(self, facts: Facts) -> None:
        facts.people.add("a@example.com", role="admin")
        facts.people.add("b@example.com")
        for attempt in (
            lambda: facts.people.change("a@example.com", role="viewer"),
            lambda: facts.people.change("a@example.com", disabled=True),
            lambda: facts.people.remove("a@example.com"),
        ):
            with pytest.raises(UsageError) as raised:
                attempt()
            assert raised.value.code == "UP827"
        assert facts.people.get("a@example.com").role == "admin"
        facts.people.change("b@example.com", role="admin")
        facts.people.remove("a@example.com")
        facts.people.remove("b@example.com")  # nobody is left: as without people
        assert not facts.people.any()

    @pytest.mark.parametrize("weak", ["short", "aaaaaaaaaaaa", "password123", "lin123456789", "1234567812345678"])
    def test_weak_passwords(self, facts: Facts, weak: str) -> None:
        with pytest.raises(UsageError) as raised:
            facts.people.add("lin@example.com", password=weak)
        assert raised.value.code == "UP823"

    def test_hash_is_argon2id_with_the_recommended_costs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        assert passwords.hashed(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")  # RFC 9106, section 4


class TestSessions:
    def test_every_sign_in_has_a_new_cookie(self, facts: Facts) -> None:
        person = facts.people.add("lin@example.com")
        first, one = facts.sessions.begin(person)
        second, other = facts.sessions.begin(person)
        assert first != second
        assert one.csrf != other.csrf
        found = facts.sessions.find(first)
        assert found is not None
        assert found.person == person
        assert found.csrf == one.csrf
        facts.sessions.end(first)
        assert facts.sessions.find(first) is None
        assert facts.sessions.find(second) is not None

    def test_cookies_are_not_stored(self, facts: Facts) -> None:
        cookie, _ = facts.sessions.begin(facts.people.add("lin@example.com"))
        with facts.reading() as connection:
            rows = connection.execute(text("SELECT * FROM sessions")).all()
        assert cookie not in repr(rows)

    def test_idle_and_absolute_end(self, facts: Facts) -> None:
        person = facts.people.add("lin@example.com")
        began = now()
        cookie, _ = facts.sessions.begin(person, at=began)
        assert facts.sessions.find(cookie, at=began + IDLE) is not None
        assert facts.sessions.find(cookie, at=began + IDLE + IDLE - MINUTE) is not None  # it was used meanwhile
        assert facts.sessions.find(cookie, at=began + 3 * IDLE + HOUR) is None
        cookie, _ = facts.sessions.begin(person, at=began)
        for hour in range(0, 7 * 24, 11):
            assert facts.sessions.find(cookie, at=began + hour * HOUR) is not None
        assert facts.sessions.find(cookie, at=began + ABSOLUTE + 1) is None

    def test_a_role_counts_at_once_and_a_new_password_ends_sessions(self, facts: Facts) -> None:
        person = facts.people.add("lin@example.com", role="editor", password=PASSWORD)
        cookie, _ = facts.sessions.begin(person)
        facts.people.change("lin@example.com", role="viewer")
        found = facts.sessions.find(cookie)
        assert found is not None
        assert found.person.role == "viewer"
        facts.people.change("lin@example.com", password=PASSWORD + "!")
        assert facts.sessions.find(cookie) is None


class TestTokens:
    def test_token_speaks_for_its_person_with_the_lesser_role(self, facts: Facts) -> None:
        person = facts.people.add("lin@example.com", role="editor")
        secret, kept = facts.tokens.new(person, label="notebook", role="viewer")
        assert secret.startswith(kept.prefix)
        found = facts.tokens.find(secret)
        assert found is not None
        assert (found.email, found.role) == ("lin@example.com", "viewer")
        full, _ = facts.tokens.new(person, label="ci")
        facts.people.change("lin@example.com", role="viewer")
        demoted = facts.tokens.find(full)
        assert demoted is not None
        assert demoted.role == "viewer"
        with pytest.raises(UsageError):
            facts.tokens.new(facts.people.get("lin@example.com"), label="more", role="admin")

    def test_token_ends(self, facts: Facts) -> None:
        person = facts.people.add("lin@example.com")
        secret, kept = facts.tokens.new(person, label="short", lifetime=Duration(HOUR))
        assert facts.tokens.find(secret) is not None
        assert facts.tokens.find(secret, at=now() + HOUR) is None
        facts.tokens.revoke(person, kept.id)
        assert facts.tokens.find(secret) is None
        with pytest.raises(UsageError):
            facts.tokens.revoke(person, kept.id)

    def test_nobody_else_revokes(self, facts: Facts) -> None:
        lin, bo = facts.people.add("lin@example.com"), facts.people.add("bo@example.com")
        secret, kept = facts.tokens.new(lin, label="mine")
        with pytest.raises(UsageError):
            facts.tokens.revoke(bo, kept.id)
        assert facts.tokens.find(secret) is not None


class TestKeys:
    def test_a_key_opens_only_its_kind(self, facts: Facts) -> None:
        secret, key = facts.keys.new("intake", label="app")
        assert secret.startswith("upi_")
        assert facts.keys.find(secret, "intake") == key
        assert facts.keys.find(secret, "flag") is None
        assert facts.keys.find(secret + "x", "intake") is None
        assert facts.tokens.find(secret) is None

    def test_rotation_overlaps(self, facts: Facts) -> None:
        old, kept = facts.keys.new("flag", label="web", origins=["https://a.example"], per_second=7)
        new, taken = facts.keys.rotate(kept.id, overlap=Duration(DAY))
        assert facts.keys.find(old, "flag") is not None
        assert facts.keys.find(new, "flag") is not None
        assert (taken.origins, taken.per_second, taken.replaces) == (("https://a.example",), 7, kept.id)
        assert facts.keys.get(kept.id).holds(at=now() + DAY - MINUTE)
        assert not facts.keys.get(kept.id).holds(at=now() + DAY + MINUTE)
        facts.keys.revoke(kept.id)
        assert facts.keys.find(old, "flag") is None
        assert facts.keys.find(new, "flag") is not None
        with pytest.raises(UsageError):
            facts.keys.rotate(kept.id)

    def test_a_change_elsewhere_is_seen(self, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
        secret, key = facts.keys.new("intake", label="app")
        assert facts.keys.find(secret, "intake") is not None
        other = type(facts.keys)(facts)  # as another process would
        other.revoke(key.id)
        monkeypatch.setattr("upswing.facts.keys._FRESH_SECONDS", 0.0)
        assert facts.keys.find(secret, "intake") is None

    @pytest.mark.parametrize("bad", ["app.example.com", "https://", "https://a.example/path", "ftp://a.example"])
    def test_origins_that_are_none(self, facts: Facts, bad: str) -> None:
        with pytest.raises(UsageError) as raised:
            facts.keys.new("flag", label="web", origins=[bad])
        assert raised.value.code == "UP832"


class TestAudit:
    def test_chain_holds_and_shows_a_change(self, facts: Facts) -> None:
        assert facts.audit.head() == BEGINNING
        for number in range(5):
            facts.audit.record("lin@example.com", "keys.new", f"key {number}", after={"n": number}, address="10.0.0.1")
        assert facts.audit.broken_at() is None
        assert [e.id for e in facts.audit.entries(limit=2)] == [5, 4]
        assert [e.id for e in facts.audit.entries(before=3)] == [2, 1]
        with facts.writing() as connection:
            connection.execute(text("UPDATE audit SET who = 'bo@example.com' WHERE id = 3"))
        assert facts.audit.broken_at() == 3

    def test_a_missing_entry_shows(self, facts: Facts) -> None:
        for number in range(4):
            facts.audit.record("lin@example.com", "keys.new", str(number))
        with facts.writing() as connection:
            connection.execute(text("DELETE FROM audit WHERE id = 2"))
        assert facts.audit.broken_at() == 2

    def test_many_writers_make_one_chain(self, facts: Facts) -> None:
        def write(number: int) -> None:
            for step in range(5):
                facts.audit.record(f"p{number}@example.com", "test", str(step))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        assert facts.audit.broken_at() is None
        assert facts.audit.entries(limit=1)[0].id == 30

    def test_only_hashes_of_what_changed_are_kept(self, facts: Facts) -> None:
        facts.audit.record("lin@example.com", "secrets.put", "ads", after={"token": "hunter2"})
        with facts.reading() as connection:
            assert "hunter2" not in repr(connection.execute(text("SELECT * FROM audit")).all())


class TestSecrets:
    def test_a_secret_comes_back_and_is_not_shown(self, facts: Facts) -> None:
        facts.secrets.put("ads", "hunter2 密钥")
        found = facts.secrets.get("ads")
        assert found.reveal() == "hunter2 密钥"
        assert "hunter2" not in f"{found} {found!r}"
        with facts.reading() as connection:
            assert "hunter2" not in repr(connection.execute(text("SELECT * FROM secrets")).all())
        facts.secrets.put("ads", "other")
        assert facts.secrets.get("ads").reveal() == "other"
        assert facts.secrets.remove("ads")
        with pytest.raises(UsageError):
            facts.secrets.get("ads")

    def test_one_cannot_be_passed_off_as_another(self, facts: Facts) -> None:
        facts.secrets.put("a", "one")
        facts.secrets.put("b", "two")
        with facts.writing() as connection:
            connection.execute(
                text("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'a') WHERE name = 'b'")
            )
        with pytest.raises(EngineError) as raised:
            facts.secrets.get("b")
        assert raised.value.code == "UP840"

    def test_key_file_is_its_owners(self, facts: Facts) -> None:
        facts.secrets.put("a", "one")
        file = facts.folder / "secret.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        file.chmod(0o644)
        with pytest.raises(EngineError) as raised:
            type(facts.secrets)(facts).get("a")
        assert raised.value.code == "UP841"

    def test_key_from_the_environment(self, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UPSWING_SECRET_KEY", "k" * 40)
        facts.secrets.put("a", "one")
        assert not (facts.folder / "secret.key").exists()
        monkeypatch.setenv("UPSWING_SECRET_KEY", "j" * 40)
        with pytest.raises(EngineError):
            type(facts.secrets)(facts).get("a")
        monkeypatch.setenv("UPSWING_SECRET_KEY", "short")
        with pytest.raises(UsageError) as raised:
            type(facts.secrets)(facts).get("a")
        assert raised.value.code == "UP838"


class TestJobs:
    def test_missed_runs_run_once(self, facts: Facts) -> None:
        began = now()
        facts.jobs.schedule("watch", Duration(HOUR), first=began)
        later = began + 10 * HOUR
        taken = facts.jobs.take(at=later)
        assert taken is not None
        assert taken.next_at == later + HOUR
        facts.jobs.finish("watch", at=later)
        assert facts.jobs.take(at=later + HOUR - 1) is None
        assert facts.jobs.take(at=later + HOUR) is not None

    def test_one_at_a_time(self, facts: Facts) -> None:
        began = now()
        facts.jobs.schedule("a", Duration(HOUR), first=began)
        facts.jobs.schedule("b", Duration(HOUR), first=began)
        taken = []
        barrier = threading.Barrier(4)

        def take(_: int) -> None:
            barrier.wait()
            found = facts.jobs.take(at=began)
            if found is not None:
                taken.append(found.name)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(take, range(4)))
        assert len(taken) == 1
        facts.jobs.finish(taken[0])
        assert facts.jobs.take(at=began) is not None

    def test_schedule_is_kept_and_a_lost_run_is_made_up_for(self, facts: Facts) -> None:
        began = now()
        facts.jobs.schedule("a", Duration(DAY), first=began)
        facts.jobs.take(at=began)
        assert facts.jobs.recover() == ["a"]  # the process is gone
        assert facts.jobs.schedule("a", Duration(DAY)).failures == 1
        assert facts.jobs.take() is not None
        facts.jobs.finish("a", error="no")
        job = facts.jobs.get("a")
        assert (job.failures, job.last_error) == (2, "no")
        facts.jobs.finish("a")
        assert facts.jobs.get("a").failures == 0

    def test_disabled_jobs_wait(self, facts: Facts) -> None:
        facts.jobs.schedule("a", Duration(DAY))
        facts.jobs.enable("a", False)
        assert facts.jobs.take() is None
        with pytest.raises(UsageError):
            facts.jobs.get("b")


class TestTheRest:
    def test_alerts_are_told_once(self, facts: Facts) -> None:
        assert facts.alerts.add(["ops", "mail"], key="guardrail:x", period="2026-11-23", title="x") == 2
        assert facts.alerts.add(["ops", "new"], key="guardrail:x", period="2026-11-23", title="x") == 1
        assert facts.alerts.add(["ops"], key="guardrail:x", period="2026-11-24", title="x") == 1
        due = facts.alerts.due()
        assert len(due) == 4
        facts.alerts.sent(due[0])
        facts.alerts.failed(due[1], "no", try_at=now() + HOUR)
        facts.alerts.failed(due[2], "no", try_at=None)
        assert facts.alerts.due() == [due[3]]
        assert len(facts.alerts.due(at=now() + 2 * HOUR)) == 2

    def test_annotations(self, facts: Facts) -> None:
        made = facts.annotations.add(date(2026, 11, 23), " 大促开始 ", who="lin@example.com")
        assert facts.annotations.between(date(2026, 11, 23), date(2026, 11, 24)) == [made]
        assert facts.annotations.between(date(2026, 11, 24), date(2026, 11, 25)) == []
        assert facts.annotations.remove(made.id)
        assert not facts.annotations.remove(made.id)

    def test_fingerprints_tell_apart_and_stay(self, facts: Facts) -> None:
        assert facts.secrets.fingerprint("u1") == type(facts.secrets)(facts).fingerprint("u1")
        assert facts.secrets.fingerprint("u1") != facts.secrets.fingerprint("u2")


class TestOpening:
    def test_opens_again_and_refuses_what_a_newer_version_wrote(self, tmp_path: Path) -> None:
        with Facts.open(tmp_path) as facts:
            facts.people.add("lin@example.com")
        file = tmp_path / "data" / "facts.sqlite"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with Facts.open(tmp_path) as facts:
            assert facts.people.get("lin@example.com")
            with facts.writing() as connection:
                connection.execute(text("UPDATE facts_version SET version = 999"))
        with pytest.raises(EngineError) as raised:
            Facts.open(tmp_path)
        assert raised.value.code == "UP821"

    def test_url_that_leads_nowhere_says_so_without_its_password(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FACTS_PASSWORD", "hunter2")
        with pytest.raises(EngineError) as raised:
            Facts.open(tmp_path, "postgresql://lin:${FACTS_PASSWORD}@127.0.0.1:1/none")
        assert raised.value.code == "UP821"
        assert "hunter2" not in str(raised.value)
        for bad in ("postgresql://lin:${NOT_SET_ANYWHERE}@127.0.0.1/none", "mysql://lin@127.0.0.1/none", "nonsense"):
            with pytest.raises(DefinitionError) as refused:
                Facts.open(tmp_path, bad)
            assert refused.value.code == "UP820"

    def test_two_processes_may_begin_at_once(self, postgres_url: str, tmp_path: Path) -> None:
        with ThreadPoolExecutor(4) as pool:
            for opened in pool.map(lambda _: Facts.open(tmp_path, postgres_url), range(4)):
                opened.close()

    def test_a_failed_change_changes_nothing(self, facts: Facts) -> None:
        def fail() -> None:
            with facts.writing() as connection:
                connection.execute(text("INSERT INTO facts_settings VALUES ('a', 'b')"))
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with facts.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM facts_settings")).scalar_one() == 0


class TestCopying:
    def test_from_one_database_to_the_other(self, facts: Facts, tmp_path: Path) -> None:
        facts.people.add("lin@example.com", role="admin", password=PASSWORD)
        facts.sessions.begin(facts.people.get("lin@example.com"))
        facts.keys.new("intake", label="应用")
        for number in range(3):
            facts.audit.record("lin@example.com", "test", str(number))
        facts.jobs.schedule("watch", Duration(HOUR))
        facts.secrets.put("ads", "hunter2")
        file = tmp_path / "facts.jsonl"
        dump(facts, file)
        assert "hunter2" not in file.read_text("utf-8")
        with Facts.open(tmp_path / "other") as other:
            other.people.add("gone@example.com")
            load(other, file)
            assert list(other.people) == list(facts.people)
            assert list(other.keys) == list(facts.keys)
            assert list(other.jobs) == list(facts.jobs)
            assert other.audit.broken_at() is None
            assert other.audit.head() == facts.audit.head()
            dump(other, file)
        load(facts, file)  # back again, also into PostgreSQL
        assert facts.people.add("new@example.com").id > facts.people.get("lin@example.com").id
        assert facts.keys.new("flag", label="web")[1].id > 1
        assert facts.secrets.get("ads").reveal() == "hunter2"


def test_a_change_is_made_whole_or_not_at_all(facts: Facts) -> None:
    facts.people.add("a@x.com", role="admin", password="correct horse battery")
    facts.people.add("ed@x.com", role="editor", password="correct horse battery")
    with pytest.raises(UsageError, match="UP823"):
        facts.people.change("ed@x.com", role="admin", disabled=True, password="x")
    with pytest.raises(UsageError, match="UP827"):
        facts.people.change("a@x.com", role="viewer", password="another horse battery")
    assert [(p.role, p.disabled) for p in facts.people] == [("admin", False), ("editor", False)]
    assert facts.people.verify("a@x.com", "correct horse battery") is not None
