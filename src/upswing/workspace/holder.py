"""Who holds a workspace: a running server says so in ``.upswing/``, and keeps a lock that dies with its process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows has other locks; there the process id alone tells
    fcntl = None  # type: ignore[assignment]

FOLDER: Final = ".upswing"
LOCK: Final = "server.lock"
"""Empty; locked by the server as long as its process lives."""
NOTE: Final = "server.json"
"""Where the server listens and the token that only this account can read."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A server that holds a workspace.

    Args:
        pid: its process.
        address: ``http://127.0.0.1:8420``.
        token: shows that who asks may read this account's files.
    """

    pid: int
    address: str
    token: str


def holder_of(root: Path) -> Holder | None:
    """The server that holds the workspace now; what a dead one left behind is removed."""
    note = root / FOLDER / NOTE
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))
        found = Holder(int(facts["pid"]), str(facts["address"]), str(facts["token"]))
        mine = not hasattr(os, "getuid") or note.stat().st_uid == os.getuid()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not mine or found.pid == os.getpid():
        return None
    if _lives(root, found):
        return found
    note.unlink(missing_ok=True)
    return None


def write_note(root: Path, holder: Holder) -> None:
    """Say who holds the workspace, readable for this account only."""
    note = root / FOLDER / NOTE
    made = note.with_name(f".{NOTE}.{holder.pid}")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({"pid": holder.pid, "address": holder.address, "token": holder.token}, file)
    made.replace(note)


@contextmanager
def locked(root: Path) -> Iterator[bool]:
    """Hold the lock inside the block; gives whether it could be had."""
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
        yield fcntl is None or _try(file.fileno())


def _lives(root: Path, holder: Holder) -> bool:
    if fcntl is not None:
        with suppress(OSError), locked(root) as free:
            return not free
    with suppress(OSError):
        os.kill(holder.pid, 0)
        return True
    return False


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
