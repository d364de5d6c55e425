"""Signing in and out, personal tokens, and where a form leads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.serving import PASSWORD, Served, served
from upswing.server.sign_in import COOKIE, safe_next


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("site") / "w") as found:
        yield found


@pytest.fixture
def site(whole: Served) -> Served:
    whole.begin_anew()
    return whole


def test_session_begins_and_ends(site: Served) -> None:
    client = site.client()
    assert client.get("/api/v1/me").status_code == 401
    answer = client.post("/api/v1/session", json={"email": "Editor@example.com", "password": PASSWORD})
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"]
    assert f"{COOKIE}=" in cookie
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    me = client.get("/api/v1/me").json()
    assert (me["email"], me["role"]) == ("editor@example.com", "editor")
    assert client.delete("/api/v1/session", headers={"X-CSRF-Token": me["csrf_token"]}).status_code == 204
    assert client.get("/api/v1/me").status_code == 401


def test_cookie_is_for_encrypted_lines_only_where_the_line_is(site: Served) -> None:
    client = site.client()
    given = {"email": "viewer@example.com", "password": PASSWORD}
    assert "secure" not in client.post("/api/v1/session", json=given).headers["set-cookie"].lower()
    encrypted = client.post("/api/v1/session", json=given, headers={"X-Forwarded-Proto": "https"})
    assert "secure" in encrypted.headers["set-cookie"].lower()


def test_signing_in_gives_a_new_session_and_ends_the_old(site: Served) -> None:
    client = site.client()
    client.cookies.set(COOKIE, "chosen-by-somebody-else", domain="127.0.0.1")
    client.post("/api/v1/session", json={"email": "viewer@example.com", "password": PASSWORD})
    first = client.cookies.get(COOKIE, domain="127.0.0.1") or ""
    client.cookies.clear()
    client.cookies.set(COOKIE, first, domain="127.0.0.1")
    client.post("/api/v1/session", json={"email": "viewer@example.com", "password": PASSWORD})
    assert site.facts.sessions.find("chosen-by-somebody-else") is None
    assert site.facts.sessions.find(first) is None


@pytest.mark.parametrize(
    ("email", "password"),
    [("viewer@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", ""), ("viewer@example.com", "x" * 900)],
)
def test_wrong_answers_are_all_alike(site: Served, email: str, password: str) -> None:
    reference = site.client().post("/api/v1/session", json={"email": "editor@example.com", "password": "wrong"})
    answer = site.client().post("/api/v1/session", json={"email": email, "password": password})
    assert answer.status_code == reference.status_code == 401
    assert answer.json()["errors"] == reference.json()["errors"]
    assert "set-cookie" not in answer.headers


def test_password_is_in_no_error(site: Served) -> None:
    answer = site.client().post("/api/v1/session", json={"email": "a@b.example", "password": "hunter2", "more": 1})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_disabled_people_are_out_at_once(site: Served) -> None:
    browser, program = site.signed_in("viewer@example.com"), site.with_token("viewer@example.com")
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 200
    site.facts.people.change("viewer@example.com", disabled=True)
    assert browser.get("/api/v1/me").status_code == program.get("/api/v1/me").status_code == 401


def test_personal_tokens(site: Served) -> None:
    browser = site.signed_in("editor@example.com")
    made = browser.post("/api/v1/tokens", json={"label": "notebook", "role": "viewer", "lifetime": "90d"})
    assert made.status_code == 201
    program = site.client()
    program.headers["Authorization"] = f"Bearer {made.json()['token']}"
    assert program.get("/api/v1/me").json()["role"] == "viewer"
    assert program.post("/api/v1/tokens", json={"label": "more"}).status_code == 403
    listed = browser.get("/api/v1/tokens").json()["tokens"]
    assert [t["label"] for t in listed] == ["notebook"]
    assert made.json()["token"] not in browser.get("/api/v1/tokens").text
    assert browser.delete(f"/api/v1/tokens/{listed[0]['id']}").status_code == 204
    assert program.get("/api/v1/me").status_code == 401
    assert browser.post("/api/v1/tokens", json={"label": "x", "role": "admin"}).status_code == 422


@pytest.mark.parametrize("shown", ["Bearer upt_nothing", "Bearer", "Basic eDp5", "Bearer upt_" + "x" * 5000])
def test_tokens_that_are_none(site: Served, shown: str) -> None:
    assert site.client().get("/api/v1/me", headers={"Authorization": shown}).status_code == 401


def test_sign_in_by_form_leads_back(site: Served) -> None:
    client = site.client()
    given = {"email": "viewer@example.com", "password": PASSWORD, "next": "/funnel?step=a"}
    answer = client.post("/sign-in", data=given)
    assert (answer.status_code, answer.headers["location"]) == (303, "/funnel?step=a")
    assert client.get("/api/v1/me").status_code == 200
    wrong = site.client().post("/sign-in", data={**given, "password": "wrong"})
    assert wrong.headers["location"] == "/sign-in?failed=1&next=%2Ffunnel%3Fstep%3Da"
    away = site.client().post("/sign-in", data={**given, "next": "https://evil.example/"})
    assert away.headers["location"] == "/"


def test_sign_out_by_form_needs_the_token(site: Served) -> None:
    client = site.signed_in("viewer@example.com")
    token = client.headers.pop("X-CSRF-Token")
    assert client.post("/sign-out", data={"token": "guess"}).status_code == 403
    assert client.get("/api/v1/me").status_code == 200
    assert client.post("/sign-out", data={"token": token}).status_code == 303
    assert client.get("/api/v1/me").status_code == 401


@given(st.text(alphabet="/\\:.@?#%&=ahtps \t\n\r\x00é", max_size=30))
def test_no_address_leads_away(written: str) -> None:
    found = safe_next(written)
    assert found.startswith("/")
    assert not found.startswith(("//", "/\\"))
    assert not any(c in found for c in "\t\n\r\x00\\")


def test_loopback_without_people_is_one_local_administrator(tmp_path: Path) -> None:
    with served(tmp_path / "w", people=False) as site:
        me = site.client().get("/api/v1/me").json()
        assert (me["name"], me["role"]) == ("local", "admin")
        site.facts.people.add("admin@example.com", role="admin", password=PASSWORD)
        assert site.client().get("/api/v1/me").status_code == 401


def test_attempts_are_in_the_audit_log(site: Served) -> None:
    site.client().post("/api/v1/session", json={"email": "viewer@example.com", "password": "wrong"})
    site.signed_in("admin@example.com")
    actions = [(entry.action, entry.who) for entry in site.facts.audit.entries(limit=2)]
    assert actions == [("sign_in", "admin@example.com"), ("sign_in.refused", "viewer@example.com")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"role": "admin", "password": "x"}, "UP823"), ({"disabled": True, "password": "x"}, "UP823"),
     ({"disabled": True, "role": "viewer"}, "UP827")],
)  # fmt: skip
def test_changes_of_a_person_are_made_together_or_not_at_all(
    site: Served, changes: dict[str, object], code: str
) -> None:
    admin = site.signed_in("admin@example.com")
    email = "admin@example.com" if code == "UP827" else "editor@example.com"
    before = site.facts.people.get(email)
    refused = admin.patch(f"/api/v1/people/{email}", json=changes)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert site.facts.people.get(email) == before
    assert admin.get("/api/v1/me").status_code == 200  # nor was any session ended


def test_a_change_of_several_things_is_one_entry(site: Served) -> None:
    admin, other = site.signed_in("admin@example.com"), site.signed_in("viewer@example.com")
    known = site.facts.audit.entries()[0].id
    changed = admin.patch("/api/v1/people/viewer@example.com", json={"role": "editor", "disabled": True})
    assert (changed.json()["role"], changed.json()["disabled"]) == ("editor", True)
    assert [e.action for e in site.facts.audit.entries() if e.id > known] == ["people.change"]
    assert other.get("/api/v1/me").status_code == 401
    admin.patch("/api/v1/people/viewer@example.com", json={"role": "viewer", "disabled": False})
