"""The process: take the workspace, listen, say where, stop in order."""

from __future__ import annotations

import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.server.app import create_app
from upswing.server.holding import announce, held
from upswing.server.memory import return_memory
from upswing.server.observe import log_to_stderr
from upswing.server.settings import ServerSettings

_STOP_SECONDS = 20
_CALLERS = 2048  # waiting at once to be let in; uvicorn's own number


def run(
    root: Path,
    settings: ServerSettings,
    *,
    say: Callable[[object], None],
    add: Sequence[Callable[[FastAPI], None]] = (),
) -> None:
    """Serve a workspace until the process is asked to stop; questions under way are answered first.

    Args:
        root: folder of the workspace.
        settings: how to run.
        say: shows a sentence to people.
        add: mount further parts on the application, e.g. pages.

    Raises:
        UsageError: UP602 the folder is not a workspace; UP650 reached from other machines without sign-in; UP653 the
            address cannot be used.
        EngineError: UP701 another process has the log open.
    """
    return_memory()
    token = secrets.token_urlsafe(32)
    with held(root), _listening(settings) as listening:
        app = create_app(root, settings, local_token=token)
        for mount in add:
            mount(app)
        log_to_stderr()
        host, port = listening.getsockname()[:2]
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, lifespan="on",
            timeout_graceful_shutdown=_STOP_SECONDS, h11_max_incomplete_event_size=64 << 10,
        )  # fmt: skip
        server = _Server(config)

        def started() -> None:
            announce(root, f"http://{_from_here(host)}:{port}", token)
            say(text("serving {folder} at {address} (Ctrl-C stops)",
                     folder=root, address=f"http://{_in_url(host)}:{port}/"))  # fmt: skip

        app.state.upswing.on_start.append(started)
        server.run(sockets=[listening])
    say(text("stopped"))


class _Server(uvicorn.Server):
    """Stops on Ctrl-C and SIGTERM and then goes on to what comes after it, instead of raising the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Inside the block, signals ask the server to stop."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(settings: ServerSettings) -> socket.socket:
    """A socket that takes callers from now on: whoever is told the address before the server answers waits, and is not
    refused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # named as TCP: only then does asyncio send small answers at once instead of waiting 40 ms for an acknowledgement
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(_CALLERS)
    except OSError as error:
        listening.close()
        raise UsageError(
            text("cannot listen on {host}:{port}: {reason}", host=settings.host, port=settings.port, reason=error),
            code="UP653",
            hint=text("choose another port: --port 0 lets the system choose"),
        ) from None
    return listening


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _from_here(host: str) -> str:
    """The address as this machine itself reaches it."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, _in_url(host))  # noqa: S104 - compared, not bound
