"""What somebody who installs Upswing gets: templates, styles, scripts, and the licences of what is not ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import upswing.web

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


def test_the_wheel_holds_the_pages(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode and "hatchling" in made.stderr:
        pytest.skip("the build backend is not installed here")
    assert made.returncode == 0, made.stderr[-2000:]
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("static", "templates"):
        for path in (HERE / folder).rglob("*"):
            if path.is_file():
                assert f"upswing/web/{path.relative_to(HERE).as_posix()}" in held
