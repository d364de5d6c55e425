"""How often the aha search is right: ``python -m bench.aha_truth null|demo [runs]``.

``null``: simulated tables in which behaviours depend on early activity alone, or a few of them also cause the outcome;
prints the share of runs with a false finding and the mean share of false ones among the findings.
``demo``: whole simulated products (`upswing.demo`), one seed after another: how often the planted behaviour is
recommended, how often the decoy is, and how often the true effect lies in the interval.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet

from upswing.demo.simulate import write_parquet
from upswing.demo.truths import truth
from upswing.diagnose.aha_search import Rules, search
from upswing.sequences.aha import AhaTables
from upswing.workspace import Workspace

COUNTS = np.array([1, 2, 3, 5])


def simulated(rng: np.random.Generator, *, users: int, behaviours: int, causes: int, effect: float) -> AhaTables:
    """Tables of one simulated product; the first `causes` behaviours raise the outcome from 3 times on."""
    activity = 1 + rng.poisson(1.5, users)
    stratum = np.minimum(activity, 7) - 1
    rates = rng.uniform(0.1, 0.8, behaviours)
    early = rng.poisson(rates * (stratum + 1)[:, None])
    doses = np.stack([rng.binomial(early, 0.5), early], axis=-1)
    chance = 0.05 + 0.08 * stratum + effect * (early[:, :causes] >= 3).sum(axis=1)
    reached = rng.random(users) < np.minimum(chance, 1)
    half = rng.integers(0, 2, users)
    shape = (2, behaviours, 2, len(COUNTS), 7)
    totals, ends = (np.zeros((2, 2, 7), np.int64) for _ in range(2))
    shown, both = (np.zeros(shape, np.int64) for _ in range(2))
    for h in (0, 1):
        for s in range(7):
            here = (half == h) & (stratum == s)
            totals[h, :, s], ends[h, :, s] = here.sum(), reached[here].sum()
            met = doses[here][..., None] >= COUNTS
            shown[h, ..., s], both[h, ..., s] = met.sum(axis=0), met[reached[here]].sum(axis=0)
    return AhaTables(totals, ends, shown, both, users, 0, 0)


def false_discoveries(runs: int, *, causes: int, users: int = 6000, behaviours: int = 40) -> tuple[float, float, float]:
    """Share of runs with any false finding, mean share of false findings, mean number of causes found."""
    anything, shares, power = 0, [], []
    for run in range(runs):
        tables = simulated(np.random.default_rng(run), users=users, behaviours=behaviours, causes=causes, effect=0.1)
        found = [f for f in search(tables, Rules(fdr=0.05)).findings if f.status in ("confirmed", "lower")]
        false = sum(f.behaviour >= causes for f in found)
        anything += false > 0
        shares.append(false / max(1, len(found)))
        power.append(len(found) - false)
    return anything / runs, float(np.mean(shares)), float(np.mean(power))


def on_the_demo(seeds: int, users: int) -> None:
    """One line per seed, then the summary."""
    planted = truth("aha_entries").effect
    hits = decoys = explained = inside = 0
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder, demo_workspace(Path(folder), seed, users) as workspace:
            answer = workspace.aha(
                start_event="account_created", outcome="app_opened", after="21d", until="28d", adjust=["channel"],
                exclude=["reminder_received", "reminder_opened"],
            )  # fmt: skip
        best = answer.recommended
        right = best is not None and (best.behaviour, best.count, str(best.window)) == ("entry_created", 3, "2d")
        decoy = [f for f in answer.findings if f.behaviour == "report_viewed"]
        covered = best is not None and best.found.adjusted.lower <= planted <= best.found.adjusted.upper
        hits, inside = hits + right, inside + covered
        decoys += any(f.found.status == "confirmed" for f in decoy)
        explained += any(f.found.status == "explained" for f in decoy)
        others = [str(f.sentence) for f in answer.of("confirmed")[1:]]
        shown = "-" if best is None else f"{best.sentence} {best.found.adjusted.estimate:+.3f}"
        print(f"seed {seed:2}: {shown}  decoy {[f.found.status for f in decoy]}  other confirmed {others}", flush=True)
    print(
        f"of {seeds}: right behaviour, count and window {hits}, true effect in the interval {inside}; "
        f"decoy confirmed {decoys}, listed as explained {explained}"
    )


def demo_workspace(folder: Path, seed: int, users: int) -> Workspace:
    """A workspace with a simulated product."""
    workspace = Workspace.create(folder / "demo", timezone="Asia/Shanghai", currency="CNY")
    write_parquet(folder / "events.parquet", seed=seed, users=users, aliases=folder / "aliases.parquet")
    workspace.import_events([folder / "events.parquet"])
    pyarrow.csv.write_csv(pyarrow.parquet.read_table(folder / "aliases.parquet"), folder / "aliases.csv")
    workspace.alias(file=folder / "aliases.csv")
    return workspace


if __name__ == "__main__":
    what, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    if what == "null":
        for causes in (0, 3):
            any_false, share, power = false_discoveries(runs, causes=causes)
            print(
                f"{runs} runs, {causes} of 40 behaviours cause the outcome: a false finding in {any_false:.1%} of runs; "
                f"mean share of false findings {share:.2%}; causes found {power:.2f}"
            )
    else:
        on_the_demo(runs, 40_000)
