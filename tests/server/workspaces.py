"""A small demo workspace that tests serve, over a real socket of this machine."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from upswing.demo.run import run_demo
from upswing.facts.database import Facts
from upswing.server.app import create_app
from upswing.server.settings import ServerSettings

QUIET = ServerSettings(request_log=False, fresh_seconds=0)


def make_demo(folder: Path) -> Path:
    """The demo's events, definitions and people, made once and copied by tests that change them."""
    run_demo(seed=7, users=400, folder=folder, say=lambda _: None)
    return folder


def copied(demo: Path, folder: Path) -> Path:
    """A workspace of one's own."""
    shutil.copytree(demo, folder)
    return folder


def administered(root: Path) -> dict[str, str]:
    """Give a workspace an administrator; what a request of theirs shows."""
    with Facts.open(root) as facts:
        admin = facts.people.add("lin@example.com", role="admin", password="correct horse battery")
        return {"Authorization": f"Bearer {facts.tokens.new(admin, label='test')[0]}"}


@contextmanager
def serving(
    root: Path,
    settings: ServerSettings = QUIET,
    *,
    token: str = "",
    add: Sequence[Callable[[FastAPI], None]] = (),
) -> Iterator[httpx.Client]:
    """A client of a server that runs inside the block, on a thread of this process."""
    app = create_app(root, settings, local_token=token)
    for mount in add:
        mount(app)
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=20)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join()
