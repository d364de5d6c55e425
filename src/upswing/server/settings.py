"""How a server runs: where it listens, how much it takes, how long it keeps things."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from upswing.core.errors import UsageError
from upswing.core.i18n import text

UPLOADS: Final = Path("data") / "uploads"
"""Where files of events lie that a page took and that are not imported yet; they go after a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of one server.

    Args:
        host: address to listen on.
        port: 0 lets the system choose.
        hosts: further names under which browsers may ask, e.g. ``growth.example.com``; those of the loopback and `host`
            always may. A foreign one counts as listening beyond this machine.
        question_threads: questions computed at the same time.
        question_queue: questions that may wait beyond those.
        cache_bytes: memory for answers that are kept.
        kept_jobs: finished jobs that are remembered.
        body_bytes: largest body of a request that brings no events.
        upload_bytes: largest file of events that a page takes; the command line imports files of any size.
        fresh_seconds: events written by intake are in answers after about this long, in seconds.
        log_addresses: write clients' addresses to the log.
        request_log: write one line per request.
        metrics_open: `/metrics` without sign-in also beyond loopback.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    hosts: tuple[str, ...] = ()
    question_threads: int = 2
    question_queue: int = 64
    cache_bytes: int = 64 << 20
    kept_jobs: int = 200
    body_bytes: int = 1 << 20
    upload_bytes: int = 256 << 20
    fresh_seconds: float = 2.0
    log_addresses: bool = False
    request_log: bool = True
    metrics_open: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server.

        Examples:
            >>> ServerSettings(host="127.0.0.1").loopback, ServerSettings(host="0.0.0.0").loopback
            (True, False)
        """
        return _of_this_machine(self.host)

    @property
    def reached_from(self) -> str | None:
        """The address or name by which other machines reach the server; None when none does.

        A foreign name says that something in front of the server, e.g. a proxy on this machine, lets others in by it,
        whatever address the server listens on.

        Examples:
            >>> ServerSettings(hosts=("growth.example.com",)).reached_from
            'growth.example.com'
            >>> ServerSettings(hosts=("localhost", "me.localhost")).reached_from is None
            True
        """
        return next((name for name in (self.host, *self.hosts) if not _of_this_machine(name)), None)

    def require_sign_in(self, *, configured: bool) -> None:
        """Refuse to listen beyond this machine while everybody who comes would be an administrator.

        Raises:
            UsageError: UP650 it listens beyond this machine, or answers to a foreign name, and no sign-in is set up.
        """
        foreign = self.reached_from
        if foreign is not None and not configured:
            if self.loopback:
                hint = text(
                    "make the first administrator: upswing people add EMAIL --role admin; or leave out --allow-host"
                )
            else:
                hint = text(
                    "make the first administrator: upswing people add EMAIL --role admin; or listen on 127.0.0.1"
                )
            raise UsageError(
                text("'{host}' can be reached from other machines, and nobody has to sign in", host=foreign),
                code="UP650",
                hint=hint,
            )


def _of_this_machine(name: str) -> bool:
    """Whether an address or a name stands for this machine in every network (RFC 6761, section 6.3)."""
    folded = name.strip("[]").rstrip(".").lower()
    if folded == "localhost" or folded.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(folded).is_loopback
    except ValueError:
        return False
