"""Upswing alone in a process, for its own peak memory: ``python -m bench.alone PARQUET FOLDER``."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from bench.peers import STEPS
from bench.timing import peak_memory_gib
from upswing.workspace import Workspace


def main(parquet: str, folder: str) -> None:
    figures: dict[str, float] = {}
    shutil.rmtree(folder, ignore_errors=True)
    workspace = Workspace.create(Path(folder))
    begun = time.perf_counter()
    workspace.import_events([parquet], user="user", time="time", event="event")
    figures["import"] = time.perf_counter() - begun
    figures["peak after import"] = peak_memory_gib()
    begun = time.perf_counter()
    workspace.funnel(steps=list(STEPS), within="7d")
    figures["first funnel"] = time.perf_counter() - begun
    workspace.funnel(steps=[*STEPS[:3], "pay[amount > 50]"], within="7d")
    workspace.retention(start_event="open", return_event="open", period="day", periods=7, entry="recurring")
    figures["peak after questions"] = peak_memory_gib()
    workspace.close()
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:3])
