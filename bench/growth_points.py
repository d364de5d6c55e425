"""How often the growth review finds what is planted in the demo, and how often its intervals hold the truth.

    python -m bench.growth_points                      # 20 seeds of the demo, then 400 simulated products
    python -m bench.growth_points --seeds 5 --null     # worlds without the broken step
    python -m bench.growth_points --products 1000 --seeds 0

Prints the figures of docs/guide/growth-review.md:

* the broken step (phone verification on Android 3.2.0) leads the growth points, by name or as the same users' platform;
* the aha behaviour (3 entries within 2 days) is a growth point, the report view that only correlates is none;
* no sound point names a week of the mix shift (from 8 June) or of the tracking break (14 and 15 April): both move rates
  that nobody lost;
* the mix shift is told to be mix, and its segment (reward_wall) is the first that is named; the tracking break is found,
  and any other break is a false alarm;
* over simulated products whose gain is known exactly: the share of intervals that hold it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.csv as csv
import pyarrow.parquet as pq

from bench.growth_coverage import cover
from upswing import Workspace
from upswing.demo.definitions import DEFINITIONS
from upswing.demo.fill import MILESTONES
from upswing.demo.model import MODEL, Model
from upswing.demo.simulate import write_parquet
from upswing.metrics.explain import ChangeResult
from upswing.metrics.tracking import tracking_breaks
from upswing.review.sizing import GrowthPoint

PLACE = "phone_verified"
EXACT = "platform = android, app_version = 3.2.0"
SHIFT, BREAK = "2026-06-", "2026-04-13"
"""First days of the weeks of the mix shift, and of the tracking break."""


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
    points = [p for p in ws.growth_points().points if p.sound and p.gain > 0]
    _judge_points(points, found)
    change = ws.explain_change(
        "activation_rate", start="2026-06-08", stop="2026-06-29", against="2026-05-18..2026-06-08"
    )
    assert isinstance(change, ChangeResult)
    segments = [dict(f.condition) for f in change.findings]
    found["mix shift: the fall is beyond chance"] += change.beyond_chance
    found["mix shift: its channel is named first"] += segments[:1] == [{"channel": "reward_wall"}]
    found["mix shift: another segment is named"] += any("channel" not in s for s in segments)
    found["mix shift: told to be mix"] += any(s.dimension == "channel" and s.warning is not None for s in change.splits)
    lo, hi = ws.log.resolve_range()
    breaks = tracking_breaks(ws.log, start=lo, stop=hi, dimensions=("platform", "app_version", "channel"))
    true = [b for b in breaks if (b.event, b.group, b.first, b.last) == (PLACE, "ios", "2026-04-14", "2026-04-15")]
    found["tracking break: found, with its days"] += bool(true)
    found["tracking break: false alarms"] += len(breaks) - len(true)


def _judge_points(points: list[GrowthPoint], found: Counter[str]) -> None:
    first = points[0].candidate if points else None
    there = first is not None and first.place == PLACE
    who = "" if first is None else first.who
    found["broken step: first, by its exact name"] += there and who == EXACT
    found["broken step: first, as these users' platform or version"] += there and ("android" in who or "3.2.0" in who)
    names = [" ".join((str(p.candidate.who), p.candidate.place, *p.also)) for p in points]
    found["aha: a point, by its behaviour and count"] += any("3 × entry_created" in n for n in names)
    found["decoy: recommended"] += any("report_viewed" in n for n in names)
    found["mix shift: recommended"] += any(SHIFT in str(p.candidate.who) for p in points)
    found["tracking break: recommended"] += any(BREAK in str(p.candidate.who) for p in points)


def main() -> None:
    """Run the seeds and the products, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100, help="the first seed")
    parser.add_argument("--products", type=int, default=400, help="simulated products with a known gain")
    parser.add_argument("--null", action="store_true", help="demo worlds without the broken step")
    given = parser.parse_args()
    model = replace(MODEL, broken_factor=1.0) if given.null else MODEL
    found: Counter[str] = Counter()
    begun = time.perf_counter()
    for seed in range(given.first, given.first + given.seeds):
        with (
            tempfile.TemporaryDirectory() as folder,
            world(Path(folder), seed=seed, users=given.users, model=model) as ws,
        ):
            judge(ws, found)
        sys.stderr.write(f"seed {seed}: {time.perf_counter() - begun:.0f} s {dict(found)}\n")
    if given.seeds:
        sys.stdout.write(f"{given.users} users, {given.seeds} seeds{', no broken step' if given.null else ''}\n")
        sys.stdout.writelines(f"  {what}: {times}\n" for what, times in found.items())
    if given.products:
        sys.stdout.write(f"{given.products} simulated products\n")
        sys.stdout.writelines(f"  {what}: {figure}\n" for what, figure in cover(given.products).items())


if __name__ == "__main__":
    main()
