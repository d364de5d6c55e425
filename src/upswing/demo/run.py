"""`upswing demo`: simulate, import and ask, through the same verbs a user has; ends with a report and plain sentences."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from upswing.core.errors import UsageError
from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count
from upswing.demo.fill import fill
from upswing.report.review import review_page
from upswing.spec.definitions import PROJECT_FILE
from upswing.workspace import Workspace

MARK: Final = ".upswing-demo.json"


def run_demo(*, seed: int, users: int, folder: Path, say: Callable[[str], object]) -> Workspace:
    """Build the demo's workspace in `folder`, ask the usual questions and write ``report.html``.

    Args:
        seed: the same seed gives the same events.
        users: about how many people install the app.
        folder: made anew if it is a demo already; anything else in it is left alone and refused.
        say: takes each line for the reader.

    Raises:
        UsageError: UP607 the folder holds something that is not a demo.
    """
    begun = time.perf_counter()
    _clear(folder)
    Workspace.create(folder, project="demo", locale=current_locale()).close()
    (folder / MARK).write_text(json.dumps({"seed": seed, "users": users}))
    fill(folder, lambda: Workspace.open(folder), lambda told: say(str(told)), seed=seed, users=users, files=folder)
    workspace = Workspace.open(folder)
    with workspace:
        answer = workspace.report()
        (folder / "report.html").write_text(review_page(answer), encoding="utf-8")
        funnel = workspace.funnel("activation")
        say("")
        for step in funnel.steps:
            say(f"  {step.name:<20}{format_count(step.users):>12}{step.rate_from_entry or 0:>9.1%}")
        say("")
        for sentence in answer.sentences():
            say(f"· {sentence}")
    say("")
    say(str(text("written: {file}", file=folder / "report.html")))
    say(str(text("ask on: upswing funnel activation --by platform --workspace {folder}", folder=folder)))
    say(str(text("{n} s in all", n=f"{time.perf_counter() - begun:.0f}")))
    return workspace


def _clear(folder: Path) -> None:
    """Remove an earlier demo; never anything else."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARK).is_file():
        raise UsageError(
            text("'{folder}' is not empty and not a demo", folder=folder),
            code="UP607",
            hint=text("choose another folder: --dir DIR"),
        )
    for name in (MARK, PROJECT_FILE, "report.html", "events.parquet", "aliases.csv"):
        (folder / name).unlink(missing_ok=True)
    for name in (
        "data",
        "funnels",
        "metrics",
        "segments",
        "strategy",
        "journeys",
        "hypotheses",
        "initiatives",
        "evidence",
        ".upswing",
    ):
        shutil.rmtree(folder / name, ignore_errors=True)
