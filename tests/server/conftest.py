"""The demo is made once for all tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.workspaces import copied, make_demo, serving


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace at rest: read it, or copy it."""
    return make_demo(tmp_path_factory.mktemp("served") / "demo")


@pytest.fixture(scope="session")
def client(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server over a copy of the demo."""
    with serving(copied(demo, tmp_path_factory.mktemp("served") / "copy")) as made:
        yield made
