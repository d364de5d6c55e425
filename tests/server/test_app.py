"""What surrounds every answer: headers, ids, logs without personal data, limits, health, and where requests may come from."""

from __future__ import annotations

import gzip
import json
import logging
import sys
import zlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.workspaces import administered, copied, serving
from upswing.core.errors import UsageError
from upswing.server.bodies import unpack
from upswing.server.errors import BadRequestError, TooLargeError
from upswing.server.headers import SAFE_HEADERS, language_of
from upswing.server.observe import JsonLines
from upswing.server.settings import ServerSettings


def test_safe_headers_are_on_every_answer(client: httpx.Client) -> None:
    for path in ("/healthz", "/nothing", "/api/v1/funnel/activation", "/api/v1/funnel?x=1", "/metrics"):
        headers = client.get(path).headers
        for name, value in SAFE_HEADERS.items():
            assert headers[name] == value, (path, name)
        assert headers["cache-control"] == "no-store"
        assert len(headers["x-request-id"]) == 16


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"ok": True}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["ok"]) == (200, True)
    state = client.app.state.upswing  # type: ignore[attr-defined]
    state.ready["disk"] = lambda: "full"
    failing = client.get("/readyz")
    del state.ready["disk"]
    assert (failing.status_code, failing.json()["checks"]["disk"]) == (503, "full")


def test_strangers_are_told_no_more_than_a_code(demo: Path, tmp_path: Path) -> None:
    root = copied(demo, tmp_path / "ws")
    admin = administered(root)
    with serving(root) as client:
        ready = client.app.state.upswing.ready  # type: ignore[attr-defined]
        ready["disk"] = lambda: "UP872 cannot write /srv/secret/place"

        def broken() -> str | None:
            raise ZeroDivisionError("/srv/secret/place")

        ready["more"] = broken
        told = client.get("/readyz")
        assert told.status_code == 503
        assert (told.json()["checks"]["disk"], told.json()["checks"]["more"]) == ("UP872", "UP800")
        known = client.get("/readyz", headers=admin)
        assert known.json()["checks"]["disk"] == "UP872 cannot write /srv/secret/place"


def test_a_stack_has_places_and_no_words() -> None:
    def fails(value: str) -> None:
        raise ValueError(f"cannot read {value}")

    try:
        try:
            fails("u-secret")
        except ValueError as error:
            raise UsageError("asked for u-secret", code="UP604") from error
    except UsageError:
        line = JsonLines().format(logging.LogRecord("x", 40, "p", 1, "it failed", None, sys.exc_info()))
    assert "u-secret" not in line
    stack = json.loads(line)["stack"]
    assert [(one["type"], one.get("code")) for one in stack] == [("UsageError", "UP604"), ("ValueError", None)]
    assert stack[1]["at"][-1].endswith(" fails")


def test_metrics_count_requests_and_questions(client: httpx.Client) -> None:
    client.get("/api/v1/funnel/activation?limit=7")
    client.get("/api/v1/funnel/activation?limit=7")
    said = client.get("/metrics").text
    assert 'upswing_http_requests_total{method="GET",route="/api/v1/funnel/{name}",status="200"}' in said
    assert 'upswing_questions_total{outcome="kept",verb="funnel"}' in said
    assert "# TYPE upswing_intake_accepted_events_total counter" in said
    assert "activation" not in said  # routes, not what people asked


def test_the_log_has_no_personal_data(demo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The level outlasts the server: a request is logged after its answer has been sent.
    with caplog.at_level(logging.INFO), serving(copied(demo, tmp_path / "ws"), ServerSettings()) as client:
        client.get("/api/v1/users?segment=user_id%3D'u-secret'&from=2026-01-01", headers={"User-Agent": "curious"})
        client.get("/v1/track?write_key=k-secret")
        client.post("/api/v1/funnel", json={"where": "email = 'lin@example.com'"})
    lines = [JsonLines().format(r) for r in caplog.records if r.name == "upswing.server"]
    assert len(lines) >= 3
    for line in lines:
        assert json.loads(line)["message"]
    for secret in ("u-secret", "k-secret", "lin@", "127.0.0.1", "curious", "2026-01-01"):
        assert not any(
            secret in line.removeprefix("{") for line in lines if '"time"' in line and secret != "2026-01-01"
        )


def test_a_mistake_of_the_server_shows_an_id_and_no_stack(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("inner workings")

    monkeypatch.setattr("upswing.workspace.Workspace.segments", broken)
    answered = client.get("/api/v1/segments?to=2026-02-01")
    assert answered.status_code == 500
    body = answered.json()
    assert body["code"] == "UP800"
    assert "inner workings" not in answered.text
    assert any(getattr(r, "facts", {}).get("request") == body["request"] for r in caplog.records)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "localhost.evil.example", "[::2]", ""])
