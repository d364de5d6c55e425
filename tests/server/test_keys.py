"""Keys of apps at the door: which kind opens what, from which pages, how often; run-time facts on PostgreSQL as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from tests.facts.postgres import cluster, why_not
from tests.server.serving import PASSWORD, Served, cheap_passwords, served
from tests.server.workspaces import QUIET, serving
from upswing.core.units import Duration
from upswing.facts.database import Facts
from upswing.server.keys import AppKey, FlagKeys
from upswing.server.rate_limits import KeyRates
from upswing.spec.files import write_yaml
from upswing.workspace import Workspace

EVENT = [{"user": "u1", "event": "open", "time": "2026-01-01T00:00:00Z"}]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("keys") / "w") as found:
        yield found


def sent(site: Served, key: str | None, **headers: str) -> httpx.Response:
    shown = {} if key is None else {"Authorization": f"Bearer {key}"}
    return site.client().post("/v1/events", json=EVENT, headers={**shown, **headers})


def test_events_need_an_intake_key_that_holds(site: Served) -> None:
    intake, kept = site.facts.keys.new("intake", label="app")
    flag, _ = site.facts.keys.new("flag", label="web")
    token, _ = site.facts.tokens.new(site.facts.people.get("admin@example.com"), label="x")
    assert sent(site, intake).is_success
    assert [sent(site, key).status_code for key in (None, flag, token, intake[:-1], "x")] == [401] * 5
    taken, _ = site.facts.keys.rotate(kept.id, overlap=Duration.parse("1h"))
    assert sent(site, intake).is_success
    assert sent(site, taken).is_success
    site.facts.keys.revoke(kept.id)
    assert sent(site, intake).status_code == 401
    assert sent(site, taken).is_success


def test_a_key_for_some_pages(site: Served) -> None:
    key, _ = site.facts.keys.new("intake", label="web", origins=["https://app.example.com"])
    right = sent(site, key, Origin="https://app.example.com")
    assert right.is_success
    assert right.headers["access-control-allow-origin"] == "https://app.example.com"
    assert sent(site, key, Origin="https://evil.example").status_code == 403
    assert sent(site, key).is_success  # servers and apps have no origin


def test_a_key_over_its_rate(site: Served) -> None:
    key, _ = site.facts.keys.new("intake", label="loop", per_second=1)
    other, _ = site.facts.keys.new("intake", label="calm")
    many = [{**EVENT[0], "event_id": str(n)} for n in range(100)]
    client = site.client()
    client.headers["Authorization"] = f"Bearer {key}"
    assert client.post("/v1/events", json=many).is_success  # a burst is let through, and paid for afterwards
    refused = client.post("/v1/events", json=many)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert sent(site, other).is_success


def test_keys_over_http_are_shown_once(site: Served) -> None:
    client = site.with_token("admin@example.com")
    made = client.post("/api/v1/keys", json={"kind": "flag", "label": "web", "origins": ["https://a.example/"]}).json()
    assert made["origins"] == ["https://a.example"]
    assert made["key"] not in client.get("/api/v1/keys").text
    turned = client.post(f"/api/v1/keys/{made['id']}/rotate", json={"overlap": "0s"}).json()
    assert site.facts.keys.find(turned["key"], "flag") is not None
    assert client.delete(f"/api/v1/keys/{turned['id']}").json()["holds"] is False
    assert client.delete("/api/v1/keys/9999").status_code == 422
    assert [e.action for e in site.facts.audit.entries(limit=3)] == ["keys.revoke", "keys.rotate", "keys.new"]


def test_flag_keys(tmp_path: Path) -> None:
    def add(app: FastAPI) -> None:
        state = app.state.upswing
        door = FlagKeys(state, state.facts, rates=KeyRates(lambda: 0.0))

        @app.get("/api/features/{client_key}")
        def features(key: Annotated[AppKey, Depends(door)]) -> dict[str, str]:
            return {"key": key.id}

    Workspace.create(tmp_path / "w").close()
    with serving(tmp_path / "w", QUIET, add=[add]) as client:
        facts: Facts = client.app.state.upswing.facts  # type: ignore[attr-defined]
        assert client.get("/api/features/").status_code == 404
        assert client.get("/api/features/wrong").status_code == 401
        key, kept = facts.keys.new("flag", label="web", origins=["https://a.example"], per_second=2)
        intake, _ = facts.keys.new("intake", label="app")
        assert client.get(f"/api/features/{key}").json() == {"key": str(kept.id)}
        assert client.get("/api/features/x", headers={"Authorization": f"Bearer {key}"}).is_success
        assert client.get(f"/api/features/{intake}").status_code == 401
        assert client.get(f"/api/features/{key}", headers={"Origin": "https://a.example"}).is_success
        assert client.get(f"/api/features/{key}", headers={"Origin": "https://b.example"}).status_code == 403
        codes = [client.get(f"/api/features/{key}").status_code for _ in range(40)]
        assert codes[0] == 200
        assert codes[-1] == 429


def test_without_people_or_keys_only_this_machine_sends_events(tmp_path: Path) -> None:
    with served(tmp_path / "w", people=False) as site:
        assert sent(site, None).is_success
        assert sent(site, None, Origin="http://localhost:3000").is_success
        assert sent(site, None, Origin="https://evil.example").status_code == 401
        site.facts.keys.new("intake", label="app")
        assert sent(site, None).status_code == 401


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_a_server_on_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_passwords(monkeypatch)
    root = tmp_path / "w"
    Workspace.create(root).close()
    with cluster() as url:
        monkeypatch.setenv("FACTS_URL", url)
        write_yaml(root / "upswing.yml", {"schema": 1, "facts": "${FACTS_URL}"})
        with Facts.open(root, url) as facts:
            facts.people.add("admin@example.com", role="admin", password=PASSWORD)
        with served(root, people=False) as site:
            assert site.facts.sqlite_path is None
            client = site.signed_in("admin@example.com")
            made = client.post("/api/v1/keys", json={"kind": "intake", "label": "app"})
            assert made.status_code == 201
            assert sent(site, made.json()["key"]).is_success
            assert client.get("/api/v1/audit").json()["broken_at"] is None
            assert client.post("/api/v1/backup").status_code == 200
        assert not (root / "data" / "facts.sqlite").exists()
