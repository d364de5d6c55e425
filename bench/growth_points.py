"""How often the growth review finds what is planted in the demo, over seeds; and how often it sees what is not there.

    python -m bench.growth_points --users 20000 --seeds 20

Prints one line per size for docs/guide/growth-review.md:

* the broken step (phone verification on Android 3.2.0) leads the growth points, by name, or as the same users' platform
  and weeks;
* the mix shift (reward_wall, from 8 June) is found as the first segment of activation's fall, and told to be mix;
* the tracking break (iOS, 14 and 15 April) is found; any other break is a false alarm;
* in a world without the broken step, the leading point must not be that step on Android.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.csv as csv
import pyarrow.parquet as pq

from upswing import Workspace
from upswing.demo.definitions import DEFINITIONS
from upswing.demo.model import MODEL, Model
from upswing.demo.fill import MILESTONES
from upswing.demo.simulate import write_parquet
from upswing.metrics.explain import ChangeResult
from upswing.metrics.tracking import tracking_breaks

PLACE = "phone_verified"
EXACT = "platform = android, app_version = 3.2.0"


def world(folder: Path, *, seed: int, users: int, model: Model) -> Workspace:
    """A workspace with one simulated world in it."""
    ws = Workspace.create(folder, timezone="Asia/Shanghai", milestones=list(MILESTONES))
    for name, body in DEFINITIONS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(body, encoding="utf-8")
    events, aliases = folder / "events.parquet", folder / "aliases.parquet"
    write_parquet(events, seed=seed, users=users, aliases=aliases, model=model)
    ws.import_events([events])
    csv.write_csv(pq.read_table(aliases), folder / "aliases.csv")
    ws.alias(file=folder / "aliases.csv")
    return ws


def judge(ws: Workspace, found: Counter[str]) -> None:
    """Ask the verbs and note what they found."""
    points = [p for p in ws.growth_points().points if p.sound]
    first = points[0].candidate if points else None
    names = [] if first is None else [first.who, *points[0].also]
    found["step_first"] += first is not None and first.place == PLACE and first.who == EXACT
    found["step_first_by_any_name"] += (
        first is not None and first.place == PLACE and all("android" in n or "3.2.0" in n for n in names[:1])
    )
    found["step_listed"] += any(p.candidate.place == PLACE and EXACT in (p.candidate.who, *p.also) for p in points)
    change = ws.explain_change(
        "activation_rate", start="2026-06-08", stop="2026-06-29", against="2026-05-18..2026-06-08"
    )
    assert isinstance(change, ChangeResult)
    found["shift_beyond_chance"] += change.beyond_chance
    found["shift_found_first"] += bool(change.findings) and dict(change.findings[0].condition) == {
        "channel": "reward_wall"
    }
    found["shift_other_segment"] += any("channel" not in f.condition for f in change.findings)
    found["shift_told_as_mix"] += any(s.dimension == "channel" and s.warning for s in change.splits)
    lo, hi = ws.log.resolve_range()
    breaks = tracking_breaks(ws.log, start=lo, stop=hi, dimensions=("platform", "app_version", "channel"))
    true = [b for b in breaks if (b.event, b.group, b.first, b.last) == (PLACE, "ios", "2026-04-14", "2026-04-15")]
    found["break_found"] += bool(true)
    found["breaks_false"] += len(breaks) - len(true)


def main() -> None:
    """Run the seeds and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--null", action="store_true", help="a world without the broken step")
    given = parser.parse_args()
    model = replace(MODEL, broken_factor=1.0) if given.null else MODEL
    found: Counter[str] = Counter()
    for seed in range(100, 100 + given.seeds):
        with (
            tempfile.TemporaryDirectory() as folder,
            world(Path(folder), seed=seed, users=given.users, model=model) as ws,
        ):
            judge(ws, found)
        sys.stderr.write(f"seed {seed}: {dict(found)}\n")
    sys.stdout.write(
        f"{given.users} users, {given.seeds} seeds{', no broken step' if given.null else ''}: {dict(found)}\n"
    )


if __name__ == "__main__":
    main()
