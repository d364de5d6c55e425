"""Everything that makes a workspace the demo's: its settings, definitions, events and who is whom.

`upswing demo` and the button of an empty workspace both come here, so both answer with the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow.csv as csv
import pyarrow.parquet as pq

from upswing.core.i18n import current_locale, text
from upswing.core.numbers import format_count
from upswing.demo.definitions import DEFINITIONS
from upswing.demo.papers import notes, papers
from upswing.demo.simulate import write_parquet
from upswing.events.summary import ImportSummary
from upswing.spec.definitions import PROJECT_FILE
from upswing.spec.files import edit_yaml, write_yaml
from upswing.workspace.data import DataVerbs

MILESTONES: Final = ("app_installed", "signup_started", "phone_verified", "account_created", "entry_created")
SETTINGS: Final = {"timezone": "Asia/Shanghai", "currency": "CNY", "milestones": list(MILESTONES)}
"""Keys of ``upswing.yml`` on which the demo's answers depend."""

BUTTON_SEED: Final = 7
BUTTON_USERS: Final = 20_000
"""What the button brings: enough people for every finding, few enough to be there in seconds."""


def fill(
    root: Path,
    opened: Callable[[], AbstractContextManager[DataVerbs]],
    say: Callable[[object], object],
    *,
    progress: Callable[..., None] | None = None,
    seed: int = BUTTON_SEED,
    users: int = BUTTON_USERS,
    files: Path,
) -> ImportSummary:
    """Make an empty workspace the demo's.

    Args:
        root: the workspace's folder.
        opened: opens it; called after its settings are written.
        say: takes a sentence before and after each part.
        progress: told how far the import is: phase, fraction, rows per second.
        seed: the same seed gives the same events.
        users: about how many people install the app.
        files: folder for ``events.parquet`` and ``aliases.csv``, which stay there.

    Returns:
        What became of the events.
    """
    settle(root, seed=seed, users=users)
    say(text("simulating {n} users of a bookkeeping app (seed {seed})", n=format_count(users), seed=seed))
    events, aliases, identities = files / "events.parquet", files / "aliases.parquet", files / "aliases.csv"
    rows = write_parquet(events, seed=seed, users=users, aliases=aliases)
    csv.write_csv(pq.read_table(aliases), identities)
    aliases.unlink()
    say(text("{n} events simulated", n=format_count(rows)))
    with opened() as workspace:  # who is whom first: no question may see the events without it
        matched = workspace.alias(file=identities)
    say(text("{n} devices belong to a known account from a moment on", n=format_count(matched)))
    with opened() as workspace:
        summary = workspace.import_events([events], progress=progress)
    say(summary.sentence())
    return summary


def settle(root: Path, *, seed: int, users: int) -> None:
    """Write the demo's settings, definitions and papers into a workspace; files that are there already stay as they are."""

    def change(project: MutableMapping[str, object]) -> None:
        project.update(SETTINGS)

    edit_yaml(root / PROJECT_FILE, change)
    locale, today = current_locale(), datetime.now(ZoneInfo(str(SETTINGS["timezone"]))).date()
    files: dict[str, str | dict[str, object]] = {
        **DEFINITIONS,
        **papers(locale, users=users, today=today),
        **dict([notes(locale, seed=seed)]),
    }
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            continue
        if isinstance(body, str):
            path.write_text(body, encoding="utf-8")
        else:
            write_yaml(path, body)