def test_foreign_names_are_refused(client: httpx.Client, host: str) -> None:
    """A page whose name is made to point at this machine must not read from it (DNS rebinding)."""
    answered = client.get("/api/v1/events", headers={"Host": host})
    assert answered.status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8420", "LOCALHOST", "[::1]:8420"])
def test_own_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_changes_asked_for_by_foreign_pages_are_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    answered = client.post("/api/v1/users", json={"segment": "habit", "save": "stolen"}, headers=headers)
    assert (answered.status_code, answered.json()["code"]) == (403, "UP806")
    assert client.get("/api/v1/segments/stolen").status_code == 404


def test_own_pages_may_ask_for_changes(client: httpx.Client) -> None:
    headers = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/funnel?wait=30", json={"name": "activation"}, headers=headers).status_code == 200


def test_large_bodies_are_refused(demo: Path, tmp_path: Path) -> None:
    small = ServerSettings(request_log=False, body_bytes=1000)
    with serving(copied(demo, tmp_path / "ws"), small) as client:
        body = json.dumps({"name": "x" * 5000}).encode()
        answered = client.post("/api/v1/funnel", content=body, headers={"Content-Type": "application/json"})
        assert (answered.status_code, answered.json()["code"]) == (413, "UP804")

        def parts() -> Any:
            yield b'{"name": "'
            for _ in range(100):
                yield b"x" * 100

        streamed = client.post("/api/v1/funnel", content=parts(), headers={"Content-Type": "application/json"})
        assert streamed.status_code == 413


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate", "raw"]))
def test_what_is_packed_comes_out(body: bytes, packing: str) -> None:
    if packing == "gzip":
        assert unpack(gzip.compress(body), "gzip", limit=3000) == body
        assert unpack(gzip.compress(body) + gzip.compress(b"more"), "gzip", limit=3004) == body + b"more"
    elif packing == "deflate":
        assert unpack(zlib.compress(body), "deflate", limit=3000) == body
    else:
        packer = zlib.compressobj(wbits=-15)
        assert unpack(packer.compress(body) + packer.flush(), "deflate", limit=3000) == body


@given(st.binary(min_size=1, max_size=500), st.integers(1, 200))
def test_what_is_broken_is_refused(body: bytes, cut: int) -> None:
    packed = gzip.compress(body)
    with pytest.raises(BadRequestError):
        unpack(packed[: max(1, len(packed) - cut)], "gzip", limit=10_000)
    with pytest.raises((BadRequestError, TooLargeError)):
        unpack(b"\x1f\x8b" + body, "gzip", limit=10_000)


def test_bombs_are_stopped_before_they_unfold() -> None:
    import tracemalloc

    bomb = gzip.compress(bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        unpack(bomb, "gzip", limit=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    with pytest.raises(BadRequestError):
        unpack(b"", "br", limit=10)


@pytest.mark.parametrize(
    ("accepted", "query", "expected"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN"), ("en-GB,en;q=0.9,zh;q=0.5", "", "en"), ("fr,de", "", "en"),
        ("", "", "en"), ("zh;q=0", "", "en"), ("zh;q=x,en", "", "en"), ("zh", "lang=en", "en"),
        ("en", "a=b&lang=zh-CN", "zh-CN"),
    ],
)  # fmt: skip
def test_language_of_a_request(accepted: str, query: str, expected: str) -> None:
    assert language_of(httpx_headers(accepted), query) == expected


def httpx_headers(accepted: str) -> Any:
    from starlette.datastructures import Headers

    return Headers({"accept-language": accepted})


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True),
                                           ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("name", False)])  # fmt: skip
def test_beyond_loopback_somebody_has_to_sign_in(host: str, own: bool) -> None:
    settings = ServerSettings(host=host)
    assert settings.loopback == own
    settings.require_sign_in(configured=True)
    if own:
        settings.require_sign_in(configured=False)
    else:
        with pytest.raises(UsageError):
            settings.require_sign_in(configured=False)


def test_a_further_name_means_beyond_loopback() -> None:
    """A proxy passes the world on to the loopback: without sign-in everybody would be an administrator."""
    settings = ServerSettings(hosts=("growth.example.com",))
    assert settings.loopback
    assert settings.reached_from == "growth.example.com"
    settings.require_sign_in(configured=True)
    with pytest.raises(UsageError, match=r"growth\.example\.com"):
        settings.require_sign_in(configured=False)
