"""Requests to addresses that people wrote reach the public internet only."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from upswing.core.errors import UsageError
from upswing.server.outgoing import Outgoing, is_public

INWARD = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "169.254.1.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::",
    "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1",
]  # fmt: skip
WRITTEN_OTHERWISE = [
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[::1]/", "http://localhost/",
    "http://localhost./", "http://LOCALHOST/", "http://[::ffff:127.0.0.1]/", "http://0/",
]  # fmt: skip


@pytest.mark.parametrize("address", INWARD)
def test_inward_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", WRITTEN_OTHERWISE)
def test_this_machine_in_other_spellings(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        Outgoing().check(url)
    assert raised.value.code in ("UP842", "UP843")


@pytest.mark.parametrize(
    "url",
    ["", "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "//example.com", "https://", "https://u:p@example.com/",
     "https://example.com:99999/", "https://[::1", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        Outgoing(resolve=lambda *_: ["1.1.1.1"]).check(url)
    assert raised.value.code == "UP842"


def test_every_address_of_a_name_counts() -> None:
    with pytest.raises(UsageError) as raised:
        Outgoing(resolve=lambda *_: ["1.1.1.1", "10.0.0.1"]).check("https://half.example/")
    assert raised.value.code == "UP843"


class Inside:
    """A service on this machine that counts who reaches it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.redirect: str | None = None
        inside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                inside.asked.append((self.path, self.headers.get("Host")))
                if self.path == "/start" and inside.redirect:
                    self.send_response(302)
                    self.send_header("Location", inside.redirect)
                    self.end_headers()
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"secret")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def inside() -> Iterator[Inside]:
    found = Inside()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_an_allowed_name_is_reached_under_its_own_name(inside: Inside) -> None:
    outgoing = Outgoing(allowed=["Hooks.corp.example"], resolve=lambda *_: ["127.0.0.1"])
    reply = outgoing.send("GET", f"http://hooks.corp.example:{inside.port}/x")
    assert (reply.status, reply.body) == (200, b"secret")
    assert inside.asked == [("/x", f"hooks.corp.example:{inside.port}")]


def test_the_name_is_looked_up_once(inside: Inside) -> None:
    """A name that is public when it is checked and inward when it is asked (DNS rebinding) does not get in."""
    answers = iter([["203.0.113.9", "1.1.1.1"], ["127.0.0.1"]])
    outgoing = Outgoing(resolve=lambda *_: next(answers), timeout=0.2)
    with pytest.raises(UsageError):  # 203.0.113.0/24 is for documentation, not public
        outgoing.send("GET", f"http://rebinding.example:{inside.port}/")
    looked_up = []

    def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["1.1.1.1"] if len(looked_up) == 1 else ["127.0.0.1"]

    target = Outgoing(resolve=resolve).check("http://rebinding.example/")
    assert target.address == "1.1.1.1"
    assert looked_up == ["rebinding.example"]
    assert inside.asked == []


def test_redirects_are_checked_too(inside: Inside) -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    outgoing = Outgoing(allowed=["front.example"], resolve=resolve)
    inside.redirect = f"http://inside.example:{inside.port}/secret"
    with pytest.raises(UsageError) as raised:
        outgoing.send("GET", f"http://front.example:{inside.port}/start")
    assert raised.value.code == "UP843"
    assert [path for path, _ in inside.asked] == ["/start"]
    inside.redirect = "file:///etc/passwd"
    with pytest.raises(UsageError):
        outgoing.send("GET", f"http://front.example:{inside.port}/start")
    inside.redirect = f"http://front.example:{inside.port}/start"
    with pytest.raises(httpx.TooManyRedirects):
        outgoing.send("GET", f"http://front.example:{inside.port}/start")


def test_proxies_of_the_environment_are_not_used(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # nothing listens there
    outgoing = Outgoing(allowed=["a.example"], resolve=lambda *_: ["127.0.0.1"])
    assert outgoing.send("GET", f"http://a.example:{inside.port}/").status == 200


def test_hosts_of_ones_own_network_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSWING_ALLOW_OUTGOING", "hooks.corp.example, 10.0.0.7")
    outgoing = Outgoing(resolve=lambda *_: ["10.0.0.7"])
    assert (
        outgoing.check("http://hooks.corp.example/").address == outgoing.check("http://10.0.0.7/").address == "10.0.0.7"
    )
    with pytest.raises(UsageError):
        outgoing.check("http://other.corp.example/")


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """A service that sends a byte now and then and never comes to an end."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def drip(caller: socket.socket) -> None:
        with caller, suppress(OSError):
            caller.sendall(first)
            while not over.wait(0.05):
                caller.sendall(b"x")

    def answer() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=answer, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    over.set()
    listening.close()


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-"])
def test_an_answer_whose_head_drips_is_given_up(first: bytes) -> None:
    with dripping(first) as url, pytest.raises(httpx.HTTPError):
        Outgoing(allowed=["127.0.0.1"], timeout=5, whole=0.5).send("POST", url, body=b"{}")


def test_a_body_that_drips_makes_no_failure_of_what_was_taken() -> None:
    """Else the message would be sent again and again."""
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") as url:
        reply = Outgoing(allowed=["127.0.0.1"], timeout=5, whole=0.5).send("POST", url, body=b"{}")
    assert reply.status == 200
    assert set(reply.body) <= {ord("x")}


def test_of_a_long_answer_the_beginning_is_read() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000) as url:
        reply = Outgoing(allowed=["127.0.0.1"]).send("POST", url, body=b"{}")
    assert reply.body == b"x" * (64 << 10)
