"""What somebody who installs Upswing gets: templates, styles, scripts, and the licences of what is not ours."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import upswing.web
from tests.server.workspaces import copied
from upswing.web.rooms import rooms

HERE = Path(upswing.web.__file__).parent
ROOT = HERE.parents[2]
LICENCES = {"echarts.js": ["echarts.LICENSE", "echarts.NOTICE", "zrender.LICENSE"], "htmx.js": ["htmx.LICENSE"],
            "inter-latin.woff2": ["inter.LICENSE"]}  # fmt: skip


def test_everything_vendored_has_its_licence() -> None:
    vendored = {p.name for p in (HERE / "static" / "vendor").iterdir()}
    named = {name for licences in LICENCES.values() for name in licences}
    assert vendored == {*LICENCES, *named}
    assert all((HERE / "static" / "vendor" / name).stat().st_size > 100 for name in named)


def test_nothing_of_ours_asks_for_anything_from_elsewhere() -> None:
    for path in [*HERE.glob("static/*.*"), *HERE.rglob("templates/**/*.html")]:
        body = path.read_text(encoding="utf-8")
        for word in ("//cdn", "fonts.googleapis", "unpkg", "@import", "eval("):
            assert word not in body, (path.name, word)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode and "hatchling" in made.stderr:
        pytest.skip("the build backend is not installed here")
    assert made.returncode == 0, made.stderr[-2000:]
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_pages(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("static", "templates"):
        for path in (HERE / folder).rglob("*"):
            if path.is_file():
                assert f"upswing/web/{path.relative_to(HERE).as_posix()}" in held


def test_every_page_is_served_from_the_installed_wheel(wheel: Path, web_demo: Path, tmp_path: Path) -> None:
    """Installed elsewhere, run elsewhere: nothing of this checkout is read."""
    installed = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(wheel)], check=True
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    (elsewhere := tmp_path / "elsewhere").mkdir()
    where = [sys.executable, "-c", "import upswing; print(upswing.__file__)"]
    found = subprocess.run(where, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(installed))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workspace = copied(web_demo, tmp_path / "workspace")
    command = [sys.executable, "-m", "upswing", "serve", "--workspace", str(workspace), "--port", str(port)]
    with (
        subprocess.Popen(command, cwd=elsewhere, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"accept": "text/html"}, timeout=60) as client,
    ):  # fmt: skip
        try:
            _await(client, server)
            addresses: set[str] = set()
            for path in [page.path for room in rooms() for page in room.pages] + ["/start", "/-/patterns", "/-/keys"]:
                page = client.get(path, headers={"hx-request": "true"})
                assert page.status_code == 200, (path, page.text[:2000])
                assert "<h1" in page.text or path == "/-/keys", path
                addresses |= set(re.findall(r'(?:href|src|data-charts|data-draw)="(/static/[^"]+)"', page.text))
            assert len(addresses) >= 7
            for address in addresses:
                assert client.get(address).status_code == 200, address
        finally:
            server.terminate()


def _await(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    """Wait until it listens."""
    for _ in range(600):
        assert server.poll() is None
        with suppress(httpx.TransportError):
            client.get("/-/keys")
            return
        time.sleep(0.1)
    raise AssertionError("the server did not begin")
