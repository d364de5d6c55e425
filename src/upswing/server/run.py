"""The process: listen, say where, stop in order."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from upswing.core.errors import UsageError
from upswing.core.i18n import text
from upswing.server.app import create_app
from upswing.server.observe import log_to_stderr
from upswing.server.settings import ServerSettings

_STOP_SECONDS = 20


def run(root: Path, settings: ServerSettings, *, say: Callable[[object], None]) -> None:
    """Serve a workspace until the process is asked to stop; questions under way are answered first.

    Args:
        root: folder of the workspace.
        settings: how to run.
        say: shows a sentence to people.

    Raises:
        UsageError: UP650 beyond loopback without sign-in, UP653 the address cannot be used.
        EngineError: UP701 another process has the log open.
    """
    listening = _listen(settings)
    try:
        app = create_app(root, settings)
    except BaseException:
        listening.close()
        raise
    log_to_stderr()
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=True, lifespan="on",
        timeout_graceful_shutdown=_STOP_SECONDS, h11_max_incomplete_event_size=64 << 10,
    )  # fmt: skip
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    say(text("serving {folder} at http://{host}:{port}/ (Ctrl-C stops)", folder=root, host=shown, port=port))
    uvicorn.Server(config).run(sockets=[listening])
    say(text("stopped"))


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise UsageError(
            text("cannot listen on {host}:{port}: {reason}", host=settings.host, port=settings.port, reason=error),
            code="UP653",
            hint=text("choose another port: --port 0 lets the system choose"),
        ) from None
    return listening
