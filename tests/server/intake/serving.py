"""A small server with the intake alone: in this process, or as a process of its own that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from upswing.core.calendar import Calendar
from upswing.core.errors import UpswingError
from upswing.core.i18n import text
from upswing.events.store import EventStore
from upswing.server.errors import NotSignedInError, ServerError, status_of
from upswing.server.intake.keys import shown_key
from upswing.server.intake.limits import Limits
from upswing.server.intake.routes import router
from upswing.server.intake.service import Intake
from upswing.server.intake.spool import Spool
from upswing.server.intake.writer import Writer

KEY = "k1"
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Key:
    id: str = KEY
    origins: Sequence[str] = ()
    events_per_second: float | None = None


def new_log(folder: Path) -> Path:
    path = folder / "events.duckdb"
    if not path.exists():
        EventStore.create(path).close()
    return path


def make_intake(
    folder: Path,
    *,
    linger: float = 0.0,
    limits: Limits | None = None,
    spool_bytes: int = 1 << 30,
    writer_reserve: int = 128 << 20,
    **spool: object,
) -> Intake:
    calendar = Calendar("UTC")
    made = Spool(folder / "spool", max_bytes=spool_bytes, **spool)  # type: ignore[arg-type]
    writer = Writer(made, new_log(folder), calendar=calendar, linger=linger, reserve=writer_reserve)
    return Intake(made, writer, calendar=calendar, limits=limits)


def make_app(intake: Intake, keys: Sequence[Key] = (Key(),)) -> FastAPI:
    app = FastAPI()
    known = {key.id: key for key in keys}

    def authorise(request: Request) -> Key:
        shown = shown_key(request)
        if shown not in known:
            raise NotSignedInError(text("no such key"))
        return known[shown]

    def refuse(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, UpswingError)
        headers = error.headers if isinstance(error, ServerError) else {}
        return JSONResponse(error.to_dict(), status_code=status_of(error), headers=headers)

    app.include_router(router(intake, authorise))
    app.add_exception_handler(UpswingError, refuse)
    return app


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def config(app: FastAPI, port: int) -> uvicorn.Config:
    return uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False, ws="none")


@dataclass
class Served:
    """A server in this process: its address, and the intake behind it."""

    url: str
    intake: Intake
    log: Path

    def settle(self) -> EventStore:
        """Let everything into the log, then open it; the server's writer has ended."""
        assert self.intake.writer.drain()
        self.intake.writer.stop()
        return EventStore.open(self.log)


@contextmanager
def served(folder: Path, keys: Sequence[Key] = (Key(),), **options: object) -> Iterator[Served]:
    intake = make_intake(folder, **options)  # type: ignore[arg-type]
    intake.start()
    port = free_port()
    server = uvicorn.Server(config(make_app(intake, keys), port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        await_answer(port)
        yield Served(f"http://127.0.0.1:{port}", intake, folder / "events.duckdb")
    finally:
        server.should_exit = True
        thread.join(10)
        intake.close()


def await_answer(port: int, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            httpx.options(f"http://127.0.0.1:{port}/track")
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("the server does not answer")


@contextmanager
def process(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The same as a process of its own; killed at the end if it still lives."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.server.intake.serving", str(folder), str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        await_answer(port)
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()


def main(folder: Path, port: int) -> None:
    intake = make_intake(folder, linger=float(os.environ.get("LINGER", "0.05")), segment_bytes=1 << 20)
    intake.start()
    try:
        uvicorn.Server(config(make_app(intake), port)).run()
    finally:
        intake.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
