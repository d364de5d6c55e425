"""Who may see and change what on the pages, once people sign in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.server.serving import PASSWORD, Served, served


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("roles") / "w", pages=True) as found:
        yield found


def test_a_stranger_is_led_to_the_door_and_back(signed: Served) -> None:
    client = signed.client()
    answer = client.get("/settings?x=1", headers={"accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fsettings%3Fx%3D1"
    door = client.get(answer.headers["location"])
    assert door.status_code == 200
    goal = re.search(r'name="next" value="([^"]+)"', door.text)
    assert goal is not None
    given = {"email": "viewer@example.com", "password": PASSWORD, "next": goal[1]}
    assert client.post("/sign-in", data=given).headers["location"] == "/settings?x=1"
    assert client.post("/sign-in", data=given | {"password": "no"}).headers["location"].startswith("/sign-in?failed=1")


def test_a_viewer_looks_and_changes_nothing(signed: Served) -> None:
    client = signed.signed_in("viewer@example.com")
    token = {"token": client.headers["X-CSRF-Token"]}
    body = client.get("/settings").text
    assert "upi_" not in body
    assert 'id="people"' not in body
    for path, data in (
        ("/settings/people", {"do": "add", "email": "x@example.com", "role": "admin"}),
        ("/settings/keys", {"do": "new", "kind": "intake", "label": "x"}),
        ("/settings/notes", {"do": "add", "day": "2026-03-01", "body": "x"}),
        ("/segments", {"name": "x", "condition": "a = 1"}),
        ("/definitions/edit", {"file": "x.yml", "yaml": "kind: segment", "do": "save", "read_as": ""}),
    ):
        assert client.post(path, data=data | token).status_code == 403, path


def test_an_administrator_makes_a_key_that_is_shown_once(signed: Served) -> None:
    client = signed.signed_in("admin@example.com")
    given = {"token": client.headers["X-CSRF-Token"], "do": "new", "kind": "intake", "label": "web"}
    answer = client.post("/settings/keys", data=given)
    secret = re.search(r"upi_[\w-]{20,}", answer.text)
    assert secret is not None
    again = client.get("/settings").text
    assert secret[0] not in again
    assert "keys.new" in again  # the audit


def test_one_makes_and_ends_tokens_of_ones_own(signed: Served) -> None:
    client = signed.signed_in("editor@example.com")
    token = {"token": client.headers["X-CSRF-Token"]}
    assert "Sign out" in client.get("/account").text
    body = client.post("/account/tokens", data=token | {"label": "notebook"}).text
    assert 'class="secret"' in body
    number = re.search(r'name="id" value="(\d+)"', body)
    assert number is not None
    ended = client.post("/account/tokens", data=token | {"do": "revoke", "id": number[1]})
    assert "No token yet." in ended.text


def test_a_note_is_marked_on_charts(signed: Served) -> None:
    client = signed.signed_in("editor@example.com")
    given = {"token": client.headers["X-CSRF-Token"], "do": "add", "day": "2026-03-02", "body": "Release 2.4"}
    assert client.post("/settings/notes", data=given).status_code == 303
    assert "Release 2.4" in client.get("/settings").text


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("/settings/people", {"do": "role", "email": "viewer@example.com", "role": "queen"}),
        ("/settings/people", {"do": "crown", "email": "viewer@example.com", "role": "admin"}),
        ("/settings/people", {"do": "add", "email": "new@example.com", "role": "admin", "password": "x"}),
        ("/settings/keys", {"do": "revoke", "id": "one"}),
        ("/settings/keys", {"do": "sell", "id": "1"}),
        ("/settings/notes", {"do": "remove", "id": "-1"}),
        ("/settings/notes", {"do": "burn", "day": "2026-03-02", "body": "x"}),
        ("/account/tokens", {"do": "revoke", "id": "last"}),
        ("/account/tokens", {"do": "lend", "label": "x"}),
    ],
)
def test_what_is_refused_changes_nothing_and_is_not_in_the_audit(
    signed: Served, path: str, given: dict[str, str]
) -> None:
    client = signed.signed_in("admin@example.com")
    people, known = list(signed.facts.people), signed.facts.audit.entries()[0].id
    answer = client.post(path, data=given | {"token": client.headers["X-CSRF-Token"]})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert list(signed.facts.people) == people
    assert signed.facts.audit.entries()[0].id == known


def test_a_token_makes_no_tokens_by_the_page_either(signed: Served) -> None:
    program = signed.with_token("editor@example.com")
    token = re.search(r'name="token" value="([^"]+)"', program.get("/account").text)
    assert token is not None
    refused = program.post("/account/tokens", data={"token": token[1], "label": "for ever"})
    assert refused.status_code == 403
    assert "upt_" not in refused.text.replace("upt_…", "")
    assert len(signed.facts.tokens.of(signed.facts.people.get("editor@example.com"))) == 1
