"""Changes that a page of another site makes a browser send are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.serving import PASSWORD, Served, served


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("site") / "w") as found:
        yield found


@pytest.fixture
def site(whole: Served) -> Served:
    whole.begin_anew()
    return whole


CHANGES = [
    ("POST", "/api/v1/keys", {"kind": "intake", "label": "app"}),
    ("POST", "/api/v1/people", {"email": "new@example.com"}),
    ("PATCH", "/api/v1/people/viewer@example.com", {"role": "admin"}),
    ("DELETE", "/api/v1/people/viewer@example.com", None),
    ("POST", "/api/v1/tokens", {"label": "x"}),
    ("DELETE", "/api/v1/session", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
@pytest.mark.parametrize("token", [None, "", "guess", "é"])
def test_a_cookie_alone_changes_nothing(site: Served, method: str, path: str, body: object, token: str | None) -> None:
    client = site.signed_in("admin@example.com")
    del client.headers["X-CSRF-Token"]
    headers = {} if token is None else {"X-CSRF-Token": token.encode()}
    before = site.facts.audit.head()
    answer = client.request(method, path, json=body, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "UP813"
    assert site.facts.audit.head() == before


def test_the_token_of_another_session_is_none(site: Served) -> None:
    client, other = site.signed_in("admin@example.com"), site.signed_in("admin@example.com")
    client.headers["X-CSRF-Token"] = other.headers["X-CSRF-Token"]
    assert client.post("/api/v1/keys", json={"kind": "flag", "label": "web"}).status_code == 403


def test_with_its_token_a_session_changes(site: Served) -> None:
    client = site.signed_in("admin@example.com")
    assert client.post("/api/v1/keys", json={"kind": "flag", "label": "web"}).status_code == 201
    ours = {"Origin": site.url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/keys", json={"kind": "flag", "label": "web"}, headers=ours).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9999"},
     {"Sec-Fetch-Site": "cross-site"}],
)  # fmt: skip
def test_pages_of_other_sites_are_refused_even_with_the_token(site: Served, headers: dict[str, str]) -> None:
    client = site.signed_in("admin@example.com")
    assert client.post("/api/v1/keys", json={"kind": "flag", "label": "web"}, headers=headers).status_code == 403


def test_another_site_cannot_sign_a_browser_in(site: Served) -> None:
    given = {"email": "viewer@example.com", "password": PASSWORD}
    answer = site.client().post("/sign-in", data=given, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    as_text = site.client().post(
        "/api/v1/session",
        content=b'{"email":"viewer@example.com","password":"x"}',
        headers={"Content-Type": "text/plain"},
    )
    assert as_text.status_code == 422


def test_without_people_too_other_sites_change_nothing(tmp_path: Path) -> None:
    with served(tmp_path / "open", people=False) as site:
        body = {"kind": "intake", "label": "app"}
        assert (
            site.client().post("/api/v1/keys", json=body, headers={"Origin": "https://evil.example"}).status_code == 403
        )
        assert site.client().post("/api/v1/keys", json=body, headers={"Host": "evil.example"}).status_code == 400
        assert site.client().post("/api/v1/keys", json=body).status_code == 201


def test_tokens_of_programs_need_no_more(site: Served) -> None:
    client = site.with_token("admin@example.com")
    assert client.post("/api/v1/keys", json={"kind": "flag", "label": "web"}).status_code == 201
