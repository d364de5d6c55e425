"""``python -m bench [millions …]``: the same questions to Upswing, ClickHouse in process and plain DuckDB, in one run.

Answers are compared before times are. Writes its table into docs/benchmarks.md, between two marks, and
docs/benchmarks.svg.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import aha, pages
from bench.generate import write_events
from bench.peers import STEPS, ClickHouse, PlainDuckDB, create_ordered, write_csv
from bench.timing import peak_memory_gib, side_by_side
from upswing.workspace import Workspace

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"
PEAK = "peak memory, alone, GiB"
Row = tuple[float, str, str, float, float]


def main(sizes: list[float]) -> None:
    rows: list[Row] = []
    for millions in sizes:
        rows += measure(millions)
        write_page(rows)
    pages.main()
    aha.main(min(sizes), 500)
    print((ROOT / "docs" / "benchmarks.md").read_text())


def measure(millions: float) -> list[Row]:
    """All rows of one size: (millions of events, work, contestant, seconds, peak GiB so far)."""
    parquet = DATA / f"events_{millions:g}m.parquet"
    write_events(parquet, millions)
    work = Path(tempfile.mkdtemp(dir=DATA))
    rows: list[Row] = []

    def note(task: str, who: str, seconds: float) -> None:
        rows.append((millions, task, who, seconds, peak_memory_gib()))
        print(f"{millions:g} M  {task:<28} {who:<12} {seconds:8.3f} s", flush=True)

    note("import Parquet", "DuckDB CTAS", create_ordered(parquet, work / "ordered.duckdb"))
    workspace = Workspace.create(work / "ws")
    begun = time.perf_counter()
    workspace.import_events([parquet], user="user", time="time", event="event")
    note("import Parquet", "Upswing", time.perf_counter() - begun)
    if millions <= 20:
        _import_csv(parquet, work, note)
    begun = time.perf_counter()
    ours = workspace.funnel(steps=list(STEPS), within="7d")
    note("first question after import", "Upswing", time.perf_counter() - begun)
    begun = time.perf_counter()
    house = ClickHouse(parquet, work / "chdb")
    note("import Parquet", "ClickHouse", time.perf_counter() - begun)
    PlainDuckDB(parquet, work / "plain.duckdb").con.close()
    duck = PlainDuckDB.reopen(work / "plain.duckdb")
    steps = list(STEPS)
    filtered = [*STEPS[:3], "pay[amount > 50]"]
    questions = {
        "funnel, event steps": {
            "Upswing": lambda: [s.users for s in workspace.funnel(steps=steps, within="7d").steps],
            "ClickHouse": house.funnel,
            "DuckDB SQL": duck.funnel,
        },
        "funnel, predicate step": {
            "Upswing": lambda: [s.users for s in workspace.funnel(steps=filtered, within="7d").steps],
            "ClickHouse": lambda: house.funnel(predicate=True),
            "DuckDB SQL": lambda: duck.funnel(predicate=True),
        },
        "retention, days 0 to 7": {
            "Upswing": lambda: _returned(workspace),
            "ClickHouse": house.retention,
            "DuckDB SQL": duck.retention,
        },
    }
    for task, contestants in questions.items():
        timed = side_by_side(contestants, rounds=3 if millions >= 50 else 5)
        answers = {str(t.answer) for t in timed.values()}
        if len(answers) > 1:
            print(f"  answers differ: { {who: t.answer for who, t in timed.items()} }")
        for who, t in timed.items():
            note(task, who, t.seconds)
    assert ours.steps[0].users > 0
    spine = workspace.log.engine.spine()  # type: ignore[attr-defined]
    against_retentioneering(parquet, workspace, note)
    bandwidth = side_by_side({"sum": lambda: int(np.sum(spine.times)) + int(np.sum(spine.codes.astype(np.int64)))})
    note("numpy sum of the mapped columns", "numpy", bandwidth["sum"].seconds)
    workspace.close()
    duck.con.close()
    gc.collect()
    alone = _json_of([sys.executable, "-m", "bench.alone", str(parquet), str(work / "alone")])
    rows.append((millions, PEAK, "Upswing", alone["peak after questions"], 0.0))
    shutil.rmtree(work, ignore_errors=True)
    return rows


def _import_csv(parquet: Path, work: Path, note: Callable[[str, str, float], None]) -> None:
    """The same events as text."""
    csv = work / "events.csv"
    write_csv(parquet, csv)
    note("import CSV", "DuckDB CTAS", create_ordered(csv, work / "ordered_csv.duckdb"))
    with Workspace.create(work / "ws_csv") as workspace:
        begun = time.perf_counter()
        workspace.import_events([csv], user="user", time="time", event="event")
        note("import CSV", "Upswing", time.perf_counter() - begun)
    csv.unlink()


def against_retentioneering(parquet: Path, workspace: Workspace, note: Callable[[str, str, float], None]) -> None:
    """The funnel it can answer, without a window, where RETENTIONEERING_PYTHON names a Python that has it."""
    python = os.environ.get("RETENTIONEERING_PYTHON")
    if not python or parquet.stat().st_size > 2**28:  # its frames of 100 million events hardly fit this memory
        return
    theirs = _json_of([python, str(Path(__file__).parent / "retentioneering_peer.py"), str(parquet), *STEPS])
    ours = side_by_side(
        {"Upswing": lambda: [s.users for s in workspace.funnel(steps=list(STEPS), within="100d").steps]}
    )["Upswing"]
    if ours.answer != theirs["answer"]:
        print(f"  answers differ: {ours.answer} and {theirs['answer']}")
    note("funnel without a window", "Upswing", ours.seconds)
    note("funnel without a window", "retentioneering", theirs["seconds"])


def _json_of(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(next(li for li in done.stdout.splitlines() if li.startswith("{")))
    return found


def _returned(workspace: Workspace) -> int:
    result = workspace.retention(start_event="open", return_event="open", period="day", periods=7, entry="recurring")
    return sum(n for cohort in result.data()["cohorts"] for n in cohort["retained"] if n is not None)  # type: ignore[union-attr, index]


def write_page(rows: list[Row]) -> None:
    """The table with ratios into its place on the page, and a plot of cost against size."""
    lines = [
        "| events | work | Upswing | ClickHouse | DuckDB SQL | retentioneering | ÷ ClickHouse | ÷ DuckDB | ÷ retentioneering |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in dict.fromkeys(r[0] for r in rows):
        tasks = dict.fromkeys(r[1] for r in rows if r[0] == size)
        for task in tasks:
            found = {r[2]: r[3] for r in rows if r[0] == size and r[1] == task}
            ours = found.get("Upswing")
            peers = [
                found.get("ClickHouse"),
                found.get("DuckDB SQL", found.get("DuckDB CTAS")),
                found.get("retentioneering"),
            ]
            unit = " GiB" if task == PEAK else " s"
            cells = [f"{x:.3f}{unit}" if x is not None else "" for x in (ours, *peers)]
            ratios = [f"{ours / x:.2f}" if ours and x else "" for x in peers]
            if ours is None:
                cells, ratios = [""] * 4, [""] * 3
                task += f": {next(iter(found.values())):.3f} s"
            lines.append(f"| {size:g} M | {task} | {' | '.join(cells)} | {' | '.join(ratios)} |")
    page = ROOT / "docs" / "benchmarks.md"
    head, _, rest = page.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text("\n".join([head + BEGIN, *lines, END + tail]))
    _plot(rows)


def _plot(rows: list[Row]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for task in ("funnel, event steps", "funnel, predicate step", "retention, days 0 to 7"):
        points = sorted((r[0], r[3]) for r in rows if r[1] == task and r[2] == "Upswing")
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=task)
    axes.set(xscale="log", yscale="log", xlabel="million events", ylabel="seconds, warm")
    axes.legend(frameon=False)
    figure.savefig(ROOT / "docs" / "benchmarks.svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main([float(a) for a in sys.argv[1:]] or [1.0, 20.0])
