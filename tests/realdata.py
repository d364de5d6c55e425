"""Where the real data sets are: outside the repository, so tests that need one skip where it is missing."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """``UPSWING_DATA``, else ``shared/data`` beside the repository."""
    named = os.environ.get("UPSWING_DATA")
    return Path(named) if named else ROOT.parent / "shared" / "data"


def data_file(relative: str) -> Path:
    """Path of one file or folder of the real data sets; skips the calling test when it is not there."""
    path = data_folder() / relative
    if not path.exists():
        pytest.skip(f"real data {relative!r} is not here: set UPSWING_DATA to the folder that holds it")
    return path
