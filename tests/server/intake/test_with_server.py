"""Events and questions on one server: each answer sees whole requests, and in the end all that was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.server.intake.serving import await_answer, free_port
from tests.server.workspaces import serving
from upswing.facts.database import Facts
from upswing.server.app import create_app
from upswing.server.intake.service import Intake
from upswing.server.settings import ServerSettings
from upswing.server.state import ServerState
from upswing.workspace import Workspace

USERS = 5
FUNNEL: list[tuple[str, str | int | float | bool | None]] = [("step", "看"), ("step", "买"), ("within", "1d")]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[httpx.Client, str, ServerState]]:
    root = tmp_path / "ws"
    Workspace.create(root)
    facts = Facts.open(root)
    key, _ = facts.keys.new("intake", label="app")
    facts.close()
    port = free_port()
    app = create_app(root, ServerSettings(port=port, fresh_seconds=0.0, request_log=False))
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    await_answer(port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client, key, app.state.upswing
    server.should_exit = True
    thread.join(30)


def batch(turn: int) -> list[dict[str, object]]:
    return [
        {"user": f"u{turn}-{i}", "event": event, "time": f"2026-11-20T10:0{minute}:00Z", "id": f"{turn}-{i}-{event}"}
        for i in range(USERS)
        for minute, event in enumerate(("看", "买"))
    ]


def test_events_after_a_question_of_an_empty_log_are_seen_soon(tmp_path: Path) -> None:
    """With the usual settings: whoever tries the server out asks first, and sends events then."""
    root = tmp_path / "ws"
    Workspace.create(root).close()
    with serving(root, ServerSettings(request_log=False)) as client:
        assert client.get("/api/v1/funnel", params=FUNNEL).status_code == 422
        for turn in range(3):
            assert client.post("/v1/events", json=batch(turn)).status_code == 200
            end = time.monotonic() + 20
            while time.monotonic() < end:
                found = client.get("/api/v1/funnel", params=FUNNEL)
                if found.status_code == 200 and found.json()["steps"][0]["users"] == USERS * (turn + 1):
                    break
                time.sleep(0.2)
            else:
                pytest.fail(f"the events of turn {turn} are not there")


def test_questions_go_on_while_events_come_in(running: tuple[httpx.Client, str, ServerState]) -> None:
    client, key, state = running
    assert isinstance(state.intake, Intake)
    acknowledged = 0
    seen: list[tuple[int, int]] = []
    end = time.monotonic() + 6
    while time.monotonic() < end:
        for _ in range(5):
            answer = client.post("/v1/events", json=batch(acknowledged), headers={"X-API-Key": key})
            assert answer.status_code == 200
            acknowledged += 1
        state.storage.refresh()
        found = client.get("/api/v1/funnel", params=FUNNEL)
        if found.status_code == 200:  # before the first event there is nothing to ask about
            steps = found.json()["steps"]
            seen.append((steps[0]["users"], steps[1]["users"]))
    assert state.intake.writer.drain()
    state.storage.refresh()
    final = client.get("/api/v1/funnel", params=FUNNEL)
    assert final.status_code == 200, final.text
    steps = final.json()["steps"]
    assert [step["users"] for step in steps] == [USERS * acknowledged] * 2
    assert all(first == second and first % USERS == 0 for first, second in seen)
    assert [first for first, _ in seen] == sorted(first for first, _ in seen)
    assert len({first for first, _ in seen}) > 1, "no answer changed while events came in"


def test_key_of_the_facts_opens_and_others_do_not(running: tuple[httpx.Client, str, ServerState]) -> None:
    client, key, _ = running
    body = {"batch": [{"type": "track", "userId": "u", "event": "e"}], "writeKey": key}
    assert client.post("/v1/batch", json=body).status_code == 200
    assert client.post("/v1/batch", json={**body, "writeKey": "upi_wrong"}).status_code == 401
    assert client.post("/sa", params={"token": "upi_wrong"}).status_code == 401
    refused = client.post("/v1/events", content=b"{", headers={"X-API-Key": key})
    assert refused.status_code == 400
    assert refused.json()["code"] == "UP801"
    asked = client.options(
        "/v1/batch", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    )
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    crossed = client.post("/v1/events", json={"user": "u", "event": "e"}, headers={"X-API-Key": key,
                          "Origin": "https://a.example", "Sec-Fetch-Site": "cross-site"})  # fmt: skip
    assert crossed.status_code == 200
    assert crossed.headers["cross-origin-resource-policy"] == "cross-origin"
