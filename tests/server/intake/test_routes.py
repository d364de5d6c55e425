"""The addresses: who may send, from where, how much, and what the answer says."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.intake.deliveries import rows
from tests.server.intake.serving import Key, Served, served
from upswing.server.intake import spool as spool_module
from upswing.server.intake.limits import Limits

KEYS = (Key(), Key("shop", origins=("https://shop.example",)), Key("slow", events_per_second=1.0))
AUTH = {"Authorization": "Basic " + base64.b64encode(b"k1:").decode()}
EVENT = {"user": "u", "event": "e"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("routes"), KEYS, fsync=False) as made:
        yield made


@pytest.fixture(scope="module")
def client(running: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/track", {"userId": "u", "event": "e"}), ("/v1/identify", {"userId": "u"}), ("/v1/page", {"userId": "u"}),
        ("/v1/screen", {"anonymousId": "u"}), ("/v1/group", {"userId": "u", "groupId": "g"}),
        ("/v1/alias", {"userId": "u", "previousId": "p"}), ("/v1/t", {"userId": "u", "event": "e"}),
        ("/v1/batch", {"batch": [{"type": "track", "userId": "u", "event": "e"}]}),
        ("/v1/import", {"batch": [{"type": "track", "userId": "u", "event": "e"}]}),
        ("/v1/events", EVENT), ("/track", [{"event_name": "e", "user_id": "u"}]),
        ("/sa", [{"type": "track", "distinct_id": "u", "event": "e"}]),
    ],
)  # fmt: skip
def test_every_address_takes_its_protocol_and_wants_a_key(client: httpx.Client, path: str, body: object) -> None:
    answer = client.post(path, json=body, params={"key": "k1"})
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "status": 200, "accepted": 1}
    assert client.post(path, json=body).status_code == 401
    assert client.post(path, json=body, params={"key": "other"}).status_code == 401


@pytest.mark.parametrize(
    "given",
    [
        {"headers": AUTH}, {"headers": {"Authorization": "Bearer k1"}}, {"headers": {"X-API-Key": "k1"}},
        {"params": {"client_key": "k1"}}, {"params": {"token": "k1"}},
    ],
)  # fmt: skip
def test_keys_are_shown_as_clients_do(client: httpx.Client, given: dict[str, dict[str, str]]) -> None:
    assert client.post("/v1/events", json=EVENT, **given).status_code == 200  # type: ignore[arg-type]


def test_browsers_of_segment_have_the_key_in_the_body(client: httpx.Client) -> None:
    body = {"userId": "u", "event": "e", "writeKey": "k1"}
    assert client.post("/v1/t", content=json.dumps(body), headers={"Content-Type": "text/plain"}).status_code == 200
    assert client.post("/v1/t", json={**body, "writeKey": "x"}).status_code == 401
    assert client.post("/v1/t", json={**body, "writeKey": 7}).status_code == 401


def test_mobile_clients_of_segment_are_told_where_to_send(client: httpx.Client) -> None:
    """Their own setting of a host yields to these settings (segmentio/analytics-kotlin#272, analytics-swift#156)."""
    found = client.get("/v1/projects/k1/settings", headers={"Host": "events.example"})
    assert found.json()["integrations"]["Segment.io"] == {"apiKey": "k1", "apiHost": "events.example/v1"}
    assert client.get("/v1/projects/other/settings").status_code == 401


def test_pages_of_other_origins(client: httpx.Client) -> None:
    asked = client.options("/v1/t", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    assert "Authorization" in asked.headers["access-control-allow-headers"]
    for origin, status in (("https://shop.example", 200), ("https://a.example", 403), ("null", 403)):
        answer = client.post("/v1/events", json=EVENT, params={"key": "shop"}, headers={"Origin": origin})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in answer.headers
    assert client.post("/v1/events", json=EVENT, params={"key": "shop"}).status_code == 200  # no page at all


def test_partly_bad_batch_keeps_the_good_and_names_the_bad(client: httpx.Client) -> None:
    answer = client.post("/v1/events", json=[EVENT, {"event": "e"}, 3, EVENT], params={"key": "k1"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["accepted"], found["set_aside"]) == (2, 2)
    assert [(r["index"], r["reason"], r["message"]) for r in found["reasons"]] == [
        (1, "missing_user", "no user"),
        (2, "malformed_event", "the event is not what its protocol says"),
    ]


def test_sizes(client: httpx.Client) -> None:
    big = {"userId": "u", "event": "e", "properties": {"x": "y" * 40_000}}
    assert client.post("/v1/track", json=big, params={"key": "k1"}).status_code == 413
    batch = {"batch": [{"type": "track", "userId": "u", "event": "e", "properties": {"x": "y" * 20_000}}] * 30}
    assert client.post("/v1/batch", json=batch, params={"key": "k1"}).status_code == 413
    packed = gzip.compress(json.dumps(batch).encode())
    assert client.post("/v1/batch", content=packed, headers={"Content-Encoding": "gzip"},
                       params={"key": "k1"}).status_code == 413  # fmt: skip
    one = client.post("/v1/batch", json={"batch": [{**big, "type": "track"}]}, params={"key": "k1"}).json()
    assert one["reasons"][0]["reason"] == "too_long"


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/events", "/track", "/sa"])
def test_bombs_are_stopped(client: httpx.Client, path: str) -> None:
    bomb = gzip.compress(b"[" + b" " * (100 << 20))
    answer = client.post(path, content=bomb, headers={"Content-Encoding": "gzip"}, params={"key": "k1"})
    assert answer.status_code == 413


def test_packed_bodies(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps(EVENT).encode())
    sent = {"content": body, "params": {"key": "k1"}}
    assert client.post("/v1/events", headers={"Content-Encoding": "gzip"}, **sent).status_code == 200  # type: ignore[arg-type]
    assert client.post("/v1/events", headers={"Content-Encoding": "br"}, **sent).status_code == 400  # type: ignore[arg-type]
    assert client.post("/v1/events", content=body[:-9], headers={"Content-Encoding": "gzip"},
                       params={"key": "k1"}).status_code == 400  # fmt: skip


def test_sensors_by_get(client: httpx.Client) -> None:
    data = base64.b64encode(b'{"type":"track","distinct_id":"u","event":"e"}').decode()
    assert client.get("/sa", params={"data": data, "key": "k1"}).json()["accepted"] == 1
    image = client.get("/sa.gif", params={"data": data, "key": "k1"})
    assert image.headers["content-type"] == "image/gif"
    assert image.content[:6] == b"GIF89a"


def test_click_link(client: httpx.Client) -> None:
    answer = client.get("/click/tencent", params={"key": "k1", "click_id": "c", "click_time": "1795390000"})
    assert answer.json()["ret"] == 0
    assert client.get("/click/tencent", params={"key": "k1", "click_id": "__CLICK_ID__"}).status_code == 400
    assert client.get("/click/tencent", params={"click_id": "c"}).status_code == 401


def test_key_over_its_rate_is_told_when_to_come_again(client: httpx.Client) -> None:
    sent = [client.post("/v1/events", json=[EVENT] * 6, params={"key": "slow"}) for _ in range(3)]
    assert [a.status_code for a in sent] == [200, 429, 429]
    assert int(sent[-1].headers["Retry-After"]) >= 1
    assert sent[-1].json()["code"] == "UP871"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/v1/batch", "/v1/track", "/v1/nothing", "/v1/events", "/track", "/sa", "/click/a", "/click/A b"]),
    st.binary(max_size=80),
    st.dictionaries(
        st.sampled_from(["Content-Encoding", "Content-Type", "Origin"]), st.sampled_from(["gzip", "x", "*"])
    ),
)
def test_no_body_makes_the_server_fail(client: httpx.Client, path: str, body: bytes, headers: dict[str, str]) -> None:
    method = "GET" if path.startswith("/click") else "POST"
    answer = client.request(method, path, content=body, headers=headers, params={"key": "k1"})
    assert answer.status_code < 500
    assert answer.headers["content-type"].startswith("application/json")


def test_full_spool_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with served(tmp_path, spool_bytes=2000, fsync=False) as running:
        hold = running.intake.writer._log  # the log is busy elsewhere
        blocked = threading.Event()

        class Held:
            def __enter__(self) -> object:
                blocked.wait(20)
                self.inner = hold()
                return self.inner.__enter__()

            def __exit__(self, *error: object) -> None:
                self.inner.__exit__(*error)

        running.intake.writer._log = Held  # type: ignore[assignment]
        with httpx.Client(base_url=running.url, params={"key": "k1"}) as client:
            answers = [client.post("/v1/events", json={**EVENT, "id": str(i), "x": "y" * 100}) for i in range(40)]
            refused = [a for a in answers if a.status_code == 429]
            assert refused
            assert refused[0].json()["code"] == "UP870"
            assert int(refused[0].headers["Retry-After"]) >= 1
            kept = {str(i) for i, a in enumerate(answers) if a.status_code == 200}
            blocked.set()
            assert running.intake.writer.drain()
            assert client.post("/v1/events", json={**EVENT, "id": "later"}).status_code == 200
        store = running.settle()
        assert rows(store).keys() == kept | {"later"}
        store.close()


def test_full_disk_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path, fsync=False) as running, httpx.Client(base_url=running.url, params={"key": "k1"}) as client:
        assert client.post("/v1/events", json={**EVENT, "id": "1"}).status_code == 200

        def full(descriptor: int, data: bytes) -> int:
            raise OSError(28, os.strerror(28))

        with monkeypatch.context() as patched:
            patched.setattr(spool_module.os, "write", full)
            answer = client.post("/v1/events", json={**EVENT, "id": "2"})
        assert answer.status_code == 507
        assert answer.headers["Retry-After"]
        assert answer.json()["code"] == "UP872"
        assert client.post("/v1/events", json={**EVENT, "id": "3"}).status_code == 200
        store = running.settle()
        assert rows(store).keys() == {"1", "3"}
        store.close()


def test_bytes_under_way_are_bounded(tmp_path: Path) -> None:
    with served(tmp_path, limits=Limits(in_flight_bytes=1000), fsync=False) as running:
        with running.intake.in_flight.body() as room:
            room.grow(900)
            answer = httpx.post(running.url + "/v1/events", json={**EVENT, "x": "y" * 500}, params={"key": "k1"})
        assert answer.status_code == 429
        assert httpx.post(running.url + "/v1/events", json=EVENT, params={"key": "k1"}).status_code == 200
        assert running.intake.in_flight.bytes == 0


def test_who_announces_much_and_sends_nothing_takes_no_room(tmp_path: Path) -> None:
    with served(tmp_path, limits=Limits(in_flight_bytes=1000, body_seconds=1.0), fsync=False) as running:
        idle = [_unfinished(running.url, path) for path in ("/v1/batch", "/v1/events?key=k1") for _ in range(20)]
        assert httpx.post(running.url + "/v1/events", json=EVENT, params={"key": "k1"}).status_code == 200
        track = {"writeKey": "k1", "userId": "u", "event": "e"}
        assert httpx.post(running.url + "/v1/track", json=track).status_code == 200
        for caller in idle:  # each is given up in time
            caller.settimeout(10)
            answer = b""
            while piece := caller.recv(4000):
                answer += piece
            assert b" 408 " in answer
            assert b"UP875" in answer
            caller.close()
        assert running.intake.in_flight.bytes == running.intake.strangers.bytes == 0


def test_strangers_fill_their_own_part_only(tmp_path: Path) -> None:
    with served(tmp_path, limits=Limits(in_flight_bytes=8000), fsync=False) as running:
        idle = [_unfinished(running.url, "/v1/batch", sent=b"x" * 900) for _ in range(2)]
        for _ in range(500):
            if running.intake.strangers.bytes == 1800:
                break
            time.sleep(0.01)
        assert running.intake.strangers.bytes == 1800
        track = {"writeKey": "k1", "userId": "u", "event": "e" * 300}
        assert httpx.post(running.url + "/v1/track", json=track).status_code == 429
        assert httpx.post(running.url + "/v1/track", json=track, auth=("k1", "")).status_code == 200
        for caller in idle:
            caller.close()


@pytest.mark.parametrize("body", ["[" * 30_000, '{"n": ' + "9" * 10_000 + "}", '{"n": NaN}', b'{"n": "\xff"}'])
def test_bodies_that_break_a_parser_are_refused_in_our_words(client: httpx.Client, body: str | bytes) -> None:
    answer = client.post("/v1/track", content=body, headers={"content-type": "application/json"}, auth=("k1", ""))
    assert answer.status_code == 400
    assert answer.json()["code"] == "UP801"
    assert not {"recursion", "sys.", "codec", "Exceeds"} & set(answer.text.replace("(", " ").split())


def _unfinished(url: str, path: str, sent: bytes = b"") -> socket.socket:
    """A caller who announces 500 kB and then says no more."""
    host, port = url.removeprefix("http://").split(":")
    caller = socket.create_connection((host, int(port)))
    caller.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 500000\r\n\r\n".encode() + sent)
    return caller


def test_acknowledged_events_are_in_the_log_once(running: Served, client: httpx.Client) -> None:
    """Last in this module: the server's writer ends here."""
    for _ in range(3):
        client.post("/v1/events", json=[{**EVENT, "id": f"id{i}"} for i in range(5)], params={"key": "k1"})
    store = running.settle()
    assert {f"id{i}" for i in range(5)} <= rows(store).keys()
    store.close()
