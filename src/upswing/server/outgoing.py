"""Requests that the server sends to addresses that people wrote: webhooks, connectors.

Whoever may write an address must not reach through it what only the server can reach: this machine, its network, the
cloud's metadata. So a name is resolved once, every address it has must be public, the connection goes to exactly the
address that was checked, and redirects are checked anew. Whoever starts the server can allow hosts of their own network by name.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx

from upswing.core.errors import UsageError
from upswing.core.i18n import text

Resolve = Callable[[str, int], list[str]]
"""Gives the addresses of a name and port."""

VARIABLE: Final = "UPSWING_ALLOW_OUTGOING"
_MOST_REDIRECTS: Final = 5
_MOST_BYTES: Final = 64 << 10
_PORTS: Final = {"http": 80, "https": 443}
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# 6to4 (RFC 3056) and Teredo (RFC 4380) are inside of that and carry an IPv4 address
_CARRIERS: Final = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Args:
        status: of HTTP.
        headers: names in lower case.
        body: its beginning, at most 64 KiB, or what came in time.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address.

    Args:
        url: as written.
        host: name to be asked for.
        port: number.
        address: where the connection goes.
    """

    url: str
    host: str
    port: int
    address: str


class Outgoing:
    """Sends requests to public addresses only.

    Args:
        allowed: names (or addresses) of one's own network that may be asked as well, e.g. ``hooks.corp.example``; those in
            ``UPSWING_ALLOW_OUTGOING``, separated by commas, if absent.
        resolve: how names are looked up.
        timeout: seconds for each of connecting, sending, waiting.
        whole: seconds for a request with its answer and its redirects; whoever sends a byte now and then gets no more.
    """

    def __init__(
        self,
        *,
        allowed: Collection[str] | None = None,
        resolve: Resolve | None = None,
        timeout: float = 10.0,
        whole: float = 20.0,
    ) -> None:
        named = os.environ.get(VARIABLE, "").split(",") if allowed is None else allowed
        self._allowed = frozenset(name.strip().lower() for name in named)
        self._resolve = resolve or _resolved
        self._timeout, self._whole = timeout, whole

    def check(self, url: str) -> Target:
        """Check an address and find where its connection goes.

        Raises:
            UsageError: UP842 it cannot be read or its name is not known; UP843 it leads to this machine or its network.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            raise _unreadable() from None
        host = (parts.hostname or "").rstrip(".").lower()
        if parts.scheme not in _PORTS or not host or parts.username is not None or parts.password is not None:
            raise _unreadable()
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise UsageError(text("no address is known for '{host}'", host=host), code="UP842")
        if host not in self._allowed:
            for address in found:  # all of them: which one a connection takes is chance
                if not is_public(address):
                    raise UsageError(
                        text("'{host}' leads to this machine or its network", host=host),
                        code="UP843",
                        hint=text(
                            "if it is meant, allow it where the server is started: {name}={host}",
                            name=VARIABLE,
                            host=host,
                        ),
                    )
        return Target(url, host, port, found[0])

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """Send a request; redirects of GET are followed, each checked like the first.

        Raises:
            UsageError: UP842 and UP843, see `check`.
            httpx.HTTPError: it could not be sent, or no answer came.
        """
        until = time.monotonic() + self._whole
        for _ in range(_MOST_REDIRECTS + 1):
            reply = self._send_once(method, self.check(url), headers or {}, body, until)
            goal = reply.headers.get("location")
            if reply.status not in (301, 302, 303, 307, 308) or goal is None or method != "GET":
                return reply
            following = urljoin(url, goal)
            if urlsplit(following).netloc != urlsplit(url).netloc:
                headers = {}  # what was for one host is not for another
            url = following
        raise httpx.TooManyRedirects("more than five redirects")

    def _send_once(
        self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None, until: float
    ) -> Reply:
        """The connection goes to the address that was checked; name and certificate are those of the host."""
        left = until - time.monotonic()
        if left <= 0:
            raise _too_slow()
        given = httpx.URL(target.url)
        pinned = given.copy_with(host=target.address)
        shown = target.host if target.port == _PORTS[given.scheme] else f"{_bracketed(target.host)}:{target.port}"
        client = httpx.Client(timeout=min(self._timeout, left), trust_env=False, follow_redirects=False)
        # timeouts are per read, also inside the header: only closing the connection ends one that drips
        end = threading.Timer(left, client.close)
        end.daemon = True
        end.start()
        try:
            with (
                client,
                client.stream(
                    method, pinned, headers={**headers, "Host": shown}, content=body,
                    extensions={"sni_hostname": target.host},
                ) as answer,
            ):  # fmt: skip
                return Reply(answer.status_code, dict(answer.headers), _beginning(answer, until))
        except Exception:
            if time.monotonic() >= until:
                raise _too_slow() from None
            raise
        finally:
            end.cancel()


def _beginning(answer: httpx.Response, until: float) -> bytes:
    """What is read of a body. The status says already what became of the request: a body that drips makes no failure of it,
    after which it would be sent again."""
    taken = bytearray()
    try:
        for piece in answer.iter_bytes():
            taken += piece
            if len(taken) >= _MOST_BYTES:
                break
    except Exception:
        if time.monotonic() < until:
            raise
    return bytes(taken[:_MOST_BYTES])


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet.

    Examples:
        >>> is_public("93.184.215.14"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1")
        (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in _GLOBAL_UNICAST or any(found in net for net in _CARRIERS):
            return False
    return found.is_global and not found.is_multicast


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _unreadable() -> UsageError:
    return UsageError(
        text("this is not an address to send to"), code="UP842",
        hint=text("write https://host/path, without a name and password in it"),
    )  # fmt: skip


def _too_slow() -> httpx.ReadTimeout:
    return httpx.ReadTimeout("no whole answer in time")
