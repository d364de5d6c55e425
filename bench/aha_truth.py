"""How often the aha search is right: ``python -m bench.aha_truth null|demo [runs]``.

``null``: simulated tables in which behaviours depend on early activity alone, or a few of them also cause the outcome;
prints the share of runs with a false finding and the mean share of false ones among the findings.
``demo``: whole simulated products (`upswing.demo`), one seed after another: how often the planted behaviour is
recommended and the decoy not, the quadrants come out in order, and users without push are seen to lack the trigger.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet

from upswing.demo.definitions import DEFINITIONS
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


@dataclass
class Tally:
    """What was right, seed by seed."""

    right: int = 0
    inside: int = 0
    decoy_confirmed: int = 0
    decoy_explained: int = 0
    others: int = 0
    ordered: int = 0
    limited: int = 0
    trigger_inside: int = 0


def on_the_demo(seeds: int, users: int) -> None:
    """One line per seed, then the summary."""
    tally = Tally()
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder, demo_workspace(Path(folder), seed, users) as workspace:
            lines = [_aha(workspace, tally), _quadrants(workspace, tally), _behaviour(workspace, tally)]
        print(f"seed {seed:2}: " + "; ".join(lines), flush=True)
    print(
        f"of {seeds}: right behaviour, count and window recommended {tally.right}, true effect in its interval {tally.inside}; "
        f"decoy confirmed {tally.decoy_confirmed}, listed as explained {tally.decoy_explained}, any other behaviour confirmed "
        f"{tally.others}; quadrants ordered {tally.ordered}; users without push limited by triggers {tally.limited}, true "
        f"gain in its interval {tally.trigger_inside}"
    )


def _aha(workspace: Workspace, tally: Tally) -> str:
    planted = truth("aha_entries").effect
    answer = workspace.aha("first_entries")
    best = answer.recommended
    decoy = [f.found.status for f in answer.findings if f.behaviour == "report_viewed"]
    tally.decoy_confirmed += "confirmed" in decoy
    tally.decoy_explained += "explained" in decoy
    tally.others += len(answer.of("confirmed")) > 1
    if best is None:
        return "nothing recommended"
    tally.right += (best.behaviour, best.count, str(best.window)) == ("entry_created", 3, "2d")
    tally.inside += best.found.adjusted.lower <= planted <= best.found.adjusted.upper
    return f"{best.sentence} {best.found.adjusted.estimate:+.3f}, decoy {decoy}"


def _quadrants(workspace: Workspace, tally: Tally) -> str:
    order = workspace.quadrants("new_users").order
    tally.ordered += order.passed
    return "quadrants " + " ".join(f"{r:.3f}" for r in order.rates)


def _behaviour(workspace: Workspace, tally: Tally) -> str:
    planted = truth("no_trigger").effect
    groups = {g.name: g for g in workspace.behaviour("opening").groups}
    without = groups["false"]
    gain = without.factors[2].gain
    now = without.users * without.mean
    tally.limited += without.limiting is not None and without.limiting.factor == "trigger"
    tally.trigger_inside += gain.lower <= planted * now <= gain.upper
    return (
        f"push {gain.estimate / now:+.3f} ({gain.lower / now:+.3f} to {gain.upper / now:+.3f}), planted {planted:+.3f}"
    )


def demo_workspace(folder: Path, seed: int, users: int) -> Workspace:
    """A workspace with a simulated product and the demo's definitions."""
    workspace = Workspace.create(folder / "demo", timezone="Asia/Shanghai", currency="CNY")
    for name, body in DEFINITIONS.items():
        path = folder / "demo" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(body, encoding="utf-8")
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
