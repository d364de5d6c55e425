"""A server holds its workspace: nobody else serves it, and this account's command line is answered by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from upswing.core.errors import EngineError
from upswing.core.i18n import text
from upswing.spec.definitions import load_project
from upswing.workspace.holder import FOLDER, NOTE, Holder, holder_of, locked, write_note


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Keep the workspace for this process inside the block.

    Raises:
        UsageError: UP602 the folder is not a workspace.
        EngineError: UP701 another server holds it.
    """
    load_project(root)
    with locked(root) as free:
        if not free:
            other = holder_of(root)
            where = other.address if other is not None else "?"
            raise EngineError(
                text("another server holds the workspace: {address}", address=where),
                code="UP701",
                hint=text("stop it first"),
            )
        try:
            yield
        finally:
            (root / FOLDER / NOTE).unlink(missing_ok=True)


def announce(root: Path, address: str, token: str) -> None:
    """Tell this account's command line where to ask.

    Args:
        root: the workspace.
        address: where the server listens, as seen from this machine.
        token: what it has to show.
    """
    write_note(root, Holder(os.getpid(), address, token))
