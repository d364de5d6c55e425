"""Folders and files that only this account can read."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path


def private_folder(folder: Path) -> Path:
    """Make a folder that only this account can look into; one that others can is closed to them.

    Args:
        folder: made with its parents if missing; only the last one is private.

    Raises:
        OSError: it cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep_private(folder)
    return folder


def keep_private(*paths: Path) -> None:
    """Take from everybody else what they may do with files and folders; those that are not there are passed over.

    Where another account owns them, or the disk knows no rights, they stay as they are.
    """
    for path in paths:
        with suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                path.chmod(mode & 0o700)
