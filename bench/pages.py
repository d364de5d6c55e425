"""``python -m bench.pages [users]``: what every page of the navigation costs on the demo.

First answer: the page asked once of a server that has just started, the overview last, so that no page finds its answer
made; what several questions share (the mapped columns) is there after the first. From memory: the least of five further
requests. Bytes and load event: Chromium with an empty cache, the middle of three visits, the answer in memory. Writes a
section of docs/benchmarks.md.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

from upswing.demo.run import run_demo
from upswing.web.rooms import rooms

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
HEADING = "## Pages"
_LIBRARY = "echarts"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a page costs.

    Args:
        path: its address.
        first: seconds of the server when the answer is not in memory.
        again: seconds of the server when it is.
        kilobytes: what travels to an empty browser, without the chart library.
        library: kB of the chart library, 0 where there is no chart to play with.
        load: seconds from asking to the load event, in an empty browser.
    """

    path: str
    first: float
    again: float
    kilobytes: float
    library: float
    load: float


def main(users: int = 200_000) -> None:
    """Measure and write."""
    folder = DATA / f"demo_{users}"
    if not (folder / "upswing.yml").exists():
        run_demo(seed=7, users=users, folder=folder, say=lambda _: None)
    costs = measure(folder)
    section = written(costs, users)
    page = ROOT / "docs" / "benchmarks.md"
    page.write_text(replaced(page.read_text(encoding="utf-8"), section), encoding="utf-8")
    print(section)


def measure(workspace: Path) -> list[Cost]:
    """Every page of the navigation."""
    paths = [page.path for room in rooms() for page in room.pages]
    with served(workspace) as base, httpx.Client(base_url=base, timeout=600) as client, sync_playwright() as playwright:
        client.headers["accept"] = "text/html"
        first = {path: _seconds(client, path) for path in [*paths[1:], paths[0]]}
        again = {path: min(_seconds(client, path) for _ in range(5)) for path in paths}
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        visits = {path: [visit(browser, base + path) for _ in range(3)] for path in paths}
        browser.close()
    return [
        Cost(path, first[path], again[path], *(statistics.median(v[i] for v in visits[path]) for i in range(3)))
        for path in paths
    ]


def visit(browser: Browser, address: str) -> tuple[float, float, float]:
    """One visit with an empty cache: kB without and of the chart library, seconds to the load event."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        told = context.new_cdp_session(page)
        asked: dict[str, str] = {}
        sizes: dict[str, float] = {}
        told.on("Network.requestWillBeSent", lambda e: asked.__setitem__(e["requestId"], e["request"]["url"]))
        told.on("Network.loadingFinished", lambda e: sizes.__setitem__(e["requestId"], e["encodedDataLength"]))
        told.send("Network.enable")
        page.goto(address, wait_until="networkidle")
        load = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    library = sum(size for key, size in sizes.items() if _LIBRARY in asked.get(key, ""))
    return (sum(sizes.values()) - library) / 1000, library / 1000, load


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """The address of a server in a process of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "upswing", "serve", "--workspace", str(workspace), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with suppress(httpx.TransportError):
                    httpx.get(f"{base}/-/keys")
                    break
                time.sleep(0.1)
            yield base
        finally:
            process.terminate()


def written(costs: list[Cost], users: int) -> str:
    """The section of the page of benchmarks."""
    lines = [
        HEADING,
        "",
        f"The demo of {users:,} users, two cores, made by `python -m bench.pages`. First answer: a server that has just",
        "started, every page once. From memory: the least of five. Bytes and load event: Chromium with an empty cache, the",
        "middle of three visits; the chart library comes once, after the page, and only where there is a chart.",
        "",
        "| page | first answer | from memory | transferred | chart library | load event |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for c in costs:
        library = f"{c.library:.0f} kB" if c.library else ""
        lines.append(
            f"| {c.path} | {1000 * c.first:.0f} ms | {1000 * c.again:.0f} ms | {c.kilobytes:.0f} kB | {library} "
            f"| {1000 * c.load:.0f} ms |"
        )
    return "\n".join([*lines, ""])


def replaced(page: str, section: str) -> str:
    """The page of benchmarks with this section instead of the one it had; at its end where it had none."""
    before, found, after = page.partition(f"\n{HEADING}\n")
    rest = after.partition("\n## ")
    following = f"\n## {rest[2]}" if found and rest[1] else ""
    return f"{before.rstrip()}\n\n{section}{following}"


def _seconds(client: httpx.Client, path: str) -> float:
    begun = time.perf_counter()
    answer = client.get(path, headers={"hx-request": "true"})  # waits for the answer, however long it takes
    seconds = time.perf_counter() - begun
    assert answer.status_code < 400, (path, answer.status_code)
    return seconds


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found is not None, "no chromium on this machine"
    return found


if __name__ == "__main__":
    main(*[int(a) for a in sys.argv[1:]])
